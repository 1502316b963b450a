//! A forgotten username is mailed to its owner, and to nobody else.

use rocket_security::{EventKind, Username};
use serde_json::json;

use crate::{
    app::{App, Plan, on_sqlite},
    smtp_server::SmtpServer,
    with_smtp::mailed::assert_refused,
};

const ADA: &str = "ada@example.com";

fn sent(kind: &EventKind) -> bool {
    matches!(kind, EventKind::UsernameRecoverySent { .. })
}

fn with_usernames(plan: Plan) -> Plan {
    plan.set("identities", ["email", "username"])
}

async fn ada(app: &App) {
    let name = Username::normalise("Lovelace").unwrap();
    app.user_with(ADA, |new| new.username(name)).await;
}

#[rocket::async_test]
async fn the_owner_gets_it_once() {
    on_sqlite(|plan| async move {
        let server = SmtpServer::start().await;
        let app = with_usernames(plan).smtp(&server).start().await;
        ada(&app).await;
        app.user("bob@example.com").await;
        for email in ["Ada@Example.com", "bob@example.com"] {
            let answer = app.post("/recover-username", json!({"email": email})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let mail = app.delivered(&server, ADA, 1).await;
        assert!(mail.text.contains("Lovelace") && mail.html.contains("Lovelace"));
        let none = app.delivered(&server, "bob@example.com", 1).await;
        assert!(none.text.contains("It has none"), "{}", none.text);
        assert_eq!(app.count(sent).await, 2);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_asks_by_the_form() {
    let server = SmtpServer::start().await;
    let app = with_usernames(Plan::new()).smtp(&server).start().await;
    ada(&app).await;
    let browser = app.browser();
    assert!(
        browser
            .get("/login")
            .await
            .text()
            .contains("Forgot your username")
    );
    let answer = browser.submit("/recover-username", &[("email", ADA)]).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .text()
            .contains("we have sent a mail with its username")
    );
    assert!(
        !answer.text().contains("Lovelace"),
        "the mail says it, not the page"
    );
    app.delivered(&server, ADA, 1).await;
}

#[rocket::async_test]
async fn nobody_learns_whether_an_address_has_an_account() {
    on_sqlite(|plan| async move {
        let app = with_usernames(plan).start().await;
        ada(&app).await;
        app.user("bob@example.com").await;
        app.user_with("shut@example.com", |new| new.active(false))
            .await;
        let mut told = Vec::new();
        for email in [
            ADA,
            "bob@example.com",
            "shut@example.com",
            "nobody@example.com",
        ] {
            told.push(app.told("/recover-username", json!({"email": email})).await);
        }
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        assert_eq!(
            (told[0].json.0, told[0].page.0, told[0].hashes),
            (200, 200, 0)
        );
        assert_eq!(app.mails.all().len(), 2);
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_why_there_is_no_mail() {
    let app = with_usernames(Plan::new()).telling().start().await;
    app.user_with("shut@example.com", |new| new.active(false))
        .await;
    for (email, code) in [
        ("", "input.required"),
        ("shut@example.com", "login.inactive"),
        ("nobody@example.com", "email.unknown"),
    ] {
        let answer = app.post("/recover-username", json!({"email": email})).await;
        assert_refused(&answer, 400, code);
    }
    app.user("bob@example.com").await;
    let answer = app
        .post("/recover-username", json!({"email": "bob@example.com"}))
        .await;
    assert_refused(&answer, 400, "recover_username.none");
    assert_eq!(
        answer.field_errors("email"),
        ["This account has no username. Sign in with the email address."]
    );
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn without_usernames_there_is_no_such_page() {
    for app in [
        App::new().await,
        with_usernames(Plan::new())
            .set("recover_username.enabled", false)
            .start()
            .await,
    ] {
        assert_eq!(app.browser().get("/recover-username").await.status, 404);
        let login = app.browser().get("/login").await.text();
        assert!(!login.contains("Forgot your username"));
    }
}
