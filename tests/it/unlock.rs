//! A lock is opened by its owner's mail, so that no guesser keeps the owner out.

use std::time::Duration;

use rocket_security::{EventKind, Username};
use serde_json::json;

use crate::{
    app::{App, PASSWORD, Plan, WRONG, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::{assert_refused, credentials, link_in},
};

const ADA: &str = "ada@example.com";

fn unlocked(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Unlocked { .. })
}

#[rocket::async_test]
async fn the_link_opens_the_door_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        app.user(ADA).await;
        app.shut(&app.program(), ADA).await;
        // Whoever goes on guessing causes no more mails.
        for _ in 0..5 {
            assert_eq!(
                app.post("/login", credentials(ADA, WRONG)).await.status,
                429
            );
        }
        let mail = app.delivered(&server, ADA, 1).await;
        assert!(mail.subject.contains("is paused"), "{}", mail.subject);
        let link = link_in(&mail);
        app.look_at(&link).await;
        assert_eq!(
            app.post("/login", credentials(ADA, PASSWORD)).await.status,
            429
        );
        let answer = app.post(&link, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"], json!({}));
        assert!(
            answer.cookie("security_session").is_none(),
            "nobody is signed in"
        );
        assert!(app.lets_in(ADA, PASSWORD).await);
        assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
        assert_eq!(app.count(unlocked).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_opens_it_by_the_button_of_the_page() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    app.user(ADA).await;
    app.shut(&app.program(), ADA).await;
    let link = link_in(&app.delivered(&server, ADA, 1).await);
    let reader = app.browser();
    assert!(reader.get(&link).await.text().contains(ADA));
    let answer = reader.submit(&link, &[]).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(reader.reads(&answer, "Your account is unlocked").await);
    assert!(app.lets_in(ADA, PASSWORD).await);
    let used = reader.get(&link).await;
    assert_eq!((used.status, used.location()), (302, Some("/login")));
    assert!(reader.reads(&used, "has expired or was already used").await);
}

#[rocket::async_test]
async fn it_opens_the_lock_of_a_known_browser_too() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let known = app.browser();
        known.login(ADA, PASSWORD).await;
        known.logout().await;
        app.shut(&known, ADA).await;
        assert!(
            app.lets_in(ADA, PASSWORD).await,
            "others have a door of their own"
        );
        // The mail is read on another device.
        let link = app.link_to(ADA, "unlock");
        assert_eq!(app.post(&link, json!({})).await.status, 200);
        known.login(ADA, PASSWORD).await;
        assert!(known.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn it_opens_the_account_under_all_of_its_names() {
    let app = Plan::new()
        .set("identities", ["email", "username"])
        .start()
        .await;
    let name = Username::normalise("lovelace").unwrap();
    app.user_with(ADA, |new| new.username(name)).await;
    for (n, identity) in [ADA, "lovelace", ADA].into_iter().enumerate() {
        for _ in 0..if n == 2 { 2 } else { 4 } {
            let answer = app.post("/login", credentials(identity, WRONG)).await;
            assert_eq!(answer.status, 400);
        }
    }
    for identity in [ADA, "lovelace"] {
        let answer = app.post("/login", credentials(identity, PASSWORD)).await;
        assert_eq!(answer.status, 429, "{identity}");
    }
    let link = app.link_to(ADA, "unlock");
    assert_eq!(app.post(&link, json!({})).await.status, 200);
    for identity in [ADA, "lovelace"] {
        // Nothing is left of the guesses, either.
        for _ in 0..4 {
            let answer = app.post("/login", credentials(identity, WRONG)).await;
            assert_eq!(answer.status, 400, "{identity}");
        }
        assert!(app.lets_in(identity, PASSWORD).await);
    }
}

#[rocket::async_test]
async fn nobody_learns_by_guessing_whether_there_is_an_account() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let mut seen = Vec::new();
        for email in [ADA, "nobody@example.com"] {
            let mut told = Vec::new();
            for _ in 0..12 {
                told.push(app.told("/login", credentials(email, WRONG)).await);
            }
            seen.push(told);
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0][11].json.0, 429);
        let mails: Vec<_> = app
            .mails
            .all()
            .into_iter()
            .map(|(_, mail)| mail.to)
            .collect();
        assert_eq!(mails, [ADA]);
        let written = "SELECT COUNT(*) AS n FROM security_outbox";
        assert_eq!(app.number(written).await, 2, "the same work for nobody");
    })
    .await;
}

#[rocket::async_test]
async fn wrong_codes_that_shut_the_door_lead_to_the_mail_too() {
    let app = App::new().await;
    app.user(ADA).await;
    let body = json!({
        "email": ADA, "code": "nonsense", "password": PASSWORD, "password_confirm": PASSWORD,
    });
    for _ in 0..10 {
        assert_eq!(app.post("/reset/code", body.clone()).await.status, 400);
    }
    assert_eq!(
        app.post("/login", credentials(ADA, PASSWORD)).await.status,
        429
    );
    let link = app.link_to(ADA, "unlock");
    assert_eq!(app.post(&link, json!({})).await.status, 200);
    assert!(app.lets_in(ADA, PASSWORD).await);
}

#[rocket::async_test]
async fn the_lock_of_a_place_is_nobodys_to_open() {
    let app = Plan::new().set("limits.per_address", 3).start().await;
    app.user(ADA).await;
    for _ in 0..3 {
        assert_eq!(
            app.post("/login", credentials(ADA, WRONG)).await.status,
            400
        );
    }
    assert_eq!(
        app.post("/login", credentials(ADA, PASSWORD)).await.status,
        429
    );
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn the_link_runs_out_exactly() {
    let app = App::new().await;
    app.user(ADA).await;
    app.shut(&app.program(), ADA).await;
    let link = app.link_to(ADA, "unlock");
    app.clock.shift(86_400_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
    assert_eq!(app.count(unlocked).await, 0);
    assert!(app.lets_in(ADA, PASSWORD).await, "the lock ended long ago");
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = Plan::new().set("spa.enabled", true).start().await;
    app.user(ADA).await;
    app.shut(&app.program(), ADA).await;
    let link = app.link_to(ADA, "unlock");
    let view = app.browser().get(&link).await;
    let expected = link.replace("/unlock/", "/link?purpose=unlock&token=");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    let done = app.browser().post_form(&link, &[]).await;
    assert_eq!(
        done.location(),
        Some("/login?success=unlock&email=ada%40example.com&identity=ada%40example.com")
    );
}

#[rocket::async_test]
async fn where_it_is_off_the_lock_ends_by_itself_alone() {
    let app = Plan::new().set("unlock.enabled", false).start().await;
    app.user(ADA).await;
    app.shut(&app.program(), ADA).await;
    assert!(app.mails.all().is_empty());
    assert_eq!(app.browser().get("/unlock/nonsense").await.status, 404);
    app.later(Duration::from_mins(15));
    assert!(app.lets_in(ADA, PASSWORD).await);
}
