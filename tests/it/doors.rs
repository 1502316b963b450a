//! Every operation on an account, from every door: page, JSON, `Auth`, `Accounts` and the command line. Each emits the
//! same event once, and the event names who did it.

use std::sync::{Arc, Mutex};

use rocket::{http::Status, post, routes};
use rocket_security::{
    Actor, EmailAddress, Error, Event, EventKind, Invitation, NewUser, Security, StoreError, User,
    UserId, prelude::*,
};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, Plan, for_each_database, hash_of};

const ADA: &str = "ada@example.com";
const NEW: &str = "lantern orchard seventeen";

/// Does what the path says to an account, by the `Accounts` of the request.
#[post("/do/<what>/<id>", data = "<_body>")]
async fn act(what: &str, id: UserId, auth: Auth<'_>, _body: Input<Empty>) -> Result<Status, Error> {
    let accounts = auth.accounts().await?;
    perform(&accounts, what, &id).await?;
    Ok(Status::NoContent)
}

/// Does it by the methods of `Auth` itself, where there is one.
#[post("/auth/<what>/<id>", data = "<_body>")]
async fn act_by_auth(
    what: &str,
    id: UserId,
    auth: Auth<'_>,
    _body: Input<Empty>,
) -> Result<Status, Error> {
    match what {
        "set_password" => auth.set_password(&id, NEW).await?,
        "require_new_password" => auth.require_new_password(&id).await?,
        "sign_out_everywhere" => auth.sign_out_everywhere(&id).await?,
        "send_recovery" => auth.send_recovery(&id).await?,
        "invite" => drop(auth.invite(&invitation()).await?),
        _ => return Err(Error::NotFound),
    }
    Ok(Status::NoContent)
}

fn invitation() -> Invitation {
    Invitation::new(EmailAddress::parse("grace@example.com").unwrap())
}

fn new_user() -> NewUser {
    NewUser::new(EmailAddress::parse("mary@example.com").unwrap())
}

async fn perform(
    accounts: &rocket_security::Accounts,
    what: &str,
    id: &UserId,
) -> Result<(), Error> {
    match what {
        "create" => drop(accounts.create_user(new_user()).await?),
        "invite" => drop(accounts.invite(&invitation()).await?),
        "send_recovery" => accounts.send_recovery(id).await?,
        "deactivate" => drop(accounts.deactivate_user(id).await?),
        "activate" => drop(accounts.activate_user(id).await?),
        "confirm" => drop(accounts.confirm_user(id).await?),
        "set_password" => accounts.set_password(id, NEW).await?,
        "set_password_hash" => drop(accounts.set_password_hash(id, hash_of(NEW), true).await?),
        "require_new_password" => accounts.require_new_password(id).await?,
        "sign_out_everywhere" => accounts.sign_out_everywhere(id).await?,
        "end_sessions" => accounts.end_sessions(id).await?,
        "end_tokens" => accounts.end_tokens(id).await?,
        "revoke_all" => accounts.revoke_all(id).await?,
        "add_role" => drop(accounts.add_role_to_user(id, "editor").await?),
        "remove_role" => drop(accounts.remove_role_from_user(id, "writer").await?),
        "delete" => drop(accounts.delete_user(id).await?),
        other => panic!("{other}"),
    }
    Ok(())
}

/// What each operation emits.
fn expected(what: &str) -> &'static str {
    match what {
        "create" => "Registered",
        "invite" => "Invited",
        "send_recovery" => "ResetInstructionsSent",
        "deactivate" => "Deactivated",
        "activate" => "Activated",
        "confirm" => "EmailConfirmed",
        "set_password" | "set_password_hash" => "PasswordChanged",
        "require_new_password" => "PasswordChangeRequired",
        "sign_out_everywhere" | "end_sessions" => "SessionRevoked",
        "end_tokens" => "TokensRevoked",
        "revoke_all" => "AccessReset",
        "add_role" => "RoleAdded",
        "remove_role" => "RoleRemoved",
        "delete" => "Deleted",
        other => panic!("{other}"),
    }
}

const OPERATIONS: [&str; 16] = [
    "create",
    "invite",
    "send_recovery",
    "deactivate",
    "activate",
    "confirm",
    "set_password",
    "set_password_hash",
    "require_new_password",
    "sign_out_everywhere",
    "end_sessions",
    "end_tokens",
    "revoke_all",
    "add_role",
    "remove_role",
    "delete",
];

/// The variant of an event.
fn name(kind: &EventKind) -> String {
    let text = format!("{kind:?}");
    text.split([' ', '{'])
        .next()
        .unwrap_or_default()
        .to_string()
}

fn plan(plan: Plan) -> Plan {
    plan.without_limits()
        .mount(routes![act, act_by_auth])
        .set("session.most", 50)
}

/// An account on which the operation changes something.
async fn subject(app: &App, what: &str) -> User {
    subject_at(app, ADA, what).await
}

