//! Confirming an address: by link or code, each once, and what it ends.

use std::time::Duration;

use rocket_security::EventKind;
use serde_json::json;

use crate::{
    app::{App, PASSWORD, Plan, WRONG, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::{SESSION, assert_refused, credentials, link_in},
};

const ADA: &str = "ada@example.com";

fn confirmed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::EmailConfirmed { .. })
}

async fn register(app: &App, email: &str) {
    let body = json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD});
    let answer = app.post("/register", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn unconfirmed(app: &App) -> i64 {
    app.number("SELECT COUNT(*) AS n FROM users WHERE confirmed_at IS NULL")
        .await
}

#[rocket::async_test]
async fn the_link_confirms_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        register(&app, ADA).await;
        let mail = app.delivered(&server, ADA, 1).await;
        let link = link_in(&mail);
        app.look_at(&link).await;
        assert_eq!(
            (unconfirmed(&app).await, app.count(confirmed).await),
            (1, 0)
        );
        let answer = app.post(&link, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"], json!({}));
        assert_eq!(
            (unconfirmed(&app).await, app.count(confirmed).await),
            (0, 1)
        );
        // Neither of the two opens anything again.
        let again = app.post(&link, json!({})).await;
        assert_refused(&again, 400, "ticket.invalid");
        let code = json!({"email": ADA, "code": mail.code()});
        let again = app.post("/confirm/code", code).await;
        assert_refused(&again, 400, "code.invalid");
        assert_eq!(app.admitted().await, 0, "it signs nobody in");
    })
    .await;
}

#[rocket::async_test]
async fn the_code_confirms_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        register(&app, ADA).await;
        // Asked for anew: only the newer mail is good.
        let older = app.delivered(&server, ADA, 1).await;
        app.later(Duration::from_mins(2));
        let asked = app
            .post("/confirm", json!({"email": "ADA@example.com "}))
            .await;
        assert_eq!(asked.status, 200);
        let mail = app.delivered(&server, ADA, 2).await;
        let sent = |kind: &EventKind| matches!(kind, EventKind::ConfirmInstructionsSent { .. });
        assert_eq!(app.count(sent).await, 2);
        let dead = app.post(&link_in(&older), json!({})).await;
        assert_refused(&dead, 400, "ticket.invalid");
        let spaced = format!("{} {}", &mail.code()[..3], &mail.code()[3..]);
        let code = json!({"email": ADA, "code": spaced});
        let answer = app.post("/confirm/code", code.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            (unconfirmed(&app).await, app.count(confirmed).await),
            (0, 1)
        );
        let again = app.post("/confirm/code", code).await;
        assert_refused(&again, 400, "code.invalid");
        let again = app.post(&link_in(&mail), json!({})).await;
        assert_refused(&again, 400, "ticket.invalid");
    })
    .await;
}

#[rocket::async_test]
async fn a_person_confirms_by_the_button_of_the_page() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    let browser = app.browser();
    let fields = [
        ("email", ADA),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let answer = browser.submit("/register", &fields).await;
    assert_eq!(answer.location(), Some("/login"));
    assert!(
        browser
            .reads(&answer, "Check your inbox and follow the link")
            .await
    );
    let mail = app.delivered(&server, ADA, 1).await;
    let reader = app.browser();
    let answer = reader.submit(&link_in(&mail), &[]).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(reader.reads(&answer, "your address is confirmed").await);
    assert!(
        !reader.reads(&answer, "your address is confirmed").await,
        "said once"
    );
    // A used link leads to where another can be asked for.
    let used = reader.get(&link_in(&mail)).await;
    assert_eq!((used.status, used.location()), (302, Some("/confirm")));
    assert!(
        reader
            .reads(&used, "If you confirmed your address before, sign in")
            .await
    );
}

#[rocket::async_test]
async fn a_person_asks_for_a_mail_and_types_its_code() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    app.user_with(ADA, |new| new.confirmed(false)).await;
    let browser = app.browser();
    let page = browser.submit("/confirm", &[("email", ADA)]).await;
    assert!(page.status == 200 && page.text().contains("enter the code here"));
    let mail = app.delivered(&server, ADA, 1).await;
    let wrong = browser
        .press(&page, &[("email", ADA), ("code", "12 34")])
        .await;
    assert!(wrong.status == 200 && wrong.text().contains("The code is wrong or has expired"));
    let code = mail.code();
    let answer = browser
        .press(&wrong, &[("email", ADA), ("code", &code)])
        .await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(browser.reads(&answer, "your address is confirmed").await);
}

