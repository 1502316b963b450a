//! What happens if an address or a username is taken.

use super::{Checked, EXISTING, USERNAME_TAKEN};
use crate::features::{
    Web,
    confirm::{self, Confirm},
};
use crate::{
    error::Error,
    events::EventKind,
    identity::{EmailAddress, Identity, Username},
    notify::{mail::Recipient, outbox::MailLimit},
    signin::{
        limits::{PerAddress, count_per_address},
        outdated,
        ticket::{self, CodeSubject, TicketOptions},
        ticket_mail,
    },
    store::{Unique, User, tickets, users},
};
use serde_json::json;

/// Which fields name something that belongs to somebody, where answers tell: with all else that is wrong.
pub(super) async fn told_taken(
    web: &Web<'_>,
    email: Option<&EmailAddress>,
    username: Option<&Username>,
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let site = web.site;
    if site.settings.generic_answers {
        return Ok(Vec::new());
    }
    let (email, username, now) = (email.cloned(), username.cloned(), site.now());
    let handle = email
        .as_ref()
        .map(|email| CodeSubject::of_identity(site, &Identity::Email(email.clone())));
    let taken = site
        .store
        .read(move |conn| {
            let mut taken = Vec::new();
            if let (Some(email), Some(handle)) = (&email, &handle)
                && (users::owner_of(conn, email, None)?.is_some()
                    || tickets::open_under(conn, tickets::UNDO, handle.as_str(), now)?.is_some())
            {
                taken.push(("email", "email.taken"));
            }
            if let Some(username) = &username
                && users::owner_of_username(conn, username)?.is_some()
            {
                taken.push(("username", "username.taken"));
            }
            Ok(taken)
        })
        .await?;
    // To ask who has an account here costs what making one does.
    if !taken.is_empty() {
        count_per_address(site, PerAddress::Registration, &web.client).await?;
    }
    Ok(taken)
}

/// Whose it is already, where answers are generic: looked up before, so that a taken address costs the
/// same as a free one.
pub(super) async fn taken(
    web: &Web<'_>,
    checked: &Checked,
) -> Result<Option<(Unique, User)>, Error> {
    if !web.site.settings.generic_answers {
        return Ok(None);
    }
    let (email, username) = (checked.email.clone(), checked.username.clone());
    let handle = CodeSubject::of_identity(web.site, &Identity::Email(email.clone()));
    let now = web.site.now();
    Ok(web
        .site
        .store
        .read(move |conn| {
            if let Some(owner) = users::owner_of(conn, &email, username.as_ref())? {
                return Ok(Some(owner));
            }
            let reserved = tickets::open_under(conn, tickets::UNDO, handle.as_str(), now)?;
            let owner = match reserved {
                Some((id, _)) => users::by_id(conn, &id)?,
                None => None,
            };
            Ok(owner.map(|owner| (Unique::Email, owner)))
        })
        .await?)
}

/// Tells whoever it concerns that something was taken.
pub(super) async fn collision(
    web: &Web<'_>,
    checked: &Checked,
    (which, owner): (Unique, User),
) -> Result<(), Error> {
    let site = web.site;
    let existing_email = which == Unique::Email;
    let kind = EventKind::RegistrationCollision {
        user: owner.id.clone(),
        existing_email,
        existing_username: !existing_email,
    };
    let (composer, typed) = (web.composer(), checked.email.address());
    // An account's mail goes to its address as it is stored. One that is only held back for its owner is not
    // the account's any more: then to that address itself.
    let is_owners =
        EmailAddress::parse(&owner.email).is_ok_and(|of| of.key() == checked.email.key());
    let existing = if is_owners {
        owner.email.as_str()
    } else {
        typed
    };
    let outgoing = match &checked.username {
        // The username belongs to somebody: whoever holds the free address may know, nobody else.
        Some(username) if !existing_email => composer.compose(
            &Recipient::at(typed),
            USERNAME_TAKEN,
            MailLimit::Limited,
            json!({"username": username.name()}),
        )?,
        _ => composer.compose(
            &Recipient::at(existing),
            EXISTING,
            MailLimit::Limited,
            json!({}),
        )?,
    };
    // A ticket of nobody, as a new account's would be written.
    let terms = TicketOptions {
        life: site.settings.confirm.life.get(),
        user: None,
        bound_to: None,
    };
    let identity = Identity::Email(checked.email.clone());
    let handle = CodeSubject::of_identity(site, &identity);
    let decoy = ticket::draft::<Confirm>(site, terms, ticket::Begun::ByVisitor, &handle, &())?;
    web.change(move |change| {
        change.event(kind.clone());
        ticket_mail::enqueue(change, &outgoing, &decoy)
    })
    .await
    .map_err(outdated)?;
    // Where nobody could choose another password, nobody's is taken away.
    let replaceable = site.settings.recover.enabled || site.settings.passwordless.enabled;
    let unproven = owner.confirmed_at.is_none() && site.settings.confirm.enabled;
    if existing_email && unproven && replaceable {
        confirm::contest(site, &owner).await?;
    }
    Ok(())
}
