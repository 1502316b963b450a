//! Refresh tokens: one successor at a time, one family for a sign-in, and its end when a copy shows up.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use rocket::{http::Method as Verb, tokio};
use rocket_security::{EventKind, Store};
use serde_json::json;

use crate::app::{Actor, Answer, App, PASSWORD, Plan, SECRET, WRONG, for_each_database, hash_of};

const ADA: &str = "ada@example.com";

fn in_body(plan: Plan) -> Plan {
    plan.set("refresh_tokens.enabled", true)
        .set("refresh_tokens.mode", "body")
}

fn in_cookie(plan: Plan) -> Plan {
    plan.set("refresh_tokens.enabled", true)
}

fn auth_token(answer: &Answer) -> String {
    let token = &answer.json()["response"]["user"]["authentication_token"];
    token.as_str().unwrap_or_default().to_string()
}

fn refresh_token(answer: &Answer) -> String {
    let token = &answer.json()["response"]["user"]["refresh_token"];
    token.as_str().unwrap_or_default().to_string()
}

async fn sign_in(app: &App) -> (String, String) {
    let body = json!({"email": ADA, "password": PASSWORD});
    let answer = app
        .program()
        .post_json("/login?include_auth_token", body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (token, refresh) = (auth_token(&answer), refresh_token(&answer));
    assert!(
        token.len() == 43 && refresh.len() == 87,
        "{}",
        answer.text()
    );
    (token, refresh)
}

async fn refresh(actor: &Actor<'_>, token: &str) -> Answer {
    let body = json!({"refresh_token": token});
    actor.post_json("/refresh-token", body).await
}

/// A refusal gives nothing away and nothing out.
fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 400, "{why}: {}", answer.text());
    assert_eq!(answer.codes(), ["refresh_tokens.wrong"], "{why}");
    assert!(answer.cookie("security_refresh").is_none(), "{why}");
    assert!(answer.json()["response"].get("user").is_none(), "{why}");
}

async fn is_good(app: &App, token: &str) -> bool {
    app.program().token(token).is_signed_in().await
}

async fn sessions(app: &App) -> i64 {
    app.number("SELECT COUNT(*) AS n FROM security_sessions")
        .await
}

async fn sweep(app: &App) {
    let swept = rocket_security::testing::sweep(app.client.rocket()).await;
    swept.unwrap();
}

async fn tokens(app: &App) -> i64 {
    app.number("SELECT COUNT(*) AS n FROM security_tokens")
        .await
}

async fn families(app: &App) -> i64 {
    app.number("SELECT COUNT(*) AS n FROM security_refresh_families")
        .await
}

/// How often an old one came back.
async fn reuses(app: &App) -> usize {
    app.count(|kind| matches!(kind, EventKind::RefreshReuse { .. }))
        .await
}

#[rocket::async_test]
async fn they_are_off_unless_asked_for() {
    let app = App::new().await;
    app.user(ADA).await;
    let body = json!({"email": ADA, "password": PASSWORD});
    let program = app.program();
    let answer = program.post_json("/login?include_auth_token", body).await;
    assert_eq!(refresh_token(&answer), "");
    assert_eq!(refresh(&program, "x").await.status, 404);
    assert_eq!(families(&app).await, 0);
}

#[rocket::async_test]
async fn a_refresh_token_gives_a_new_token_and_its_successor() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let ada = app.user(ADA).await;
        let program = app.program();
        let (first, r1) = sign_in(&app).await;
        app.later(Duration::from_mins(15));
        assert!(!is_good(&app, &first).await);
        let answer = refresh(&program, &r1).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (second, r2) = (auth_token(&answer), refresh_token(&answer));
        assert!(is_good(&app, &second).await);
        assert!(r1 != r2 && first != second);
        app.later(Duration::from_mins(1));
        let r3 = refresh_token(&refresh(&program, &r2).await);
        assert!(!r3.is_empty() && r3 != r2);
        // What rests are digests.
        for line in app.dump().await {
            for secret in [&r1, &r2, &r3, &second] {
                for part in secret.split('.') {
                    assert!(!line.contains(part), "{line}");
                }
            }
        }
        // A sign-in that asks for no token gets none of either sort.
        let body = json!({"email": ADA, "password": PASSWORD});
        program.post_json("/login", body).await;
        let listed = app.store().refresh_tokens_of(&ada.id).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].last_used_at, app.store().now());
        assert!(
            !app.accounts()
                .revoke_refresh_tokens(&ada.id, "x")
                .await
                .unwrap()
        );
        let eve = app.user("eve@example.com").await;
        let id = &listed[0].id;
        assert!(
            !app.accounts()
                .revoke_refresh_tokens(&eve.id, id)
                .await
                .unwrap()
        );
        assert!(
            app.accounts()
                .revoke_refresh_tokens(&ada.id, id)
                .await
                .unwrap()
        );
        assert_refused(&refresh(&program, &r3).await, "revoked");
    })
    .await;
}

