//! Another address: proven by the mail that goes there, and taken back by the mail that went before.

use std::time::Duration;

use rocket_security::{EmailAddress, EventKind, User};
use serde_json::{Value, json};

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::{NEW, assert_refused, link_in, new_password},
};

const OLD: &str = "ada@example.com";
const OTHER: &str = "countess@example.org";
const THIRD: &str = "third@example.net";

fn sent(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ChangeEmailInstructionsSent { .. })
}

fn changed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::EmailChanged { .. })
}

fn undone(kind: &EventKind) -> bool {
    matches!(kind, EventKind::EmailChangeUndone { .. })
}

async fn ask(actor: &Actor<'_>, email: &str) {
    let answer = actor
        .post_json("/change-email", json!({"email": email}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Changes the address of whoever is signed in by the mailed link.
async fn change(actor: &Actor<'_>, email: &str) {
    ask(actor, email).await;
    let link = actor.app.link_to(email, "change_email");
    let answer = actor.app.post(&link, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn address_of(app: &App, user: &User) -> String {
    app.store()
        .find_user(&user.id)
        .await
        .unwrap()
        .unwrap()
        .email
}

#[rocket::async_test]
async fn the_link_changes_it_once_and_the_old_address_is_told() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        let ada = app.user(OLD).await;
        let browser = app.signed_in(&ada).await.in_json();
        ask(&browser, "Countess@EXAMPLE.org").await;
        let mail = app.delivered(&server, "Countess@example.org", 1).await;
        assert!(
            !mail.text.contains(OLD),
            "it may be a stranger who reads it"
        );
        let link = link_in(&mail);
        app.look_at(&link).await;
        assert_eq!(address_of(&app, &ada).await, OLD);
        let answer = app.post(&link, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"], json!({}));
        assert!(answer.cookies().is_empty(), "nobody is signed in");
        assert_eq!(address_of(&app, &ada).await, "Countess@example.org");
        assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
        let code = json!({"email": OTHER, "code": mail.code()});
        let again = app.post("/change-email/code", code).await;
        assert_refused(&again, 400, "code.invalid");
        assert_eq!((app.count(sent).await, app.count(changed).await), (1, 1));
        assert!(browser.is_signed_in().await);
        assert!(app.lets_in(OTHER, PASSWORD).await && !app.lets_in(OLD, PASSWORD).await);
        let notice = app.delivered(&server, OLD, 1).await;
        for part in [&notice.text, &notice.html] {
            assert!(part.contains("C***@example.org"), "{part}");
            assert!(!part.to_lowercase().contains(OTHER), "{part}");
        }
        assert!(link_in(&notice).starts_with("/undo/"));
    })
    .await;
}

#[rocket::async_test]
async fn the_code_changes_it_once() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        let ada = app.user(OLD).await;
        let browser = app.signed_in(&ada).await.in_json();
        ask(&browser, OTHER).await;
        let mail = app.delivered(&server, OTHER, 1).await;
        let code = json!({"email": OTHER.to_uppercase(), "code": mail.code()});
        let answer = browser.post_json("/change-email/code", code.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(address_of(&app, &ada).await, OTHER);
        let again = browser.post_json("/change-email/code", code).await;
        assert_refused(&again, 400, "code.invalid");
        let again = app.post(&link_in(&mail), json!({})).await;
        assert_refused(&again, 400, "ticket.invalid");
        assert_eq!(app.count(changed).await, 1);
        app.delivered(&server, OLD, 1).await;
    })
    .await;
}

#[rocket::async_test]
async fn a_person_changes_it_by_forms() {
    let server = SmtpServer::start().await;
    let app = Plan::new().smtp(&server).start().await;
    let ada = app.user(OLD).await;
    let browser = app.signed_in(&ada).await;
    assert!(browser.get("/change-email").await.text().contains(OLD));
    let same = browser.submit("/change-email", &[("email", OLD)]).await;
    assert!(same.status == 200 && same.text().contains("This is your address already"));
    let page = browser.submit("/change-email", &[("email", OTHER)]).await;
    assert!(page.status == 200 && page.text().contains("enter the code here"));
    let code = app.delivered(&server, OTHER, 1).await.code();
    let wrong = browser
        .press(&page, &[("email", OTHER), ("code", "nonsense")])
        .await;
    assert!(wrong.text().contains("The code is wrong or has expired"));
    let answer = browser
        .press(&wrong, &[("email", OTHER), ("code", &code)])
        .await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    let page = browser.get("/sessions").await.text();
    assert!(page.contains("Your email address is changed"));
    // By the link in a browser where nobody is signed in.
    browser.submit("/change-email", &[("email", THIRD)]).await;
    let link = link_in(&app.delivered(&server, THIRD, 1).await);
    let reader = app.browser();
    let shown = reader.get(&link).await.text();
    // Whoever reads that mail may be somebody else.
    assert!(!shown.contains(OTHER) && shown.contains(THIRD));
    let answer = reader.submit(&link, &[]).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(reader.reads(&answer, "Your email address is changed").await);
    assert!(!reader.is_signed_in().await);
    let used = reader.get(&link).await;
    assert_eq!(used.location(), Some("/change-email"));
}

#[rocket::async_test]
async fn a_taken_address_is_answered_like_a_free_one_and_opens_nothing() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(OLD).await;
        app.user("taken@example.com").await;
        let browser = app.signed_in(&ada).await;
        let mut told = Vec::new();
        for email in ["taken@example.com", OTHER] {
            // An older ticket must not tell by living on.
            ask(&browser, THIRD).await;
            let older = app.link_to(THIRD, "change_email");
            let hashes = app.hashes_done();
            let body = json!({"email": email});
            let answer = browser
                .copy()
                .in_json()
                .post_json("/change-email", body)
                .await;
            let mut json = answer.json();
            json["response"]
                .as_object_mut()
                .unwrap()
                .remove("csrf_token");
            let page = browser.submit("/change-email", &[("email", email)]).await;
            let text = page.text();
            let lines: Vec<String> = text
                .lines()
                .filter(|line| !line.contains("csrf_token"))
                .map(|line| line.replace(email, "ADDRESS"))
                .collect();
            let code = json!({"email": email, "code": "nonsense"});
            let wrong = app.post("/change-email/code", code).await;
            told.push((
                (answer.status, json, page.status, lines),
                app.hashes_done() - hashes,
                (wrong.status, wrong.text()),
                app.program().get(&older).await.status,
            ));
            app.later(Duration::from_mins(2));
        }
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0].3, 400);
        assert_eq!(app.mails_to("taken@example.com").len(), 1);
        assert_eq!(app.count_mails("taken@example.com", "taken"), 1);
        let open = "SELECT COUNT(*) AS n FROM security_tickets \
                    WHERE used_at IS NULL AND user_id IS NOT NULL";
        assert_eq!(app.number(open).await, 1, "that for the free address");
        assert!(app.lets_in("taken@example.com", PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_says_what_is_taken() {
    let app = Plan::new()
        .telling()
        .set("emails.deny_domains", ["example.net"])
        .start()
        .await;
    let ada = app.user(OLD).await;
    app.user("taken@example.com").await;
    let browser = app.signed_in(&ada).await.in_json();
    for (email, code) in [
        ("Taken@Example.com", "change_email.taken"),
        ("ADA@example.com", "change_email.same"),
        ("nonsense", "email.invalid"),
        ("", "email.required"),
        (THIRD, "email.domain_refused"),
    ] {
        let answer = browser
            .post_json("/change-email", json!({"email": email}))
            .await;
        assert_refused(&answer, 400, code);
        assert_eq!(answer.field_errors("email").len(), 1);
    }
    assert!(app.mails.all().is_empty());
}

#[rocket::async_test]
async fn somebody_who_took_the_account_loses_it_to_the_old_address() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).start().await;
        let ada = app.user(OLD).await;
        // Whoever it was has changed the address, the password and the address again.
        let thief = app.inside(OLD).await;
        change(&thief.session, "thief@example.org").await;
        let undo = link_in(&app.delivered(&server, OLD, 1).await);
        app.later(Duration::from_mins(2));
        let fields = [
            ("password", PASSWORD),
            ("new_password", NEW),
            ("new_password_confirm", NEW),
        ];
        assert_eq!(thief.session.submit("/change", &fields).await.status, 302);
        change(&thief.session, THIRD).await;
        let newer = app.link_to("thief@example.org", "changed");
        app.later(Duration::from_mins(2));
        let elsewhere = app.browser();
        elsewhere.login_remembered(THIRD, NEW).await;
        assert!(elsewhere.is_signed_in().await && thief.session.is_signed_in().await);

        app.look_at(&undo).await;
        let page = app.browser().get(&undo).await.text();
        assert!(
            page.contains(OLD) && page.contains("t***@example.net"),
            "{page}"
        );
        let answer = app.post(&undo, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(address_of(&app, &ada).await, OLD);
        assert_eq!(thief.still().await, [false; 3]);
        elsewhere.forget_cookie("security_session");
        assert!(!elsewhere.is_signed_in().await);
        for email in [OLD, "thief@example.org", THIRD] {
            for password in [PASSWORD, NEW] {
                assert!(!app.lets_in(email, password).await, "{email}");
            }
        }
        assert_eq!(app.count(undone).await, 1);
        assert_refused(&app.post(&undo, json!({})).await, 400, "ticket.invalid");
        assert_refused(&app.post(&newer, json!({})).await, 400, "ticket.invalid");
        // The owner gets in again by the mail that came at once.
        let recovery = link_in(&app.delivered(&server, OLD, 2).await);
        let own = "a password of my own again";
        assert_eq!(app.post(&recovery, new_password(own)).await.status, 200);
        assert!(app.lets_in(OLD, own).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_person_undoes_it_by_the_button_of_the_page() {
    let app = App::new().await;
    let ada = app.user(OLD).await;
    change(&app.signed_in(&ada).await, OTHER).await;
    let reader = app.browser();
    let answer = reader.submit(&app.link_to(OLD, "changed"), &[]).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(reader.reads(&answer, "Your address is back").await);
    assert_eq!(address_of(&app, &ada).await, OLD);
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let answer = reader.submit(&app.link_to(OLD, "recover"), &fields).await;
    assert_eq!(answer.location(), Some("/login"));
    assert!(app.lets_in(OLD, NEW).await);
    let used = reader.get(&app.link_to(OLD, "changed")).await;
    assert_eq!((used.status, used.location()), (302, Some("/login")));
}

#[rocket::async_test]
async fn after_an_undo_an_older_one_still_works() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(OLD).await;
        let browser = app.signed_in(&ada).await;
        change(&browser, OTHER).await;
        app.later(Duration::from_mins(2));
        change(&browser, THIRD).await;
        let (older, newer) = (app.link_to(OLD, "changed"), app.link_to(OTHER, "changed"));
        assert_eq!(app.post(&newer, json!({})).await.status, 200);
        assert_eq!(address_of(&app, &ada).await, OTHER);
        let recovery = app.link_to(OTHER, "recover");
        assert_eq!(app.post(&older, json!({})).await.status, 200);
        assert_eq!(address_of(&app, &ada).await, OLD);
        // What the first undo had mailed ends with the second.
        let dead = app.post(&recovery, new_password(NEW)).await;
        assert_refused(&dead, 400, "ticket.invalid");
        assert_eq!(app.count(undone).await, 2);
    })
    .await;
}

