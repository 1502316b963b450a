//! The servers that are compared. Each is this very program, started with a hidden argument.

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diesel::prelude::*;
use rocket::{
    Build, Config, Rocket, State, figment::Figment, get, http::Status, post,
    response::content::RawHtml, routes, serde::json::Json,
};
use rocket_security::{
    Hasher, Password, PasswordHash, Require, Security, SignedIn, Store, StoreError, Verdict, Via,
    config::HashingSettings, guards::ApiKey,
};
use serde::Deserialize;

use crate::{connect, connections, seed};

/// The first argument of a child; no person writes it.
pub(crate) const HIDDEN: &str = "--as-child";

/// What a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Makes the tables and fills them, and ends.
    Seed,
    /// An application with `Security` attached and one guarded route.
    Guarded,
    /// An application without it, with the routes that are its limits.
    Bare,
}

impl Kind {
    const ALL: [(Self, &str); 3] = [
        (Self::Seed, "seed"),
        (Self::Guarded, "guarded"),
        (Self::Bare, "bare"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }
}

// The parent's side.

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server over a database and waits until it answers.
    pub(crate) fn start(kind: Kind, database: &Path, detail: &str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let mut server = Self {
            child: spawn(kind, database, port, detail),
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(server.address).is_err() {
            let ended = server.child.try_wait().expect("the state of a child");
            assert!(
                ended.is_none(),
                "the {} server ended: {ended:?}",
                kind.name()
            );
            assert!(
                Instant::now() < patience,
                "the {} server does not answer",
                kind.name()
            );
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// User and system time that the server has used, all its threads together.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("the server's stat");
        // The name may hold anything, so count from the parenthesis that closes it: utime, stime are 14, 15.
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number of ticks"))
            .sum();
        // USER_HZ is 100 on every architecture that Rust's standard library supports on Linux.
        Duration::from_millis(ticks * 10)
    }

    /// The most memory that was resident at once, in MiB.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the server's status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("VmHWM");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<f64>()
            .expect("a number of KiB")
            / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a database with `users` accounts, in a process of its own so that no server carries its memory.
pub(crate) fn make_database(folder: &Path, users: u64, hash: &str) -> PathBuf {
    let database = folder.join(format!("{users}.db"));
    let mut child = spawn(Kind::Seed, &database, 0, &format!("{users} {hash}"));
    // `wait` would close it, and the child take that for our end.
    let _held = child.stdin.take();
    let status = child.wait().expect("the end of a child");
    assert!(status.success(), "the database could not be filled");
    database
}

fn spawn(kind: Kind, database: &Path, port: u16, detail: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([HIDDEN, kind.name(), &port.to_string(), detail])
        .arg(database)
        // Held open as long as the parent lives: see `end_with_parent`.
        .stdin(Stdio::piped())
        .spawn()
        .expect("a child")
}

// The child's side.

/// Does what the arguments after the hidden one say, and never comes back to the parent's code.
pub(crate) fn be_child(arguments: &[String]) {
    let [kind, port, detail, database] = arguments else {
        panic!("a child wants four arguments")
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|(_, name)| name == kind)
        .expect("a kind")
        .0;
    let port: u16 = port.parse().expect("a port");
    let database = PathBuf::from(database);
    // A killed parent closes the pipe, so no server is left behind however it ended.
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    match kind {
        Kind::Seed => {
            let (users, hash) = detail.split_once(' ').expect("a number and a hash");
            // Igniting applies the migrations.
            let ignited = rocket::execute(guarded(port, &database).ignite()).expect("an ignition");
            drop(ignited);
            seed::fill(&database, users.parse().expect("a number"), hash);
        }
        Kind::Guarded => serve(guarded(port, &database)),
        Kind::Bare => serve(bare(port, &database, detail)),
    }
}

fn serve(rocket: Rocket<Build>) {
    drop(rocket::execute(rocket.launch()).expect("a launch"));
}

fn figment(port: u16) -> Figment {
    Figment::from(Config::release_default())
        .merge(("port", port))
        .merge(("address", "127.0.0.1"))
        .merge(("log_level", "off"))
}

fn guarded(port: u16, database: &Path) -> Rocket<Build> {
    let figment = figment(port)
        .merge((
            "security.secret",
            "of a server that lives for minutes: 0123456789",
        ))
        .merge(("security.base_url", format!("http://localhost:{port}")))
        .merge((
            "security.template_dir",
            database.with_extension("templates"),
        ))
        .merge(("security.database.url", database))
        .merge(("security.database.connections", connections()))
        .merge(("security.limits.per_account", 1_000_000))
        .merge(("security.limits.per_address", 1_000_000))
        .merge(("security.limits.per_device", 1_000_000))
        .merge(("security.api_keys.enabled", true))
        .merge(("security.report.unguarded", "off"));
    rocket::custom(figment)
        .mount("/", routes![guarded_route, keyed_route])
        .attach(Security::default())
}

#[get("/guarded")]
fn guarded_route(who: SignedIn) -> String {
    who.email.clone()
}

#[get("/keyed")]
fn keyed_route(who: Require<Via<ApiKey>>) -> String {
    who.email.clone()
}

/// What the limits are measured on: the same Rocket, the same pool, none of our code around it.
fn bare(port: u16, database: &Path, detail: &str) -> Rocket<Build> {
    let (size, hash) = detail.split_once(' ').expect("a size and a hash");
    let page = "x".repeat(size.parse().expect("a size"));
    let hasher = Hasher::new(&HashingSettings::default()).expect("threads that hash");
    rocket::custom(figment(port))
        .mount("/", routes![select, page, verify])
        .manage(connect(database))
        .manage(Page(page.leak()))
        .manage(Stored(PasswordHash::from_stored(hash.to_string())))
        .manage(hasher)
}

diesel::table! {
    users (id) {
        id -> Text,
        email -> Text,
        email_key -> Text,
    }
}

#[get("/select/<key>")]
async fn select(key: String, store: &State<Store>) -> Result<String, Status> {
    let found = store
        .read(move |conn| {
            users::table
                .filter(users::email_key.eq(key))
                .select(users::email)
                .get_result::<String>(conn)
                .map_err(StoreError::from)
        })
        .await;
    found.map_err(|_| Status::NotFound)
}

struct Page(&'static str);

#[get("/page")]
fn page(page: &State<Page>) -> RawHtml<&'static str> {
    RawHtml(page.0)
}

struct Stored(PasswordHash);

#[derive(Deserialize)]
struct SignIn<'r> {
    password: &'r str,
}

#[post("/verify", data = "<form>")]
async fn verify(form: Json<SignIn<'_>>, stored: &State<Stored>, hasher: &State<Hasher>) -> Status {
    let Ok(password) = Password::parse(form.password) else {
        return Status::BadRequest;
    };
    match hasher.verify(&password, Some(&stored.0)).await {
        Ok(Verdict::Match { .. }) => Status::Ok,
        _ => Status::Unauthorized,
    }
}
