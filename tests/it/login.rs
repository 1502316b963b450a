//! Signing in: who gets in, what it costs, and what nobody learns from it.

use rocket_security::{EventKind, Secret};
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, Plan, WRONG, on_sqlite};

/// An answer without what differs in each: the CSRF token.
fn bare(answer: &Answer) -> (u16, Value) {
    let mut json = answer.json();
    if let Some(response) = json["response"].as_object_mut() {
        response.remove("csrf_token");
    }
    (answer.status, json)
}

fn bare_html(answer: &Answer) -> (u16, String) {
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.contains("csrf_token"));
    (answer.status, lines.collect::<Vec<_>>().join("\n"))
}

#[rocket::async_test]
async fn the_right_password_signs_in_by_form_and_by_json() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        let answer = browser.login("ada@example.com", PASSWORD).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(browser.is_signed_in().await);

        let script = app.browser().in_json();
        let answer = script.login("ada@example.com", PASSWORD).await;
        assert!(
            answer.status == 200 && answer.is_envelope(),
            "{}",
            answer.text()
        );
        let response = &answer.json()["response"];
        assert_eq!(response["user"], json!({}));
        assert!(response["csrf_token"].is_string());
        assert!(script.is_signed_in().await);
        assert_eq!(app.admitted().await, 2);
    })
    .await;
}

#[rocket::async_test]
async fn every_spelling_of_an_identity_signs_in() {
    let app = Plan::new()
        .set("identities", ["email", "username"])
        .start()
        .await;
    app.user_with("jose@example.com", |new| {
        new.username(rocket_security::Username::normalise("Jose").unwrap())
    })
    .await;
    for identity in [
        " jose@example.com",
        "JOSE@EXAMPLE.COM ",
        "jose@Example.com",
        "jose",
        "JOSE",
        " ｊose ",
    ] {
        let browser = app.browser();
        browser.login(identity, PASSWORD).await;
        assert!(browser.is_signed_in().await, "{identity:?}");
    }
    let program = app.program();
    let answer = program
        .post_json("/login", json!({"username": "jose", "password": PASSWORD}))
        .await;
    assert_eq!(answer.status, 200);
    // Matched exactly, not as a pattern.
    for identity in [
        "jos%@example.com",
        "jos_@example.com",
        "%",
        "jose' OR '1'='1",
        "jose@example.com\0",
    ] {
        let answer = program
            .post_json("/login", json!({"email": identity, "password": PASSWORD}))
            .await;
        assert_eq!(answer.status, 400, "{identity:?}");
    }
}

#[rocket::async_test]
async fn nobody_learns_who_has_an_account() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user("known@example.com").await;
        let shut = app.user("inactive@example.com").await;
        app.accounts().deactivate_user(&shut.id).await.unwrap();
        app.user_with_hash("locked@example.com", "!").await;
        let accounts = app.accounts();
        let bare_account = rocket_security::NewUser::new(
            rocket_security::EmailAddress::parse("empty@example.com").unwrap(),
        );
        accounts.create_user(bare_account).await.unwrap();

        let mut answers = Vec::new();
        for (email, password) in [
            ("known@example.com", WRONG),
            ("unknown@example.com", WRONG),
            ("not an address", WRONG),
            ("inactive@example.com", WRONG),
            // Even the right one is not told apart.
            ("inactive@example.com", PASSWORD),
            ("empty@example.com", WRONG),
            ("locked@example.com", "!"),
        ] {
            let before = app.hashes_done();
            let json = app
                .program()
                .post_json("/login", json!({"email": email, "password": password}))
                .await;
            let hashes = app.hashes_done() - before;
            let browser = app.browser();
            let html = browser.login(email, password).await;
            assert!(!browser.is_signed_in().await);
            let html = (html.status, bare_html(&html).1.replace(email, ""));
            answers.push((email, bare(&json), html, hashes));
        }
        for other in &answers[1..] {
            assert_eq!(answers[0].1, other.1, "{} in JSON", other.0);
            assert_eq!(answers[0].2, other.2, "{} in HTML", other.0);
            assert_eq!(answers[0].3, other.3, "{}: hashes", other.0);
        }
        assert_eq!(answers[0].1.0, 400);
        assert_eq!(answers[0].2.0, 200, "a form that fails is shown again");
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_inactive_after_the_right_password_only() {
    let app = Plan::new().telling().start().await;
    let shut = app.user("inactive@example.com").await;
    app.accounts().deactivate_user(&shut.id).await.unwrap();
    let try_with = |password: &'static str| {
        let program = app.program();
        async move {
            program
                .post_json(
                    "/login",
                    json!({"email": "inactive@example.com", "password": password}),
                )
                .await
        }
    };
    assert_eq!(try_with(WRONG).await.codes(), ["login.wrong_password"]);
    let told = try_with(PASSWORD).await;
    assert_eq!(
        (told.status, told.codes()),
        (400, vec!["login.inactive".to_string()])
    );
    assert_eq!(told.field_errors("email").len(), 1);
    assert_eq!(app.admitted().await, 0);
}

