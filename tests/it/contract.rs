//! The keys that the outside contract promises in JSON, path by path, as data.

use std::{collections::BTreeMap, time::Duration};

use rocket_security::{MailError, Sms, SmsSender};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD, Plan},
    with_factors::factors::Authenticator,
    with_passkeys::authenticators::{Key, options, state},
    with_smtp::mailed::{NEW, new_password},
};

const ADA: &str = "ada@example.com";
const PHONE: &str = "+16502530000";

/// What each answer is called, and the keys that it must have.
const CONTRACT: &[(&str, &[&str])] = &[
    ("GET /login", &["csrf_token", "identity_attributes"]),
    (
        "GET /login signed in",
        &["csrf_token", "identity_attributes", "user"],
    ),
    ("POST /login", &["csrf_token", "user", "tf_required"]),
    (
        "POST /login token",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    (
        "POST /login second step",
        &["tf_required", "tf_state", "tf_method", "tf_primary_method"],
    ),
    (
        "POST /login passkey owed",
        &["tf_required", "tf_state", "tf_method", "tf_signin_url"],
    ),
    (
        "POST /login choice",
        &["tf_required", "tf_state", "tf_select", "tf_setup_methods"],
    ),
    ("POST /login set-up owed", &["tf_required", "tf_state"]),
    ("POST /login/link", &["csrf_token", "user"]),
    ("POST /logout", &[]),
    (
        "GET /verify",
        &[
            "csrf_token",
            "has_webauthn_verify_credential",
            "oauth_enabled",
            "oauth_providers",
        ],
    ),
    (
        "POST /verify",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    ("GET /register", &["csrf_token"]),
    ("POST /register", &["csrf_token", "user"]),
    ("GET /change", &["csrf_token", "user", "active_password"]),
    (
        "POST /change",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    (
        "GET /change-email",
        &["csrf_token", "user", "current_email"],
    ),
    ("POST /change-email", &["csrf_token", "user"]),
    (
        "POST /change-email wrong",
        &["errors", "field_errors", "current_email"],
    ),
    (
        "GET /change-username",
        &["csrf_token", "user", "current_username"],
    ),
    ("POST /change-username", &["csrf_token", "user"]),
    ("GET /reset", &["csrf_token"]),
    ("POST /reset", &["csrf_token"]),
    (
        "POST /reset/<token>",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    ("GET /recover-username", &["csrf_token"]),
    ("POST /recover-username", &["csrf_token"]),
    ("GET /confirm", &["csrf_token"]),
    ("POST /confirm", &["csrf_token", "user"]),
    (
        "GET /us-signin",
        &[
            "csrf_token",
            "available_methods",
            "code_methods",
            "identity_attributes",
        ],
    ),
    ("POST /us-signin", &["csrf_token", "user", "tf_required"]),
    ("POST /us-signin/send-code", &["csrf_token", "user"]),
    (
        "GET /us-verify",
        &[
            "csrf_token",
            "available_methods",
            "code_methods",
            "has_webauthn_verify_credential",
            "oauth_enabled",
            "oauth_providers",
        ],
    ),
    (
        "POST /us-verify",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    ("POST /us-verify/send-code", &["csrf_token", "user"]),
    (
        "GET /us-setup",
        &[
            "csrf_token",
            "available_methods",
            "active_methods",
            "setup_methods",
            "identity_attributes",
            "phone",
        ],
    ),
    (
        "POST /us-setup app",
        &[
            "csrf_token",
            "chosen_method",
            "state",
            "authr_key",
            "authr_b32key",
            "authr_uri",
            "authr_issuer",
            "authr_username",
        ],
    ),
    (
        "POST /us-setup phone",
        &["csrf_token", "chosen_method", "state", "phone"],
    ),
    (
        "POST /us-setup/<token>",
        &["csrf_token", "chosen_method", "phone"],
    ),
    (
        "GET /tf-setup",
        &[
            "csrf_token",
            "tf_required",
            "tf_primary_method",
            "tf_method",
            "tf_available_methods",
            "tf_phone_number",
        ],
    ),
    (
        "GET /tf-setup from sign-in",
        &[
            "csrf_token",
            "tf_required",
            "tf_primary_method",
            "tf_method",
            "tf_available_methods",
            "tf_phone_number",
        ],
    ),
    (
        "POST /tf-setup",
        &[
            "csrf_token",
            "tf_state",
            "tf_state_token",
            "tf_primary_method",
            "tf_method",
            "tf_authr_key",
            "tf_authr_b32key",
            "tf_authr_uri",
            "tf_authr_issuer",
            "tf_authr_username",
        ],
    ),
    (
        "POST /tf-setup/<token>",
        &["csrf_token", "tf_method", "tf_primary_method", "tf_phone"],
    ),
    (
        "POST /tf-validate",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    ("GET /tf-rescue", &["csrf_token"]),
    ("POST /tf-rescue", &["csrf_token"]),
    (
        "GET /tf-select",
        &["csrf_token", "tf_setup_methods", "tf_select"],
    ),
    (
        "POST /tf-select",
        &["csrf_token", "tf_required", "tf_state", "tf_method"],
    ),
    (
        "POST /tf-select passkey",
        &["tf_required", "tf_state", "tf_method", "tf_signin_url"],
    ),
    ("GET /mf-recovery-codes", &["csrf_token", "recovery_codes"]),
    ("POST /mf-recovery-codes", &["csrf_token", "recovery_codes"]),
    ("GET /mf-recovery", &["csrf_token"]),
    ("POST /mf-recovery", &["csrf_token", "user"]),
    (
        "GET /wan-register",
        &["csrf_token", "registered_credentials"],
    ),
    (
        "POST /wan-register",
        &["csrf_token", "credential_options", "wan_state"],
    ),
    ("POST /wan-register/<token>", &["csrf_token", "user"]),
    ("GET /wan-signin", &["csrf_token", "registered_credentials"]),
    (
        "POST /wan-signin",
        &[
            "csrf_token",
            "credential_options",
            "wan_state",
            "is_secondary",
            "remember",
        ],
    ),
    (
        "POST /wan-signin/<token>",
        &[
            "csrf_token",
            "user",
            "user.authentication_token",
            "post_login_url",
        ],
    ),
    ("GET /wan-delete", &["csrf_token"]),
    ("POST /wan-delete", &["csrf_token"]),
    ("GET /wan-verify", &["csrf_token", "user"]),
    (
        "POST /wan-verify",
        &["csrf_token", "credential_options", "wan_state"],
    ),
    (
        "POST /wan-verify/<token>",
        &["csrf_token", "user", "user.authentication_token"],
    ),
    (
        "POST /refresh-token",
        &[
            "csrf_token",
            "user",
            "user.authentication_token",
            "user.refresh_token",
        ],
    ),
];

/// The answers that came, by their names.
#[derive(Default)]
struct Answers(BTreeMap<&'static str, Value>);

impl Answers {
    fn note(&mut self, name: &'static str, answer: &Answer) -> Value {
        let is_error = name.ends_with(" wrong");
        let expected = if is_error { 400 } else { 200 };
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
        assert!(answer.is_envelope(), "{name}: {}", answer.text());
        let response = answer.json()["response"].clone();
        self.0.insert(name, response.clone());
        response
    }

    /// Checks every line of the contract.
    fn check(&self) {
        let mut missing = Vec::new();
        for (name, keys) in CONTRACT {
            let Some(response) = self.0.get(name) else {
                missing.push(format!("{name} was not asked"));
                continue;
            };
            for key in *keys {
                let pointer = format!("/{}", key.replace('.', "/"));
                if response.pointer(&pointer).is_none() {
                    missing.push(format!("{name} lacks {key}: {response}"));
                }
            }
        }
        let known = |name: &str| CONTRACT.iter().any(|(line, _)| *line == name);
        let stray = self.0.keys().filter(|name| !known(name));
        missing.extend(stray.map(|name| format!("{name} is not in the contract")));
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }
}

struct Nowhere;

#[rocket::async_trait]
impl SmsSender for Nowhere {
    async fn send(&self, _: &Sms) -> Result<(), MailError> {
        Ok(())
    }
}

fn plan() -> Plan {
    Plan::new()
        .without_limits()
        .set("identities", ["email", "username"])
        .set("unified.enabled", true)
        .set(
            "unified.methods",
            ["password", "email", "authenticator", "sms"],
        )
        .set("two_factor.methods", ["authenticator", "email", "sms"])
        .set("passwordless.enabled", true)
        .set("recover.sign_in", true)
        .set("refresh_tokens.enabled", true)
        .set("refresh_tokens.mode", "body")
        .security(|security| security.sms(Nowhere))
}

async fn anonymous(app: &App, answers: &mut Answers) {
    let browser = app.browser().in_json();
    for (name, path) in [
        ("GET /login", "/login"),
        ("GET /register", "/register"),
        ("GET /reset", "/reset"),
        ("GET /recover-username", "/recover-username"),
        ("GET /confirm", "/confirm"),
        ("GET /us-signin", "/us-signin"),
        ("GET /wan-signin", "/wan-signin"),
    ] {
        answers.note(name, &browser.get(path).await);
    }
    let email = json!({"email": ADA});
    for (name, path) in [
        ("POST /login/link", "/login/link"),
        ("POST /reset", "/reset"),
        ("POST /recover-username", "/recover-username"),
        ("POST /confirm", "/confirm"),
    ] {
        answers.note(name, &browser.post_json(path, email.clone()).await);
    }
    let body = json!({"identity": ADA, "chosen_method": "email"});
    let sent = browser.post_json("/us-signin/send-code", body).await;
    answers.note("POST /us-signin/send-code", &sent);
    let new =
        json!({"email": "new@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    answers.note("POST /register", &browser.post_json("/register", new).await);
    let asked = browser.post_json("/wan-signin", json!({})).await;
    let asked = answers.note("POST /wan-signin", &asked);
    assert_eq!(
        (&asked["remember"], &asked["is_secondary"]),
        (&json!(false), &json!(false))
    );
}

#[rocket::async_test]
async fn every_answer_has_the_keys_that_the_contract_names() {
    let app = plan().start().await;
    let mut answers = Answers::default();
    let name = rocket_security::UsernamePolicy::parse(
        &rocket_security::StandardUsernamePolicy::default(),
        "lovelace",
    );
    let ada = app.user_with(ADA, |new| new.username(name.unwrap())).await;
    anonymous(&app, &mut answers).await;

    // By password, with tokens.
    let credentials = json!({"email": ADA, "password": PASSWORD});
    let browser = app.browser().in_json();
    let login = browser.post_json("/login", credentials.clone()).await;
    answers.note("POST /login", &login);
    answers.note("GET /login signed in", &browser.get("/login").await);
    let token = app
        .program()
        .post_json("/login?include_auth_token", credentials.clone())
        .await;
    let token = answers.note("POST /login token", &token);
    let refresh = json!({"refresh_token": token["user"]["refresh_token"]});
    answers.note(
        "POST /refresh-token",
        &app.post("/refresh-token", refresh).await,
    );
    let by_passcode = app
        .program()
        .post_json(
            "/us-signin",
            json!({"identity": "lovelace", "passcode": PASSWORD}),
        )
        .await;
    answers.note("POST /us-signin", &by_passcode);

    // Proving it again, and changes.
    for (name, path) in [
        ("GET /verify", "/verify"),
        ("GET /change", "/change"),
        ("GET /change-email", "/change-email"),
        ("GET /change-username", "/change-username"),
        ("GET /us-verify", "/us-verify"),
        ("GET /tf-setup", "/tf-setup"),
        ("GET /mf-recovery-codes", "/mf-recovery-codes"),
        ("GET /wan-register", "/wan-register"),
        ("GET /wan-delete", "/wan-delete"),
        ("GET /wan-verify", "/wan-verify"),
    ] {
        // A browser is sent on from there; a program is not.
        let answer = browser.get(path).await;
        answers.note(name, &answer);
    }
    let again = browser
        .post_json("/verify?include_auth_token", json!({"password": PASSWORD}))
        .await;
    answers.note("POST /verify", &again);
    let again = browser
        .post_json(
            "/us-verify?include_auth_token",
            json!({"passcode": PASSWORD}),
        )
        .await;
    answers.note("POST /us-verify", &again);
    let sent = browser
        .post_json("/us-verify/send-code", json!({"chosen_method": "email"}))
        .await;
    answers.note("POST /us-verify/send-code", &sent);
    let wrong = browser
        .post_json("/change-email", json!({"email": ADA}))
        .await;
    let wrong = answers.note("POST /change-email wrong", &wrong);
    assert_eq!(wrong["current_email"], ADA);
    let sent = browser
        .post_json("/change-email", json!({"email": "b@example.com"}))
        .await;
    answers.note("POST /change-email", &sent);
    let renamed = browser
        .post_json("/change-username", json!({"username": "byron"}))
        .await;
    answers.note("POST /change-username", &renamed);

    // Unified set-up.
    let begun = browser
        .post_json("/us-setup", json!({"chosen_method": "authenticator"}))
        .await;
    answers.note("POST /us-setup app", &begun);
    let begun = browser
        .post_json("/us-setup", json!({"chosen_method": "sms", "phone": PHONE}))
        .await;
    let begun = answers.note("POST /us-setup phone", &begun);
    let code = app.mails_to(PHONE).pop().unwrap().text;
    let code = crate::with_factors::factors::six_digits(&code);
    let path = format!("/us-setup/{}", begun["state"].as_str().unwrap());
    answers.note(
        "POST /us-setup/<token>",
        &browser.post_json(&path, json!({"passcode": code})).await,
    );
    let shown = answers.note("GET /us-setup", &browser.get("/us-setup").await);
    assert_eq!(shown["active_methods"], json!(["sms", "email", "password"]));
    assert_eq!(
        shown["identity_attributes"],
        json!(["email", "username", "phone"])
    );
    let shown = browser.get("/us-verify").await.json()["response"]["code_methods"].clone();
    assert_eq!(shown, json!(["email", "sms"]));

    // A passkey for either.
    let mut key = Key::new();
    let asked = browser.begin_passkey("One", "both").await;
    answers.note("POST /wan-register", &asked);
    let path = format!("/wan-register/{}", state(&asked));
    let made = key.create(&options(&asked));
    let added = browser.post_json(&path, json!({"credential": made})).await;
    answers.note("POST /wan-register/<token>", &added);
    let asked = browser.challenge("/wan-verify").await;
    answers.note("POST /wan-verify", &asked);
    let path = format!("/wan-verify/{}?include_auth_token", state(&asked));
    let shown = key.get(&options(&asked));
    let verified = browser.post_json(&path, json!({"credential": shown})).await;
    answers.note("POST /wan-verify/<token>", &verified);
    let other = app.browser().in_json();
    let asked = other.challenge("/wan-signin").await;
    let path = format!("/wan-signin/{}?include_auth_token", state(&asked));
    let shown = key.get(&options(&asked));
    let entered = other.post_json(&path, json!({"credential": shown})).await;
    let entered = answers.note("POST /wan-signin/<token>", &entered);
    assert_eq!(entered["post_login_url"], "/");
    let owed = app
        .browser()
        .in_json()
        .post_json("/login", credentials.clone())
        .await;
    let owed = answers.note("POST /login passkey owed", &owed);
    assert_eq!(
        (&owed["tf_method"], &owed["tf_signin_url"]),
        (&json!("webauthn"), &json!("/wan-signin"))
    );

    // And codes beside it.
    app.later(Duration::from_mins(2));
    let begun = browser
        .post_json("/tf-setup", json!({"setup": "authenticator"}))
        .await;
    let begun = answers.note("POST /tf-setup", &begun);
    let phone = Authenticator::of(&begun);
    let added = browser.type_first_code(&begun, &phone.code(&app)).await;
    answers.note("POST /tf-setup/<token>", &added);
    let codes = browser.post_json("/mf-recovery-codes", json!({})).await;
    let codes = answers.note("POST /mf-recovery-codes", &codes);
    app.later(Duration::from_mins(2));
    let waiting = app.browser().in_json();
    let owed = waiting.post_json("/login", credentials.clone()).await;
    answers.note("POST /login choice", &owed);
    for (name, path) in [
        ("GET /tf-select", "/tf-select"),
        ("GET /tf-rescue", "/tf-rescue"),
        ("GET /mf-recovery", "/mf-recovery"),
    ] {
        answers.note(name, &waiting.get(path).await);
    }
    let help = json!({"help_setup": "recovery_code"});
    answers.note(
        "POST /tf-rescue",
        &waiting.post_json("/tf-rescue", help).await,
    );
    let chosen = waiting
        .post_json("/tf-select", json!({"which": "webauthn"}))
        .await;
    answers.note("POST /tf-select passkey", &chosen);
    let chosen = waiting
        .post_json("/tf-select", json!({"which": "authenticator"}))
        .await;
    answers.note("POST /tf-select", &chosen);
    let passed = json!({"code": phone.code(&app)});
    let passed = waiting
        .post_json("/tf-validate?include_auth_token", passed)
        .await;
    answers.note("POST /tf-validate", &passed);
    let waiting = app.browser().in_json();
    waiting.post_json("/login", credentials.clone()).await;
    let code = json!({"code": codes["recovery_codes"][0]});
    answers.note(
        "POST /mf-recovery",
        &waiting.post_json("/mf-recovery", code).await,
    );
    let gone = browser
        .post_json("/wan-delete", json!({"name": "One"}))
        .await;
    answers.note("POST /wan-delete", &gone);
    let waiting = app.browser().in_json();
    let owed = waiting.post_json("/login", credentials).await;
    answers.note("POST /login second step", &owed);

    // The end: another password, out, and back by mail.
    let change = json!({"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW});
    let changed = browser
        .post_json("/change?include_auth_token", change)
        .await;
    answers.note("POST /change", &changed);
    answers.note(
        "POST /logout",
        &browser.post_json("/logout", json!({})).await,
    );
    app.user("plain@example.com").await;
    app.post("/reset", json!({"email": "plain@example.com"}))
        .await;
    let link = app.link_to("plain@example.com", "recover");
    let reset = app
        .program()
        .post_json(
            &format!("{link}?include_auth_token"),
            new_password(PASSWORD),
        )
        .await;
    answers.note("POST /reset/<token>", &reset);
    let _ = ada;

    // Where a factor is required.
    let strict = plan().set("two_factor.required", true).start().await;
    strict.user(ADA).await;
    let waiting = strict.browser().in_json();
    let owed = waiting
        .post_json("/login", json!({"email": ADA, "password": PASSWORD}))
        .await;
    answers.note("POST /login set-up owed", &owed);
    answers.note(
        "GET /tf-setup from sign-in",
        &waiting.get("/tf-setup").await,
    );
    answers.check();
}

// What is sent.

/// Who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Visitor,
    Account,
}

/// The fields that a request may have. `credential` is in the test above: it is accepted in any form.
const FIELDS: &[(From, &str, &[&str])] = &[
    (From::Visitor, "/login", &["email", "password", "remember"]),
    (From::Visitor, "/login/link", &["email"]),
    (From::Account, "/verify", &["password"]),
    (
        From::Visitor,
        "/register",
        &["email", "password", "password_confirm", "next"],
    ),
    (
        From::Account,
        "/change",
        &["password", "new_password", "new_password_confirm"],
    ),
    (From::Account, "/change-email", &["email"]),
    (From::Account, "/change-username", &["username"]),
    (From::Visitor, "/reset", &["email"]),
    (
        From::Visitor,
        "/reset/<token>",
        &["password", "password_confirm"],
    ),
    (From::Visitor, "/recover-username", &["email"]),
    (From::Visitor, "/confirm", &["email"]),
    (
        From::Visitor,
        "/us-signin",
        &["identity", "passcode", "remember"],
    ),
    (
        From::Visitor,
        "/us-signin/send-code",
        &["identity", "chosen_method"],
    ),
    (From::Account, "/us-verify", &["passcode"]),
    (From::Account, "/us-verify/send-code", &["chosen_method"]),
    (
        From::Account,
        "/us-setup",
        &["chosen_method", "delete_method", "phone"],
    ),
    (From::Account, "/us-setup/<token>", &["passcode"]),
    (From::Account, "/tf-setup", &["setup", "phone"]),
    (From::Account, "/tf-setup/<token>", &["code"]),
    (From::Visitor, "/tf-validate", &["code"]),
    (From::Visitor, "/tf-rescue", &["help_setup"]),
    (From::Visitor, "/tf-select", &["which"]),
    (From::Visitor, "/mf-recovery", &["code"]),
    (From::Account, "/wan-register", &["name", "usage"]),
    (From::Visitor, "/wan-signin", &["identity", "remember"]),
    (From::Visitor, "/wan-signin/<token>", &["remember"]),
    (From::Account, "/wan-delete", &["name"]),
    (From::Account, "/wan-verify/<token>", &["remember"]),
    (From::Visitor, "/refresh-token", &["refresh_token"]),
    (From::Account, "/logout", &["refresh_token"]),
];

#[rocket::async_test]
async fn every_request_takes_the_fields_that_the_contract_names() {
    let app = plan().start().await;
    let ada = app.user(ADA).await;
    let account = app.signed_in(&ada).await.in_json();
    let visitor = app.browser().in_json();
    // A field that is read has a type, which this value is not of; one that is not read may hold anything.
    let wrong = json!([[{}]]);
    let mut ignored = Vec::new();
    for (from, path, fields) in FIELDS {
        let path = path.replace("<token>", &"A".repeat(43));
        let actor = match from {
            From::Visitor => &visitor,
            From::Account => &account,
        };
        for field in ["no_field_of_ours"].iter().chain(*fields) {
            let answer = actor.post_json(&path, json!({*field: wrong})).await;
            assert!(answer.is_envelope(), "{path} {field}: {}", answer.text());
            let is_read = answer.codes().contains(&"input.wrong_type".to_string())
                && answer.field_errors(field).len() == 1;
            if is_read != fields.contains(field) {
                ignored.push(format!(
                    "{path} {field}: {} {}",
                    answer.status,
                    answer.text()
                ));
            }
        }
    }
    assert!(ignored.is_empty(), "{}", ignored.join("\n"));
}

#[rocket::async_test]
async fn a_link_that_signs_in_gives_a_token_only_where_it_signs_in() {
    let app = Plan::new().start().await;
    app.user(ADA).await;
    app.post("/reset", json!({"email": ADA})).await;
    let link = app.link_to(ADA, "recover");
    let answer = app
        .program()
        .post_json(&format!("{link}?include_auth_token"), new_password(NEW))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["response"], json!({}));
}

#[rocket::async_test]
async fn basic_everywhere_reaches_our_own_pages() {
    let app = Plan::new().set("basic.everywhere", true).start().await;
    app.user(ADA).await;
    let program = app.program().basic(ADA, PASSWORD);
    let shown = program.get("/change").await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(
        program.get("/change-email").await.json()["response"]["current_email"],
        ADA
    );
    assert_eq!(
        app.program()
            .basic(ADA, "wrong")
            .get("/change")
            .await
            .status,
        401
    );
    // What only a session can do stays with sessions.
    assert_eq!(program.get("/tf-setup").await.status, 401);
    // Without the setting our pages take no Basic.
    let app = Plan::new().start().await;
    app.user(ADA).await;
    let program = app.program().basic(ADA, PASSWORD);
    assert_eq!(program.get("/change").await.status, 401);
}
