//! What ends with what: every way in which a sign-in ends, and everything that hangs on it.

use std::time::Duration;

use rocket::{get, routes};
use rocket_security::{User, guards::ApiKey, prelude::*};
use serde_json::json;

use crate::{
    app::{Actor, Answer, App, PASSWORD, Plan, WRONG, for_each_database},
    with_factors::factors::{Authenticator, PENDING, REMEMBER, TRUSTED},
    with_smtp::mailed::{SESSION, credentials},
};

const ADA: &str = "ada@example.com";
const NEW: &str = "ada@example.org";
const OTHER: &str = "ada@example.net";

#[get("/by-key")]
fn by_key(_who: Require<Via<ApiKey>>) {}

/// How a sign-in ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    SignOut,
    RevokeOne,
    RevokeOthers,
    Everywhere,
    CopiedRememberCookie,
    CopiedRefreshToken,
    NewPassword,
    NewAddress,
    Deactivation,
    Deletion,
}

use Ending::{
    CopiedRefreshToken, CopiedRememberCookie, Deactivation, Deletion, Everywhere, NewAddress,
    NewPassword, RevokeOne, RevokeOthers, SignOut,
};

const THINGS: [&str; 8] = [
    "session",
    "remember series",
    "authentication token",
    "refresh family",
    "ticket begun there",
    "pending second step",
    "trusted device",
    "API key",
];

/// Whether each of the things is good after each ending.
const TABLE: [(Ending, [bool; 8]); 10] = {
    const E: bool = false;
    const S: bool = true;
    [
        (SignOut, [E, E, E, E, E, E, S, S]),
        (RevokeOne, [E, E, E, E, E, E, E, S]),
        (RevokeOthers, [E, E, E, E, E, E, E, S]),
        (Everywhere, [E, E, E, E, E, E, E, S]),
        (CopiedRememberCookie, [E, E, E, E, E, E, E, S]),
        (CopiedRefreshToken, [E, E, E, E, E, E, E, S]),
        (NewPassword, [E, E, E, E, E, E, E, S]),
        (NewAddress, [S, S, S, S, E, E, S, S]),
        (Deactivation, [E, E, E, E, E, E, E, E]),
        (Deletion, [E, E, E, E, E, E, E, E]),
    ]
};

/// A browser that is signed in, with everything that hangs on that.
struct Everything<'a> {
    app: &'a App,
    browser: Actor<'a>,
    token: String,
    refresh: String,
    key: String,
    link: String,
}

fn text(answer: &Answer, name: &str) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = &answer.json()["response"];
    let value = response["user"][name].as_str();
    let value = value.or_else(|| response[name].as_str());
    value.expect(name).to_string()
}

async fn sign_in<'a>(app: &'a App, phone: &Authenticator) -> (Actor<'a>, Answer) {
    // No code is taken twice.
    app.later(Duration::from_mins(1));
    let browser = app.browser().in_json();
    let mut body = credentials(ADA, PASSWORD);
    body["remember"] = true.into();
    let answer = browser.post_json("/login", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = json!({"code": phone.code(app), "remember_device": true});
    let answer = browser
        .post_json("/tf-validate?include_auth_token", body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (browser, answer)
}

async fn everything<'a>(app: &'a App, phone: &Authenticator) -> Everything<'a> {
    let (browser, answer) = sign_in(app, phone).await;
    let (token, refresh) = (
        text(&answer, "authentication_token"),
        text(&answer, "refresh_token"),
    );
    let made = browser.post_json("/api-keys", json!({"name": "Backup"}));
    let key = text(&made.await, "api_key");
    let asked = browser.post_json("/change-email", json!({"email": NEW}));
    assert_eq!(asked.await.status, 200);
    let link = app.link_to(NEW, "change_email");
    let chosen = browser.post_json("/tf-select", json!({"which": "authenticator"}));
    assert_eq!(chosen.await.status, 200);
    assert!(browser.cookie(PENDING).is_some());
    Everything {
        app,
        browser,
        token,
        refresh,
        key,
        link,
    }
}

