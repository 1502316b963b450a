//! Opening a lock by mail: `/unlock/<token>`.
//!
//! When wrong guesses shut the door of an account, its owner gets one mail with a link that opens it
//! again, so a guesser cannot keep the owner out.

use rocket::{get, post, routes};
use serde_json::json;

use super::{Submitted, Web, mailed};
use crate::{
    error::Error,
    events::EventKind,
    signin::{
        limits::Buckets,
        lockout::{self, Unlock},
        ticket::ValidTicket,
    },
    store::failures,
    templates::{Template, form::FormView, template},
    types::{Path, PathTo},
    web::{
        feature::{Feature, sample_form},
        input::Empty,
        page,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "unlock",
    is_on: |settings, _| settings.unlock.enabled,
    routes: || routes![link, by_link],
    templates: &[LINK],
    samples: || {
        vec![(
            LINK,
            json!({"form": sample_form(), "account": {"email": "ada@example.com"}}),
        )]
    },
    mails: &[lockout::MAIL],
    links: &[],
};

const LINK: Template = template!("unlock/link.html");

// Routes.

#[get("/unlock/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Unlock>(&web, token, Path::Login, |held| {
        let action = web.site.path_to(PathTo::Unlock, [token]);
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .form(FormView::new("unlock", action, []))
    })
    .await
}

#[post("/unlock/<token>", data = "<form>")]
async fn by_link(web: Web<'_>, token: &str, form: Submitted<Empty>) -> Answer {
    let form = web.sent(form, |_| FormView::new("unlock", String::new(), []));
    mailed::use_link(&web, token, Path::Login, form, async |held, _| {
        unlock(&web, held).await
    })
    .await
}

// Service.

async fn unlock(web: &Web<'_>, held: ValidTicket<Unlock>) -> Answer {
    let (site, ticket_id, now) = (web.site, held.ticket_id(), web.site.now());
    let mut names = Buckets::names_of_account(site, &held.user);
    names.extend(held.payload);
    let user = held.user.id.clone();
    let opened = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(false);
            }
            failures::clear(change, &names)?;
            change.event(EventKind::Unlocked { user: user.clone() });
            Ok(true)
        })
        .await?;
    if !opened {
        return Err(Error::Gone);
    }
    web.know_device(&held.user).await?;
    let target = page::after(site, &site.login_path());
    Ok(Reply::done(target)
        .flash("success", "unlock.done")
        .spa("unlock", &held.user.email))
}