#[rocket::async_test]
async fn no_password_opens_an_account_without_one() {
    let app = App::new().await;
    for (email, stored) in [
        ("a@example.com", ""),
        ("b@example.com", "!"),
        ("c@example.com", "*"),
        ("d@example.com", "plain"),
    ] {
        app.user_with_hash(email, stored).await;
        for password in ["", " ", "!", "*", "plain", "null", "None"] {
            let answer = app
                .program()
                .post_json("/login", json!({"email": email, "password": password}))
                .await;
            assert_eq!(answer.status, 400, "{stored:?} by {password:?}");
        }
        let answer = app
            .program()
            .post_json("/login", json!({"email": email, "password": null}))
            .await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(app.admitted().await, 0);
}

#[rocket::async_test]
async fn a_planted_session_does_not_become_the_victims() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let mallory = app.user("mallory@example.com").await;
        app.user("victim@example.com").await;
        // The attacker's visitor cookie, and the attacker's own session.
        let attacker = app.browser();
        attacker.csrf().await;
        let victim = attacker.copy();
        victim.login("victim@example.com", PASSWORD).await;
        assert_eq!(victim.get("/me").await.text(), "victim@example.com");
        assert!(!attacker.is_signed_in().await);

        let attacker = app.signed_in(&mallory).await;
        let planted = attacker.cookie("security_session").unwrap();
        let victim = app.browser();
        victim.set_cookie("security_session", "A".repeat(43).as_str());
        victim.login("victim@example.com", PASSWORD).await;
        assert_ne!(victim.cookie("security_session").unwrap(), "A".repeat(43));

        // Signed in as somebody else already: never switched silently.
        let victim = app.browser();
        victim.set_cookie("security_session", &planted);
        let answer = victim.login("victim@example.com", PASSWORD).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert_eq!(victim.get("/me").await.text(), "mallory@example.com");
        let answer = victim.in_json().login("victim@example.com", PASSWORD).await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec!["denied.signed_in".to_string()])
        );
    })
    .await;
}

#[rocket::async_test]
async fn cookies_carry_every_flag_and_the_host_prefix_where_the_site_has_https() {
    for (base, prefix) in [
        ("https://example.com", "__Host-"),
        ("http://localhost:8000", ""),
    ] {
        let app = Plan::new().set("base_url", base).start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        let answers = [
            browser.get("/login").await,
            browser.login_remembered("ada@example.com", PASSWORD).await,
            browser.logout().await,
            browser.get("/g/admin").await,
        ];
        let cookies: Vec<_> = answers.iter().flat_map(Answer::cookies).collect();
        assert!(cookies.len() >= 8, "{cookies:?}");
        for cookie in cookies {
            assert!(cookie.name().starts_with(prefix), "{cookie}");
            assert_eq!(cookie.http_only(), Some(true), "{cookie}");
            assert_eq!(
                cookie.same_site(),
                Some(rocket::http::SameSite::Lax),
                "{cookie}"
            );
            assert_eq!(cookie.path(), Some("/"), "{cookie}");
            assert_eq!(cookie.domain(), None, "{cookie}");
            assert_eq!(
                cookie.secure().unwrap_or(false),
                base.starts_with("https"),
                "{cookie}"
            );
        }
    }
}

#[rocket::async_test]
async fn someone_signed_in_is_told_so_in_json_and_sent_on_in_html() {
    let app = Plan::new()
        .security(|security| security.user_payload(|user| json!({"email": user.email})))
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    for next in [
        "/login",
        "/login?next=/login?next=/login",
        "/login?next=https://evil.example",
    ] {
        assert_eq!(browser.get(next).await.location(), Some("/"), "{next}");
    }
    let answer = browser
        .copy()
        .in_json()
        .get("/login?include_auth_token")
        .await;
    let response = &answer.json()["response"];
    assert_eq!(
        response["user"],
        json!({"email": "ada@example.com"}),
        "no token by GET"
    );
    assert!(response["csrf_token"].is_string());
    let answer = browser.in_json().get("/verify?include_auth_token").await;
    assert!(!answer.text().contains("authentication_token"));
}

#[rocket::async_test]
async fn events_and_debug_output_carry_no_secret() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    browser.login_remembered("ada@example.com", PASSWORD).await;
    browser.login("ada@example.com", WRONG).await;
    let token = app.token("ada@example.com").await;
    browser.copy().token("junk-token-canary").get("/me").await;
    let told =
        format!("{:?}", app.events().await) + &serde_json::to_string(&app.events().await).unwrap();
    let session = browser.cookie("security_session").unwrap();
    for secret in [
        PASSWORD,
        WRONG,
        token.as_str(),
        session.as_str(),
        "junk-token-canary",
        "argon2",
    ] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    assert_eq!(
        format!("{:?}", Secret::new(String::from("x"))),
        "Secret(..)"
    );
    assert_eq!(
        app.count(|kind| matches!(kind, EventKind::TokenIssued { .. }))
            .await,
        1
    );
}

#[rocket::async_test]
async fn a_subscriber_that_panics_harms_nothing() {
    let app = Plan::new()
        .security(|security| {
            security.on(|event: rocket_security::Event| async move {
                assert!(
                    !matches!(event.kind, EventKind::Authenticated { .. }),
                    "on purpose"
                );
            })
        })
        .start()
        .await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    for _ in 0..3 {
        browser.login("ada@example.com", PASSWORD).await;
        assert!(browser.is_signed_in().await);
        browser.logout().await;
    }
    assert_eq!(app.admitted().await, 3);
}
