//! Sessions: how long they last, who sees them, who ends them.

use std::time::Duration;

use rocket_security::SessionId;
use serde_json::{Value, json};

use crate::app::{Actor, App, PASSWORD, Plan, for_each_database, hash_of};

async fn list(actor: &Actor<'_>) -> Vec<Value> {
    let headers = [("Accept", "application/json")];
    let answer = actor.get_with("/sessions", &headers).await;
    answer.json()["response"]["sessions"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn id_of(session: &Value) -> String {
    session["id"].as_str().unwrap().to_string()
}

#[rocket::async_test]
async fn a_session_that_rests_is_over_and_one_in_use_lasts() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let (used, resting) = (app.signed_in(&ada).await, app.signed_in(&ada).await);
        app.later(Duration::from_hours(11));
        assert!(used.is_signed_in().await);
        app.clock.shift(60 * 60_000 - 1);
        assert!(used.is_signed_in().await);
        app.clock.shift(1);
        assert!(!resting.is_signed_in().await, "12 hours");
        assert!(used.is_signed_in().await);
        for _ in 0..70 {
            app.later(Duration::from_hours(10));
            assert!(used.is_signed_in().await);
        }
        // 712 of 720 hours.
        app.clock.shift(8 * 3_600_000 - 1);
        assert!(used.is_signed_in().await);
        app.clock.shift(1);
        assert!(!used.is_signed_in().await, "30 days, however busy");
    })
    .await;
}

#[rocket::async_test]
async fn an_owner_lists_sessions_and_ends_one_or_all_the_others() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let here = app
            .browser()
            .header("User-Agent", "Here <b>")
            .from("198.51.100.7");
        here.login("ada@example.com", PASSWORD).await;
        let there = app.browser();
        there.login_remembered("ada@example.com", PASSWORD).await;
        let third = app.signed_in(&ada).await;

        let sessions = list(&here).await;
        assert_eq!(sessions.len(), 3);
        let current: Vec<_> = sessions
            .iter()
            .filter(|one| one["current"] == true)
            .collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0]["agent"], "Here <b>");
        assert_eq!(current[0]["address"], "198.51.100.7");
        let page = here.get("/sessions").await.text();
        assert!(!page.contains("<b>"), "{page}");
        for actor in [&here, &there] {
            let secret = actor.cookie("security_session").unwrap();
            assert!(!page.contains(&secret), "an id that opens something");
        }
        let remembered = sessions
            .iter()
            .find(|one| one["remembered"] == true)
            .unwrap();
        let answer = here
            .post_form(&format!("/sessions/{}/revoke", id_of(remembered)), &[])
            .await;
        assert_eq!((answer.status, answer.location()), (302, Some("/sessions")));
        assert!(!there.is_signed_in().await, "with its remembered device");
        assert!(third.is_signed_in().await);

        there.login_remembered("ada@example.com", PASSWORD).await;
        let answer = here.post_json("/sessions/revoke-others", json!({})).await;
        assert_eq!(answer.status, 200);
        assert!(here.is_signed_in().await);
        assert!(!there.is_signed_in().await && !third.is_signed_in().await);
        assert_eq!(list(&here).await.len(), 1);
        // One's own session, too.
        let own = id_of(&list(&here).await[0]);
        here.post_form(&format!("/sessions/{own}/revoke"), &[])
            .await;
        assert!(!here.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn nobody_ends_the_session_of_another() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, eve) = (
            app.user("ada@example.com").await,
            app.user("eve@example.com").await,
        );
        let (victim, attacker) = (app.signed_in(&ada).await, app.signed_in(&eve).await);
        let foreign = id_of(&list(&victim).await[0]);
        let unknown = SessionId::new().to_string();
        let mut answers = Vec::new();
        for id in [
            foreign.as_str(),
            unknown.as_str(),
            "1",
            "%00",
            "..%2f..",
            "'",
            &"a".repeat(5_000),
        ] {
            let answer = attacker
                .post_json(&format!("/sessions/{id}/revoke"), json!({}))
                .await;
            assert_eq!(answer.status, 404, "{id}");
            answers.push(answer.text());
        }
        assert_eq!(answers[0], answers[1], "foreign and unknown are one");
        attacker
            .post_json("/sessions/revoke-others", json!({}))
            .await;
        assert!(victim.is_signed_in().await);
        for path in ["/sessions", "/sessions/revoke-others"] {
            let visitor = app.program();
            let answer = match path.ends_with("others") {
                true => visitor.post_json(path, json!({})).await,
                false => visitor.get(path).await,
            };
            assert_eq!(answer.status, 401, "{path}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn junk_in_the_session_cookie_is_nobody() {
    let app = App::new().await;
    for junk in [
        "",
        "x",
        &"A".repeat(43),
        &"A".repeat(42),
        &"A".repeat(3_000),
        &"\u{301}".repeat(21),
        "' OR 1=1 --",
        "a\"b",
    ] {
        let browser = app.browser();
        browser.set_cookie("security_session", junk);
        assert!(!browser.is_signed_in().await, "{junk:?}");
        assert_eq!(browser.get("/login").await.status, 200);
    }
}

#[rocket::async_test]
async fn a_new_password_ends_every_session_and_device() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let browser = app.browser();
        browser.login_remembered("ada@example.com", PASSWORD).await;
        app.accounts()
            .set_password_hash(&ada.id, hash_of("another battery staple"), true)
            .await
            .unwrap();
        assert!(!browser.is_signed_in().await);
        browser.forget_cookie("security_session");
        assert!(!browser.is_signed_in().await);
        browser.login("ada@example.com", PASSWORD).await;
        assert!(!browser.is_signed_in().await);
        browser
            .login("ada@example.com", "another battery staple")
            .await;
        assert!(browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn what_rests_in_the_table_opens_nothing() {
    let app = Plan::new().start().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let secret = browser.cookie("security_session").unwrap();
    let query =
        format!("SELECT COUNT(*) AS n FROM security_sessions WHERE token_hash = '{secret}'");
    assert_eq!(app.number(&query).await, 0);
    assert_eq!(
        app.number("SELECT COUNT(*) AS n FROM security_sessions")
            .await,
        1
    );
}
