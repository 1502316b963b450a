//! Sign-in by any name and any passcode, and what each of them owes.

use std::time::Duration;

use rocket::futures::future::join_all;
use rocket_security::{EventKind, MailError, NewUser, Sms, SmsSender, User};
use serde_json::{Value, json};

use crate::{
    app::{Actor, Answer, App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite},
    with_factors::factors::Authenticator,
};

const ADA: &str = "ada@example.com";
const PHONE: &str = "+16502530000";

/// Sends nothing; the mailbox of the harness has a copy.
struct Nowhere;

#[rocket::async_trait]
impl SmsSender for Nowhere {
    async fn send(&self, _: &Sms) -> Result<(), MailError> {
        Ok(())
    }
}

fn plan(plan: Plan) -> Plan {
    plan.set("unified.enabled", true)
        .set(
            "unified.methods",
            ["password", "email", "authenticator", "sms"],
        )
        .set("identities", ["email", "username"])
        .security(|security| security.sms(Nowhere))
}

/// The code that an app shows for a key at the site's time.
fn code_of(app: &App, key: &str) -> String {
    Authenticator { key: key.into() }.code(app)
}

async fn sign_in(actor: &Actor<'_>, identity: &str, passcode: &str) -> Answer {
    let body = json!({"identity": identity, "passcode": passcode});
    actor.post_json("/us-signin", body).await
}

async fn ask(app: &App, identity: &str, method: &str) -> Answer {
    let body = json!({"identity": identity, "chosen_method": method});
    app.program().post_json("/us-signin/send-code", body).await
}

fn code_in(app: &App, to: &str) -> String {
    let mails = app.mails_to(to);
    let text = &mails.last().expect("a message").text;
    text.split(|c: char| !c.is_ascii_digit())
        .find(|part| part.len() == 6)
        .expect("a code")
        .to_string()
}

/// Sets a way in up; answers what it showed.
async fn set_up(app: &App, browser: &Actor<'_>, method: &str) -> Value {
    let body = json!({"chosen_method": method, "phone": "(650) 253-0000"});
    let begun = browser.post_json("/us-setup", body).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let shown = begun.json()["response"].clone();
    let code = match method {
        "sms" => code_in(app, PHONE),
        _ => code_of(app, shown["authr_b32key"].as_str().unwrap()),
    };
    let path = format!("/us-setup/{}", shown["state"].as_str().unwrap());
    let wrong = browser
        .post_json(&path, json!({"passcode": "nonsense"}))
        .await;
    assert_eq!(
        (wrong.status, wrong.field_errors("passcode").len()),
        (400, 1),
        "{}",
        wrong.text()
    );
    let done = browser.post_json(&path, json!({"passcode": code})).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["response"]["chosen_method"], method);
    let again = browser.post_json(&path, json!({"passcode": code})).await;
    assert_eq!(again.status, 400, "{}", again.text());
    shown
}

async fn with_name(app: &App) -> User {
    let name = rocket_security::UsernamePolicy::parse(
        &rocket_security::StandardUsernamePolicy::default(),
        "lovelace",
    );
    app.user_with(ADA, |new: NewUser| new.username(name.unwrap()))
        .await
}

#[rocket::async_test]
async fn any_name_goes_with_any_passcode_that_the_account_has() {
    on_sqlite(|on| async move {
        let app = plan(on).start().await;
        let ada = with_name(&app).await;
        let browser = app.signed_in(&ada).await.in_json();
        set_up(&app, &browser, "sms").await;
        let key = set_up(&app, &browser, "authenticator").await;
        let key = key["authr_b32key"].as_str().unwrap().to_string();
        for identity in [ADA, " ADA@Example.com", "Lovelace", "650-253-0000", PHONE] {
            let answer = sign_in(&app.program(), identity, PASSWORD).await;
            assert_eq!(answer.status, 200, "{identity}: {}", answer.text());
            // The next step of the app's clock: each code is good once.
            app.later(Duration::from_secs(30));
            let code = code_of(&app, &key);
            let answer = sign_in(&app.program(), identity, &code).await;
            assert_eq!(answer.status, 200, "{identity}: {}", answer.text());
            let answer = sign_in(&app.program(), identity, &code).await;
            assert_eq!(answer.status, 400, "{identity}, a second time");
            for (method, to) in [("email", ADA), ("sms", PHONE)] {
                app.later(Duration::from_mins(2));
                assert_eq!(ask(&app, identity, method).await.status, 200);
                let code = code_in(&app, to);
                let answer = sign_in(&app.program(), identity, &code).await;
                assert_eq!(answer.status, 200, "{identity} {method}: {}", answer.text());
                let answer = sign_in(&app.program(), identity, &code).await;
                assert_eq!(answer.status, 400, "{identity} {method}, a second time");
            }
        }
        // What was not set up is no way in.
        app.user("bob@example.com").await;
        ask(&app, "bob@example.com", "sms").await;
        assert!(app.mails_to("bob@example.com").is_empty());
    })
    .await;
}

