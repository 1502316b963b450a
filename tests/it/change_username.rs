//! Another username: from a fresh sign-in, if nobody has it, and with a notice to the owner.

use std::time::Duration;

use rocket_security::{EventKind, User, Username};
use serde_json::json;

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::assert_refused,
};

const ADA: &str = "ada@example.com";

fn with_usernames(plan: Plan) -> Plan {
    plan.set("identities", ["email", "username"])
}

async fn named(app: &App, email: &str, name: &str) -> User {
    let name = Username::normalise(name).unwrap();
    app.user_with(email, |new| new.username(name)).await
}

async fn rename(actor: &Actor<'_>, name: &str) -> crate::app::Answer {
    actor
        .post_json("/change-username", json!({"username": name}))
        .await
}

#[rocket::async_test]
async fn the_new_name_signs_in_and_the_old_one_does_not() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = with_usernames(plan).smtp(&server).start().await;
        let ada = named(&app, ADA, "lovelace").await;
        let browser = app.signed_in(&ada).await.in_json();
        let page = browser.get("/change-username").await.json();
        assert_eq!(page["response"]["current_username"], "lovelace");
        let answer = rename(&browser, "countess").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(app.lets_in("Countess", PASSWORD).await);
        assert!(!app.lets_in("lovelace", PASSWORD).await);
        assert!(browser.is_signed_in().await, "nothing else has changed");
        let mail = app.delivered(&server, ADA, 1).await;
        assert!(mail.subject.contains("username"), "{}", mail.subject);
        for name in ["countess", "lovelace"] {
            assert!(
                mail.text.contains(name) && mail.html.contains(name),
                "{name}"
            );
        }
        let changed = |kind: &EventKind| matches!(kind, EventKind::UsernameChanged { .. });
        assert_eq!(app.count(changed).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_chooses_one_by_the_form() {
    let app = with_usernames(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await;
    let wrong = browser
        .submit("/change-username", &[("username", "a@b.de")])
        .await;
    assert!(wrong.status == 200 && wrong.text().contains("sec-field__errors"));
    let answer = browser
        .submit("/change-username", &[("username", "lovelace")])
        .await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    let page = browser.get("/sessions").await.text();
    assert!(page.contains("Your username is changed"));
    assert!(app.lets_in("lovelace", PASSWORD).await);
}

#[rocket::async_test]
async fn what_is_taken_reserved_or_the_same_is_refused() {
    for_each_database(|plan| async move {
        let app = with_usernames(plan).start().await;
        let ada = named(&app, ADA, "lovelace").await;
        named(&app, "bob@example.com", "babbage").await;
        let browser = app.signed_in(&ada).await.in_json();
        for (name, code) in [
            ("babbage", "username.taken"),
            (" BABBAGE ", "username.taken"),
            // With a Cyrillic letter in it.
            ("b\u{430}bbage", "username.mixed_script"),
            ("admin", "username.reserved"),
            ("", "username.required"),
            ("lovelace", "change_username.same"),
        ] {
            let answer = rename(&browser, name).await;
            assert_refused(&answer, 400, code);
            assert_eq!(answer.field_errors("username").len(), 1, "{name}");
        }
        assert!(app.mails.all().is_empty());
        // One's own name may be spelt anew.
        assert_eq!(rename(&browser, "LoveLace").await.status, 200);
        assert!(app.lets_in("lovelace", PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_stale_sign_in_must_be_proven_first() {
    let app = with_usernames(Plan::new())
        .set("freshness.grace", 0)
        .start()
        .await;
    let ada = named(&app, ADA, "lovelace").await;
    let browser = app.signed_in(&ada).await;
    for _ in 0..3 {
        app.later(Duration::from_hours(8));
        assert!(browser.is_signed_in().await);
    }
    let page = browser.get("/change-username").await;
    assert_eq!(page.location(), Some("/verify?next=%2Fchange-username"));
    let refused = rename(&browser.copy().in_json(), "countess").await;
    assert_refused(&refused, 401, "denied.stale");
    assert_eq!(refused.json()["response"]["reauth_required"], true);
    let form = browser
        .post_form("/change-username", &[("username", "countess")])
        .await;
    assert_eq!(form.location(), Some("/verify?next=%2Fchange-username"));
    assert!(app.lets_in("lovelace", PASSWORD).await);
    let verified = browser
        .submit("/verify?next=/change-username", &[("password", PASSWORD)])
        .await;
    assert_eq!(verified.location(), Some("/change-username"));
    assert_eq!(rename(&browser.in_json(), "countess").await.status, 200);
}

#[rocket::async_test]
async fn without_usernames_there_is_no_such_page() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    assert_eq!(
        app.signed_in(&ada)
            .await
            .get("/change-username")
            .await
            .status,
        404
    );
}
