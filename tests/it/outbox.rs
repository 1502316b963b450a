//! The outbox: a mail is written with its change, sent by one process, and never lost.
#![cfg_attr(not(feature = "smtp"), allow(dead_code, unused_imports))]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rocket::{
    futures::future::{join, join_all},
    tokio::time::sleep,
};
use rocket_security::{Clock, EventKind, Mail, MailError, MailState, Mailer};
use serde_json::json;

use crate::{
    app::{App, PASSWORD, Plan, eventually, for_each_database},
    smtp_server::{Behaviour, SmtpServer},
};

fn smtp(plan: Plan, port: u16) -> Plan {
    plan.set("mail.transport", "smtp")
        .set("mail.host", "127.0.0.1")
        .set("mail.port", port)
        .set("mail.encryption", "none")
        .set("limits.mails_per_address", 100_000)
        .set("limits.registrations_per_address", 100_000)
}

fn form(email: &str) -> serde_json::Value {
    json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD})
}

async fn register(app: &App, email: &str) {
    let answer = app.program().post_json("/register", form(email)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn in_state(app: &App, state: MailState) -> usize {
    let mails = app.store().list_mails(Some(state), 1_000).await.unwrap();
    mails.len()
}

#[cfg(feature = "smtp")]
#[rocket::async_test]
async fn a_mail_is_sent_once_and_its_text_is_encrypted_and_then_erased() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        server.answer(Behaviour::TryLater);
        let app = smtp(plan, server.port()).start().await;
        register(&app, "ada@example.com").await;
        assert_eq!(app.deliver().await, 0);
        let link = app.mails_to("ada@example.com")[0].text.clone();
        let token = link.split("/confirm/").nth(1).unwrap()[..43].to_string();
        let count = |what: &str| format!("SELECT COUNT(*) AS n FROM security_outbox WHERE {what}");
        let plain = count(&format!(
            "body LIKE '%{token}%' OR body LIKE '%confirm%' OR body LIKE '%ada@%'"
        ));
        assert_eq!(app.number(&plain).await, 0);
        assert_eq!(app.number(&count("body IS NOT NULL")).await, 1);
        server.answer(Behaviour::Accept);
        app.later(Duration::from_hours(2));
        app.deliver().await;
        assert_eq!(in_state(&app, MailState::Sent).await, 1);
        assert_eq!(app.number(&count("body IS NOT NULL")).await, 0);
        let mail = &server.received()[0];
        assert_eq!(server.received().len(), 1);
        assert_eq!(mail.recipients, ["ada@example.com"]);
        assert!(mail.text.contains(&token) && mail.html.contains(&token));
        assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
        // Nothing of it is sent again.
        assert_eq!(app.store().resend_mails(None).await.unwrap(), 0);
    })
    .await;
}

#[rocket::async_test]
async fn no_change_is_without_its_mail_and_no_mail_without_its_change() {
    for_each_database(|plan| async move {
        let app = plan
            .security(|security| {
                security.on_register(|_, user, _| match user.email.as_str() {
                    "refused@example.com" => {
                        Err(rocket_security::StoreError::Unavailable("not now".into()))
                    }
                    _ => Ok(()),
                })
            })
            .start()
            .await;
        let answer = app
            .program()
            .post_json("/register", form("refused@example.com"))
            .await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_outbox")
                .await,
            0
        );
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_tickets")
                .await,
            0
        );
        assert!(app.mails_to("refused@example.com").is_empty());
        // The other way round: no outbox, no account.
        app.sql("ALTER TABLE security_outbox RENAME TO elsewhere")
            .await;
        let answer = app
            .program()
            .post_json("/register", form("ada@example.com"))
            .await;
        assert_eq!(answer.status, 500, "a schema that has drifted is a defect");
        assert_eq!(app.store().count_users().await.unwrap(), 0);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_tickets")
                .await,
            0
        );
    })
    .await;
}

