//! What is known of each route at launch, and what follows from it for requests that another site makes.
#![allow(
    clippy::type_complexity,
    reason = "policies are composed where they stand, as applications write them"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use rocket::{get, http::Method as Verb, post, routes};
use rocket_security::{
    Anonymous, Any, Denied, Error,
    guards::{ApiKey, Basic, Session},
    prelude::*,
};

use crate::app::{Actor, Admin, App, PASSWORD, Plan, Publish};

const FORM: &str = "application/x-www-form-urlencoded";
const EVIL: (&str, &str) = ("Origin", "https://evil.example");
const OURS: (&str, &str) = ("Origin", "http://localhost:8000");

async fn post(
    actor: &Actor<'_>,
    path: &str,
    kind: &str,
    extra: &[(&str, &str)],
    body: &str,
) -> u16 {
    let mut headers = vec![("Content-Type", kind)];
    headers.extend(extra);
    actor
        .send(Verb::Post, path, &headers, Some(body.as_bytes()))
        .await
        .status
}

#[post("/two", format = "json", data = "<_body>")]
fn two_json(_who: SignedIn, _body: Input<Empty>) -> &'static str {
    "json"
}

#[post("/two", format = "form")]
fn two_form(_who: SignedIn) -> &'static str {
    "form"
}

#[post("/two", format = "form", rank = 20, data = "<_body>")]
fn two_form_later(_who: SignedIn, _body: Input<Empty>) -> &'static str {
    "later"
}

#[rocket::async_test]
async fn two_routes_that_differ_in_format_only_are_told_apart() {
    let app = Plan::new()
        .mount(routes![two_json, two_form, two_form_later])
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    assert_eq!(post(&browser, "/two", FORM, &[], "").await, 400);
    assert_eq!(post(&browser, "/two", FORM, &[EVIL], "").await, 400);
    assert_eq!(post(&browser, "/two", FORM, &[OURS], "").await, 200);
    assert_eq!(
        post(&browser, "/two", "application/json", &[EVIL], "{}").await,
        400
    );
    let token = browser.csrf().await;
    let header = [("X-CSRF-Token", token.as_str())];
    assert_eq!(
        post(&browser, "/two", "application/json", &header, "{}").await,
        200
    );
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

fn ran() -> &'static str {
    RUNS.fetch_add(1, Ordering::SeqCst);
    "ran"
}

#[post("/wrapped/option", data = "<_body>")]
fn option(_who: SignedIn, _body: Option<Input<Empty>>) -> &'static str {
    ran()
}

#[post("/wrapped/result", data = "<_body>")]
fn result(_who: SignedIn, _body: Result<Input<Empty>, Error>) -> &'static str {
    ran()
}

type Body = Result<Input<Empty>, Error>;

#[post("/wrapped/alias", data = "<_body>")]
fn alias(_who: Option<SignedIn>, _body: Body) -> &'static str {
    ran()
}

#[post("/wrapped/<_name>/<_rest..>", data = "<_body>")]
fn open(_name: &str, _rest: std::path::PathBuf, _body: Option<Input<Empty>>) -> &'static str {
    ran()
}

/// Not meant for forms: what a form may do here is the other route's to say.
#[post("/wrapped-json", format = "json", data = "<_body>")]
fn only_json(_body: Option<Input<Empty>>) -> &'static str {
    "json"
}

#[post("/wrapped-json", format = "form")]
fn only_form(_public: Public) -> &'static str {
    "form"
}

#[rocket::async_test]
async fn a_route_beside_one_of_another_format_goes_by_its_own_rules() {
    let app = Plan::new()
        .mount(routes![only_json, only_form])
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let path = "/wrapped-json";
    assert_eq!(post(&browser, path, FORM, &[EVIL], "a=b").await, 200);
    assert_eq!(
        post(&browser, path, "application/json", &[EVIL], "{}").await,
        400
    );
    assert_eq!(
        post(&browser, path, "application/json", &[OURS], "{}").await,
        200
    );
}

