//! Guesses at codes have a day's limit over all doors, and what is right is no guess.

use std::time::Duration;

use rocket_security::{NewUser, Username};
use serde_json::json;

use crate::{
    app::{Actor, App, PASSWORD, Plan, WRONG, for_each_database, hash_of, on_sqlite},
    with_factors::factors::Authenticator,
    with_smtp::mailed::{NEW, new_password},
};

const ADA: &str = "ada@example.com";
/// A password that looks like a code.
const DIGITS: &str = "73920184";
const FAILURES: &str = "SELECT COUNT(*) AS n FROM security_failures WHERE failures > 0";

fn unified(plan: Plan) -> Plan {
    plan.set("unified.enabled", true)
        .set("unified.methods", ["password", "email", "authenticator"])
        .set("identities", ["email", "username"])
        .set("passwordless.enabled", true)
}

async fn with_digits(app: &App) -> rocket_security::User {
    let name = Username::normalise("lovelace").unwrap();
    app.user_with(ADA, |new: NewUser| {
        new.username(name).password(hash_of(DIGITS))
    })
    .await
}

async fn pass(actor: &Actor<'_>, identity: &str, passcode: &str) -> u16 {
    let body = json!({"identity": identity, "passcode": passcode});
    actor.post_json("/us-signin", body).await.status
}

/// The newest code of six digits that was mailed to an address.
fn mailed(app: &App, to: &str) -> String {
    let mails = app.mails_to(to);
    let text = &mails.last().expect("a mail").text;
    text.split(|c: char| !c.is_ascii_digit())
        .find(|part| part.len() == 6)
        .expect("a code")
        .to_string()
}

#[rocket::async_test]
async fn a_right_password_of_digits_is_no_wrong_code_at_any_door() {
    on_sqlite(|plan| async move {
        let app = unified(plan).start().await;
        let ada = with_digits(&app).await;
        // From one address, in browsers that nobody knows, and by both names.
        for n in 0..120 {
            let identity = [ADA, "lovelace"][n % 2];
            assert_eq!(pass(&app.program(), identity, DIGITS).await, 200, "{n}");
        }
        for _ in 0..30 {
            assert_eq!(app.program().login(ADA, DIGITS).await.status, 200);
            assert_eq!(
                app.program()
                    .basic(ADA, DIGITS)
                    .get("/g/basic")
                    .await
                    .status,
                200
            );
        }
        let browser = app.signed_in(&ada).await.in_json();
        browser.forget_cookie("security_device");
        for _ in 0..30 {
            let verified = browser
                .post_json("/us-verify", json!({"passcode": DIGITS}))
                .await;
            assert_eq!(verified.status, 200, "{}", verified.text());
            let verified = browser
                .post_json("/verify", json!({"password": DIGITS}))
                .await;
            assert_eq!(verified.status, 200, "{}", verified.text());
            browser.forget_cookie("security_device");
        }
        assert_eq!(app.number(FAILURES).await, 0);
        let failed = |kind: &rocket_security::EventKind| {
            matches!(
                kind,
                rocket_security::EventKind::AuthenticationFailed { .. }
            )
        };
        assert_eq!(app.count(failed).await, 0);
        // A wrong one is counted, once for what was typed, once for the account and once for the address.
        assert_eq!(pass(&app.program(), ADA, "73920185").await, 400);
        assert_eq!(app.count(failed).await, 1);
        let most = app
            .number(
                "SELECT CAST(MAX(failures) AS SIGNED) AS n FROM security_failures"
                    .replace("SIGNED", integer(&app))
                    .as_str(),
            )
            .await;
        assert_eq!(most, 1);
    })
    .await;
}

fn integer(app: &App) -> &'static str {
    match app.store().dialect() {
        rocket_security::Dialect::Mysql => "SIGNED",
        _ => "BIGINT",
    }
}

/// Guesses at the password of digits while no code is judged: each is counted like a wrong password, and from the
/// limit on a right one gets the same answer.
async fn guess_behind_the_shut_door(actor: &Actor<'_>, path: &str, limit: usize) {
    let guess = async |passcode: String| {
        let body = match path {
            "/login" => json!({"email": ADA, "password": passcode}),
            _ => json!({"identity": ADA, "passcode": passcode}),
        };
        let answer = actor.post_json(path, body).await;
        (answer.status, answer.codes())
    };
    let locked = (429, vec!["denied.locked".to_string()]);
    for n in 0..limit {
        assert_eq!(guess(format!("{:08}", 73_920_200 + n)).await, locked, "{n}");
    }
    assert_eq!(guess(DIGITS.into()).await, locked, "{path}");
    assert!(!actor.is_signed_in().await);
}

