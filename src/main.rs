//! A small site that shows what the library does, and the command line.
//!
//! `cargo run` serves it on `http://localhost:8000`; `cargo run -- --help` lists the commands.

use std::process::ExitCode;

use rocket::{Build, Rocket, get, post, routes, serde::json::Value};
use rocket_dyn_templates::{Template, context};
use rocket_security::{
    Error, Timestamp,
    guards::{Session, Token},
    prelude::*,
};

policies! {
    /// May see the page for administrators.
    pub Admin = role("admin");
}

#[get("/")]
fn home(page: Page<'_>, auth: Auth<'_>) -> Template {
    page.render("site/home", context! { base_url: auth.base_url() })
}

#[get("/profile")]
async fn profile(
    page: Page<'_>,
    who: SignedIn,
    store: &rocket::State<Store>,
) -> Result<Template, Error> {
    let grants = store.grants(&who.id).await?;
    let since = who.authenticated_at();
    Ok(page.render(
        "site/profile",
        context! {
            roles: grants.roles,
            methods: who.methods(),
            since: since.map(Timestamp::to_text),
            since_iso: since.map(Timestamp::rfc3339),
        },
    ))
}

#[get("/admin")]
async fn admin(
    page: Page<'_>,
    _who: Require<Admin>,
    store: &rocket::State<Store>,
) -> Result<Template, Error> {
    let mut users = Vec::new();
    for user in store.list_users(None, 100).await? {
        let roles = store.grants(&user.id).await?.roles;
        users.push(
            context! { email: user.email, username: user.username, active: user.active, roles },
        );
    }
    Ok(page.render("site/admin", context! { users }))
}

#[get("/fresh")]
fn fresh(page: Page<'_>, _who: Require<Fresh<300>>) -> Template {
    page.render("site/fresh", context! {})
}

#[get("/api/me")]
async fn me(
    who: Require<Via<(Token, Session)>>,
    store: &rocket::State<Store>,
) -> Result<Value, Error> {
    let grants = store.grants(&who.id).await?;
    Ok(rocket::serde::json::json!({
        "email": who.email,
        "roles": grants.roles,
        "permissions": grants.permissions,
        "via": who.via(),
    }))
}

#[post("/api/notes", data = "<note>")]
fn note(who: SignedIn, note: Input<Note>) -> Value {
    rocket::serde::json::json!({ "by": who.email, "text": note.text })
}

/// What `/api/notes` takes, as a form or as JSON.
#[derive(serde::Deserialize)]
struct Note {
    text: String,
}

fn site() -> Rocket<Build> {
    // Behind `cargo run` the port is the one that people type; Rocket's own default address is this machine.
    rocket::build()
        .mount("/", routes![home, profile, admin, fresh, me, note])
        .attach(Security::default())
        .attach(Template::custom(rocket_security::tera_extensions))
}

fn main() -> ExitCode {
    rocket_security::cli::run(site)
}
