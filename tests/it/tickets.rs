//! Everything that a mailed ticket must not be good for, tried on each kind of ticket there is.

use std::time::Duration;

use rocket::{futures::future::join_all, http::Method as Verb, post, routes};
use rocket_security::{EmailAddress, Error, EventKind, Invitation, User, prelude::*};
use serde_json::{Value, json};

use crate::app::{Actor, Answer, App, PASSWORD, Plan, WRONG, for_each_database};

const NEW: &str = "a quite different passphrase";

/// A kind of ticket: what leads to its mail, where it is presented, and what with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Confirm,
    Reset,
    ChangeEmail,
    Undo,
    Login,
    Unlock,
    Invite,
}

const ALL: [Kind; 7] = [
    Kind::Confirm,
    Kind::Reset,
    Kind::ChangeEmail,
    Kind::Undo,
    Kind::Login,
    Kind::Unlock,
    Kind::Invite,
];

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Confirm => "/confirm",
            Self::Reset => "/reset",
            Self::ChangeEmail => "/change-email",
            Self::Undo => "/undo",
            Self::Login => "/login",
            Self::Unlock => "/unlock",
            Self::Invite => "/invite",
        }
    }

    fn has_code(self) -> bool {
        !matches!(self, Self::Undo | Self::Unlock | Self::Invite)
    }

    fn life(self) -> Duration {
        match self {
            Self::Confirm => Duration::from_hours(24 * 2),
            Self::Reset | Self::Unlock => Duration::from_hours(24),
            Self::ChangeEmail => Duration::from_hours(2),
            Self::Undo | Self::Invite => Duration::from_hours(24 * 7),
            Self::Login => Duration::from_mins(15),
        }
    }

    fn body(self) -> Value {
        match self {
            Self::Reset | Self::Invite => json!({"password": NEW, "password_confirm": NEW}),
            _ => json!({}),
        }
    }

    /// The address that the mail goes to.
    fn address(self, email: &str) -> String {
        match self {
            Self::ChangeEmail => format!("new-{email}"),
            _ => email.into(),
        }
    }
}

/// A ticket that was mailed.
#[derive(Clone, Debug)]
struct Mailed {
    kind: Kind,
    token: String,
    code: Option<String>,
    /// The address it went to.
    address: String,
}

impl Mailed {
    fn link(&self) -> String {
        format!("{}/{}", self.kind.path(), self.token)
    }

    async fn use_link(&self, actor: &Actor<'_>) -> Answer {
        actor.post_json(&self.link(), self.kind.body()).await
    }

    async fn use_code(&self, actor: &Actor<'_>, email: &str, code: &str) -> Answer {
        let mut body = self.kind.body();
        body["email"] = email.into();
        body["code"] = code.into();
        let path = format!("{}/code", self.kind.path());
        actor.post_json(&path, body).await
    }

    async fn use_own_code(&self, actor: &Actor<'_>) -> Answer {
        let code = self.code.as_deref().expect("a code");
        self.use_code(actor, &self.address, code).await
    }
}

