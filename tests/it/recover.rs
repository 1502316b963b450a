//! A new password by mail: by link or code, each once, and all that it ends.

use std::time::Duration;

use rocket_security::EventKind;
use serde_json::{Value, json};

use crate::{
    app::{App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite},
    smtp_server::SmtpServer,
    with_smtp::mailed::{NEW, assert_refused, credentials, link_in, new_password},
};

const ADA: &str = "ada@example.com";

fn reset(kind: &EventKind) -> bool {
    matches!(kind, EventKind::PasswordReset { .. })
}

async fn ask(app: &App, email: &str) {
    let answer = app.post("/reset", json!({"email": email})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn by_code(email: &str, code: &str, password: &str) -> Value {
    json!({"email": email, "code": code, "password": password, "password_confirm": password})
}

#[rocket::async_test]
async fn the_link_sets_a_password_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        app.user(ADA).await;
        ask(&app, " Ada@Example.com").await;
        let sent = |kind: &EventKind| matches!(kind, EventKind::ResetInstructionsSent { .. });
        assert_eq!(app.count(sent).await, 1);
        let mail = app.delivered(&server, ADA, 1).await;
        let link = link_in(&mail);
        app.look_at(&link).await;
        assert!(app.lets_in(ADA, PASSWORD).await, "nothing has changed yet");
        let answer = app.post(&link, new_password(NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"], json!({}));
        assert!(
            answer.cookie("security_session").is_none(),
            "nobody is signed in"
        );
        assert_refused(
            &app.post(&link, new_password(WRONG)).await,
            400,
            "ticket.invalid",
        );
        let again = by_code(ADA, &mail.code(), WRONG);
        assert_refused(&app.post("/reset/code", again).await, 400, "code.invalid");
        assert!(app.lets_in(ADA, NEW).await && !app.lets_in(ADA, PASSWORD).await);
        assert_eq!(app.count(reset).await, 1);
        let notice = app.delivered(&server, ADA, 2).await;
        assert!(notice.subject.contains("was changed"), "{}", notice.subject);
    })
    .await;
}

#[rocket::async_test]
async fn the_code_sets_a_password_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        app.user(ADA).await;
        ask(&app, ADA).await;
        let mail = app.delivered(&server, ADA, 1).await;
        let code = mail.code();
        // What is wrong with the password costs no attempt at the code.
        for _ in 0..6 {
            let poor = app.post("/reset/code", by_code(ADA, &code, "short")).await;
            assert_refused(&poor, 400, "password.too_short");
        }
        let answer = app.post("/reset/code", by_code(ADA, &code, NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let again = app.post("/reset/code", by_code(ADA, &code, WRONG)).await;
        assert_refused(&again, 400, "code.invalid");
        let again = app.post(&link_in(&mail), new_password(WRONG)).await;
        assert_refused(&again, 400, "ticket.invalid");
        assert!(app.lets_in(ADA, NEW).await && !app.lets_in(ADA, PASSWORD).await);
        assert_eq!(app.count(reset).await, 1);
        app.delivered(&server, ADA, 2).await;
    })
    .await;
}

#[rocket::async_test]
async fn a_person_chooses_a_password_on_the_page_of_the_link() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    app.user(ADA).await;
    let browser = app.browser();
    let page = browser.submit("/reset", &[("email", ADA)]).await;
    assert!(page.status == 200 && page.text().contains("enter the code here"));
    let link = link_in(&app.delivered(&server, ADA, 1).await);
    let fields = |password, again| [("password", password), ("password_confirm", again)];
    // A poor password and two that differ leave the link as good as it was.
    for (password, again, says) in [
        ("short", "short", "at least 8 characters"),
        (NEW, WRONG, "not the same"),
        ("ada@example.com", "ada@example.com", "sec-field__errors"),
    ] {
        let answer = browser.submit(&link, &fields(password, again)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
        assert!(!answer.text().contains(NEW));
    }
    let answer = browser.submit(&link, &fields(NEW, NEW)).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(browser.reads(&answer, "Your new password is set").await);
    assert!(!browser.is_signed_in().await);
    assert!(app.lets_in(ADA, NEW).await);
    let used = browser.post_form(&link, &fields(WRONG, WRONG)).await;
    assert_eq!((used.status, used.location()), (302, Some("/reset")));
    assert!(
        browser
            .reads(&used, "has expired or was already used")
            .await
    );
}

#[rocket::async_test]
async fn a_person_chooses_a_password_with_the_code() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    app.user(ADA).await;
    let browser = app.browser();
    let page = browser.submit("/reset", &[("email", ADA)]).await;
    let code = app.delivered(&server, ADA, 1).await.code();
    let fields = |code| {
        [
            ("email", ADA),
            ("code", code),
            ("password", NEW),
            ("password_confirm", NEW),
        ]
    };
    let wrong = browser.press(&page, &fields("nonsense")).await;
    assert!(wrong.status == 200 && wrong.text().contains("The code is wrong or has expired"));
    let answer = browser.press(&wrong, &fields(&code)).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(browser.reads(&answer, "Your new password is set").await);
    assert!(app.lets_in(ADA, NEW).await);
}

