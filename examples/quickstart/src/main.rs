#[macro_use]
extern crate rocket;
use rocket_security::{Any, prelude::*};

policies! {
    pub Admin   = role("admin");
    pub Editor  = role("editor");
    pub Publish = permission("post:publish");
}

#[get("/")]
fn home(_open: Public, who: Option<SignedIn>) -> String {
    who.map_or("Hello".into(), |who| format!("Hello, {}", who.email))
}

#[get("/admin")]
fn admin(_who: Require<Admin>) -> &'static str {
    "For administrators"
}

#[post("/posts/<id>/publish", data = "<_body>")]
fn publish(
    id: u32,
    who: Require<(Any<(Admin, Editor)>, Publish, Fresh<600>)>,
    _body: Input<Empty>,
) -> String {
    format!("{} published {id}", who.email)
}

fn site() -> rocket::Rocket<rocket::Build> {
    rocket::build()
        .mount("/", routes![home, admin, publish])
        .attach(Security::default())
}

fn main() -> std::process::ExitCode {
    rocket_security::cli::run(site)
}

#[cfg(test)]
mod tests;
