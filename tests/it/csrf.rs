//! Requests that another site makes.

use serde_json::json;

use crate::app::{Actor, App, PASSWORD, Plan};

const FORM: &str = "application/x-www-form-urlencoded";

async fn form(actor: &Actor<'_>, path: &str, token: Option<&str>) -> u16 {
    let mut fields = vec![
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    fields.extend(token.map(|token| ("csrf_token", token)));
    actor.post_raw_form(path, &fields).await.status
}

#[rocket::async_test]
async fn a_form_from_another_site_signs_nobody_in() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let attacker = app.browser();
    let foreign = attacker.csrf().await;
    let victim = app.browser();
    assert_eq!(form(&victim, "/login", None).await, 400);
    assert_eq!(
        form(&victim, "/login", Some(&foreign)).await,
        400,
        "no cookie of ours"
    );
    let own = victim.csrf().await;
    assert_eq!(
        form(&victim, "/login", Some(&foreign)).await,
        400,
        "the attacker's token"
    );
    for junk in [
        "",
        "junk",
        "AAAA",
        &own[..own.len() - 1],
        &format!("{own}A"),
        &"A".repeat(64),
        "\u{301}",
    ] {
        assert_eq!(form(&victim, "/login", Some(junk)).await, 400, "{junk}");
    }
    // Sent as text, as a form of another site can, it is no JSON; as a form it needs the token.
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "",
        "nonsense",
    ] {
        let answer = victim.post_body("/login", kind, body.as_bytes()).await;
        assert!(
            (400..500).contains(&answer.status),
            "{kind}: {}",
            answer.status
        );
    }
    assert!(!victim.is_signed_in().await);
    assert_eq!(app.admitted().await, 0);
    assert_eq!(form(&victim, "/login", Some(&own)).await, 302);
}

#[rocket::async_test]
async fn a_token_dies_with_its_session() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.browser();
    let before = browser.csrf().await;
    browser.login("ada@example.com", PASSWORD).await;
    assert_eq!(
        form(&browser, "/p/input", Some(&before)).await,
        400,
        "of before the sign-in"
    );
    let during = browser.csrf().await;
    assert_eq!(form(&browser, "/p/input", Some(&during)).await, 200);
    let other = app.signed_in(&ada).await;
    assert_eq!(
        form(&other, "/p/input", Some(&during)).await,
        400,
        "of another session"
    );
    browser
        .post_form("/verify", &[("password", PASSWORD)])
        .await;
    assert_eq!(
        form(&browser, "/p/input", Some(&during)).await,
        400,
        "of before the new id"
    );
    let during = browser.csrf().await;
    browser.logout().await;
    browser.login("ada@example.com", PASSWORD).await;
    assert_eq!(
        form(&browser, "/p/input", Some(&during)).await,
        400,
        "of the session before"
    );
}

#[rocket::async_test]
async fn every_page_has_another_token_for_the_same_session() {
    let app = App::new().await;
    let browser = app.browser();
    let (one, two) = (browser.csrf().await, browser.copy().csrf().await);
    assert_ne!(one, two);
    assert_eq!(form(&browser, "/register", Some(&one)).await, 302);
}

#[rocket::async_test]
async fn json_needs_no_token_only_while_the_browser_has_no_cookie_of_ours() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let program = app.program();
    assert_eq!(
        program
            .post_body("/login", "application/json", body.as_bytes())
            .await
            .status,
        200
    );
    let visitor = app.browser();
    visitor.csrf().await;
    let answer = visitor
        .post_body("/login", "application/json", body.as_bytes())
        .await;
    assert!(answer.status == 400 && answer.is_envelope());
    assert_eq!(answer.codes(), ["denied.csrf"]);
    let browser = app.signed_in(&ada).await;
    for kind in ["application/json", "application/problem+json"] {
        assert_eq!(browser.post_body("/p/input", kind, b"{}").await.status, 400);
    }
    let token = browser.csrf().await;
    let inside = json!({"csrf_token": token}).to_string();
    assert_eq!(
        browser
            .post_body("/p/input", "application/json", inside.as_bytes())
            .await
            .status,
        200
    );
    for name in ["X-CSRFToken", "X-CSRF-Token", "X-XSRF-Token"] {
        let headers = [("Content-Type", "application/json"), (name, token.as_str())];
        let answer = browser
            .send(
                rocket::http::Method::Post,
                "/p/input",
                &headers,
                Some(b"{}"),
            )
            .await;
        assert_eq!(answer.status, 200, "{name}");
    }
    // Of Basic browsers think by themselves.
    let basic = app.program().basic("ada@example.com", PASSWORD);
    assert_eq!(
        basic
            .post_body("/p/note", "application/json", b"{\"title\":\"x\"}")
            .await
            .status,
        400
    );
}

#[rocket::async_test]
async fn a_request_by_token_needs_none_but_junk_is_no_token() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let token = app.token("ada@example.com").await;
    assert_eq!(
        app.program()
            .token(&token)
            .post_body("/p/input", FORM, b"")
            .await
            .status,
        200
    );
    let browser = app.signed_in(&ada).await;
    for header in ["junk", ""] {
        let junk = browser.copy().token(header);
        for path in [
            "/p/input",
            "/p/bare",
            "/logout",
            "/sessions/revoke-others",
            "/verify",
        ] {
            let answer = junk.post_body(path, FORM, b"").await;
            assert!(
                matches!(answer.status, 400 | 401)
                    || answer.location().is_some_and(|to| to.starts_with("/login"))
                    || path == "/logout" && answer.status == 200,
                "{path}: {}",
                answer.status
            );
        }
    }
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn scripts_get_a_readable_cookie_where_the_site_wants_one() {
    let app = Plan::new().set("csrf.cookie", "XSRF-TOKEN").start().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    let answer = browser.get("/login").await;
    let cookie = answer.cookie("XSRF-TOKEN").unwrap();
    assert_ne!(cookie.http_only(), Some(true));
    assert_eq!(cookie.same_site(), Some(rocket::http::SameSite::Strict));
    let send = async |name: &str| {
        let token = browser.cookie("XSRF-TOKEN").unwrap();
        let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
        let headers = [("Content-Type", "application/json"), (name, token.as_str())];
        browser
            .send(
                rocket::http::Method::Post,
                "/login",
                &headers,
                Some(body.as_bytes()),
            )
            .await
    };
    // The cookie alone proves nothing: another site's request brings it too.
    assert_eq!(send("X-Other").await.status, 400);
    let answer = send("X-XSRF-Token").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.cookie("XSRF-TOKEN").is_some(),
        "a new one for the new session"
    );
    let answer = send("X-XSRF-Token").await;
    assert_eq!(answer.codes(), ["denied.signed_in"], "and it fits");
    let without = App::new().await;
    assert!(
        without
            .browser()
            .get("/login")
            .await
            .cookie("XSRF-TOKEN")
            .is_none()
    );
}

#[rocket::async_test]
async fn no_other_origin_is_let_read_our_answers() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let headers = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    for path in ["/login", "/me", "/sessions", "/p/input"] {
        for verb in [rocket::http::Method::Options, rocket::http::Method::Get] {
            let answer = browser.send(verb, path, &headers, None).await;
            assert!(answer.status < 500);
            for name in [
                "Access-Control-Allow-Origin",
                "Access-Control-Allow-Credentials",
            ] {
                assert_eq!(answer.header(name), None, "{verb} {path}");
            }
        }
    }
}
