//! Recovery codes: made and shown once, each good once, for whoever has lost everything else.

use std::time::Duration;

use rocket::futures::future::join_all;
use rocket_security::{EventKind, Method, User};
use serde_json::json;

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database},
    with_factors::factors::{Authenticator, REMEMBER, TRUSTED},
    with_smtp::mailed::{assert_refused, credentials},
};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

/// Makes codes for an account with an authenticator, in a browser that is signed in.
async fn make(browser: &Actor<'_>) -> Vec<String> {
    let answer = browser.post_json("/mf-recovery-codes", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let codes = answer.json()["response"]["recovery_codes"].clone();
    serde_json::from_value(codes).expect("codes")
}

async fn with_codes(plan: Plan) -> (App, User, Authenticator, Vec<String>) {
    let app = plan.start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let phone = browser.add_authenticator().await;
    let codes = make(&browser).await;
    app.later(Duration::from_hours(1));
    (app, ada, phone, codes)
}

async fn left(app: &App, user: &User) -> usize {
    app.store().recovery_codes_left(&user.id).await.unwrap()
}

/// Types a recovery code.
async fn recover(browser: &Actor<'_>, code: &str) -> crate::app::Answer {
    browser
        .post_json("/mf-recovery", json!({"code": code}))
        .await
}

fn used(kind: &EventKind) -> bool {
    matches!(kind, EventKind::RecoveryCodeUsed { .. })
}

#[rocket::async_test]
async fn they_are_shown_when_they_are_made_and_never_again() {
    for_each_database(|plan| async move {
        let (app, ada, _, codes) = with_codes(plan).await;
        assert_eq!((codes.len(), left(&app, &ada).await), (10, 10));
        for code in &codes {
            assert!(code.len() == 14 && code.split('-').count() == 3, "{code}");
        }
        let made = |kind: &EventKind| matches!(kind, EventKind::RecoveryCodesGenerated { .. });
        assert_eq!(
            (
                app.count(made).await,
                app.count_mails(ADA, "recovery_codes_new")
            ),
            (1, 1)
        );
        let browser = app.waiting(ADA).await;
        assert_eq!(recover(&browser, &codes[0]).await.status, 200);
        for path in [
            "/mf-recovery-codes",
            "/mf-recovery-codes?show_codes=1",
            "/tf-setup",
        ] {
            for actor in [browser.copy(), browser.copy().of_pages()] {
                let text = actor.get(path).await.text();
                assert!(!codes.iter().any(|code| text.contains(code)), "{path}");
            }
        }
        let shown = browser.get("/mf-recovery-codes").await.json()["response"].clone();
        assert_eq!(
            (&shown["left"], &shown["recovery_codes"]),
            (&json!(9), &json!([]))
        );
        let mail = app.newest(ADA, "recovery_codes_new");
        assert!(!codes.iter().any(|code| mail.text.contains(code)));
        // On the page, with a file to save.
        let browser = browser.of_pages();
        let page = browser.submit("/mf-recovery-codes", &[]).await.text();
        assert!(page.contains("recovery-codes.txt") && page.contains("only now"));
        assert_eq!(page.matches("<li><code>").count(), 10);
        assert!(!codes.iter().any(|code| page.contains(code)));
    })
    .await;
}

#[rocket::async_test]
async fn only_whoever_has_a_factor_and_a_fresh_session_makes_them() {
    for_each_database(|plan| async move {
        let app = plan
            .set("freshness.within", "30 min")
            .set("freshness.grace", 0)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let answer = browser.post_json("/mf-recovery-codes", json!({})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        browser.add_authenticator().await;
        let codes = make(&browser).await;
        app.later(Duration::from_mins(31));
        for answer in [
            browser.get("/mf-recovery-codes").await,
            browser.post_json("/mf-recovery-codes", json!({})).await,
        ] {
            assert_eq!(answer.status, 401, "{}", answer.text());
            assert_eq!(answer.json()["response"]["reauth_required"], true);
        }
        assert_eq!((codes.len(), left(&app, &ada).await), (10, 10));
    })
    .await;
}

#[rocket::async_test]
async fn each_is_good_once_however_it_is_written() {
    for_each_database(|plan| async move {
        let (app, ada, _, codes) = with_codes(plan.without_limits()).await;
        let before = app.admitted().await;
        let plain = codes[1].replace('-', "");
        let mistaken = codes[3].replace('0', "o").replace('1', "l");
        let written = [
            codes[0].clone(),
            plain,
            codes[2].to_lowercase(),
            mistaken,
            format!(" {} \n", codes[4].replace('-', " ").to_lowercase()),
        ];
        for (n, code) in written.iter().enumerate() {
            let browser = app.browser().in_json();
            let body = json!({"email": ADA, "password": PASSWORD, "remember": true});
            browser.post_json("/login", body).await;
            browser.has_nothing().await;
            let body = json!({"code": code, "remember_device": true});
            let answer = browser
                .post_json("/mf-recovery?include_auth_token", body)
                .await;
            assert_eq!(answer.status, 200, "{code}: {}", answer.text());
            assert!(browser.is_signed_in().await);
            assert!(answer.json()["response"]["user"]["authentication_token"].is_string());
            // It makes no browser a trusted one; what was asked at the sign-in is kept.
            assert!(browser.cookie(TRUSTED).is_none() && browser.cookie(REMEMBER).is_some());
            assert_eq!(browser.get("/g/mfa").await.status, 200);
            assert_eq!(left(&app, &ada).await, 9 - n);
            let notice = app.newest(ADA, "recovery_code_used");
            assert!(
                notice.text.contains(&(9 - n).to_string()),
                "{}",
                notice.text
            );
            assert!(!notice.text.contains(code.trim()));
            let browser = app.waiting(ADA).await;
            for again in [code, &codes[n]] {
                assert_refused(&recover(&browser, again).await, 400, "mf.code_wrong");
            }
            browser.has_nothing().await;
        }
        assert_eq!(app.count(used).await, 5);
        let by_code = |kind: &EventKind| {
            matches!(kind, EventKind::Authenticated { methods, .. }
                if methods.contains(Method::RecoveryCode))
        };
        assert_eq!(app.count(by_code).await, 5);
        assert_eq!(app.count_mails(ADA, "recovery_code_used"), 5);
        assert_eq!(app.admitted().await - before, 5);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_uses_one_by_the_pages() {
    for_each_database(|plan| async move {
        let (app, ada, _, codes) = with_codes(plan).await;
        let browser = app.browser();
        browser.login(ADA, PASSWORD).await;
        let answer = browser
            .submit("/tf-rescue", &[("help_setup", "recovery_code")])
            .await;
        assert_eq!(answer.location(), Some("/mf-recovery"));
        let page = browser
            .submit("/mf-recovery", &[("code", "AAAA-BBBB-CCCC")])
            .await;
        assert!(page.status == 200 && page.text().contains("not right"));
        let answer = browser.press(&page, &[("code", &codes[0])]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(browser.is_signed_in().await);
        assert_eq!(left(&app, &ada).await, 9);
    })
    .await;
}

#[rocket::async_test]
async fn of_five_sign_ins_at_once_with_one_code_exactly_one_gets_in() {
    for_each_database(|plan| async move {
        let (app, ada, _, codes) = with_codes(plan.without_limits()).await;
        for (n, code) in codes.iter().take(5).enumerate() {
            let before = app.admitted().await;
            let mut waiting = Vec::new();
            for _ in 0..5 {
                waiting.push(app.waiting(ADA).await);
            }
            let answers = join_all(waiting.iter().map(|browser| recover(browser, code))).await;
            let good = answers.iter().filter(|answer| answer.status == 200).count();
            let bad = answers.iter().filter(|answer| answer.status == 400).count();
            assert_eq!((good, bad), (1, 4));
            assert_eq!(app.admitted().await - before, 1);
            assert_eq!(left(&app, &ada).await, 9 - n);
        }
        assert_eq!(app.count(used).await, 5);
        assert_eq!(app.count_mails(ADA, "recovery_code_used"), 5);
    })
    .await;
}

#[rocket::async_test]
async fn new_ones_end_the_old_and_nobody_uses_those_of_others() {
    for_each_database(|plan| async move {
        let (app, ada, phone, codes) = with_codes(plan.without_limits()).await;
        let bob = app.user(BOB).await;
        let browser = app.signed_in(&bob).await.in_json();
        browser.add_authenticator().await;
        let bobs = make(&browser).await;
        let waiting = app.waiting(ADA).await;
        for code in [
            bobs[0].as_str(),
            "",
            "-",
            "000000000000",
            &"0".repeat(5_000),
        ] {
            let answer = recover(&waiting, code).await;
            assert_refused(&answer, 400, "mf.code_wrong");
        }
        // Five guesses, and the challenge is dead, for codes of the app too.
        let answer = recover(&waiting, &codes[0]).await;
        assert_refused(&answer, 400, "tf.no_pending");
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        assert_eq!((left(&app, &ada).await, left(&app, &bob).await), (10, 10));

        let waiting = app.waiting(ADA).await;
        assert_eq!(waiting.validate(&phone.code(&app)).await.status, 200);
        let newer = make(&waiting).await;
        assert_eq!(left(&app, &ada).await, 10);
        let waiting = app.waiting(ADA).await;
        assert_refused(&recover(&waiting, &codes[1]).await, 400, "mf.code_wrong");
        assert_eq!(recover(&waiting, &newer[0]).await.status, 200);
        // A code of the app is none of these, nor the other way round.
        app.later(Duration::from_mins(2));
        let waiting = app.waiting(ADA).await;
        let answer = recover(&waiting, &phone.code(&app)).await;
        assert_refused(&answer, 400, "mf.code_wrong");
        let answer = waiting.validate(&newer[1]).await;
        assert_refused(&answer, 400, "factor.code_wrong");
        waiting.has_nothing().await;
    })
    .await;
}

#[rocket::async_test]
async fn wrong_ones_shut_the_account() {
    for_each_database(|plan| async move {
        let (app, ada, _, codes) = with_codes(plan).await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(app.waiting(ADA).await);
        }
        for n in 0..10 {
            let answer = recover(&waiting[n / 4], "AAAA-BBBB-CCCC").await;
            assert_refused(&answer, 400, "mf.code_wrong");
        }
        assert_eq!(recover(&waiting[2], &codes[0]).await.status, 429);
        let answer = app.post("/login", credentials(ADA, PASSWORD)).await;
        assert_eq!(answer.status, 429);
        assert_eq!(left(&app, &ada).await, 10);
    })
    .await;
}

#[rocket::async_test]
async fn without_the_feature_there_are_none() {
    let app = Plan::new()
        .set("recovery_codes.enabled", false)
        .start()
        .await;
    let ada = app.user(ADA).await;
    app.with_authenticator(&ada).await;
    let browser = app.waiting(ADA).await;
    for path in ["/mf-recovery", "/mf-recovery-codes"] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    let answer = browser
        .post_json("/tf-rescue", json!({"help_setup": "recovery_code"}))
        .await;
    assert_refused(&answer, 400, "factor.unknown_method");
    // So many as are wanted.
    let app = Plan::new().set("recovery_codes.count", 3).start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    browser.add_authenticator().await;
    assert_eq!(make(&browser).await.len(), 3);
}
