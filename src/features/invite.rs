//! Invitations: an administrator makes an account, its owner chooses the password at `/invite/<token>`.

use rocket::{get, post, routes};
use serde_json::json;

use super::{
    Submitted, Web, mailed,
    new_password::{self, NewPassword},
};
use crate::{
    accounts::invitation::{self, Invite},
    error::Error,
    events::EventKind,
    signin::{admit::admit, session::SessionOptions, ticket::ValidTicket},
    store::users::{self, EarlierPassword},
    templates::{Template, form::FormView, template},
    types::{Method, Methods, Path, PathTo},
    web::{
        feature::{Feature, sample_form},
        page,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "invite",
    is_on: |settings, _| settings.invite.enabled,
    routes: || routes![link, by_link],
    templates: &[LINK],
    samples: || {
        vec![(
            LINK,
            json!({"form": sample_form(), "account": {"email": "ada@example.com"}}),
        )]
    },
    mails: &[invitation::MAIL],
    links: &[],
};

const LINK: Template = template!("invite/link.html");

// Routes.

fn link_view(web: &Web<'_>, token: &str, email: &str) -> Reply {
    let fields = new_password::fields(web, new_password::PASSWORD);
    let action = web.site.path_to(PathTo::Invite, [token]);
    Reply::page(LINK)
        .with("account", json!({"email": email}))
        .form(FormView::new("invite", action, fields))
}

#[get("/invite/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Invite>(&web, token, Path::Login, |held| {
        link_view(&web, token, &held.user.email)
    })
    .await
}

#[post("/invite/<token>", data = "<form>")]
async fn by_link(web: Web<'_>, token: &str, form: Submitted<NewPassword>) -> Answer {
    let form = web.sent(form, |_| link_view(&web, token, ""));
    mailed::use_link::<Invite, _>(&web, token, Path::Login, form, async |held, form| {
        let email = held.user.email.clone();
        match accept(&web, held, &form).await {
            Err(Error::Invalid(invalid)) => Ok(link_view(&web, token, &email).invalid(invalid)),
            done => done,
        }
    })
    .await
}

// Service.

/// Uses the ticket up and sets the password, or answers what is wrong with it and leaves the ticket.
async fn accept(web: &Web<'_>, held: ValidTicket<Invite>, typed: &NewPassword) -> Answer {
    let (site, user) = (web.site, &held.user);
    let username = user.username.as_deref();
    let password = new_password::checked(web, typed, &user.email, username).await?;
    let hash = site.hasher.hash(&password).await?;
    let (ticket_id, id, now) = (held.ticket_id(), user.id.clone(), site.now());
    let accepted = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(None);
            }
            users::set_password(change, &id, &hash, users::EndsWithPassword::ALL, now)?;
            change.event(EventKind::InvitationAccepted { user: id.clone() });
            change.prove_address(&id, EarlierPassword::Keep, None)?;
            users::by_id(change, &id)
        })
        .await?;
    let user = accepted.ok_or(Error::Gone)?;
    if site.settings.invite.sign_in && web.caller.is_none() {
        let admission = admit(site, user, Methods::of(Method::Email)).await?;
        let target = page::after(site, &site.settings.after.login);
        return web
            .enter(
                admission,
                SessionOptions::by_default(site),
                target,
                false,
                "invite",
            )
            .await;
    }
    let target = page::after(site, &site.login_path());
    Ok(Reply::done(target)
        .flash("success", "invite.done")
        .spa("invite", &user.email))
}