/// One of several accounts of a site.
async fn subject_at(app: &App, email: &str, what: &str) -> User {
    let user = app
        .user_with(email, |new| new.confirmed(what != "confirm"))
        .await;
    app.grant(&user, "writer", &[]).await;
    app.accounts().find_or_create_role("editor").await.unwrap();
    if what == "activate" {
        app.accounts().deactivate_user(&user.id).await.unwrap();
    }
    user
}

/// The events of the operation that happened after the first `before`, with their actors.
async fn of_operation(app: &App, what: &str, before: usize) -> Vec<Event> {
    let events = app.whole_events().await.split_off(before);
    let is_it = |event: &Event| name(&event.kind) == expected(what);
    events.into_iter().filter(is_it).collect()
}

#[track_caller]
fn assert_once(events: &[Event], what: &str, door: &str, actor: &Actor, user: Option<&UserId>) {
    assert_eq!(events.len(), 1, "{what} by {door}: {events:?}");
    let event = &events[0];
    assert_eq!(&event.actor, actor, "{what} by {door}");
    assert_eq!(event.user.as_ref(), event.kind.user(), "{what} by {door}");
    if let Some(user) = user {
        assert_eq!(event.user.as_ref(), Some(user), "{what} by {door}");
    }
}

fn of_subject<'a>(what: &str, user: &'a User) -> Option<&'a UserId> {
    (!matches!(what, "create" | "invite")).then_some(&user.id)
}