/// A browser that shows one cookie and nothing else.
fn with_one<'a>(app: &'a App, from: &Actor<'_>, cookie: &str) -> Actor<'a> {
    let browser = app.browser();
    if let Some(value) = from.cookie(cookie) {
        browser.set_cookie(cookie, &value);
    }
    browser
}

impl Everything<'_> {
    /// Which of the things open something, asked from elsewhere by copies of the cookies as they were.
    async fn good(&self, copies: &Actor<'_>) -> [bool; 8] {
        let app = self.app;
        let steps = "SELECT COUNT(*) AS n FROM security_tickets \
                     WHERE purpose = 'second_step' AND used_at IS NULL";
        let pending = app.number(steps).await > 0;
        let link = app.program().in_json().get(&self.link).await.status == 200;
        let key = app.program().token(&self.key).get("/by-key").await.status == 200;
        let token = app.program().token(&self.token).is_signed_in().await;
        let session = with_one(app, copies, SESSION).is_signed_in().await;
        let body = json!({"refresh_token": self.refresh});
        let refreshed = app.program().post_json("/refresh-token", body).await;
        // The last that change something.
        let remember = with_one(app, copies, REMEMBER).is_signed_in().await;
        let device = with_one(app, copies, TRUSTED).in_json();
        let body = credentials(ADA, PASSWORD);
        let spared = device.post_json("/login", body).await;
        let spared = spared.status == 200 && device.is_signed_in().await;
        let refreshed = refreshed.status == 200;
        [
            session, remember, token, refreshed, link, pending, spared, key,
        ]
    }

    async fn ends(&self, ending: Ending, other: &Actor<'_>, user: &User) {
        let app = self.app;
        let sessions = app.store().sessions_of(&user.id).await.unwrap();
        let newest = sessions.iter().max_by_key(|one| one.created_at);
        let done = |answer: Answer| assert_eq!(answer.status, 200, "{}", answer.text());
        match ending {
            SignOut => done(self.browser.post_json("/logout", json!({})).await),
            RevokeOne => {
                let path = format!("/sessions/{}/revoke", newest.unwrap().id);
                done(other.post_json(&path, json!({})).await);
            }
            RevokeOthers => done(other.post_json("/sessions/revoke-others", json!({})).await),
            Everywhere => {
                let answer = other.post_json("/everywhere", json!({})).await;
                assert_eq!(answer.status, 204, "{}", answer.text());
            }
            CopiedRememberCookie => {
                let copy = with_one(app, &self.browser, REMEMBER);
                assert!(with_one(app, &self.browser, REMEMBER).is_signed_in().await);
                app.later(Duration::from_secs(30));
                assert!(!copy.is_signed_in().await);
            }
            CopiedRefreshToken => {
                let refresh = async || {
                    let body = json!({"refresh_token": self.refresh});
                    app.program().post_json("/refresh-token", body).await.status
                };
                assert_eq!(refresh().await, 200);
                app.later(Duration::from_secs(30));
                assert_eq!(refresh().await, 400);
            }
            NewPassword => {
                let body = json!({
                    "password": PASSWORD, "new_password": "another horse battery staple",
                    "new_password_confirm": "another horse battery staple",
                });
                done(other.post_json("/change", body).await);
                // So that the trusted device is tried with the password of before.
                let hash = crate::app::hash_of(PASSWORD);
                let stored = hash.as_stored();
                app.sql(&format!("UPDATE users SET password_hash = '{stored}'"))
                    .await;
            }
            NewAddress => {
                done(
                    other
                        .post_json("/change-email", json!({"email": OTHER}))
                        .await,
                );
                let link = app.link_to(OTHER, "change_email");
                done(app.program().in_json().post_json(&link, json!({})).await);
                app.sql(&format!(
                    "UPDATE users SET email = '{ADA}', email_key = '{ADA}'"
                ))
                .await;
            }
            Deactivation => {
                assert!(app.accounts().deactivate_user(&user.id).await.unwrap());
                // A shut account opens nothing: it is opened behind the store's back, to see what is left of it.
                app.sql("UPDATE users SET active = (1 = 1)").await;
            }
            Deletion => assert!(app.accounts().delete_user(&user.id).await.unwrap()),
        }
    }
}

