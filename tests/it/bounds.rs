//! What a request brings and a row keeps has a bound: a walk over every route, on every database.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use diesel::RunQueryDsl;
use rocket::http::Method as Verb;
use rocket_security::{StoreError, User};
use serde_json::{Map, Value, json};

use crate::app::{Actor, App, PASSWORD, Plan, for_each_database};

const ADA: &str = "ada@example.com";
/// Looks like a token of ours.
const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The names of all fields that any of our forms has, with what fits them.
fn fitting() -> Map<String, Value> {
    let fields = json!({
        "email": "new@example.com", "username": "lovelace", "identity": ADA, "password": PASSWORD,
        "password_confirm": PASSWORD, "new_password": PASSWORD, "new_password_confirm": PASSWORD,
        "passcode": "123456", "code": "123456", "next": "/home", "chosen_method": "email",
        "delete_method": "sms", "phone": "+16502530000", "setup": "authenticator", "factor": "email",
        "which": "email", "name": "Laptop", "new_name": "Phone", "usage": "first", "id": TOKEN,
        "credential": "{}", "permissions": "post:publish", "expires": "1 d", "refresh_token": TOKEN,
        "help_setup": "email", "mf_code": "abcd", "token": TOKEN, "remember": "true",
        "remember_device": "true", "autofill": "false", "generate_new_codes": "true", "nickname": "Al",
    });
    fields.as_object().cloned().unwrap()
}

/// What an attacker sends in the place of a value. Each fits into a body of 64 KiB.
fn hostile(sqlite: bool) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("control characters", "\u{7f}".repeat(60_000)),
        ("quotes", "\"".repeat(20_000)),
        ("letters", "a".repeat(60_000)),
        ("a long path", format!("/{}", "a".repeat(60_000))),
        ("a long query", format!("/?q={}", "\"'".repeat(5_000))),
        (
            "a path as long as allowed",
            format!("/{}", "a".repeat(2_047)),
        ),
        ("NUL", "a\0b".into()),
        ("a NUL alone", "\0".into()),
        (
            "odd letters",
            "ﷺ\u{202e}\u{1d173}\u{e0001}\u{fffd}\u{10ffff}👩\u{200d}💻\\'; --%".repeat(40),
        ),
        ("no letter at all", String::new()),
    ];
    // What reads a request is the same on every database. Rows are not: a column has its length and its alphabet.
    let of_rows = ["letters", "a path as long as allowed", "NUL", "odd letters"];
    all.retain(|(what, _)| sqlite || of_rows.contains(what));
    all
}

fn everything(plan: Plan) -> Plan {
    let methods = ["password", "email", "authenticator"];
    let mut plan = plan
        .without_limits()
        .set("limits.mails_per_address", 1_000_000)
        .set("limits.registrations_per_address", 1_000_000)
        .set("limits.challenges_per_address", 1_000_000)
        .set("unified.enabled", true)
        .set("unified.methods", methods)
        .set("identities", ["email", "username"])
        .set("register.username", "optional")
        .set("passwordless.enabled", true)
        .set("refresh_tokens.enabled", true)
        .set("api_keys.enabled", true);
    if cfg!(feature = "passkeys") {
        plan = plan
            .set("passkeys.sign_up", true)
            .set("passkeys.hints", true);
    }
    if cfg!(feature = "social") {
        plan = plan.set("social.providers.github.client_id", "id").set(
            "social.providers.github.client_secret",
            "a secret of github",
        );
    }
    plan
}