#[cfg(feature = "smtp")]
#[rocket::async_test]
async fn a_dead_server_delays_nobody_and_loses_nothing() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let port = server.port();
        server.stop();
        let app = smtp(plan, port).start().await;
        let began = Instant::now();
        for n in 0..5 {
            register(&app, &format!("user{n}@example.com")).await;
        }
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(app.deliver().await, 0);
        assert_eq!(in_state(&app, MailState::Waiting).await, 5);
        let server = SmtpServer::start_on(port).await;
        app.deliver().await;
        assert_eq!(in_state(&app, MailState::Sent).await, 5);
        let mut to: Vec<String> = server
            .received()
            .into_iter()
            .flat_map(|mail| mail.recipients)
            .collect();
        to.sort();
        assert_eq!(to.len(), 5, "{to:?}");
        assert_eq!(
            app.count(|kind| matches!(kind, EventKind::MailUndeliverable { .. }))
                .await,
            0
        );
    })
    .await;
}

#[cfg(feature = "smtp")]
#[rocket::async_test]
async fn what_cannot_be_delivered_ends_where_it_is_seen_and_can_be_sent_again() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        server.answer(Behaviour::RefuseRecipient);
        let app = smtp(plan, server.port()).start().await;
        register(&app, "ada@example.com").await;
        app.deliver().await;
        let failed = app.store().list_mails(Some(MailState::Failed), 10).await.unwrap();
        let error = failed[0].error.clone().unwrap();
        assert!(error.contains("550"), "{error}");
        let told = |kind: &EventKind| matches!(kind, EventKind::MailUndeliverable { kind, .. } if kind == "confirm");
        assert_eq!(app.count(told).await, 1);
        server.answer(Behaviour::Accept);
        assert_eq!(app.store().resend_mails(Some(&failed[0].id)).await.unwrap(), 1);
        app.deliver().await;
        assert_eq!(in_state(&app, MailState::Sent).await, 1);
        let answer = server.received()[0].links()[0].clone();
        assert!(answer.contains("/confirm/"), "{answer}");
    })
    .await;
}

#[cfg(feature = "smtp")]
#[rocket::async_test]
async fn a_mail_that_is_put_off_is_tried_at_longer_intervals_and_given_up_after_days() {
    let server = SmtpServer::start().await;
    server.answer(Behaviour::TryLater);
    let app = smtp(Plan::new(), server.port()).start().await;
    register(&app, "ada@example.com").await;
    let mut waits = Vec::new();
    for known in 0..4 {
        app.deliver().await;
        let mail = app.store().list_mails(None, 10).await.unwrap().remove(0);
        assert_eq!(mail.attempts, known + 1);
        let rest = app.clock.now().seconds_until(mail.due_at);
        waits.push(rest);
        app.later(Duration::from_secs(rest));
    }
    assert_eq!(waits, [30, 60, 120, 240]);
    app.later(Duration::from_hours(24 * 3));
    app.deliver().await;
    assert_eq!(in_state(&app, MailState::Failed).await, 1);
}

#[cfg(feature = "smtp")]
#[rocket::async_test]
async fn a_site_delivers_by_itself_once_the_server_is_back() {
    let server = SmtpServer::start().await;
    let port = server.port();
    server.stop();
    let app = smtp(Plan::new(), port).start().await;
    register(&app, "ada@example.com").await;
    let tried = async || {
        let mails = app.store().list_mails(None, 1).await.unwrap();
        mails[0].error.clone()
    };
    eventually("a try", tried).await;
    assert_eq!(in_state(&app, MailState::Waiting).await, 1);
    let server = SmtpServer::start_on(port).await;
    let there = async || server.to("ada@example.com").pop();
    eventually("the mail", there).await;
}

/// Takes its time, and counts what it was given.
#[derive(Clone, Default)]
struct Slow(
    Arc<std::sync::Mutex<BTreeMap<String, usize>>>,
    Arc<AtomicUsize>,
);

#[rocket::async_trait]
impl Mailer for Slow {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        // As a server does: so two processes are at work at the same time.
        sleep(Duration::from_millis(20)).await;
        let n = self.1.fetch_add(1, Ordering::SeqCst);
        match n % 7 {
            3 => panic!("on purpose"),
            5 => Err(MailError::later("not now")),
            _ => {
                let mut sent = self.0.lock().unwrap();
                *sent.entry(mail.to.clone()).or_default() += 1;
                Ok(())
            }
        }
    }
}