#[rocket::async_test]
async fn the_form_signs_in_by_password_code_and_link() {
    let app = plan(Plan::new()).start().await;
    app.user(ADA).await;
    let browser = app.browser();
    let page = browser.get("/us-signin?next=/me").await.text();
    for part in [
        "name=\"identity\"",
        "name=\"passcode\"",
        "name=\"chosen_method\"",
        "value=\"&#x2F;me\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let wrong = browser
        .post_form("/us-signin", &[("identity", ADA), ("passcode", WRONG)])
        .await;
    assert!(
        wrong.status == 200
            && wrong.text().contains("is not right")
            && !wrong.text().contains(WRONG)
    );
    let fields = [
        ("identity", ADA),
        ("chosen_method", "email"),
        ("remember", "true"),
        ("next", "/me"),
    ];
    let sent = browser.post_form("/us-signin/send-code", &fields).await;
    assert_eq!(sent.status, 200);
    let code = code_in(&app, ADA);
    // The page shows the box as it was ticked, and sends it again.
    let fields = [
        ("identity", ADA),
        ("passcode", code.as_str()),
        ("remember", "true"),
    ];
    let answer = browser.post_form("/us-signin", &fields).await;
    assert_eq!(
        (answer.status, answer.location()),
        (302, Some("/me")),
        "{}",
        answer.text()
    );
    assert!(browser.is_signed_in().await && browser.cookie("security_remember").is_some());
    // By the link of the mail, which changes nothing until its button is pressed.
    app.later(Duration::from_mins(2));
    ask(&app, ADA, "email").await;
    let mails = app.mails_to(ADA);
    let text = &mails.last().unwrap().text;
    let link = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("http://localhost:8000"))
        .expect("a link");
    let reader = app.browser();
    assert_eq!(reader.get(link).await.status, 200);
    assert!(!reader.is_signed_in().await);
    assert_eq!(reader.post_form(link, &[]).await.status, 302);
    assert!(reader.is_signed_in().await);
    let other = app.browser();
    assert_eq!(
        other.post_form(link, &[]).await.location(),
        Some("/us-signin")
    );
    assert!(!other.is_signed_in().await);
}