#[post("/invite-now", data = "<body>")]
async fn invite_now(auth: Auth<'_>, body: Input<Value>) -> Result<&'static str, Error> {
    let email = body["email"].as_str().unwrap_or_default();
    let email = EmailAddress::parse(email).map_err(|_| Error::NotFound)?;
    auth.invite(&Invitation::new(email)).await?;
    Ok("invited")
}

fn plan(plan: Plan) -> Plan {
    plan.set("passwordless.enabled", true)
        .set("limits.per_account", 3)
        .set("limits.per_address", 100_000)
        .set("limits.mails_per_address", 100_000)
        .mount(routes![invite_now])
}

/// Waits until a mail of each kind may go to an address again.
fn let_time_pass(app: &App) {
    app.later(Duration::from_mins(2));
}

async fn account(app: &App, kind: Kind, email: &str) -> Option<User> {
    match kind {
        Kind::Invite => None,
        Kind::Confirm => Some(app.user_with(email, |new| new.confirmed(false)).await),
        _ => Some(app.user(email).await),
    }
}

/// Does what leads to the mail, and reads it.
async fn ask(app: &App, kind: Kind, email: &str, user: Option<&User>) -> Mailed {
    let program = app.program();
    let answer = match kind {
        Kind::Confirm | Kind::Reset => {
            program
                .post_json(kind.path(), json!({"email": email}))
                .await
        }
        Kind::Login => {
            program
                .post_json("/login/link", json!({"email": email}))
                .await
        }
        Kind::Invite => {
            program
                .post_json("/invite-now", json!({"email": email}))
                .await
        }
        Kind::ChangeEmail => {
            let browser = app.signed_in(user.expect("an account")).await;
            let body = json!({"email": kind.address(email)});
            browser.in_json().post_json(kind.path(), body).await
        }
        Kind::Undo => {
            let change = Box::pin(ask(app, Kind::ChangeEmail, email, user)).await;
            change.use_link(&program).await
        }
        Kind::Unlock => {
            let mut last = program.login(email, WRONG).await;
            while last.status == 400 {
                last = program.login(email, WRONG).await;
            }
            assert_eq!(last.status, 429);
            Answer {
                status: 200,
                ..last
            }
        }
    };
    assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
    read(app, kind, &kind.address(email))
}

/// The newest ticket of a kind that was mailed to an address.
fn read(app: &App, kind: Kind, address: &str) -> Mailed {
    let before = format!("http://localhost:8000{}/", kind.path());
    let mails = app.mails_to(address);
    let mail = mails
        .iter()
        .rev()
        .find(|mail| mail.text.contains(&before))
        .unwrap_or_else(|| panic!("no {kind:?} was mailed to {address}"));
    let token = |line: &str| line.trim().strip_prefix(&before).map(String::from);
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    Mailed {
        kind,
        token: mail.text.lines().find_map(token).expect("a link"),
        code: mail
            .text
            .lines()
            .map(str::trim)
            .find(is_code)
            .map(String::from),
        address: address.into(),
    }
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert!(answer.is_envelope(), "{what}: {}", answer.text());
}

fn assert_done(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
}

#[rocket::async_test]
async fn each_is_good_once_by_link_or_by_code() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            let email = format!("once{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            let program = app.program();
            assert_done(&mailed.use_link(&program).await, "once");
            assert_refused(&mailed.use_link(&program).await, &format!("{kind:?} twice"));
            assert_eq!(mailed.code.is_some(), kind.has_code(), "{kind:?}");
            if !kind.has_code() {
                continue;
            }
            // The link has used the code up too, and the other way round.
            assert_refused(
                &mailed.use_own_code(&program).await,
                "the code after the link",
            );
            let email = format!("code{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            assert_done(
                &mailed.use_own_code(&program).await,
                &format!("{kind:?} by code"),
            );
            assert_refused(&mailed.use_own_code(&program).await, "the code twice");
            assert_refused(&mailed.use_link(&program).await, "the link after the code");
        }
    })
    .await;
}

#[rocket::async_test]
async fn each_is_good_to_the_last_millisecond_and_no_longer() {
    for_each_database(|on| async move {
        let app = plan(on).set("confirm.grace", "30 d").start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            for (late, what) in [(false, "in time"), (true, "late")] {
                let email = format!("time{n}{late}@example.com");
                let user = account(&app, kind, &email).await;
                let mailed = ask(&app, kind, &email, user.as_ref()).await;
                app.later(kind.life());
                if !late {
                    app.clock.shift(-1);
                }
                let program = app.program();
                let page = program.get(&mailed.link()).await;
                assert_eq!(page.status, if late { 400 } else { 200 }, "{kind:?} {what}");
                let answer = mailed.use_link(&program).await;
                assert_eq!(
                    answer.status,
                    page.status,
                    "{kind:?} {what}: {}",
                    answer.text()
                );
                if late && kind.has_code() {
                    assert_refused(&mailed.use_own_code(&program).await, "a late code");
                }
            }
        }
        // What has run out leads to no mail by itself, and says nothing of whose it was.
        let page = app
            .browser()
            .get("/reset/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
            .await;
        assert_eq!((page.status, page.location()), (302, Some("/reset")));
    })
    .await;
}