#[rocket::async_test]
async fn two_servers_over_one_database_never_send_one_mail_twice() {
    for_each_database(|plan| async move {
        let mailer = Slow::default();
        let (first, second) = (mailer.clone(), mailer.clone());
        let app = plan
            .set("limits.mails_per_address", 100_000)
            .security(|security| security.mailer(first))
            .start()
            .await;
        let other = app
            .beside(|plan| plan.security(|security| security.mailer(second)))
            .await;
        let to_same_time = || {
            let [here, there] = [&app, &other].map(|site| site.clock.now().as_millis());
            other.clock.shift(here - there);
        };
        to_same_time();
        let registrations = (0..40).map(|n| {
            let site = if n % 2 == 0 { &app } else { &other };
            async move { register(site, &format!("user{n}@example.com")).await }
        });
        join_all(registrations).await;
        // What was put off is due again a while later.
        for _ in 0..100 {
            join(app.deliver(), other.deliver()).await;
            if in_state(&app, MailState::Sent).await == 40 {
                break;
            }
            app.later(Duration::from_mins(1));
            to_same_time();
        }
        let sent = mailer.0.lock().unwrap();
        assert_eq!(sent.len(), 40);
        assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    })
    .await;
}

#[rocket::async_test]
async fn mails_of_a_kind_to_an_address_are_one_a_minute_and_ten_a_day() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let ask = async |email: &str| {
            let answer = app
                .program()
                .post_json("/reset", json!({"email": email}))
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        };
        for email in ["ada@example.com", " ADA@example.com", "ada@EXAMPLE.com "]
            .iter()
            .cycle()
            .take(20)
        {
            ask(email).await;
        }
        assert_eq!(app.mails_to("ada@example.com").len(), 1);
        for _ in 0..20 {
            app.later(Duration::from_mins(2));
            ask("ada@example.com").await;
        }
        assert_eq!(app.mails_to("ada@example.com").len(), 10);
        app.later(Duration::from_hours(24));
        ask("ada@example.com").await;
        assert_eq!(app.mails_to("ada@example.com").len(), 11);
    })
    .await;
}

#[rocket::async_test]
async fn one_address_cannot_ask_for_mails_without_end() {
    let app = Plan::new().set("limits.mails_per_address", 5).start().await;
    for n in 0..6 {
        let body = json!({"email": format!("user{n}@example.com")});
        let answer = app
            .program()
            .from("203.0.113.7")
            .post_json("/reset", body)
            .await;
        assert_eq!(answer.status, if n < 5 { 200 } else { 429 }, "{n}");
    }
    let body = json!({"email": "user9@example.com"});
    let answer = app
        .program()
        .from("203.0.113.8")
        .post_json("/reset", body)
        .await;
    assert_eq!(answer.status, 200);
}

type Body = fn(usize) -> serde_json::Value;

/// How long known and unknown take in the median of 100 interleaved pairs, after comparing answers and
/// hashes. `first` is the number of the first pair.
async fn medians(app: &App, path: &str, bodies: [Body; 2], first: usize) -> (Duration, Duration) {
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    let mut hashes = [0; 2];
    let mut answers: [BTreeSet<(u16, String)>; 2] = Default::default();
    for n in first..first + PAIRS {
        // Each goes first as often as the other.
        for which in if n % 2 == 0 { [0, 1] } else { [1, 0] } {
            let program = app.program();
            let (body, before) = (bodies[which](n), app.hashes_done());
            let began = Instant::now();
            let answer = program.post_json(path, body).await;
            times[which].push(began.elapsed());
            hashes[which] += app.hashes_done() - before;
            let mut json = answer.json();
            let response = json["response"].as_object_mut().unwrap();
            response.remove("csrf_token");
            answers[which].insert((answer.status, json.to_string()));
        }
    }
    assert_eq!(answers[0], answers[1], "{path}");
    assert_eq!(hashes[0], hashes[1], "{path}");
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let [known, unknown] = &mut times;
    (median(known), median(unknown))
}

