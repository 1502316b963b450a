//! Remembered devices: a token that changes at each use, and a theft that shows.

use std::time::Duration;

use rocket::{futures::future::join_all, post, routes};
use rocket_security::{Error, EventKind, prelude::*};
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, for_each_database};

const SESSION: &str = "security_session";
const REMEMBER: &str = "security_remember";

fn theft(kind: &EventKind) -> bool {
    matches!(kind, EventKind::RememberTheft { .. })
}

#[rocket::async_test]
async fn a_remembered_device_is_signed_in_again_but_not_freshly() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        let answer = browser.login_remembered("ada@example.com", PASSWORD).await;
        let cookie = answer.cookie(REMEMBER).unwrap();
        assert_eq!(cookie.max_age(), Some(time::Duration::days(30)));
        for _ in 0..4 {
            // The session rests too long each time.
            app.later(Duration::from_hours(13));
            let before = browser.cookie(REMEMBER).unwrap();
            assert!(browser.is_signed_in().await);
            assert_ne!(browser.cookie(REMEMBER).unwrap(), before, "rotated");
        }
        let stale = browser.get("/g/fresh").await;
        assert_eq!(stale.location(), Some("/verify?next=%2Fg%2Ffresh"));
        assert_eq!(browser.get("/g/fresh-600").await.status, 302);
        // The life counts from the beginning, however often it is used.
        for _ in 0..28 {
            app.later(Duration::from_hours(24));
            browser.is_signed_in().await;
        }
        assert!(!browser.is_signed_in().await);
        assert_eq!(app.count(theft).await, 0);
    })
    .await;
}

/// A token on the strength of the session.
#[post("/token", data = "<_body>")]
async fn token(auth: Auth<'_>, who: SignedIn, _body: Input<Empty>) -> Result<String, Error> {
    Ok(auth.issue_token(&who).await?.token.expose().clone())
}

#[rocket::async_test]
async fn a_session_that_came_back_by_the_cookie_is_not_fresh_before_it_is_proven() {
    for_each_database(|plan| async move {
        let app = plan.mount(routes![token]).start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        browser.login_remembered("ada@example.com", PASSWORD).await;
        let fresh = browser.post_form("/token", &[]).await.text();
        // At once: the cookie alone was copied.
        let copy = browser.copy();
        copy.forget_cookie(SESSION);
        for path in ["/g/fresh", "/g/fresh-600"] {
            let stale = copy.get(path).await;
            let next = format!("/verify?next={}", path.replace('/', "%2F"));
            assert_eq!(stale.location(), Some(next.as_str()));
        }
        for path in [
            "/g/fresh",
            "/g/fresh-600",
            "/change-email",
            "/tf-setup",
            "/mf-recovery-codes",
        ] {
            let refused = copy.copy().in_json().get(path).await;
            assert_eq!(refused.status, 401, "{path}");
            let said = refused.json();
            assert_eq!(said["response"]["reauth_required"], true, "{path}: {said}");
        }
        let moved = copy.copy().in_json();
        let moved = moved.post_json("/change-email", json!({"email": "thief@example.com"}));
        assert_eq!(moved.await.status, 401);
        // What is given in such a session is as old as the session.
        let stale = copy.post_form("/token", &[]).await.text();
        let fresh = app.program().token(&fresh);
        assert_eq!(fresh.get("/g/fresh").await.status, 200);
        let stale = app.program().token(&stale);
        assert!(stale.is_signed_in().await);
        assert_eq!(stale.get("/g/fresh").await.status, 401);
        // A grace is none without a proof before.
        app.later(Duration::from_mins(2));
        assert_eq!(copy.get("/g/fresh").await.status, 302);
        let proven = copy.post_form("/verify", &[("password", PASSWORD)]).await;
        assert_eq!(proven.status, 302);
        assert_eq!(copy.get("/g/fresh").await.status, 200);
        assert_eq!(copy.get("/g/fresh-600").await.status, 200);
        assert_eq!(copy.get("/change-email").await.status, 200);
        // And once more by the cookie: the proof was of the session alone.
        copy.forget_cookie(SESSION);
        assert_eq!(copy.get("/g/fresh").await.status, 302);
    })
    .await;
}