#[rocket::async_test]
async fn the_application_is_the_actor_outside_of_requests() {
    for_each_database(|database| async move {
        let app = plan(database).start().await;
        for what in OPERATIONS {
            let user = subject_at(&app, &format!("{what}@example.com"), what).await;
            let before = app.whole_events().await.len();
            perform(app.accounts(), what, &user.id).await.unwrap();
            let events = of_operation(&app, what, before).await;
            let subject = of_subject(what, &user);
            assert_once(&events, what, "Accounts", &Actor::Application, subject);
            assert!(events[0].client.is_none(), "{what}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn in_a_request_the_actor_is_the_administrator_the_owner_or_the_application() {
    for door in ["do", "auth"] {
        let app = plan(Plan::new()).start().await;
        let root = app.user("root@example.com").await;
        let browser = app.signed_in(&root).await;
        for what in OPERATIONS {
            let by_auth = [
                "set_password",
                "require_new_password",
                "sign_out_everywhere",
                "send_recovery",
                "invite",
            ];
            if door == "auth" && !by_auth.contains(&what) {
                continue;
            }
            let user = subject_at(&app, &format!("{what}@example.com"), what).await;
            let path = format!("/{door}/{what}/{}", user.id);
            let before = app.whole_events().await.len();
            assert_eq!(browser.post_form(&path, &[]).await.status, 204, "{path}");
            let events = of_operation(&app, what, before).await;
            let administrator = Actor::Administrator(root.id.clone());
            assert_once(&events, what, door, &administrator, of_subject(what, &user));
            assert!(events[0].client.is_some(), "{what}");
        }
    }
    // On the own account it is the user; in a request of nobody it is the application.
    let app = plan(Plan::new()).start().await;
    let user = subject(&app, "add_role").await;
    let browser = app.signed_in(&user).await;
    let path = format!("/do/add_role/{}", user.id);
    let before = app.whole_events().await.len();
    assert_eq!(browser.post_form(&path, &[]).await.status, 204);
    let events = of_operation(&app, "add_role", before).await;
    let own = Actor::User(user.id.clone());
    assert_once(&events, "add_role", "do", &own, Some(&user.id));
    let path = format!("/do/deactivate/{}", user.id);
    let before = app.whole_events().await.len();
    assert_eq!(app.program().post_json(&path, json!({})).await.status, 204);
    let events = of_operation(&app, "deactivate", before).await;
    let application = Actor::Application;
    assert_once(&events, "deactivate", "do", &application, Some(&user.id));
}

/// What is done at our own routes: each by page and as JSON.
#[rocket::async_test]
async fn at_our_routes_the_actor_is_the_user_and_a_visitor_before_a_proof() {
    for as_json in [false, true] {
        let app = plan(Plan::new()).start().await;
        let send = async |browser: &crate::app::Actor<'_>, path: &str, fields: &[(&str, &str)]| {
            let answer = match as_json {
                false => browser.post_form(path, fields).await,
                true => {
                    let body: serde_json::Map<String, Value> = fields
                        .iter()
                        .map(|(name, value)| ((*name).to_string(), (*value).into()))
                        .collect();
                    browser.post_json(path, body.into()).await
                }
            };
            assert!(answer.status < 400, "{path}: {}", answer.text());
            answer
        };
        let browser = app.browser();
        let registration = [
            ("email", ADA),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        send(&browser, "/register", &registration).await;
        let email = EmailAddress::parse(ADA).unwrap();
        let found = app.store().find_user_by_email(&email).await.unwrap();
        let user = found.unwrap();
        app.accounts().confirm_user(&user.id).await.unwrap();
        let browser = app.browser();
        send(
            &browser,
            "/login",
            &[("email", ADA), ("password", PASSWORD)],
        )
        .await;
        let change = [
            ("password", PASSWORD),
            ("new_password", NEW),
            ("new_password_confirm", NEW),
        ];
        send(&browser, "/change", &change).await;
        let other = app.signed_in(&user).await;
        send(&browser, "/sessions/revoke-others", &[]).await;
        assert!(!other.is_signed_in().await);
        send(&app.browser(), "/reset", &[("email", ADA)]).await;
        send(&browser, "/logout", &[]).await;
        let events = app.whole_events().await;
        let owner = Actor::User(user.id.clone());
        for (kind, actor) in [
            ("Registered", &owner),
            ("PasswordChanged", &owner),
            ("SessionRevoked", &owner),
            ("ResetInstructionsSent", &Actor::Visitor),
            ("LoggedOut", &owner),
        ] {
            let of_kind: Vec<Event> = events
                .iter()
                .filter(|event| name(&event.kind) == kind)
                .cloned()
                .collect();
            assert_once(&of_kind, kind, "a route", actor, Some(&user.id));
            assert!(of_kind[0].client.is_some(), "{kind}");
        }
    }
}

#[cfg(feature = "cli")]
#[test]
fn the_command_line_is_the_actor_of_its_commands() {
    let commands: [(&str, &[&str]); 11] = [
        ("deactivate", &["users", "deactivate", ADA]),
        ("activate", &["users", "activate", ADA]),
        (
            "require_new_password",
            &["users", "require-new-password", ADA],
        ),
        ("send_recovery", &["users", "send-recovery", ADA]),
        ("invite", &["users", "invite", "grace@example.com"]),
        (
            "create",
            &["users", "create", "mary@example.com", "--no-password"],
        ),
        ("revoke_all", &["users", "reset-access", ADA]),
        ("add_role", &["roles", "add", ADA, "editor"]),
        ("remove_role", &["roles", "remove", ADA, "writer"]),
        ("delete", &["users", "delete", ADA, "--yes"]),
        ("", &["roles", "delete", "writer", "--yes"]),
    ];
    let runtime = rocket::tokio::runtime::Runtime::new().unwrap();
    for (what, arguments) in commands {
        let (app, user) = runtime.block_on(async {
            let app = plan(Plan::new()).start().await;
            let user = subject(&app, what).await;
            (app, user)
        });
        let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
        let figment = app.client.rocket().figment().clone();
        let build = || {
            let heard = heard.clone();
            let security = Security::default().on(move |event| {
                heard.lock().unwrap().push(event);
                async {}
            });
            rocket::custom(figment.clone()).attach(security)
        };
        let line = ["app"].iter().chain(arguments).copied();
        let _ = rocket_security::cli::run_from(line, build);
        let events = heard.lock().unwrap().clone();
        let what = match what {
            "" => "remove_role",
            what => what,
        };
        let of_kind: Vec<Event> = events
            .iter()
            .filter(|event| name(&event.kind) == expected(what))
            .cloned()
            .collect();
        assert_once(
            &of_kind,
            what,
            "the command line",
            &Actor::CommandLine,
            of_subject(what, &user),
        );
        assert!(events.iter().all(|event| event.actor == Actor::CommandLine));
        drop(runtime.enter());
        runtime.block_on(async { drop(app) });
    }
}

#[rocket::async_test]
async fn several_changes_are_one_transaction_and_their_events_go_out_after_it() {
    for_each_database(|database| async move {
        let app = plan(database).start().await;
        let user = subject(&app, "add_role").await;
        let before = app.whole_events().await.len();
        let id = user.id.clone();
        let failed: Result<(), StoreError> = app
            .accounts()
            .change(move |change| {
                change.create_user(&new_user())?;
                change.add_role_to_user(&id, "editor")?;
                change.add_role_to_user(&id, "no such role").map(drop)
            })
            .await;
        assert!(matches!(failed, Err(StoreError::Missing)), "{failed:?}");
        assert_eq!(app.whole_events().await.len(), before, "nothing happened");
        assert_eq!(app.store().count_users().await.unwrap(), 1);
        let id = user.id.clone();
        let made = app
            .accounts()
            .change(move |change| {
                let made = change.create_user(&new_user())?;
                change.add_role_to_user(&made.id, "editor")?;
                change.deactivate_user(&id)?;
                Ok(made)
            })
            .await
            .unwrap();
        let events = app.whole_events().await.split_off(before);
        let names: Vec<String> = events.iter().map(|event| name(&event.kind)).collect();
        assert_eq!(names, ["Registered", "RoleAdded", "Deactivated"]);
        // In a transaction of the application's own.
        let accounts = app.accounts().clone();
        let before = app.whole_events().await.len();
        let changed = app
            .store()
            .write(move |conn| accounts.change_in(conn, |change| change.deactivate_user(&made.id)))
            .await
            .unwrap();
        assert_eq!(app.whole_events().await.len(), before, "it waits");
        assert!(changed.committed());
        let events = app.whole_events().await.split_off(before);
        assert_eq!(events.len(), 1);
        assert_eq!(name(&events[0].kind), "Deactivated");
    })
    .await;
}
