//! Signing out really ends it.

use std::time::Duration;

use rocket_security::EventKind;
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, for_each_database, on_sqlite};

#[rocket::async_test]
async fn a_saved_cookie_is_dead_after_signing_out() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let browser = app.browser();
        browser.login_remembered("ada@example.com", PASSWORD).await;
        let saved = browser.copy();
        let answer = browser.logout().await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(!browser.is_signed_in().await);
        assert!(!saved.is_signed_in().await, "replayed");
        saved.forget_cookie("security_session");
        assert!(!saved.is_signed_in().await, "the remembered device too");
        for name in ["security_session", "security_remember"] {
            assert_eq!(browser.cookie(name), None);
        }
        assert_eq!(
            app.count(|kind| matches!(kind, EventKind::LoggedOut { .. }))
                .await,
            1
        );
    })
    .await;
}

#[rocket::async_test]
async fn nobody_is_signed_out_by_a_link_or_another_site() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    assert_eq!(browser.get("/logout").await.status, 200, "a page asks");
    assert!(browser.is_signed_in().await);
    let answer = browser.post_raw_form("/logout", &[]).await;
    assert_eq!(answer.status, 200, "a page asks");
    assert!(answer.text().contains("csrf_token"));
    let json = browser
        .post_body("/logout", "application/json", b"{}")
        .await;
    assert!(json.status == 400 && json.is_envelope());
    // A header of junk does not talk the check away.
    let junk = browser.copy().token("junk");
    let answer = junk
        .post_body("/logout", "application/x-www-form-urlencoded", b"")
        .await;
    assert!(answer.status != 302, "{}", answer.status);
    assert!(browser.is_signed_in().await);
    // The page's own button works.
    assert_eq!(browser.logout().await.status, 302);
}

#[rocket::async_test]
async fn signing_out_in_json_answers_an_empty_response() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let answer = browser.post_json("/logout", json!({})).await;
    assert_eq!(
        answer.json(),
        json!({"meta": {"code": 200}, "response": {}})
    );
    assert!(!browser.is_signed_in().await);
    // Of whom nobody is signed in, too.
    assert_eq!(
        app.program().post_json("/logout", json!({})).await.status,
        200
    );
}

#[rocket::async_test]
async fn a_site_may_do_without_the_check() {
    let app = Plan::new().set("logout.csrf", false).start().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    assert_eq!(browser.post_raw_form("/logout", &[]).await.status, 302);
    assert!(!browser.is_signed_in().await);
}

#[rocket::async_test]
async fn signing_out_everywhere_ends_sessions_devices_and_tokens() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let eve = app.user("eve@example.com").await;
        let other = app.signed_in(&eve).await;
        let (one, two) = (app.browser(), app.browser());
        one.login_remembered("ada@example.com", PASSWORD).await;
        two.login("ada@example.com", PASSWORD).await;
        let token = app.token("ada@example.com").await;
        assert_eq!(two.post_json("/everywhere", json!({})).await.status, 204);
        assert!(!one.is_signed_in().await && !two.is_signed_in().await);
        one.forget_cookie("security_session");
        assert!(!one.is_signed_in().await);
        assert!(!app.program().token(&token).is_signed_in().await);
        assert!(other.is_signed_in().await);
        app.later(Duration::from_secs(1));
        assert!(
            two.login("ada@example.com", PASSWORD).await.status == 302 && two.is_signed_in().await
        );
    })
    .await;
}
