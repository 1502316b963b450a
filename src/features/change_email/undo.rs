//! The way back: what the old address is told, and how its owner undoes the change.

use super::{CHANGED, UNDO};
use crate::{
    accounts::recovery,
    error::{Error, Invalid},
    events::EventKind,
    identity::{EmailAddress, Identity},
    notify::{
        mail::Recipient,
        outbox::{MailLimit, OutgoingMail},
    },
    signin::{
        ticket::{self, CodeSubject, Draft, Purpose, TicketOptions, ValidTicket},
        ticket_mail,
    },
    store::{StoreError, Unique, User, factors, social, tickets, users},
    templates::form::FormView,
    types::{Message, Path, PathTo},
    web::{
        input::Empty,
        page,
        reply::{Answer, Reply},
    },
};
use crate::{
    features::{Submitted, Web, mailed},
    identity::text::masked,
};
use rocket::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The ticket by which the old address takes a change back.
pub(super) enum Undo {}

/// Back to which address.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Back {
    old: String,
}

impl Purpose for Undo {
    const NAME: &'static str = tickets::UNDO;
    type Payload = Back;
}

#[get("/undo/<token>")]
pub(super) async fn undo_link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Undo>(&web, token, Path::Login, |held| {
        let action = web.site.path_to(PathTo::Undo, [token]);
        Reply::page(UNDO)
            .with("account", json!({"email": held.payload.old}))
            .with("new_email", masked(&held.user.email))
            .form(FormView::new("undo", action, []))
    })
    .await
}

#[post("/undo/<token>", data = "<form>")]
pub(super) async fn undo_by_link(web: Web<'_>, token: &str, form: Submitted<Empty>) -> Answer {
    let form = web.sent(form, |_| FormView::new("undo", String::new(), []));
    mailed::use_link(&web, token, Path::Login, form, async |held, _| {
        undo(&web, held).await
    })
    .await
}

/// A mail and, where there is a way back, its ticket.
pub(super) type Notice = (OutgoingMail, Option<Draft<Undo>>);

/// What the old address is told, with the way back. An address that was never proven may be somebody
/// else's by mistake: it is told nothing, and gets no power over the account.
pub(super) fn notice(
    web: &Web<'_>,
    user: &User,
    new: &str,
    undoable: bool,
) -> Result<Option<Notice>, Error> {
    let site = web.site;
    if site.settings.confirm.enabled && user.confirmed_at.is_none() {
        return Ok(None);
    }
    let mut own = json!({});
    let mut undo = None;
    // Taking it back takes the password away, and so wants a way to another.
    let undoable = undoable && site.settings.recover.enabled;
    if undoable && site.settings.change_email.undo.as_secs() > 0 {
        let terms = TicketOptions {
            life: site.settings.change_email.undo,
            user: Some(user.id.clone()),
            bound_to: None,
        };
        let payload = Back {
            old: user.email.clone(),
        };
        // Under the old address, which nobody else can take as long as its owner can.
        let old = EmailAddress::parse(&user.email)
            .map_err(|message| Error::Broken(message.key().to_string()))?;
        let held_back = CodeSubject::of_identity(site, &Identity::Email(old));
        let draft =
            ticket::draft::<Undo>(site, terms, ticket::Begun::ByVisitor, &held_back, &payload)?;
        own = ticket_mail::context(site, PathTo::Undo, &draft);
        undo = Some(draft);
    }
    own["new_email"] = masked(new).into();
    let outgoing = web
        .composer()
        .compose(&Recipient::from(user), CHANGED, MailLimit::Free, own)?;
    Ok(Some((outgoing, undo)))
}

/// Uses the ticket up, gives the account its old address back and locks everybody out of it; the old
/// address gets a mail with which a new password can be set.
pub(super) async fn undo(web: &Web<'_>, held: ValidTicket<Undo>) -> Answer {
    let (site, user) = (web.site, &held.user);
    let old = EmailAddress::parse(&held.payload.old).map_err(|_| Error::Gone)?;
    let to = Recipient::at(old.address());
    let recovery = match site.settings.recover.enabled {
        true => Some(recovery::prepare(site, &web.composer(), &to, user)?),
        false => None,
    };
    let (ticket_id, id, since, now) = (
        held.ticket_id(),
        user.id.clone(),
        held.created_at,
        site.now(),
    );
    // Whoever took the account may have set them up before they changed its address.
    let suspect = since.before(site.settings.change_email.undo);
    let email = old.clone();
    let outcome = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(false);
            }
            users::restore_email(change, &id, &email, now)?;
            factors::delete_since(change, &id, suspect)?;
            social::delete_since(change, &id, suspect)?;
            // What was changed after that is undone with it; an earlier address may still take it back.
            tickets::end_since(change, &id, Undo::NAME, since)?;
            if let Some(recovery) = &recovery {
                change.recovery(recovery, true)?;
            }
            change.event(EventKind::EmailChangeUndone { user: id.clone() });
            Ok(true)
        })
        .await;
    match outcome {
        Ok(true) => {}
        Ok(false) => return Err(Error::Gone),
        Err(StoreError::Taken(Unique::Email)) => {
            return Err(Invalid::form(Message::new("change_email.taken")).into());
        }
        Err(error) => return Err(error.into()),
    }
    let target = page::after(site, &site.login_path());
    Ok(Reply::done(target)
        .flash("success", "change_email.undone")
        .spa("undo", old.address()))
}
