//! "Keep me signed in", at every way to sign in: on by default it can be unticked, and what counts as a sign-in.

use std::time::Duration;

use rocket_security::User;
use serde_json::{Value, json};

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database},
    with_factors::factors::REMEMBER,
    with_passkeys::authenticators::{Key, options, state},
    with_smtp::mailed::{NEW, new_password},
};

const ADA: &str = "ada@example.com";

/// By default people are remembered.
fn plan(plan: Plan) -> Plan {
    plan.set("remember.by_default", true)
}

fn is_kept(browser: &Actor<'_>) -> bool {
    browser.cookie(REMEMBER).is_some()
}

/// What a form says that was sent with the box unticked, ticked, and with a field that says no.
const FORMS: [(Option<&str>, bool); 3] =
    [(None, false), (Some("true"), true), (Some("false"), false)];
/// What a program says.
const BODIES: [(Value, bool); 3] = [
    (Value::Null, true),
    (Value::Bool(true), true),
    (Value::Bool(false), false),
];

fn form<'a>(fields: &[(&'a str, &'a str)], remember: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let ticked = remember.map(|value| ("remember", value));
    fields.iter().copied().chain(ticked).collect()
}

#[rocket::async_test]
async fn the_box_can_be_unticked_at_the_login_page() {
    let app = plan(Plan::new()).start().await;
    app.user(ADA).await;
    for (remember, kept) in FORMS {
        let browser = app.browser();
        let fields = form(&[("email", ADA), ("password", PASSWORD)], remember);
        assert_eq!(browser.post_form("/login", &fields).await.status, 302);
        assert_eq!(is_kept(&browser), kept, "{remember:?}");
    }
    for (remember, kept) in BODIES {
        let browser = app.browser().in_json();
        let body = json!({"email": ADA, "password": PASSWORD, "remember": remember});
        assert_eq!(browser.post_json("/login", body).await.status, 200);
        assert_eq!(is_kept(&browser), kept, "{remember}");
    }
    // A form that comes back keeps what was chosen.
    let answer = app
        .browser()
        .post_form("/login", &[("email", ADA), ("password", "")])
        .await;
    assert!(
        !answer.text().contains("value=\"true\" checked"),
        "{}",
        answer.text()
    );
    assert!(
        app.browser()
            .get("/login")
            .await
            .text()
            .contains("value=\"true\" checked")
    );
}

#[rocket::async_test]
async fn the_box_can_be_unticked_at_unified_sign_in() {
    let app = plan(Plan::new()).set("unified.enabled", true).start().await;
    app.user(ADA).await;
    for (remember, kept) in FORMS {
        let browser = app.browser();
        let fields = form(&[("identity", ADA), ("passcode", PASSWORD)], remember);
        assert_eq!(browser.post_form("/us-signin", &fields).await.status, 302);
        assert_eq!(is_kept(&browser), kept, "{remember:?}");
    }
    // What was chosen when the code was asked for is what the link does.
    for (remember, kept) in FORMS {
        app.later(Duration::from_mins(2));
        let browser = app.browser();
        let fields = form(&[("identity", ADA), ("chosen_method", "email")], remember);
        assert_eq!(
            browser
                .post_form("/us-signin/send-code", &fields)
                .await
                .status,
            200
        );
        let link = app.link_to(ADA, "unified");
        assert_eq!(browser.post_form(&link, &[]).await.status, 302);
        assert_eq!(is_kept(&browser), kept, "{remember:?}");
    }
}

#[rocket::async_test]
async fn the_box_can_be_unticked_where_a_link_signs_in() {
    let app = plan(Plan::new())
        .set("passwordless.enabled", true)
        .start()
        .await;
    app.user(ADA).await;
    for (remember, kept) in FORMS {
        app.later(Duration::from_mins(2));
        let browser = app.browser();
        let fields = form(&[("email", ADA)], remember);
        assert_eq!(browser.post_form("/login/link", &fields).await.status, 200);
        let link = app.link_to(ADA, "passwordless");
        assert_eq!(browser.post_form(&link, &[]).await.status, 302);
        assert_eq!(is_kept(&browser), kept, "{remember:?}");
    }
}

#[rocket::async_test]
async fn what_was_chosen_outlasts_the_second_step() {
    let app = plan(Plan::new()).start().await;
    let user = app.user(ADA).await;
    let phone = app.with_authenticator(&user).await;
    for (remember, kept) in FORMS {
        app.later(Duration::from_mins(2));
        let browser = app.browser();
        let fields = form(&[("email", ADA), ("password", PASSWORD)], remember);
        browser.post_form("/login", &fields).await;
        assert!(!is_kept(&browser), "before the second step");
        let code = phone.code(&app);
        let answer = browser.post_form("/tf-validate", &[("code", &code)]).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert_eq!(is_kept(&browser), kept, "{remember:?}");
    }
}

