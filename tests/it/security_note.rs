//! A private note: page and JSON, its event, and its end with the account.

use rocket_security::{Actor, EventKind};
use serde_json::json;

use crate::app::{Plan, for_each_database};

const PATH: &str = "/security-note";

fn plan(plan: Plan) -> Plan {
    plan.set("security_note.enabled", true).without_limits()
}

#[rocket::async_test]
async fn a_note_is_kept_changed_and_deleted_with_its_account() {
    for_each_database(|database| async move {
        let app = plan(database).start().await;
        let ada = app.user("ada@example.com").await;
        let browser = app.signed_in(&ada).await;
        assert_eq!(browser.get(PATH).await.status, 200);
        let answer = browser
            .post_form(PATH, &[("note", "The key is under the mat.")])
            .await;
        assert_eq!((answer.status, answer.location()), (302, Some(PATH)));
        assert!(browser.get(PATH).await.text().contains("under the mat"));
        let program = app.signed_in(&ada).await.in_json();
        let read = program.get(PATH).await.json();
        assert_eq!(read["response"]["note"], "The key is under the mat.");
        let wide = "\u{e4}".repeat(500);
        assert_eq!(
            program.post_json(PATH, json!({"note": wide})).await.status,
            200
        );
        let long = program
            .post_json(PATH, json!({"note": "x".repeat(501)}))
            .await;
        assert_eq!(
            (long.status, long.codes()),
            (400, vec!["security_note.too_long".into()])
        );
        assert_eq!(program.get(PATH).await.json()["response"]["note"], wide);
        let events = app.whole_events().await;
        let changed: Vec<_> = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::NoteChanged { .. }))
            .collect();
        assert_eq!(changed.len(), 2);
        assert!(
            changed
                .iter()
                .all(|event| event.actor == Actor::User(ada.id.clone()))
        );
        app.accounts().delete_user(&ada.id).await.unwrap();
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_notes").await,
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_note_is_its_owners_alone_and_off_by_default() {
    let app = plan(Plan::new()).start().await;
    let (ada, eve) = (
        app.user("ada@example.com").await,
        app.user("eve@example.com").await,
    );
    let answer = app
        .signed_in(&ada)
        .await
        .post_form(PATH, &[("note", "mine")])
        .await;
    assert_eq!(answer.status, 302);
    let others = app.signed_in(&eve).await.in_json().get(PATH).await.json();
    assert_eq!(others["response"]["note"], "");
    assert_eq!(app.program().get(PATH).await.status, 401);
    let off = Plan::new().start().await;
    let ada = off.user("ada@example.com").await;
    assert_eq!(off.signed_in(&ada).await.get(PATH).await.status, 404);
}