#[rocket::async_test]
async fn what_it_gives_is_as_fresh_as_the_sign_in() {
    let app = in_body(Plan::new()).start().await;
    app.user(ADA).await;
    let (first, r1) = sign_in(&app).await;
    assert_eq!(
        app.program().token(&first).get("/g/fresh").await.status,
        200
    );
    app.later(Duration::from_hours(25));
    let second = auth_token(&refresh(&app.program(), &r1).await);
    let program = app.program().token(&second);
    assert!(program.is_signed_in().await);
    assert_eq!(program.get("/g/fresh").await.status, 401);
}

#[rocket::async_test]
async fn an_old_one_that_comes_back_ends_the_family_and_its_owner_is_told() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let ada = app.user(ADA).await;
        let program = app.program().from("198.51.100.7");
        let (_, r1) = sign_in(&app).await;
        let (_, other) = sign_in(&app).await;
        let r2 = refresh_token(&refresh(&program, &r1).await);
        app.later(Duration::from_secs(10));
        assert_refused(&refresh(&program, &r1).await, "the old one");
        assert_refused(&refresh(&program, &r2).await, "with all that came of it");
        let reuses = app
            .count(|kind| {
                *kind
                    == EventKind::RefreshReuse {
                        user: ada.id.clone(),
                    }
            })
            .await;
        assert_eq!(reuses, 1);
        let mails = app.mails_to(ADA);
        let told = mails.iter().filter(|mail| mail.kind == "refresh_reuse");
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "{mails:?}");
        assert!(told[0].text.contains("198.51.100.7"), "{}", told[0].text);
        // Another sign-in of the same account is none of it.
        assert_eq!(refresh(&program, &other).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn nothing_of_a_sign_in_is_good_after_a_copy_of_its_token_came_back() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let ada = app.user(ADA).await;
        let (other, _) = sign_in(&app).await;
        let browser = app.browser().in_json();
        let body = json!({"email": ADA, "password": PASSWORD, "remember": true});
        let answer = browser.post_json("/login?include_auth_token", body).await;
        let (t1, r1) = (auth_token(&answer), refresh_token(&answer));
        let answer = refresh(&app.program(), &r1).await;
        let (t2, r2) = (auth_token(&answer), refresh_token(&answer));
        for token in [&t1, &t2, &other] {
            assert!(is_good(&app, token).await);
        }
        app.later(Duration::from_secs(10));
        assert_refused(&refresh(&app.program(), &r1).await, "the old one");
        assert!(!is_good(&app, &t1).await && !is_good(&app, &t2).await);
        assert_refused(&refresh(&app.program(), &r2).await, "the new one");
        assert!(
            !browser.is_signed_in().await,
            "nor its session, nor its device"
        );
        assert!(is_good(&app, &other).await, "another sign-in");
        assert_eq!(app.store().sessions_of(&ada.id).await.unwrap().len(), 1);
    })
    .await;
}

#[rocket::async_test]
async fn nothing_that_is_given_beside_signing_out_outlives_it() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        for within_grace in [true, false, true, false, true, false] {
            let (_, r1) = sign_in(&app).await;
            let r2 = refresh_token(&refresh(&app.program(), &r1).await);
            let shown = if within_grace { &r1 } else { &r2 };
            let program = app.program();
            let body = json!({"refresh_token": r2});
            let (answer, _) =
                tokio::join!(refresh(&program, shown), program.post_json("/logout", body));
            assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
            assert_eq!((families(&app).await, tokens(&app).await), (0, 0));
        }
    })
    .await;
}