#[rocket::async_test]
async fn programs_are_told_what_there_is() {
    let app = plan(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let answer = app.program().get("/us-signin").await.json();
    let response = &answer["response"];
    assert_eq!(
        response["available_methods"],
        json!(["password", "email", "authenticator", "sms"])
    );
    assert_eq!(response["code_methods"], json!(["email", "sms"]));
    assert_eq!(
        response["identity_attributes"],
        json!(["email", "username", "phone"])
    );
    let browser = app.signed_in(&ada).await.in_json();
    assert_eq!(
        browser.get("/us-signin").await.json()["response"]["user"],
        json!({})
    );
    assert_eq!(
        browser.post_json("/us-signin", json!({})).await.codes(),
        ["denied.signed_in"]
    );
    let setup = browser.get("/us-setup").await.json();
    assert_eq!(
        setup["response"]["setup_methods"],
        json!(["authenticator", "sms"])
    );
    assert_eq!(
        setup["response"]["active_methods"],
        json!(["email", "password"])
    );
    for (body, field) in [
        (json!({"identity": "", "passcode": "x"}), "identity"),
        (json!({"identity": ADA}), "passcode"),
    ] {
        let answer = app.program().post_json("/us-signin", body).await;
        assert_eq!(answer.field_errors(field).len(), 1, "{}", answer.text());
    }
    let body = json!({"identity": ADA, "chosen_method": "pigeon"});
    let answer = app.program().post_json("/us-signin/send-code", body).await;
    assert_eq!(answer.field_errors("chosen_method").len(), 1);
}

#[rocket::async_test]
async fn password_and_mail_owe_a_further_factor_and_what_one_holds_does_not() {
    on_sqlite(|on| async move {
        let app = plan(on).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let key = set_up(&app, &browser, "authenticator").await;
        let key = key["authr_b32key"].as_str().unwrap().to_string();
        // A second factor beside.
        let begun = browser
            .post_json("/tf-setup", json!({"setup": "authenticator"}))
            .await;
        let shown = begun.json()["response"].clone();
        let second = shown["tf_authr_b32key"].as_str().unwrap().to_string();
        let path = format!("/tf-setup/{}", shown["tf_state_token"].as_str().unwrap());
        let done = browser
            .post_json(&path, json!({"code": code_of(&app, &second)}))
            .await;
        assert_eq!(done.status, 200, "{}", done.text());
        app.later(Duration::from_mins(2));
        let owes = async |passcode: &str| {
            let visitor = app.browser().in_json();
            let answer = sign_in(&visitor, ADA, passcode).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let owes = answer.json()["response"]["tf_required"] == json!(true);
            assert_eq!(visitor.is_signed_in().await, !owes);
            owes
        };
        assert!(owes(PASSWORD).await);
        ask(&app, ADA, "email").await;
        assert!(owes(&code_in(&app, ADA)).await);
        assert!(!owes(&code_of(&app, &key)).await);
        let app = plan(Plan::new())
            .set("unified.mfa_required", ["authenticator"])
            .start()
            .await;
        let _ = app;
    })
    .await;
}

#[rocket::async_test]
async fn known_and_unknown_are_answered_alike_with_the_same_work() {
    on_sqlite(|on| async move {
        let app = plan(on)
            .without_limits()
            .set("limits.mails_per_address", 100_000)
            .start()
            .await;
        app.user(ADA).await;
        app.user_with("shut@example.com", |new| new.active(false))
            .await;
        app.user_with("bare@example.com", |new| new.confirmed(true))
            .await;
        let mut seen = Vec::new();
        for identity in [
            ADA,
            "nobody@example.com",
            "shut@example.com",
            "bare@example.com",
        ] {
            for passcode in [WRONG, "000000"] {
                let before = app.hashes_done();
                let answer = sign_in(&app.program(), identity, passcode).await;
                seen.push((
                    passcode,
                    answer.status,
                    answer.codes(),
                    app.hashes_done() - before,
                ));
            }
            for method in ["email", "sms"] {
                let before = app.hashes_done();
                let answer = ask(&app, identity, method).await;
                seen.push((
                    method,
                    answer.status,
                    Vec::new(),
                    app.hashes_done() - before,
                ));
            }
        }
        for one in &seen {
            let same = seen.iter().filter(|other| other.0 == one.0);
            assert!(
                same.clone().all(|other| other == one),
                "{one:?} of {seen:?}"
            );
        }
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn guesses_count_for_the_account_and_a_code_takes_a_few() {
    let app = plan(Plan::new()).start().await;
    app.user(ADA).await;
    ask(&app, ADA, "email").await;
    let code = code_in(&app, ADA);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(sign_in(&app.program(), ADA, wrong).await.status, 400);
    }
    assert_eq!(
        sign_in(&app.program(), ADA, &code).await.status,
        400,
        "the code is used up"
    );
    for _ in 0..4 {
        assert_eq!(sign_in(&app.program(), ADA, WRONG).await.status, 400);
    }
    assert_eq!(sign_in(&app.program(), ADA, PASSWORD).await.status, 429);
}

#[rocket::async_test]
async fn of_six_at_once_with_one_code_exactly_one_comes_in() {
    for_each_database(|on| async move {
        let app = plan(on).without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let key = set_up(&app, &browser, "authenticator").await;
        let key = key["authr_b32key"].as_str().unwrap().to_string();
        app.later(Duration::from_mins(2));
        ask(&app, ADA, "email").await;
        for code in [code_in(&app, ADA), code_of(&app, &key)] {
            let before = app.admitted().await;
            let all = (0..6).map(|_| async { sign_in(&app.program(), ADA, &code).await.status });
            let statuses = join_all(all).await;
            let won = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!(won, 1, "{statuses:?}");
            assert_eq!(app.admitted().await - before, 1);
        }
    })
    .await;
}

#[rocket::async_test]
async fn proving_it_again_takes_any_passcode() {
    on_sqlite(|on| async move {
        let app = plan(on).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let program = browser.copy().in_json();
        let key = set_up(&app, &program, "authenticator").await;
        let key = key["authr_b32key"].as_str().unwrap().to_string();
        for way in ["password", "email", "authenticator"] {
            app.later(Duration::from_mins(11));
            let stale = browser.get("/g/fresh-600").await;
            assert_eq!(
                (stale.status, stale.location()),
                (302, Some("/us-verify?next=%2Fg%2Ffresh-600"))
            );
            let passcode = match way {
                "password" => PASSWORD.to_string(),
                "email" => {
                    let fields = [("chosen_method", "email")];
                    let sent = browser.post_form("/us-verify/send-code", &fields).await;
                    assert_eq!(sent.status, 200, "{}", sent.text());
                    code_in(&app, ADA)
                }
                _ => code_of(&app, &key),
            };
            let wrong = browser
                .post_form("/us-verify", &[("passcode", WRONG)])
                .await;
            assert_eq!(wrong.status, 200);
            let fields = [("passcode", passcode.as_str())];
            let done = browser
                .post_form("/us-verify?next=/g/fresh-600", &fields)
                .await;
            assert_eq!(
                (done.status, done.location()),
                (302, Some("/g/fresh-600")),
                "{way}: {}",
                done.text()
            );
            assert_eq!(browser.get("/g/fresh-600").await.status, 200);
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_phone_belongs_to_one_account() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        let (ada, bob) = (app.user(ADA).await, app.user("bob@example.com").await);
        let browser = app.signed_in(&ada).await.in_json();
        set_up(&app, &browser, "sms").await;
        app.later(Duration::from_mins(20));
        let other = app.signed_in(&bob).await.in_json();
        let body = json!({"chosen_method": "sms", "phone": PHONE});
        let begun = other.post_json("/us-setup", body).await.json();
        let path = format!("/us-setup/{}", begun["response"]["state"].as_str().unwrap());
        let answer = other
            .post_json(&path, json!({"passcode": code_in(&app, PHONE)}))
            .await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec!["factor.phone_taken".to_string()])
        );
        // Once it is given up, it is free.
        let gone = browser
            .post_json("/us-setup", json!({"delete_method": "sms"}))
            .await;
        assert_eq!(gone.status, 200, "{}", gone.text());
        let removed = |kind: &EventKind| matches!(kind, EventKind::FactorRemoved { .. });
        assert_eq!(app.count(removed).await, 1);
        app.later(Duration::from_mins(20));
        set_up(&app, &other, "sms").await;
    })
    .await;
}

#[rocket::async_test]
async fn a_code_that_proves_it_again_is_good_in_its_session_only() {
    for_each_database(|on| async move {
        let app = plan(on).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let other = app.signed_in(&ada).await.in_json();
        app.later(Duration::from_mins(11));
        let body = json!({"chosen_method": "email"});
        let sent = browser.post_json("/us-verify/send-code", body).await;
        assert_eq!(sent.status, 200, "{}", sent.text());
        let mails = app.mails_to(ADA);
        let text = &mails.last().unwrap().text;
        assert!(!text.contains("/us-verify-link/"), "{text}");
        let code = code_in(&app, ADA);
        // Neither signs in by it nor makes another session fresh.
        assert_eq!(sign_in(&app.program(), ADA, &code).await.status, 400);
        let body = json!({"passcode": code});
        assert_eq!(
            other.post_json("/us-verify", body.clone()).await.status,
            400
        );
        let done = browser.post_json("/us-verify", body.clone()).await;
        assert_eq!(done.status, 200, "{}", done.text());
        assert_eq!(browser.post_json("/us-verify", body).await.status, 400);
        // Nor does a code to sign in prove it again.
        app.later(Duration::from_mins(11));
        ask(&app, ADA, "email").await;
        let body = json!({"passcode": code_in(&app, ADA)});
        assert_eq!(browser.post_json("/us-verify", body).await.status, 400);
    })
    .await;
}

#[rocket::async_test]
async fn an_address_that_is_not_proven_proves_nothing_again() {
    let app = plan(Plan::new()).start().await;
    let ada = app.user_with(ADA, |new| new.confirmed(false)).await;
    let browser = app.signed_in(&ada).await.in_json();
    let body = json!({"chosen_method": "email"});
    let answer = browser.post_json("/us-verify/send-code", body).await;
    assert_eq!(
        (answer.status, answer.codes()),
        (400, vec!["login.unconfirmed".to_string()])
    );
    assert!(app.mails_to(ADA).is_empty());
}

#[rocket::async_test]
async fn it_can_take_the_place_of_the_login_page() {
    let app = plan(Plan::new())
        .set("unified.replaces_login", true)
        .start()
        .await;
    app.user(ADA).await;
    let browser = app.browser();
    assert_eq!(browser.get("/login").await.location(), Some("/us-signin"));
    assert_eq!(
        browser.get("/login?next=/me").await.location(),
        Some("/us-signin?next=%2Fme")
    );
    assert_eq!(
        browser.get("/login?next=//evil.example").await.location(),
        Some("/us-signin")
    );
    assert_eq!(
        browser.get("/me").await.location(),
        Some("/us-signin?next=%2Fme")
    );
    // Programs that know `/login` go on as they did.
    let program = app.program();
    let described = program.get("/login").await;
    assert_eq!(described.status, 200);
    assert!(described.json()["response"]["available_methods"].is_array());
    let body = json!({"email": ADA, "password": PASSWORD});
    let answer = program.post_json("/login", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = json!({"email": ADA, "password": WRONG});
    assert_eq!(app.program().post_json("/login", body).await.status, 400);
    let off = Plan::new().start().await;
    for path in ["/us-signin", "/us-setup", "/us-verify"] {
        assert_eq!(off.browser().get(path).await.status, 404, "{path}");
    }
}

#[rocket::async_test]
async fn a_mailed_code_proves_the_address_and_takes_a_planted_password() {
    let app = plan(Plan::new()).start().await;
    app.user_with(ADA, |new| new.confirmed(false)).await;
    ask(&app, ADA, "email").await;
    let code = code_in(&app, ADA);
    assert_eq!(sign_in(&app.program(), ADA, &code).await.status, 200);
    assert_eq!(sign_in(&app.program(), ADA, PASSWORD).await.status, 400);
}

#[rocket::async_test]
async fn the_only_way_in_is_not_removed() {
    for_each_database(|on| async move {
        let methods = ["password", "authenticator"];
        let app = plan(on).set("unified.methods", methods).start().await;
        let new = NewUser::new(rocket_security::EmailAddress::parse(ADA).unwrap());
        let ada = app
            .accounts()
            .create_user(new.confirmed(true))
            .await
            .unwrap();
        let browser = app.signed_in(&ada).await.in_json();
        set_up(&app, &browser, "authenticator").await;
        let body = json!({"delete_method": "authenticator"});
        let answer = browser.post_json("/us-setup", body).await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec!["us.last_one".to_string()])
        );
        let way = app.store().factors_of(&ada.id).await.unwrap().remove(0);
        let path = format!("/us-setup/{}/remove", way.id);
        let answer = browser.post_json(&path, json!({})).await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec!["us.last_one".to_string()])
        );
        let browser = browser.of_pages();
        browser.post_form(&path, &[]).await;
        let page = browser.get("/us-setup").await.text();
        assert!(page.contains("This is your only way to sign in"), "{page}");
        assert_eq!(app.store().factors_of(&ada.id).await.unwrap().len(), 1);
    })
    .await;
}
