//! Attacks on factors, found by trying: each got through once.

use std::time::Duration;

use rocket::futures::future::join_all;
use rocket_security::User;
use serde_json::json;

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database},
    with_factors::factors::{Authenticator, Phones, six_digits},
    with_smtp::mailed::{NEW, assert_refused, credentials, new_password},
};

const ADA: &str = "ada@example.com";

fn unified(plan: Plan) -> Plan {
    plan.set("unified.enabled", true)
        .set(
            "unified.methods",
            ["password", "email", "authenticator", "sms"],
        )
        .security(|security| security.sms(Phones::default()))
}

async fn passcode(actor: &Actor<'_>, passcode: &str) -> crate::app::Answer {
    let body = json!({"identity": ADA, "passcode": passcode});
    actor.post_json("/us-signin", body).await
}

/// The code in the newest text message of a kind.
fn texted(app: &App, kind: &str) -> String {
    six_digits(&app.newest("+16502530000", kind).text)
}

/// An account that signs in by an app, whose set-up code is an hour old.
async fn with_app(app: &App, user: &User) -> Authenticator {
    let browser = app.signed_in(user).await.in_json();
    let body = json!({"chosen_method": "authenticator"});
    let shown = browser.post_json("/us-setup", body).await.json()["response"].clone();
    let key = shown["authr_b32key"].as_str().unwrap().to_string();
    let phone = Authenticator { key };
    let path = format!("/us-setup/{}", shown["state"].as_str().unwrap());
    let body = json!({"passcode": phone.code(app)});
    assert_eq!(browser.post_json(&path, body).await.status, 200);
    app.later(Duration::from_hours(1));
    phone
}

#[rocket::async_test]
async fn a_code_behind_a_password_too_long_is_judged_by_nobody() {
    let app = unified(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let phone = with_app(&app, &ada).await;
    let padded = format!("{}{}", phone.code(&app), " ".repeat(4_200));
    let answer = passcode(&app.program(), &padded).await;
    assert_refused(&answer, 400, "password.too_long");
    // At `/us-verify` as well.
    let browser = app.signed_in(&ada).await.in_json();
    let body = json!({"passcode": padded});
    let answer = browser.post_json("/us-verify", body).await;
    assert_refused(&answer, 400, "password.too_long");
    // None of them has used the code up.
    assert_eq!(
        passcode(&app.program(), &phone.code(&app)).await.status,
        200
    );
}

#[rocket::async_test]
async fn of_many_codes_at_once_no_more_are_judged_than_the_limit_allows() {
    for_each_database(|on| async move {
        let app = unified(on).start().await;
        let ada = app.user(ADA).await;
        let phone = with_app(&app, &ada).await;
        let (wrong, right) = (phone.wrong(&app), phone.code(&app));
        let guesses = (0..40).map(|n| {
            let (program, code) = (app.program(), if n == 39 { &right } else { &wrong });
            async move { passcode(&program, code).await.status }
        });
        let statuses = join_all(guesses).await;
        let wrong = statuses.iter().filter(|status| **status == 400).count();
        assert!(wrong <= 10, "{statuses:?}");
        // The right one was among the first ten, or was refused like the others.
        if statuses[39] == 429 {
            let answer = passcode(&app.program(), &right).await;
            assert_eq!(answer.status, 429);
        }
    })
    .await;
}

#[rocket::async_test]
async fn reading_the_mailbox_gives_no_more_guesses_at_the_factor() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let mut judged = 0;
        for _ in 0..4 {
            let thief = app.browser().in_json();
            thief.post_json("/reset", json!({"email": ADA})).await;
            let link = app.link_to(ADA, "recover");
            let answer = thief.post_json(&link, new_password(NEW)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            for _ in 0..12 {
                thief.post_json("/login", credentials(ADA, NEW)).await;
                let answer = thief.validate(&phone.wrong(&app)).await;
                if answer.codes() == ["factor.code_wrong"] {
                    judged += 1;
                }
            }
            // Within the time in which guesses are added up.
            app.later(Duration::from_mins(3));
        }
        assert_eq!(judged, 10);
    })
    .await;
}

#[rocket::async_test]
async fn over_a_day_an_account_takes_so_many_guesses_and_no_more() {
    let app = Plan::new().start().await;
    let ada = app.user(ADA).await;
    let phone = app.with_authenticator(&ada).await;
    let mut judged = 0;
    for _ in 0..40 {
        let thief = app.browser().in_json();
        thief.post_json("/login", credentials(ADA, PASSWORD)).await;
        for _ in 0..5 {
            let answer = thief.validate(&phone.wrong(&app)).await;
            judged += usize::from(answer.codes() == ["factor.code_wrong"]);
        }
        app.later(Duration::from_mins(16));
    }
    assert_eq!(judged, 50);
}

#[rocket::async_test]
async fn a_browser_of_before_the_factor_has_no_guesses_of_its_own() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let mut thieves = Vec::new();
        for _ in 0..3 {
            let thief = app.browser().in_json();
            assert_eq!(thief.login(ADA, PASSWORD).await.status, 200);
            assert!(thief.cookie("security_device").is_some());
            thieves.push(thief);
        }
        let phone = app.with_authenticator(&ada).await;
        let mut judged = 0;
        for thief in &thieves {
            for _ in 0..6 {
                thief.forget_cookie("security_session");
                thief.post_json("/login", credentials(ADA, PASSWORD)).await;
                let answer = thief.validate(&phone.wrong(&app)).await;
                judged += usize::from(answer.codes() == ["factor.code_wrong"]);
            }
        }
        assert_eq!(judged, 10);
    })
    .await;
}

