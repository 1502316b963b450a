//! API keys: what they open, what they never do, and what ends them.

use std::time::Duration;

use rocket::{get, post, routes};
use rocket_security::{
    Error, EventKind, Mechanism, User,
    guards::{ApiKey, Token},
    prelude::*,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::{Actor, Admin, Answer, App, PASSWORD, Plan, Publish, for_each_database, hash_of};

const ADA: &str = "ada@example.com";

#[get("/k/key")]
fn by_key(who: Require<Via<ApiKey>>) -> String {
    assert_eq!(who.via() == Mechanism::ApiKey, who.api_key().is_some());
    who.email.clone()
}

#[get("/k/either")]
fn either(who: Require<Via<(ApiKey, Token)>>) -> String {
    who.email.clone()
}

#[get("/k/publish")]
fn publish(_who: Require<(Via<ApiKey>, Publish)>) {}

#[get("/k/admin")]
fn admin(_who: Require<(Via<ApiKey>, Admin)>) {}

#[get("/k/fresh")]
fn fresh(_who: Require<(Via<ApiKey>, Fresh)>) {}

#[get("/k/mfa")]
fn mfa(_who: Require<(Via<ApiKey>, Mfa)>) {}

#[post("/k/bare")]
fn bare(_who: Require<Via<ApiKey>>) {}

#[post("/k/input", data = "<_body>")]
fn input(_who: Require<Via<ApiKey>>, _body: Input<Empty>) {}

#[post("/k/mint")]
async fn mint(auth: Auth<'_>, who: Require<Via<ApiKey>>) -> Result<String, Error> {
    let issued = auth.issue_token(&who).await?;
    Ok(issued.token.expose().clone())
}

fn with_keys(plan: Plan) -> Plan {
    plan.set("api_keys.enabled", true).mount(routes![
        by_key, either, publish, admin, fresh, mfa, bare, input, mint
    ])
}

async fn create(actor: &Actor<'_>, body: Value) -> Answer {
    actor.post_json("/api-keys", body).await
}

/// A key with these permissions, made in a browser.
async fn key(app: &App, user: &User, permissions: &[&str]) -> String {
    let browser = app.signed_in(user).await.in_json();
    let body = json!({"name": "Backup", "permissions": permissions});
    let answer = create(&browser, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let key = &answer.json()["response"]["api_key"];
    key.as_str().expect("a key").to_string()
}

async fn status(app: &App, key: &str, path: &str) -> u16 {
    app.program().token(key).get(path).await.status
}

async fn list(actor: &Actor<'_>) -> Vec<Value> {
    let headers = [("Accept", "application/json")];
    let answer = actor.get_with("/api-keys", &headers).await;
    let keys = answer.json()["response"]["api_keys"].clone();
    keys.as_array().cloned().unwrap_or_default()
}

#[rocket::async_test]
async fn a_key_opens_what_asks_for_keys_and_nothing_else() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        app.grant(&ada, "admin", &["post:publish", "post:delete"])
            .await;
        let key = key(&app, &ada, &["post:publish"]).await;
        assert!(
            key.starts_with("rs_") && key.len() == 2 + 1 + 32 + 1 + 43,
            "{key}"
        );
        for path in ["/k/key", "/k/either", "/k/publish"] {
            assert_eq!(status(&app, &key, path).await, 200, "{path}");
        }
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str())];
        assert_eq!(app.program().get_with("/k/key", &headers).await.text(), ADA);
        // No browser sends it by itself, so no CSRF token is wanted.
        let program = app.program().token(&key);
        assert_eq!(
            program.post_body("/k/bare", "text/plain", b"").await.status,
            200
        );
        assert_eq!(program.post_json("/k/input", json!({})).await.status, 200);
        // Its owner is an administrator; it is not. It is never fresh, and never two factors.
        assert_eq!(status(&app, &key, "/k/admin").await, 403);
        for path in ["/k/fresh", "/k/mfa"] {
            assert_eq!(status(&app, &key, path).await, 401, "{path}");
        }
        for path in [
            "/me",
            "/g/signed-in",
            "/g/admin",
            "/g/publish",
            "/g/fresh",
            "/g/token",
            "/g/basic",
            "/g/token-session",
            "/g/any-role",
            "/sessions",
            "/api-keys",
        ] {
            assert_eq!(status(&app, &key, path).await, 401, "{path}");
        }
        assert_eq!(
            app.program().token(&key).get("/g/maybe").await.text(),
            "nobody"
        );
        // Nor in the query, nor beside a session that would do.
        assert_eq!(
            app.program()
                .get(&format!("/k/key?auth_token={key}"))
                .await
                .status,
            401
        );
        let browser = app
            .signed_in(&ada)
            .await
            .header("Authentication-Token", &key)
            .in_json();
        assert_eq!(browser.get("/me").await.status, 401);
        // What keys open, tokens and sessions do not.
        let token = app.token(ADA).await;
        assert_eq!(status(&app, &token, "/k/key").await, 401);
        assert_eq!(status(&app, &token, "/k/either").await, 200);
        assert_eq!(
            app.signed_in(&ada)
                .await
                .in_json()
                .get("/k/key")
                .await
                .status,
            401
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_key_neither_makes_keys_nor_changes_credentials() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        let key = key(&app, &ada, &[]).await;
        let program = app.program().token(&key);
        for (path, body) in [
            ("/api-keys", json!({"name": "Another"})),
            ("/change", json!({"password": PASSWORD, "new_password": "a new password", "new_password_confirm": "a new password"})),
            ("/change-email", json!({"email": "eve@example.com"})),
            ("/mf-recovery-codes", json!({})),
            ("/sessions/revoke-others", json!({})),
            ("/verify", json!({"password": PASSWORD})),
            ("/k/mint", json!({})),
            ("/everywhere", json!({})),
        ] {
            let answer = program.post_json(path, body).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        }
        let id = app.store().api_keys_of(&ada.id).await.unwrap()[0].id.clone();
        let answer = program.post_json(&format!("/api-keys/{id}/revoke"), json!({})).await;
        assert_eq!(answer.status, 401);
        // A token is no browser either.
        let token = app.program().token(&app.token(ADA).await);
        assert_eq!(create(&token, json!({"name": "Another"})).await.status, 401);
        assert_eq!(token.get("/api-keys").await.status, 401);
        assert_eq!(app.store().api_keys_of(&ada.id).await.unwrap().len(), 1);
        // Whoever has the session has to be fresh.
        let browser = app.signed_in(&ada).await.in_json();
        app.later(Duration::from_hours(26));
        let browser_2 = app.signed_in(&ada).await.in_json();
        assert_eq!(create(&browser_2, json!({"name": "Another"})).await.status, 200);
        let _ = browser;
    })
    .await;
}