fn plan_of(plan: Plan) -> Plan {
    plan.without_limits()
        .set("refresh_tokens.enabled", true)
        .set("refresh_tokens.mode", "body")
        .set("api_keys.enabled", true)
        .mount(routes![by_key])
}

#[rocket::async_test]
async fn every_ending_takes_what_the_table_says_and_nothing_else() {
    for_each_database(|plan| async move {
        let app = plan_of(plan).start().await;
        for (ending, wanted) in TABLE {
            let ada = app.user(ADA).await;
            let phone = app.with_authenticator(&ada).await;
            let (other, answer) = sign_in(&app, &phone).await;
            let (token, device) = (text(&answer, "authentication_token"), other.copy());
            app.later(Duration::from_mins(1));
            let hers = everything(&app, &phone).await;
            let copies = hers.browser.copy();
            hers.ends(ending, &other, &ada).await;
            let good = hers.good(&copies).await;
            for ((thing, wanted), is) in THINGS.iter().zip(wanted).zip(good) {
                assert_eq!(is, wanted, "{ending:?}: {thing}");
            }
            // What the ending did not mean stays.
            let stays = !matches!(ending, Everywhere | Deactivation | Deletion);
            assert_eq!(other.is_signed_in().await, stays, "{ending:?}");
            let of_one = stays && ending != NewPassword;
            let program = app.program().token(&token);
            assert_eq!(program.is_signed_in().await, of_one, "{ending:?}");
            let spared = with_one(&app, &device, TRUSTED).in_json();
            spared.post_json("/login", credentials(ADA, PASSWORD)).await;
            assert_eq!(spared.is_signed_in().await, of_one, "{ending:?}");
            app.accounts().delete_user(&ada.id).await.unwrap();
            let left = "SELECT COUNT(*) AS n FROM security_tickets WHERE user_id IS NOT NULL";
            assert_eq!(app.number(left).await, 0);
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_token_ends_with_its_session_where_refresh_tokens_are_off() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let sign_in = async || {
            let browser = app.browser().in_json();
            let body = credentials(ADA, PASSWORD);
            let answer = browser.post_json("/login?include_auth_token", body).await;
            (
                browser,
                app.program().token(&text(&answer, "authentication_token")),
            )
        };
        let (browser, program) = sign_in().await;
        let (_, elsewhere) = sign_in().await;
        assert_eq!(program.get("/g/fresh").await.status, 200);
        // A new secret of the session takes the token along.
        let again = browser.post_json("/verify", json!({"password": PASSWORD}));
        assert_eq!(again.await.status, 200);
        assert!(program.is_signed_in().await);
        assert_eq!(browser.post_json("/logout", json!({})).await.status, 200);
        assert!(!program.is_signed_in().await);
        assert!(elsewhere.is_signed_in().await, "another sign-in's stays");
        // What a token begins ends with the sign-in that the token comes from.
        app.later(Duration::from_secs(1));
        let (browser, program) = sign_in().await;
        let asked = program.post_json("/change-email", json!({"email": NEW}));
        assert_eq!(asked.await.status, 200);
        let link = app.link_to(NEW, "change_email");
        let sessions = app.store().sessions_of(&ada.id).await.unwrap();
        assert!(
            app.accounts()
                .revoke_session(&ada.id, &sessions[0].id)
                .await
                .unwrap()
        );
        assert!(!browser.is_signed_in().await);
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 400);
    })
    .await;
}