#[rocket::async_test]
async fn a_change_can_be_undone_for_seven_days_and_as_long_as_the_account_lives() {
    let app = App::new().await;
    let ada = app.user(OLD).await;
    change(&app.signed_in(&ada).await, OTHER).await;
    let undo = app.link_to(OLD, "changed");
    app.clock.shift(7 * 86_400_000 - 1);
    assert_eq!(app.program().get(&undo).await.status, 200);
    app.clock.shift(1);
    assert_refused(&app.post(&undo, json!({})).await, 400, "ticket.invalid");
    assert_eq!(address_of(&app, &ada).await, OTHER);

    let app = App::new().await;
    let ada = app.user(OLD).await;
    change(&app.signed_in(&ada).await, OTHER).await;
    let undo = app.link_to(OLD, "changed");
    assert!(app.accounts().delete_user(&ada.id).await.unwrap());
    assert_refused(&app.post(&undo, json!({})).await, 400, "ticket.invalid");
}

#[rocket::async_test]
async fn where_undo_is_off_the_old_address_is_told_without_a_link() {
    let app = Plan::new().set("change_email.undo", 0).start().await;
    let ada = app.user(OLD).await;
    change(&app.signed_in(&ada).await, OTHER).await;
    let notice = app.newest(OLD, "changed");
    assert!(notice.text.contains("c***@example.org"));
    assert!(notice.text.contains("Contact us") && notice.html.contains("Contact us"));
    assert!(!notice.text.contains("/undo/") && !notice.html.contains("undo"));
}