#[rocket::async_test]
async fn making_one_wants_a_fresh_sign_in() {
    let app = with_keys(Plan::new())
        .set("session.idle", "5 d")
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    app.later(Duration::from_hours(26));
    let answer = create(&browser, json!({"name": "Backup"})).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()["response"]["reauth_required"], true);
    assert_eq!(
        browser
            .post_json("/verify", json!({"password": PASSWORD}))
            .await
            .status,
        200
    );
    assert_eq!(
        create(&browser, json!({"name": "Backup"})).await.status,
        200
    );
}

#[rocket::async_test]
async fn a_key_gets_what_its_owner_has_and_for_its_owner_alone() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let (ada, eve) = (app.user(ADA).await, app.user("eve@example.com").await);
        app.grant(&ada, "writer", &["post:publish"]).await;
        app.grant(&eve, "reader", &["post:read"]).await;
        let browser = app.signed_in(&eve).await.in_json();
        for body in [
            json!({"name": "x", "permissions": ["post:publish"]}),
            json!({"name": "x", "permissions": ["post:read", "post:publish"]}),
            json!({"name": "x", "permissions": ["no:such"]}),
            json!({"name": "x", "permissions": ["reader"]}),
            json!({"name": "x", "permissions": ["post:read "]}),
        ] {
            let answer = create(&browser, body.clone()).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(!answer.field_errors("permissions").is_empty(), "{body}");
        }
        for field in ["userId", "user_id", "user", "owner", "id", "roles"] {
            let mut body = json!({"name": "x", "permissions": []});
            body[field] = json!(ada.id);
            assert_eq!(create(&browser, body.clone()).await.status, 400, "{field}");
            assert_eq!(create(&app.program(), body).await.status, 400, "{field}");
            let body = json!({"name": "x"});
            assert_eq!(create(&app.program(), body).await.status, 401, "{field}");
        }
        for id in [&ada.id, &eve.id] {
            assert!(app.store().api_keys_of(id).await.unwrap().is_empty());
        }
        // A permission that its owner loses is gone from the key, and back with it.
        let key = key(&app, &ada, &["post:publish"]).await;
        assert_eq!(status(&app, &key, "/k/publish").await, 200);
        app.accounts()
            .remove_role_from_user(&ada.id, "writer")
            .await
            .unwrap();
        assert_eq!(status(&app, &key, "/k/publish").await, 403);
        assert_eq!(status(&app, &key, "/k/key").await, 200);
        app.grant(&ada, "writer", &["post:publish"]).await;
        assert_eq!(status(&app, &key, "/k/publish").await, 200);
        // Nor does it gain what its owner gains.
        let narrow = self::key(&app, &ada, &[]).await;
        assert_eq!(status(&app, &narrow, "/k/publish").await, 403);
    })
    .await;
}