#[rocket::async_test]
async fn nobody_learns_whether_an_address_has_an_account() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user_with(ADA, |new| new.confirmed(false)).await;
        app.user("known@example.com").await;
        app.user_with("shut@example.com", |new| new.active(false).confirmed(false))
            .await;
        let identities = [
            ADA,
            "known@example.com",
            "shut@example.com",
            "nobody@example.com",
        ];
        let (mut asked, mut typed) = (Vec::new(), Vec::new());
        for email in identities {
            asked.push(app.told("/confirm", json!({"email": email})).await);
            let code = json!({"email": email, "code": "000000"});
            typed.push(app.told("/confirm/code", code).await);
        }
        for (n, identity) in identities.into_iter().enumerate() {
            assert_eq!(asked[n], asked[0], "{identity}");
            assert_eq!(typed[n], typed[0], "{identity}");
        }
        assert_eq!((asked[0].json.0, typed[0].json.0), (200, 400));
        assert_eq!(app.mails.all().len(), 1, "asked twice within a minute");
        assert_eq!(app.count_mails(ADA, "confirm"), 1);
        let sent = |kind: &EventKind| matches!(kind, EventKind::ConfirmInstructionsSent { .. });
        assert_eq!(app.count(sent).await, 1);
        // That something is no address is no secret.
        for (typed, code) in [("", "input.required"), ("nonsense", "email.invalid")] {
            let answer = app.post("/confirm", json!({"email": typed})).await;
            assert_refused(&answer, 400, code);
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_why_there_is_no_mail() {
    let app = Plan::new().telling().start().await;
    app.user(ADA).await;
    app.user_with("shut@example.com", |new| new.active(false))
        .await;
    for (email, code) in [
        (ADA, "confirm.already"),
        ("shut@example.com", "login.inactive"),
        ("nobody@example.com", "email.unknown"),
    ] {
        let answer = app.post("/confirm", json!({"email": email})).await;
        assert_refused(&answer, 400, code);
    }
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn an_account_works_unconfirmed_for_a_while_and_then_stops() {
    for_each_database(|plan| async move {
        let app = plan.set("confirm.grace", "10 min").start().await;
        register(&app, ADA).await;
        let inside = app.inside(ADA).await;
        app.clock.shift(10 * 60_000 - 1);
        assert_eq!(inside.still().await, [true; 3]);
        app.clock.shift(1);
        assert_eq!(inside.still().await, [false; 3]);
        let right = app.post("/login", credentials(ADA, PASSWORD)).await;
        let wrong = app.post("/login", credentials(ADA, WRONG)).await;
        let nobody = credentials("nobody@example.com", WRONG);
        let nobody = app.post("/login", nobody).await;
        assert_eq!(right.body, wrong.body);
        assert_eq!(right.body, nobody.body);
        assert_refused(&right, 400, "login.wrong_or_unconfirmed");
        let basic = app.program().basic(ADA, PASSWORD).get("/g/basic").await;
        assert_eq!(basic.status, 401);
        // The mail is good still, and opens the account with the password that was chosen.
        let link = app.link_to(ADA, "confirm");
        assert_eq!(app.post(&link, json!({})).await.status, 200);
        assert!(app.lets_in(ADA, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn without_grace_a_right_password_is_answered_like_a_wrong_one() {
    for_each_database(|plan| async move {
        let app = plan.set("confirm.grace", 0).start().await;
        register(&app, ADA).await;
        app.user("known@example.com").await;
        let mut told = Vec::new();
        for (email, password) in [
            (ADA, PASSWORD),
            (ADA, WRONG),
            ("known@example.com", WRONG),
            ("nobody@example.com", PASSWORD),
        ] {
            told.push(app.told("/login", credentials(email, password)).await);
        }
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        assert_eq!(
            (told[0].json.0, told[0].page.0, told[0].hashes),
            (400, 200, 2)
        );
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_what_is_missing_to_whoever_knows_the_password() {
    let app = Plan::new().telling().set("confirm.grace", 0).start().await;
    app.user_with(ADA, |new| new.confirmed(false)).await;
    let right = app.post("/login", credentials(ADA, PASSWORD)).await;
    assert_refused(&right, 400, "login.unconfirmed");
    let wrong = app.post("/login", credentials(ADA, WRONG)).await;
    assert_refused(&wrong, 400, "login.wrong_password");
}

#[rocket::async_test]
async fn what_somebody_planted_ends_when_the_owner_confirms() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        register(&app, ADA).await;
        let planted = app.inside(ADA).await;
        let own = app.browser();
        own.login(ADA, PASSWORD).await;
        app.later(Duration::from_mins(2));
        app.post("/reset", json!({"email": ADA})).await;
        let before = own.cookie(SESSION);
        let old = own.copy();
        let answer = own.submit(&app.link_to(ADA, "confirm"), &[]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(
            own.get("/sessions")
                .await
                .text()
                .contains("address is confirmed")
        );
        assert!(own.is_signed_in().await, "whoever confirmed goes on");
        assert_ne!(own.cookie(SESSION), before, "under a new id");
        assert!(!old.is_signed_in().await);
        assert_eq!(planted.still().await, [false; 3]);
        let reset = app.post(&app.link_to(ADA, "recover"), json!({})).await;
        assert_refused(&reset, 400, "ticket.invalid");
        assert!(app.lets_in(ADA, PASSWORD).await, "the password is kept");
    })
    .await;
}

#[rocket::async_test]
async fn a_link_that_comes_too_late_to_confirm_says_so_and_ends_nothing() {
    let app = App::new().await;
    register(&app, ADA).await;
    let ada = app.store().list_users(None, 1).await.unwrap().remove(0);
    assert!(app.accounts().confirm_user(&ada.id).await.unwrap());
    let inside = app.inside(ADA).await;
    let reader = app.browser();
    let answer = reader.submit(&app.link_to(ADA, "confirm"), &[]).await;
    assert!(reader.reads(&answer, "confirmed already").await);
    assert_eq!(inside.still().await, [true; 3]);
    // Only that of the application.
    assert_eq!(app.count(confirmed).await, 1);
}

#[rocket::async_test]
async fn confirming_signs_in_where_the_site_wants_it() {
    let app = Plan::new().set("confirm.sign_in", true).start().await;
    register(&app, ADA).await;
    let reader = app.browser();
    let answer = reader.submit(&app.link_to(ADA, "confirm"), &[]).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    assert!(reader.is_signed_in().await);
    // In JSON by code.
    register(&app, "bob@example.com").await;
    let code = app.code_to("bob@example.com", "confirm");
    let bob = app.browser().in_json();
    let body = json!({"email": "bob@example.com", "code": code});
    assert_eq!(bob.post_json("/confirm/code", body).await.status, 200);
    assert!(bob.is_signed_in().await);
    assert_eq!(app.admitted().await, 2);
}

#[rocket::async_test]
async fn confirming_makes_no_stale_sign_in_fresh() {
    let app = App::new().await;
    register(&app, ADA).await;
    let browser = app.browser();
    browser.login(ADA, PASSWORD).await;
    assert_eq!(browser.get("/g/fresh-600").await.status, 200);
    app.later(Duration::from_mins(10));
    browser.submit(&app.link_to(ADA, "confirm"), &[]).await;
    assert!(browser.is_signed_in().await);
    assert_eq!(browser.get("/g/fresh-600").await.status, 302);
}

#[rocket::async_test]
async fn link_and_code_run_out_exactly() {
    let app = Plan::new().set("confirm.life", "1h").start().await;
    register(&app, ADA).await;
    let (link, code) = (app.link_to(ADA, "confirm"), app.code_to(ADA, "confirm"));
    app.clock.shift(3_600_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    assert_refused(&app.program().get(&link).await, 400, "ticket.invalid");
    let used = app.post(&link, json!({})).await;
    assert_refused(&used, 400, "ticket.invalid");
    let code = json!({"email": ADA, "code": code});
    let typed = app.post("/confirm/code", code).await;
    assert_refused(&typed, 400, "code.invalid");
    assert_eq!(unconfirmed(&app).await, 1);
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = Plan::new().set("spa.enabled", true).start().await;
    register(&app, ADA).await;
    let link = app.link_to(ADA, "confirm");
    let token = link.strip_prefix("/confirm/").unwrap();
    let view = app.browser().get(&link).await;
    let expected = format!("/link?purpose=confirm&token={token}");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    assert_eq!(unconfirmed(&app).await, 1);
    let bad = app.browser().get("/confirm/nonsense").await;
    assert_eq!(
        bad.location(),
        Some("/link?purpose=confirm&error=ticket.invalid")
    );
    let done = app.browser().post_form(&link, &[]).await;
    assert_eq!(
        done.location(),
        Some("/login?success=confirm&email=ada%40example.com&identity=ada%40example.com")
    );
    assert_eq!(unconfirmed(&app).await, 0);
}

#[rocket::async_test]
async fn where_addresses_are_not_confirmed_there_is_a_welcome_instead() {
    let app = Plan::new().set("confirm.enabled", false).start().await;
    register(&app, ADA).await;
    assert_eq!(app.count_mails(ADA, "welcome"), 1);
    assert_eq!(app.browser().get("/confirm").await.status, 404);
    app.later(Duration::from_hours(24 * 2));
    assert!(app.lets_in(ADA, PASSWORD).await);
}
