//! Authentication tokens and HTTP Basic.

use std::time::Duration;

use rocket_security::{EventKind, Timestamp};
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, WRONG, for_each_database, hash_of};

#[rocket::async_test]
async fn a_token_lives_a_quarter_of_an_hour() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let token = app.token("ada@example.com").await;
        let bearer = format!("Bearer {token}");
        let by_header = app.program().token(&token);
        assert_eq!(by_header.get("/me").await.text(), "ada@example.com");
        assert_eq!(
            app.program()
                .get_with("/me", &[("Authorization", &bearer)])
                .await
                .status,
            200
        );
        for between in ["\t", "  ", " \t "] {
            let bearer = format!("bearer{between}{token}");
            let answer = app
                .program()
                .get_with("/me", &[("Authorization", &bearer)])
                .await;
            assert_eq!(answer.status, 200, "{between:?}");
        }
        // In the query it is not even looked at.
        assert_eq!(
            app.program()
                .get(&format!("/me?auth_token={token}"))
                .await
                .status,
            401
        );
        app.clock.shift(15 * 60_000 - 1);
        assert!(by_header.is_signed_in().await);
        app.clock.shift(1);
        assert!(!by_header.is_signed_in().await);
        // What rests is a hash.
        let query =
            format!("SELECT COUNT(*) AS n FROM security_tokens WHERE token_hash = '{token}'");
        assert_eq!(app.number(&query).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_token_dies_with_everything_that_ends_an_account_or_its_password() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let accounts = app.accounts().clone();
        for what in [
            "everywhere",
            "deactivated",
            "password",
            "uniquifier",
            "access",
            "deleted",
        ] {
            let token = app.token("ada@example.com").await;
            let program = app.program().token(&token);
            assert!(program.is_signed_in().await, "{what}");
            match what {
                "everywhere" => drop(program.post_json("/everywhere", json!({})).await),
                "deactivated" => drop(accounts.deactivate_user(&ada.id).await.unwrap()),
                "password" => drop(
                    accounts
                        .set_password_hash(&ada.id, hash_of(PASSWORD), true)
                        .await
                        .unwrap(),
                ),
                "uniquifier" => accounts.end_tokens(&ada.id).await.unwrap(),
                "access" => accounts.revoke_all(&ada.id).await.unwrap(),
                _ => drop(accounts.delete_user(&ada.id).await.unwrap()),
            }
            assert!(!program.is_signed_in().await, "{what}");
            if what == "deactivated" {
                accounts.activate_user(&ada.id).await.unwrap();
                assert!(
                    !program.is_signed_in().await,
                    "a deactivation ends it for good"
                );
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_new_uniquifier_of_the_sessions_leaves_tokens_alone_and_the_other_way_round() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let token = app.token("ada@example.com").await;
    app.accounts().end_tokens(&ada.id).await.unwrap();
    assert!(browser.is_signed_in().await);
    assert!(!app.program().token(&token).is_signed_in().await);
    let token = app.token("ada@example.com").await;
    app.accounts().end_sessions(&ada.id).await.unwrap();
    assert!(!browser.is_signed_in().await);
    assert!(app.program().token(&token).is_signed_in().await);
}

#[rocket::async_test]
async fn the_hook_shortens_a_tokens_life_and_never_lengthens_it() {
    let app = Plan::new()
        .security(|security| {
            security.token_expiry(|user| {
                let life = if user.email.starts_with("short") {
                    Duration::from_mins(5)
                } else {
                    Duration::from_hours(24 * 5)
                };
                Some(user.created_at.after(life))
            })
        })
        .start()
        .await;
    app.user("short@example.com").await;
    app.user("long@example.com").await;
    let short = app.program().token(&app.token("short@example.com").await);
    let long = app.program().token(&app.token("long@example.com").await);
    app.later(Duration::from_mins(4));
    assert!(short.is_signed_in().await);
    app.later(Duration::from_mins(1));
    assert!(!short.is_signed_in().await && long.is_signed_in().await);
    app.later(Duration::from_mins(10));
    assert!(!long.is_signed_in().await);
    let _: Timestamp = app.store().now();
}

#[rocket::async_test]
async fn malformed_tokens_are_401_and_nothing_worse() {
    let app = App::new().await;
    let huge = "A".repeat(1_000_000);
    for value in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "bearer  ",
        "Bearer \u{1}",
        "Bearer a b c",
        &"A".repeat(43),
        &huge,
    ] {
        for (name, value) in [
            ("Authentication-Token", value.to_string()),
            ("Authorization", format!("Bearer {value}")),
        ] {
            let answer = app.program().get_with("/me", &[(name, &value)]).await;
            assert_eq!(
                answer.status,
                401,
                "{name} {:?}",
                value.chars().take(20).collect::<String>()
            );
        }
    }
    assert_eq!(app.admitted().await, 0);
}

#[rocket::async_test]
async fn a_site_may_switch_tokens_off_or_into_the_query() {
    let app = Plan::new().set("tokens.enabled", false).start().await;
    app.user("ada@example.com").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let answer = app
        .program()
        .post_json("/login?include_auth_token", body)
        .await;
    assert!(answer.status == 200 && !answer.text().contains("authentication_token"));

    let app = Plan::new().set("tokens.in_query", true).start().await;
    let ada = app.user("ada@example.com").await;
    let token = app.token("ada@example.com").await;
    let path = format!("/me?auth_token={token}");
    assert_eq!(app.program().get(&path).await.text(), "ada@example.com");
    // A link cannot make a browser write: the token in a query is no header.
    let browser = app.signed_in(&ada).await;
    let answer = browser
        .post_body(
            &format!("/p/input?auth_token={token}"),
            "application/x-www-form-urlencoded",
            b"",
        )
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        browser.get("/me?auth_token=junk").await.status,
        401,
        "judged by the token alone"
    );
}