const PAIRS: usize = 100;
/// A machine that does something else beside is given another chance; a difference that is there shows
/// in every round.
const ROUNDS: usize = 5;

async fn assert_equal_time(app: &App, path: &str, bodies: [Body; 2]) {
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        let (known, unknown) = medians(app, path, bodies, round * PAIRS).await;
        let allowed = (known.max(unknown) / 20).max(Duration::from_millis(1));
        seen.push((known, unknown));
        if known.abs_diff(unknown) < allowed {
            return;
        }
        app.later(Duration::from_mins(2));
    }
    panic!("{path}, known and unknown: {seen:?}");
}

#[rocket::async_test]
async fn known_and_unknown_addresses_are_answered_alike_and_in_the_same_time() {
    let app = Plan::new()
        .without_limits()
        .set("passwordless.enabled", true)
        .set("identities", ["email", "username"])
        .set("limits.mails_per_address", 1_000_000)
        .set("limits.registrations_per_address", 1_000_000)
        .set("mail.transport", "none")
        .start()
        .await;
    for n in 0..PAIRS {
        let email = format!("known{n}@example.com");
        app.user_with(&email, |new| new.confirmed(n % 2 == 0)).await;
    }
    for path in ["/reset", "/confirm", "/login/link", "/recover-username"] {
        let bodies: [Body; 2] = [
            |n| json!({"email": format!("known{}@example.com", n % PAIRS)}),
            |n| json!({"email": format!("unknown{}@example.com", n % PAIRS)}),
        ];
        assert_equal_time(&app, path, bodies).await;
    }
    let bodies: [Body; 2] = [
        |n| form(&format!("known{}@example.com", n % PAIRS)),
        |n| form(&format!("nobody{n}@example.com")),
    ];
    assert_equal_time(&app, "/register", bodies).await;
}

// A process that is killed.

/// The demonstration site as a process of its own.
struct Site {
    child: Child,
    port: u16,
}

impl Site {
    async fn start(folder: &std::path::Path, port: u16, smtp: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_rocket_security"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("ROCKET_PORT", port.to_string())
            .env("ROCKET_LOG_LEVEL", "off")
            .env("ROCKET_SECURITY__DATABASE__URL", folder.join("security.db"))
            .env("ROCKET_SECURITY__HASHING__MEMORY_KIB", "8192")
            .env("ROCKET_SECURITY__HASHING__ITERATIONS", "1")
            .env(
                "ROCKET_SECURITY__LIMITS__REGISTRATIONS_PER_ADDRESS",
                "100000",
            )
            .env("ROCKET_SECURITY__MAIL__TRANSPORT", "smtp")
            .env("ROCKET_SECURITY__MAIL__HOST", "127.0.0.1")
            .env("ROCKET_SECURITY__MAIL__PORT", smtp.to_string())
            .env("ROCKET_SECURITY__MAIL__ENCRYPTION", "none")
            .env("ROCKET_SECURITY__MAIL__TIMEOUT", "2")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let site = Self { child, port };
        eventually("the site", async || ask(port, "GET", "/login", "")).await;
        site
    }

    /// SIGKILL, and no farewell.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[cfg(all(feature = "cli", feature = "sqlite", feature = "smtp"))]
#[rocket::async_test]
async fn mailed_links_follow_base_url_whatever_the_request_line_and_its_hosts_say() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start().await;
    let site = Site::start(folder.path(), free_port(), server.port()).await;
    let own = format!("localhost:{}", site.port);
    for (n, (target, hosts)) in [
        ("/register", "Host: evil.example\r\n".to_string()),
        (
            "http://evil.example/register",
            "Host: evil.example\r\n".into(),
        ),
        ("http://evil.example/register", format!("Host: {own}\r\n")),
        (
            "/register",
            format!("Host: {own}\r\nHost: evil.example\r\n"),
        ),
        (
            "/register",
            format!("Host: evil.example\r\nHost: {own}\r\n"),
        ),
        ("/register", format!("Host: {own}@evil.example\r\n")),
        (
            "/register",
            format!(
                "Host: {own}\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n"
            ),
        ),
        ("/register", "Host:\r\n".into()),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("user{n}@example.com");
        let status = send(
            site.port,
            "POST",
            target,
            &hosts,
            &form(&address).to_string(),
        );
        let status = status.expect("an answer");
        assert!(status < 500, "{target} {hosts}: {status}");
        if status == 200 {
            let mail = eventually(&address, async || server.to(&address).pop()).await;
            assert!(!mail.raw.contains("evil.example"), "{target} {hosts}");
            let before = format!("http://{own}/confirm/");
            assert!(
                mail.links().iter().any(|link| link.starts_with(&before)),
                "{:?}",
                mail.links()
            );
        }
    }
    assert!(server.received().len() >= 2);
    site.kill();
}