#[rocket::async_test]
async fn of_two_the_newer_is_good() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            // Whoever was asked for to be undone twice is in change_email.rs.
            if kind == Kind::Undo {
                continue;
            }
            let email = format!("two{n}@example.com");
            let user = account(&app, kind, &email).await;
            let older = ask(&app, kind, &email, user.as_ref()).await;
            // A second one within the minute is not mailed, and spoils nothing.
            if kind != Kind::Unlock && kind != Kind::Invite {
                let again = ask(&app, kind, &email, user.as_ref()).await;
                assert_eq!(again.token, older.token, "{kind:?}");
                assert_eq!(
                    app.program().get(&older.link()).await.status,
                    200,
                    "{kind:?}"
                );
            }
            app.later(Duration::from_mins(16));
            let newer = match kind {
                // Fifteen minutes are its life.
                Kind::Login => {
                    assert_refused(&older.use_link(&app.program()).await, "out of time");
                    let second = ask(&app, kind, &email, user.as_ref()).await;
                    let_time_pass(&app);
                    let third = ask(&app, kind, &email, user.as_ref()).await;
                    assert_refused(&second.use_link(&app.program()).await, "the older");
                    third
                }
                _ => ask(&app, kind, &email, user.as_ref()).await,
            };
            assert_ne!(newer.token, older.token);
            let program = app.program();
            assert_refused(&older.use_link(&program).await, &format!("{kind:?}, older"));
            if kind.has_code() && older.code != newer.code {
                assert_refused(&older.use_own_code(&program).await, "the older code");
            }
            assert_done(&newer.use_link(&program).await, &format!("{kind:?}, newer"));
        }
    })
    .await;
}