#[rocket::async_test]
async fn a_key_dies_with_everything_that_takes_an_account_back() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        let accounts = app.accounts().clone();
        for what in [
            "deactivated",
            "access",
            "revoked",
            "owed",
            "password",
            "deleted",
        ] {
            let key = key(&app, &ada, &[]).await;
            assert_eq!(status(&app, &key, "/k/key").await, 200, "{what}");
            match what {
                "deactivated" => drop(accounts.deactivate_user(&ada.id).await.unwrap()),
                "access" => accounts.revoke_all(&ada.id).await.unwrap(),
                "revoked" => {
                    let id = app.store().api_keys_of(&ada.id).await.unwrap()[0]
                        .id
                        .clone();
                    assert!(accounts.revoke_api_key(&ada.id, &id).await.unwrap());
                }
                "owed" => accounts.require_new_password(&ada.id).await.unwrap(),
                "password" => {
                    // By default a change of password leaves it alone.
                    accounts
                        .set_password_hash(&ada.id, hash_of(PASSWORD), true)
                        .await
                        .unwrap();
                    assert_eq!(status(&app, &key, "/k/key").await, 200);
                    continue;
                }
                _ => drop(accounts.delete_user(&ada.id).await.unwrap()),
            }
            assert_eq!(status(&app, &key, "/k/key").await, 401, "{what}");
            match what {
                "deactivated" => {
                    accounts.activate_user(&ada.id).await.unwrap();
                    assert_eq!(status(&app, &key, "/k/key").await, 401, "for good");
                }
                "owed" => drop(
                    accounts
                        .set_password_hash(&ada.id, hash_of(PASSWORD), true)
                        .await
                        .unwrap(),
                ),
                _ => {}
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn it_lasts_as_long_as_it_was_given() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let mut keys = Vec::new();
        for expires in [json!("1 h"), json!(3_600), json!(""), json!(null)] {
            let body = json!({"name": "x", "expires": expires});
            let answer = create(&browser, body).await;
            assert_eq!(answer.status, 200, "{expires}: {}", answer.text());
            keys.push(
                answer.json()["response"]["api_key"]
                    .as_str()
                    .unwrap()
                    .to_string(),
            );
        }
        for expires in [
            json!(0),
            json!("soon"),
            json!(-1),
            json!("0 d"),
            json!([1]),
            json!(u64::MAX),
        ] {
            let answer = create(&browser, json!({"name": "x", "expires": expires})).await;
            assert_eq!(answer.status, 400, "{expires}");
            assert!(
                !answer.field_errors("expires").is_empty(),
                "{expires}: {}",
                answer.text()
            );
        }
        for expires in [json!("2920000 d"), json!(300_000_000_000_u64)] {
            let answer = create(&browser, json!({"name": "x", "expires": expires})).await;
            assert_eq!(answer.codes(), ["api_keys.too_long"], "{expires}");
            assert!(!answer.field_errors("expires").is_empty(), "{expires}");
        }
        app.clock.shift(3_600_000 - 1);
        for key in &keys {
            assert_eq!(status(&app, key, "/k/key").await, 200);
        }
        app.clock.shift(1);
        for (n, key) in keys.iter().enumerate() {
            let expected = if n < 2 { 401 } else { 200 };
            assert_eq!(status(&app, key, "/k/key").await, expected, "{n}");
        }
        assert_eq!(
            list(&browser)
                .await
                .iter()
                .filter(|key| key["expired"] == true)
                .count(),
            2
        );
    })
    .await;
}