#[rocket::async_test]
async fn a_token_may_be_forbidden_to_be_fresh() {
    let app = Plan::new()
        .set("freshness.allow_tokens", false)
        .start()
        .await;
    app.user("ada@example.com").await;
    let program = app.program().token(&app.token("ada@example.com").await);
    assert_eq!(program.get("/g/fresh").await.status, 401);
    assert_eq!(program.get("/g/fresh-600").await.status, 401);
}

#[rocket::async_test]
async fn malformed_basic_is_401_with_the_challenge_and_no_session() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        app.user_with_hash("none@example.com", "").await;
        let encode = |text: &[u8]| data_encoding::BASE64.encode(text);
        let right = format!("ada@example.com:{PASSWORD}");
        for value in [
            String::new(),
            "!!!".into(),
            encode(b"no colon"),
            encode(b":"),
            encode(b"ada@example.com:"),
            encode(b"ada@example.com:\0"),
            encode(b"\xff\xfe:\xff"),
            encode("\u{202e}:\u{1f511}".as_bytes()),
            encode(b"none@example.com:"),
            encode(b"none@example.com:x"),
            encode(format!("ada@example.com:{WRONG}").as_bytes()),
            encode(right.as_bytes()).trim_end_matches('=').to_string() + "*",
            encode(&vec![b'a'; 1_000_000]),
        ] {
            for accept in ["text/html", "application/json"] {
                let header = format!("Basic {value}");
                let browser = app.browser();
                let headers = [("Authorization", header.as_str()), ("Accept", accept)];
                let answer = browser.get_with("/g/basic", &headers).await;
                assert_eq!(
                    answer.status,
                    401,
                    "{:?}",
                    value.chars().take(40).collect::<String>()
                );
                assert!(answer.header("WWW-Authenticate").is_some());
                assert!(answer.cookie("security_session").is_none());
            }
        }
        assert_eq!(app.admitted().await, 0);
        // The right one opens the route and no session; the scheme's case does not matter.
        let browser = app.browser();
        let header = format!("bASIC {}", encode(right.as_bytes()));
        let answer = browser
            .get_with("/g/basic", &[("Authorization", &header)])
            .await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "in"));
        assert!(answer.cookies().is_empty());
        assert!(!browser.is_signed_in().await);
        let sessionless =
            |kind: &EventKind| matches!(kind, EventKind::Authenticated { session: None, .. });
        assert_eq!(app.count(sessionless).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn basic_may_be_let_in_everywhere_but_is_never_two_factors() {
    let app = Plan::new().set("basic.everywhere", true).start().await;
    let ada = app.user("ada@example.com").await;
    app.grant(&ada, "admin", &[]).await;
    let basic = app.program().basic("ada@example.com", PASSWORD);
    assert_eq!(basic.get("/g/admin").await.text(), "in");
    assert_eq!(basic.get("/g/mfa").await.status, 401);
    assert_eq!(basic.get("/g/token").await.status, 401);
}
