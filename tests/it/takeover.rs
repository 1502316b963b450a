//! Attacks on the life of an account by mail, found by trying: each got through once.

use std::time::Duration;

use rocket_security::MailState;
use serde_json::json;

use crate::{
    app::{PASSWORD, Plan, for_each_database},
    with_smtp::mailed::{NEW, credentials, new_password},
};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
const EVES: &str = "eve has this password now";

#[rocket::async_test]
async fn what_a_session_or_password_asks_for_does_not_outlive_them_in_flight() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().set("mail.throttle", 0).set("mail.per_day", 10_000).start().await;
        for round in 0..12 {
            let email = format!("ada{round}@example.com");
            let user = app.user(&email).await;
            let thief = app.signed_in(&user).await.in_json();
            app.program().post_json("/reset", json!({"email": email})).await;
            let link = app.link_to(&email, "recover");
            if round % 3 == 2 {
                app.accounts().require_new_password(&user.id).await.unwrap();
            }
            let owner = async { app.program().post_json(&link, new_password(NEW)).await.status };
            let stolen = format!("stolen{round}@example.com");
            let attack = async {
                let mut tokens = Vec::new();
                for _ in 0..6 {
                    let answer = match round % 3 {
                        0 => {
                            let body = json!({"password": PASSWORD, "new_password": EVES, "new_password_confirm": EVES});
                            thief.post_json("/change", body).await
                        }
                        1 => thief.post_json("/change-email", json!({"email": stolen})).await,
                        _ => app.program().post_json("/login", credentials(&email, PASSWORD)).await,
                    };
                    tokens.push(answer.json()["response"]["state_token"].as_str().map(String::from));
                }
                tokens
            };
            let (owner, tokens) = rocket::futures::future::join(owner, attack).await;
            if owner != 200 {
                // The thief was first, and the owner asks again.
                continue;
            }
            if !app.mails_to(&stolen).is_empty() {
                let link = app.link_to(&stolen, "change_email");
                assert_eq!(app.program().post_json(&link, json!({})).await.status, 400, "{round}");
            }
            for token in tokens.into_iter().flatten() {
                let path = format!("/reset/{token}");
                assert_eq!(app.program().post_json(&path, new_password(EVES)).await.status, 400, "{round}");
            }
            let login = async |password: &str| app.program().login(&email, password).await.status;
            assert_eq!((login(NEW).await, login(EVES).await), (200, 400), "{round}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn an_address_that_can_be_taken_back_is_taken_by_nobody_else() {
    for_each_database(|plan| async move {
        let app = plan.set("confirm.grace", 0).start().await;
        let ada = app.user(ADA).await;
        let bob = app.user("bob@example.com").await;
        let thief = app.signed_in(&ada).await.in_json();
        thief
            .post_json("/change-email", json!({"email": EVE}))
            .await;
        let link = app.link_to(EVE, "change_email");
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
        let undo = app.link_to(ADA, "changed");
        // Nobody registers it, and nobody changes to it; the answers are the same as ever.
        let body = json!({"email": ADA, "password": PASSWORD, "password_confirm": PASSWORD});
        assert_eq!(app.program().post_json("/register", body).await.status, 200);
        assert_eq!(app.store().count_users().await.unwrap(), 2);
        assert_eq!(app.count_mails(ADA, "existing"), 1);
        assert_eq!(app.count_mails(EVE, "existing"), 0);
        let other = app.signed_in(&bob).await.in_json();
        assert_eq!(
            other
                .post_json("/change-email", json!({"email": ADA}))
                .await
                .status,
            200
        );
        assert_eq!(
            (
                app.count_mails(ADA, "change_email"),
                app.count_mails(ADA, "taken")
            ),
            (0, 1)
        );
        assert_eq!(app.program().post_json(&undo, json!({})).await.status, 200);
        let user = app.store().find_user(&ada.id).await.unwrap().unwrap();
        assert_eq!(user.email, ADA);
    })
    .await;
}

#[rocket::async_test]
async fn an_owner_who_changes_back_arms_nobody() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        browser
            .post_json("/change-email", json!({"email": EVE}))
            .await;
        let link = app.link_to(EVE, "change_email");
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
        app.later(Duration::from_mins(2));
        let answer = browser
            .post_json("/change-email", json!({"email": ADA}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let link = app.link_to(ADA, "change_email");
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
        // The address that was the account's in between is told, and gets no power over it.
        let told = app.newest(EVE, "changed");
        assert!(!told.text.contains("/undo/"), "{}", told.text);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_tickets WHERE purpose = 'undo'")
                .await,
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_password_of_a_contested_account_does_not_survive_its_confirmation() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let register = async |password: &str| {
            let body = json!({"email": ADA, "password": password, "password_confirm": password});
            assert_eq!(app.program().post_json("/register", body).await.status, 200);
        };
        register(EVES).await;
        app.later(Duration::from_mins(2));
        // The owner of the address registers too, and then follows the next mail that asks to confirm.
        register(PASSWORD).await;
        app.program()
            .post_json("/confirm", json!({"email": ADA}))
            .await;
        let link = app.link_to(ADA, "confirm");
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 200);
        assert_eq!(app.program().login(ADA, EVES).await.status, 400);
        assert_eq!(app.count_mails(ADA, "password_removed"), 1);
    })
    .await;
}

