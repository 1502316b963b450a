//! Passkeys: adding and managing them, signing in, the second step, proving it again, and accounts that
//! never have a password. What must fail is in `passkey_attacks.rs`.

use std::time::Duration;

use rocket_security::{EventKind, Method, NewUser, PasskeyUsage, WebauthnPolicy};
use serde_json::{Value, json};

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database, on_sqlite},
    with_factors::factors::{PENDING, REMEMBER},
    with_passkeys::authenticators::{Independent, Key, ORIGIN, decoded, options, state},
    with_smtp::mailed::{SESSION, assert_refused},
};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

// Adding, and signing in.

#[rocket::async_test]
async fn a_passkey_is_added_and_signs_in_with_nothing_typed() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let mut key = Key {
            aaguid: *uuid::uuid!("fbfc3007-154e-4ecc-8c0b-6e020557d7bd").as_bytes(),
            be: true,
            bs: true,
            ..Key::new()
        };
        browser.add_passkey(&mut key, "  My laptop ", "first").await;
        let added = |kind: &EventKind| matches!(kind, EventKind::PasskeyAdded { name, .. } if name == "My laptop");
        assert_eq!((app.count(added).await, app.count_mails(ADA, "factor_added")), (1, 1));
        // It signs in, and is no second factor.
        assert!(browser.is_signed_in().await);
        assert!(app.lets_in(ADA, PASSWORD).await);
        let listed = browser.get("/wan-register").await.json()["response"].clone();
        let listed = &listed["registered_credentials"][0];
        assert_eq!(listed["name"], "My laptop");
        assert_eq!(listed["usage"], "first");
        assert_eq!(listed["provider"], "Apple Passwords");
        assert_eq!(decoded(&listed["credential_id"]), key.id);
        assert_eq!((&listed["synced"], &listed["lastuse"]), (&json!(true), &Value::Null));
        let page = browser.copy().of_pages().get("/wan-register").await;
        for text in ["My laptop", "Apple Passwords", "data-passkey=\"register\"", "passkeys.js"] {
            assert!(page.text().contains(text), "{text} in {}", page.text());
        }

        let other = app.browser().in_json();
        let before = app.admitted().await;
        let answer = other.show("/wan-signin", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(other.is_signed_in().await);
        assert_eq!(other.get("/me").await.text(), ADA);
        assert_eq!(app.admitted().await, before + 1);
        let by_passkey = |kind: &EventKind| {
            matches!(kind, EventKind::Authenticated { methods, .. } if methods.iter().eq([Method::Passkey]))
        };
        assert_eq!(app.count(by_passkey).await, 1);
        // One that has checked its owner is two factors.
        assert_eq!(other.get("/g/mfa").await.status, 200);
        let infos = app.store().passkeys_of(&ada.id).await.unwrap();
        assert!(infos[0].last_used_at.is_some() && infos[0].synced && infos[0].verifies);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM security_passkey_users").await, 1);
        let (user, info) = app.store().find_user_by_passkey(&key.id).await.unwrap().unwrap();
        assert_eq!((user.id, info.id.as_str()), (ada.id.clone(), infos[0].id.as_str()));
        let handle = uuid::Uuid::from_slice(key.handle.as_deref().unwrap()).unwrap();
        let found = app.store().find_user_by_passkey_handle(&handle).await.unwrap();
        assert_eq!(found.unwrap().id, ada.id);
    })
    .await;
}

#[rocket::async_test]
async fn another_implementation_of_authenticators_is_understood() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let mut theirs = Independent::default();
        let asked = browser.begin_passkey("Theirs", "both").await;
        let made = theirs.create(&options(&asked)).await;
        let answer = browser.present("/wan-register", &asked, &made).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for _ in 0..2 {
            let other = app.browser().in_json();
            let asked = other.challenge("/wan-signin").await;
            let shown = theirs.get(&options(&asked)).await;
            let answer = other.present("/wan-signin", &asked, &shown).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(other.is_signed_in().await);
        }
        let waiting = app.waiting(ADA).await;
        let asked = waiting.challenge("/wan-signin").await;
        let shown = theirs.get(&options(&asked)).await;
        let answer = waiting.present("/wan-signin", &asked, &shown).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn browsers_are_asked_for_what_makes_a_passkey() {
    let app = Plan::new().set("site_name", "Open Sesame").start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let asked = options(&browser.begin_passkey("One", "first").await);
    assert_eq!(
        asked["rp"],
        json!({"id": "localhost", "name": "Open Sesame"})
    );
    assert_eq!(
        (&asked["user"]["name"], &asked["user"]["displayName"]),
        (&json!(ADA), &json!(ADA))
    );
    assert_eq!(
        asked["authenticatorSelection"],
        json!({
            "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
        })
    );
    assert_eq!(asked["attestation"], "none");
    assert_eq!(asked["extensions"]["credProps"], true);
    assert_eq!(decoded(&asked["challenge"]).len(), 32);
    // A random name for the account, which stays.
    assert_eq!(decoded(&asked["user"]["id"]).len(), 16);
    assert_ne!(decoded(&asked["user"]["id"]), ada.id.as_str().as_bytes());
    let mut key = Key::new();
    browser.add_passkey(&mut key, "One", "first").await;
    let again = options(&browser.begin_passkey("Two", "secondary").await);
    assert_eq!(decoded(&again["user"]["id"]), key.handle.clone().unwrap());
    assert_eq!(decoded(&again["excludeCredentials"][0]["id"]), key.id);
    assert_eq!(
        again["authenticatorSelection"],
        json!({
            "residentKey": "discouraged", "requireResidentKey": false, "userVerification": "preferred",
        })
    );
    assert_eq!(again["extensions"], json!({"credProps": true}));

    let asked = options(&app.browser().in_json().challenge("/wan-signin").await);
    assert_eq!(asked["rpId"], "localhost");
    assert_eq!(asked["userVerification"], "required");
    assert_eq!(asked["allowCredentials"], json!([]));
    assert_eq!(asked.get("mediation"), None);
    let own = options(&browser.challenge("/wan-verify").await);
    assert_eq!(decoded(&own["allowCredentials"][0]["id"]), key.id);
}