#[rocket::async_test]
async fn no_handler_runs_because_it_takes_input_inside_of_another_type() {
    let app = Plan::new()
        .mount(routes![option, result, alias, open])
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let token = browser.csrf().await;
    let field = format!("csrf_token={token}");
    let long = format!("a={}&{field}", "x".repeat(2_000));
    for path in [
        "/wrapped/option",
        "/wrapped/result",
        "/wrapped/alias",
        "/wrapped/any/thing/else",
        "/wrapped/any",
    ] {
        for (headers, body) in [
            (&[][..], ""),
            (&[EVIL], ""),
            (&[EVIL], "csrf_token=junk"),
            (&[("Sec-Fetch-Site", "cross-site")], "a=b"),
            // The field is beyond what can be looked at before the handler.
            (&[EVIL], long.as_str()),
        ] {
            assert_eq!(
                post(&browser, path, FORM, headers, body).await,
                400,
                "{path} {headers:?}"
            );
        }
        assert_eq!(
            post(&browser, path, "application/json", &[EVIL], "{}").await,
            400,
            "{path}"
        );
        assert_eq!(RUNS.load(Ordering::SeqCst), 0, "{path}");
        for (headers, body) in [
            (&[][..], field.as_str()),
            (&[OURS], "a=b"),
            (&[("X-CSRF-Token", token.as_str())], long.as_str()),
        ] {
            assert_eq!(
                post(&browser, path, FORM, headers, body).await,
                200,
                "{path} {headers:?}"
            );
        }
        assert_eq!(RUNS.swap(0, Ordering::SeqCst), 3, "{path}");
    }
    // What is not meant for them goes by untouched.
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(post(&browser, "/nowhere", FORM, &[EVIL], "").await, 404);
}

#[post("/auth/bare/<what>")]
async fn bare(auth: Auth<'_>, what: &str) -> Result<&'static str, Error> {
    change(&auth, what).await
}

#[post("/auth/optional/<what>", data = "<_body>")]
async fn optional(
    auth: Auth<'_>,
    what: &str,
    _body: Option<rocket::form::Form<std::collections::HashMap<String, String>>>,
) -> Result<&'static str, Error> {
    change(&auth, what).await
}

#[get("/auth/get/<what>")]
async fn by_get(auth: Auth<'_>, what: &str) -> Result<&'static str, Error> {
    change(&auth, what).await
}

async fn change(auth: &Auth<'_>, what: &str) -> Result<&'static str, Error> {
    let ada = auth
        .find_user("ada@example.com")
        .await?
        .ok_or(Error::NotFound)?;
    match what {
        "sign_in" => drop(auth.sign_in(&ada).await?),
        "sign_out" => auth.sign_out().await?,
        "everywhere" => auth.sign_out_everywhere(&ada.id).await?,
        "verify" => drop(auth.verify_password("ada@example.com", "wrong").await?),
        "password" => {
            auth.set_password(&ada.id, "a wholly other passphrase")
                .await?
        }
        "require" => auth.require_new_password(&ada.id).await?,
        "recover" => auth.send_recovery(&ada.id).await?,
        "invite" => {
            let email = rocket_security::EmailAddress::parse("new@example.com")
                .map_err(|message| rocket_security::Invalid::field("email", message))?;
            auth.invite(&rocket_security::Invitation::new(email))
                .await?;
        }
        other => panic!("{other}"),
    }
    Ok("changed")
}

#[rocket::async_test]
async fn no_call_of_auth_changes_anything_for_another_site() {
    let app = Plan::new()
        .mount(routes![bare, optional, by_get])
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let basic = app.browser().basic("ada@example.com", PASSWORD);
    for what in [
        "sign_in",
        "sign_out",
        "everywhere",
        "verify",
        "password",
        "require",
        "recover",
        "invite",
    ] {
        for path in [
            format!("/auth/bare/{what}"),
            format!("/auth/optional/{what}"),
        ] {
            for headers in [&[][..], &[EVIL], &[("Sec-Fetch-Site", "cross-site")]] {
                for actor in [&browser, &basic] {
                    assert_eq!(
                        post(actor, &path, FORM, headers, "a=b").await,
                        400,
                        "{path}"
                    );
                }
            }
        }
    }
    assert!(browser.is_signed_in().await);
    assert!(app.mails_to("ada@example.com").is_empty());
    let answer = app.browser().login("ada@example.com", PASSWORD).await;
    assert_eq!(answer.location(), Some("/"), "the password is as it was");
    // From our own page, or by a program without cookies, they work.
    assert_eq!(
        post(&app.program(), "/auth/bare/sign_in", FORM, &[], "").await,
        200
    );
    let token = app.token("ada@example.com").await;
    assert_eq!(
        post(
            &app.program().token(&token),
            "/auth/bare/sign_in",
            FORM,
            &[],
            ""
        )
        .await,
        200
    );
    assert_eq!(browser.copy().get("/auth/get/sign_in").await.status, 200);
    assert_eq!(
        post(&browser, "/auth/bare/sign_out", FORM, &[OURS], "").await,
        200
    );
    assert!(!browser.is_signed_in().await);
}

#[get("/any/key-or-admin")]
fn key_or_admin(_who: Require<Any<((Via<ApiKey>, Publish), Admin)>>) -> &'static str {
    "in"
}

policies! { Write = permission("post:write"); }

#[get("/any/key-or-write")]
fn key_or_write(_who: Require<Any<((Via<ApiKey>, Publish), Write)>>) -> &'static str {
    "in"
}

#[get("/any/basic-or-admin")]
fn basic_or_admin(_who: Require<Any<((Via<Basic>, Publish), Admin)>>) -> &'static str {
    "in"
}