#[rocket::async_test]
async fn one_that_has_run_out_is_listed_for_a_month_and_then_swept() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        for expires in ["1 h", ""] {
            let body = json!({"name": "x", "expires": expires});
            assert_eq!(create(&browser, body).await.status, 200);
        }
        for (days, left) in [(30, 2), (1, 1), (3_650, 1)] {
            app.later(Duration::from_hours(24 * days));
            let swept = rocket_security::testing::sweep(app.client.rocket()).await;
            swept.unwrap();
            let keys = app.store().api_keys_of(&ada.id).await.unwrap();
            assert_eq!(keys.len(), left, "{days}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_site_may_want_an_end_and_its_own_beginning() {
    let app = with_keys(Plan::new())
        .set("api_keys.longest", "30 d")
        .set("api_keys.prefix", "acme")
        .set("api_keys.most", 2)
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    for expires in ["", "31 d"] {
        let answer = create(&browser, json!({"name": "x", "expires": expires})).await;
        assert_eq!(answer.codes(), ["api_keys.must_end"], "{expires}");
    }
    for n in 0..3 {
        let answer = create(&browser, json!({"name": "x", "expires": "30 d"})).await;
        assert_eq!(
            answer.status,
            if n < 2 { 200 } else { 400 },
            "{}",
            answer.text()
        );
        if n < 2 {
            let key = answer.json()["response"]["api_key"]
                .as_str()
                .unwrap()
                .to_string();
            assert!(key.starts_with("acme_"));
            assert_eq!(status(&app, &key, "/k/key").await, 200);
        } else {
            assert_eq!(answer.codes(), ["api_keys.too_many"]);
        }
    }
}

#[rocket::async_test]
async fn it_is_shown_once_and_its_hash_is_kept() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        app.grant(&ada, "writer", &["post:publish"]).await;
        let browser = app.signed_in(&ada).await;
        let fields = [("name", "Nightly <b>"), ("permissions", "post:publish"), ("expires", "30 d")];
        let page = browser.post_form("/api-keys", &fields).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        let start = text.find("rs_").expect("the key");
        let key: String = text[start..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        assert!(!text.contains("<b>"));
        assert_eq!(status(&app, &key, "/k/publish").await, 200);
        let secret = &key[key.len() - 43..];
        assert!(!browser.get("/api-keys").await.text().contains(secret));
        let listed = list(&browser).await;
        assert_eq!(listed[0]["name"], "Nightly <b>");
        assert_eq!(listed[0]["permissions"], json!(["post:publish"]));
        assert!(!json!(listed).to_string().contains(secret));
        for line in app.dump().await {
            assert!(!line.contains(secret), "{line}");
        }
        // Whoever is asked is told, by mail and event.
        let told = |kind: &str| {
            let mails = app.mails_to(ADA);
            mails.iter().filter(|mail| mail.kind == kind && !mail.text.contains(secret)).count()
        };
        assert_eq!(told("api_key_created"), 1);
        let id = listed[0]["id"].as_str().unwrap();
        let answer = browser.post_form(&format!("/api-keys/{id}/revoke"), &[]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/api-keys")));
        assert_eq!(status(&app, &key, "/k/key").await, 401);
        assert_eq!(told("api_key_revoked"), 1);
        let events = app.events().await;
        let is_about = |kind: &&EventKind| matches!(kind, EventKind::ApiKeyCreated { key, .. } | EventKind::ApiKeyRevoked { key, .. } if key == id);
        assert_eq!(events.iter().filter(is_about).count(), 2);
        assert!(!format!("{events:?}").contains(secret));
    })
    .await;
}