#[rocket::async_test]
async fn without_asking_nobody_is_remembered() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    browser.login("ada@example.com", PASSWORD).await;
    assert_eq!(browser.cookie(REMEMBER), None);
    let app = Plan::new().set("remember.enabled", false).start().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    browser.login_remembered("ada@example.com", PASSWORD).await;
    assert_eq!(browser.cookie(REMEMBER), None);
    let app = Plan::new().set("remember.by_default", true).start().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    // A program that says nothing leaves it to the setting.
    let browser = browser.in_json();
    browser.login("ada@example.com", PASSWORD).await;
    assert!(browser.cookie(REMEMBER).is_some());
}

#[rocket::async_test]
async fn an_old_copy_of_the_cookie_ends_the_device_and_its_sessions() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let elsewhere = app.browser();
        elsewhere.login("ada@example.com", PASSWORD).await;
        let victim = app.browser();
        victim.login_remembered("ada@example.com", PASSWORD).await;
        let thief = victim.copy();
        thief.forget_cookie(SESSION);
        // The thief comes first, and gets in: nothing shows yet.
        assert!(thief.is_signed_in().await);
        victim.forget_cookie(SESSION);
        app.later(Duration::from_secs(10));
        // The victim's copy is the old one now.
        assert!(!victim.is_signed_in().await);
        assert_eq!(victim.cookie(REMEMBER), None, "told to forget it");
        assert_eq!(app.count(theft).await, 1);
        assert!(!thief.is_signed_in().await, "the thief's session is ended");
        thief.forget_cookie(SESSION);
        assert!(!thief.is_signed_in().await, "and its newer cookie is dead");
        assert!(elsewhere.is_signed_in().await, "other devices stay");
    })
    .await;
}

#[rocket::async_test]
async fn requests_at_the_same_moment_are_no_theft() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        browser.login_remembered("ada@example.com", PASSWORD).await;
        browser.forget_cookie(SESSION);
        let tabs: Vec<_> = (0..6).map(|_| browser.copy()).collect();
        let answers = join_all(tabs.iter().map(|tab| tab.is_signed_in())).await;
        assert_eq!(answers, [true; 6]);
        assert_eq!(app.count(theft).await, 0);
        let renewed: Vec<_> = tabs
            .iter()
            .filter(|tab| tab.cookie(REMEMBER) != browser.cookie(REMEMBER))
            .collect();
        assert_eq!(renewed.len(), 1, "one token follows one");
        renewed[0].forget_cookie(SESSION);
        app.later(Duration::from_mins(1));
        assert!(renewed[0].is_signed_in().await);
        assert_eq!(app.count(theft).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_cookie_of_junk_or_of_a_deleted_account_opens_nothing() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let browser = app.browser();
        browser.login_remembered("ada@example.com", PASSWORD).await;
        let cookie = browser.cookie(REMEMBER).unwrap();
        let (series, _) = cookie.split_once('.').unwrap();
        for junk in [
            "",
            ".",
            "a.b",
            &"A".repeat(87),
            &format!("{}.{}", "A".repeat(43), "B".repeat(43)),
            series,
            &"\u{301}".repeat(40),
        ] {
            let forger = app.browser();
            forger.set_cookie(REMEMBER, junk);
            assert!(!forger.is_signed_in().await, "{junk}");
        }
        assert!(browser.is_signed_in().await);
        app.accounts().delete_user(&ada.id).await.unwrap();
        assert!(!browser.is_signed_in().await);
        assert_eq!(app.count(theft).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_form_sent_after_the_session_ran_out_is_taken_where_the_device_is_remembered() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    browser.login_remembered("ada@example.com", PASSWORD).await;
    let token = browser.csrf().await;
    app.later(Duration::from_hours(13));
    let answer = browser
        .post_raw_form("/p/input", &[("csrf_token", &token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Likewise the page that asks for the password again.
    let token = browser.csrf().await;
    app.later(Duration::from_hours(13));
    let fields = [("password", PASSWORD), ("csrf_token", token.as_str())];
    let answer = browser
        .post_raw_form("/verify?next=/g/fresh-600", &fields)
        .await;
    assert_eq!(answer.location(), Some("/g/fresh-600"), "{}", answer.text());
    assert_eq!(browser.get("/g/fresh-600").await.status, 200);
}