#[rocket::async_test]
async fn an_address_that_was_never_proven_gets_no_power_over_the_account() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user_with(OLD, |new| new.confirmed(false)).await;
        change(&app.signed_in(&ada).await, OTHER).await;
        assert!(app.mails_to(OLD).is_empty());
        let undos = "SELECT COUNT(*) AS n FROM security_tickets WHERE purpose = 'undo'";
        assert_eq!(app.number(undos).await, 0);
        let confirmed = |kind: &EventKind| matches!(kind, EventKind::EmailConfirmed { .. });
        assert_eq!(app.count(confirmed).await, 1, "the new one is proven");
        app.later(Duration::from_hours(24 * 2));
        assert!(app.lets_in(OTHER, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn an_address_that_somebody_registered_meanwhile_is_theirs() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(OLD).await;
        let browser = app.signed_in(&ada).await;
        ask(&browser, OTHER).await;
        let link = app.link_to(OTHER, "change_email");
        let code = app.code_to(OTHER, "change_email");
        app.user(OTHER).await;
        let before = app.footprint().await;
        assert_refused(&app.post(&link, json!({})).await, 400, "change_email.taken");
        let page = browser.submit(&link, &[]).await;
        assert_eq!((page.status, page.location()), (302, Some("/change-email")));
        let page = browser.get("/change-email").await.text();
        assert!(page.contains("has an account already"), "{page}");
        assert_eq!(app.footprint().await, before);
        let code = json!({"email": OTHER, "code": code});
        let typed = app.post("/change-email/code", code).await;
        assert_refused(&typed, 400, "change_email.taken");
        assert_eq!(address_of(&app, &ada).await, OLD);
        assert_eq!(app.count(changed).await, 0);
        assert!(app.mails_to(OLD).is_empty());
    })
    .await;
}