#[rocket::async_test]
async fn a_guess_at_a_password_of_digits_is_counted_also_while_codes_are_shut() {
    for_each_database(|plan| async move {
        let app = unified(plan)
            .set("unified.replaces_login", true)
            .set("limits.codes_per_day", 3)
            .set("limits.per_account", 5)
            .set("limits.per_device", 4)
            .start()
            .await;
        let ada = with_digits(&app).await;
        for path in ["/us-signin", "/login"] {
            for n in 0..3 {
                let shut = pass(&app.program(), ADA, "000000").await;
                assert!([400, 429].contains(&shut), "{n}: {shut}");
            }
            // A right password is no guess, and opens no door for codes.
            assert_eq!(pass(&app.program(), ADA, DIGITS).await, 200);
            guess_behind_the_shut_door(&app.program(), path, 5).await;
            app.later(Duration::from_mins(16));
            assert_eq!(pass(&app.program(), ADA, DIGITS).await, 200);
        }
        // A browser that the account knows has limits of its own.
        let known = app.signed_in(&ada).await.in_json();
        known.logout().await;
        for _ in 0..3 {
            assert_eq!(pass(&known, ADA, "000000").await, 400);
        }
        assert_eq!(pass(&known, ADA, DIGITS).await, 200);
        known.logout().await;
        guess_behind_the_shut_door(&known, "/us-signin", 4).await;
        // Nobody is counted alike.
        let nobody = "nobody@example.com";
        for n in 0..20 {
            let status = pass(&app.program(), nobody, "000000").await;
            assert_eq!(status, if n < 3 { 400 } else { 429 }, "{n}");
        }
        app.later(Duration::from_mins(16));
        assert_eq!(pass(&app.program(), nobody, "no digits").await, 400);
    })
    .await;
}

#[rocket::async_test]
async fn such_a_guess_is_counted_for_the_address_too() {
    for_each_database(|plan| async move {
        let app = unified(plan)
            .set("limits.codes_per_day", 3)
            .set("limits.per_account", 1_000)
            .set("limits.per_address", 7)
            .start()
            .await;
        with_digits(&app).await;
        let here = app.program();
        for _ in 0..3 {
            assert_eq!(pass(&here, ADA, "000000").await, 400);
        }
        guess_behind_the_shut_door(&here, "/us-signin", 4).await;
        let elsewhere = app.program().from("198.51.100.7");
        assert_eq!(pass(&elsewhere, ADA, DIGITS).await, 200);
    })
    .await;
}

#[rocket::async_test]
async fn such_a_guess_is_counted_after_the_mail_that_unlocks() {
    for_each_database(|plan| async move {
        let app = unified(plan).set("limits.per_account", 5).start().await;
        with_digits(&app).await;
        for _ in 0..5 {
            assert_eq!(pass(&app.program(), ADA, "000000").await, 400);
        }
        assert_eq!(pass(&app.program(), ADA, DIGITS).await, 429);
        // It opens the account, but not the door for codes.
        let link = app.link_to(ADA, "unlock");
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
        guess_behind_the_shut_door(&app.program(), "/us-signin", 5).await;
    })
    .await;
}

#[rocket::async_test]
async fn a_right_code_of_an_app_uses_up_no_attempt_at_the_code_that_was_sent() {
    for_each_database(|plan| async move {
        let app = unified(plan).without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let begun = browser
            .post_json("/us-setup", json!({"chosen_method": "authenticator"}))
            .await;
        let shown = begun.json()["response"].clone();
        let authenticator = Authenticator {
            key: shown["authr_b32key"].as_str().unwrap().into(),
        };
        let path = format!("/us-setup/{}", shown["state"].as_str().unwrap());
        let body = json!({"passcode": authenticator.code(&app)});
        assert_eq!(browser.post_json(&path, body).await.status, 200);
        let body = json!({"identity": ADA, "chosen_method": "email"});
        app.program().post_json("/us-signin/send-code", body).await;
        let code = mailed(&app, ADA);
        for n in 0..8 {
            app.later(Duration::from_secs(30));
            assert_eq!(
                pass(&app.program(), ADA, &authenticator.code(&app)).await,
                200,
                "{n}"
            );
        }
        assert_eq!(pass(&app.program(), ADA, &code).await, 200);
    })
    .await;
}

