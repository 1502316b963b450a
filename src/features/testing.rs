//! The route by which the tests of an application sign in as anybody: with the Cargo feature `testing` alone.

use std::sync::OnceLock;

use rocket::{Route, http::Status, routes};

use super::Web;
use crate::{
    error::Error,
    signin::{
        admit::{Admission, admit},
        remember::Remember,
        session::{self, SessionOptions},
    },
    types::{Methods, UserId},
    web::feature::Feature,
};

/// A word that only this process knows, so that the route is of no use to anybody else.
pub(crate) fn word() -> &'static str {
    static WORD: OnceLock<String> = OnceLock::new();
    WORD.get_or_init(|| uuid::Uuid::new_v4().to_string())
}

pub(crate) const FEATURE: Feature = Feature {
    name: "testing",
    is_on: |_, _| true,
    routes: all,
    templates: &[],
    samples: Vec::new,
    mails: &[],
    links: &[],
};

fn all() -> Vec<Route> {
    routes![login]
}

#[rocket::post("/testing/<said>/<user>/<methods>")]
async fn login(web: Web<'_>, said: &str, user: UserId, methods: i64) -> Result<Status, Error> {
    if said != word() {
        return Err(Error::NotFound);
    }
    let user = web
        .site
        .store
        .find_user(&user)
        .await?
        .ok_or(Error::NotFound)?;
    let Admission::In(admitted) = admit(web.site, user, Methods::from_bits(methods)).await? else {
        return Err(Error::NotFound);
    };
    session::open(
        web.browser,
        web.site,
        &web.client,
        &admitted,
        SessionOptions::remembering(Remember::No),
    )
    .await?;
    Ok(Status::NoContent)
}