#[rocket::async_test]
async fn an_old_address_that_somebody_registered_meanwhile_does_not_come_back() {
    let app = App::new().await;
    let ada = app.user(OLD).await;
    let browser = app.signed_in(&ada).await;
    change(&browser, OTHER).await;
    app.user(OLD).await;
    let before = app.footprint().await;
    let undo = app.link_to(OLD, "changed");
    assert_refused(&app.post(&undo, json!({})).await, 400, "change_email.taken");
    assert_eq!(app.footprint().await, before);
    assert!(browser.is_signed_in().await);
    assert_eq!(app.count(undone).await, 0);
}

#[rocket::async_test]
async fn asking_for_another_address_ends_the_ticket_of_the_first() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(OLD).await;
        let browser = app.signed_in(&ada).await;
        ask(&browser, OTHER).await;
        let (link, code) = (
            app.link_to(OTHER, "change_email"),
            app.code_to(OTHER, "change_email"),
        );
        ask(&browser, THIRD).await;
        assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
        let code = json!({"email": OTHER, "code": code});
        let typed = app.post("/change-email/code", code).await;
        assert_refused(&typed, 400, "code.invalid");
        let link = app.link_to(THIRD, "change_email");
        assert_eq!(app.post(&link, json!({})).await.status, 200);
        assert_eq!(address_of(&app, &ada).await, THIRD);
    })
    .await;
}

#[rocket::async_test]
async fn mails_to_new_addresses_count_among_those_asked_for_from_one_place() {
    let app = Plan::new().set("limits.mails_per_address", 3).start().await;
    let ada = app.user(OLD).await;
    let browser = app.signed_in(&ada).await.in_json();
    for n in 0..3 {
        ask(&browser, &format!("stranger{n}@example.org")).await;
    }
    let body = json!({"email": "stranger3@example.org"});
    let answer = browser.post_json("/change-email", body).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(app.mails.all().len(), 3);
}

