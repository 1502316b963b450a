//! Signing in by a mailed link or code: through the gate like everybody, and each once.

use std::time::Duration;

use rocket_security::{EventKind, Method, Methods};
use serde_json::{Value, json};

use crate::{
    app::{App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite},
    smtp_server::SmtpServer,
    with_smtp::mailed::{NEW, assert_refused, credentials, link_in, new_password},
};

const ADA: &str = "ada@example.com";
const REMEMBER: &str = "security_remember";

fn on(plan: Plan) -> Plan {
    plan.set("passwordless.enabled", true)
}

fn typed(code: &str) -> Value {
    json!({"email": ADA, "code": code})
}

async fn ask(app: &App) {
    let answer = app.post("/login/link", json!({"email": ADA})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rocket::async_test]
async fn the_link_signs_in_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = on(plan).smtp(&server).start().await;
        app.user(ADA).await;
        ask(&app).await;
        let mail = app.delivered(&server, ADA, 1).await;
        let link = link_in(&mail);
        app.look_at(&link).await;
        assert_eq!(app.admitted().await, 0);
        let browser = app.browser().in_json();
        let answer = browser.post_json(&link, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["user"], json!({}));
        assert!(browser.is_signed_in().await);
        assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
        let code = app.post("/login/code", typed(&mail.code())).await;
        assert_refused(&code, 400, "code.invalid");
        let sent = |kind: &EventKind| matches!(kind, EventKind::LoginInstructionsSent { .. });
        assert_eq!(app.count(sent).await, 1);
        let by_email = |kind: &EventKind| {
            matches!(kind, EventKind::Authenticated { methods, .. }
                if *methods == Methods::of(Method::Email))
        };
        assert_eq!((app.count(by_email).await, app.admitted().await), (1, 1));
        assert!(
            app.lets_in(ADA, PASSWORD).await,
            "the password is as it was"
        );
    })
    .await;
}