#[rocket::async_test]
async fn nobody_learns_whether_an_address_has_an_account() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        app.user_with("shut@example.com", |new| new.active(false))
            .await;
        let identities = [ADA, "shut@example.com", "nobody@example.com"];
        let (mut asked, mut typed) = (Vec::new(), Vec::new());
        for email in identities {
            asked.push(app.told("/reset", json!({"email": email})).await);
            typed.push(app.told("/reset/code", by_code(email, "000000", NEW)).await);
        }
        for (n, identity) in identities.into_iter().enumerate() {
            assert_eq!(asked[n], asked[0], "{identity}");
            assert_eq!(typed[n], typed[0], "{identity}");
        }
        assert_eq!((asked[0].json.0, typed[0].json.0), (200, 400));
        assert_eq!(
            (app.mails.all().len(), app.count_mails(ADA, "recover")),
            (1, 1)
        );
    })
    .await;
}

#[rocket::async_test]
async fn guesses_at_codes_of_nobody_are_locked_like_those_of_somebody() {
    let app = App::new().await;
    app.user(ADA).await;
    ask(&app, ADA).await;
    let mut seen = Vec::new();
    for email in [ADA, "nobody@example.com"] {
        let mut statuses = Vec::new();
        for _ in 0..12 {
            let answer = app
                .post("/reset/code", by_code(email, "nonsense", NEW))
                .await;
            statuses.push((answer.status, answer.codes()));
        }
        seen.push(statuses);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0][11].0, 429);
}

