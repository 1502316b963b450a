//! Another password: who may set one, what it ends, and which browser goes on.

use std::time::Duration;

use rocket_security::{EmailAddress, EventKind, NewUser, User};
use serde_json::{Value, json};

use crate::{
    app::{Actor, App, PASSWORD, Plan, WRONG, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::{NEW, SESSION, assert_refused, credentials},
};

const ADA: &str = "ada@example.com";
const REMEMBER: &str = "security_remember";

fn changed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::PasswordChanged { .. })
}

fn change(present: &str, new: &str) -> Value {
    json!({"password": present, "new_password": new, "new_password_confirm": new})
}

async fn without_password(app: &App) -> User {
    let new = NewUser::new(EmailAddress::parse(ADA).unwrap()).confirmed(true);
    app.accounts().create_user(new).await.unwrap()
}

async fn post(actor: &Actor<'_>, body: Value) -> crate::app::Answer {
    actor.post_json("/change", body).await
}

#[rocket::async_test]
async fn the_browser_that_changes_it_goes_on_and_everything_else_ends() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        app.user(ADA).await;
        let inside = app.inside(ADA).await;
        app.post("/reset", json!({"email": ADA})).await;
        let browser = app.browser();
        browser.login_remembered(ADA, PASSWORD).await;
        let before = browser.copy();
        let answer = post(&browser.copy().in_json(), change(PASSWORD, NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["user"], json!({}));
        // The copy above answered for the browser: take what it was given.
        for cookie in answer.cookies() {
            browser.set_cookie(cookie.name(), cookie.value());
        }
        assert_ne!(browser.cookie(SESSION), before.cookie(SESSION));
        assert!(browser.is_signed_in().await);
        browser.forget_cookie(SESSION);
        assert!(browser.is_signed_in().await, "it is remembered still");
        assert!(!before.is_signed_in().await);
        assert_eq!(inside.still().await, [false; 3]);
        let reset = app.link_to(ADA, "recover");
        assert_refused(&app.program().get(&reset).await, 400, "ticket.invalid");
        assert!(app.lets_in(ADA, NEW).await && !app.lets_in(ADA, PASSWORD).await);
        assert_eq!(app.count(changed).await, 1);
        let notice = app.delivered(&server, ADA, 2).await;
        assert!(notice.subject.contains("was changed"), "{}", notice.subject);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_changes_it_by_the_form() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await;
    let old = browser.copy();
    let fields = |present, new, again| {
        [
            ("password", present),
            ("new_password", new),
            ("new_password_confirm", again),
        ]
    };
    for (present, new, again, says) in [
        (WRONG, NEW, NEW, "not your current password"),
        (PASSWORD, PASSWORD, PASSWORD, "the same as the old one"),
        (PASSWORD, NEW, WRONG, "The two passwords are not the same"),
        (PASSWORD, "short", "short", "at least 8 characters"),
    ] {
        let answer = browser
            .submit("/change", &fields(present, new, again))
            .await;
        assert_eq!(answer.status, 200, "{says}");
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
        assert!(!answer.text().contains(NEW) && !answer.text().contains(PASSWORD));
    }
    let answer = browser.submit("/change", &fields(PASSWORD, NEW, NEW)).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    let page = browser.get("/sessions").await.text();
    assert!(page.contains("Your new password is set"));
    assert!(browser.is_signed_in().await && !old.is_signed_in().await);
    assert_eq!(browser.cookie(REMEMBER), None, "as it did not ask before");
    assert_eq!(app.store().sessions_of(&ada.id).await.unwrap().len(), 1);
}

#[rocket::async_test]
async fn everything_wrong_is_said_at_once_and_of_its_field() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let same = post(&browser, change(PASSWORD, PASSWORD)).await;
    assert_refused(&same, 400, "change_password.same");
    assert_eq!(same.field_errors("password").len(), 1);
    let body = json!({"password": "", "new_password": "short", "new_password_confirm": "other"});
    let answer = post(&browser, body).await;
    assert_eq!(answer.status, 400);
    for field in ["password", "new_password", "new_password_confirm"] {
        assert_eq!(
            answer.field_errors(field).len(),
            1,
            "{field}: {}",
            answer.text()
        );
    }
    let wrong = post(&browser, change(WRONG, NEW)).await;
    assert_refused(&wrong, 400, "change_password.wrong");
    assert_eq!(wrong.field_errors("password").len(), 1);
    assert_eq!(app.count(changed).await, 0);
    assert!(app.mails_to(ADA).is_empty());
}