#[rocket::async_test]
async fn the_code_signs_in_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = on(plan).smtp(&server).start().await;
        app.user(ADA).await;
        ask(&app).await;
        let mail = app.delivered(&server, ADA, 1).await;
        let query = "/login/code?include_auth_token";
        let answer = app.post(query, typed(&mail.code())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = answer.json()["response"]["user"]["authentication_token"].clone();
        let program = app.program().token(token.as_str().unwrap());
        assert!(program.is_signed_in().await);
        let again = app.post("/login/code", typed(&mail.code())).await;
        assert_refused(&again, 400, "code.invalid");
        let again = app.post(&link_in(&mail), json!({})).await;
        assert_refused(&again, 400, "ticket.invalid");
        assert_eq!(app.admitted().await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_goes_where_they_wanted_and_is_remembered() {
    let server = SmtpServer::start().await;
    let app = on(Plan::new()).smtp(&server).start().await;
    app.user(ADA).await;
    for by_link in [true, false] {
        let browser = app.browser();
        assert!(
            browser
                .get("/login")
                .await
                .text()
                .contains("Sign in by email instead")
        );
        let fields = [("email", ADA), ("remember", "true")];
        let page = browser.submit("/login/link?next=/me", &fields).await;
        assert!(page.status == 200 && page.text().contains("enter the code here"));
        let mail = app
            .delivered(&server, ADA, if by_link { 1 } else { 2 })
            .await;
        let answer = match by_link {
            // On another device: what was chosen goes with the mail.
            true => {
                let reader = app.browser();
                let answer = reader.submit(&link_in(&mail), &[]).await;
                assert!(reader.is_signed_in().await && !browser.is_signed_in().await);
                answer
            }
            false => {
                let wrong = [("email", ADA), ("code", "nonsense")];
                let wrong = browser.press(&page, &wrong).await;
                assert!(wrong.text().contains("The code is wrong or has expired"));
                let code = mail.code();
                browser
                    .press(&wrong, &[("email", ADA), ("code", &code)])
                    .await
            }
        };
        assert_eq!((answer.status, answer.location()), (302, Some("/me")));
        assert!(answer.cookie(REMEMBER).is_some());
        app.later(Duration::from_mins(2));
    }
    // Not everywhere, and only who asks for it.
    let page = app
        .browser()
        .submit("/login/link?next=//evil.com", &[("email", ADA)])
        .await;
    assert_eq!(page.status, 200);
    let link = link_in(&app.delivered(&server, ADA, 3).await);
    let answer = app.browser().submit(&link, &[]).await;
    assert_eq!(answer.location(), Some("/"));
    assert!(answer.cookie(REMEMBER).is_none());
    let used = app.browser().get(&link).await;
    assert_eq!((used.status, used.location()), (302, Some("/login/link")));
}

#[rocket::async_test]
async fn nobody_learns_whether_an_address_has_an_account() {
    on_sqlite(|plan| async move {
        let app = on(plan).start().await;
        app.user(ADA).await;
        app.user_with("new@example.com", |new| new.confirmed(false))
            .await;
        app.user_with("shut@example.com", |new| new.active(false))
            .await;
        let (mut asked, mut guessed) = (Vec::new(), Vec::new());
        for email in [
            ADA,
            "new@example.com",
            "shut@example.com",
            "nobody@example.com",
        ] {
            asked.push(app.told("/login/link", json!({"email": email})).await);
            let code = json!({"email": email, "code": "nonsense"});
            guessed.push(app.told("/login/code", code).await);
        }
        assert!(asked.iter().all(|one| *one == asked[0]), "{asked:?}");
        assert!(guessed.iter().all(|one| *one == guessed[0]), "{guessed:?}");
        assert_eq!((asked[0].json.0, guessed[0].json.0), (200, 400));
        assert_eq!(app.mails.all().len(), 2);
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_why_there_is_no_mail() {
    let app = on(Plan::new()).telling().start().await;
    app.user_with("shut@example.com", |new| new.active(false))
        .await;
    for (email, code) in [
        ("shut@example.com", "login.inactive"),
        ("nobody@example.com", "email.unknown"),
    ] {
        let answer = app.post("/login/link", json!({"email": email})).await;
        assert_refused(&answer, 400, code);
    }
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn it_proves_the_address_and_removes_what_somebody_planted() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = on(plan).smtp(&server).start().await;
        app.user_with(ADA, |new| new.confirmed(false)).await;
        let planted = app.inside(ADA).await;
        ask(&app).await;
        let link = link_in(&app.delivered(&server, ADA, 1).await);
        let browser = app.browser();
        assert_eq!(browser.submit(&link, &[]).await.location(), Some("/"));
        assert!(browser.is_signed_in().await);
        assert_eq!(planted.still().await, [false; 3]);
        assert!(!app.lets_in(ADA, PASSWORD).await, "whose was it?");
        let notice = app.delivered(&server, ADA, 2).await;
        assert!(notice.subject.contains("was removed"), "{}", notice.subject);
        let confirmed = |kind: &EventKind| matches!(kind, EventKind::EmailConfirmed { .. });
        assert_eq!(app.count(confirmed).await, 1);
        // The owner chooses a password of their own.
        let fields = [("new_password", NEW), ("new_password_confirm", NEW)];
        assert_eq!(browser.submit("/change", &fields).await.status, 302);
        assert!(app.lets_in(ADA, NEW).await);
    })
    .await;
}

#[rocket::async_test]
async fn it_is_good_only_where_it_was_asked_for_if_the_site_wants_that() {
    on_sqlite(|plan| async move {
        let app = on(plan)
            .set("passwordless.same_browser", true)
            .start()
            .await;
        app.user(ADA).await;
        let browser = app.browser();
        browser.submit("/login/link", &[("email", ADA)]).await;
        let link = app.link_to(ADA, "passwordless");
        let code = app.code_to(ADA, "passwordless");
        assert_refused(
            &app.post(&link, json!({})).await,
            400,
            "ticket.other_browser",
        );
        let guess = app.post("/login/code", typed(&code)).await;
        assert_refused(&guess, 400, "ticket.other_browser");
        let elsewhere = app.browser();
        let answer = elsewhere.get(&link).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/login/link"))
        );
        assert!(
            elsewhere
                .reads(&answer, "in the browser in which you asked")
                .await
        );
        assert!(!elsewhere.is_signed_in().await);
        assert_eq!(browser.submit(&link, &[]).await.location(), Some("/"));
        assert!(browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn a_lock_holds_for_this_door_too_and_the_mail_is_good_afterwards() {
    for_each_database(|plan| async move {
        let app = on(plan).set("passwordless.life", "1h").start().await;
        app.user(ADA).await;
        ask(&app).await;
        app.shut(&app.program(), ADA).await;
        let link = app.link_to(ADA, "passwordless");
        let refused = app.browser().submit(&link, &[]).await;
        assert_eq!(refused.status, 429);
        assert_eq!(app.post(&link, json!({})).await.status, 429);
        let code = typed(&app.code_to(ADA, "passwordless"));
        assert_eq!(app.post("/login/code", code).await.status, 429);
        assert_eq!(app.admitted().await, 0);
        app.later(Duration::from_mins(15));
        assert_eq!(app.post(&link, json!({})).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn wrong_codes_count_and_a_right_one_forgives_them() {
    let app = on(Plan::new()).start().await;
    app.user(ADA).await;
    for _ in 0..3 {
        for _ in 0..9 {
            let answer = app.post("/login", credentials(ADA, WRONG)).await;
            assert_eq!(answer.status, 400);
        }
        ask(&app).await;
        let code = app.code_to(ADA, "passwordless");
        assert_eq!(app.post("/login/code", typed(&code)).await.status, 200);
        app.later(Duration::from_mins(2));
    }
    for _ in 0..10 {
        let answer = app.post("/login/code", typed("nonsense")).await;
        assert_refused(&answer, 400, "code.invalid");
    }
    assert_eq!(app.post("/login/code", typed("nonsense")).await.status, 429);
    assert_eq!(
        app.post("/login", credentials(ADA, PASSWORD)).await.status,
        429
    );
}

#[rocket::async_test]
async fn whoever_is_signed_in_is_sent_on_and_uses_nothing_up() {
    let app = on(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    let bob = app.user("bob@example.com").await;
    ask(&app).await;
    let link = app.link_to(ADA, "passwordless");
    for user in [ada, bob] {
        let browser = app.signed_in(&user).await;
        for path in ["/login/link", "/login/code", &link] {
            let page = browser.get(path).await;
            assert_eq!((page.status, page.location()), (302, Some("/")), "{path}");
            let form = browser.post_form(path, &[("email", ADA)]).await;
            assert_eq!((form.status, form.location()), (302, Some("/")), "{path}");
            let json = browser.copy().in_json().post_json(path, json!({})).await;
            assert_refused(&json, 400, "denied.signed_in");
        }
        assert_eq!(browser.get("/me").await.text(), user.email);
    }
    assert_eq!(app.post(&link, json!({})).await.status, 200);
}

#[rocket::async_test]
async fn an_account_that_was_shut_meanwhile_stays_shut() {
    let app = on(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    ask(&app).await;
    let (link, code) = (
        app.link_to(ADA, "passwordless"),
        app.code_to(ADA, "passwordless"),
    );
    app.accounts().deactivate_user(&ada.id).await.unwrap();
    assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
    let answer = app.post("/login/code", typed(&code)).await;
    assert_refused(&answer, 400, "code.invalid");
    assert_eq!(app.admitted().await, 0);
}

#[rocket::async_test]
async fn it_is_no_way_around_a_new_password() {
    let app = on(Plan::new()).start().await;
    let ada = app.user(ADA).await;
    app.accounts().require_new_password(&ada.id).await.unwrap();
    ask(&app).await;
    let browser = app.browser();
    let answer = browser.submit(&app.link_to(ADA, "passwordless"), &[]).await;
    let page = answer.location().unwrap();
    assert!(page.starts_with("/reset/"), "{page}");
    assert!(!browser.is_signed_in().await);
    assert_eq!(app.post(page, new_password(NEW)).await.status, 200);
    assert!(app.lets_in(ADA, NEW).await);
}

#[rocket::async_test]
async fn link_and_code_run_out_exactly() {
    let app = on(Plan::new()).start().await;
    app.user(ADA).await;
    ask(&app).await;
    let (link, code) = (
        app.link_to(ADA, "passwordless"),
        app.code_to(ADA, "passwordless"),
    );
    app.clock.shift(15 * 60_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
    let answer = app.post("/login/code", typed(&code)).await;
    assert_refused(&answer, 400, "code.invalid");
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = on(Plan::new()).set("spa.enabled", true).start().await;
    app.user(ADA).await;
    ask(&app).await;
    let link = app.link_to(ADA, "passwordless");
    let view = app.browser().get(&link).await;
    let expected = link.replace("/login/", "/link?purpose=login&token=");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    let done = app.browser().post_form(&link, &[]).await;
    assert_eq!(
        done.location(),
        Some("/?success=login&email=ada%40example.com&identity=ada%40example.com")
    );
}

#[rocket::async_test]
async fn it_is_off_unless_switched_on() {
    let app = App::new().await;
    app.user(ADA).await;
    for path in ["/login/link", "/login/code"] {
        assert_eq!(app.browser().get(path).await.status, 404, "{path}");
        let answer = app.post(path, json!({"email": ADA})).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert!(
        !app.browser()
            .get("/login")
            .await
            .text()
            .contains("by email")
    );
    assert!(app.mails.all().is_empty());
}
