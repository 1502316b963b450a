//! Proving it again, freshness and its grace.

use std::time::Duration;

use rocket::{get, http::Method as Verb, post, routes};
use rocket_security::{EventKind, prelude::*};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite};

const ADA: &str = "ada@example.com";

#[rocket::async_test]
async fn the_password_makes_a_stale_session_fresh_under_a_new_id() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let browser = app.signed_in(&ada).await;
        app.later(Duration::from_mins(11));
        let answer = browser.get("/g/fresh-600").await;
        assert_eq!(answer.location(), Some("/verify?next=%2Fg%2Ffresh-600"));
        let page = browser.get(answer.location().unwrap()).await;
        assert!(
            page.status == 200 && page.text().contains("value=\"&#x2F;g&#x2F;fresh-600\""),
            "{}",
            page.text()
        );

        let wrong = browser.post_form("/verify", &[("password", WRONG)]).await;
        assert_eq!((wrong.status, wrong.location()), (200, None));
        let wrong = browser
            .copy()
            .in_json()
            .post_json("/verify", json!({"password": WRONG}))
            .await;
        assert_eq!(
            (wrong.status, wrong.codes()),
            (400, vec!["verify.wrong".to_string()])
        );
        assert_eq!(browser.get("/g/fresh-600").await.status, 302);

        let old = browser.copy();
        let fields = [("password", PASSWORD), ("next", "/g/fresh-600")];
        let answer = browser.post_form("/verify", &fields).await;
        assert_eq!(answer.location(), Some("/g/fresh-600"));
        assert_eq!(browser.get("/g/fresh-600").await.text(), "in");
        assert!(!old.is_signed_in().await, "the old id is dead");
        assert_eq!(app.store().sessions_of(&ada.id).await.unwrap().len(), 1);
        assert_eq!(
            app.count(|kind| matches!(kind, EventKind::Reauthenticated { .. }))
                .await,
            1
        );
    })
    .await;
}

#[rocket::async_test]
async fn freshness_ends_exactly() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    app.clock.shift(600_000 - 1);
    assert_eq!(browser.get("/g/fresh-600").await.status, 200);
    app.clock.shift(1);
    assert_eq!(browser.get("/g/fresh-600").await.status, 302);
}

#[rocket::async_test]
async fn grace_helps_whoever_is_in_the_middle_of_it_but_has_a_hard_end() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let busy = app.signed_in(&ada).await;
        let resting = app.signed_in(&ada).await;
        for _ in 0..3 {
            app.later(Duration::from_mins(7 * 60 + 50));
            assert!(resting.is_signed_in().await);
            assert_eq!(busy.get("/g/fresh").await.status, 200);
        }
        // 23:30 hours; from here on every 59 minutes.
        let mut minutes = 23 * 60 + 30;
        let mut last = 0;
        for _ in 0..5 {
            app.later(Duration::from_mins(59));
            minutes += 59;
            if busy.get("/g/fresh").await.status == 200 {
                last = minutes;
            }
        }
        assert_eq!(last, 25 * 60 + 28, "twice the grace, and no more");
        assert_eq!(
            resting.get("/g/fresh").await.status,
            302,
            "without use there is no grace"
        );
        // A freshness in seconds has none at all.
        assert_eq!(busy.get("/g/fresh-600").await.status, 302);
    })
    .await;
}

#[rocket::async_test]
async fn a_proof_of_the_future_is_none_but_for_a_minute() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    app.clock.shift(-59_000);
    assert_eq!(browser.get("/g/fresh-600").await.status, 200);
    assert_eq!(browser.get("/g/fresh").await.status, 200);
    app.clock.shift(-864_000_000);
    assert_eq!(browser.get("/g/fresh-600").await.status, 302);
    assert_eq!(browser.get("/g/fresh").await.status, 302);
}

#[rocket::async_test]
async fn a_negative_freshness_turns_checks_and_page_off() {
    let app = Plan::new().set("freshness.within", -1).start().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    for _ in 0..4 {
        app.later(Duration::from_hours(11));
        assert_eq!(browser.get("/g/fresh").await.status, 200);
    }
    assert_eq!(browser.get("/verify").await.status, 404);
}

#[rocket::async_test]
async fn only_a_session_can_become_fresh() {
    let app = App::new().await;
    let eve = app.user("eve@example.com").await;
    app.user("ada@example.com").await;
    let token = app.token("ada@example.com").await;
    let body = || json!({"password": PASSWORD});
    assert_eq!(app.program().post_json("/verify", body()).await.status, 401);
    assert_eq!(
        app.program()
            .token(&token)
            .post_json("/verify", body())
            .await
            .status,
        401
    );
    assert_eq!(app.browser().get("/verify?next=/me").await.status, 302);
    // Another's token beside a stale session makes nothing fresh.
    let browser = app.signed_in(&eve).await;
    app.later(Duration::from_mins(11));
    let both = browser.copy().in_json().token(&token);
    assert_eq!(both.post_json("/verify", body()).await.status, 401);
    assert_eq!(browser.get("/g/fresh-600").await.status, 302);
}