#[rocket::async_test]
async fn requests_at_the_same_moment_get_the_same_successor() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let (_, r1) = sign_in(&app).await;
        let six = (0..6).map(|_| async {
            let program = app.program();
            refresh(&program, &r1).await
        });
        let answers = rocket::futures::future::join_all(six).await;
        let mut successors = Vec::new();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(is_good(&app, &auth_token(answer)).await);
            successors.push(refresh_token(answer));
        }
        successors.sort_unstable();
        successors.dedup();
        assert_eq!(successors.len(), 1, "one successor");
        assert_eq!(families(&app).await, 1, "no branch");
        // Within the grace once more, and the successor after it.
        app.clock.shift(9_999);
        assert_eq!(
            refresh_token(&refresh(&app.program(), &r1).await),
            successors[0]
        );
        app.later(Duration::from_mins(5));
        assert_eq!(refresh(&app.program(), &successors[0]).await.status, 200);
        assert_eq!(reuses(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn one_that_is_two_exchanges_old_has_no_grace() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let program = app.program();
        let (_, r1) = sign_in(&app).await;
        let r2 = refresh_token(&refresh(&program, &r1).await);
        let r3 = refresh_token(&refresh(&program, &r2).await);
        // A thief who exchanged twice in a moment would else go unseen.
        assert_refused(&refresh(&program, &r1).await, "two exchanges old");
        assert_refused(&refresh(&program, &r3).await, "with all that came of it");
        assert_eq!(reuses(&app).await, 1);
        let mails = app.mails_to(ADA);
        assert_eq!(
            mails
                .iter()
                .filter(|mail| mail.kind == "refresh_reuse")
                .count(),
            1
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_change_of_the_sites_secret_forks_nothing() {
    let (old, new) = (SECRET.to_string(), SECRET.chars().rev().collect::<String>());
    let app = in_body(Plan::new()).set("secret", &old).start().await;
    app.user(ADA).await;
    let (_, r1) = sign_in(&app).await;
    let r2 = refresh_token(&refresh(&app.program(), &r1).await);
    let both = [new.as_str(), old.as_str()];
    let rotated = app.beside(|plan| in_body(plan).set("secret", both)).await;
    let answer = refresh(&rotated.program(), &r1).await;
    assert_eq!(refresh_token(&answer), r2, "{}", answer.text());
    let without = app.beside(|plan| in_body(plan).set("secret", &new)).await;
    assert_refused(&refresh(&without.program(), &r1).await, "nobody can say it");
    assert_eq!(refresh(&without.program(), &r2).await.status, 200);
}

#[rocket::async_test]
async fn it_ends_with_everything_that_ends_an_account_or_its_sessions() {
    for_each_database(|plan| async move {
        let app = in_body(plan)
            .set("tokens.end_with_password", false)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let accounts = app.accounts().clone();
        for what in [
            "everywhere",
            "deactivated",
            "password",
            "uniquifier",
            "token uniquifier",
            "new password required",
            "access",
            "deleted",
        ] {
            let (token, r1) = sign_in(&app).await;
            assert_eq!(families(&app).await, 1, "{what}");
            let program = app.program().token(&token);
            match what {
                "everywhere" => drop(program.post_json("/everywhere", json!({})).await),
                "deactivated" => drop(accounts.deactivate_user(&ada.id).await.unwrap()),
                // Other tokens outlive it by the setting.
                "password" => drop(
                    accounts
                        .set_password_hash(&ada.id, hash_of(PASSWORD), false)
                        .await
                        .unwrap(),
                ),
                "uniquifier" => accounts.end_sessions(&ada.id).await.unwrap(),
                "token uniquifier" => accounts.end_tokens(&ada.id).await.unwrap(),
                "new password required" => accounts.require_new_password(&ada.id).await.unwrap(),
                "access" => accounts.revoke_all(&ada.id).await.unwrap(),
                _ => drop(accounts.delete_user(&ada.id).await.unwrap()),
            }
            assert_refused(&refresh(&app.program(), &r1).await, what);
            assert_eq!(families(&app).await, 0, "{what}");
            assert!(!is_good(&app, &token).await, "{what}");
            assert_eq!(tokens(&app).await, 0, "{what}");
            match what {
                "deactivated" => drop(accounts.activate_user(&ada.id).await.unwrap()),
                "new password required" => drop(
                    accounts
                        .set_password_hash(&ada.id, hash_of(PASSWORD), true)
                        .await
                        .unwrap(),
                ),
                _ => {}
            }
            assert_refused(&refresh(&app.program(), &r1).await, what);
        }
    })
    .await;
}

#[rocket::async_test]
async fn it_rests_seven_days_and_lasts_ninety_however_busy() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let (_, resting) = sign_in(&app).await;
        let (_, mut used) = sign_in(&app).await;
        app.clock.shift(7 * 86_400_000 - 1);
        let answer = refresh(&app.program(), &used).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        used = refresh_token(&answer);
        app.clock.shift(1);
        assert_refused(&refresh(&app.program(), &resting).await, "7 days");
        for _ in 0..13 {
            app.later(Duration::from_hours(24 * 6));
            let answer = refresh(&app.program(), &used).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            used = refresh_token(&answer);
        }
        // 85 of 90 days.
        app.clock.shift(5 * 86_400_000 - 1);
        used = refresh_token(&refresh(&app.program(), &used).await);
        assert!(!used.is_empty());
        app.clock.shift(1);
        assert_refused(&refresh(&app.program(), &used).await, "90 days");
        assert_eq!(reuses(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn signing_out_ends_it() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let ada = app.user(ADA).await;
        // A program shows it.
        let (token, r1) = sign_in(&app).await;
        let body = json!({"refresh_token": r1});
        let answer = app.program().post_json("/logout", body.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_refused(&refresh(&app.program(), &r1).await, "shown");
        assert!(!is_good(&app, &token).await, "with what it gave");
        let (token, r1) = sign_in(&app).await;
        let body = json!({"refresh_token": r1});
        app.program().token(&token).post_json("/logout", body).await;
        assert_refused(&refresh(&app.program(), &r1).await, "shown beside a token");
        // In a browser it belongs to the session, and to the device that is remembered.
        for how in ["logout", "list", "next sign-in", "others"] {
            let browser = app.browser().in_json();
            let body = json!({"email": ADA, "password": PASSWORD, "remember": true});
            let answer = browser
                .post_json("/login?include_auth_token", body.clone())
                .await;
            let kept = refresh_token(&answer);
            assert!(!kept.is_empty(), "{how}");
            let answer = refresh(&app.program(), &kept).await;
            let (token, kept) = (auth_token(&answer), refresh_token(&answer));
            match how {
                "logout" => drop(browser.post_json("/logout", json!({})).await),
                "list" => {
                    let sessions = app.store().sessions_of(&ada.id).await.unwrap();
                    let other = app.signed_in(&ada).await;
                    for session in sessions {
                        let path = format!("/sessions/{}/revoke", session.id);
                        other.post_json(&path, json!({})).await;
                    }
                }
                "next sign-in" => {
                    // The session has run out, and the device opens another: it is the same browser.
                    app.later(Duration::from_hours(13));
                    assert!(browser.is_signed_in().await);
                    assert_eq!(families(&app).await, 1, "which goes on");
                    browser.post_json("/logout", json!({})).await;
                }
                _ => {
                    let other = app.signed_in(&ada).await;
                    other.post_json("/sessions/revoke-others", json!({})).await;
                }
            }
            assert_refused(&refresh(&app.program(), &kept).await, how);
            assert!(!is_good(&app, &token).await, "{how}");
        }
        assert_eq!(families(&app).await, 0);
    })
    .await;
}

/// What an answer gave ends with the session that it opened in `browser`.
async fn ends_with_its_session(app: &App, answer: &Answer, browser: &Actor<'_>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = browser.cookie("security_session").unwrap();
    let same = app.browser().in_json();
    same.set_cookie("security_session", &session);
    same.post_json("/logout", json!({})).await;
    let given = refresh_token(answer);
    assert_refused(&refresh(&app.program(), &given).await, "signed out");
    assert_eq!(families(app).await, 0);
}

#[rocket::async_test]
async fn it_belongs_to_the_session_that_was_opened_whatever_header_came_along() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let browser = app.browser().in_json().token("x");
        let body = json!({"email": ADA, "password": PASSWORD});
        let answer = browser.post_json("/login?include_auth_token", body).await;
        ends_with_its_session(&app, &answer, &browser).await;
    })
    .await;
}