/// One request over a connection of its own; `None` if nobody answered it to the end.
fn ask(port: u16, verb: &str, path: &str, body: &str) -> Option<u16> {
    send(port, verb, path, "Host: localhost\r\n", body)
}

fn send(port: u16, verb: &str, path: &str, hosts: &str, body: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let request = format!(
        "{verb} {path} HTTP/1.1\r\n{hosts}Connection: close\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// How many accounts are made while the process is killed.
const ACCOUNTS: usize = 60;

/// Registers everybody from a few threads at once, each again until it is acknowledged.
fn register_all(port: u16, acknowledged: &Arc<AtomicUsize>) -> Vec<std::thread::JoinHandle<()>> {
    let threads = (0..4).map(|thread| {
        let acknowledged = acknowledged.clone();
        std::thread::spawn(move || {
            for n in (thread..ACCOUNTS).step_by(4) {
                let body = form(&format!("user{n}@example.com")).to_string();
                while ask(port, "POST", "/register", &body) != Some(200) {
                    // Nobody listens between a kill and the next start.
                    std::thread::sleep(Duration::from_millis(20));
                }
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    threads.collect()
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[cfg(all(feature = "cli", feature = "sqlite", feature = "smtp"))]
#[rocket::async_test]
async fn a_killed_process_and_a_dead_server_lose_no_mail() {
    let folder = tempfile::tempdir().unwrap();
    let (port, smtp_port) = (free_port(), free_port());
    // Nobody listens for mail while they register, and the process is killed in the middle.
    let site = Site::start(folder.path(), port, smtp_port).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let threads = register_all(port, &acknowledged);
    let so_many = async || (acknowledged.load(Ordering::SeqCst) >= ACCOUNTS / 3).then_some(());
    eventually("a third of the accounts", so_many).await;
    site.kill();
    let site = Site::start(folder.path(), port, smtp_port).await;
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(acknowledged.load(Ordering::SeqCst), ACCOUNTS);
    // The server is back, and the process is killed again while it hands mails over.
    let server = SmtpServer::start_on(smtp_port).await;
    let so_many = async || (server.received().len() >= ACCOUNTS / 3).then_some(());
    eventually("a third of the mails", so_many).await;
    site.kill();
    let site = Site::start(folder.path(), port, smtp_port).await;
    let everybody: BTreeSet<String> = (0..ACCOUNTS)
        .map(|n| format!("user{n}@example.com"))
        .collect();
    let confirmations = || {
        let mails = server.received().into_iter();
        mails
            .filter(|mail| mail.text.contains("/confirm/"))
            .collect::<Vec<_>>()
    };
    let reached = async || {
        let mails = confirmations().into_iter();
        let reached: BTreeSet<String> = mails.flat_map(|mail| mail.recipients).collect();
        (reached == everybody).then_some(())
    };
    eventually("the mails of all accounts", reached).await;
    // At most one duplicate for each mail that was on its way at the kill, under the same Message-ID.
    let mut copies: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for mail in confirmations() {
        let ids = copies.entry(mail.recipients[0].clone()).or_default();
        *ids.entry(mail.message_id).or_default() += 1;
    }
    assert!(
        copies.values().all(|ids| ids.len() == 1),
        "one Message-ID for each account"
    );
    let duplicates: usize = copies
        .values()
        .flat_map(BTreeMap::values)
        .map(|n| n - 1)
        .sum();
    assert!(
        duplicates <= 4,
        "{duplicates} duplicates, with 4 connections"
    );
    site.kill();
}
