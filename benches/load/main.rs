//! Servers side by side with what limits them, under the same load, in one table:
//! `cargo bench --bench load`, explained in docs/benchmarks.md.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark talks to a terminal and ends loudly"
)]

mod client;
mod seed;
mod servers;

use std::{
    path::Path,
    process::ExitCode,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use rocket::tokio::{self, runtime};
use rocket_security::{Hasher, Password, SharedClock, Store, config::HashingSettings};

use self::{
    client::{Ask, Load, Pick, at_once, closed_loop, in_turn, open_loop},
    servers::{Kind, Server, make_database},
};

/// Connections that are busy at once where the answer is cheap, and where it takes a hash.
const CHEAP: usize = 32;
const HASHES: usize = 32;

/// How long and how much.
struct Plan {
    runs: usize,
    length: Duration,
    users: u64,
    million: bool,
    strict: bool,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let number = |name: &str, otherwise: u64| match std::env::var(name) {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{name} is `{text}`; write a number")),
            Err(_) => otherwise,
        };
        let (runs, seconds) = if has("--quick") { (3, 2) } else { (7, 10) };
        Self {
            runs: usize::try_from(number("LOAD_RUNS", runs))
                .expect("a few runs")
                .max(1),
            length: Duration::from_secs(number("LOAD_SECONDS", seconds).max(1)),
            users: number("LOAD_USERS", 10_000).max(1),
            million: has("--million"),
            strict: has("--strict"),
        }
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

/// Connections in every pool: the library's default.
fn connections() -> u32 {
    u32::try_from(cores() * 2)
        .expect("not that many cores")
        .max(4)
}

fn connect(database: &Path) -> Store {
    let url = database.to_str().expect("a path in UTF-8");
    Store::connect(
        url,
        connections(),
        Duration::from_secs(5),
        SharedClock::default(),
    )
    .expect("a database")
}

/// One line of the table.
struct Row {
    name: &'static str,
    measured: String,
    limit: String,
    ok: bool,
}

/// A route, what limits it, and how much dearer it may be.
struct Pair<'a> {
    name: [&'static str; 2],
    ours: (&'a Server, Ask, Pick),
    limit: (&'a Server, Ask, Pick),
    connections: usize,
    times: f64,
    runs: Vec<[Load; 2]>,
}

impl Pair<'_> {
    /// Both in turn; who begins changes from run to run.
    async fn run(&mut self, length: Duration) {
        let sides = [&self.ours, &self.limit];
        let mut loads = [None, None];
        let mut order = [0, 1];
        if self.runs.len() % 2 == 1 {
            order.reverse();
        }
        for side in order {
            let (server, ask, pick) = sides[side];
            loads[side] = Some(closed_loop(server, *ask, pick, self.connections, length).await);
        }
        self.runs
            .push(loads.map(|load| load.expect("both sides ran")));
    }

    fn rows(&self) -> [Row; 2] {
        let side = |side: usize, of: fn(&Load) -> f64| {
            median(self.runs.iter().map(|run| of(&run[side])).collect())
        };
        let ratio = |of: fn(&[Load; 2]) -> f64| median(self.runs.iter().map(of).collect());
        let row = |name, ratio: f64, shown: String| Row {
            name,
            measured: format!("{ratio:.2} times ({shown})"),
            limit: format!("{:.2} times", self.times),
            ok: ratio <= self.times,
        };
        let (cpu, rate) = (|load: &Load| load.cpu, |load: &Load| load.rate);
        [
            row(
                self.name[0],
                ratio(|[ours, limit]| ours.cpu / limit.cpu),
                format!("{:.0} against {:.0} us", side(0, cpu), side(1, cpu)),
            ),
            row(
                self.name[1],
                ratio(|[ours, limit]| limit.rate / ours.rate),
                format!("{:.0} against {:.0} /s", side(0, rate), side(1, rate)),
            ),
        ]
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|first| first == servers::HIDDEN)
    {
        servers::be_child(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("run it by `cargo bench --bench load`");
        return ExitCode::SUCCESS;
    }
    let plan = Plan::of(&arguments);
    let began = Instant::now();
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let rows = runtime.block_on(measure(&plan));
    println!(
        "\n{} users, medians of {} runs of {} s, {} cores, {} s in all\n",
        plan.users,
        plan.runs,
        plan.length.as_secs(),
        cores(),
        began.elapsed().as_secs()
    );
    print_table(&rows);
    if plan.strict && rows.iter().any(|row| !row.ok) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn measure(plan: &Plan) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder");
    let hash = Hasher::new(&HashingSettings::default())
        .and_then(|hasher| {
            let password = Password::parse(seed::PASSWORD).expect("a password");
            hasher
                .hash_blocking(&password)
                .map_err(|error| error.to_string())
        })
        .expect("a hash")
        .as_stored()
        .to_string();
    eprintln!("making {} users ...", plan.users);
    let database = make_database(folder.path(), plan.users, &hash);
    let pick = || Pick::of(plan.users);

    // First, while its memory is that of a server just started.
    eprintln!("64 sign-ins at once ...");
    let memory = memory(&Server::start(Kind::Guarded, &database, ""), &pick()).await;

    let ours = Server::start(Kind::Guarded, &database, "");
    let form = in_turn(&ours, Ask::Form, &pick(), 1).await.1;
    let bare = Server::start(Kind::Bare, &database, &format!("{form} {hash}"));
    let pair = |name, (ask, limit), connections, times| Pair {
        name,
        ours: (&ours, ask, pick()),
        limit: (&bare, limit, pick()),
        connections,
        times,
        runs: Vec::new(),
    };
    let mut pairs = vec![
        pair(
            ["by session: CPU a request", "by session: requests"],
            (Ask::Session, Ask::Select),
            CHEAP,
            1.25,
        ),
        pair(
            ["by token: CPU a request", "by token: requests"],
            (Ask::Token, Ask::Select),
            CHEAP,
            1.25,
        ),
        Pair {
            limit: (&ours, Ask::Token, pick()),
            ..pair(
                ["by API key: CPU a request", "by API key: requests"],
                (Ask::Key, Ask::Select),
                CHEAP,
                // Nine tenths of what is served by token.
                1.11,
            )
        },
        pair(
            ["login form: CPU a request", "login form: requests"],
            (Ask::Form, Ask::Page),
            CHEAP,
            3.0,
        ),
        pair(
            ["sign-in: CPU a request", "sign-in: requests"],
            (Ask::SignIn, Ask::Verify),
            HASHES,
            1.1,
        ),
    ];
    let many = if plan.million {
        Some(Million::start(folder.path(), &hash))
    } else {
        None
    };
    pairs.extend(many.as_ref().map(Million::pair));

    let mut latency = Latency::default();
    for pair in &pairs {
        for (server, ask, pick) in [&pair.ours, &pair.limit] {
            closed_loop(server, *ask, pick, pair.connections, Duration::from_secs(1)).await;
        }
    }
    for run in 1..=plan.runs {
        eprintln!("run {run} of {} ...", plan.runs);
        for pair in &mut pairs {
            pair.run(plan.length).await;
        }
        latency.run(&ours, &bare, &pick(), plan.length).await;
    }
    pairs
        .iter()
        .flat_map(Pair::rows)
        .chain([latency.row(), memory])
        .collect()
}

/// A great database beside a small one.
struct Million {
    great: Server,
    small: Server,
}

impl Million {
    const GREAT: u64 = 1_000_000;
    const SMALL: u64 = 1_000;

    fn start(folder: &Path, hash: &str) -> Self {
        let start = |users| {
            eprintln!("making {users} users ...");
            // A name of its own, so that it never is the one that the other rows use.
            let folder = folder.join("many");
            std::fs::create_dir_all(&folder).expect("a folder");
            Server::start(Kind::Guarded, &make_database(&folder, users, hash), "")
        };
        Self {
            great: start(Self::GREAT),
            small: start(Self::SMALL),
        }
    }

    fn pair(&self) -> Pair<'_> {
        Pair {
            name: [
                "1,000,000 users: CPU a request",
                "1,000,000 users: requests",
            ],
            ours: (&self.great, Ask::Session, Pick::of(Self::GREAT)),
            limit: (&self.small, Ask::Session, Pick::of(Self::SMALL)),
            connections: CHEAP,
            times: 1.2,
            runs: Vec::new(),
        }
    }
}

/// How long somebody waits for a guarded page while others sign in.
#[derive(Default)]
struct Latency {
    idle: Vec<f64>,
    loaded: Vec<f64>,
    hash: Vec<f64>,
    over: Vec<f64>,
}

impl Latency {
    async fn run(&mut self, ours: &Server, bare: &Server, pick: &Pick, length: Duration) {
        const RATE: u32 = 200;
        let hashes = in_turn(bare, Ask::Verify, pick, 15).await.0;
        let hash = median(hashes.into_iter().map(millis).collect());
        let idle = p99(open_loop(ours, Ask::Session, pick, RATE, length).await);
        let (sign_ins, asked) = tokio::join!(
            closed_loop(ours, Ask::SignIn, pick, HASHES, length),
            open_loop(ours, Ask::Session, pick, RATE, length)
        );
        assert!(sign_ins.rate > 0.0, "nobody signed in");
        let loaded = p99(asked);
        self.over.push(loaded - idle - 2.0 * hash);
        for (list, value) in [
            (&mut self.hash, hash),
            (&mut self.idle, idle),
            (&mut self.loaded, loaded),
        ] {
            list.push(value);
        }
    }

    fn row(&self) -> Row {
        let (idle, hash) = (median(self.idle.clone()), median(self.hash.clone()));
        Row {
            name: "guarded p99 while 32 sign in",
            measured: format!(
                "{:.1} ms (idle {idle:.1}, hash {hash:.1})",
                median(self.loaded.clone())
            ),
            limit: format!("{:.1} ms", idle + 2.0 * hash),
            ok: median(self.over.clone()) <= 0.0,
        }
    }
}

/// What 64 sign-ins at once take, and whether a guarded page answers meanwhile.
async fn memory(server: &Server, pick: &Pick) -> Row {
    let hashing = HashingSettings::default();
    let limit = cores() as f64 * f64::from(hashing.memory_kib) / 1024.0 + 100.0;
    let start = Instant::now();
    let ((), (asked, _)) = tokio::join!(
        at_once(server, Ask::SignIn, pick, 64),
        in_turn(server, Ask::Session, pick, 20)
    );
    let (peak, slowest) = (
        server.peak_memory(),
        asked.into_iter().map(millis).fold(0.0, f64::max),
    );
    Row {
        name: "64 sign-ins at once: memory",
        measured: format!(
            "{peak:.0} MiB, all 200 in {:.1} s, guarded page in {slowest:.0} ms at most",
            start.elapsed().as_secs_f64()
        ),
        limit: format!("{limit:.0} MiB"),
        ok: peak < limit,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

fn p99(times: Vec<Duration>) -> f64 {
    let mut times: Vec<f64> = times.into_iter().map(millis).collect();
    times.sort_by(f64::total_cmp);
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn print_table(rows: &[Row]) {
    let width = |of: fn(&Row) -> &str, least: usize| {
        rows.iter()
            .map(|row| of(row).len())
            .max()
            .unwrap_or(0)
            .max(least)
    };
    let (name, measured, limit) = (
        width(|row| row.name, 3),
        width(|row| &row.measured, 8),
        width(|row| &row.limit, 5),
    );
    println!(
        "| {:name$} | {:measured$} | {:limit$} |      |",
        "row", "measured", "limit"
    );
    println!(
        "|{}|{}|{}|------|",
        "-".repeat(name + 2),
        "-".repeat(measured + 2),
        "-".repeat(limit + 2)
    );
    for row in rows {
        let verdict = if row.ok { "ok" } else { "OVER" };
        println!(
            "| {:name$} | {:measured$} | {:limit$} | {verdict:4} |",
            row.name, row.measured, row.limit
        );
    }
}