struct OurKeys;

impl WebauthnPolicy for OurKeys {
    fn account_name(&self, email: &str, _username: Option<&str>) -> String {
        format!("{email} (staff)")
    }

    fn attachment(&self, usage: PasskeyUsage) -> Option<rocket_security::Attachment> {
        (usage == PasskeyUsage::First).then_some(rocket_security::Attachment::Platform)
    }

    fn hints(&self, _usage: PasskeyUsage) -> Vec<rocket_security::PasskeyHint> {
        vec![rocket_security::PasskeyHint::ClientDevice]
    }

    fn allows(&self, aaguid: uuid::Uuid, _usage: PasskeyUsage) -> bool {
        !aaguid.is_nil()
    }
}

#[rocket::async_test]
async fn an_application_chooses_otherwise() {
    let plan = Plan::new().security(|security| security.webauthn_policy(OurKeys));
    let app = plan.start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let asked = options(&browser.begin_passkey("One", "first").await);
    assert_eq!(asked["user"]["name"], "ada@example.com (staff)");
    assert_eq!(
        asked["authenticatorSelection"]["authenticatorAttachment"],
        "platform"
    );
    assert_eq!(asked["hints"], json!(["client-device"]));
    let answer = browser.try_to_add(&mut Key::new(), "One", "first").await;
    assert_refused(&answer, 400, "passkey.not_allowed");
    let aaguid = [7; 16];
    let mut known = Key {
        aaguid,
        ..Key::new()
    };
    browser.add_passkey(&mut known, "One", "first").await;
}

#[rocket::async_test]
async fn pages_do_it_by_forms() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let scripted = || browser.copy().in_json();
        let mut key = Key::new();
        let asked = scripted().begin_passkey("Laptop", "first").await;
        let made = key.create(&options(&asked)).to_string();
        let path = format!("/wan-register/{}", state(&asked));
        let answer = browser.post_form(&path, &[("credential", &made)]).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/wan-register"))
        );
        assert!(browser.reads(&answer, "Your passkey is ready").await);
        // The same again is told on the page.
        let answer = browser.post_form(&path, &[("credential", &made)]).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/wan-register"))
        );
        assert!(browser.reads(&answer, "took too long").await);
        // A name that does not do is told beside its field.
        let fields = [("name", "<b>"), ("usage", "first")];
        let answer = browser.post_form("/wan-register", &fields).await;
        assert!(
            answer.status == 200 && answer.text().contains("cannot be used"),
            "{}",
            answer.text()
        );

        let visitor = app.browser();
        let login = visitor.get("/login?next=/me").await.text();
        for text in [
            "data-passkey=\"signin\"",
            "username webauthn",
            "data-autofill",
            "passkeys.js",
        ] {
            assert!(login.contains(text), "{text} in {login}");
        }
        let fields = json!({"next": "/me", "remember": true});
        let asked = visitor.copy().in_json();
        let answer = asked.post_json("/wan-signin?first", fields).await;
        let shown = key.get(&options(&answer)).to_string();
        let path = format!("/wan-signin/{}", state(&answer));
        let form = [("credential", shown.as_str())];
        let done = asked.of_pages();
        let answer = done.post_form(&path, &form).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/me")));
        assert!(done.is_signed_in().await && done.cookie(REMEMBER).is_some());
        let answer = visitor.post_form(&path, &form).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/wan-signin"))
        );
        assert!(visitor.reads(&answer, "took too long").await);
    })
    .await;
}

#[rocket::async_test]
async fn the_script_is_served_and_no_page_has_one_inside() {
    let app = App::new().await;
    let script = app.browser().get("/security-assets/passkeys.js").await;
    assert_eq!(script.status, 200);
    assert!(
        script
            .header("Content-Type")
            .unwrap()
            .contains("javascript")
    );
    assert!(script.text().contains("navigator.credentials"));
}

