//! Invitations: an account without a password, until its owner chooses one.

use rocket::{post, routes};
use rocket_security::{EmailAddress, Error, EventKind, Invalid, Invitation, Username, prelude::*};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD, Plan, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::{NEW, assert_refused, link_in, new_password},
};

const BOB: &str = "bob@example.com";

#[derive(serde::Deserialize)]
struct Guest {
    email: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

#[post("/team", data = "<guest>")]
async fn team(_who: Public, auth: Auth<'_>, guest: Input<Guest>) -> Result<String, Error> {
    let email =
        EmailAddress::parse(&guest.email).map_err(|message| Invalid::field("email", message))?;
    let mut invitation = Invitation::new(email).from("Charles Babbage");
    if let Some(name) = &guest.username {
        let name =
            Username::normalise(name).map_err(|message| Invalid::field("username", message))?;
        invitation = invitation.username(name);
    }
    if let Some(role) = &guest.role {
        invitation = invitation.role(role);
    }
    Ok(auth.invite(&invitation).await?.email)
}

fn with_team(plan: Plan) -> Plan {
    plan.mount(routes![team])
}

async fn invite(app: &App, guest: Value) {
    let answer = app.post("/team", guest).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, BOB));
}

async fn try_invite(app: &App, guest: Value) -> Answer {
    app.post("/team", guest).await
}

fn accepted(kind: &EventKind) -> bool {
    matches!(kind, EventKind::InvitationAccepted { .. })
}