#[rocket::async_test]
async fn a_stale_sign_in_must_be_proven_first() {
    let app = Plan::new().set("freshness.grace", 0).start().await;
    let ada = app.user(OLD).await;
    let browser = app.signed_in(&ada).await;
    for _ in 0..3 {
        app.later(Duration::from_hours(8));
        assert!(browser.is_signed_in().await);
    }
    let page = browser.get("/change-email").await;
    assert_eq!(page.location(), Some("/verify?next=%2Fchange-email"));
    let body = || json!({"email": OTHER});
    let json = browser.copy().in_json();
    let refused = json.post_json("/change-email", body()).await;
    assert_refused(&refused, 401, "denied.stale");
    assert_eq!(refused.json()["response"]["reauth_required"], true);
    let form = browser
        .post_form("/change-email", &[("email", OTHER)])
        .await;
    assert_eq!(form.location(), Some("/verify?next=%2Fchange-email"));
    assert!(app.mails.all().is_empty());
    let fields = [("password", PASSWORD)];
    let verified = browser.submit("/verify?next=/change-email", &fields).await;
    assert_eq!(verified.location(), Some("/change-email"));
    ask(&browser, OTHER).await;
    // The click needs no sign-in at all.
    let link = app.link_to(OTHER, "change_email");
    assert_eq!(app.post(&link, json!({})).await.status, 200);
    let visitor = app.browser().get("/change-email").await;
    assert_eq!(visitor.location(), Some("/login?next=%2Fchange-email"));
    assert_eq!(app.post("/change-email", body()).await.status, 401);
}

#[rocket::async_test]
async fn link_and_code_run_out_exactly() {
    let app = App::new().await;
    let ada = app.user(OLD).await;
    ask(&app.signed_in(&ada).await, OTHER).await;
    let (link, code) = (
        app.link_to(OTHER, "change_email"),
        app.code_to(OTHER, "change_email"),
    );
    app.clock.shift(2 * 3_600_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    assert_refused(&app.post(&link, json!({})).await, 400, "ticket.invalid");
    let code = json!({"email": OTHER, "code": code});
    let typed = app.post("/change-email/code", code).await;
    assert_refused(&typed, 400, "code.invalid");
}

#[rocket::async_test]
async fn a_code_is_good_for_its_address_only() {
    let app = App::new().await;
    let ada = app.user(OLD).await;
    ask(&app.signed_in(&ada).await, OTHER).await;
    let code = app.code_to(OTHER, "change_email");
    for email in [OLD, THIRD] {
        let body = json!({"email": email, "code": code});
        let answer = app.post("/change-email/code", body).await;
        assert_refused(&answer, 400, "code.invalid");
    }
    let missing: Value = json!({"email": "nonsense", "code": ""});
    let answer = app.post("/change-email/code", missing).await;
    assert_eq!(answer.codes(), ["input.required", "email.invalid"]);
    assert!(EmailAddress::parse(&address_of(&app, &ada).await).is_ok());
    assert_eq!(address_of(&app, &ada).await, OLD);
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = Plan::new().set("spa.enabled", true).start().await;
    let ada = app.user(OLD).await;
    ask(&app.signed_in(&ada).await, OTHER).await;
    let link = app.link_to(OTHER, "change_email");
    let view = app.browser().get(&link).await;
    let expected = link.replace("/change-email/", "/link?purpose=change_email&token=");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    let done = app.browser().post_form(&link, &[]).await;
    assert_eq!(
        done.location(),
        Some(
            "/login?success=change_email&email=countess%40example.org&identity=countess%40example.org"
        )
    );
    let undo = app.link_to(OLD, "changed");
    let view = app.browser().get(&undo).await;
    let expected = undo.replace("/undo/", "/link?purpose=undo&token=");
    assert_eq!(view.location(), Some(expected.as_str()));
    let done = app.browser().post_form(&undo, &[]).await;
    assert_eq!(
        done.location(),
        Some("/login?success=undo&email=ada%40example.com&identity=ada%40example.com")
    );
    let bad = app.browser().get("/undo/nonsense").await;
    assert_eq!(
        bad.location(),
        Some("/link?purpose=undo&error=ticket.invalid")
    );
}