#[rocket::async_test]
async fn what_is_typed_reveals_nothing() {
    on_sqlite(|plan| async move {
        let plan = plan.set("passkeys.hints", true).without_limits();
        let app = plan.start().await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let _ = bob;
        let hint = async |who: &str| {
            let browser = app.browser().in_json();
            let asked = browser
                .post_json("/wan-signin", json!({"identity": who}))
                .await;
            let told = options(&asked)["allowCredentials"].clone();
            assert!((1..=2).contains(&told.as_array().unwrap().len()), "{told}");
            let mut keys: Vec<_> = told[0].as_object().unwrap().keys().cloned().collect();
            keys.sort();
            assert_eq!(keys, ["id", "type"]);
            told
        };
        for who in [ADA, BOB, "nobody@example.com"] {
            assert_eq!(hint(who).await, hint(who).await, "{who}");
        }
        assert_ne!(hint(BOB).await, hint("nobody@example.com").await);
        // A key that cannot find itself says no name, and is known by what the browser was told.
        let browser = app.browser().in_json();
        let asked = browser
            .post_json("/wan-signin", json!({"identity": ADA}))
            .await;
        assert_eq!(
            decoded(&options(&asked)["allowCredentials"][0]["id"]),
            key.id
        );
        key.handle = None;
        let shown = key.get(&options(&asked));
        let answer = browser.present("/wan-signin", &asked, &shown).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    })
    .await;
    let app = App::new().await;
    let ada = app.user(ADA).await;
    app.with_passkey(&ada, Key::new(), "first").await;
    for who in [ADA, "nobody@example.com"] {
        let browser = app.browser().in_json();
        let asked = browser
            .post_json("/wan-signin", json!({"identity": who}))
            .await;
        assert_eq!(options(&asked)["allowCredentials"], json!([]));
    }
}

// The second step.

#[rocket::async_test]
async fn a_key_that_checks_nobody_is_a_second_factor_and_no_passkey() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let mut key = Key::plain();
        for usage in ["first", "both"] {
            let answer = browser.try_to_add(&mut key, "Blue key", usage).await;
            assert_refused(&answer, 400, "passkey.no_verification");
        }
        let elsewhere = app.signed_in(&ada).await;
        browser.add_passkey(&mut key, "Blue key", "secondary").await;
        // The first second factor: whoever was in elsewhere shows it.
        assert!(browser.is_signed_in().await && !elsewhere.is_signed_in().await);
        assert!(!app.lets_in(ADA, PASSWORD).await);
        let answer = app.browser().in_json().show("/wan-signin", &mut key).await;
        assert_refused(&answer, 400, "passkey.refused");

        let waiting = app.browser().in_json();
        let answer = waiting.login(ADA, PASSWORD).await;
        let said = answer.json()["response"].clone();
        assert_eq!(said["tf_required"], true);
        assert_eq!(said["tf_state"], "ready");
        assert_eq!(said["tf_method"], "webauthn");
        assert_eq!(said["tf_primary_method"], "webauthn");
        waiting.has_nothing().await;
        let shown = waiting.get("/wan-signin").await.json();
        assert_eq!(shown["response"]["is_secondary"], true);
        let asked = waiting.challenge("/wan-signin").await;
        assert_eq!(asked.json()["response"]["is_secondary"], true);
        assert_eq!(
            decoded(&options(&asked)["allowCredentials"][0]["id"]),
            key.id
        );
        let shown = key.get(&options(&asked));
        let answer = waiting.present("/wan-signin", &asked, &shown).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);
        assert_eq!(waiting.get("/g/mfa").await.status, 200);
        assert_eq!(waiting.cookie(PENDING), None);
    })
    .await;
}

