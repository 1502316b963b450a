//! One route, two answers: pages and JSON.

use serde_json::json;

use crate::app::{App, PASSWORD, Plan};

#[rocket::async_test]
async fn the_best_accept_or_a_json_body_makes_the_answer_json() {
    let app = App::new().await;
    for (accept, is_json) in [
        ("application/json", true),
        ("application/problem+json", true),
        ("application/json, text/html;q=0.9", true),
        ("text/html, application/json;q=0.9", false),
        ("*/*", false),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            false,
        ),
        ("", false),
        ("nonsense", false),
    ] {
        let answer = app
            .browser()
            .get_with("/login", &[("Accept", accept)])
            .await;
        assert_eq!(
            (answer.status, answer.is_envelope()),
            (200, is_json),
            "{accept}"
        );
        let refused = app.browser().get_with("/me", &[("Accept", accept)]).await;
        assert_eq!(refused.status == 401, is_json, "{accept}");
    }
    let body = json!({"email": "x", "password": "y"}).to_string();
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.api+json",
    ] {
        let headers = [("Content-Type", kind), ("Accept", "text/html")];
        let answer = app
            .program()
            .send(
                rocket::http::Method::Post,
                "/login",
                &headers,
                Some(body.as_bytes()),
            )
            .await;
        assert!(answer.status == 400 && answer.is_envelope(), "{kind}");
    }
}

#[rocket::async_test]
async fn a_form_that_fails_is_a_page_in_html_and_400_in_json() {
    let app = App::new().await;
    let answer = app.browser().login("", "").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("role=\"alert\"") || answer.text().contains("aria-invalid"),
        "{}",
        answer.text()
    );
    let answer = app
        .program()
        .post_json("/login", json!({"email": "", "password": ""}))
        .await;
    assert_eq!(answer.status, 400);
    let response = &answer.json()["response"];
    assert_eq!(response["errors"].as_array().unwrap().len(), 2);
    assert_eq!(
        answer.field_errors("email").len() + answer.field_errors("password").len(),
        2
    );
    let wrong = app
        .program()
        .post_json(
            "/login",
            json!({"email": "a@example.com", "password": PASSWORD}),
        )
        .await;
    assert_eq!(
        wrong.field_errors("").len(),
        1,
        "what concerns the form is under the empty name"
    );
}

#[rocket::async_test]
async fn what_a_form_shows_is_told_to_programs() {
    let app = App::new().await;
    let login = app.program().get("/login").await;
    let response = &login.json()["response"];
    assert!(response["csrf_token"].is_string());
    assert_eq!(response["identity_attributes"], json!(["email"]));
    assert!(response.get("user").is_none());
    assert_eq!(app.program().get("/register").await.status, 200);
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await.in_json();
    assert_eq!(
        browser.get("/login").await.json()["response"]["user"],
        json!({})
    );
    let verify = browser.get("/verify").await.json();
    assert_eq!(verify["response"]["oauth_providers"], json!([]));
}

#[rocket::async_test]
async fn the_application_decides_on_json_the_envelope_and_the_account() {
    let app = Plan::new()
        .security(|security| {
            security
                .wants_json(|request| request.headers().get_one("X-Program").is_some())
                .envelope(|code, payload| json!({"ok": code < 400, "data": payload}))
                .user_payload(|user| json!({"mail": user.email}))
        })
        .start()
        .await;
    app.user("ada@example.com").await;
    assert_eq!(
        app.program().get("/me").await.status,
        302,
        "Accept does not count"
    );
    let program = app.program().header("X-Program", "yes");
    let refused = program.get("/me").await;
    assert_eq!(
        (refused.status, refused.json()["ok"].clone()),
        (401, json!(false))
    );
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let answer = program.post_json("/login", body).await;
    assert_eq!(
        answer.json()["data"]["user"],
        json!({"mail": "ada@example.com"})
    );
}

#[rocket::async_test]
async fn the_applications_own_catcher_goes_first_and_may_call_ours() {
    #[rocket::catch(403)]
    fn own() -> &'static str {
        "our own words"
    }
    #[rocket::catch(401)]
    async fn ours(request: &rocket::Request<'_>) -> rocket_security::CaughtReply {
        rocket_security::caught(rocket::http::Status::Unauthorized, request).await
    }
    let app = Plan::new()
        .with(|rocket| rocket.register("/", rocket::catchers![own, ours]))
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    assert_eq!(browser.get("/g/admin").await.text(), "our own words");
    assert_eq!(
        app.browser().get("/g/admin").await.location(),
        Some("/login?next=%2Fg%2Fadmin")
    );
    assert_eq!(app.program().get("/g/admin").await.status, 401);
}