#[rocket::async_test]
async fn a_telling_site_says_why_there_is_no_mail() {
    let app = Plan::new().telling().start().await;
    app.user_with("shut@example.com", |new| new.active(false))
        .await;
    for (email, code) in [
        ("shut@example.com", "login.inactive"),
        ("nobody@example.com", "email.unknown"),
    ] {
        let answer = app.post("/reset", json!({"email": email})).await;
        assert_refused(&answer, 400, code);
    }
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn a_new_password_ends_everything_that_was_open() {
    for_each_database(|plan| async move {
        let app = plan.set("passwordless.enabled", true).start().await;
        app.user(ADA).await;
        let inside = app.inside(ADA).await;
        app.post("/login/link", json!({"email": ADA})).await;
        let change = json!({"email": "new@example.com"});
        let asked = inside.session.post_json("/change-email", change).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        ask(&app, ADA).await;
        let answer = app
            .post(&app.link_to(ADA, "recover"), new_password(NEW))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(inside.still().await, [false; 3]);
        for link in [
            app.link_to(ADA, "passwordless"),
            app.link_to("new@example.com", "change_email"),
        ] {
            assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
        }
        let open = "SELECT COUNT(*) AS n FROM security_tickets WHERE used_at IS NULL";
        assert_eq!(app.number(open).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_reset_proves_the_address() {
    for_each_database(|plan| async move {
        let app = plan.set("confirm.grace", 0).start().await;
        app.user_with(ADA, |new| new.confirmed(false)).await;
        assert!(!app.lets_in(ADA, PASSWORD).await);
        ask(&app, ADA).await;
        let answer = app
            .post(&app.link_to(ADA, "recover"), new_password(NEW))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let confirmed = |kind: &EventKind| matches!(kind, EventKind::EmailConfirmed { .. });
        assert_eq!((app.count(confirmed).await, app.count(reset).await), (1, 1));
        assert!(app.lets_in(ADA, NEW).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_reset_opens_a_lock_of_the_account_and_of_the_browser_in_use() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let known = app.browser();
        known.login(ADA, PASSWORD).await;
        known.logout().await;
        app.shut(&app.program(), ADA).await;
        app.shut(&known, ADA).await;
        ask(&app, ADA).await;
        let link = app.link_to(ADA, "recover");
        let answer = known.post_json(&link, new_password(NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(app.lets_in(ADA, NEW).await);
        known.login(ADA, NEW).await;
        assert!(known.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn a_password_that_is_to_be_replaced_opens_only_the_way_to_a_new_one() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let inside = app.inside(ADA).await;
        app.accounts().require_new_password(&ada.id).await.unwrap();
        assert_eq!(inside.still().await, [false; 3]);
        let basic = app.program().basic(ADA, PASSWORD).get("/g/basic").await;
        assert_eq!(basic.status, 401);

        let program = app.browser().in_json();
        let query = "/login?include_auth_token";
        let answer = program.post_json(query, credentials(ADA, PASSWORD)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let response = answer.json()["response"].clone();
        assert_eq!(response["new_password_required"], true);
        assert_eq!(response["user"], Value::Null, "no token");
        assert!(!program.is_signed_in().await);
        let state = response["state_token"].as_str().unwrap().to_string();

        // Signing in again, by the form, leads to the page; the older token is dead then.
        let browser = app.browser();
        let fields = [("email", ADA), ("password", PASSWORD), ("remember", "true")];
        let answer = browser.submit("/login?next=/me", &fields).await;
        assert_eq!(answer.status, 302);
        let page = answer.location().unwrap().to_string();
        assert!(page.starts_with("/reset/"), "{page}");
        assert!(
            browser
                .reads(&answer, "choose a new password to go on")
                .await
        );
        assert!(!browser.is_signed_in().await);
        assert_eq!(browser.cookie("security_remember"), None);
        let dead = app
            .post(&format!("/reset/{state}"), new_password(NEW))
            .await;
        assert_refused(&dead, 400, "ticket.invalid");

        // The same password is no new one.
        let same = app.post(&page, new_password(PASSWORD)).await;
        assert_refused(&same, 400, "change_password.same");
        let fields = [("password", NEW), ("password_confirm", NEW)];
        let done = browser.submit(&page, &fields).await;
        assert_eq!((done.status, done.location()), (302, Some("/login")));
        assert!(!app.lets_in(ADA, PASSWORD).await && app.lets_in(ADA, NEW).await);
        let mails: Vec<_> = app
            .mails_to(ADA)
            .into_iter()
            .map(|mail| mail.kind)
            .collect();
        assert_eq!(mails, ["password_changed"]);
    })
    .await;
}

#[rocket::async_test]
async fn the_way_to_a_new_password_is_open_for_ten_minutes() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    app.accounts().require_new_password(&ada.id).await.unwrap();
    let answer = app.post("/login", credentials(ADA, PASSWORD)).await;
    let state = answer.json()["response"]["state_token"].clone();
    app.later(Duration::from_mins(10));
    let late = app
        .post(
            &format!("/reset/{}", state.as_str().unwrap()),
            new_password(NEW),
        )
        .await;
    assert_refused(&late, 400, "ticket.invalid");
}

#[rocket::async_test]
async fn a_reset_signs_in_where_the_site_wants_it() {
    let app = Plan::new().set("recover.sign_in", true).start().await;
    app.user(ADA).await;
    ask(&app, ADA).await;
    let browser = app.browser();
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let answer = browser.submit(&app.link_to(ADA, "recover"), &fields).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn link_and_code_run_out_exactly() {
    let app = Plan::new().set("recover.life", "1h").start().await;
    app.user(ADA).await;
    ask(&app, ADA).await;
    let (link, code) = (app.link_to(ADA, "recover"), app.code_to(ADA, "recover"));
    app.clock.shift(3_600_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    assert_refused(
        &app.post(&link, new_password(NEW)).await,
        400,
        "ticket.invalid",
    );
    let typed = app.post("/reset/code", by_code(ADA, &code, NEW)).await;
    assert_refused(&typed, 400, "code.invalid");
    assert!(app.lets_in(ADA, PASSWORD).await);
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = Plan::new().set("spa.enabled", true).start().await;
    app.user(ADA).await;
    ask(&app, ADA).await;
    let link = app.link_to(ADA, "recover");
    let view = app.browser().get(&link).await;
    let expected = link.replace("/reset/", "/link?purpose=reset&token=");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    let bad = app.browser().get("/reset/nonsense").await;
    assert_eq!(
        bad.location(),
        Some("/link?purpose=reset&error=ticket.invalid")
    );
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let done = app.browser().post_form(&link, &fields).await;
    assert_eq!(
        done.location(),
        Some("/login?success=reset&email=ada%40example.com&identity=ada%40example.com")
    );
}

#[rocket::async_test]
async fn where_it_is_off_there_is_no_page_and_no_link_to_it() {
    let app = Plan::new().set("recover.enabled", false).start().await;
    let ada = app.user(ADA).await;
    assert_eq!(app.browser().get("/reset").await.status, 404);
    assert!(
        !app.browser()
            .get("/login")
            .await
            .text()
            .contains("Forgot your password")
    );
    // Then nobody can do what is asked of them, and it is said.
    app.accounts().require_new_password(&ada.id).await.unwrap();
    let answer = app.post("/login", credentials(ADA, PASSWORD)).await;
    assert_refused(&answer, 401, "denied.new_password");
}

#[rocket::async_test]
async fn a_person_who_owes_a_new_password_is_told_so() {
    let app = Plan::new().start().await;
    let ada = app.user(ADA).await;
    app.accounts().require_new_password(&ada.id).await.unwrap();
    let browser = app.browser();
    let answer = browser.login(ADA, PASSWORD).await;
    let path = answer.location().expect("the form").to_string();
    assert!(path.starts_with("/reset/"), "{path}");
    let page = browser.get(&path).await.text();
    let wrong = [("password", "short"), ("password_confirm", "short")];
    let again = browser.post_form(&path, &wrong).await.text();
    for page in [page, again] {
        assert!(
            page.contains("You need a new password before you can sign in"),
            "{page}"
        );
        // That is for a link which somebody else may have asked for.
        for reassurance in ["close this page", "If you did not ask for this"] {
            assert!(!page.contains(reassurance), "{reassurance}: {page}");
        }
    }
    // Whoever follows a mailed link is told the other.
    ask(&app, ADA).await;
    let page = app.browser().get(&app.link_to(ADA, "recover")).await;
    assert!(!page.text().contains("You need a new password"));
    assert!(page.text().contains("If you did not ask for this"));
}