#[rocket::async_test]
async fn none_is_good_for_anything_else() {
    for_each_database(|on| async move {
        let app = plan(on)
            .without_limits()
            .set("limits.per_account", 3)
            .start()
            .await;
        for (n, kind) in ALL.into_iter().enumerate() {
            let email = format!("purpose{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            let program = app.program();
            for other in ALL.into_iter().filter(|other| *other != kind) {
                let elsewhere = Mailed {
                    kind: other,
                    ..mailed.clone()
                };
                assert_refused(
                    &elsewhere.use_link(&program).await,
                    &format!("{kind:?} at {other:?}"),
                );
            }
            // A code guessed elsewhere counts as a guess there, so one is enough.
            if kind.has_code() {
                let other = match kind {
                    Kind::Reset => Kind::Login,
                    _ => Kind::Reset,
                };
                let elsewhere = Mailed {
                    kind: other,
                    ..mailed.clone()
                };
                assert_refused(&elsewhere.use_own_code(&program).await, "a code elsewhere");
            }
            assert_done(
                &mailed.use_link(&program).await,
                &format!("{kind:?} at its own"),
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn none_is_good_for_another_account() {
    for_each_database(|on| async move {
        let app = plan(on)
            .set("limits.per_account", 9)
            .start()
            .await;
        let eve = app.user("eve@example.com").await;
        for (n, kind) in ALL.into_iter().enumerate() {
            let email = format!("victim{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            let browser = app.signed_in(&eve).await.in_json();
            let answer = mailed.use_link(&browser).await;
            // Whoever is signed in does not sign in, whatever they hold.
            let code = if kind == Kind::Login {
                "denied.signed_in"
            } else {
                "ticket.other_account"
            };
            assert_refused(&answer, &format!("{kind:?}"));
            assert_eq!(answer.codes(), [code], "{kind:?}");
            let program = app.program();
            if let Some(code) = &mailed.code {
                let answer = mailed.use_code(&program, "eve@example.com", code).await;
                assert_refused(&answer, "a code with another name");
                let answer = mailed.use_own_code(&browser).await;
                assert_refused(&answer, "a code while somebody else is signed in");
            }
            assert_done(
                &mailed.use_link(&program).await,
                &format!("{kind:?} by its owner"),
            );
        }
        let as_eve = |kind: &EventKind| matches!(kind, EventKind::Authenticated { user, .. } if *user == eve.id);
        // Those by which the test itself signed her in.
        assert_eq!(app.count(as_eve).await, ALL.len());
    })
    .await;
}

#[rocket::async_test]
async fn a_new_password_address_or_a_shut_account_ends_all_but_the_undoing() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            for change in ["password", "address", "shut"] {
                let email = format!("{change}{n}@example.com");
                let user = account(&app, kind, &email).await;
                let mailed = ask(&app, kind, &email, user.as_ref()).await;
                let address = EmailAddress::parse(&email).unwrap();
                let now = app.store().find_user_by_email(&address).await.unwrap();
                let now = match now {
                    Some(now) => now,
                    // Undoing begins with another address.
                    None => app
                        .store()
                        .find_user(&user.unwrap().id)
                        .await
                        .unwrap()
                        .unwrap(),
                };
                change_something(&app, &now, change, n).await;
                let answer = mailed.use_link(&app.program()).await;
                let what = format!("{kind:?} after {change}: {}", answer.text());
                if kind == Kind::Undo && change != "shut" {
                    assert_eq!(answer.status, 200, "{what}");
                    continue;
                }
                assert_eq!(answer.status, 400, "{what}");
                if kind.has_code() {
                    let program = app.program();
                    assert_refused(&mailed.use_own_code(&program).await, &what);
                }
                if kind == Kind::Undo {
                    // Let in again, the owner still has it.
                    app.accounts().activate_user(&now.id).await.unwrap();
                    assert_done(&mailed.use_link(&app.program()).await, &what);
                }
            }
        }
    })
    .await;
}

async fn change_something(app: &App, user: &User, change: &str, n: usize) {
    match change {
        "password" => {
            let hash = crate::app::hash_of(NEW);
            app.accounts()
                .set_password_hash(&user.id, hash, true)
                .await
                .unwrap();
        }
        "address" => {
            let browser = app.signed_in(user).await.in_json();
            let new = format!("another-{n}@example.com");
            let answer = browser
                .post_json("/change-email", json!({"email": new}))
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let mailed = read(app, Kind::ChangeEmail, &new);
            assert_done(&mailed.use_link(&app.program()).await, "another address");
        }
        _ => assert!(app.accounts().deactivate_user(&user.id).await.unwrap()),
    }
}

#[rocket::async_test]
async fn nonsense_is_refused_everywhere() {
    for_each_database(|on| async move {
        let app = plan(on).without_limits().start().await;
        let long = "a".repeat(10_000);
        let right_length = "a".repeat(43);
        let tokens = [
            "%20",
            "a",
            "null",
            "None",
            "0",
            "%00",
            "%0d%0a",
            "%ff%fe",
            "%F0%9F%94%91",
            "..%2F..",
            "'%20OR%201=1",
            "undefined",
            &long,
            &right_length,
        ];
        for kind in ALL {
            for token in tokens {
                let path = format!("{}/{token}", kind.path());
                for actor in [app.program(), app.browser()] {
                    let json = actor.post_json(&path, kind.body()).await;
                    assert!((300..500).contains(&json.status), "{path}: {}", json.status);
                    let page = actor.get(&path).await;
                    assert!((300..500).contains(&page.status), "{path}: {}", page.status);
                    assert!(!actor.is_signed_in().await);
                }
            }
            if !kind.has_code() {
                continue;
            }
            let path = format!("{}/code", kind.path());
            for code in [
                json!(""),
                json!(" "),
                json!("000000"),
                json!(null),
                json!(["1"]),
                json!({}),
                json!(123_456),
                json!(long),
            ] {
                let mut body = kind.body();
                body["email"] = "nobody@example.com".into();
                body["code"] = code.clone();
                let answer = app.program().post_json(&path, body).await;
                assert_refused(&answer, &format!("{path} {code:.20}"));
            }
        }
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn looking_at_a_link_changes_nothing() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            let email = format!("look{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            let events = app.events().await.len();
            for _ in 0..5 {
                for verb in [Verb::Get, Verb::Head] {
                    for accept in ["text/html", "application/json"] {
                        let actor = app.browser();
                        let answer = actor
                            .send(verb, &mailed.link(), &[("Accept", accept)], None)
                            .await;
                        assert_eq!(answer.status, 200, "{kind:?} {verb} {accept}");
                        assert_eq!(
                            answer.header("Referrer-Policy"),
                            Some("no-referrer"),
                            "{kind:?}"
                        );
                        assert!(!actor.is_signed_in().await, "{kind:?}");
                    }
                }
            }
            let seen: Vec<EventKind> = app.events().await.split_off(events);
            let quiet = |kind: &EventKind| matches!(kind, EventKind::Unauthenticated { .. });
            assert!(seen.iter().all(quiet), "{kind:?}: {seen:?}");
            assert_done(&mailed.use_link(&app.program()).await, &format!("{kind:?}"));
        }
    })
    .await;
}

#[rocket::async_test]
async fn of_six_at_once_exactly_one_succeeds() {
    for_each_database(|on| async move {
        let app = plan(on)
            .without_limits()
            .set("limits.per_account", 3)
            .start()
            .await;
        for (n, kind) in ALL.into_iter().enumerate() {
            for by_code in [false, true] {
                if by_code && !kind.has_code() {
                    continue;
                }
                let email = format!("race{n}{by_code}@example.com");
                let user = account(&app, kind, &email).await;
                let mailed = ask(&app, kind, &email, user.as_ref()).await;
                let before = app.admitted().await;
                let asked = (0..6).map(|_| async {
                    let program = app.program();
                    match by_code {
                        true => mailed.use_own_code(&program).await,
                        false => mailed.use_link(&program).await,
                    }
                });
                let answers = join_all(asked).await;
                let won = answers.iter().filter(|answer| answer.status == 200).count();
                let texts: Vec<String> = answers.iter().map(Answer::text).collect();
                assert_eq!(won, 1, "{kind:?} by code {by_code}: {texts:?}");
                let lost = |answer: &&Answer| matches!(answer.status, 400 | 429);
                assert_eq!(answers.iter().filter(lost).count(), 5, "{texts:?}");
                let admits = matches!(kind, Kind::Login | Kind::Invite);
                assert_eq!(
                    app.admitted().await - before,
                    usize::from(admits),
                    "{kind:?}"
                );
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_code_takes_five_guesses_and_no_more_however_many_come_at_once() {
    for_each_database(|on| async move {
        let app = plan(on).without_limits().start().await;
        for (n, kind) in ALL.into_iter().enumerate() {
            if !kind.has_code() {
                continue;
            }
            let email = format!("guess{n}@example.com");
            let user = account(&app, kind, &email).await;
            let mailed = ask(&app, kind, &email, user.as_ref()).await;
            let right = mailed.code.clone().unwrap();
            let wrong = if right == "000000" {
                "000001"
            } else {
                "000000"
            };
            let guesses = (0..5).map(|_| async {
                let answer = mailed
                    .use_code(&app.program(), &mailed.address, wrong)
                    .await;
                assert_refused(&answer, "a guess");
                assert_eq!(answer.field_errors("code").len(), 1, "{}", answer.text());
            });
            join_all(guesses).await;
            assert_refused(
                &mailed.use_own_code(&app.program()).await,
                "the right one, too late",
            );
            // Guessing at the code does not take the link from its owner.
            assert_done(&mailed.use_link(&app.program()).await, &format!("{kind:?}"));
        }
    })
    .await;
}

#[rocket::async_test]
async fn guesses_at_codes_count_for_the_account_over_all_its_codes() {
    let app = plan(Plan::new()).start().await;
    app.user("ada@example.com").await;
    let mailed = ask(&app, Kind::Reset, "ada@example.com", None).await;
    let wrong = match mailed.code.as_deref() {
        Some("000000") => "000001",
        _ => "000000",
    };
    for _ in 0..3 {
        let answer = mailed
            .use_code(&app.program(), "ada@example.com", wrong)
            .await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let answer = mailed.use_own_code(&app.program()).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(
        app.program()
            .login("ada@example.com", PASSWORD)
            .await
            .status,
        429
    );
    // The same for a name without an account.
    for n in 0..4 {
        let answer = mailed
            .use_code(&app.program(), "nobody@example.com", wrong)
            .await;
        assert_eq!(answer.status, if n < 3 { 400 } else { 429 });
    }
}

#[rocket::async_test]
async fn where_it_is_bound_a_link_is_good_in_the_browser_that_asked_only() {
    for_each_database(|on| async move {
        let app = plan(on)
            .set("passwordless.same_browser", true)
            .start()
            .await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        let fields = [("email", "ada@example.com")];
        assert_eq!(browser.post_form("/login/link", &fields).await.status, 200);
        let mailed = read(&app, Kind::Login, "ada@example.com");
        let other = app.browser();
        let answer = mailed.use_link(&other.in_json()).await;
        assert_eq!(answer.codes(), ["ticket.other_browser"]);
        let answer = mailed.use_own_code(&app.program()).await;
        assert_refused(&answer, "the code elsewhere");
        let answer = browser.post_form(&mailed.link(), &[]).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn links_follow_base_url_and_never_the_request() {
    let app = plan(Plan::new()).start().await;
    app.user("ada@example.com").await;
    let headers = [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Origin", "https://evil.example"),
        ("Referer", "https://evil.example/"),
    ];
    let program = headers
        .iter()
        .fold(app.program(), |program, (name, value)| {
            program.header(name, value)
        });
    let answer = program
        .post_json("/reset", json!({"email": "ada@example.com"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mail = &app.mails_to("ada@example.com")[0];
    assert!(
        !mail.text.contains("evil") && !mail.html.contains("evil"),
        "{}",
        mail.text
    );
    read(&app, Kind::Reset, "ada@example.com");
}

#[rocket::async_test]
async fn only_an_address_that_proved_itself_is_ever_confirmed() {
    for_each_database(|on| async move {
        let app = plan(on).without_limits().start().await;
        for round in 0..20 {
            let email = format!("race{round}@example.com");
            let user = app.user(&email).await;
            let browser = app.signed_in(&user).await.in_json();
            let mine = format!("mine{round}@example.com");
            let victim = format!("victim{round}@example.com");
            let ask = json!({"email": mine});
            assert_eq!(browser.post_json("/change-email", ask).await.status, 200);
            let mailed = read(&app, Kind::ChangeEmail, &mine);
            // While the proof of one address is used, another is asked for.
            let program = app.program();
            let confirm = async {
                match round % 2 {
                    0 => mailed.use_link(&program).await,
                    _ => mailed.use_own_code(&program).await,
                }
            };
            let request = browser.post_json("/change-email", json!({"email": victim}));
            let (confirmed, _) = rocket::futures::future::join(confirm, request).await;
            let user = app.store().find_user(&user.id).await.unwrap().unwrap();
            let expected = match confirmed.status {
                200 => &mine,
                _ => &email,
            };
            assert_eq!(&user.email, expected, "{}", confirmed.text());
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_ticket_that_an_older_version_wrote_has_expired() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        let used = "SELECT COUNT(*) AS n FROM security_tickets WHERE used_at IS NOT NULL";
        for (n, kind) in ALL.into_iter().enumerate() {
            for by_code in [false, true] {
                if by_code && !kind.has_code() {
                    continue;
                }
                let email = format!("older{n}{by_code}@example.com");
                let user = account(&app, kind, &email).await;
                let mailed = ask(&app, kind, &email, user.as_ref()).await;
                app.sql("UPDATE security_tickets SET payload = '<an older version>'")
                    .await;
                let before = app.number(used).await;
                let what = format!("{kind:?}, by code: {by_code}");
                let program = app.program();
                let answer = match by_code {
                    true => mailed.use_own_code(&program).await,
                    false => mailed.use_link(&program).await,
                };
                assert_refused(&answer, &what);
                let code = if by_code {
                    "code.invalid"
                } else {
                    "ticket.invalid"
                };
                assert_eq!(answer.codes(), [code], "{what}");
                assert_eq!(app.number(used).await, before + 1, "{what} is used up");
                // A browser is led to ask for another one.
                let page = app.browser().get(&mailed.link()).await;
                assert!((300..500).contains(&page.status), "{what}: {}", page.status);
            }
        }
    })
    .await;
}