#[rocket::async_test]
async fn guessing_codes_of_a_new_address_keeps_nobody_from_signing_in() {
    let app = Plan::new().start().await;
    app.user(ADA).await;
    for _ in 0..15 {
        let body = json!({"email": ADA, "code": "000000"});
        app.program().post_json("/change-email/code", body).await;
    }
    assert_eq!(app.program().login(ADA, PASSWORD).await.status, 200);
    assert_eq!(app.count_mails(ADA, "unlock"), 0);
}

#[rocket::async_test]
async fn a_change_that_was_asked_for_ends_with_the_session_that_asked() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let (thief, owner) = (app.signed_in(&ada).await, app.signed_in(&ada).await);
        thief
            .in_json()
            .post_json("/change-email", json!({"email": EVE}))
            .await;
        let link = app.link_to(EVE, "change_email");
        assert_eq!(
            owner.post_form("/sessions/revoke-others", &[]).await.status,
            302
        );
        assert_eq!(app.program().post_json(&link, json!({})).await.status, 400);
        let user = app.store().find_user(&ada.id).await.unwrap().unwrap();
        assert_eq!(user.email, ADA);
    })
    .await;
}

#[rocket::async_test]
async fn an_account_sends_no_flood_of_mails() {
    let app = Plan::new().start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let mut last = 200;
    for n in 0..30 {
        let body = json!({"email": format!("stranger{n}@example.com")});
        last = browser.post_json("/change-email", body).await.status;
    }
    assert_eq!(last, 429);
    let waiting = app
        .store()
        .list_mails(Some(MailState::Waiting), 100)
        .await
        .unwrap();
    let sent = app
        .store()
        .list_mails(Some(MailState::Sent), 100)
        .await
        .unwrap();
    assert!(waiting.len() + sent.len() <= 10);
}

#[rocket::async_test]
async fn nobody_uses_up_the_mails_of_an_owner_in_a_browser_that_is_known() {
    let app = Plan::new().set("passwordless.enabled", true).start().await;
    app.user(ADA).await;
    let owner = app.browser();
    owner.login(ADA, PASSWORD).await;
    owner.logout().await;
    for _ in 0..15 {
        app.program()
            .post_json("/login/link", json!({"email": ADA}))
            .await;
        app.later(Duration::from_mins(2));
    }
    let before = app.count_mails(ADA, "passwordless");
    assert_eq!(before, 10);
    owner
        .in_json()
        .post_json("/login/link", json!({"email": ADA}))
        .await;
    assert_eq!(app.count_mails(ADA, "passwordless"), before + 1);
    // Nor those of somebody who is about to register.
    for _ in 0..15 {
        app.program()
            .post_json("/confirm", json!({"email": EVE}))
            .await;
        app.later(Duration::from_mins(2));
    }
    let body = json!({"email": EVE, "password": PASSWORD, "password_confirm": PASSWORD});
    app.program().post_json("/register", body).await;
    assert_eq!(app.count_mails(EVE, "confirm"), 1);
}

#[rocket::async_test]
async fn basic_does_not_tell_whose_address_is_waiting_to_be_confirmed() {
    let app = Plan::new()
        .set("confirm.grace", 0)
        .set("basic.everywhere", true)
        .start()
        .await;
    app.user(ADA).await;
    for email in [ADA, EVE] {
        let body = json!({"email": email, "password": EVES, "password_confirm": EVES});
        app.program().post_json("/register", body).await;
    }
    let ask = async |email: &str| {
        let answer = app.program().basic(email, EVES).get("/me").await;
        (answer.status, answer.text())
    };
    assert_eq!(ask(ADA).await, ask(EVE).await);
}