#[rocket::async_test]
async fn a_passkey_is_asked_with_the_same_box() {
    let app = plan(Plan::new()).start().await;
    let user = app.user(ADA).await;
    let mut key = app.with_passkey(&user, Key::new(), "first").await;
    for (remember, kept) in BODIES {
        let browser = app.browser().in_json();
        let asked = browser
            .post_json("/wan-signin", json!({"remember": remember}))
            .await;
        assert_eq!(asked.json()["response"]["remember"], kept);
        let shown = key.get(&options(&asked));
        let path = format!("/wan-signin/{}", state(&asked));
        let answer = browser.post_json(&path, json!({"credential": shown})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(is_kept(&browser), kept, "{remember}");
    }
    // A page's form without the field was sent unticked.
    let browser = app.browser();
    let page = browser.post_form("/wan-signin", &[]).await;
    assert_eq!(page.status, 200);
    let asked = browser
        .copy()
        .in_json()
        .post_json("/wan-signin", json!({"remember": false}))
        .await;
    let shown = key.get(&options(&asked)).to_string();
    let path = format!("/wan-signin/{}", state(&asked));
    let answer = browser.post_form(&path, &[("credential", &shown)]).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert!(browser.is_signed_in().await && !is_kept(&browser));
}

#[rocket::async_test]
async fn it_counts_where_an_account_is_made() {
    let app = plan(Plan::new().telling()).without_limits().start().await;
    let page = app.browser().get("/register").await.text();
    assert!(page.contains("name=\"remember\"") && page.contains("name=\"remember_box\""));
    // Our page says that it had the box; an application's own form need not have one.
    for (n, (fields, kept)) in [
        (vec![("remember_box", "true")], false),
        (vec![("remember_box", "true"), ("remember", "true")], true),
        (vec![("remember", "false")], false),
        (vec![], true),
    ]
    .into_iter()
    .enumerate()
    {
        let (browser, email) = (app.browser(), format!("{n}@example.com"));
        let mut all = vec![
            ("email", email.as_str()),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        all.extend(fields.iter().copied());
        let answer = browser.post_form("/register", &all).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(browser.is_signed_in().await);
        assert_eq!(is_kept(&browser), kept, "{fields:?}");
    }
    let browser = app.browser().in_json();
    let body = json!({"email": ADA, "password": PASSWORD, "password_confirm": PASSWORD});
    assert_eq!(browser.post_json("/register", body).await.status, 200);
    assert!(is_kept(&browser));
}

#[rocket::async_test]
async fn it_counts_where_a_mail_signs_in() {
    let plan = plan(Plan::new())
        .set("recover.sign_in", true)
        .set("confirm.sign_in", true);
    let app = plan.start().await;
    app.user(ADA).await;
    app.post("/reset", json!({"email": ADA})).await;
    let browser = app.browser().in_json();
    let link = app.link_to(ADA, "recover");
    let answer = browser.post_json(&link, new_password(NEW)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(browser.is_signed_in().await && is_kept(&browser));
    app.user_with("bob@example.com", |new| new.confirmed(false))
        .await;
    app.post("/confirm", json!({"email": "bob@example.com"}))
        .await;
    let browser = app.browser().in_json();
    let link = app.link_to("bob@example.com", "confirm");
    assert_eq!(browser.post_json(&link, json!({})).await.status, 200);
    assert!(browser.is_signed_in().await && is_kept(&browser));
}

#[rocket::async_test]
async fn a_password_that_had_to_be_replaced_first_changes_nothing_of_it() {
    let app = Plan::new().set("recover.sign_in", true).start().await;
    app.user(ADA).await;
    app.sql("UPDATE users SET must_change_password = TRUE")
        .await;
    let browser = app.browser();
    let answer = browser.login_remembered(ADA, PASSWORD).await;
    let path = answer.location().unwrap().to_string();
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let answer = browser.post_form(&path, &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert!(browser.is_signed_in().await && is_kept(&browser));
}

// What counts as a sign-in.

async fn sign_ins(app: &App, user: &User) -> (i64, i64) {
    let row = app.store().find_user(&user.id).await.unwrap().unwrap();
    let count = format!(
        "SELECT sign_in_count AS n FROM users WHERE id = '{}'",
        user.id
    );
    let last = row.current_sign_in_at.map_or(0, |at| at.as_millis());
    (app.number(&count).await, last)
}

#[rocket::async_test]
async fn only_a_sign_in_counts_as_one() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let user = app.user(ADA).await;
        let browser = app.browser().in_json();
        browser.login(ADA, PASSWORD).await;
        let before = sign_ins(&app, &user).await;
        assert_eq!(before.0, 1);
        let admitted = app.admitted().await;
        app.later(Duration::from_mins(1));
        let body = json!({
            "password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW,
        });
        let answer = browser.post_json("/change", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(sign_ins(&app, &user).await, before, "another password");
        browser.add_authenticator().await;
        assert_eq!(sign_ins(&app, &user).await, before, "the first factor");
        browser.post_json("/verify", json!({"password": NEW})).await;
        assert_eq!(sign_ins(&app, &user).await, before, "proving it again");
        assert!(browser.is_signed_in().await);
        assert_eq!(app.admitted().await, admitted, "nobody came in meanwhile");
    })
    .await;
}