#[get("/any/basic-twice")]
fn basic_twice(
    _who: Require<(
        Any<((Via<Basic>, Publish), Admin)>,
        Any<((Via<Basic>, Publish), SignedInAtAll)>,
    )>,
) -> &'static str {
    "in"
}

#[get("/any/outside")]
fn outside(_who: Require<(Any<(Admin, Publish)>, Via<(Basic, Session)>)>) -> &'static str {
    "in"
}

enum SignedInAtAll {}

impl rocket_security::guards::Policy for SignedInAtAll {
    fn authorize(_: &rocket_security::guards::View<'_>) -> Result<(), Denied> {
        Ok(())
    }
}

#[rocket::async_test]
async fn a_mechanism_counts_in_the_branch_that_names_it_only() {
    let app = Plan::new()
        .set("api_keys.enabled", true)
        .mount(routes![
            key_or_admin,
            key_or_write,
            basic_or_admin,
            basic_twice,
            outside
        ])
        .start()
        .await;
    let admin = app.user("admin@example.com").await;
    app.grant(&admin, "admin", &[]).await;
    let writer = app.user("writer@example.com").await;
    app.grant(&writer, "writer", &["post:publish"]).await;
    let json = [("Accept", "application/json")];
    let (by_admin, by_writer) = (
        app.program().basic("admin@example.com", PASSWORD),
        app.program().basic("writer@example.com", PASSWORD),
    );
    for (path, admin_by_basic, writer_by_basic) in [
        ("/any/basic-or-admin", 401, 200),
        ("/any/basic-twice", 401, 200),
        ("/any/outside", 200, 200),
        ("/any/key-or-admin", 401, 401),
    ] {
        assert_eq!(
            by_admin.get_with(path, &json).await.status,
            admin_by_basic,
            "{path}"
        );
        assert_eq!(
            by_writer.get_with(path, &json).await.status,
            writer_by_basic,
            "{path}"
        );
    }
    // A key may publish where it is named, and write nowhere, though its owner gave it that.
    app.grant(&writer, "author", &["post:write"]).await;
    let browser = app.signed_in(&writer).await.in_json();
    for (permissions, status) in [(&["post:publish"][..], 200), (&["post:write"], 401)] {
        let body = serde_json::json!({"name": permissions[0], "permissions": permissions});
        let answer = browser.post_json("/api-keys", body).await;
        let key = answer.json()["response"]["api_key"].clone();
        let program = app.program().token(key.as_str().unwrap());
        let answer = program.get_with("/any/key-or-write", &json).await;
        assert_eq!(answer.status, status, "{permissions:?}");
    }
    assert_eq!(browser.get("/any/key-or-write").await.status, 200);
    // By session the other branch is open as ever.
    let session = app.signed_in(&admin).await;
    for path in ["/any/basic-or-admin", "/any/key-or-admin", "/any/outside"] {
        assert_eq!(session.get(path).await.status, 200, "{path}");
    }
}

#[post("/anonymous")]
fn anonymous_bare(_visitor: Anonymous) -> &'static str {
    "in"
}

#[post("/anonymous", data = "<_body>")]
fn anonymous_checked(_visitor: Anonymous, _body: Input<Empty>) -> &'static str {
    "in"
}

#[post("/result", data = "<_body>")]
fn swallowed(_who: Result<SignedIn, Error>, _body: Input<Empty>) -> &'static str {
    "in"
}

#[post("/signed-in")]
fn signed_in_bare(_who: SignedIn) -> &'static str {
    "in"
}

#[rocket::async_test]
async fn a_guard_that_lets_everybody_in_does_not_make_a_route_look_guarded() {
    for (routes, fine) in [
        (routes![anonymous_bare], false),
        (routes![swallowed], false),
        (routes![anonymous_checked], true),
        (routes![signed_in_bare], true),
    ] {
        let names: Vec<String> = routes.iter().map(ToString::to_string).collect();
        let plan = Plan::new()
            .set("report.unguarded", "error")
            .set(
                "report.public",
                ["/", "/g/maybe", "/as/<id>?<mfa>&<remember>"],
            )
            .mount(routes);
        assert_eq!(plan.try_start().await.is_ok(), fine, "{names:?}");
    }
}

#[rocket::async_test]
async fn a_visitors_post_without_a_check_is_no_way_to_sign_somebody_in() {
    // `Anonymous` lets in whoever is not signed in, from any page; `Input` is what knows the page.
    let app = App::new().await;
    app.user("ada@example.com").await;
    let visitor = app.browser();
    visitor.csrf().await;
    let body = format!("email=ada%40example.com&password={PASSWORD}");
    assert_eq!(post(&visitor, "/login", FORM, &[OURS], &body).await, 400);
}
