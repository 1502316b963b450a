//! Whatever comes in is answered, never with a 5xx, and lets nobody in.

use std::time::{Duration, Instant};

use rocket::http::Method as Verb;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, Plan, for_each_database, on_sqlite};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[rocket::async_test]
async fn bodies_of_every_wrong_kind_are_refused() {
    for_each_database(|plan| async move {
        // The page is the same whatever the database.
        let kinds: &[&str] = match plan.is_sqlite() {
            true => &["application/json", "text/html"],
            false => &["application/json"],
        };
        let app = plan.without_limits().start().await;
        app.user("ada@example.com").await;
        let nested =
            |depth: usize| format!("{{\"email\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let (deep, shallow) = (nested(10_000), nested(100));
        let bodies: Vec<(&str, Vec<u8>, &[u16])> = vec![
            (JSON, b"[1]".to_vec(), &[400]),
            (JSON, b"\"x\"".to_vec(), &[400]),
            (JSON, b"123".to_vec(), &[400]),
            (JSON, b"true".to_vec(), &[400]),
            (JSON, b"null".to_vec(), &[400]),
            (JSON, b"".to_vec(), &[400]),
            (JSON, b"{".to_vec(), &[400]),
            (JSON, b"{\"email\":\"a".to_vec(), &[400]),
            (JSON, b"\xef\xbb\xbf{}".to_vec(), &[400]),
            (JSON, b"{\"email\":\"\xff\xfe\"}".to_vec(), &[400]),
            (JSON, b"{\"email\":\"\\ud800\"}".to_vec(), &[400]),
            (
                JSON,
                b"{\"email\":\"a\\u0000b\",\"password\":\"x\"}".to_vec(),
                &[400],
            ),
            (
                JSON,
                b"{\"email\":\"a\",\"password\":\"\\u0000\"}".to_vec(),
                &[400],
            ),
            (JSON, b"{} {}".to_vec(), &[400]),
            (JSON, deep.into_bytes(), &[400]),
            (JSON, shallow.into_bytes(), &[400]),
            (JSON, vec![b'['; 60_000], &[400]),
            (JSON, vec![b'x'; 2_000_000], &[413]),
            (FORM, vec![b'x'; 2_000_000], &[413]),
            (FORM, b"email=%ff%fe&password=x".to_vec(), &[400]),
            (FORM, b"email=\xff&password=x".to_vec(), &[400]),
            (FORM, b"email=a%00b&password=x".to_vec(), &[400]),
            (FORM, b"email=a&email=b&password=x".to_vec(), &[400]),
            (FORM, b"email[]=a&password[x]=b".to_vec(), &[400]),
            (FORM, b"&&&===&%&%zz".to_vec(), &[400]),
            ("text/plain", b"email=a".to_vec(), &[415]),
            ("application/xml", b"<a/>".to_vec(), &[415]),
            ("multipart/form-data; boundary=x", b"--x--".to_vec(), &[415]),
            ("", b"email=a".to_vec(), &[400, 415]),
            ("nonsense", b"email=a".to_vec(), &[400, 415]),
        ];
        for path in [
            "/login",
            "/register",
            "/verify",
            "/logout",
            "/p/note",
            "/sessions/revoke-others",
        ] {
            for (kind, body, statuses) in &bodies {
                for accept in kinds {
                    let headers = [("Content-Type", *kind), ("Accept", *accept)];
                    let began = Instant::now();
                    let answer = app
                        .program()
                        .send(Verb::Post, path, &headers, Some(body))
                        .await;
                    let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
                    let what = format!(
                        "{path} {kind} {accept} {shown:?}: {} {}",
                        answer.status,
                        answer.text()
                    );
                    // Without a session some doors say so first; a form is one by CSRF.
                    let signed_out =
                        answer.status == 401 || answer.status == 302 || path == "/logout";
                    assert!(answer.status < 500, "{what}");
                    assert!(
                        statuses.contains(&answer.status) || answer.status == 400 || signed_out,
                        "{what}"
                    );
                    let cookie = answer.cookie("security_session");
                    assert!(
                        cookie.is_none_or(|cookie| cookie.value().is_empty()),
                        "{what}"
                    );
                    if *accept == "application/json" {
                        assert!(answer.is_envelope(), "{what}");
                    }
                    assert!(began.elapsed() < Duration::from_secs(5), "{what}");
                }
            }
        }
        assert_eq!(app.admitted().await, 0);
        assert_eq!(app.store().count_users().await.unwrap(), 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_field_of_the_wrong_type_is_named() {
    let app = App::new().await;
    for (path, fields) in [
        (
            "/login",
            &["email", "username", "password", "next", "remember"][..],
        ),
        (
            "/register",
            &["email", "username", "password", "password_confirm", "next"][..],
        ),
        ("/p/note", &["title", "stars"][..]),
    ] {
        for field in fields {
            for value in [
                json!({}),
                json!([]),
                json!(["a"]),
                json!(-1),
                json!(1.5),
                json!({"a": {"b": []}}),
            ] {
                let mut body = json!({"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD, "title": "x"});
                body[field] = value.clone();
                let answer = app.program().post_json(path, body).await;
                assert_eq!(
                    answer.status,
                    400,
                    "{path} {field} {value}: {}",
                    answer.text()
                );
                assert_eq!(
                    answer.field_errors(field).len(),
                    1,
                    "{path} {field} {value}: {}",
                    answer.text()
                );
            }
        }
    }
    for value in [json!(true), Value::Null] {
        let body = json!({"email": value, "password": PASSWORD});
        assert_eq!(app.program().post_json("/login", body).await.status, 400);
    }
    assert_eq!(app.store().count_users().await.unwrap(), 0);
}

#[rocket::async_test]
async fn an_application_gets_its_body_decoded_or_not_at_all() {
    let app = App::new().await;
    let browser = app.browser();
    let answer = browser
        .post_form("/p/note", &[("title", "Ü & co"), ("stars", "5")])
        .await;
    assert_eq!(answer.json(), json!({"title": "Ü & co", "stars": 5}));
    let answer = app
        .program()
        .post_json("/p/note", json!({"title": "x"}))
        .await;
    assert_eq!(answer.json(), json!({"title": "x", "stars": null}));
    for (fields, field) in [
        (&[("stars", "5")][..], "title"),
        (&[("title", "a"), ("title", "b")][..], "title"),
        (&[("title", "a"), ("stars", "300")][..], "stars"),
        (&[("title", "a"), ("stars", "x")][..], "stars"),
    ] {
        let answer = app.browser().in_json().post_form("/p/note", fields).await;
        assert_eq!(
            (answer.status, answer.field_errors(field).len()),
            (400, 1),
            "{fields:?}: {}",
            answer.text()
        );
    }
    let missing = app.program().post_json("/p/note", json!({})).await;
    assert_eq!(missing.codes(), ["input.required"]);
    // The same key twice in JSON is refused as in a form, wherever it stands and however it is written.
    for (body, field) in [
        (r#"{"title":"a","title":"b"}"#, "title"),
        (r#"{"title":"a","title":"a"}"#, "title"),
        (r#"{"title":"a","ti\u0074le":"b"}"#, "title"),
        (r#"{"title":"a","title":null}"#, "title"),
        (r#"{"title":"a","other":1,"other":2}"#, "other"),
        (
            r#"{"title":"a","other":[{"x":{"y":1.5,"y":true}}]}"#,
            "other",
        ),
        (
            r#"{"csrf_token":"a","csrf_token":"b","title":"a"}"#,
            "csrf_token",
        ),
    ] {
        let answer = app
            .program()
            .post_body("/p/note", JSON, body.as_bytes())
            .await;
        assert_eq!(
            (
                answer.status,
                answer.codes(),
                answer.field_errors(field).len()
            ),
            (400, vec!["input.repeated".to_string()], 1),
            "{body}: {}",
            answer.text()
        );
    }
    let once = br#"{"title":"a","other":[{"x":1},{"x":-2},{"y":null}],"more":{"title":"b"}}"#;
    let answer = app.program().post_body("/p/note", JSON, once).await;
    assert_eq!(answer.json()["title"], "a");
}

#[rocket::async_test]
async fn huge_passwords_are_refused_quickly_and_never_hashed() {
    let app = Plan::new()
        .without_limits()
        .rocket("limits.security", "16 MiB")
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let before = app.hashes_done();
    for size in [4_097, 1_000_000, 5_000_000] {
        let password = "a".repeat(size);
        let body =
            json!({"email": "ada@example.com", "password": password, "password_confirm": password});
        for path in ["/login", "/register"] {
            let began = Instant::now();
            let answer = app.program().post_json(path, body.clone()).await;
            assert_eq!(
                (answer.status, answer.codes()),
                (400, vec!["password.too_long".to_string()]),
                "{path} {size}"
            );
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{path} {size}: {:?}",
                began.elapsed()
            );
            let visitor = app.browser();
            let fields = [
                ("email", "ada@example.com"),
                ("password", &password),
                ("password_confirm", &password),
            ];
            let answer = visitor.post_form(path, &fields).await;
            assert_eq!(answer.status, 200, "{path} {size}");
            assert!(!visitor.is_signed_in().await);
        }
        let answer = browser
            .post_form("/verify", &[("password", &password)])
            .await;
        assert_eq!(answer.status, 200, "the form again");
        let basic = app.program().basic("ada@example.com", &password);
        assert_eq!(basic.get("/g/basic").await.status, 401);
    }
    assert_eq!(app.hashes_done(), before);
    // By the limit that comes with the crate, they are not even read.
    let app = App::new().await;
    let body = json!({"email": "ada@example.com", "password": "a".repeat(1_000_000)});
    assert_eq!(app.program().post_json("/login", body).await.status, 413);
}

#[rocket::async_test]
async fn hostile_text_is_refused_or_kept_whole() {
    on_sqlite(|plan| async move {
        let app = plan
            .telling()
            .set("identities", ["email", "username"])
            .set("register.username", "optional")
            .start()
            .await;
        for text in ["\u{fffd}", "\u{202e}evil", "a\u{200b}b", "\u{ffff}", "<script>", "{{7*7}}", "{% raw %}", "' OR 1=1 --", "a\r\nBcc: x@y.z", "аdmin", "\u{1f600}", "ŉ".repeat(64).as_str()] {
            for (email, username) in [(format!("{text}@example.com"), "lovelace".to_string()), ("ada@example.com".to_string(), text.to_string())] {
                let body = json!({"email": email, "username": username, "password": PASSWORD, "password_confirm": PASSWORD});
                let answer = app.program().post_json("/register", body).await;
                assert!(matches!(answer.status, 200 | 400), "{text:?}: {}", answer.status);
                if answer.status == 200 {
                    app.sql("DELETE FROM users").await;
                }
            }
        }
        for (email, ok) in [
            (format!("{}@example.com", "a".repeat(64)), true),
            (format!("{}@example.com", "a".repeat(65)), false),
            (format!("a@{}.com", "b".repeat(250)), false),
            ("\"quoted\"@example.com".into(), false),
            ("a@[127.0.0.1]".into(), false),
            ("a@b@example.com".into(), false),
            ("a@example".into(), false),
        ] {
            let body = json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD});
            let answer = app.program().post_json("/register", body).await;
            assert_eq!(answer.status == 200, ok, "{email}: {}", answer.text());
        }
    })
    .await;
}

#[rocket::async_test]
async fn odd_methods_do_nothing() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    for path in [
        "/login",
        "/logout",
        "/register",
        "/verify",
        "/sessions",
        "/sessions/revoke-others",
    ] {
        for verb in [
            Verb::Put,
            Verb::Delete,
            Verb::Patch,
            Verb::Options,
            Verb::Trace,
            Verb::Head,
        ] {
            let answer = browser.send(verb, path, &[], None).await;
            assert!(answer.status < 500, "{verb} {path}: {}", answer.status);
            let expected = match verb {
                Verb::Head => continue,
                Verb::Options => 204,
                _ => 405,
            };
            assert_eq!(answer.status, expected, "{verb} {path}");
        }
    }
    assert!(browser.is_signed_in().await);
    // Each feature can do without each other.
    for feature in [
        "login", "logout", "register", "verify", "sessions", "dev_mail",
    ] {
        let app = Plan::new()
            .set(&format!("{feature}.enabled"), false)
            .start()
            .await;
        let ada = app.user("ada@example.com").await;
        let browser = app.browser();
        browser.set_cookie("security_flash", "info:login.title");
        for path in [
            "/",
            "/login",
            "/register",
            "/sessions",
            "/verify",
            "/g/admin",
            "/dev/mail",
        ] {
            assert!(
                browser.get(path).await.status < 500,
                "{path} without {feature}"
            );
        }
        assert_eq!(app.store().find_user(&ada.id).await.unwrap(), Some(ada));
    }
    // What is switched off is not there, like any other path.
    let app = Plan::new()
        .set("register.enabled", false)
        .set("sessions.enabled", false)
        .start()
        .await;
    let unknown = app.browser().get("/nothing").await;
    for path in ["/register", "/sessions"] {
        let answer = app.browser().get(path).await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, unknown.text()),
            "{path}"
        );
    }
}