#[rocket::async_test]
async fn a_sign_in_in_the_middle_of_its_second_step_can_be_given_up() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        for path in ["/logout", "GET /login", "POST /login"] {
            app.later(Duration::from_mins(1));
            let browser = app.waiting(ADA).await;
            let copy = browser.copy();
            match path {
                "/logout" => drop(browser.post_json("/logout", json!({})).await),
                "GET /login" => {
                    // A program that wants a CSRF token for the second step, and a guarded page that sends a
                    // browser here, do not give it up.
                    browser.csrf().await;
                    let html = [("Accept", "text/html")];
                    drop(browser.get_with("/login?next=/me", &html).await);
                    assert!(browser.cookie(PENDING).is_some());
                    drop(browser.get_with("/login", &html).await);
                }
                _ => drop(browser.post_json("/login", credentials(ADA, "wrong")).await),
            }
            assert_eq!(browser.cookie(PENDING), None, "{path}");
            let code = phone.code(&app);
            for actor in [&browser, &copy] {
                let answer = actor.validate(&code).await;
                assert_eq!(answer.status, 400, "{path}: {}", answer.text());
                assert!(!actor.is_signed_in().await);
            }
        }
        // A program without cookies shows what waits in a header.
        app.later(Duration::from_mins(1));
        let program = app.program();
        let answer = program
            .post_json("/login", credentials(ADA, PASSWORD))
            .await;
        let shown = answer.json()["response"]["second_step_token"].clone();
        let program = app
            .program()
            .header("Second-Step-Token", shown.as_str().unwrap());
        assert_eq!(program.post_json("/logout", json!({})).await.status, 200);
        assert_eq!(program.validate(&phone.code(&app)).await.status, 400);
    })
    .await;
}

/// The mails about a sign-in in an unknown browser.
fn told(app: &App) -> usize {
    app.count_mails(ADA, "new_device")
}

#[rocket::async_test]
async fn a_sign_in_in_an_unknown_browser_is_told_with_a_link_that_signs_out_everywhere_once() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("session.new_device_mail", true)
            .start()
            .await;
        app.user(ADA).await;
        let known = app.browser();
        known.login(ADA, PASSWORD).await;
        assert_eq!(told(&app), 0, "of the first sign-in nothing is told");
        known.logout().await;
        known.login(ADA, PASSWORD).await;
        assert_eq!(told(&app), 0, "nor in a browser that the account knows");
        let thief = app
            .browser()
            .header("User-Agent", "Thief <b>")
            .from("198.51.100.7");
        let answer = thief.login_remembered(ADA, PASSWORD).await;
        assert_eq!(answer.status, 302);
        assert_eq!(told(&app), 1);
        let mail = app.newest(ADA, "new_device");
        assert!(mail.text.contains("198.51.100.7"), "{}", mail.text);
        let link = app.link_to(ADA, "new_device");
        assert!(link.starts_with("/end-session/"), "{link}");
        app.look_at(&link).await;
        assert!(thief.is_signed_in().await, "to look at it changes nothing");
        let page = app.browser().get(&link).await;
        assert!(page.text().contains("198.51.100.7") && !page.text().contains("<b>"));
        // A new secret of the session, and a new session of the same browser, are the same sign-in.
        thief.post_form("/verify", &[("password", PASSWORD)]).await;
        let old = thief.copy();
        thief.forget_cookie(SESSION);
        assert!(thief.is_signed_in().await);
        let ended = app.browser().submit(&link, &[]).await;
        assert_eq!(ended.status, 302, "{}", ended.text());
        for actor in [&thief, &old] {
            assert!(!actor.is_signed_in().await);
        }
        assert!(!known.is_signed_in().await, "everywhere");
        let again = app.program().post_json(&link, json!({})).await;
        assert_eq!(again.status, 400);
        // Restoring, proving it again and a new password are no sign-ins.
        assert_eq!(told(&app), 1);
    })
    .await;
    let app = Plan::new()
        .without_limits()
        .set("session.new_device_mail", false)
        .start()
        .await;
    app.user(ADA).await;
    for _ in 0..2 {
        app.browser().login(ADA, PASSWORD).await;
    }
    assert_eq!(told(&app), 0);
    let link = format!("/end-session/{}", "A".repeat(43));
    assert_eq!(app.program().get(&link).await.status, 404);
}