#[rocket::async_test]
async fn a_second_factor_passkey_asks_for_itself_where_there_are_no_others() {
    on_sqlite(|plan| async move {
        let app = plan.set("two_factor.enabled", false).start().await;
        let ada = app.user(ADA).await;
        let mut keys = [Key::plain(), Key::plain()];
        let browser = app.signed_in(&ada).await.in_json();
        browser.add_passkey(&mut keys[0], "One", "secondary").await;
        browser.add_passkey(&mut keys[1], "Two", "secondary").await;
        let waiting = app.browser();
        let answer = waiting.login(ADA, PASSWORD).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/wan-signin"))
        );
        let page = waiting.get("/wan-signin").await;
        assert!(page.text().contains("One more step"), "{}", page.text());
        let waiting = waiting.in_json();
        let answer = waiting.show("/wan-signin", &mut keys[1]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);
        // Freshness is a matter of passkeys too.
        assert_eq!(waiting.get("/g/mfa").await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_second_step_is_answered_by_whichever_factor_is_chosen() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let mut key = Key::plain();
        browser.add_passkey(&mut key, "Blue key", "secondary").await;
        let waiting = app.browser().in_json();
        let answer = waiting.login(ADA, PASSWORD).await;
        let said = answer.json()["response"].clone();
        assert_eq!(said["tf_select"], true);
        assert_eq!(
            said["tf_setup_methods"],
            json!(["authenticator", "webauthn"])
        );
        let page = waiting.copy().of_pages().get("/tf-select").await;
        for text in ["value=\"webauthn\"", "data-passkey=\"signin\""] {
            assert!(page.text().contains(text), "{}", page.text());
        }
        let answer = waiting
            .post_json("/tf-select", json!({"which": "webauthn"}))
            .await;
        assert_eq!(answer.json()["response"]["tf_method"], "webauthn");
        let validate = waiting.copy().of_pages().get("/tf-validate").await;
        assert_eq!(validate.location(), Some("/wan-signin"));
        let answer = waiting.show("/wan-signin", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);

        let waiting = app.browser().in_json();
        waiting.login(ADA, PASSWORD).await;
        waiting
            .post_json("/tf-select", json!({"which": "authenticator"}))
            .await;
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // Somebody who is in by a password alone shows it later.
        let stepping = app.signed_in(&ada).await.in_json();
        assert_eq!(stepping.get("/g/mfa").await.status, 401);
        let body = json!({"which": "webauthn", "next": "/me"});
        let answer = stepping.post_json("/tf-select", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = stepping.show("/wan-signin", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(stepping.get("/g/mfa").await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_passkey_counts_as_one_factor_where_the_settings_say_so() {
    on_sqlite(|plan| async move {
        let app = plan.set("passkeys.multi_factor", false).start().await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let phone = app.with_authenticator(&ada).await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let mut key = Key::new();
        browser.add_passkey(&mut key, "Laptop", "both").await;
        let waiting = app.browser().in_json();
        let answer = waiting.show("/wan-signin", &mut key).await;
        assert_eq!(
            answer.json()["response"]["tf_method"],
            "authenticator",
            "{}",
            answer.text()
        );
        waiting.has_nothing().await;
        // The same is not two.
        let again = waiting.challenge("/wan-signin").await;
        assert_refused(&again, 400, "passkey.none");
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(waiting.is_signed_in().await);
        assert_eq!(waiting.get("/g/mfa").await.status, 200);
        // Another passkey is.
        let mut other = Key::plain();
        waiting.add_passkey(&mut other, "Key", "secondary").await;
        let stepping = app.browser().in_json();
        let answer = stepping.show("/wan-signin", &mut key).await;
        assert_eq!(
            answer.json()["response"]["tf_select"],
            true,
            "{}",
            answer.text()
        );
        let answer = stepping.show("/wan-signin", &mut key).await;
        assert_refused(&answer, 400, "passkey.refused");
        let answer = stepping.show("/wan-signin", &mut other).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(stepping.get("/g/mfa").await.status, 200);
        // Without another factor nothing is owed, and it is one.
        let mut his = app.with_passkey(&bob, Key::new(), "first").await;
        let browser = app.browser().in_json();
        assert_eq!(browser.show("/wan-signin", &mut his).await.status, 200);
        assert!(browser.is_signed_in().await);
        assert_eq!(browser.get("/g/mfa").await.status, 401);
    })
    .await;
}

#[rocket::async_test]
async fn the_login_page_offers_a_passkey_whatever_waits_in_the_browser() {
    let app = App::new().await;
    let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
    app.with_passkey(&ada, Key::plain(), "secondary").await;
    let mut his = app.with_passkey(&bob, Key::new(), "first").await;
    for (path, body) in [
        ("/wan-signin", json!({"autofill": true})),
        ("/wan-signin?first", json!({})),
    ] {
        let browser = app.waiting(ADA).await;
        let asked = browser.post_json(path, body).await;
        assert_eq!(asked.json()["response"]["is_secondary"], false);
        assert_eq!(options(&asked)["allowCredentials"], json!([]));
        let shown = his.get(&options(&asked));
        let answer = browser.present("/wan-signin", &asked, &shown).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(browser.get("/me").await.text(), BOB);
    }
}

// Proving it again.

#[rocket::async_test]
async fn a_passkey_proves_it_again() {
    for_each_database(|plan| async move {
        let app = plan.set("unified.enabled", true).start().await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let mut key = app.with_passkey(&ada, Key::counting(), "first").await;
        let browser = app.signed_in(&ada).await.in_json();
        let his = app.signed_in(&bob).await.in_json();
        app.later(Duration::from_hours(11));
        assert!(browser.is_signed_in().await && his.is_signed_in().await);
        for path in ["/verify", "/us-verify", "/wan-verify"] {
            let has = async |actor: &Actor<'_>| {
                let answer = actor.get(path).await.json();
                answer["response"]["has_webauthn_verify_credential"].clone()
            };
            assert_eq!(
                (has(&browser).await, has(&his).await),
                (json!(true), json!(false))
            );
            let page = browser.copy().of_pages().get(path).await.text();
            assert!(page.contains("data-passkey=\"verify\""), "{path}: {page}");
        }
        for (actor, has) in [(&browser, true), (&his, false)] {
            let refused = actor.get("/g/fresh-600").await;
            assert_eq!(refused.status, 401);
            let said = refused.json()["response"]["has_webauthn_verify_credential"].clone();
            assert_eq!(said, has);
        }
        assert_eq!(his.challenge("/wan-verify").await.status, 400);
        let session = browser.cookie(SESSION);
        let answer = browser.show("/wan-verify", &mut key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_ne!(browser.cookie(SESSION), session);
        assert_eq!(browser.get("/g/fresh-600").await.status, 200);
        let again = |kind: &EventKind| matches!(kind, EventKind::Reauthenticated { .. });
        assert_eq!(app.count(again).await, 1);
    })
    .await;
}

// Managing.

#[rocket::async_test]
async fn names_are_free_text_that_can_be_seen_and_told_apart() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let long = "x".repeat(65);
        for (name, code) in [
            (long.as_str(), "passkey.name_too_long"),
            ("<script>alert(1)</script>", "passkey.name_invalid"),
            ("key\u{202e}gpj.exe", "passkey.name_invalid"),
            ("\u{200b}\u{200b}", "passkey.name_invalid"),
            ("", "passkey.name_required"),
        ] {
            let answer = browser.begin_passkey(name, "first").await;
            assert_refused(&answer, 400, code);
            assert_eq!(answer.field_errors("name").len(), 1);
        }
        let answer = browser.begin_passkey("Good", "sideways").await;
        assert_eq!(answer.field_errors("usage").len(), 1, "{}", answer.text());
        browser
            .add_passkey(&mut Key::new(), "my key-1", "first")
            .await;
        let answer = browser.begin_passkey("my key-1", "first").await;
        assert_refused(&answer, 400, "passkey.name_taken");
        // Of two begun under one name the second finds it taken.
        let (other, mut one, mut two) =
            (app.signed_in(&ada).await.in_json(), Key::new(), Key::new());
        let (a, b) = (
            browser.begin_passkey("Same", "first").await,
            other.begin_passkey("Same", "first").await,
        );
        let (one, two) = (one.create(&options(&a)), two.create(&options(&b)));
        assert_eq!(browser.present("/wan-register", &a, &one).await.status, 200);
        let late = other.present("/wan-register", &b, &two).await;
        assert_refused(&late, 400, "passkey.name_taken");

        let rename = async |body: Value| browser.post_json("/wan-rename", body).await;
        let answer = rename(json!({"name": "my key-1", "new_name": "Schlüssel 鍵"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut names = app.passkeys(&ada).await;
        names.sort();
        assert_eq!(names, ["Same", "Schlüssel 鍵"]);
        let answer = rename(json!({"name": "Same", "new_name": "Schlüssel 鍵"})).await;
        assert_refused(&answer, 400, "passkey.name_taken");
        let answer = rename(json!({"name": "Same", "new_name": "\u{200b}"})).await;
        assert_eq!(answer.field_errors("new_name").len(), 1);
        assert_eq!(
            rename(json!({"name": "Same", "new_name": "Same"}))
                .await
                .status,
            200
        );
        let answer = rename(json!({"name": "None", "new_name": "Other"})).await;
        assert_refused(&answer, 400, "passkey.unknown");
        // By the page.
        let id = app.store().passkeys_of(&ada.id).await.unwrap()[0]
            .id
            .clone();
        let pages = browser.copy().of_pages();
        let fields = [("id", id.as_str()), ("new_name", "<")];
        let page = pages.post_form("/wan-rename", &fields).await;
        assert!(
            page.status == 200 && page.text().contains("cannot be used"),
            "{}",
            page.text()
        );
        let fields = [("id", id.as_str()), ("new_name", "By page")];
        let answer = pages.post_form("/wan-rename", &fields).await;
        assert!(pages.reads(&answer, "By page").await);
    })
    .await;
}

#[rocket::async_test]
async fn a_passkey_is_removed_unless_it_is_the_last_way_in() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let mut key = Key::new();
        browser.add_passkey(&mut key, "One", "first").await;
        let answer = browser.post_json("/wan-delete", json!({"name": "One"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let removed = |kind: &EventKind| matches!(kind, EventKind::PasskeyRemoved { name, .. } if name == "One");
        assert_eq!((app.count(removed).await, app.count_mails(ADA, "factor_removed")), (1, 1));
        assert!(app.passkeys(&ada).await.is_empty());
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM security_passkeys").await, 0);
        let answer = app.browser().in_json().show("/wan-signin", &mut key).await;
        assert_refused(&answer, 400, "passkey.refused");

        // Without password, mail or another passkey it stays.
        let email = rocket_security::EmailAddress::parse(BOB).unwrap();
        let bob = app.accounts().create_user(NewUser::new(email).confirmed(true)).await.unwrap();
        let browser = app.signed_in(&bob).await.in_json();
        browser.add_passkey(&mut Key::new(), "One", "first").await;
        browser.add_passkey(&mut Key::plain(), "Key", "secondary").await;
        let delete = async |name: &str| browser.post_json("/wan-delete", json!({"name": name})).await;
        assert_refused(&delete("One").await, 400, "passkey.last_one");
        let pages = browser.copy().of_pages();
        let answer = pages.post_form("/wan-delete", &[("name", "One")]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/wan-register")));
        assert!(pages.reads(&answer, "last way into your account").await);
        assert_eq!(delete("Key").await.status, 200);
        browser.add_passkey(&mut Key::new(), "Two", "first").await;
        // Of two removals at once one is left over.
        let (one, two) = rocket::tokio::join!(delete("One"), delete("Two"));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
        assert_eq!(app.passkeys(&bob).await.len(), 1);
        // The operator's own word needs no reason.
        assert_eq!(app.accounts().delete_passkeys(&bob.id).await.unwrap(), 1);
    })
    .await;
}

#[rocket::async_test]
async fn the_last_second_factor_stays_where_one_is_required() {
    for_each_database(|plan| async move {
        let app = plan.set("two_factor.required", true).start().await;
        let ada = app.user(ADA).await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        browser
            .add_passkey(&mut Key::plain(), "Key", "secondary")
            .await;
        let answer = browser
            .post_json("/wan-delete", json!({"name": "Key"}))
            .await;
        assert_refused(&answer, 400, "passkey.last_factor");
        browser.add_passkey(&mut Key::new(), "Other", "both").await;
        let answer = browser
            .post_json("/wan-delete", json!({"name": "Key"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    })
    .await;
}

#[rocket::async_test]
async fn what_ends_other_factors_ends_passkeys() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        app.with_passkey(&bob, Key::new(), "both").await;
        app.accounts().revoke_all(&ada.id).await.unwrap();
        assert!(app.passkeys(&ada).await.is_empty());
        let answer = app.browser().in_json().show("/wan-signin", &mut key).await;
        assert_refused(&answer, 400, "passkey.refused");
        app.accounts().delete_user(&bob.id).await.unwrap();
        for table in ["security_passkeys", "security_factors"] {
            let rows = app
                .number(&format!("SELECT COUNT(*) AS n FROM {table}"))
                .await;
            assert_eq!(rows, 0, "{table}");
        }
        // A new password leaves them.
        let cyd = app.user("cyd@example.com").await;
        let mut key = app.with_passkey(&cyd, Key::new(), "first").await;
        let hash = crate::app::hash_of("another good long password");
        app.accounts()
            .set_password_hash(&cyd.id, hash, true)
            .await
            .unwrap();
        let browser = app.browser().in_json();
        assert_eq!(browser.show("/wan-signin", &mut key).await.status, 200);
        assert!(browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn managing_wants_a_fresh_session() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let mut key = Key::new();
    let asked = browser.begin_passkey("One", "first").await;
    let made = key.create(&options(&asked));
    app.later(Duration::from_hours(11));
    browser.is_signed_in().await;
    app.later(Duration::from_hours(11));
    browser.is_signed_in().await;
    app.later(Duration::from_hours(4));
    for answer in [
        browser.get("/wan-register").await,
        browser.begin_passkey("Two", "first").await,
        browser.present("/wan-register", &asked, &made).await,
        browser
            .post_json("/wan-rename", json!({"name": "a", "new_name": "b"}))
            .await,
        browser.post_json("/wan-delete", json!({"name": "a"})).await,
    ] {
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    let token = app.token(ADA).await;
    let program = app.program().token(&token);
    assert_eq!(program.begin_passkey("One", "first").await.status, 401);
    let nobody = app.browser().in_json();
    assert_eq!(nobody.begin_passkey("One", "first").await.status, 401);
}

// Sign-up.

fn with_sign_up(plan: Plan) -> Plan {
    plan.set("passkeys.sign_up", true)
}

#[rocket::async_test]
async fn an_account_is_made_with_a_passkey_and_never_has_a_password() {
    for_each_database(|plan| async move {
        let app = with_sign_up(plan).start().await;
        let visitor = app.browser();
        let page = visitor.submit("/wan-signup", &[("email", ADA)]).await;
        assert_eq!((page.status, page.location()), (302, Some("/wan-signup")));
        assert!(visitor.reads(&page, "we have sent a mail").await);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 0);
        let link = app.link_to(ADA, "signup");
        app.look_at(&link).await;
        let page = app.browser().get(&link).await;
        assert!(page.text().contains("data-passkey=\"signup\""), "{}", page.text());

        let browser = app.browser().in_json();
        let mut key = Key::new();
        let asked = browser.challenge(&link).await;
        assert_eq!(options(&asked)["user"]["name"], ADA);
        let made = key.create(&options(&asked));
        let answer = browser.present(&link, &asked, &made).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(browser.is_signed_in().await);
        assert_eq!(browser.get("/me").await.text(), ADA);
        assert_eq!(browser.get("/g/mfa").await.status, 200);
        let password = "SELECT COUNT(*) AS n FROM users WHERE password_hash IS NULL AND confirmed_at IS NOT NULL";
        assert_eq!(app.number(password).await, 1);
        for wanted in ["Registered", "EmailConfirmed", "PasskeyAdded"] {
            let named = |kind: &EventKind| format!("{kind:?}").starts_with(wanted);
            assert_eq!(app.count(named).await, 1, "{wanted}");
        }
        let other = app.browser().in_json();
        assert_eq!(other.show("/wan-signin", &mut key).await.status, 200);
        assert_eq!(other.get("/me").await.text(), ADA);
        // The link is used up.
        let late = app.browser();
        let answer = late.get(&link).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/wan-signup")));
        let answer = late.in_json().challenge(&link).await;
        assert_refused(&answer, 400, "ticket.invalid");
    })
    .await;
}

#[rocket::async_test]
async fn whoever_has_an_account_is_told_by_mail_alone() {
    for_each_database(|plan| async move {
        let app = with_sign_up(plan).start().await;
        app.user(ADA).await;
        let known = app.told("/wan-signup", json!({"email": ADA})).await;
        let free = app.told("/wan-signup", json!({"email": BOB})).await;
        assert_eq!(known, free);
        assert_eq!(
            (
                app.count_mails(ADA, "existing"),
                app.count_mails(ADA, "signup")
            ),
            (1, 0)
        );
        assert_eq!(
            (
                app.count_mails(BOB, "existing"),
                app.count_mails(BOB, "signup")
            ),
            (0, 1)
        );
        let mail = app.newest(ADA, "existing");
        assert!(!mail.text.contains("/wan-signup/"), "{}", mail.text);
        // Somebody takes the address in the meantime.
        let link = app.link_to(BOB, "signup");
        let browser = app.browser().in_json();
        let asked = browser.challenge(&link).await;
        let made = Key::new().create(&options(&asked));
        app.user(BOB).await;
        let answer = browser.present(&link, &asked, &made).await;
        assert_refused(&answer, 400, "ticket.invalid");
        assert!(!browser.is_signed_in().await);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_passkeys")
                .await,
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn what_on_register_finds_taken_at_sign_up_is_said_as_such() {
    let plan = with_sign_up(Plan::new()).security(|security| {
        security.on_register(|_, _, _| {
            Err(rocket_security::StoreError::Taken(
                rocket_security::Unique::Email,
            ))
        })
    });
    let app = plan.start().await;
    app.browser().submit("/wan-signup", &[("email", ADA)]).await;
    let link = app.link_to(ADA, "signup");
    let browser = app.browser().in_json();
    let mut key = Key::new();
    let asked = browser.challenge(&link).await;
    let made = key.create(&options(&asked));
    let answer = browser.present(&link, &asked, &made).await;
    assert_refused(&answer, 400, "input.taken");
    assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 0);
}

#[rocket::async_test]
async fn sign_up_is_there_only_where_it_is_switched_on() {
    let app = App::new().await;
    let browser = app.browser();
    assert_eq!(browser.get("/wan-signup").await.status, 404);
    assert!(
        !browser
            .get("/wan-signin")
            .await
            .text()
            .contains("/wan-signup")
    );
    let app = Plan::new().set("passkeys.enabled", false).start().await;
    let browser = app.browser();
    for path in ["/wan-signin", "/wan-register", "/wan-verify", "/wan-signup"] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    let login = browser.get("/login").await.text();
    assert!(
        !login.contains("passkey") && !login.contains("webauthn"),
        "{login}"
    );
}

// Settings.

#[rocket::async_test]
async fn further_sites_are_told_to_browsers_and_accepted() {
    let origins = ["https://example.net", "http://localhost:9000"];
    let plan = Plan::new()
        .set("passkeys.origins", origins)
        .set("url_prefix", "/account");
    let app = plan.start().await;
    let told = app.browser().get("/.well-known/webauthn").await;
    assert_eq!(told.status, 200);
    assert!(
        told.header("Content-Type")
            .unwrap()
            .starts_with("application/json")
    );
    assert_eq!(
        told.json(),
        json!({"origins": [ORIGIN, "https://example.net", "http://localhost:9000"]})
    );

    let app = Plan::new().set("passkeys.origins", origins).start().await;
    let ada = app.user(ADA).await;
    let mut key = app.with_passkey(&ada, Key::new(), "first").await;
    key.origin = "https://example.net".into();
    let browser = app.browser().in_json();
    assert_eq!(browser.show("/wan-signin", &mut key).await.status, 200);
    assert!(browser.is_signed_in().await);
    let alone = App::new().await;
    assert_eq!(
        alone.browser().get("/.well-known/webauthn").await.status,
        404
    );
}

#[rocket::async_test]
async fn contradictions_stop_the_launch_and_an_address_switches_passkeys_off() {
    use rocket::figment::Figment;
    use rocket_security::config::Settings;
    let sentence = |key: &str, value: Value| {
        let figment =
            Figment::from(rocket::Config::figment()).merge((format!("security.{key}"), value));
        Settings::from_figment(&figment)
            .err()
            .map(|error| error.to_string())
    };
    let wrong = sentence("two_factor.methods", json!(["passkey"])).unwrap();
    assert!(wrong.contains("`security.passkeys`"), "{wrong}");
    for (key, value) in [
        ("passkeys.challenge", json!("0 s")),
        ("passkeys.rp", json!("example.com")),
    ] {
        assert!(
            sentence(key, value).unwrap().contains("security.passkeys."),
            "{key}"
        );
    }
    for (key, value) in [
        ("passkeys.rp_id", json!("example.com")),
        ("passkeys.rp_id", json!("host")),
        ("passkeys.origins", json!(["http://example.net"])),
        ("passkeys.origins", json!(["https://example.net/path"])),
        ("passkeys.origins", json!(["nonsense"])),
    ] {
        let launched = Plan::new().set(key, &value).try_start().await;
        assert!(launched.is_err(), "{key} = {value}");
    }
    let app = Plan::new()
        .set("base_url", "http://127.0.0.1:8000")
        .start()
        .await;
    assert_eq!(app.browser().get("/wan-signin").await.status, 404);
    assert_eq!(app.browser().get("/login").await.status, 200);
    let launched = Plan::new()
        .set("base_url", "http://127.0.0.1:8000")
        .set("passkeys.rp_id", "localhost");
    assert!(launched.try_start().await.is_err());
    // A domain above is one.
    let above = Plan::new()
        .set("base_url", "https://login.example.com")
        .set("passkeys.rp_id", "example.com");
    let app = above.start().await;
    let asked = app.browser().in_json().challenge("/wan-signin").await;
    assert_eq!(options(&asked)["rpId"], "example.com");
}

#[rocket::async_test]
async fn a_challenge_runs_out() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let browser = app.browser().in_json();
        let asked = browser.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked));
        app.later(Duration::from_mins(5));
        let answer = browser.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.expired");
        // A newer one in the same browser takes the place of the older.
        let old = browser.challenge("/wan-signin").await;
        let new = browser.challenge("/wan-signin").await;
        let (a, b) = (key.get(&options(&old)), key.get(&options(&new)));
        assert_refused(
            &browser.present("/wan-signin", &old, &a).await,
            400,
            "passkey.expired",
        );
        assert_eq!(browser.present("/wan-signin", &new, &b).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_developer_is_led_to_the_name_of_the_site() {
    use rocket::http::{Accept, uri::Host};
    let app = App::new().await;
    let asked = async |app: &App, host: &'static str, accept: Accept, path: &'static str| {
        let mut request = app.client.get(path);
        let host = Host::new(rocket::http::uri::Authority::parse(host).unwrap());
        request.inner_mut().set_host(host);
        let answer = request.header(accept).dispatch().await;
        let location = answer.headers().get_one("Location").map(String::from);
        (answer.status().code, location)
    };
    let html = || Accept::HTML;
    let led = asked(&app, "127.0.0.1:8000", html(), "/login?next=/me").await;
    assert_eq!(
        led,
        (302, Some("http://localhost:8000/login?next=/me".into()))
    );
    let led = asked(&app, "127.0.0.1:8000", html(), "/").await;
    assert_eq!(led, (302, Some("http://localhost:8000/".into())));
    // Programs, other ports, and the right name are left alone.
    for (host, accept) in [
        ("127.0.0.1:8000", Accept::JSON),
        ("127.0.0.1:8001", html()),
        ("localhost:8000", html()),
        ("127.0.0.1.evil.com:8000", html()),
    ] {
        let (status, _) = asked(&app, host, accept, "/login").await;
        assert_eq!(status, 200, "{host}");
    }
    let real = Plan::new()
        .set("base_url", "https://example.com")
        .start()
        .await;
    assert_eq!(
        asked(&real, "127.0.0.1:8000", html(), "/login").await.0,
        200
    );
}

/// What an older version wrote into the row of a challenge or a credential.
const OLDER: &str = "{\"begun\": {\"state\": \"of an older version\"}}";

#[rocket::async_test]
async fn a_challenge_that_an_older_version_wrote_has_expired() {
    on_sqlite(|plan| async move {
        let app = plan.set("passkeys.sign_up", true).start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let mut second = app.with_passkey(&ada, Key::new(), "secondary").await;
        let overwrite = format!("UPDATE security_tickets SET payload = '{OLDER}'");
        let open = "SELECT COUNT(*) AS n FROM security_tickets WHERE used_at IS NULL";
        // Sign-in, as a program and as a page.
        let browser = app.browser().in_json();
        let asked = browser.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked));
        app.sql(&overwrite).await;
        let answer = browser.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.expired");
        assert_eq!(app.number(open).await, 0, "it is used up");
        let asked = browser.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked)).to_string();
        app.sql(&overwrite).await;
        let pages = browser.of_pages();
        let path = format!("/wan-signin/{}", state(&asked));
        let answer = pages.post_form(&path, &[("credential", &shown)]).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/wan-signin"))
        );
        assert!(
            pages
                .get("/wan-signin")
                .await
                .text()
                .contains("took too long")
        );
        // Proving it again, and adding another.
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let asked = browser.challenge("/wan-verify").await;
        let shown = key.get(&options(&asked));
        app.sql(&overwrite).await;
        let answer = browser.present("/wan-verify", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.expired");
        let asked = browser.begin_passkey("another", "first").await;
        let made = Key::new().create(&options(&asked));
        app.sql(&overwrite).await;
        let answer = browser.present("/wan-register", &asked, &made).await;
        assert_refused(&answer, 400, "passkey.expired");
        assert_eq!(app.number(open).await, 0, "they are used up");
        // A second step, whose own ticket is unreadable too.
        let waiting = app.waiting(ADA).await;
        let asked = waiting.challenge("/wan-signin").await;
        let shown = second.get(&options(&asked));
        app.sql(&overwrite).await;
        let answer = waiting.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.expired");
        let answer = waiting.get("/tf-validate").await;
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        // Sign-up.
        let new = "new@example.com";
        app.browser().submit("/wan-signup", &[("email", new)]).await;
        let link = app.link_to(new, "signup");
        app.sql(&overwrite).await;
        let answer = app.program().post_json(&link, json!({})).await;
        assert_refused(&answer, 400, "ticket.invalid");
    })
    .await;
}

#[rocket::async_test]
async fn a_credential_that_an_older_version_wrote_opens_nothing() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "both").await;
        let visitor = app.browser().in_json();
        let asked = visitor.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked));
        app.sql(&format!(
            "UPDATE security_passkeys SET credential = '{OLDER}'"
        ))
        .await;
        let answer = visitor.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.refused");
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        assert_refused(&browser.challenge("/wan-verify").await, 400, "passkey.none");
        for path in ["/wan-register", "/wan-verify", "/security"] {
            let answer = browser.get(path).await;
            assert!(answer.status < 500, "{path}: {}", answer.text());
        }
        let answer = browser.begin_passkey("another", "first").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The second step offers what is left: a mail to get in again.
        let waiting = app.waiting(ADA).await;
        assert_refused(&waiting.challenge("/wan-signin").await, 400, "passkey.none");
    })
    .await;
}
