//! Attacks on the whole, found by trying: each got through once.

use rocket::futures::future::join_all;
use rocket_security::NewUser;
use serde_json::json;

use crate::app::{PASSWORD, Plan, WRONG, for_each_database};

#[rocket::async_test]
async fn no_guess_is_answered_once_the_door_is_shut_however_many_were_under_way() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let guesses = (0..60).map(|n| {
            let (program, password) = (app.program(), if n == 45 { PASSWORD } else { WRONG });
            async move {
                let body = json!({"email": "ada@example.com", "password": password});
                program.post_json("/login", body).await.status
            }
        });
        let statuses = join_all(guesses).await;
        let answered = statuses.iter().filter(|status| **status != 429).count();
        // The limit is ten wrong ones; a right one before them opens the door and begins anew.
        assert!(answered <= 21, "{answered} of {statuses:?}");
        let (wrong, _): (Vec<u16>, Vec<u16>) = statuses.iter().partition(|status| **status == 400);
        assert!(wrong.len() <= 20, "{statuses:?}");
        if statuses[45] == 429 {
            let others = statuses
                .iter()
                .enumerate()
                .filter(|(n, status)| *n != 45 && **status == 429);
            assert!(
                others.count() >= 40,
                "the refusal tells which was right: {statuses:?}"
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn what_a_device_opens_while_it_is_revoked_is_revoked_too() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user("ada@example.com").await;
        for _ in 0..5 {
            let owner = app.signed_in(&ada).await;
            let other = app.browser();
            other.login_remembered("ada@example.com", PASSWORD).await;
            other.forget_cookie("security_session");
            let thieves: Vec<_> = (0..4).map(|_| other.copy()).collect();
            let come_back = join_all(thieves.iter().map(|thief| thief.get("/g/signed-in")));
            let (_, revoked) =
                rocket::tokio::join!(come_back, owner.post_form("/sessions/revoke-others", &[]));
            assert_eq!(revoked.status, 302);
            for thief in &thieves {
                assert!(
                    !thief.is_signed_in().await,
                    "it opened what was to be ended"
                );
            }
            assert!(owner.is_signed_in().await);
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_lock_on_a_name_does_not_tell_whether_it_has_an_account() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("known@example.com").await;
        for name in ["known@example.com", "free@example.com"] {
            for _ in 0..10 {
                let body = json!({"email": name, "password": WRONG});
                app.program().post_json("/login", body).await;
            }
            let form = json!({"email": name, "password": PASSWORD, "password_confirm": PASSWORD});
            assert_eq!(app.program().post_json("/register", form).await.status, 200);
            let body = json!({"email": name, "password": WRONG});
            assert_eq!(
                app.program().post_json("/login", body).await.status,
                429,
                "{name}"
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn the_password_of_a_shut_account_is_no_cheaper_to_guess() {
    let app = Plan::new().start().await;
    app.user_with("ada@example.com", |new: NewUser| new.active(false))
        .await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(app.program().post_json("/login", body.clone()).await.status);
    }
    assert_eq!(statuses[..10], [400; 10]);
    assert_eq!(statuses[10..], [429; 2]);
}

#[rocket::async_test]
async fn one_address_makes_only_so_many_accounts() {
    let app = Plan::new()
        .set("limits.registrations_per_address", 3)
        .start()
        .await;
    let register = |n: u32| {
        let (program, email) = (
            app.program().from("203.0.113.7"),
            format!("a{n}@example.com"),
        );
        async move {
            let form = json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD});
            program.post_json("/register", form).await
        }
    };
    for n in 0..3 {
        assert_eq!(register(n).await.status, 200);
    }
    let refused = register(3).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 3);
}

#[rocket::async_test]
async fn a_token_in_the_header_touches_no_session_of_the_browser() {
    let app = Plan::new().start().await;
    let ada = app.user("ada@example.com").await;
    app.user("eve@example.com").await;
    let browser = app.signed_in(&ada).await;
    let csrf = browser.csrf().await;
    let junk = browser.copy().token("junk").header("X-CSRF-Token", &csrf);
    let body = json!({"email": "eve@example.com", "password": PASSWORD});
    assert_eq!(junk.post_json("/login", body).await.status, 400);
    let token = app.token("eve@example.com").await;
    let stranger = browser.copy().token(&token);
    assert_eq!(stranger.post_json("/logout", json!({})).await.status, 200);
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn another_site_puts_no_words_on_our_error_page() {
    let app = Plan::new().start().await;
    let visitor = app.browser();
    let body = b"You+are+hacked,+call+555=%00";
    let page = visitor
        .post_body("/login", "application/x-www-form-urlencoded", body)
        .await;
    assert_eq!(page.status, 400);
    assert!(!page.text().contains("hacked"), "{}", page.text());
}

#[rocket::async_test]
async fn a_token_is_made_only_for_whoever_is_shown_it() {
    let app = Plan::new().start().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    assert_eq!(
        browser
            .post_form("/login?include_auth_token", &fields)
            .await
            .status,
        302
    );
    assert_eq!(
        app.number("SELECT COUNT(*) AS n FROM security_tokens")
            .await,
        0
    );
}