#[rocket::async_test]
async fn no_key_that_is_made_beside_a_deactivation_outlives_it() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        for _ in 0..6 {
            let browser = app.signed_in(&ada).await.in_json();
            let body = json!({"name": "Backup"});
            let (answer, shut) = rocket::tokio::join!(
                create(&browser, body),
                app.accounts().deactivate_user(&ada.id)
            );
            assert!(shut.unwrap());
            assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
            assert!(app.store().api_keys_of(&ada.id).await.unwrap().is_empty());
            app.accounts().activate_user(&ada.id).await.unwrap();
        }
    })
    .await;
}

#[rocket::async_test]
async fn nobody_ends_the_key_of_another() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let (ada, eve) = (app.user(ADA).await, app.user("eve@example.com").await);
        let key = key(&app, &ada, &[]).await;
        let id = app.store().api_keys_of(&ada.id).await.unwrap()[0]
            .id
            .clone();
        let attacker = app.signed_in(&eve).await.in_json();
        let unknown = uuid::Uuid::now_v7().to_string();
        let mut answers = Vec::new();
        for id in [
            id.as_str(),
            &unknown,
            "1",
            "%00",
            "..%2f..",
            "'",
            &"a".repeat(5_000),
        ] {
            let answer = attacker
                .post_json(&format!("/api-keys/{id}/revoke"), json!({}))
                .await;
            assert_eq!(answer.status, 404, "{id}");
            answers.push(answer.text());
        }
        assert_eq!(answers[0], answers[1]);
        let visitor = app
            .program()
            .post_json(&format!("/api-keys/{id}/revoke"), json!({}))
            .await;
        assert_eq!(visitor.status, 401);
        assert_eq!(status(&app, &key, "/k/key").await, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_token_that_begins_like_a_key_is_a_token() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        app.user(ADA).await;
        app.token(ADA).await;
        let token = format!("rs_{}", "A".repeat(40));
        let digest = Sha256::digest(token.as_bytes());
        let hash = data_encoding::BASE64URL_NOPAD.encode(&digest);
        app.sql(&format!("UPDATE security_tokens SET token_hash = '{hash}'"))
            .await;
        let program = app.program().token(&token);
        assert_eq!(program.get("/k/either").await.status, 200);
        assert_eq!(program.get("/k/key").await.status, 401, "but no key");
        // Nor does it want a CSRF token, as a token does not.
        assert_eq!(program.post_json("/p/input", json!({})).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn malformed_keys_are_401_and_nothing_worse() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let (ada, eve) = (app.user(ADA).await, app.user("eve@example.com").await);
        let (key, other) = (key(&app, &ada, &[]).await, key(&app, &eve, &[]).await);
        let huge = format!("rs_{}", "A".repeat(1_000_000));
        let mixed = format!("{}{}", &key[..36], &other[36..]);
        let longer = format!("{key}A");
        let shorter = &key[..key.len() - 1];
        let upper = key.to_uppercase();
        let prefix = key.replacen("rs_", "xy_", 1);
        let values = [
            "",
            " ",
            "rs",
            "rs_",
            "rs__",
            "rs_\u{1}",
            "rs_\u{0}",
            "rs_é",
            &huge,
            &mixed,
            &longer,
            shorter,
            &upper,
            &prefix,
            &key[3..],
        ];
        for value in values {
            for header in ["Authentication-Token", "Authorization"] {
                let shown = match header {
                    "Authorization" => format!("Bearer {value}"),
                    _ => value.to_string(),
                };
                let headers = [(header, shown.as_str()), ("Accept", "application/json")];
                let answer = app.program().get_with("/k/key", &headers).await;
                assert_eq!(
                    answer.status,
                    401,
                    "{header}: {}",
                    &value[..value.len().min(100)]
                );
            }
        }
        assert_eq!(status(&app, &key, "/k/key").await, 200);
    })
    .await;
}