#[cfg(all(feature = "smtp", feature = "sms"))]
#[rocket::async_test]
async fn it_belongs_to_the_session_that_a_second_step_opened() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let authenticator = app.with_authenticator(&app.user(ADA).await).await;
        let browser = app.waiting(ADA).await.token("x");
        let code = authenticator.code(&app);
        let path = "/tf-validate?include_auth_token";
        let answer = browser.post_json(path, json!({"code": code})).await;
        ends_with_its_session(&app, &answer, &browser).await;
    })
    .await;
}

/// Ends all sessions with what was given in them, in a transaction that commits a moment after this returns.
fn end_sessions_beside(store: Store) {
    let (said, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ended = store.write(move |conn| {
            conn.batch_execute("DELETE FROM security_sessions")?;
            conn.batch_execute("DELETE FROM security_refresh_families")?;
            let _ = said.send(());
            // Long enough for the other to come to the rows that are locked here. No database tells that somebody waits.
            std::thread::sleep(std::time::Duration::from_millis(300));
            Ok(())
        });
        runtime.block_on(ended).unwrap();
    });
    done.recv().unwrap();
}

#[rocket::async_test]
async fn none_is_given_in_a_session_that_ends_at_the_same_moment() {
    for_each_database(|plan| async move {
        let known: Arc<OnceLock<Store>> = Arc::default();
        let beside = known.clone();
        // Between the opening of the session and the token.
        let plan = plan.security(|security| {
            security.user_payload(move |_| {
                if let Some(store) = beside.get() {
                    end_sessions_beside(store.clone());
                }
                json!({})
            })
        });
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        known.set(app.store().clone()).unwrap();
        let body = json!({"email": ADA, "password": PASSWORD});
        let answer = app
            .program()
            .post_json("/login?include_auth_token", body)
            .await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!((sessions(&app).await, families(&app).await), (0, 0));
        assert_eq!(tokens(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn nothing_that_is_given_beside_the_end_of_its_session_outlives_it() {
    for_each_database(|plan| async move {
        let app = in_body(plan).without_limits().start().await;
        let ada = app.user(ADA).await;
        for _ in 0..6 {
            let browser = app.signed_in(&ada).await.in_json();
            let id = app.store().sessions_of(&ada.id).await.unwrap()[0]
                .id
                .clone();
            let again = json!({"password": PASSWORD});
            let (answer, ended) = tokio::join!(
                browser.post_json("/verify?include_auth_token", again),
                app.accounts().revoke_session(&ada.id, &id)
            );
            assert!(ended.unwrap());
            assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
            assert_eq!((families(&app).await, tokens(&app).await), (0, 0));
        }
    })
    .await;
}

#[rocket::async_test]
async fn an_old_one_at_signing_out_is_an_alarm_and_one_just_exchanged_is_none() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let told = || {
            let mails = app.mails_to(ADA);
            mails
                .iter()
                .filter(|mail| mail.kind == "refresh_reuse")
                .count()
        };
        for (old, late, alarms) in [(false, true, 0), (false, false, 1), (true, true, 2)] {
            let (token, r1) = sign_in(&app).await;
            let mut last = refresh_token(&refresh(&app.program(), &r1).await);
            if old {
                last = refresh_token(&refresh(&app.program(), &last).await);
            }
            if !late {
                app.later(Duration::from_secs(10));
            }
            let body = json!({"refresh_token": r1});
            let answer = app.program().post_json("/logout", body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_refused(&refresh(&app.program(), &last).await, "signed out");
            assert!(!is_good(&app, &token).await);
            assert_eq!((reuses(&app).await, told()), (alarms, alarms));
        }
        // One that has run out is no alarm.
        let (_, r1) = sign_in(&app).await;
        refresh(&app.program(), &r1).await;
        app.later(Duration::from_hours(24 * 7));
        let body = json!({"refresh_token": r1});
        app.program().post_json("/logout", body).await;
        assert_eq!((reuses(&app).await, families(&app).await), (2, 0));
    })
    .await;
}

#[rocket::async_test]
async fn a_program_without_a_session_signs_out_beside_where_it_refreshes() {
    for_each_database(|plan| async move {
        // By cookie: the browser sends that to no other path.
        let app = in_cookie(plan).set("url_prefix", "/account").start().await;
        app.user(ADA).await;
        let login = json!({"email": ADA, "password": PASSWORD});
        let browser = app.browser().in_json();
        let answer = browser
            .post_json("/account/login?include_auth_token", login)
            .await;
        let token = auth_token(&answer);
        let r1 = browser.cookie("security_refresh").unwrap();
        assert!(is_good(&app, &token).await);
        let program = app.browser().in_json();
        program.set_cookie("security_refresh", &r1);
        let end = "/account/refresh-token/end";
        let answer = program
            .copy()
            .post_body(end, "application/json", b"{}")
            .await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec!["denied.csrf".into()])
        );
        let csrf = program.get_with("/account/login", &[]).await.json();
        let csrf = csrf["response"]["csrf_token"].as_str().unwrap().to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("X-CSRF-Token", csrf.as_str()),
        ];
        for how in ["good", "ended", "junk", "none"] {
            match how {
                "good" | "ended" => program.set_cookie("security_refresh", &r1),
                "junk" => program.set_cookie("security_refresh", "x"),
                _ => program.forget_cookie("security_refresh"),
            }
            let answer = program.send(Verb::Post, end, &headers, Some(b"{}")).await;
            assert_eq!(answer.status, 200, "{how}: {}", answer.text());
            let gone = answer.cookie("security_refresh").unwrap();
            assert_eq!(gone.path(), Some("/account/refresh-token"), "{how}");
            assert_eq!(gone.max_age(), Some(time::Duration::ZERO), "{how}");
            assert_eq!((families(&app).await, tokens(&app).await), (0, 0), "{how}");
        }
        assert!(!is_good(&app, &token).await);
        assert_eq!(reuses(&app).await, 0);
    })
    .await;
    // In the body, which is proof enough.
    let app = in_body(Plan::new()).start().await;
    app.user(ADA).await;
    let (token, r1) = sign_in(&app).await;
    for body in [
        json!({"refresh_token": r1}),
        json!({"refresh_token": "x"}),
        json!({}),
    ] {
        let answer = app.program().post_json("/refresh-token/end", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.cookie("security_refresh").is_none());
    }
    assert_refused(&refresh(&app.program(), &r1).await, "signed out");
    assert!(!is_good(&app, &token).await);
}