#[rocket::async_test]
async fn whoever_accepts_chooses_a_password_and_is_in_with_the_role() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = with_team(plan).smtp(&server).start().await;
        app.accounts().find_or_create_role("editor").await.unwrap();
        invite(&app, json!({"email": BOB, "role": "editor"})).await;
        let invited = |kind: &EventKind| matches!(kind, EventKind::Invited { .. });
        assert_eq!(app.count(invited).await, 1);
        assert!(!app.lets_in(BOB, PASSWORD).await);
        let mail = app.delivered(&server, BOB, 1).await;
        assert!(mail.text.contains("Charles Babbage") && mail.html.contains("Charles Babbage"));
        let link = link_in(&mail);
        app.look_at(&link).await;
        let browser = app.browser().in_json();
        let answer = browser.post_json(&link, new_password(NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["user"], json!({}));
        assert_eq!(browser.get("/g/any-role").await.text(), "in");
        assert_refused(
            &app.post(&link, new_password(PASSWORD)).await,
            400,
            "ticket.invalid",
        );
        assert!(app.lets_in(BOB, NEW).await);
        let confirmed = |kind: &EventKind| matches!(kind, EventKind::EmailConfirmed { .. });
        assert_eq!(
            (app.count(accepted).await, app.count(confirmed).await),
            (1, 1)
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_person_accepts_on_the_page_of_the_link() {
    let server = SmtpServer::start().await;
    let app = with_team(Plan::new()).smtp(&server).start().await;
    invite(&app, json!({"email": BOB})).await;
    let link = link_in(&app.delivered(&server, BOB, 1).await);
    let browser = app.browser();
    assert!(browser.get(&link).await.text().contains(BOB));
    for (password, again, says) in [
        ("short", "short", "at least 8 characters"),
        (NEW, PASSWORD, "The two passwords are not the same"),
    ] {
        let fields = [("password", password), ("password_confirm", again)];
        let answer = browser.submit(&link, &fields).await;
        assert!(
            answer.status == 200 && answer.text().contains(says),
            "{says}"
        );
    }
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let answer = browser.submit(&link, &fields).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/")));
    assert!(browser.is_signed_in().await);
    let used = app.browser().get(&link).await;
    assert_eq!((used.status, used.location()), (302, Some("/login")));
}

#[rocket::async_test]
async fn nobody_is_signed_in_where_the_site_does_not_want_it() {
    let app = with_team(Plan::new())
        .set("invite.sign_in", false)
        .start()
        .await;
    invite(&app, json!({"email": BOB})).await;
    let browser = app.browser();
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let answer = browser.submit(&app.link_to(BOB, "invite"), &fields).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/login")));
    assert!(browser.reads(&answer, "Your account is ready").await);
    assert!(!browser.is_signed_in().await);
    assert_eq!(app.admitted().await, 0);
    assert!(app.lets_in(BOB, NEW).await);
}

#[rocket::async_test]
async fn an_invitation_takes_the_place_of_the_one_before() {
    for_each_database(|plan| async move {
        let app = with_team(plan).start().await;
        invite(&app, json!({"email": BOB})).await;
        let older = app.link_to(BOB, "invite");
        // At once: nothing holds an administrator's mail back.
        invite(
            &app,
            json!({"email": BOB.to_uppercase().replace("EXAMPLE.COM", "example.com")}),
        )
        .await;
        assert_eq!(app.store().count_users().await.unwrap(), 1);
        assert_eq!(app.mails.all().len(), 2);
        assert_refused(
            &app.post(&older, new_password(NEW)).await,
            400,
            "ticket.invalid",
        );
    })
    .await;
}

#[rocket::async_test]
async fn who_has_an_account_is_not_invited() {
    for_each_database(|plan| async move {
        let app = with_team(plan)
            .set("identities", ["email", "username"])
            .start()
            .await;
        let name = Username::normalise("babbage").unwrap();
        app.user_with(BOB, |new| new.username(name)).await;
        app.user_with("new@example.com", |new| new.active(false).confirmed(false))
            .await;
        for (guest, code) in [
            (json!({"email": BOB}), "email.taken"),
            (json!({"email": "new@example.com"}), "login.inactive"),
            (
                json!({"email": "eve@example.com", "username": "Babbage"}),
                "username.taken",
            ),
            (
                json!({"email": "eve@example.com", "role": "nonsense"}),
                "input.application",
            ),
        ] {
            let answer = try_invite(&app, guest.clone()).await;
            assert_eq!(answer.codes(), [code], "{guest}: {}", answer.text());
        }
        assert_eq!(
            app.store().count_users().await.unwrap(),
            2,
            "nor half of it done"
        );
        assert!(app.mails.all().is_empty());
        assert!(app.lets_in(BOB, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_link_opened_while_somebody_else_is_signed_in_is_good_afterwards() {
    for_each_database(|plan| async move {
        let app = with_team(plan).start().await;
        let ada = app.user("ada@example.com").await;
        invite(&app, json!({"email": BOB})).await;
        let link = app.link_to(BOB, "invite");
        let browser = app.signed_in(&ada).await;
        let fields = [("password", NEW), ("password_confirm", NEW)];
        for by_form in [false, true] {
            let answer = match by_form {
                false => browser.get(&link).await,
                true => browser.post_form(&link, &fields).await,
            };
            assert_eq!((answer.status, answer.location()), (302, Some("/login")));
            let page = browser.get("/sessions").await.text();
            assert!(page.contains("belongs to another account"));
        }
        let json = browser
            .copy()
            .in_json()
            .post_json(&link, new_password(NEW))
            .await;
        assert_refused(&json, 400, "ticket.other_account");
        assert_eq!(browser.get("/me").await.text(), "ada@example.com");
        browser.logout().await;
        let answer = browser.submit(&link, &fields).await;
        assert_eq!(answer.location(), Some("/"));
        assert_eq!(browser.get("/me").await.text(), BOB);
    })
    .await;
}

#[rocket::async_test]
async fn an_invitation_runs_out_exactly() {
    let app = with_team(Plan::new()).start().await;
    invite(&app, json!({"email": BOB})).await;
    let link = app.link_to(BOB, "invite");
    app.clock.shift(7 * 86_400_000 - 1);
    assert_eq!(app.program().get(&link).await.status, 200);
    app.clock.shift(1);
    let late = app.post(&link, new_password(NEW)).await;
    assert_refused(&late, 400, "ticket.invalid");
    assert_eq!(app.count(accepted).await, 0);
}

#[rocket::async_test]
async fn an_application_in_the_browser_gets_links_in_its_own_view() {
    let app = with_team(Plan::new())
        .set("spa.enabled", true)
        .start()
        .await;
    invite(&app, json!({"email": BOB})).await;
    let link = app.link_to(BOB, "invite");
    let view = app.browser().get(&link).await;
    let expected = link.replace("/invite/", "/link?purpose=invite&token=");
    assert_eq!(
        (view.status, view.location()),
        (302, Some(expected.as_str()))
    );
    let fields = [("password", NEW), ("password_confirm", NEW)];
    let done = app.browser().post_form(&link, &fields).await;
    assert_eq!(
        done.location(),
        Some("/?success=invite&email=bob%40example.com&identity=bob%40example.com")
    );
}

#[rocket::async_test]
async fn where_it_is_off_nobody_is_invited() {
    let app = with_team(Plan::new())
        .set("invite.enabled", false)
        .start()
        .await;
    assert_eq!(try_invite(&app, json!({"email": BOB})).await.status, 404);
    assert_eq!(app.store().count_users().await.unwrap(), 0);
    assert_eq!(app.browser().get("/invite/nonsense").await.status, 404);
}

#[rocket::async_test]
async fn an_invitation_takes_over_what_a_stranger_registered_and_never_confirmed() {
    for_each_database(|plan| async move {
        let app = with_team(plan)
            .set("identities", ["email", "username"])
            .set("register.username", "optional")
            .set("api_keys.enabled", true)
            .start()
            .await;
        app.accounts().find_or_create_role("editor").await.unwrap();
        let body = json!({"email": BOB, "username": "bobby", "password": PASSWORD, "password_confirm": PASSWORD});
        assert_eq!(app.program().post_json("/register", body).await.status, 200);
        let (browser, remembered) = (app.browser().in_json(), app.browser());
        assert_eq!(browser.login(BOB, PASSWORD).await.status, 200);
        remembered.login_remembered(BOB, PASSWORD).await;
        let token = app.token(BOB).await;
        let changed = browser.post_json("/change-email", json!({"email": "eve@example.com"})).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let away = app.link_to("eve@example.com", "change_email");
        let confirm = app.link_to(BOB, "confirm");
        // The administrator knows nothing of that.
        invite(&app, json!({"email": BOB, "role": "editor"})).await;
        let link = app.link_to(BOB, "invite");
        assert_eq!(app.store().count_users().await.unwrap(), 1);
        // Nothing is left by which the stranger comes in, now or after the owner has accepted.
        let shut = async |when: &str| {
            assert!(!browser.is_signed_in().await, "{when}");
            remembered.forget_cookie("security_session");
            assert!(!remembered.is_signed_in().await, "{when}");
            assert_eq!(app.program().token(&token).get("/me").await.status, 401, "{when}");
            assert!(!app.lets_in(BOB, PASSWORD).await, "{when}");
            assert!(!app.lets_in("bobby", PASSWORD).await, "{when}");
            assert_eq!(app.program().post_json(&away, json!({})).await.status, 400, "{when}");
            assert_eq!(app.program().post_json(&confirm, json!({})).await.status, 400, "{when}");
        };
        shut("invited").await;
        let owner = app.browser().in_json();
        let answer = owner.post_json(&link, new_password(NEW)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(owner.get("/g/any-role").await.text(), "in");
        shut("accepted").await;
        assert!(app.lets_in(BOB, NEW).await);
        // From now on the address is theirs.
        let answer = try_invite(&app, json!({"email": BOB})).await;
        assert_eq!(answer.codes(), ["email.taken"]);
    })
    .await;
}

#[rocket::async_test]
async fn where_no_address_is_confirmed_an_invitation_takes_nothing_over() {
    let app = with_team(Plan::new())
        .set("confirm.enabled", false)
        .start()
        .await;
    app.user_with(BOB, |new| new.confirmed(false)).await;
    let answer = try_invite(&app, json!({"email": BOB})).await;
    assert_eq!(answer.codes(), ["email.taken"]);
    assert!(app.lets_in(BOB, PASSWORD).await);
}
