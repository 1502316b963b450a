//! Changing a way into an account takes what a sign-in takes: every route of ours, from the routes themselves.

use std::time::Duration;

use rocket::http::Method as Verb;
use serde_json::{Value, json};

use crate::{
    app::{Actor, PASSWORD, Plan, for_each_database},
    with_factors::factors::{REMEMBER, TRUSTED},
    with_smtp::mailed::{SESSION, credentials},
    with_social::provider::Provider,
    with_social::social::{LINK, knowing, led},
};

const ADA: &str = "ada@example.com";

/// What a route has to do with the ways into an account.
enum Class {
    /// It adds, changes or removes one, or ends others' sessions, devices or keys: with this body.
    Changes(fn() -> Value),
    /// The same, but the request itself brings the password, which is as fresh as can be.
    ChangesByPassword(fn() -> Value),
    /// It does not, and why.
    Not(&'static str),
}

use Class::{Changes, ChangesByPassword, Not};

const VISITOR: Class =
    Not("is for visitors: a sign-in, a sign-up or a recovery, which proves itself");
const MAILED: Class = Not("the mailed ticket is the proof");
const PROVES: Class = Not("proves it again");

fn nothing() -> Value {
    json!({})
}

/// Every route of ours that takes a POST, and those that change something by GET.
fn table() -> Vec<(&'static str, &'static str, Class)> {
    vec![
        ("POST", "/api-keys", Changes(|| json!({"name": "Backup"}))),
        ("POST", "/api-keys/<id>/revoke", Changes(nothing)),
        (
            "POST",
            "/change",
            ChangesByPassword(|| {
                json!({
                    "password": PASSWORD, "new_password": "another horse battery staple",
                    "new_password_confirm": "another horse battery staple",
                })
            }),
        ),
        (
            "POST",
            "/change-email",
            Changes(|| json!({"email": "thief@example.com"})),
        ),
        ("POST", "/change-email/code", MAILED),
        ("POST", "/change-email/<token>", MAILED),
        (
            "POST",
            "/change-username",
            Changes(|| json!({"username": "thief"})),
        ),
        ("POST", "/confirm", VISITOR),
        ("POST", "/confirm/code", MAILED),
        ("POST", "/confirm/<token>", MAILED),
        ("POST", "/end-session/<token>", MAILED),
        ("POST", "/invite/<token>", MAILED),
        ("POST", "/login", VISITOR),
        ("POST", "/login/<token>", MAILED),
        ("POST", "/login/code", MAILED),
        ("POST", "/login/link", VISITOR),
        ("POST", "/login/oauth-link/<name>", Changes(nothing)),
        ("POST", "/login/oauth-unlink/<name>", Changes(nothing)),
        ("POST", "/login/oauth-verify-start/<name>", PROVES),
        ("POST", "/login/oauthstart/<name>", VISITOR),
        ("POST", "/logout", Not("ends the own session alone")),
        ("POST", "/mf-recovery", VISITOR),
        ("POST", "/mf-recovery-codes", Changes(nothing)),
        ("POST", "/recover-username", VISITOR),
        (
            "POST",
            "/refresh-token",
            Not("the refresh token is the proof"),
        ),
        (
            "POST",
            "/refresh-token/end",
            Not("the refresh token is the proof"),
        ),
        ("POST", "/register", VISITOR),
        ("POST", "/reset", VISITOR),
        ("POST", "/reset/code", MAILED),
        ("POST", "/reset/<token>", MAILED),
        ("POST", "/sessions/<id>/revoke", Changes(nothing)),
        ("POST", "/sessions/revoke-others", Changes(nothing)),
        ("POST", "/tf-devices/<id>/revoke", Changes(nothing)),
        ("POST", "/tf-rescue", VISITOR),
        ("POST", "/tf-select", PROVES),
        ("POST", "/tf-setup", Changes(|| json!({"setup": "disable"}))),
        (
            "POST",
            "/tf-setup/<token>",
            Changes(|| json!({"code": "123456"})),
        ),
        ("POST", "/tf-setup/<id>/remove", Changes(nothing)),
        ("POST", "/tf-validate", PROVES),
        ("POST", "/undo/<token>", MAILED),
        ("POST", "/unlock/<token>", MAILED),
        (
            "POST",
            "/us-setup",
            Changes(|| json!({"chosen_method": "authenticator"})),
        ),
        (
            "POST",
            "/us-setup/<token>",
            Changes(|| json!({"passcode": "123456"})),
        ),
        ("POST", "/us-setup/<id>/remove", Changes(nothing)),
        ("POST", "/us-signin", VISITOR),
        ("POST", "/us-signin/send-code", VISITOR),
        ("POST", "/us-verify", PROVES),
        ("POST", "/us-verify/send-code", PROVES),
        ("POST", "/us-verify-link/<token>", MAILED),
        ("POST", "/verify", PROVES),
        ("POST", "/wan-delete", Changes(|| json!({"name": "Key"}))),
        ("POST", "/wan-register", Changes(|| json!({"name": "Key"}))),
        (
            "POST",
            "/wan-register/<token>",
            Changes(|| json!({"credential": "{}"})),
        ),
        (
            "POST",
            "/wan-rename",
            Changes(|| json!({"name": "Key", "new_name": "Other"})),
        ),
        ("POST", "/wan-signin", VISITOR),
        ("POST", "/wan-signin/<token>", VISITOR),
        ("POST", "/wan-signup", VISITOR),
        ("POST", "/wan-signup/<token>", MAILED),
        ("POST", "/wan-signup/<token>/<state>", MAILED),
        ("POST", "/wan-verify", PROVES),
        ("POST", "/wan-verify/<token>", PROVES),
        (
            "POST",
            "/login/oauthresponse/<name>",
            Not("a link is judged where it completes"),
        ),
        ("POST", "/login/oauth-verify-response/<name>", PROVES),
        // A change by GET: the browser comes back from a provider. What is stale there has a test of its own.
        (
            "GET",
            "/login/oauthresponse/<name>",
            Not("a link is judged where it completes"),
        ),
        ("GET", "/login/oauth-verify-response/<name>", PROVES),
    ]
}

/// A site with everything that can be switched on.
fn with_everything(plan: Plan, provider: &Provider) -> Plan {
    knowing(plan, provider)
        .without_limits()
        .set("api_keys.enabled", true)
        .set("change_username.enabled", true)
        .set("confirm.enabled", true)
        .set("invite.enabled", true)
        .set("passkeys.enabled", true)
        .set("passkeys.sign_up", true)
        .set("passwordless.enabled", true)
        .set("recover_username.enabled", true)
        .set("refresh_tokens.enabled", true)
        .set("session.new_device_mail", true)
        .set("two_factor.rescue_email", true)
        .set("unified.enabled", true)
        .set("identities", ["email", "username"])
}

fn path_of(uri: &str) -> String {
    let id = "0190a0a0-0000-7000-8000-000000000000";
    uri.replace("<id>", id)
        .replace("<name>", "example")
        .replace("<token>", &"A".repeat(43))
}

async fn refused(actor: &Actor<'_>, who: &str, uri: &str, body: Value) {
    let answer = actor.post_json(&path_of(uri), body).await;
    assert_eq!(answer.status, 401, "{who} at {uri}: {}", answer.text());
    let said = answer.json();
    assert_eq!(
        said["response"]["reauth_required"], true,
        "{who} at {uri}: {said}"
    );
}

#[rocket::async_test]
async fn every_route_of_ours_is_in_one_class_and_those_that_change_a_way_in_take_a_sign_in() {
    let provider = Provider::start();
    let provider = &provider;
    for_each_database(|plan| async move {
        let app = with_everything(plan, provider).start().await;
        let table = table();
        let mut seen = Vec::new();
        for (method, uri) in app.own_routes() {
            let verb = method.to_string();
            let classes = table
                .iter()
                .filter(|(method, path, _)| *method == verb && *path == uri)
                .count();
            let known = match method {
                Verb::Get | Verb::Head | Verb::Options => classes <= 1,
                _ => classes == 1,
            };
            assert!(known, "{verb} {uri} is in {classes} classes");
            seen.push((verb, uri));
        }
        for (verb, uri, _) in &table {
            let is_mounted = seen
                .iter()
                .any(|(method, path)| method == verb && path == uri);
            assert!(is_mounted, "{verb} {uri} is in the table and not mounted");
        }

        let ada = app.user(ADA).await;
        let stale = app.browser();
        stale.login_remembered(ADA, PASSWORD).await;
        stale.forget_cookie(SESSION);
        assert!(stale.is_signed_in().await);
        let old = app.signed_in(&ada).await;
        app.later(Duration::from_hours(24 * 2));
        assert!(old.is_signed_in().await);
        for (verb, uri, class) in &table {
            match class {
                Changes(body) if *verb == "POST" => {
                    for (who, actor) in [("a remembered browser", &stale), ("an old session", &old)]
                    {
                        refused(&actor.copy().in_json(), who, uri, body()).await;
                        let page = actor.post_form(&path_of(uri), &[]).await;
                        assert_eq!(page.status, 302, "{who} at {uri}: {}", page.text());
                        let to = page.location().unwrap_or_default();
                        assert!(to.starts_with("/us-verify"), "{who} at {uri}: {to}");
                    }
                }
                Not(why) => assert!(!why.is_empty()),
                Changes(_) | ChangesByPassword(_) => {}
            }
        }

        // A trusted device, where the second factor was spared.
        let phone = app.with_authenticator(&ada).await;
        let trusted = app.browser().in_json();
        trusted
            .post_json("/login", credentials(ADA, PASSWORD))
            .await;
        let body = json!({"code": phone.code(&app), "remember_device": true});
        assert_eq!(trusted.post_json("/tf-validate", body).await.status, 200);
        let spared = app.browser().in_json();
        spared.set_cookie(TRUSTED, &trusted.cookie(TRUSTED).unwrap());
        spared.post_json("/login", credentials(ADA, PASSWORD)).await;
        assert!(spared.is_signed_in().await);
        assert_eq!(spared.get("/g/fresh").await.status, 200);
        for (_, uri, class) in &table {
            if let Changes(body) | ChangesByPassword(body) = class {
                refused(&spared, "a trusted device", uri, body()).await;
            }
        }
        // The second factor, shown in this session, makes it one of two.
        app.later(Duration::from_mins(1));
        let chosen = spared.post_json("/tf-select", json!({"which": "authenticator"}));
        assert_eq!(chosen.await.status, 200);
        assert_eq!(spared.validate(&phone.code(&app)).await.status, 200);
        let done = spared.post_json("/sessions/revoke-others", json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text());
        // Signing out takes nothing.
        let sessions = app.store().sessions_of(&ada.id).await.unwrap();
        app.later(Duration::from_hours(24 * 2));
        let path = format!("/sessions/{}/revoke", sessions[0].id);
        assert_eq!(spared.post_json(&path, json!({})).await.status, 200);
        assert!(!spared.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn a_copied_remember_cookie_and_the_password_are_not_the_second_factor() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("unified.enabled", true)
            .set("unified.methods", ["password", "email"])
            .start()
            .await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let owner = app.browser().in_json();
        let body = json!({"email": ADA, "password": PASSWORD, "remember": true});
        assert_eq!(owner.post_json("/login", body).await.status, 200);
        assert_eq!(owner.validate(&phone.code(&app)).await.status, 200);
        assert_eq!(owner.get("/g/mfa").await.status, 200);
        let stolen = app.browser();
        stolen.set_cookie(REMEMBER, &owner.cookie(REMEMBER).unwrap());
        assert!(stolen.is_signed_in().await);
        let owed = (401, vec!["denied.second_factor".to_string()]);
        let stale = (401, vec!["denied.stale".to_string()]);
        let closed = async |thief: &Actor<'_>, who: &str| {
            for (path, body) in [
                ("/tf-setup", json!({"setup": "disable"})),
                ("/change-email", json!({"email": "thief@example.com"})),
                ("/mf-recovery-codes", json!({})),
                ("/sessions/revoke-others", json!({})),
            ] {
                refused(thief, who, path, body).await;
            }
            let mfa = thief.get("/g/mfa").await;
            assert_eq!(mfa.status, 401, "{who}");
            assert_eq!(app.factors(&ada).await, 1);
        };
        let cookie = stolen.copy().in_json();
        closed(&cookie, "the cookie alone").await;
        assert_eq!(cookie.get("/g/mfa").await.codes(), stale.1);
        let sessions = cookie.get("/sessions").await.json();
        let methods = &sessions["response"]["sessions"];
        let is_listed = methods.as_array().is_some_and(|sessions| {
            let mut methods = sessions.iter().map(|session| &session["methods"]);
            methods.any(|methods| *methods == json!(["remembered"]))
        });
        assert!(is_listed, "{sessions}");
        // The second factor does not come before the first.
        let which = || json!({"which": "authenticator"});
        for answer in [
            cookie.post_json("/tf-select", which()).await,
            cookie.get("/tf-select").await,
        ] {
            assert_eq!((answer.status, answer.codes()), stale);
        }
        let thief = stolen.copy().in_json();
        let body = json!({
            "password": PASSWORD, "new_password": "another horse battery staple",
            "new_password_confirm": "another horse battery staple",
        });
        let answer = thief.post_json("/change", body).await;
        assert_eq!((answer.status, answer.codes()), owed);
        closed(&thief, "the password at /change").await;
        let sent = thief.post_json("/us-verify/send-code", json!({"chosen_method": "email"}));
        assert_eq!(sent.await.status, 200);
        let mailed = json!({"passcode": app.code_to(ADA, "unified")});
        let password = json!({"passcode": PASSWORD});
        for body in [mailed, password] {
            let answer = thief.post_json("/us-verify", body).await;
            assert_eq!((answer.status, answer.codes()), owed);
            closed(&thief, "a passcode").await;
        }
        let answer = cookie.post_json("/verify", json!({"password": PASSWORD}));
        let answer = answer.await;
        assert_eq!((answer.status, answer.codes()), owed);
        closed(&cookie, "the password").await;
        // The owner shows both, once each.
        assert_eq!(cookie.post_json("/tf-select", which()).await.status, 200);
        app.later(Duration::from_secs(30));
        assert_eq!(cookie.validate(&phone.code(&app)).await.status, 200);
        assert_eq!(cookie.get("/g/mfa").await.status, 200);
        let done = cookie.post_json("/sessions/revoke-others", json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text());
    })
    .await;
}

#[rocket::async_test]
async fn a_remembered_browser_is_led_through_both_factors() {
    for unified in [false, true] {
        let app = Plan::new().set("unified.enabled", unified).start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = app.browser();
        browser.login_remembered(ADA, PASSWORD).await;
        let code = [("code", phone.code(&app))];
        let code = code.each_ref().map(|(name, code)| (*name, code.as_str()));
        browser.post_form("/tf-validate", &code).await;
        assert_eq!(browser.get("/g/mfa").await.status, 200);
        browser.forget_cookie(SESSION);
        let verify = match unified {
            true => "/us-verify",
            false => "/verify",
        };
        let to_verify = format!("{verify}?next=%2Fg%2Fmfa");
        for path in ["/g/mfa", "/tf-select?next=/g/mfa"] {
            let led = browser.get(path).await;
            assert_eq!(
                (led.status, led.location()),
                (302, Some(to_verify.as_str()))
            );
        }
        let fields = [
            ("password", PASSWORD),
            ("passcode", PASSWORD),
            ("next", "/g/mfa"),
        ];
        let led = browser.post_form(verify, &fields).await;
        assert_eq!(led.location(), Some("/tf-select?next=%2Fg%2Fmfa"));
        let fields = [("which", "authenticator"), ("next", "/g/mfa")];
        let led = browser.post_form("/tf-select", &fields).await;
        assert_eq!(led.location(), Some("/tf-validate"));
        app.later(Duration::from_secs(30));
        let code = phone.code(&app);
        let led = browser.post_form("/tf-validate", &[("code", &code)]).await;
        assert_eq!(led.location(), Some("/g/mfa"));
        assert_eq!(browser.get("/g/mfa").await.status, 200);
        assert_eq!(browser.get("/g/fresh").await.status, 200);
    }
}

#[rocket::async_test]
async fn a_password_and_a_mailed_code_are_not_the_second_factor_of_an_account_with_an_app() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("unified.enabled", true)
            .set("unified.methods", ["password", "email"])
            .start()
            .await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let trusted = app.browser().in_json();
        trusted
            .post_json("/login", credentials(ADA, PASSWORD))
            .await;
        let body = json!({"code": phone.code(&app), "remember_device": true});
        assert_eq!(trusted.post_json("/tf-validate", body).await.status, 200);
        let spared = app.browser().in_json();
        spared.set_cookie(TRUSTED, &trusted.cookie(TRUSTED).unwrap());
        spared.post_json("/login", credentials(ADA, PASSWORD)).await;
        assert!(spared.is_signed_in().await);
        let sent = spared.post_json("/us-verify/send-code", json!({"chosen_method": "email"}));
        assert_eq!(sent.await.status, 200);
        let passcode = app.code_to(ADA, "unified");
        let answer = spared.post_json("/us-verify", json!({"passcode": passcode}));
        assert_eq!(answer.await.status, 401);
        let answer = spared.post_json("/us-verify", json!({"passcode": PASSWORD}));
        assert_eq!(answer.await.status, 401);
        let off = spared.post_json("/tf-setup", json!({"setup": "disable"}));
        assert_eq!(off.await.status, 401);
        assert_eq!(app.factors(&ada).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_link_that_completes_in_a_session_gone_stale_is_refused() {
    let provider = Provider::start();
    let provider = &provider;
    for_each_database(|plan| async move {
        let app = knowing(plan, provider)
            .set("social.state", "3 d")
            .start()
            .await;
        provider.keep_time_by(app.clock.clone());
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let there = led(&browser, LINK).await;
        let back = provider.consent(&there).await;
        app.later(Duration::from_hours(24 * 2));
        assert!(browser.is_signed_in().await);
        let answer = browser.get(&back).await;
        assert_eq!(
            answer.location(),
            Some("/login/oauth-link"),
            "{}",
            answer.text()
        );
        let accounts = app.store().social_accounts_of(&ada.id).await.unwrap();
        assert!(accounts.is_empty());
    })
    .await;
}