#[rocket::async_test]
async fn the_right_password_of_an_unconfirmed_account_is_no_failure_where_answers_tell() {
    for_each_database(|plan| async move {
        let app = plan.telling().set("confirm.grace", 0).start().await;
        app.user_with(ADA, |new| new.confirmed(false)).await;
        for _ in 0..20 {
            let answer = app.program().login(ADA, PASSWORD).await;
            assert_eq!(
                (answer.status, answer.codes()),
                (400, vec!["login.unconfirmed".into()])
            );
        }
        assert_eq!(app.number(FAILURES).await, 0);
    })
    .await;
}

/// Guesses at every door at which a visitor types a mailed code, for so many days; answers how many were judged.
async fn guess_everywhere(app: &App, actor: &Actor<'_>, days: u64) -> usize {
    let doors = [
        ("/login/link", "/login/code", "email", "code"),
        ("/reset", "/reset/code", "email", "code"),
        ("/us-signin/send-code", "/us-signin", "identity", "passcode"),
        ("/confirm", "/confirm/code", "email", "code"),
    ];
    let mut judged = 0;
    for _ in 0..days * 24 * 2 {
        for (ask, answer, who, what) in doors {
            let asked = json!({who: ADA, "chosen_method": "email"});
            actor.post_json(ask, asked).await;
            for _ in 0..5 {
                let mut body = match answer {
                    "/reset/code" => new_password(NEW),
                    _ => json!({}),
                };
                (body[who], body[what]) = (ADA.into(), "000000".into());
                let answered = actor.post_json(answer, body).await;
                assert!([400, 429].contains(&answered.status), "{}", answered.text());
                judged += usize::from(answered.status == 400);
            }
        }
        app.later(Duration::from_mins(30));
    }
    judged
}

#[rocket::async_test]
async fn guesses_at_mailed_codes_have_one_limit_a_day_over_all_doors() {
    let app = unified(Plan::new())
        .set("limits.per_account", 1_000)
        .start()
        .await;
    app.user(ADA).await;
    let judged = guess_everywhere(&app, &app.program(), 1).await;
    assert_eq!(judged, 50);
    // The owner is not shut out: passwords, mailed links, and codes in a browser that is known.
    app.later(Duration::from_mins(1));
    assert_eq!(app.program().login(ADA, PASSWORD).await.status, 200);
    let owner = app.browser().in_json();
    app.later(Duration::from_hours(24));
    assert_eq!(app.program().login(ADA, PASSWORD).await.status, 200);
    owner.login(ADA, PASSWORD).await;
    owner.logout().await;
    assert_eq!(guess_everywhere(&app, &app.program(), 1).await, 50);
    app.later(Duration::from_mins(5));
    owner.post_json("/login/link", json!({"email": ADA})).await;
    let link = app.link_to(ADA, "passwordless");
    let code = mailed(&app, ADA);
    assert_eq!(
        app.program()
            .post_json("/login/code", json!({"email": ADA, "code": code}))
            .await
            .status,
        429
    );
    let body = json!({"email": ADA, "code": code});
    assert_eq!(owner.post_json("/login/code", body).await.status, 200);
    owner.logout().await;
    app.later(Duration::from_mins(5));
    owner.post_json("/login/link", json!({"email": ADA})).await;
    let link = match app.link_to(ADA, "passwordless") {
        newer if newer != link => newer,
        _ => panic!("no newer link"),
    };
    assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
}

#[rocket::async_test]
async fn a_browser_that_is_known_has_a_limit_a_day_too() {
    let app = unified(Plan::new())
        .set("limits.per_device", 1_000)
        .start()
        .await;
    app.user(ADA).await;
    let known = app.browser().in_json();
    known.login(ADA, PASSWORD).await;
    known.logout().await;
    assert_eq!(guess_everywhere(&app, &known, 1).await, 50);
    // A right password clears none of it.
    known.login(ADA, PASSWORD).await;
    known.logout().await;
    assert_eq!(guess_everywhere(&app, &known, 0).await, 0);
    known.post_json("/login/link", json!({"email": ADA})).await;
    let body = json!({"email": ADA, "code": "000000"});
    assert_eq!(known.post_json("/login/code", body).await.status, 429);
}