#[rocket::async_test]
async fn a_sign_in_that_must_set_a_factor_up_sends_few_messages() {
    let app = Plan::new()
        .set("two_factor.required", true)
        .set("two_factor.methods", ["sms"])
        .security(|security| security.sms(Phones::default()))
        .start()
        .await;
    app.user(ADA).await;
    let browser = app.waiting(ADA).await;
    let mut sent = 0;
    for n in 0..20 {
        let body = json!({"setup": "sms", "phone": format!("+1650253{n:04}")});
        sent += usize::from(browser.post_json("/tf-setup", body).await.status == 200);
    }
    assert_eq!(sent, 10);
}

#[rocket::async_test]
async fn whoever_knows_the_number_does_not_keep_its_owner_out() {
    for_each_database(|plan| async move {
        let app = plan
            .set("two_factor.methods", ["sms"])
            .security(|security| security.sms(Phones::default()))
            .start()
            .await;
        let setup = json!({"setup": "sms", "phone": "+16502530000"});
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let begun = browser.begin_setup(setup.clone()).await;
        let code = texted(&app, "two_factor");
        browser.finish_setup(&begun, &code).await;
        let eve = app.user("eve@example.com").await;
        let thief = app.signed_in(&eve).await.in_json();
        for _ in 0..8 {
            thief.post_json("/tf-setup", setup.clone()).await;
        }
        let waiting = app.waiting(ADA).await;
        let code = texted(&app, "two_factor");
        assert_eq!(waiting.validate(&code).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_phone_that_was_removed_signs_in_no_more_not_even_by_a_code_on_its_way() {
    for_each_database(|on| async move {
        let app = unified(on).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let body = json!({"chosen_method": "sms", "phone": "+16502530000"});
        let shown = browser.post_json("/us-setup", body).await.json()["response"].clone();
        let path = format!("/us-setup/{}", shown["state"].as_str().unwrap());
        let body = json!({"passcode": texted(&app, "two_factor")});
        assert_eq!(browser.post_json(&path, body).await.status, 200);
        app.later(Duration::from_mins(10));
        let body = json!({"identity": ADA, "chosen_method": "sms"});
        app.program().post_json("/us-signin/send-code", body).await;
        let code = texted(&app, "unified_sms");
        let body = json!({"delete_method": "sms"});
        assert_eq!(browser.post_json("/us-setup", body).await.status, 200);
        assert_refused(&passcode(&app.program(), &code).await, 400, "us.wrong");
    })
    .await;
}

#[rocket::async_test]
async fn asking_for_a_way_that_an_account_lacks_leaves_its_mailed_code_good() {
    for_each_database(|on| async move {
        let app = unified(on).start().await;
        app.user(ADA).await;
        let body = json!({"identity": ADA, "chosen_method": "email"});
        app.program().post_json("/us-signin/send-code", body).await;
        let code = app.code_to(ADA, "unified");
        app.later(Duration::from_secs(1));
        let body = json!({"identity": ADA, "chosen_method": "sms"});
        app.program().post_json("/us-signin/send-code", body).await;
        assert_eq!(passcode(&app.program(), &code).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_step_up_writes_nothing_for_a_factor_that_is_not_there() {
    let app = Plan::new().start().await;
    let ada = app.user(ADA).await;
    app.with_authenticator(&ada).await;
    let browser = app.signed_in(&ada).await.in_json();
    let tickets = "SELECT COUNT(*) AS n FROM security_tickets WHERE purpose = 'second_step'";
    let before = app.number(tickets).await;
    let next = format!("/{}", "a".repeat(4_000));
    let body = json!({"which": "nonsense", "next": next});
    for _ in 0..20 {
        assert_eq!(
            browser.post_json("/tf-select", body.clone()).await.status,
            400
        );
    }
    assert_eq!(app.number(tickets).await, before);
}

#[rocket::async_test]
async fn an_owner_is_not_buried_in_notices() {
    let app = Plan::new().start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    browser.add_authenticator().await;
    for _ in 0..30 {
        browser.post_json("/mf-recovery-codes", json!({})).await;
    }
    assert_eq!(app.count_mails(ADA, "recovery_codes_new"), 10);
}

#[rocket::async_test]
async fn a_mailbox_alone_does_not_pass_an_account_that_has_an_app_too() {
    for_each_database(|on| async move {
        let app = unified(on).start().await;
        let ada = app.user(ADA).await;
        app.with_mailed_codes(&ada).await;
        let owner = app.waiting(ADA).await;
        owner.validate(&app.code_to(ADA, "two_factor")).await;
        let phone = owner.add_authenticator().await;
        app.later(Duration::from_hours(1));
        let browser = app.browser().in_json();
        let body = json!({"identity": ADA, "chosen_method": "email"});
        browser.post_json("/us-signin/send-code", body).await;
        let answer = passcode(&browser, &app.code_to(ADA, "unified")).await;
        // There is one way left to choose, and it is chosen.
        assert_eq!(answer.json()["response"]["tf_method"], "authenticator");
        let body = json!({"which": "email"});
        let answer = browser.post_json("/tf-select", body).await;
        assert_refused(&answer, 400, "factor.unknown_method");
        assert_eq!(browser.validate(&phone.code(&app)).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_mailbox_shown_twice_makes_no_browser_a_trusted_one() {
    let app = unified(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    app.with_mailed_codes(&ada).await;
    let browser = app.browser().in_json();
    let body = json!({"identity": ADA, "chosen_method": "email"});
    browser.post_json("/us-signin/send-code", body).await;
    passcode(&browser, &app.code_to(ADA, "unified")).await;
    let code = app.code_to(ADA, "two_factor");
    let body = json!({"code": code, "remember_device": true});
    assert_eq!(browser.post_json("/tf-validate", body).await.status, 200);
    assert_eq!(browser.cookie(crate::with_factors::factors::TRUSTED), None);
}