/// Sends something and fails if that is a defect of ours.
async fn send(
    actor: &Actor<'_>,
    verb: Verb,
    path: &str,
    kind: &str,
    body: Option<&[u8]>,
    what: &str,
) {
    let headers = [("Content-Type", kind)];
    let headers = if body.is_some() { &headers[..] } else { &[] };
    let answer = actor.send(verb, path, headers, body).await;
    let start: String = path.chars().take(80).collect();
    assert!(
        answer.status < 500,
        "{verb} {start} with {what}: {}",
        answer.status
    );
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// The fields that the form of a route has, by what it says of a value of the wrong type. They are the same on every
/// database, so each form is asked once.
async fn fields_of(actor: &Actor<'_>, path: &str, csrf: &str, known: &Known) -> Vec<String> {
    if let Some(fields) = known.lock().unwrap().get(path) {
        return fields.clone();
    }
    let mut fields = Vec::new();
    for name in fitting().keys() {
        let body = json!({name: {"no": "text"}}).to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("X-CSRF-Token", csrf),
            ("Accept", "application/json"),
        ];
        let answer = actor
            .send(Verb::Post, path, &headers, Some(body.as_bytes()))
            .await;
        let is_there = serde_json::from_slice::<Value>(&answer.body)
            .is_ok_and(|json| json["response"]["field_errors"][name].is_array());
        if is_there || name == "credential" {
            fields.push(name.clone());
        }
    }
    known.lock().unwrap().insert(path.into(), fields.clone());
    fields
}

/// The fields of each form, by its path.
type Known = Mutex<BTreeMap<String, Vec<String>>>;

