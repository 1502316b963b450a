//! Settings that a site chooses by: accounts without a password, where things lead, how long things are good,
//! and what passkeys and mails are for.

use std::time::Duration;

use rocket_security::config::Settings;
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD, Plan, for_each_database, on_sqlite},
    with_factors::factors::Authenticator,
    with_passkeys::authenticators::{Key, options},
    with_smtp::mailed::{NEW, assert_refused, credentials},
};

const ADA: &str = "ada@example.com";

/// The sentence with which a launch with these settings stops.
fn refusal(settings: &[(&str, Value)]) -> String {
    let mut figment = rocket::figment::Figment::from(rocket::Config::debug_default());
    for (key, value) in settings {
        figment = figment.merge((format!("security.{key}"), value));
    }
    match Settings::from_figment(&figment) {
        Ok(_) => panic!("taken: {settings:?}"),
        Err(error) => error.to_string(),
    }
}

// Accounts without a password.

#[rocket::async_test]
async fn an_account_can_be_made_without_a_password() {
    on_sqlite(|plan| async move {
        let app = plan
            .set("passwords.required", false)
            .set("passwordless.enabled", true)
            .start()
            .await;
        let page = app.browser().get("/register").await.text();
        assert!(!page.contains("name=\"password\" required"), "{page}");
        let form = [("email", ADA), ("password", ""), ("password_confirm", "")];
        let answer = app.browser().post_form("/register", &form).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        let answer = app
            .post("/register", json!({"email": "bob@example.com"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM users WHERE password_hash IS NULL")
                .await,
            2
        );
        // One that is chosen is judged as ever.
        let short =
            json!({"email": "c@example.com", "password": "short", "password_confirm": "short"});
        let answer = app.post("/register", short).await;
        assert_eq!(
            answer.field_errors("password").len(),
            1,
            "{}",
            answer.text()
        );
        let half = json!({"email": "c@example.com", "password": PASSWORD});
        assert_eq!(
            app.post("/register", half)
                .await
                .field_errors("password_confirm")
                .len(),
            1
        );
        let half = json!({"email": "c@example.com", "password_confirm": PASSWORD});
        assert_eq!(app.post("/register", half).await.status, 400);
        // Its owner signs in by mail, and can set one.
        assert_eq!(app.post("/login", credentials(ADA, "")).await.status, 400);
        app.post("/login/link", json!({"email": ADA})).await;
        let browser = app.browser().in_json();
        let answer = browser
            .post_json(&app.link_to(ADA, "passwordless"), json!({}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            browser.get("/change").await.json()["response"]["active_password"],
            false
        );
        let new = json!({"new_password": NEW, "new_password_confirm": NEW});
        let answer = browser.post_json("/change", new).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(app.lets_in(ADA, NEW).await);
    })
    .await;
}

#[rocket::async_test]
async fn such_an_account_signs_in_by_passkey() {
    on_sqlite(|plan| async move {
        let app = plan
            .telling()
            .set("passwords.required", false)
            .set("session.idle", "10 d")
            .start()
            .await;
        let browser = app.browser().in_json();
        browser.post_json("/register", json!({"email": ADA})).await;
        assert!(browser.is_signed_in().await);
        let link = app.link_to(ADA, "confirm");
        let answer = browser.post_json(&link, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut key = Key::new();
        browser.add_passkey(&mut key, "Laptop", "first").await;
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM users WHERE password_hash IS NULL")
                .await,
            1
        );
        let other = app.browser().in_json();
        let answer = other.show("/wan-signin", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(other.get("/me").await.text(), ADA);
        // And proves it again by it; there is no password to type.
        app.later(Duration::from_hours(2));
        assert_eq!(other.get("/g/fresh-600").await.status, 401);
        let answer = other.show("/wan-verify", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(other.get("/g/fresh-600").await.status, 200);
        let answer = other.post_json("/verify", json!({"password": ""})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    })
    .await;
}

#[rocket::async_test]
async fn where_answers_tell_such_an_account_is_signed_in_at_once() {
    let app = Plan::new()
        .telling()
        .set("passwords.required", false)
        .start()
        .await;
    let browser = app.browser().in_json();
    let answer = browser.post_json("/register", json!({"email": ADA})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(browser.is_signed_in().await);
    let again = app.post("/register", json!({"email": ADA})).await;
    assert_eq!(again.codes(), ["email.taken"]);
    // And a required one is required.
    let app = App::new().await;
    let answer = app.post("/register", json!({"email": ADA})).await;
    assert_eq!(answer.codes(), ["password.required"]);
}

#[test]
fn a_site_without_passwords_needs_another_way_in() {
    let why = refusal(&[
        ("passwords.required", json!(false)),
        ("recover.enabled", json!(false)),
    ]);
    assert!(
        why.contains("`security.passwords.required` is false"),
        "{why}"
    );
}

// Where things lead.

#[rocket::async_test]
async fn a_link_that_opens_nothing_leads_where_the_site_says() {
    let nonsense = "A".repeat(43);
    for spa in [false, true] {
        let app = Plan::new()
            .set("passwordless.enabled", true)
            .set("spa.enabled", spa)
            .set("after.confirm_error", "/oops/confirm")
            .set("after.change_email_error", "/oops/email")
            .set("after.reset_error", "/oops/reset")
            .set("after.login_error", "/oops/login?from=mail")
            .set("after.tf_error", "/oops/second")
            .start()
            .await;
        for (path, view) in [
            ("/confirm", "/oops/confirm"),
            ("/change-email", "/oops/email"),
            ("/reset", "/oops/reset"),
            ("/login", "/oops/login?from=mail"),
        ] {
            let answer = app.browser().get(&format!("{path}/{nonsense}")).await;
            let location = answer.location().unwrap();
            match spa {
                true => {
                    assert!(location.starts_with(view), "{location}");
                    assert!(location.ends_with("error=ticket.invalid"), "{location}");
                }
                false => assert_eq!(location, view),
            }
            // A program is told, wherever browsers go.
            let answer = app.program().get(&format!("{path}/{nonsense}")).await;
            assert_refused(&answer, 400, "ticket.invalid");
        }
        let answer = app.browser().get("/tf-validate").await;
        assert!(answer.location().unwrap().starts_with("/oops/second"));
    }
    // Without the settings: where another can be asked for.
    let app = App::new().await;
    let answer = app.browser().get(&format!("/confirm/{nonsense}")).await;
    assert_eq!(answer.location(), Some("/confirm"));
    let why = refusal(&[("after.reset_error", json!("https://elsewhere.example/"))]);
    assert!(why.contains("`security.after.reset_error`"), "{why}");
}

#[rocket::async_test]
async fn changes_and_set_up_lead_where_the_site_says() {
    let app = Plan::new()
        .set("identities", ["email", "username"])
        .set("unified.enabled", true)
        .set("after.change", "/changed")
        .set("after.change_username", "/renamed")
        .set("after.tf_setup", "/second")
        .set("after.us_setup", "/ways")
        .set("after.wan_register", "/keys")
        .start()
        .await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await;
    let answer = browser
        .post_form("/change-username", &[("username", "byron")])
        .await;
    assert_eq!(answer.location(), Some("/renamed"));
    let program = browser.copy().in_json();
    let begun = program
        .post_json("/us-setup", json!({"chosen_method": "authenticator"}))
        .await;
    let begun = begun.json()["response"].clone();
    let code = Authenticator {
        key: begun["authr_b32key"].as_str().unwrap().into(),
    }
    .code(&app);
    let path = format!("/us-setup/{}", begun["state"].as_str().unwrap());
    let answer = browser.post_form(&path, &[("passcode", &code)]).await;
    assert_eq!(answer.location(), Some("/ways"), "{}", answer.text());
    app.later(Duration::from_mins(2));
    let begun = browser
        .copy()
        .in_json()
        .begin_setup(json!({"setup": "authenticator"}))
        .await;
    let code = Authenticator::of(&begun).code(&app);
    let path = format!("/tf-setup/{}", begun["tf_state_token"].as_str().unwrap());
    let answer = browser.post_form(&path, &[("code", &code)]).await;
    assert_eq!(answer.location(), Some("/second"), "{}", answer.text());
    let mut key = Key::new();
    let asked = browser.copy().in_json().begin_passkey("One", "first").await;
    let made = key.create(&options(&asked)).to_string();
    let path = format!(
        "/wan-register/{}",
        crate::with_passkeys::authenticators::state(&asked)
    );
    let answer = browser.post_form(&path, &[("credential", &made)]).await;
    assert_eq!(answer.location(), Some("/keys"), "{}", answer.text());
}

// What passkeys are for.

#[rocket::async_test]
async fn passkeys_can_be_second_factors_alone() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let user = app.user(ADA).await;
        let mut key = app.with_passkey(&user, Key::new(), "both").await;
        let strict = app
            .beside(|plan| plan.set("passkeys.first_factor", false))
            .await;
        let browser = strict.browser().in_json();
        assert_eq!(browser.challenge("/wan-signin").await.status, 404);
        let page = strict.browser().get("/login").await.text();
        assert!(
            !page.contains("data-passkey") && !page.contains("webauthn"),
            "{page}"
        );
        // It is still the second factor.
        let waiting = strict.waiting(ADA).await;
        let answer = waiting.show("/wan-signin", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);
        for (usage, status) in [("first", 400), ("both", 400), ("secondary", 200)] {
            let asked = waiting
                .begin_passkey(&format!("Another {usage}"), usage)
                .await;
            assert_eq!(asked.status, status, "{usage}: {}", asked.text());
        }
        let page = waiting.copy().of_pages().get("/wan-register").await.text();
        assert!(page.contains("value=\"secondary\"") && !page.contains("value=\"first\""));
    })
    .await;
    let why = refusal(&[
        ("passkeys.first_factor", json!(false)),
        ("passkeys.sign_up", json!(true)),
    ]);
    assert!(why.contains("`sign_up`"), "{why}");
}

#[rocket::async_test]
async fn passkeys_can_be_left_out_of_proving_it_again() {
    let app = Plan::new().set("passkeys.verify", false).start().await;
    let user = app.user(ADA).await;
    app.with_passkey(&user, Key::new(), "first").await;
    let browser = app.signed_in(&user).await.in_json();
    assert_eq!(browser.get("/wan-verify").await.status, 404);
    assert_eq!(browser.challenge("/wan-verify").await.status, 404);
    let shown = browser.get("/verify").await.json()["response"].clone();
    assert_eq!(shown["has_webauthn_verify_credential"], false);
    app.later(Duration::from_hours(2));
    let stale = browser.get("/g/fresh-600").await;
    assert_eq!(
        stale.json()["response"]["has_webauthn_verify_credential"],
        false
    );
}

#[rocket::async_test]
async fn proving_it_again_takes_passkeys_of_the_usages_that_are_listed() {
    for (taken, first, secondary, both) in [
        (json!(true), 200, 200, 200),
        (json!(["first", "secondary"]), 200, 200, 200),
        (json!(["first"]), 200, 400, 200),
        (json!(["secondary"]), 400, 200, 200),
        (json!([]), 404, 404, 404),
    ] {
        let app = Plan::new()
            .without_limits()
            .set("passkeys.verify", &taken)
            .start()
            .await;
        for (usage, status) in [("first", first), ("secondary", secondary), ("both", both)] {
            let user = app.user(&format!("{usage}@example.com")).await;
            let mut key = app.with_passkey(&user, Key::new(), usage).await;
            let browser = app.browser().in_json();
            browser.sign_in_as(&user, "mfa=true").await;
            let shown = browser.get("/verify").await.json()["response"].clone();
            let offered = status == 200;
            assert_eq!(
                shown["has_webauthn_verify_credential"], offered,
                "{taken} {usage}"
            );
            let asked = browser.challenge("/wan-verify").await;
            assert_eq!(asked.status, status, "{taken} {usage}: {}", asked.text());
            if offered {
                let shown = key.get(&options(&asked));
                let answer = browser.present("/wan-verify", &asked, &shown).await;
                assert_eq!(answer.status, 200, "{taken} {usage}: {}", answer.text());
            }
        }
    }
    // One that was not asked for is refused, whatever else the account has.
    let app = Plan::new()
        .set("passkeys.verify", ["secondary"])
        .start()
        .await;
    let user = app.user(ADA).await;
    let mut first = app.with_passkey(&user, Key::new(), "first").await;
    app.with_passkey(&user, Key::new(), "secondary").await;
    let browser = app.browser().in_json();
    browser.sign_in_as(&user, "mfa=true").await;
    let answer = browser.show("/wan-verify", &mut first).await;
    assert_refused(&answer, 400, "passkey.refused");
}

#[rocket::async_test]
async fn making_a_passkey_has_a_time_of_its_own() {
    let app = Plan::new()
        .set("passkeys.register_challenge", "20 min")
        .set("passkeys.challenge", "1 min")
        .start()
        .await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await.in_json();
    let mut key = Key::new();
    let asked = browser.begin_passkey("One", "first").await;
    assert_eq!(options(&asked)["timeout"], 1_200_000);
    app.later(Duration::from_mins(15));
    let made = key.create(&options(&asked));
    let answer = browser.present("/wan-register", &asked, &made).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let other = app.browser().in_json();
    let asked = other.challenge("/wan-signin").await;
    assert_eq!(options(&asked)["timeout"], 60_000);
    app.later(Duration::from_mins(2));
    let shown = key.get(&options(&asked));
    let answer = other.present("/wan-signin", &asked, &shown).await;
    assert_refused(&answer, 400, "passkey.expired");
}

// Mails, tokens, codes.

#[rocket::async_test]
async fn mails_are_of_text_alone_or_of_html_alone() {
    for (parts, text, html) in [
        ("both", true, true),
        ("text", true, false),
        ("html", false, true),
    ] {
        let app = Plan::new().set("mail.parts", parts).start().await;
        app.user(ADA).await;
        app.post("/reset", json!({"email": ADA})).await;
        let mail = app.mails_to(ADA).pop().unwrap();
        assert_eq!(
            (!mail.text.is_empty(), !mail.html.is_empty()),
            (text, html),
            "{parts}"
        );
    }
}

#[rocket::async_test]
async fn a_csrf_token_ends_where_the_site_says() {
    let app = Plan::new().set("csrf.life", "30 min").start().await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await;
    let token = browser.csrf().await;
    let post = async || {
        browser
            .post_raw_form("/p/input", &[("csrf_token", &token)])
            .await
            .status
    };
    assert_eq!(post().await, 200);
    app.later(Duration::from_mins(29));
    assert_eq!(post().await, 200);
    app.later(Duration::from_mins(1));
    assert_eq!(post().await, 400);
    // By default it is good as long as the session.
    let app = App::new().await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await;
    let token = browser.csrf().await;
    app.later(Duration::from_hours(11));
    let answer = browser
        .post_raw_form("/p/input", &[("csrf_token", &token)])
        .await;
    assert_eq!(answer.status, 200);
    let why = refusal(&[("csrf.life", json!("1 s"))]);
    assert!(why.contains("`security.csrf.life`"), "{why}");
}

#[rocket::async_test]
async fn recovery_codes_end_where_the_site_says() {
    on_sqlite(|plan| async move {
        let app = plan.set("recovery_codes.life", "30 d").start().await;
        let user = app.user(ADA).await;
        let browser = app.signed_in(&user).await.in_json();
        browser.add_authenticator().await;
        let made = browser.post_json("/mf-recovery-codes", json!({})).await;
        let codes = made.json()["response"]["recovery_codes"].clone();
        app.later(Duration::from_hours(24 * 29));
        let use_one = async |n: usize| -> Answer {
            let waiting = app.waiting(ADA).await;
            waiting
                .post_json("/mf-recovery", json!({"code": codes[n]}))
                .await
        };
        assert_eq!(use_one(0).await.status, 200);
        app.later(Duration::from_hours(24 * 2));
        assert_refused(&use_one(1).await, 400, "mf.code_wrong");
        let waiting = app.waiting(ADA).await;
        let ways = waiting.get("/tf-rescue").await.json()["response"]["options"].clone();
        assert_eq!(ways, json!([]), "they are not offered any more");
    })
    .await;
}

// What an application can use.

#[rocket::async_test]
async fn a_seed_runs_at_launch_when_the_tables_are_there() {
    for_each_database(|plan| async move {
        let app = plan
            .security(|security| {
                security.seed(|accounts, hasher| async move {
                    accounts.find_or_create_role("admin").await?;
                    let password = rocket_security::Password::parse(PASSWORD).unwrap();
                    let hash = hasher.hash(&password).await.unwrap();
                    let email = rocket_security::EmailAddress::parse(ADA).unwrap();
                    let new = rocket_security::NewUser::new(email)
                        .confirmed(true)
                        .password(hash);
                    let user = accounts.create_user(new).await?;
                    accounts.add_role_to_user(&user.id, "admin").await?;
                    Ok(())
                })
            })
            .start()
            .await;
        let browser = app.browser();
        browser.login(ADA, PASSWORD).await;
        assert_eq!(browser.get("/g/admin").await.status, 200);
    })
    .await;
    let plan = Plan::new().security(|security| {
        security.seed(|_, _| async { Err(rocket_security::StoreError::Refused("no way".into())) })
    });
    assert!(plan.try_start().await.is_err());
}

#[rocket::async_test]
async fn rocket_manages_the_hasher_and_the_names_of_cookies() {
    let app = App::new().await;
    let rocket = app.client.rocket();
    let hasher: &rocket_security::Hasher = rocket.state().unwrap();
    let password = rocket_security::Password::parse(PASSWORD).unwrap();
    let hash = hasher.hash(&password).await.unwrap();
    let verdict = hasher.verify(&password, Some(&hash)).await.unwrap();
    assert!(matches!(
        verdict,
        rocket_security::Verdict::Match { upgrade: None }
    ));
    let names: &rocket_security::CookieNames = rocket.state().unwrap();
    app.user(ADA).await;
    let browser = app.browser();
    browser.login_remembered(ADA, PASSWORD).await;
    assert!(browser.cookie(names.session()).is_some());
    assert!(browser.cookie(names.remember()).is_some());
}

#[rocket::async_test]
async fn an_account_says_from_where_it_was_signed_in() {
    let app = App::new().await;
    let user = app.user(ADA).await;
    assert_eq!(user.current_sign_in_from, None);
    app.browser().from("192.0.2.1").login(ADA, PASSWORD).await;
    app.browser().from("192.0.2.2").login(ADA, PASSWORD).await;
    let user = app.store().find_user(&user.id).await.unwrap().unwrap();
    assert_eq!(user.last_sign_in_from.as_deref(), Some("192.0.2.1"));
    assert_eq!(user.current_sign_in_from.as_deref(), Some("192.0.2.2"));
    // Nothing that an application hands on carries them by accident.
    assert!(!serde_json::to_string(&user).unwrap().contains("192.0.2"));
}

#[rocket::async_test]
async fn a_signed_in_client_of_json_gets_its_csrf_token_by_get() {
    let app = App::new().await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await;
    let shown = browser.copy().in_json().get("/login").await;
    let token = shown.json()["response"]["csrf_token"]
        .as_str()
        .unwrap()
        .to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-CSRF-Token", token.as_str()),
    ];
    let verb = rocket::http::Method::Post;
    let answer = browser.send(verb, "/p/input", &headers, Some(b"{}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rocket::async_test]
async fn a_reset_leaves_empty_tables() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let user = app.user(ADA).await;
        app.grant(&user, "admin", &["post:publish"]).await;
        let browser = app.browser();
        browser.login_remembered(ADA, PASSWORD).await;
        app.with_passkey(&user, Key::new(), "first").await;
        browser.copy().in_json().add_authenticator().await;
        app.post("/reset", json!({"email": ADA})).await;
        app.post("/login", credentials(ADA, "wrong")).await;
        rocket_security::testing::reset(app.client.rocket())
            .await
            .unwrap();
        for table in [
            "users",
            "roles",
            "role_permissions",
            "user_roles",
            "security_sessions",
            "security_remember",
            "security_tokens",
            "security_refresh_families",
            "security_api_keys",
            "security_tickets",
            "security_outbox",
            "security_factors",
            "security_passkeys",
            "security_passkey_users",
            "security_recovery_codes",
            "security_devices",
            "security_social_accounts",
            "security_failures",
        ] {
            let count = app
                .number(&format!("SELECT COUNT(*) AS n FROM {table}"))
                .await;
            assert_eq!(count, 0, "{table}");
        }
        // And the site goes on.
        app.user(ADA).await;
        assert!(app.lets_in(ADA, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn freshness_can_have_a_grace_of_its_own() {
    let app = Plan::new()
        .mount(rocket::routes![patient, own])
        .start()
        .await;
    let user = app.user(ADA).await;
    for path in ["/g/patient", "/g/own"] {
        let browser = app.signed_in(&user).await;
        assert_eq!(browser.get(path).await.status, 200);
        app.later(Duration::from_mins(11));
        // The ten minutes are over; whoever is in the middle of it goes on for an hour.
        assert_eq!(browser.get(path).await.status, 200, "{path}");
        assert_eq!(
            browser.get("/g/fresh-600").await.status,
            302,
            "without a grace"
        );
        app.later(Duration::from_mins(55));
        assert_eq!(browser.get(path).await.status, 200, "{path}, extended");
        // Never beyond twice the grace after the freshness.
        app.later(Duration::from_mins(50));
        assert_eq!(browser.get(path).await.status, 200, "{path}");
        app.later(Duration::from_mins(15));
        assert_eq!(browser.get(path).await.status, 302, "{path}");
        // The setting's own grace opens nothing here.
        let browser = app.signed_in(&user).await;
        app.later(Duration::from_hours(10));
        assert_eq!(browser.get("/g/fresh").await.status, 200);
        assert_eq!(browser.get(path).await.status, 302, "{path}");
    }
}

#[rocket::get("/g/patient")]
fn patient(_who: rocket_security::Require<rocket_security::Fresh<600, 3600>>) -> &'static str {
    "in"
}

enum Recent {}

impl rocket_security::Policy for Recent {
    fn authorize(view: &rocket_security::guards::View<'_>) -> Result<(), rocket_security::Denied> {
        match view.is_fresh_within(Duration::from_mins(10), Duration::from_hours(1)) {
            true => Ok(()),
            false => Err(rocket_security::Denied::Stale),
        }
    }
}

#[rocket::get("/g/own")]
fn own(_who: rocket_security::Require<Recent>) -> &'static str {
    "in"
}
