//! The second step of a sign-in: who gets through it, and everything that must not get around it.

use std::time::Duration;

use rocket::{futures::future::join_all, post, routes};
use rocket_security::{Error, EventKind, Method, Methods, SignIn, User, prelude::*};
use serde_json::json;

use crate::{
    app::{Actor, Answer, App, PASSWORD, Plan, for_each_database, on_sqlite},
    with_factors::factors::{Authenticator, PENDING, REMEMBER, TRUSTED},
    with_smtp::mailed::{NEW, SESSION, assert_refused, credentials, link_in, new_password},
};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

/// An account with an authenticator; nothing has come in since.
async fn with_ada(plan: Plan) -> (App, User, Authenticator) {
    let app = plan.start().await;
    let ada = app.user(ADA).await;
    let phone = app.with_authenticator(&ada).await;
    let ada = app.store().find_user(&ada.id).await.unwrap().unwrap();
    (app, ada, phone)
}

fn passed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::SecondFactorPassed { .. })
}

// Getting in.

#[rocket::async_test]
async fn a_program_is_told_what_is_owed_and_gets_in_by_the_code() {
    on_sqlite(|plan| async move {
        let (app, _, phone) = with_ada(plan).await;
        let before = app.admitted().await;
        let browser = app.browser().in_json();
        let body = json!({"email": ADA, "password": PASSWORD, "remember": true});
        let path = "/login?include_auth_token";
        let answer = browser.post_json(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut response = answer.json()["response"].clone();
        assert!(response["csrf_token"].is_string());
        response.as_object_mut().unwrap().remove("csrf_token");
        let owed = json!({
            "tf_required": true, "tf_state": "ready",
            "tf_method": "authenticator", "tf_primary_method": "authenticator",
        });
        assert_eq!(response, owed);
        browser.has_nothing().await;
        assert_eq!(app.admitted().await, before);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM security_sessions").await, 1);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM security_tokens").await, 0);

        let shown = browser.get("/tf-validate").await;
        assert_eq!(shown.json()["response"]["tf_method"], "authenticator");
        let code = json!({"code": phone.code(&app)});
        let path = "/tf-validate?include_auth_token";
        let answer = browser.post_json(path, code).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(browser.is_signed_in().await);
        let user = &answer.json()["response"]["user"];
        let token = user["authentication_token"].as_str().expect("a token");
        assert!(app.program().token(token).is_signed_in().await);
        assert!(browser.cookie(PENDING).is_none() && browser.cookie(REMEMBER).is_some());
        browser.forget_cookie(SESSION);
        assert!(browser.is_signed_in().await, "the choice was carried over");
        let by_both = Methods::of(Method::Password).and(Method::Authenticator);
        let both = |kind: &EventKind| {
            matches!(kind, EventKind::Authenticated { methods, .. } if *methods == by_both)
        };
        let remembered = |kind: &EventKind| {
            let by = Methods::of(Method::Remembered);
            matches!(kind, EventKind::Authenticated { methods, .. } if *methods == by)
        };
        // By the code, and by the remembered device afterwards: setting a factor up signs nobody in.
        assert_eq!((app.count(both).await, app.count(passed).await), (1, 1));
        assert_eq!(app.count(remembered).await, 1);
        // What was shown in another session was not shown in this one.
        let refused = browser.get("/g/mfa").await;
        assert_eq!((refused.status, refused.codes()), (401, vec!["denied.stale".into()]));
    })
    .await;
}

#[rocket::async_test]
async fn a_program_without_cookies_shows_what_waits_in_a_header() {
    on_sqlite(|plan| async move {
        let (app, _, phone) = with_ada(plan).await;
        let begin = async || {
            let body = json!({"email": ADA, "password": PASSWORD});
            let answer = app.program().post_json("/login", body).await;
            assert_eq!(answer.json()["response"]["tf_required"], true);
            let token = &answer.json()["response"]["second_step_token"];
            token.as_str().unwrap().to_string()
        };
        let validate = async |token: &str, code: &str| {
            let program = app.program().header("Second-Step-Token", token);
            let path = "/tf-validate?include_auth_token";
            program.post_json(path, json!({"code": code})).await
        };
        let (token, other) = (begin().await, begin().await);
        let code = phone.code(&app);
        let (secret, browser) = token.split_once('.').unwrap();
        let (_, elsewhere) = other.split_once('.').unwrap();
        for wrong in [
            String::new(),
            ".".into(),
            secret.into(),
            format!("{secret}."),
            format!("{secret}.{elsewhere}"),
            format!("{browser}.{secret}"),
        ] {
            let answer = validate(&wrong, &code).await;
            assert_eq!(answer.status, 400, "{wrong}");
            assert_eq!(answer.codes(), ["tf.no_pending"], "{wrong}");
        }
        // It opens nothing by itself, and nothing in a browser with cookies.
        assert!(!app.program().token(&token).is_signed_in().await);
        let cookies = app.browser().in_json().header("Second-Step-Token", &token);
        let answer = cookies
            .post_json("/tf-validate", json!({"code": code}))
            .await;
        assert_eq!(answer.codes(), ["tf.no_pending"]);

        let answer = validate(&token, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let given = &answer.json()["response"]["user"]["authentication_token"];
        let program = app.program().token(given.as_str().unwrap());
        assert!(program.is_signed_in().await);
        app.later(Duration::from_hours(1));
        let answer = validate(&token, &phone.code(&app)).await;
        assert_eq!(answer.codes(), ["tf.no_pending"], "used");
        // Who keeps cookies is told nothing of the sort.
        let browser = app.browser().in_json();
        browser.get("/login").await;
        let answer = browser
            .post_json("/login", credentials(ADA, PASSWORD))
            .await;
        assert!(answer.json()["response"].get("second_step_token").is_none());
    })
    .await;
}

#[rocket::async_test]
async fn a_person_is_led_to_the_code_and_on_to_where_they_wanted() {
    on_sqlite(|plan| async move {
        let (app, _, phone) = with_ada(plan).await;
        let browser = app.browser();
        let fields = [("email", ADA), ("password", PASSWORD)];
        let answer = browser.post_form("/login?next=/g/signed-in", &fields).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/tf-validate"))
        );
        browser.has_nothing().await;
        let page = browser.get("/tf-validate").await;
        assert_eq!(page.status, 200);
        let text = page.text();
        assert!(text.contains("autocomplete=\"one-time-code\""), "{text}");
        assert!(text.contains("inputmode=\"numeric\""), "{text}");
        assert!(text.contains("authenticator app"), "{text}");
        let wrong = phone.wrong(&app);
        let again = browser.press(&page, &[("code", &wrong)]).await;
        assert_eq!(again.status, 200);
        assert!(
            again.text().contains("wrong or has expired"),
            "{}",
            again.text()
        );
        browser.has_nothing().await;
        let code = phone.code(&app);
        let answer = browser.press(&again, &[("code", &code)]).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/g/signed-in"))
        );
        assert!(browser.is_signed_in().await);
        assert_eq!(browser.cookie(REMEMBER), None, "it was not asked for");
        assert_eq!(browser.cookie(TRUSTED), None, "it was not asked for");
    })
    .await;
}