#[rocket::async_test]
async fn names_and_bodies_that_are_none_are_refused() {
    let app = with_keys(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "  "}), "name"),
        (json!({"name": "a".repeat(65)}), "name"),
        (json!({"name": "a\u{202e}b"}), "name"),
        (json!({"name": ["x"]}), "name"),
        (
            json!({"name": "x", "permissions": "post:publish"}),
            "permissions",
        ),
        (json!({"name": "x", "permissions": [1]}), "permissions"),
    ] {
        let answer = create(&browser, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(
            !answer.field_errors(field).is_empty(),
            "{body}: {}",
            answer.text()
        );
    }
    assert!(app.store().api_keys_of(&ada.id).await.unwrap().is_empty());
}

#[rocket::async_test]
async fn they_are_off_unless_asked_for() {
    let app = Plan::new().mount(routes![by_key]).start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await;
    assert_eq!(browser.get("/api-keys").await.status, 404);
    assert_eq!(status(&app, "rs_x", "/k/key").await, 401);
}

#[rocket::async_test]
async fn a_reset_by_mail_ends_keys_and_a_change_does_by_setting() {
    for_each_database(|plan| async move {
        let app = with_keys(plan).start().await;
        let ada = app.user(ADA).await;
        let key = key(&app, &ada, &[]).await;
        let change = json!({
            "password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW,
        });
        let browser = app.signed_in(&ada).await.in_json();
        let answer = browser.post_json("/change", change).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(status(&app, &key, "/k/key").await, 200, "by default");
        app.program()
            .post_json("/reset", json!({"email": ADA}))
            .await;
        let link = link_to(&app, "/reset/");
        let body = json!({"password": PASSWORD, "password_confirm": PASSWORD});
        let answer = app.program().post_json(&link, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(status(&app, &key, "/k/key").await, 401);
        assert!(app.store().api_keys_of(&ada.id).await.unwrap().is_empty());
    })
    .await;
    let app = with_keys(Plan::new())
        .set("api_keys.end_with_password", true)
        .start()
        .await;
    let ada = app.user(ADA).await;
    let key = key(&app, &ada, &[]).await;
    let change = json!({"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW});
    let browser = app.signed_in(&ada).await.in_json();
    assert_eq!(browser.post_json("/change", change).await.status, 200);
    assert_eq!(status(&app, &key, "/k/key").await, 401);
}

const NEW: &str = "another horse battery staple";

/// The path of the newest link that begins so.
fn link_to(app: &App, path: &str) -> String {
    let mails = app.mails_to(ADA);
    let mut texts = mails.iter().rev().map(|mail| mail.text.as_str());
    let link = texts.find_map(|text| text[text.find(path)?..].split_whitespace().next());
    link.unwrap_or_else(|| panic!("no link to {path}"))
        .to_string()
}

#[rocket::async_test]
async fn its_owner_sees_when_and_from_where_it_was_used() {
    let app = with_keys(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let key = key(&app, &ada, &[]).await;
    let used = app.store().now();
    for _ in 0..3 {
        let program = app.program().from("198.51.100.7").token(&key);
        assert_eq!(program.get("/k/key").await.status, 200);
    }
    rocket_security::testing::sweep(app.client.rocket())
        .await
        .unwrap();
    let listed = app.store().api_keys_of(&ada.id).await.unwrap();
    assert_eq!(listed[0].last_used_at, Some(used));
    assert_eq!(listed[0].last_used_from.as_deref(), Some("198.51.100.7"));
}