#[rocket::async_test]
async fn signing_out_where_the_session_has_run_out_ends_it_too() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        for proves_again in [false, true] {
            let browser = app.browser().in_json();
            let body = json!({"email": ADA, "password": PASSWORD});
            let answer = browser.post_json("/login?include_auth_token", body).await;
            let r1 = refresh_token(&answer);
            if proves_again {
                // The session goes on under another cookie.
                let body = json!({"password": PASSWORD});
                assert_eq!(browser.post_json("/verify", body).await.status, 200);
            }
            app.later(Duration::from_hours(13));
            sweep(&app).await;
            assert_eq!(sessions(&app).await, 0);
            assert_eq!(
                families(&app).await,
                1,
                "a session that runs out ends nothing"
            );
            assert_eq!(browser.post_json("/logout", json!({})).await.status, 200);
            assert_refused(&refresh(&app.program(), &r1).await, "signed out");
        }
        assert_eq!(families(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_session_cookie_of_another_account_carries_nothing_over() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        app.user("eve@example.com").await;
        let body = |email: &str| json!({"email": email, "password": PASSWORD, "remember": true});
        let eve = app.browser().in_json();
        let answer = eve
            .post_json("/login?include_auth_token", body("eve@example.com"))
            .await;
        let eves = refresh_token(&answer);
        let ada = app.browser().in_json();
        ada.post_json("/login", body(ADA)).await;
        // Eve's cookie makes way for the session that Ada's device opens.
        ada.set_cookie("security_session", &eve.cookie("security_session").unwrap());
        app.later(Duration::from_hours(13));
        assert_eq!(ada.get("/me").await.text(), ADA);
        assert_refused(
            &refresh(&app.program(), &eves).await,
            "its session was replaced",
        );
        ada.post_json("/logout", json!({})).await;
        assert_eq!(families(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn the_cookie_goes_to_one_path_and_scripts_cannot_read_it() {
    for_each_database(|plan| async move {
        let app = in_cookie(plan)
            .set("base_url", "https://example.com")
            .set("url_prefix", "/account")
            .start()
            .await;
        app.user(ADA).await;
        let login = json!({"email": ADA, "password": PASSWORD});
        let visitor = app.program();
        let answer = visitor
            .post_json("/account/login?include_auth_token", login)
            .await;
        assert_eq!(refresh_token(&answer), "", "not in the body");
        let name = "__Secure-security_refresh";
        let cookie = answer.cookie(name).unwrap();
        assert_eq!(cookie.http_only(), Some(true));
        assert_eq!(cookie.secure(), Some(true));
        assert_eq!(cookie.same_site(), Some(rocket::http::SameSite::Strict));
        assert_eq!(cookie.path(), Some("/account/refresh-token"));
        assert_eq!(cookie.domain(), None);
        assert_eq!(cookie.max_age(), Some(time::Duration::days(7)));
    })
    .await;
}

#[rocket::async_test]
async fn by_cookie_the_body_counts_for_nothing_and_signing_out_takes_the_cookie() {
    let app = in_cookie(Plan::new()).start().await;
    app.user(ADA).await;
    let browser = app.browser().in_json();
    let login = json!({"email": ADA, "password": PASSWORD});
    let answer = browser
        .post_json("/login?include_auth_token", login.clone())
        .await;
    let r1 = browser.cookie("security_refresh").unwrap();
    assert_eq!(refresh_token(&answer), "");
    // Without the cookie, what is in the body is not looked at.
    let answer = refresh(&app.program(), &r1).await;
    assert_eq!(answer.codes(), ["input.required"]);
    // With it, whatever stands in the body.
    let answer = refresh(&browser, "something else").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(refresh_token(&answer), "");
    let r2 = browser.cookie("security_refresh").unwrap();
    assert_ne!(r1, r2);
    assert!(is_good(&app, &auth_token(&answer)).await);
    // A cookie that came by itself wants a CSRF token.
    let copy = browser.copy();
    let answer = copy
        .post_body("/refresh-token", "application/json", b"{}")
        .await;
    assert_eq!(answer.codes(), ["denied.csrf"]);
    // The browser does not send the cookie to /logout; its session says which family.
    browser.forget_cookie("security_refresh");
    let answer = browser.post_json("/logout", json!({})).await;
    let gone = answer.cookie("security_refresh").unwrap();
    assert_eq!(gone.path(), Some("/refresh-token"));
    assert_eq!(gone.max_age(), Some(time::Duration::ZERO));
    let thief = app.browser().in_json();
    thief.set_cookie("security_refresh", &r2);
    assert_eq!(refresh(&thief, "").await.codes(), ["refresh_tokens.wrong"]);
    // A sign-in in the same browser leaves one family.
    browser.post_json("/login?include_auth_token", login).await;
    let again = json!({"password": PASSWORD});
    browser.post_json("/verify?include_auth_token", again).await;
    assert_eq!(families(&app).await, 1);
    assert_eq!(refresh(&browser, "").await.status, 200);
}

#[rocket::async_test]
async fn one_in_the_body_is_proof_by_itself_and_wants_no_csrf_token() {
    let app = in_body(Plan::new()).start().await;
    app.user(ADA).await;
    let browser = app.browser().in_json();
    let body = json!({"email": ADA, "password": PASSWORD});
    let answer = browser.post_json("/login?include_auth_token", body).await;
    let mut token = refresh_token(&answer);
    for _ in 0..2 {
        let body = json!({"refresh_token": token}).to_string();
        let answer = browser
            .post_body("/refresh-token", "application/json", body.as_bytes())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        token = refresh_token(&answer);
    }
    // As a form, or as the text that a form can send, it is not taken.
    for (kind, body) in [
        (
            "application/x-www-form-urlencoded",
            format!("refresh_token={token}"),
        ),
        ("text/plain", json!({"refresh_token": token}).to_string()),
    ] {
        let answer = browser
            .post_body("/refresh-token", kind, body.as_bytes())
            .await;
        assert!(
            matches!(answer.status, 400 | 415),
            "{kind}: {}",
            answer.text()
        );
    }
    assert_eq!(refresh(&app.program(), &token).await.status, 200);
}

#[rocket::async_test]
async fn a_cookie_planted_beside_the_session_of_another_account_gives_nothing() {
    for_each_database(|plan| async move {
        let app = in_cookie(plan).start().await;
        let ada = app.user(ADA).await;
        app.user("eve@example.com").await;
        let eve = app.browser().in_json();
        let login = json!({"email": "eve@example.com", "password": PASSWORD});
        eve.post_json("/login?include_auth_token", login).await;
        let r1 = eve.cookie("security_refresh").unwrap();
        assert_eq!(refresh(&eve, "").await.status, 200);
        let r2 = eve.cookie("security_refresh").unwrap();
        app.later(Duration::from_secs(10));
        let victim = app.signed_in(&ada).await.in_json();
        for planted in [&r2, &r1] {
            victim.set_cookie("security_refresh", planted);
            assert_refused(&refresh(&victim, "").await, "planted");
        }
        // Nothing came of it for anybody.
        assert_eq!(reuses(&app).await, 0);
        assert_eq!(refresh(&eve, "").await.status, 200);
        assert!(victim.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn an_account_has_so_many_and_the_oldest_goes() {
    for_each_database(|plan| async move {
        let app = in_body(plan).set("refresh_tokens.most", 3).start().await;
        app.user(ADA).await;
        app.user("eve@example.com").await;
        let body = json!({"email": "eve@example.com", "password": PASSWORD});
        let program = app.program();
        let eves = program.post_json("/login?include_auth_token", body).await;
        let mut given = Vec::new();
        for n in 1..=5 {
            app.later(Duration::from_secs(1));
            given.push(sign_in(&app).await);
            assert_eq!(families(&app).await, n.min(3) + 1);
        }
        for (n, (token, refreshed)) in given.iter().enumerate() {
            let answer = refresh(&program, refreshed).await;
            assert_eq!(answer.status == 200, n >= 2, "{n}");
            assert_eq!(is_good(&app, token).await, n >= 2, "{n}");
        }
        assert_eq!(refresh(&program, &refresh_token(&eves)).await.status, 200);
        // Of many at once, too.
        let six = (0..6).map(|_| sign_in(&app));
        rocket::futures::future::join_all(six).await;
        assert_eq!(families(&app).await, 4);
    })
    .await;
}

#[rocket::async_test]
async fn it_waits_while_the_account_is_locked_and_goes_on_afterwards() {
    for_each_database(|plan| async move {
        let app = in_body(plan).set("limits.per_account", 3).start().await;
        app.user(ADA).await;
        let (_, r1) = sign_in(&app).await;
        let browser = app.browser().in_json();
        assert_eq!(browser.login(ADA, PASSWORD).await.status, 200);
        let (_, r2) = sign_in(&app).await;
        let guesser = app.program().from("198.51.100.7");
        for _ in 0..3 {
            guesser.login(ADA, WRONG).await;
        }
        let answer = refresh(&app.program(), &r1).await;
        assert_eq!(
            (answer.status, answer.codes()),
            (429, vec!["denied.locked".into()])
        );
        let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=900).contains(&seconds), "{seconds}");
        assert_eq!(refresh_token(&answer), "");
        // A browser in which its owner signed in is not kept waiting.
        assert_eq!(refresh(&browser, &r2).await.status, 200);
        app.later(Duration::from_mins(15));
        assert_eq!(refresh(&app.program(), &r1).await.status, 200);
        assert_eq!(reuses(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_cookie_that_shows_to_be_a_copy_is_taken_back() {
    let app = in_cookie(Plan::new()).start().await;
    app.user(ADA).await;
    let browser = app.browser().in_json();
    let login = json!({"email": ADA, "password": PASSWORD});
    browser.post_json("/login?include_auth_token", login).await;
    let thief = app.browser().in_json();
    thief.set_cookie(
        "security_refresh",
        &browser.cookie("security_refresh").unwrap(),
    );
    assert_eq!(refresh(&browser, "").await.status, 200);
    app.later(Duration::from_secs(10));
    let answer = refresh(&thief, "").await;
    assert_eq!(answer.codes(), ["refresh_tokens.wrong"]);
    let gone = answer.cookie("security_refresh").unwrap();
    assert_eq!(gone.path(), Some("/refresh-token"));
    assert_eq!(gone.max_age(), Some(time::Duration::ZERO));
    assert_eq!(reuses(&app).await, 1);
}

#[rocket::async_test]
async fn signing_out_takes_the_cookie_back_as_it_was_sent() {
    for end in ["/account/logout", "/account/refresh-token/end"] {
        let app = in_cookie(Plan::new())
            .set("base_url", "https://example.com")
            .set("url_prefix", "/account")
            .start()
            .await;
        app.user(ADA).await;
        let browser = app.browser().in_json();
        let login = json!({"email": ADA, "password": PASSWORD});
        let answer = browser
            .post_json("/account/login?include_auth_token", login)
            .await;
        let csrf = answer.json()["response"]["csrf_token"]
            .as_str()
            .unwrap()
            .to_string();
        let name = "__Secure-security_refresh";
        let (sent, r1) = (answer.cookie(name).unwrap(), browser.cookie(name).unwrap());
        let headers = [
            ("Content-Type", "application/json"),
            ("X-CSRF-Token", csrf.as_str()),
        ];
        let answer = browser.send(Verb::Post, end, &headers, Some(b"{}")).await;
        assert_eq!(answer.status, 200, "{end}: {}", answer.text());
        let gone = answer.cookie(name).unwrap();
        assert_eq!(
            (gone.value(), gone.max_age()),
            ("", Some(time::Duration::ZERO))
        );
        let attributes = |cookie: &rocket::http::Cookie<'_>| {
            let (path, domain) = (
                cookie.path().map(String::from),
                cookie.domain().map(String::from),
            );
            (
                path,
                domain,
                cookie.secure(),
                cookie.http_only(),
                cookie.same_site(),
            )
        };
        assert_eq!(attributes(&gone), attributes(&sent), "{end}");
        browser.set_cookie(name, &r1);
        let csrf = browser.get("/account/login").await.json();
        let csrf = csrf["response"]["csrf_token"].as_str().unwrap().to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("X-CSRF-Token", csrf.as_str()),
        ];
        let path = "/account/refresh-token";
        let answer = browser.send(Verb::Post, path, &headers, Some(b"{}")).await;
        assert_eq!(answer.codes(), ["refresh_tokens.wrong"], "{end}");
    }
}

#[rocket::async_test]
async fn what_has_run_out_is_swept() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        sign_in(&app).await;
        app.later(Duration::from_hours(24));
        let (_, used) = sign_in(&app).await;
        app.clock.shift(6 * 86_400_000 - 1);
        sweep(&app).await;
        assert_eq!((families(&app).await, tokens(&app).await), (2, 0));
        app.clock.shift(1);
        sweep(&app).await;
        assert_eq!(families(&app).await, 1);
        assert_eq!(refresh(&app.program(), &used).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn neither_sort_of_token_passes_for_the_other_and_junk_is_refused() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let (token, r1) = sign_in(&app).await;
        for shown in [
            r1.as_str(),
            r1.split('.').next().unwrap(),
            r1.split('.').nth(1).unwrap(),
        ] {
            assert!(!is_good(&app, shown).await);
            let bearer = format!("Bearer {shown}");
            let headers = [
                ("Authorization", bearer.as_str()),
                ("Accept", "application/json"),
            ];
            assert_eq!(app.program().get_with("/me", &headers).await.status, 401);
        }
        let half = "A".repeat(43);
        let huge = "A".repeat(60_000);
        let unknown = format!("{half}.{half}");
        for junk in [
            token.as_str(),
            "x",
            ".",
            &half,
            &unknown,
            &huge,
            "\u{1F600}.x",
        ] {
            assert_refused(&refresh(&app.program(), junk).await, junk);
        }
        for body in [
            json!({}),
            json!({"refresh_token": null}),
            json!({"refresh_token": ""}),
            json!({"refresh_token": 1}),
            json!({"refresh_token": [r1]}),
            json!({"refresh_token": {"a": 1}}),
            json!({"refresh_token": "a\0b"}),
        ] {
            let answer = app
                .program()
                .post_json("/refresh-token", body.clone())
                .await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.text());
            assert!(!answer.field_errors("refresh_token").is_empty(), "{body}");
        }
        for (kind, body) in [
            ("application/json", "[1]"),
            ("application/json", ""),
            ("application/json", "{"),
        ] {
            let answer = app
                .program()
                .post_body("/refresh-token", kind, body.as_bytes())
                .await;
            assert_eq!(answer.status, 400, "{body}");
        }
        // No form, which another site could send.
        let answer = app
            .browser()
            .post_form("/refresh-token", &[("refresh_token", &r1)])
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(app.program().get("/refresh-token").await.status, 405);
        // None of it cost the family anything.
        assert_eq!(refresh(&app.program(), &r1).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn nothing_that_is_given_beside_a_new_password_outlives_it() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        let ada = app.user(ADA).await;
        for _ in 0..8 {
            let (_, r1) = sign_in(&app).await;
            let program = app.program();
            let (answer, changed) = tokio::join!(
                refresh(&program, &r1),
                app.accounts()
                    .set_password_hash(&ada.id, hash_of(PASSWORD), true)
            );
            changed.unwrap();
            assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
            if answer.status == 200 {
                assert!(!is_good(&app, &auth_token(&answer)).await);
                let next = refresh(&program, &refresh_token(&answer)).await;
                assert_refused(&next, "the successor");
            }
            assert_refused(&refresh(&program, &r1).await, "the first");
            assert_eq!(families(&app).await, 0);
        }
    })
    .await;
}

#[test]
fn a_contradiction_stops_the_launch() {
    let refusal = |toml: &str| {
        use rocket::figment::providers::{Format, Toml};
        let toml = format!("[default.security.{toml}");
        let figment = rocket::figment::Figment::from(rocket::Config::debug_default())
            .merge(Toml::string(&toml).nested());
        let settings = rocket_security::config::Settings::from_figment(&figment);
        settings
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (toml, names) in [
        (
            "tokens]\nenabled = false\n[default.security.refresh_tokens]\nenabled = true",
            "refresh_tokens.enabled",
        ),
        ("refresh_tokens]\nidle = \"91 d\"", "refresh_tokens.idle"),
        ("refresh_tokens]\nidle = 0", "refresh_tokens.idle"),
        ("refresh_tokens]\nmode = \"query\"", "refresh_tokens.mode"),
        ("api_keys]\nprefix = \"\"", "prefix"),
        ("api_keys]\nprefix = \"a_b\"", "prefix"),
        ("api_keys]\nprefix = \"Acme\"", "prefix"),
        ("api_keys]\nprefix = \"12345678901234567\"", "prefix"),
        ("api_keys]\nlongest = 0", "longest"),
    ] {
        assert!(refusal(toml).contains(names), "{toml}: {}", refusal(toml));
    }
}

#[rocket::async_test]
async fn a_family_of_the_future_gives_nothing() {
    for_each_database(|plan| async move {
        let app = in_body(plan).start().await;
        app.user(ADA).await;
        let (token, r1) = sign_in(&app).await;
        let program = app.program();
        // Clocks of two machines may differ by a minute.
        app.clock.shift(-59_000);
        assert!(is_good(&app, &token).await);
        let answer = refresh(&program, &r1).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (token, r2) = (auth_token(&answer), refresh_token(&answer));
        app.clock.shift(-61_000);
        assert_refused(&refresh(&program, &r2).await, "61 s ahead");
        assert!(!is_good(&app, &token).await);
        // That was no copy: under the right clock it is good again.
        app.clock.shift(61_000);
        assert_eq!(reuses(&app).await, 0);
        let answer = refresh(&program, &r2).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        app.clock.shift(-10 * 86_400_000);
        let r3 = refresh_token(&answer);
        assert_refused(&refresh(&program, &r3).await, "ten days ahead");
    })
    .await;
}
