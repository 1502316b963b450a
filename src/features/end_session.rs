//! Signing out everywhere by the link of the mail about a new sign-in: `/end-session/<token>`.

use rocket::{get, post, routes};
use serde_json::json;

use super::{Submitted, Web, mailed};
use crate::{
    error::Error,
    signin::{noticed::Noticed, ticket::ValidTicket},
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
    name: "end_session",
    is_on: |settings, _| settings.session.new_device_mail,
    routes: || routes![link, by_link],
    templates: &[LINK],
    samples: || {
        let page = json!({
            "form": sample_form(), "account": {"email": "ada@example.com"}, "at": "today",
            "address": "::1", "agent": "Browser",
        });
        vec![(LINK, page)]
    },
    mails: &[],
    links: &[],
};

const LINK: Template = template!("end_session/link.html");

// Routes.

#[get("/end-session/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Noticed>(&web, token, Path::Login, |held| {
        let action = web.site.path_to(PathTo::EndSession, [token]);
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .with("at", held.payload.at.to_text())
            .with("address", &held.payload.address)
            .with("agent", &held.payload.agent)
            .form(FormView::new("end_session", action, []))
    })
    .await
}

#[post("/end-session/<token>", data = "<form>")]
async fn by_link(web: Web<'_>, token: &str, form: Submitted<Empty>) -> Answer {
    let form = web.sent(form, |_| FormView::new("end_session", String::new(), []));
    mailed::use_link(&web, token, Path::Login, form, async |held, _| {
        end(&web, held).await
    })
    .await
}

// Service.

async fn end(web: &Web<'_>, held: ValidTicket<Noticed>) -> Answer {
    let (site, ticket_id, now) = (web.site, held.ticket_id(), web.site.now());
    let user = held.user.id.clone();
    let ended = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(false);
            }
            // Whatever became of the session of the mail: its browser may have opened another. None is known after
            // this, so that the next sign-in is told by mail again.
            change.sign_out_everywhere(&user)?;
            Ok(true)
        })
        .await?;
    if !ended {
        return Err(Error::Gone);
    }
    let target = page::after(site, &site.login_path());
    Ok(Reply::done(target)
        .flash("success", "end_session.done")
        .spa("end_session", &held.user.email))
}