#[rocket::async_test]
async fn wrong_guesses_at_the_present_password_shut_the_door() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let token = app.token(ADA).await;
        // A program is no browser that is known.
        let program = app.program().token(&token);
        for _ in 0..10 {
            assert_refused(
                &post(&program, change(WRONG, NEW)).await,
                400,
                "change_password.wrong",
            );
        }
        assert_eq!(post(&program, change(PASSWORD, NEW)).await.status, 429);
        let elsewhere = app.post("/login", credentials(ADA, PASSWORD)).await;
        assert_eq!(elsewhere.status, 429, "the same door");
        app.later(Duration::from_mins(15));
        assert!(app.lets_in(ADA, PASSWORD).await);
        // A browser in which the owner signed in before has guesses of its own.
        let browser = app.browser();
        browser.login(ADA, PASSWORD).await;
        let browser = browser.in_json();
        for _ in 0..10 {
            assert_refused(
                &post(&browser, change(WRONG, NEW)).await,
                400,
                "change_password.wrong",
            );
        }
        assert_eq!(post(&browser, change(PASSWORD, NEW)).await.status, 429);
        assert!(app.lets_in(ADA, PASSWORD).await);
        assert_eq!(app.count(changed).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_program_gets_a_new_token_if_it_asks() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let old = app.token(ADA).await;
        let program = app.program().token(&old);
        let query = "/change?include_auth_token";
        let answer = program.post_json(query, change(PASSWORD, NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer
                .cookies()
                .iter()
                .all(|cookie| cookie.name() != SESSION)
        );
        let new = answer.json()["response"]["user"]["authentication_token"].clone();
        let new = app.program().token(new.as_str().unwrap());
        assert!(new.is_signed_in().await && !program.is_signed_in().await);
        // Without asking it gets none, and the one it has is dead.
        let answer = post(&new, change(NEW, PASSWORD)).await;
        assert_eq!(answer.json()["response"]["user"], json!({}));
        assert!(!new.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn tokens_outlive_a_new_password_where_the_site_says_so() {
    let app = Plan::new()
        .set("tokens.end_with_password", false)
        .start()
        .await;
    app.user(ADA).await;
    let inside = app.inside(ADA).await;
    let program = app.program().token(&inside.token);
    assert_eq!(post(&program, change(PASSWORD, NEW)).await.status, 200);
    assert_eq!(inside.still().await, [false, true, false]);
}

#[rocket::async_test]
async fn an_account_without_password_gets_one_from_a_fresh_sign_in() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = without_password(&app).await;
        let browser = app.signed_in(&ada).await;
        app.later(Duration::from_hours(11));
        browser.is_signed_in().await;
        app.later(Duration::from_hours(11));
        browser.is_signed_in().await;
        app.later(Duration::from_hours(5));
        let stale = browser.get("/change").await;
        assert_eq!(stale.location(), Some("/verify?next=%2Fchange"));
        let stale = post(&browser.copy().in_json(), change("", NEW)).await;
        assert_refused(&stale, 401, "denied.stale");
        assert_eq!(stale.json()["response"]["reauth_required"], true);
        let fresh = app.signed_in(&ada).await;
        let page = fresh.get("/change").await.text();
        assert!(!page.contains("name=\"password\"") && page.contains("name=\"new_password\""));
        let json = fresh.copy().in_json().get("/change").await.json();
        assert_eq!(json["response"]["active_password"], false);
        let fields = [("new_password", NEW), ("new_password_confirm", NEW)];
        let answer = fresh.submit("/change", &fields).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(fresh.is_signed_in().await && !browser.is_signed_in().await);
        assert!(app.lets_in(ADA, NEW).await);
        assert_eq!(app.count_mails(ADA, "password_changed"), 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_stale_sign_in_will_do_for_whoever_knows_the_password() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    for _ in 0..3 {
        app.later(Duration::from_hours(10));
        assert!(browser.is_signed_in().await);
    }
    assert_eq!(browser.get("/g/fresh").await.status, 401);
    assert_eq!(
        browser.get("/change").await.json()["response"]["active_password"],
        true
    );
    assert_eq!(post(&browser, change(PASSWORD, NEW)).await.status, 200);
}

#[rocket::async_test]
async fn visitors_must_sign_in_first() {
    let app = App::new().await;
    let page = app.browser().get("/change").await;
    assert_eq!(page.location(), Some("/login?next=%2Fchange"));
    assert_eq!(app.post("/change", change(PASSWORD, NEW)).await.status, 401);
    let off = Plan::new()
        .set("change_password.enabled", false)
        .start()
        .await;
    assert_eq!(off.browser().get("/change").await.status, 404);
}
