//! A clock that is set back makes nothing fresh: what was noted in the future proves nothing.

use std::time::Duration;

use serde_json::json;

use crate::app::{App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite};

const ADA: &str = "ada@example.com";
const TEN_DAYS: i64 = 10 * 86_400_000;

/// Sets the clock back by ten days, or by a few seconds.
fn back(app: &App, millis: i64) {
    app.clock.shift(-millis);
}

#[rocket::async_test]
async fn a_session_of_the_future_is_none_and_a_proof_of_the_future_is_not_fresh() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let token = app.token(ADA).await;
        // Clocks of two machines may differ by a minute.
        back(&app, 59_000);
        assert_eq!(browser.get("/g/fresh-600").await.status, 200);
        assert_eq!(
            app.program().token(&token).get("/g/token").await.status,
            200
        );
        back(&app, 2_000);
        assert!(!browser.is_signed_in().await);
        assert_eq!(
            app.program().token(&token).get("/g/token").await.status,
            401
        );
        app.clock.shift(61_000);
        assert!(browser.is_signed_in().await);
        // A session of the past in which somebody proved it again in the future.
        app.later(Duration::from_hours(24 * 10));
        let (old, new) = (app.signed_in(&ada).await.in_json(), app.clock.clone());
        new.shift(-TEN_DAYS);
        assert_ne!(old.get("/g/fresh").await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_proof_given_in_the_future_does_not_make_an_older_session_fresh() {
    on_sqlite(|plan| async move {
        let app = plan.set("session.idle", "20 d").start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        app.later(Duration::from_hours(2));
        assert_eq!(browser.get("/g/fresh-600").await.status, 401);
        let ahead = Duration::from_mins(5);
        app.later(ahead);
        let verified = browser
            .post_json("/verify", json!({"password": PASSWORD}))
            .await;
        assert_eq!(verified.status, 200, "{}", verified.text());
        assert_eq!(browser.get("/g/fresh-600").await.status, 200);
        back(&app, ahead.as_millis().try_into().unwrap());
        assert_ne!(browser.get("/g/fresh-600").await.status, 200);
        assert_ne!(browser.get("/g/fresh").await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn remembered_and_trusted_browsers_of_the_future_are_strangers() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let browser = app.browser();
        browser.login_remembered(ADA, PASSWORD).await;
        browser.forget_cookie("security_session");
        back(&app, TEN_DAYS);
        assert!(!browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn links_of_the_future_open_nothing() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        app.program()
            .post_json("/reset", json!({"email": ADA}))
            .await;
        let mail = app.mails_to(ADA).pop().expect("a mail");
        let link = mail
            .text
            .split_whitespace()
            .find(|word| word.contains("/reset/"))
            .unwrap();
        let path = url::Url::parse(link).unwrap().path().to_string();
        back(&app, 61_000);
        let body = json!({"password": WRONG, "password_confirm": WRONG});
        assert_eq!(
            app.program().post_json(&path, body.clone()).await.status,
            400
        );
        app.clock.shift(61_000);
        assert_eq!(app.program().post_json(&path, body).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_lock_of_the_future_locks_nobody() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        app.later(Duration::from_hours(24 * 10));
        let guess = async || app.program().login(ADA, WRONG).await.status;
        for _ in 0..10 {
            assert_eq!(guess().await, 400);
        }
        assert_eq!(guess().await, 429);
        // As long as the clock is right, or a little behind, it holds.
        back(&app, 30_000);
        assert_eq!(guess().await, 429);
        back(&app, TEN_DAYS);
        assert_eq!(app.program().login(ADA, PASSWORD).await.status, 200);
        // And failures count anew.
        app.sql("DELETE FROM security_sessions").await;
        for _ in 0..10 {
            assert_eq!(guess().await, 400);
        }
        assert_eq!(guess().await, 429);
    })
    .await;
}

#[rocket::async_test]
async fn the_time_to_confirm_an_address_does_not_begin_in_the_future() {
    let app = Plan::new().start().await;
    app.later(Duration::from_hours(24 * 30));
    let new = app.user_with(ADA, |new| new.confirmed(false)).await;
    back(&app, TEN_DAYS);
    let _ = new;
    assert_eq!(app.program().login(ADA, PASSWORD).await.status, 400);
}