#[rocket::async_test]
async fn of_several_one_is_chosen_first() {
    on_sqlite(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        app.with_mailed_codes(&ada).await;
        let browser = app.waiting(ADA).await;
        browser.validate(&app.code_to(ADA, "two_factor")).await;
        assert!(browser.is_signed_in().await);
        let phone = browser.add_authenticator().await;
        app.later(Duration::from_hours(1));

        let mails = app.count_mails(ADA, "two_factor");
        let browser = app.browser().in_json();
        let answer = browser.login(ADA, PASSWORD).await;
        let response = &answer.json()["response"];
        assert_eq!(
            (&response["tf_required"], &response["tf_select"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            response["tf_setup_methods"],
            json!(["email", "authenticator"])
        );
        // Nothing is sent, and no code is good, before one is chosen.
        assert_eq!(app.count_mails(ADA, "two_factor"), mails);
        // However often it is tried, it costs the challenge nothing.
        for _ in 0..7 {
            let answer = browser.validate(&phone.code(&app)).await;
            assert_refused(&answer, 400, "tf.choose_first");
        }
        assert!(!browser.is_signed_in().await);
        app.later(Duration::from_mins(1));
        for (which, kind) in [
            ("none", "factor.unknown_method"),
            ("sms", "factor.unknown_method"),
        ] {
            let answer = browser
                .post_json("/tf-select", json!({"which": which}))
                .await;
            assert_refused(&answer, 400, kind);
        }
        let chosen = json!({"which": "email"});
        let answer = browser.post_json("/tf-select", chosen).await;
        assert_eq!(answer.json()["response"]["tf_method"], "email");
        assert_eq!(app.count_mails(ADA, "two_factor"), mails + 1);
        let mailed = app.code_to(ADA, "two_factor");
        // A code of the other one is none of this one.
        assert_eq!(browser.validate(&phone.code(&app)).await.status, 400);
        app.later(Duration::from_mins(1));
        let chosen = json!({"which": "authenticator"});
        browser.post_json("/tf-select", chosen).await;
        assert_eq!(browser.validate(&mailed).await.status, 400);
        let answer = browser.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(browser.is_signed_in().await);

        // By the pages.
        app.later(Duration::from_mins(1));
        let browser = app.browser();
        let answer = browser.login(ADA, PASSWORD).await;
        assert_eq!(answer.location(), Some("/tf-select"));
        let page = browser.get("/tf-validate").await;
        assert_eq!((page.status, page.location()), (302, Some("/tf-select")));
        let factors = app.store().factors_of(&ada.id).await.unwrap();
        let answer = browser
            .submit("/tf-select", &[("which", &factors[0].id)])
            .await;
        assert_eq!(answer.location(), Some("/tf-validate"));
        let page = browser.get("/tf-validate").await.text();
        assert!(
            page.contains("a***@example.com") && !page.contains(ADA),
            "{page}"
        );
        assert!(page.contains("Use another way"), "{page}");
        let mailed = app.code_to(ADA, "two_factor");
        let answer = browser.submit("/tf-validate", &[("code", &mailed)]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(browser.is_signed_in().await);
    })
    .await;
}

// Codes that are none.

#[rocket::async_test]
async fn a_code_is_good_once_and_none_of_a_step_before_it() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let phone = browser.add_authenticator().await;
        // The code of the set-up is used up, and what it showed before.
        let waiting = app.waiting(ADA).await;
        for steps in [0, -1, -2, 2] {
            let answer = waiting.validate(&phone.step(&app, steps)).await;
            assert_refused(&answer, 400, "factor.code_wrong");
        }
        waiting.has_nothing().await;
        // One step ahead is taken, and uses up all before it.
        let waiting = app.waiting(ADA).await;
        let used = phone.step(&app, 1);
        assert_eq!(waiting.validate(&used).await.status, 200);
        assert!(waiting.is_signed_in().await);
        for _ in 0..2 {
            let waiting = app.waiting(ADA).await;
            assert_refused(&waiting.validate(&used).await, 400, "factor.code_wrong");
            waiting.has_nothing().await;
            app.later(Duration::from_secs(30));
        }
        // One step behind is taken too.
        app.later(Duration::from_mins(5));
        for (steps, taken) in [(-2, false), (2, false), (-1, true)] {
            let waiting = app.waiting(ADA).await;
            let answer = waiting.validate(&phone.step(&app, steps)).await;
            assert_eq!(answer.status == 200, taken, "{steps}: {}", answer.text());
            assert_eq!(waiting.is_signed_in().await, taken, "{steps}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn of_twenty_at_once_with_one_code_exactly_one_gets_in() {
    for_each_database(|plan| async move {
        let (app, _, phone) = with_ada(plan.without_limits()).await;
        for _ in 0..3 {
            let before = app.admitted().await;
            let mut waiting = Vec::new();
            for _ in 0..20 {
                waiting.push(app.waiting(ADA).await);
            }
            let code = phone.code(&app);
            let answers = join_all(waiting.iter().map(|browser| browser.validate(&code))).await;
            let good = answers.iter().filter(|answer| answer.status == 200).count();
            let bad = answers.iter().filter(|answer| answer.status == 400).count();
            assert_eq!((good, bad), (1, 19));
            let mut inside = 0;
            for browser in &waiting {
                inside += usize::from(browser.is_signed_in().await);
            }
            assert_eq!((inside, app.admitted().await - before), (1, 1));
            app.later(Duration::from_mins(2));
            // One challenge, twenty times.
            let one = app.waiting(ADA).await;
            let copies: Vec<_> = (0..20).map(|_| one.copy()).collect();
            let code = phone.code(&app);
            let answers = join_all(copies.iter().map(|browser| browser.validate(&code))).await;
            let good = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!((good, app.admitted().await - before), (1, 2));
            app.later(Duration::from_mins(2));
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_challenge_is_dead_after_a_few_wrong_codes() {
    for_each_database(|plan| async move {
        let (app, _, phone) = with_ada(plan.without_limits()).await;
        let before = app.admitted().await;
        let waiting = app.waiting(ADA).await;
        let wrong = phone.wrong(&app);
        for n in 0..10 {
            let code = if n < 5 {
                "factor.code_wrong"
            } else {
                "tf.no_pending"
            };
            assert_refused(&waiting.validate(&wrong).await, 400, code);
        }
        assert_refused(
            &waiting.validate(&phone.code(&app)).await,
            400,
            "tf.no_pending",
        );
        waiting.has_nothing().await;
        assert_eq!(app.admitted().await, before);
        // Of many at once no more are judged.
        let waiting = app.waiting(ADA).await;
        let copies: Vec<_> = (0..30).map(|_| waiting.copy()).collect();
        let answers = join_all(copies.iter().map(|browser| browser.validate(&wrong))).await;
        let judged = |answer: &&Answer| answer.codes() == ["factor.code_wrong"];
        assert_eq!(answers.iter().filter(judged).count(), 5);
        // And so for codes that were mailed.
        let bob = app.user(BOB).await;
        app.with_mailed_codes(&bob).await;
        let waiting = app.waiting(BOB).await;
        let right = app.code_to(BOB, "two_factor");
        let wrong = if right == "000000" {
            "000001"
        } else {
            "000000"
        };
        for _ in 0..5 {
            assert_refused(&waiting.validate(wrong).await, 400, "factor.code_wrong");
        }
        assert_refused(&waiting.validate(&right).await, 400, "tf.no_pending");
        waiting.has_nothing().await;
    })
    .await;
}

#[rocket::async_test]
async fn wrong_codes_shut_the_account_over_all_challenges() {
    for_each_database(|plan| async move {
        let (app, _, phone) = with_ada(plan).await;
        let before = app.admitted().await;
        let wrong = phone.wrong(&app);
        let (mut open, last) = (Vec::new(), app.waiting(ADA).await);
        for _ in 0..3 {
            open.push(app.waiting(ADA).await);
        }
        for n in 0..10 {
            let answer = open[n / 4].validate(&wrong).await;
            assert_refused(&answer, 400, "factor.code_wrong");
        }
        let answer = last.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(answer.header("Retry-After").is_some());
        let again = app.post("/login", credentials(ADA, PASSWORD)).await;
        assert_eq!(again.status, 429, "the password opens nothing either");
        last.has_nothing().await;
        assert_eq!(app.admitted().await, before);
        let locked = |kind: &EventKind| matches!(kind, EventKind::Locked { .. });
        assert_eq!(app.count(locked).await, 1);
        app.later(Duration::from_mins(16));
        let waiting = app.waiting(ADA).await;
        assert_eq!(waiting.validate(&phone.code(&app)).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn many_guesses_at_once_over_many_challenges_are_no_more_than_the_limit_allows() {
    for_each_database(|plan| async move {
        let (app, _, phone) = with_ada(plan).await;
        let mut waiting = Vec::new();
        for _ in 0..8 {
            let browser = app.waiting(ADA).await;
            waiting.extend((0..4).map(|_| browser.copy()));
        }
        let wrong = phone.wrong(&app);
        let answers = join_all(waiting.iter().map(|browser| browser.validate(&wrong))).await;
        let judged = |answer: &&Answer| answer.codes() == ["factor.code_wrong"];
        assert_eq!(answers.iter().filter(judged).count(), 10);
        let shut = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!(shut, 22);
    })
    .await;
}

#[rocket::async_test]
async fn codes_are_read_as_people_and_programs_write_them_and_no_further() {
    on_sqlite(|plan| async move {
        let (app, _, phone) = with_ada(plan.without_limits()).await;
        let full_width = |code: &str| -> String {
            let wide = |c: char| char::from_u32(u32::from(c) - 0x30 + 0xFF10).unwrap();
            code.chars().map(wide).collect()
        };
        let code = phone.code(&app);
        let others = [
            json!(full_width(&code)),
            json!(format!("{code}0")),
            json!(format!("0{code}")),
            json!(&code[..5]),
            json!(""),
            json!("abcdef"),
            json!(null),
            json!([code]),
            json!({"code": code}),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(u64::MAX),
            json!("9".repeat(10_000)),
        ];
        for typed in others {
            let waiting = app.waiting(ADA).await;
            let answer = waiting
                .post_json("/tf-validate", json!({"code": typed}))
                .await;
            assert_eq!(answer.status, 400, "{typed}: {}", answer.text());
            waiting.has_nothing().await;
        }
        let waiting = app.waiting(ADA).await;
        let answer = waiting.post_json("/tf-validate", json!({})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        // Spaces, as the app shows them, and a number that lost its zero on the way.
        let spaced = format!(" {} {}\n", &code[..3], &code[3..]);
        assert_eq!(waiting.validate(&spaced).await.status, 200);
        let mut tries = 0;
        loop {
            app.later(Duration::from_secs(30));
            let code = phone.code(&app);
            if let Some(number) = code.strip_prefix('0') {
                let number: u64 = number.parse().unwrap();
                let waiting = app.waiting(ADA).await;
                let answer = waiting
                    .post_json("/tf-validate", json!({"code": number}))
                    .await;
                assert_eq!(answer.status, 200, "{code}: {}", answer.text());
                break;
            }
            tries += 1;
            assert!(tries < 1_000, "no code begins with a zero");
        }
    })
    .await;
}

// Whose challenge it is.

#[rocket::async_test]
async fn a_challenge_belongs_to_its_account_and_its_browser() {
    for_each_database(|plan| async move {
        let (app, _, phone) = with_ada(plan.without_limits()).await;
        let bob = app.user(BOB).await;
        let bobs = app.with_authenticator(&bob).await;
        let before = app.admitted().await;
        // Another's code.
        let waiting = app.waiting(ADA).await;
        assert_refused(
            &waiting.validate(&bobs.code(&app)).await,
            400,
            "factor.code_wrong",
        );
        // Another signs in meanwhile: the code is asked for that one.
        let answer = waiting
            .post_json("/login", credentials(BOB, PASSWORD))
            .await;
        assert_eq!(answer.json()["response"]["tf_required"], true);
        assert_refused(
            &waiting.validate(&phone.code(&app)).await,
            400,
            "factor.code_wrong",
        );
        waiting.has_nothing().await;
        // And likewise somebody who owes nothing.
        app.user("eve@example.com").await;
        let waiting = app.waiting(ADA).await;
        let stolen = waiting.cookie(PENDING).unwrap();
        waiting
            .post_json("/login", credentials("eve@example.com", PASSWORD))
            .await;
        assert_eq!(waiting.get("/me").await.text(), "eve@example.com");
        assert_eq!(waiting.cookie(PENDING), None);
        waiting.set_cookie(PENDING, &stolen);
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        assert_eq!(waiting.get("/me").await.text(), "eve@example.com");
        assert_eq!(app.admitted().await, before + 1);
        // In another browser.
        let waiting = app.waiting(ADA).await;
        let other = app.browser().in_json();
        other.csrf().await;
        other.set_cookie(PENDING, &waiting.cookie(PENDING).unwrap());
        let answer = other.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        other.has_nothing().await;
        let program = app.program();
        program.set_cookie(PENDING, &waiting.cookie(PENDING).unwrap());
        let body = json!({"code": phone.code(&app)}).to_string();
        let answer = program
            .post_body("/tf-validate", "application/json", body.as_bytes())
            .await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(app.admitted().await, before + 1);
        assert_eq!(waiting.validate(&phone.code(&app)).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_challenge_ends_with_its_time_its_use_and_its_account() {
    for_each_database(|plan| async move {
        let (app, ada, phone) = with_ada(plan.without_limits()).await;
        let before = app.admitted().await;
        let waiting = app.waiting(ADA).await;
        app.later(Duration::from_mins(10));
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        // After use, in the same browser and in one that copied everything before.
        let waiting = app.waiting(ADA).await;
        let copy = waiting.copy();
        waiting.validate(&phone.code(&app)).await;
        assert!(waiting.is_signed_in().await);
        app.later(Duration::from_mins(1));
        let answer = copy.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        copy.has_nothing().await;
        assert_eq!(app.admitted().await, before + 1);
        // A new password, and a shut account.
        let change =
            json!({"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW});
        let pending = app.waiting(ADA).await;
        let answer = waiting.post_json("/change", change).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let before = app.admitted().await;
        let answer = pending.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        pending.has_nothing().await;
        let browser = app.browser().in_json();
        browser.post_json("/login", credentials(ADA, NEW)).await;
        app.accounts().deactivate_user(&ada.id).await.unwrap();
        let answer = browser.validate(&phone.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        browser.has_nothing().await;
        assert_eq!(app.admitted().await, before);
    })
    .await;
}

#[rocket::async_test]
async fn with_nothing_pending_there_is_no_second_step() {
    let app = Plan::new()
        .set("two_factor.rescue_email", true)
        .start()
        .await;
    app.user(ADA).await;
    for path in [
        "/tf-validate",
        "/tf-select",
        "/tf-rescue",
        "/mf-recovery",
        "/tf-setup",
    ] {
        for cookie in [None, Some("A".repeat(43)), Some("x".into())] {
            let browser = app.browser();
            browser.csrf().await;
            if let Some(cookie) = &cookie {
                browser.set_cookie(PENDING, cookie);
            }
            let answer = browser.get(path).await;
            // A page that people are sent to leads back after the sign-in.
            let (to, says) = match path {
                "/tf-setup" => ("/login?next=%2Ftf-setup", "sign in to go on"),
                _ => ("/login", "sign in first"),
            };
            assert_eq!(
                (answer.status, answer.location()),
                (302, Some(to)),
                "{path}"
            );
            assert!(browser.reads(&answer, says).await, "{path}");
            let fields = [
                ("code", "123456"),
                ("which", "email"),
                ("setup", "email"),
                ("help_setup", "email"),
            ];
            let answer = browser.post_form(path, &fields).await;
            assert_eq!(
                (answer.status, answer.location()),
                (302, Some("/login")),
                "{path}"
            );
            let script = browser.in_json();
            assert_refused(&script.get(path).await, 400, "tf.no_pending");
            let body = json!({"code": "123456", "which": "email", "setup": "email", "help_setup": "email"});
            assert_refused(&script.post_json(path, body).await, 400, "tf.no_pending");
        }
    }
    assert_eq!(app.mails_to(ADA).len(), 0);
}

#[rocket::async_test]
async fn whoever_waits_is_nobody_yet() {
    on_sqlite(|plan| async move {
        let (app, ada, _) = with_ada(plan).await;
        let waiting = app.waiting(ADA).await;
        for path in [
            "/me",
            "/g/signed-in",
            "/g/mfa",
            "/g/fresh",
            "/change",
            "/change-email",
            "/sessions",
            "/tf-devices",
            "/mf-recovery-codes",
            "/verify",
        ] {
            assert_eq!(waiting.get(path).await.status, 401, "{path}");
        }
        for path in [
            "/change",
            "/change-email",
            "/mf-recovery-codes",
            "/tf-setup/AAAA",
            "/p/input",
            "/sessions/revoke-others",
            "/verify",
        ] {
            let answer = waiting.post_json(path, json!({"code": "1"})).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        }
        // Whoever has a factor cannot put another in its place.
        let answer = waiting
            .post_json("/tf-setup", json!({"setup": "authenticator"}))
            .await;
        assert_refused(&answer, 400, "tf.no_pending");
        assert_refused(&waiting.get("/tf-setup").await, 400, "tf.no_pending");
        assert_eq!(app.factors(&ada).await, 1);
    })
    .await;
}

// Every first factor there is.

#[post("/own/<id>", data = "<_body>")]
async fn own_sign_in(
    auth: Auth<'_>,
    id: rocket_security::UserId,
    _body: Input<Empty>,
) -> Result<String, Error> {
    let user = auth.store().find_user(&id).await?.ok_or(Error::NotFound)?;
    Ok(match auth.sign_in(&user).await? {
        SignIn::Done(_) => "in".into(),
        SignIn::Next(step) => format!("{step:?}"),
    })
}

#[post("/team", data = "<_body>")]
async fn team(auth: Auth<'_>, _body: Input<Empty>) -> Result<(), Error> {
    let email =
        rocket_security::EmailAddress::parse(BOB).map_err(rocket_security::Invalid::form)?;
    auth.invite(&rocket_security::Invitation::new(email))
        .await?;
    Ok(())
}

/// Checks that a door gave nothing but the second step, and that the code opens it.
async fn is_asked(app: &App, browser: &Actor<'_>, answer: &Answer, phone: &Authenticator) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = &answer.json()["response"];
    assert_eq!(response["tf_required"], true, "{}", answer.text());
    assert_eq!(response["tf_method"], "authenticator", "{}", answer.text());
    assert!(!answer.text().contains("authentication_token"));
    browser.has_nothing().await;
    let (code, before) = (phone.code(app), app.admitted().await);
    let answer = browser.validate(&code).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(browser.is_signed_in().await);
    assert_eq!(app.admitted().await, before + 1);
    app.later(Duration::from_mins(2));
}

#[rocket::async_test]
async fn no_first_factor_gets_in_without_the_second() {
    on_sqlite(|plan| async move {
        let plan = plan
            .without_limits()
            .set("passwordless.enabled", true)
            .set("recover.sign_in", true)
            .mount(routes![own_sign_in]);
        let (app, ada, phone) = with_ada(plan).await;
        let before = app.admitted().await;
        let browser = || app.browser().in_json();

        let with_token = "/login?include_auth_token";
        let actor = browser();
        let answer = actor
            .post_json(with_token, credentials(ADA, PASSWORD))
            .await;
        is_asked(&app, &actor, &answer, &phone).await;
        // A program without cookies gets no token either.
        let answer = app.post(with_token, credentials(ADA, PASSWORD)).await;
        assert_eq!(answer.json()["response"]["tf_required"], true);
        assert!(!answer.text().contains("authentication_token"));

        let basic = app.program().basic(ADA, PASSWORD).get("/g/basic").await;
        assert!([401, 403].contains(&basic.status), "{}", basic.text());

        // A mailed link and a mailed code.
        for by_code in [false, true] {
            app.post("/login/link", json!({"email": ADA})).await;
            let actor = browser();
            let answer = match by_code {
                true => {
                    let code = app.code_to(ADA, "passwordless");
                    let body = json!({"email": ADA, "code": code});
                    actor
                        .post_json("/login/code?include_auth_token", body)
                        .await
                }
                false => {
                    let link = app.link_to(ADA, "passwordless");
                    actor
                        .post_json(&format!("{link}?include_auth_token"), json!({}))
                        .await
                }
            };
            is_asked(&app, &actor, &answer, &phone).await;
        }

        // A new password by mail.
        app.post("/reset", json!({"email": ADA})).await;
        let actor = browser();
        let answer = actor
            .post_json(&app.link_to(ADA, "recover"), new_password(PASSWORD))
            .await;
        is_asked(&app, &actor, &answer, &phone).await;

        // The application's own proof.
        let actor = browser();
        let path = format!("/own/{}", ada.id);
        let answer = actor.post_json(&path, json!({})).await;
        assert_eq!(answer.text(), "SecondFactor");
        actor.has_nothing().await;
        assert_eq!(actor.validate(&phone.code(&app)).await.status, 200);
        assert!(actor.is_signed_in().await);

        let in_all = app.admitted().await - before;
        assert_eq!(in_all, 5);
        // The program's pending sign-in opened nothing.
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_tokens")
                .await,
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_device_remembered_before_does_not_outlive_the_first_factor() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let inside = app.inside(ADA).await;
        app.with_authenticator(&ada).await;
        assert_eq!(inside.still().await, [false; 3]);
    })
    .await;
}

#[rocket::async_test]
async fn a_device_remembered_before_a_role_required_it_is_asked() {
    for_each_database(|plan| async move {
        let app = plan
            .set("two_factor.required_roles", ["admin"])
            .start()
            .await;
        let ada = app.user(ADA).await;
        let device = app.browser();
        device.login_remembered(ADA, PASSWORD).await;
        app.grant(&ada, "admin", &[]).await;
        device.forget_cookie(SESSION);
        assert!(
            !device.is_signed_in().await,
            "a remembered device came in without the factor"
        );
    })
    .await;
}

// Required, and none set up.

struct Outsiders;

impl rocket_security::MfaPolicy for Outsiders {
    fn requires(&self, user: &User, _: &rocket_security::Grants) -> bool {
        user.email.ends_with("@example.com")
    }
}

#[rocket::async_test]
async fn where_one_is_required_it_is_set_up_before_anybody_is_in() {
    for how in ["setting", "role", "policy"] {
        on_sqlite(|plan| async move {
            let plan = match how {
                "setting" => plan.set("two_factor.required", true),
                "role" => plan.set("two_factor.required_roles", ["admin"]),
                _ => plan.security(|security| security.mfa_policy(Outsiders)),
            };
            let app = plan.start().await;
            let ada = app.user(ADA).await;
            app.grant(&ada, "admin", &[]).await;
            // By JSON.
            let browser = app.browser().in_json();
            let path = "/login?include_auth_token";
            let answer = browser.post_json(path, credentials(ADA, PASSWORD)).await;
            let response = &answer.json()["response"];
            assert_eq!(
                (&response["tf_required"], &response["tf_state"]),
                (&json!(true), &json!("setup_from_login")),
                "{how}: {}",
                answer.text()
            );
            browser.has_nothing().await;
            let shown = browser.get("/tf-setup").await;
            assert_eq!(shown.json()["response"]["tf_state"], "setup_from_login");
            let methods = shown.json()["response"]["tf_available_methods"].clone();
            assert_eq!(
                methods,
                json!(["authenticator", "email"]),
                "not to be turned off"
            );
            for setup in ["disable", "sms", "none", ""] {
                let answer = browser
                    .post_json("/tf-setup", json!({"setup": setup}))
                    .await;
                assert_refused(&answer, 400, "factor.unknown_method");
            }
            let answer = browser.validate("123456").await;
            assert_eq!(answer.status, 400, "{}", answer.text());
            let begun = browser
                .begin_setup(json!({"setup": "authenticator", "name": "Phone"}))
                .await;
            assert!(begun["tf_state_token"].is_null());
            let phone = Authenticator::of(&begun);
            assert_eq!(app.factors(&ada).await, 0);
            assert_refused(
                &browser.validate(&phone.wrong(&app)).await,
                400,
                "factor.code_wrong",
            );
            browser.has_nothing().await;
            let first = phone.code(&app);
            let answer = browser.validate(&first).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(browser.is_signed_in().await);
            assert_eq!(app.factors(&ada).await, 1);
            let added = |kind: &EventKind| matches!(kind, EventKind::FactorAdded { .. });
            assert_eq!(app.count(added).await, 1);
            assert_eq!(app.count_mails(ADA, "factor_added"), 1);
            // Its code is used up, and the last one stays.
            let waiting = app.waiting(ADA).await;
            assert_refused(&waiting.validate(&first).await, 400, "factor.code_wrong");
            let off = browser
                .post_json("/tf-setup", json!({"setup": "disable"}))
                .await;
            assert_refused(&off, 400, "factor.last_one");
            let id = app.store().factors_of(&ada.id).await.unwrap()[0].id.clone();
            let answer = browser
                .post_json(&format!("/tf-setup/{id}/remove"), json!({}))
                .await;
            assert_refused(&answer, 400, "factor.last_one");
            assert_eq!(app.factors(&ada).await, 1);
            // By the pages, by a code that is mailed.
            let bob = app.user(BOB).await;
            app.grant(&bob, "admin", &[]).await;
            let browser = app.browser();
            let answer = browser.login(BOB, PASSWORD).await;
            assert_eq!(answer.location(), Some("/tf-setup"), "{how}");
            let page = browser.submit("/tf-setup", &[("setup", "email")]).await;
            assert_eq!(page.status, 200, "{}", page.text());
            browser.has_nothing().await;
            let code = app.code_to(BOB, "two_factor");
            let answer = browser.press(&page, &[("code", &code)]).await;
            assert_eq!((answer.status, answer.location()), (302, Some("/")));
            assert!(browser.is_signed_in().await);
            assert_eq!(app.factors(&bob).await, 1);
        })
        .await;
    }
}

#[rocket::async_test]
async fn an_older_sign_in_sets_no_factor_up_beside_one_that_is_there_by_now() {
    for_each_database(|plan| async move {
        let app = plan.set("two_factor.required", true).start().await;
        let ada = app.user(ADA).await;
        // Two who know the password; the owner is faster.
        let (owner, other) = (app.waiting(ADA).await, app.waiting(ADA).await);
        let theirs = Authenticator::of(&other.begin_setup(json!({"setup": "authenticator"})).await);
        let phone = Authenticator::of(&owner.begin_setup(json!({"setup": "authenticator"})).await);
        assert_eq!(owner.validate(&phone.code(&app)).await.status, 200);
        let answer = other.validate(&theirs.code(&app)).await;
        assert_refused(&answer, 400, "tf.no_pending");
        other.has_nothing().await;
        assert_eq!(app.factors(&ada).await, 1);
        // And at the same moment.
        let bob = app.user(BOB).await;
        let mut all = Vec::new();
        for _ in 0..8 {
            let waiting = app.waiting(BOB).await;
            let begun = waiting.begin_setup(json!({"setup": "authenticator"})).await;
            all.push((waiting, Authenticator::of(&begun).code(&app)));
        }
        let answers = join_all(all.iter().map(|(waiting, code)| waiting.validate(code))).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((good, app.factors(&bob).await), (1, 1));
    })
    .await;
}

#[rocket::async_test]
async fn whoever_has_not_confirmed_the_address_sets_no_factor_up_at_sign_in() {
    let app = Plan::new()
        .set("two_factor.required", true)
        .set("confirm.grace", "1 d")
        .start()
        .await;
    let eve = app.user_with(ADA, |new| new.confirmed(false)).await;
    let browser = app.waiting(ADA).await;
    let answer = browser
        .post_json("/tf-setup", json!({"setup": "authenticator"}))
        .await;
    assert_refused(&answer, 400, "login.unconfirmed");
    assert_eq!(app.factors(&eve).await, 0);
}

#[rocket::async_test]
async fn registration_and_invitation_wait_for_the_factor_too() {
    for_each_database(|plan| async move {
        let app = plan
            .telling()
            .set("two_factor.required", true)
            .set("confirm.enabled", false)
            .mount(routes![team])
            .start()
            .await;
        let browser = app.browser().in_json();
        let mut body = new_password(PASSWORD);
        body["email"] = ADA.into();
        let answer = browser
            .post_json("/register?include_auth_token", body)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json()["response"]["tf_state"],
            "setup_from_login",
            "{}",
            answer.text()
        );
        browser.has_nothing().await;
        app.post("/team", json!({})).await;
        let browser = app.browser().in_json();
        let link = link_in(&app.newest(BOB, "invite"));
        let answer = browser.post_json(&link, new_password(PASSWORD)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json()["response"]["tf_state"],
            "setup_from_login",
            "{}",
            answer.text()
        );
        browser.has_nothing().await;
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn confirming_an_address_waits_for_the_factor_too_and_keeps_none_from_before() {
    for_each_database(|plan| async move {
        let plan = plan.set("two_factor.required", true);
        let app = plan.set("confirm.sign_in", true).start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        // As if somebody had set it up before the owner of the address came.
        app.sql("UPDATE users SET confirmed_at = NULL").await;
        app.post("/confirm", json!({"email": ADA})).await;
        let browser = app.browser().in_json();
        let link = app.link_to(ADA, "confirm");
        let answer = browser.post_json(&link, json!({})).await;
        let response = &answer.json()["response"];
        assert_eq!(
            response["tf_state"],
            "setup_from_login",
            "{}",
            answer.text()
        );
        browser.has_nothing().await;
        assert_eq!(app.factors(&ada).await, 0);
        assert_eq!(browser.validate(&phone.code(&app)).await.status, 400);
        let begun = browser.begin_setup(json!({"setup": "authenticator"})).await;
        let code = Authenticator::of(&begun).code(&app);
        assert_eq!(browser.validate(&code).await.status, 200);
        assert!(browser.is_signed_in().await);
    })
    .await;
}

// Later than the sign-in.

/// A session of one factor, of an account that has two.
async fn of_one_factor<'a>(app: &'a App, user: &User) -> (Actor<'a>, Authenticator) {
    let browser = app.signed_in(user).await.in_json();
    let phone = browser.add_authenticator().await;
    app.later(Duration::from_mins(2));
    // As one that was opened before the factor was asked for.
    app.sql("UPDATE security_sessions SET methods = 1").await;
    assert_eq!(browser.get("/g/mfa").await.status, 401);
    (browser, phone)
}

#[rocket::async_test]
async fn a_session_of_one_factor_becomes_one_of_two() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let (browser, phone) = of_one_factor(&app, &ada).await;
        let shown = browser.get("/tf-select").await;
        assert_eq!(
            shown.json()["response"]["tf_setup_methods"],
            json!(["authenticator"])
        );
        let chosen = json!({"which": "authenticator"});
        let answer = browser.post_json("/tf-select", chosen).await;
        assert_eq!(
            answer.json()["response"]["tf_method"],
            "authenticator",
            "{}",
            answer.text()
        );
        let wrong = browser.validate(&phone.wrong(&app)).await;
        assert_refused(&wrong, 400, "factor.code_wrong");
        assert_eq!(browser.get("/g/mfa").await.status, 401);
        let old = browser.cookie(SESSION);
        let answer = browser.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(browser.get("/g/mfa").await.status, 200);
        assert_ne!(browser.cookie(SESSION), old, "under a new id");
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_sessions")
                .await,
            1
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_session_of_one_factor_changes_no_way_in() {
    for_each_database(|plan| async move {
        let app = plan.set("unified.enabled", true).start().await;
        let ada = app.user(ADA).await;
        let (browser, phone) = of_one_factor(&app, &ada).await;
        let factors = app.store().factors_of(&ada.id).await.unwrap();
        let remove = format!("/tf-setup/{}/remove", factors[0].id);
        let changes = [
            ("/tf-setup", json!({"setup": "disable"})),
            ("/tf-setup", json!({"setup": "authenticator"})),
            (remove.as_str(), json!({})),
            ("/mf-recovery-codes", json!({"generate_new_codes": true})),
            ("/us-setup", json!({"chosen_method": "authenticator"})),
        ];
        for (path, body) in &changes {
            let answer = browser.post_json(path, body.clone()).await;
            assert_refused(&answer, 401, "denied.second_factor");
        }
        assert_eq!(app.store().factors_of(&ada.id).await.unwrap(), factors);
        // A person is led to the code, and comes back.
        let person = browser.copy().of_pages();
        let answer = person.get("/tf-setup").await;
        assert_eq!(answer.location(), Some("/tf-select?next=%2Ftf-setup"));
        let chosen = json!({"which": "authenticator"});
        browser.post_json("/tf-select", chosen).await;
        let answer = browser.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let off = browser
            .post_json("/tf-setup", json!({"setup": "disable"}))
            .await;
        assert_eq!(off.status, 200, "{}", off.text());
        assert_eq!(app.factors(&ada).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_mailbox_that_was_the_first_factor_is_asked_again_where_it_is_the_second() {
    for_each_database(|plan| async move {
        let plan = plan.without_limits().set("unified.enabled", true);
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        app.with_mailed_codes(&ada).await;
        let browser = app.browser().in_json();
        let body = json!({"identity": ADA, "chosen_method": "email"});
        browser.post_json("/us-signin/send-code", body).await;
        let code = app.code_to(ADA, "unified");
        let body = json!({"identity": ADA, "passcode": code});
        let answer = browser.post_json("/us-signin", body).await;
        assert_eq!(answer.json()["response"]["tf_required"], true);
        assert!(!browser.is_signed_in().await);
        assert_eq!(browser.validate(&code).await.status, 400);
        let code = app.code_to(ADA, "two_factor");
        let answer = browser.validate(&code).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // There is nothing more that could be shown.
        assert_eq!(browser.get("/tf-setup").await.status, 200);
        browser.add_authenticator().await;
        assert_eq!(app.factors(&ada).await, 2);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_who_is_refused_for_want_of_a_factor_shows_it_and_goes_on() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let (browser, phone) = of_one_factor(&app, &ada).await;
        let browser = browser.of_pages();
        let answer = browser.get("/g/mfa").await;
        assert_eq!(answer.location(), Some("/tf-select?next=%2Fg%2Fmfa"));
        let path = answer.location().unwrap();
        let factors = app.store().factors_of(&ada.id).await.unwrap();
        let answer = browser.submit(path, &[("which", &factors[0].id)]).await;
        assert_eq!(answer.location(), Some("/tf-validate"));
        let code = phone.code(&app);
        let answer = browser.submit("/tf-validate", &[("code", &code)]).await;
        assert_eq!(answer.location(), Some("/g/mfa"));
        assert_eq!(browser.get("/g/mfa").await.status, 200);
        // Not to another site, and first to the set-up where there is none.
        let bob = app.user(BOB).await;
        let browser = app.signed_in(&bob).await;
        let answer = browser.get("/tf-select?next=https://evil.example").await;
        assert_eq!(answer.location(), Some("/tf-setup"));
        let (browser, _) = of_one_factor(&app, &bob).await;
        let browser = browser.of_pages();
        let page = browser.get("/tf-select?next=https://evil.example").await;
        assert!(!page.text().contains("evil"), "{}", page.text());
    })
    .await;
}

#[rocket::async_test]
async fn what_is_shown_in_one_session_counts_in_no_other() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let (ada, eve) = (app.user(ADA).await, app.user("eve@example.com").await);
        let victim = app.signed_in(&ada).await.in_json();
        victim.add_authenticator().await;
        let (own, phone) = of_one_factor(&app, &eve).await;
        assert_eq!(victim.get("/g/mfa").await.status, 401);
        // Eve holds a session of Ada's, and shows a factor of her own beside it.
        let token = {
            let browser = app.browser().in_json();
            let path = "/login?include_auth_token";
            browser
                .post_json(path, credentials("eve@example.com", PASSWORD))
                .await;
            let path = "/tf-validate?include_auth_token";
            let answer = browser
                .post_json(path, json!({"code": phone.code(&app)}))
                .await;
            answer.json()["response"]["user"]["authentication_token"]
                .as_str()
                .unwrap()
                .to_string()
        };
        app.later(Duration::from_mins(2));
        own.post_json("/tf-select", json!({"which": "authenticator"}))
            .await;
        let stolen = victim.cookie(SESSION).unwrap();
        own.set_cookie(SESSION, &stolen);
        let mixed = own.copy().token(&token);
        let answer = mixed.validate(&phone.code(&app)).await;
        assert_ne!(answer.status, 200, "{}", answer.text());
        assert_eq!(own.get("/g/mfa").await.status, 401);
        assert_eq!(victim.get("/g/mfa").await.status, 401);
        // Nor in another session of the same account.
        let methods = "SELECT COUNT(*) AS n FROM security_sessions WHERE methods > 1";
        assert_eq!(
            app.number(methods).await,
            1,
            "the one of the token's sign-in"
        );
    })
    .await;
}