/// What a walk is told.
struct Walk {
    hostile: Vec<(&'static str, String)>,
    /// Parameters each alone too, and forms beside JSON.
    each_alone: bool,
    known: Arc<Known>,
}

/// Those of the hostile values that are read in another way than the rest.
const ODD: [&str; 3] = ["a path as long as allowed", "NUL", "odd letters"];

async fn attack(actor: &Actor<'_>, verb: Verb, route: &str, walk: &Walk) {
    let (hostile, each_alone) = (&walk.hostile, walk.each_alone);
    let path = route
        .replace("<id>", &rocket_security::SessionId::new().to_string())
        .replace("<token>", TOKEN)
        .replace("<state>", TOKEN)
        .replace("<name>", "github")
        .replace("<back..>", "");
    // Every segment that is a value.
    for (at, segment) in route.split('/').enumerate() {
        if !segment.starts_with('<') {
            continue;
        }
        for (what, text) in hostile {
            let text: String = text.chars().take(5_000).collect();
            let segments: Vec<String> = path
                .split('/')
                .enumerate()
                .map(|(n, segment)| {
                    if n == at {
                        encoded(&text)
                    } else {
                        segment.into()
                    }
                })
                .collect();
            let csrf = format!("csrf_token={}", actor.csrf().await);
            let body = (verb == Verb::Post).then_some(csrf.as_bytes());
            send(
                actor,
                verb,
                &segments.join("/"),
                "application/x-www-form-urlencoded",
                body,
                what,
            )
            .await;
        }
    }
    // Every parameter: all at once, and each alone on the database where most is sent.
    let names = [
        "next",
        "email",
        "state",
        "code",
        "iss",
        "error",
        "error_description",
        "include_auth_token",
        "auth_token",
        "lang",
        "first",
    ];
    let alone = names.iter().map(|name| vec![*name]).filter(|_| each_alone);
    for names in alone.chain([names.to_vec()]) {
        for (what, text) in hostile {
            // What is odd at its beginning is odd enough here; the address of a request has a bound as a whole.
            if names.len() == 1 && !ODD.contains(what) {
                continue;
            }
            let text: String = text.chars().take(5_000 / names.len()).collect();
            let csrf = format!("csrf_token={}", actor.csrf().await);
            let body = (verb == Verb::Post).then_some(csrf.as_bytes());
            let value = encoded(&text);
            let query: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
            let path = format!("{path}?{}", query.join("&"));
            send(
                actor,
                verb,
                &path,
                "application/x-www-form-urlencoded",
                body,
                what,
            )
            .await;
        }
    }
    if verb != Verb::Post {
        return;
    }
    // Every field, in a form and in JSON, each alone among values that fit, and all at once.
    let csrf = actor.csrf().await;
    let fields = fields_of(actor, &path, &csrf, &walk.known).await;
    for (what, text) in hostile {
        let alone = fields.iter().map(|field| vec![field.clone()]);
        let all = std::iter::once(fields.clone()).filter(|all| all.len() > 1 && text.len() < 3_000);
        for changed in alone.chain(all) {
            let csrf = actor.csrf().await;
            let mut body = fitting();
            body.retain(|name, _| fields.contains(name));
            body.insert("csrf_token".into(), csrf.into());
            for field in &changed {
                body.insert(field.clone(), text.as_str().into());
            }
            let what = format!("{what} in {changed:?}");
            let json = Value::Object(body.clone()).to_string();
            send(
                actor,
                Verb::Post,
                &path,
                "application/json",
                Some(json.as_bytes()),
                &what,
            )
            .await;
            // A form becomes the same values, whatever the database is.
            if !each_alone {
                continue;
            }
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(
                    body.iter()
                        .map(|(name, value)| (name, value.as_str().unwrap_or_default())),
                )
                .finish();
            send(
                actor,
                Verb::Post,
                &path,
                "application/x-www-form-urlencoded",
                Some(form.as_bytes()),
                &what,
            )
            .await;
        }
        // A surrogate without its other half is no text.
        let json = format!(
            "{{\"{}\": \"\\ud800\"}}",
            fields.first().map_or("next", String::as_str)
        );
        send(
            actor,
            Verb::Post,
            &path,
            "application/json",
            Some(json.as_bytes()),
            what,
        )
        .await;
    }
}

impl App {
    /// The largest row of each of our tables, in bytes.
    async fn largest_rows(&self) -> Vec<(String, i64)> {
        #[derive(diesel::QueryableByName)]
        struct Size {
            #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::BigInt>)]
            n: Option<i64>,
        }
        let tables = [
            (
                "users",
                &[
                    "id",
                    "email",
                    "email_key",
                    "username",
                    "username_key",
                    "username_skeleton",
                    "password_hash",
                ][..],
            ),
            (
                "security_sessions",
                &["token_hash", "id", "user_id", "address", "agent", "series"],
            ),
            ("security_tokens", &["token_hash", "user_id", "series"]),
            (
                "security_tickets",
                &[
                    "id",
                    "purpose",
                    "secret_hash",
                    "user_id",
                    "bound_to",
                    "payload",
                    "handle",
                    "code_hash",
                ],
            ),
            (
                "security_outbox",
                &["id", "kind", "recipient", "state", "body", "lease", "error"],
            ),
            (
                "security_factors",
                &[
                    "id", "user_id", "kind", "name", "secret", "phone", "identity",
                ],
            ),
            (
                "security_api_keys",
                &[
                    "id",
                    "user_id",
                    "key_hash",
                    "name",
                    "permissions",
                    "last_used_from",
                ],
            ),
            (
                "security_refresh_families",
                &["series", "id", "user_id", "address", "agent"],
            ),
            ("security_failures", &["bucket"]),
        ];
        let mut sizes = Vec::new();
        for (table, columns) in tables {
            let sum: Vec<String> = columns
                .iter()
                .map(|column| format!("COALESCE(LENGTH({column}), 0)"))
                .collect();
            let query = format!(
                "SELECT CAST(MAX({}) AS {}) AS n FROM {table}",
                sum.join(" + "),
                self.integer()
            );
            let read = self.store().read(move |conn| {
                diesel::sql_query(query)
                    .get_result::<Size>(conn)
                    .map_err(StoreError::from)
            });
            sizes.push((table.to_string(), read.await.unwrap().n.unwrap_or_default()));
        }
        sizes
    }

    fn integer(&self) -> &'static str {
        match self.store().dialect() {
            rocket_security::Dialect::Mysql => "SIGNED",
            _ => "BIGINT",
        }
    }
}