#[rocket::async_test]
async fn an_account_that_was_shut_meanwhile_proves_nothing() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let browser = app.signed_in(&ada).await;
        let csrf = browser.csrf().await;
        app.sql("UPDATE users SET active = FALSE").await;
        let fields = [("password", PASSWORD), ("csrf_token", csrf.as_str())];
        let answer = browser.post_raw_form("/verify", &fields).await;
        assert!(
            answer.location().is_some_and(|to| to.starts_with("/login")),
            "{}",
            answer.status
        );
        assert!(!browser.is_signed_in().await);
    })
    .await;
}

#[post("/own/pay", data = "<_form>")]
fn pay(_who: Require<Fresh<600>>, _form: Input<Empty>) -> &'static str {
    "paid"
}

#[get("/own/cart")]
fn cart(_who: SignedIn) -> &'static str {
    "cart"
}

#[post("/own/settings", data = "<_form>")]
fn save(_who: Require<Fresh<600>>, _form: Input<Empty>) -> &'static str {
    "saved"
}

#[get("/own/settings")]
fn settings(_who: SignedIn) -> &'static str {
    "settings"
}

#[rocket::async_test]
async fn a_form_that_was_refused_leads_back_to_its_page() {
    on_sqlite(|plan| async move {
        let app = plan
            .set("session.idle", "20 d")
            .mount(routes![pay, cart, save, settings])
            .start()
            .await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        app.later(Duration::from_hours(25));
        let csrf = browser.csrf().await;
        let form = format!("csrf_token={csrf}");
        let refused = async |path: &str, referer: &str| {
            let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
            if !referer.is_empty() {
                headers.push(("Referer", referer));
            }
            let body = Some(form.as_bytes());
            let answer = browser.send(Verb::Post, path, &headers, body).await;
            assert_eq!(answer.status, 302, "{path}: {}", answer.text());
            answer.location().expect("a way").to_string()
        };
        let here = "http://localhost:8000";
        let other = app.signed_in(&ada).await.in_json();
        let sessions = other.get("/sessions").await.json()["response"]["sessions"].clone();
        let id = |session: &Value| session["id"].as_str().map(String::from);
        let theirs = sessions.as_array().unwrap().iter();
        let mut theirs = theirs
            .filter(|session| session["current"] == true)
            .filter_map(id);
        let revoke = format!("/sessions/{}/revoke", theirs.next().expect("a session"));
        for (path, referer, way) in [
            // The page with the form.
            (
                "/own/pay",
                &*format!("{here}/own/cart"),
                "/verify?next=%2Fown%2Fcart",
            ),
            (
                "/own/pay",
                &format!("{here}/own/cart?a=b#c"),
                "/verify?next=%2Fown%2Fcart",
            ),
            (
                "/own/settings",
                &format!("{here}/own/cart"),
                "/verify?next=%2Fown%2Fcart",
            ),
            // None that leads there: the page at the same path, or the one of ours above it.
            ("/own/pay", "", "/verify"),
            ("/own/settings", "", "/verify?next=%2Fown%2Fsettings"),
            ("/own/settings?a=b", "", "/verify?next=%2Fown%2Fsettings"),
            (&revoke, "", "/verify?next=%2Fsessions"),
            (
                &revoke,
                &format!("{here}/own/pay"),
                "/verify?next=%2Fsessions",
            ),
            (
                &revoke,
                &format!("{here}{revoke}"),
                "/verify?next=%2Fsessions",
            ),
            // Other sites, and what only looks like this one.
            ("/own/pay", "https://evil.com/own/cart", "/verify"),
            (
                "/own/pay",
                "http://localhost:8000@evil.com/own/cart",
                "/verify",
            ),
            ("/own/pay", "http://localhost:8001/own/cart", "/verify"),
            ("/own/pay", "http://localhost:8000//evil.com", "/verify"),
            ("/own/pay", "http://localhost:8000/%2fevil.com", "/verify"),
            ("/own/pay", "//evil.com", "/verify"),
            ("/own/pay", "/own/cart", "/verify"),
            ("/own/pay", "http://localhost:8000/nowhere", "/verify"),
        ] {
            assert_eq!(refused(path, referer).await, way, "{path} from {referer}");
        }
        // From there the person comes back, and the form passes.
        let way = refused("/own/pay", &format!("{here}/own/cart")).await;
        let verified = browser.post_form(&way, &[("password", PASSWORD)]).await;
        assert_eq!(verified.location(), Some("/own/cart"));
        let paid = browser.post_form("/own/pay", &[]).await;
        assert_eq!((paid.status, paid.text().as_str()), (200, "paid"));
    })
    .await;
}