#[rocket::async_test]
async fn nothing_that_a_thief_does_ends_the_link_of_the_mail_about_the_sign_in() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("session.new_device_mail", true)
            .start()
            .await;
        app.user(ADA).await;
        app.browser().login(ADA, PASSWORD).await;
        let mut password = PASSWORD;
        let acts = ["out and in", "restore", "others", "change", "factor"];
        for (n, act) in acts.into_iter().enumerate() {
            app.later(Duration::from_hours(1));
            let thief = app.browser();
            thief.login_remembered(ADA, password).await;
            assert_eq!(told(&app), n + 1, "{act}: no browser is known any more");
            let link = app.link_to(ADA, "new_device");
            app.later(Duration::from_hours(1));
            match act {
                "out and in" => {
                    thief.logout().await;
                    thief.login_remembered(ADA, password).await;
                }
                "restore" => thief.forget_cookie(SESSION),
                "others" => {
                    let done = thief.post_form("/sessions/revoke-others", &[]).await;
                    assert_eq!(done.status, 302);
                }
                "change" => {
                    let fields = [
                        ("password", password),
                        ("new_password", WRONG),
                        ("new_password_confirm", WRONG),
                    ];
                    let done = thief.post_form("/change", &fields).await;
                    assert_eq!(done.status, 302);
                    password = WRONG;
                }
                _ => {
                    thief.copy().in_json().add_authenticator().await;
                }
            }
            assert!(act == "factor" || thief.is_signed_in().await, "{act}");
            assert_eq!(told(&app), n + 1, "{act}");
            let ended = app.program().post_json(&link, json!({})).await;
            assert_eq!(ended.status, 200, "{act}: {}", ended.text());
            assert!(!thief.is_signed_in().await, "{act}");
            for table in ["sessions", "remember", "refresh_families"] {
                let left = format!("SELECT COUNT(*) AS n FROM security_{table}");
                assert_eq!(app.number(&left).await, 0, "{act}: {table}");
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn the_owner_is_told_of_a_copied_remember_cookie_once() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        app.user(ADA).await;
        let browser = app.browser();
        browser.login_remembered(ADA, PASSWORD).await;
        let (first, second) = (
            with_one(&app, &browser, REMEMBER),
            with_one(&app, &browser, REMEMBER),
        );
        assert!(with_one(&app, &browser, REMEMBER).is_signed_in().await);
        app.later(Duration::from_secs(30));
        let both = rocket::tokio::join!(first.is_signed_in(), second.is_signed_in());
        assert_eq!(both, (false, false));
        assert_eq!(app.count_mails(ADA, "remember_copied"), 1);
        assert_eq!(told(&app), 0, "to come back is no sign-in");
    })
    .await;
}

#[rocket::async_test]
async fn of_sign_ins_beyond_the_cap_the_oldest_end_also_at_once() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("session.most", 3)
            .set("remember.most", 5)
            .set("tokens.most", 2)
            .set("two_factor.most_devices", 2)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let oldest = app.browser();
        oldest.login_remembered(ADA, PASSWORD).await;
        app.later(Duration::from_secs(1));
        let browsers: Vec<_> = (0..6).map(|_| app.browser().in_json()).collect();
        let mut body = credentials(ADA, PASSWORD);
        body["remember"] = true.into();
        let logins = browsers
            .iter()
            .map(|browser| browser.post_json("/login?include_auth_token", body.clone()));
        for answer in rocket::futures::future::join_all(logins).await {
            // A session that made way already is given no token.
            assert!(
                matches!(answer.status, 200 | 401 | 503),
                "{}",
                answer.text()
            );
        }
        let count = async |table: &str| {
            let query = format!("SELECT COUNT(*) AS n FROM {table}");
            app.number(&query).await
        };
        assert_eq!(count("security_sessions").await, 3);
        assert_eq!(count("security_remember").await, 5);
        assert_eq!(count("security_tokens").await, 2);
        assert!(!oldest.is_signed_in().await, "the oldest went");
        app.later(Duration::from_secs(1));
        let newest = app.browser();
        newest.login(ADA, PASSWORD).await;
        assert!(newest.is_signed_in().await, "the newest stays");
        assert_eq!(app.store().sessions_of(&ada.id).await.unwrap().len(), 3);

        let phone = app.with_authenticator(&ada).await;
        for _ in 0..3 {
            app.later(Duration::from_mins(1));
            let browser = app.waiting(ADA).await;
            let body = json!({"code": phone.code(&app), "remember_device": true});
            assert_eq!(browser.post_json("/tf-validate", body).await.status, 200);
        }
        assert_eq!(count("security_devices").await, 2);
    })
    .await;
    let refused = Plan::new().set("session.most", 0).try_start().await;
    assert!(refused.is_err());
}