/// Whoever asks without a session, and with one.
async fn walk(on: Plan, known: Arc<Known>, signed_in: bool) {
    let each_alone = on.is_sqlite();
    let walk = Walk {
        hostile: hostile(each_alone),
        each_alone,
        known,
    };
    let app = everything(on).start().await;
    let ada: User = app.user(ADA).await;
    let mut routes = app.own_routes();
    routes.retain(|(_, path)| !path.starts_with("/dev/"));
    assert!(routes.len() > 70, "{routes:?}");
    for (verb, route) in &routes {
        // What ends the session, or leaves the account with another password, is tried by whoever has one anew.
        let actor = match signed_in {
            true => app.signed_in(&ada).await,
            false => app.browser(),
        };
        attack(&actor, *verb, route, &walk).await;
    }
    let sizes = app.largest_rows().await;
    for (table, size) in &sizes {
        assert!(*size <= 4_096, "{table}: {sizes:?}");
    }
}

#[rocket::async_test]
async fn no_route_takes_more_from_a_visitor_than_a_row_has_room_for() {
    let known = Arc::default();
    for_each_database(|plan| walk(plan, Arc::clone(&known), false)).await;
}

#[rocket::async_test]
async fn no_route_takes_more_from_an_account_than_a_row_has_room_for() {
    let known = Arc::default();
    for_each_database(|plan| walk(plan, Arc::clone(&known), true)).await;
}

#[cfg(feature = "passkeys")]
#[rocket::async_test]
async fn a_challenge_keeps_a_judged_address_and_nothing_else_of_what_was_sent() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let browser = app.browser().in_json();
        let kept = "SELECT COUNT(*) AS n FROM security_tickets WHERE payload LIKE '%evil%'";
        for next in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/evil\u{7}",
            "evil",
        ] {
            let answer = browser
                .post_json("/wan-signin", json!({"next": next}))
                .await;
            assert_eq!(answer.status, 200, "{next}");
            assert_eq!(app.number(kept).await, 0, "{next}");
        }
        browser.post_json("/wan-signin?next=/evil", json!({})).await;
        assert_eq!(app.number(kept).await, 1);
    })
    .await;
}

#[cfg(feature = "passkeys")]
#[rocket::async_test]
async fn one_address_stores_at_most_a_megabyte_a_minute() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let next = format!("/{}", "a".repeat(2_000));
        let ask = async |from: &str, n: usize| {
            let actor = app.program().from(from);
            let answer = match n % 3 {
                0 => {
                    actor
                        .post_json("/wan-signin", json!({"next": next, "autofill": true}))
                        .await
                }
                1 => actor.post_json("/wan-signin", json!({"next": next})).await,
                _ => {
                    actor
                        .post_json("/reset", json!({"email": format!("nobody{n}@example.com")}))
                        .await
                }
            };
            (
                answer.status,
                answer.header("Retry-After").map(String::from),
            )
        };
        let mut taken = 0;
        let mut refused = None;
        for n in 0..300 {
            match ask("192.0.2.1", n).await {
                (200, _) => taken += 1,
                (429, after) => refused = after,
                other => panic!("{other:?}"),
            }
        }
        assert!((100..280).contains(&taken), "{taken}");
        let after: u64 = refused.expect("a refusal").parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
        let stored: i64 = app
            .number(
                "SELECT CAST(SUM(LENGTH(payload)) AS SIGNED) AS n FROM security_tickets"
                    .replace("SIGNED", app.integer())
                    .as_str(),
            )
            .await
            + app
                .number(
                    "SELECT CAST(SUM(LENGTH(body)) AS SIGNED) AS n FROM security_outbox"
                        .replace("SIGNED", app.integer())
                        .as_str(),
                )
                .await;
        assert!(stored < 1_000_000, "{stored}");
        // Another address has a budget of its own, and this one has it again after a minute.
        assert_eq!(ask("192.0.2.2", 1).await.0, 200);
        app.later(Duration::from_secs(61));
        assert_eq!(ask("192.0.2.1", 1).await.0, 200);
    })
    .await;
}