#[rocket::async_test]
async fn names_of_nobody_have_the_same_limit() {
    let app = unified(Plan::new())
        .set("limits.per_account", 1_000)
        .start()
        .await;
    let mut judged = 0;
    for _ in 0..12 {
        for _ in 0..5 {
            let body = json!({"email": "nobody@example.com", "code": "000000"});
            let answer = app.program().post_json("/login/code", body).await;
            judged += usize::from(answer.status == 400);
        }
        app.later(Duration::from_hours(1));
    }
    assert_eq!(judged, 50);
}

#[rocket::async_test]
async fn a_network_of_ipv6_is_counted_beside_its_parts() {
    for_each_database(|plan| async move {
        let app = plan
            .set("limits.per_address", 4)
            .set("limits.network_factor", 3)
            .start()
            .await;
        let guess = async |from: String, n: usize| {
            let body = json!({"email": format!("nobody{n}@example.com"), "password": WRONG});
            let actor = app.program().from(&from);
            actor.post_json("/login", body).await.status
        };
        // Four from each network of 64 bits, and twelve from that of 48.
        for n in 0..12 {
            let from = format!("2001:db8:1:{:x}::{n}", n / 4);
            assert_eq!(guess(from, n).await, 400, "{n}");
        }
        assert_eq!(guess("2001:db8:1:ffff::1".into(), 12).await, 429);
        assert_eq!(guess("2001:db8:2:1::1".into(), 13).await, 400);
        // What is counted otherwise, too.
        let app = app
            .beside(|plan| {
                plan.set("limits.mails_per_address", 2)
                    .set("limits.network_factor", 2)
            })
            .await;
        let ask = async |part: usize| {
            let body = json!({"email": format!("nobody{part}@example.com")});
            let actor = app.program().from(&format!("2001:db8:3:{part:x}::1"));
            actor.post_json("/reset", body).await.status
        };
        for part in 0..4 {
            assert_eq!(ask(part).await, 200, "{part}");
        }
        assert_eq!(ask(4).await, 429);
    })
    .await;
}

#[rocket::async_test]
async fn hints_are_alike_for_an_address_a_username_and_nobody() {
    for_each_database(|plan| async move {
        let mut plan = unified(plan).without_limits();
        if cfg!(feature = "passkeys") {
            plan = plan.set("passkeys.hints", true);
        }
        let app = plan.start().await;
        with_digits(&app).await;
        let program = app.program();
        let names = [ADA, "lovelace", "nobody@example.com", "nobodyatall"];
        let mut answers = Vec::new();
        for name in names {
            let body = json!({"identity": name, "chosen_method": "email"});
            let sent = program.post_json("/us-signin/send-code", body).await;
            let wrong = program
                .post_json(
                    "/us-signin",
                    json!({"identity": name, "passcode": "000000"}),
                )
                .await;
            let blank = |text: String| text.replace(name, "");
            answers.push((
                sent.status,
                blank(sent.text()),
                wrong.status,
                blank(wrong.text()),
            ));
        }
        let token = |text: &str| {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            let mut response = json["response"].clone();
            response.as_object_mut().unwrap().remove("csrf_token");
            response
        };
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(
                (answer.0, answer.2),
                (answers[0].0, answers[0].2),
                "{}",
                names[n]
            );
            assert_eq!(token(&answer.1), token(&answers[0].1), "{}", names[n]);
            assert_eq!(token(&answer.3), token(&answers[0].3), "{}", names[n]);
        }
        #[cfg(feature = "passkeys")]
        {
            let hint = async |name: &str| {
                let asked = program
                    .post_json("/wan-signin", json!({"identity": name}))
                    .await;
                let text = asked.json()["response"]["credential_options"].clone();
                let options: serde_json::Value =
                    serde_json::from_str(text.as_str().unwrap()).unwrap();
                options["allowCredentials"].clone()
            };
            // An account has one list under all of its names, whether it has passkeys or not.
            assert_eq!(hint(ADA).await, hint("Lovelace").await);
            for name in names {
                let list = hint(name).await;
                assert!(
                    (1..=2).contains(&list.as_array().unwrap().len()),
                    "{name}: {list}"
                );
                assert_eq!(list, hint(name).await, "{name}");
            }
        }
    })
    .await;
}