#[rocket::async_test]
async fn an_id_that_is_none_is_answered_as_an_unknown_one() {
    for_each_database(|plan| async move {
        let app = everything(plan).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let unknown = rocket_security::SessionId::new().to_string();
        for route in [
            "/tf-devices/<id>/revoke",
            "/sessions/<id>/revoke",
            "/api-keys/<id>/revoke",
            "/tf-setup/<id>/remove",
            "/us-setup/<id>/remove",
        ] {
            let answer = browser
                .post_form(&route.replace("<id>", &unknown), &[])
                .await;
            for id in [
                "%00",
                "a%00b",
                "%ff",
                "%F0%9F%92%BB",
                &"a".repeat(5_000),
                "'%20or%201=1%20--",
            ] {
                let other = browser.post_form(&route.replace("<id>", id), &[]).await;
                let start: String = id.chars().take(20).collect();
                assert_eq!(other.status, answer.status, "{route} with {start}");
            }
        }
        // The application's own calls as well.
        let (store, accounts) = (app.store(), app.accounts());
        for id in ["\0", "a\0b", "", "nonsense"] {
            assert!(!accounts.revoke_trusted_device(&ada.id, id).await.unwrap());
            assert!(!accounts.revoke_api_key(&ada.id, id).await.unwrap());
            assert!(!accounts.revoke_refresh_tokens(&ada.id, id).await.unwrap());
            assert_eq!(store.resend_mails(Some(id)).await.unwrap(), 0);
            assert!(store.find_role(id).await.unwrap().is_none());
            assert!(store.users_with_role(id).await.unwrap().is_empty());
            assert!(!accounts.delete_role(id).await.unwrap());
        }
    })
    .await;
}

#[rocket::async_test]
async fn no_name_has_a_character_that_nobody_sees_or_that_turns_the_text_around() {
    for_each_database(|plan| async move {
        let app = everything(plan).start().await;
        let ada = app.user(ADA).await;
        let (store, accounts) = (app.store(), app.accounts());
        accounts.create_role("editor", None).await.unwrap();
        let browser = app.signed_in(&ada).await.in_json();
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{61c}',
            '\u{e0041}',
        ] {
            let name = format!("a{hidden}b");
            let code = hidden as u32;
            let factor = browser
                .post_json("/tf-setup", json!({"setup": "authenticator", "name": name}))
                .await;
            assert_eq!(
                (factor.status, factor.codes()),
                (400, vec!["factor.name_invalid".into()]),
                "{code:x}"
            );
            let key = browser.post_json("/api-keys", json!({"name": name})).await;
            assert_eq!(key.codes(), ["api_keys.name_invalid"], "{code:x}");
            #[cfg(feature = "passkeys")]
            {
                let body = json!({"name": name, "usage": "first"});
                let passkey = browser.post_json("/wan-register", body).await;
                assert_eq!(passkey.codes(), ["passkey.name_invalid"], "{code:x}");
            }
            let username = browser
                .post_json("/change-username", json!({"username": name}))
                .await;
            assert_eq!(username.codes(), ["username.invalid"], "{code:x}");
            assert!(accounts.create_role(&name, None).await.is_err(), "{code:x}");
            assert!(
                accounts
                    .add_permissions_to_role("editor", &[name.as_str()])
                    .await
                    .is_err(),
                "{code:x}"
            );
        }
        // What a browser calls itself is shown in the list of sessions.
        let agent = "Fire\u{202e}fox\u{200b} 1";
        let odd = app.browser().header("User-Agent", agent);
        odd.sign_in_as(&ada, "").await;
        let rows = store.sessions_of(&ada.id).await.unwrap();
        assert!(rows.iter().any(|row| row.agent == "Firefox 1"), "{rows:?}");
    })
    .await;
}
