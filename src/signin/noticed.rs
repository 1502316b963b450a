//! Telling an owner of a sign-in in a browser that the account does not know, with a link that signs out everywhere.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ticket::{self, Begun, CodeSubject, Draft, Purpose, TicketOptions};
use crate::{
    core::{Core, change::Change},
    error::Error,
    http::client::ClientInfo,
    notify::{notices, outbox::OutgoingMail},
    store::{StoreError, User, tickets},
    types::{PathTo, Timestamp},
};

/// The ticket that signs out everywhere. It belongs to no session and outlives a new password: a thief who signs out
/// and in again, or changes the password, does not end it.
pub(crate) enum Noticed {}

/// What its page says of the sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) address: String,
    pub(crate) agent: String,
}

impl Purpose for Noticed {
    const NAME: &'static str = tickets::NOTICED;
    type Payload = Seen;
}

/// A mail that is to be written with the session of which it tells.
pub(crate) struct Notice {
    outgoing: OutgoingMail,
    draft: Draft<Noticed>,
}

/// What the owner is told of a sign-in; nothing of the first, and in a browser that the account knows.
pub(crate) fn prepare(
    core: &Core,
    client: &ClientInfo,
    user: &User,
) -> Result<Option<Notice>, Error> {
    let settings = &core.settings.session;
    // An address that nobody proved may be a stranger's.
    let proven = user.confirmed_at.is_some() || !core.settings.confirm.enabled;
    let is_first = user.sign_in_count == 0;
    let known = client.device.known_device(&core.http, user).is_some();
    if !settings.new_device_mail || !proven || is_first || known {
        return Ok(None);
    }
    let terms = TicketOptions {
        life: settings.new_device_link.get(),
        user: Some(user.id.clone()),
        bound_to: None,
    };
    let seen = Seen {
        at: core.now(),
        address: client.client.address.clone(),
        agent: client.client.agent.clone(),
    };
    let handle = CodeSubject::of_user(&user.id);
    let draft =
        ticket::draft::<Noticed>(core, terms, Begun::ByVisitor, &handle, &seen)?.without_code();
    let own = json!({
        "url": core.absolute_to(PathTo::EndSession, [draft.secret.expose()]),
        "until": draft.until().to_text(),
    });
    let outgoing = notices::new_device(&client.composer(&core.notify), user, own)?;
    Ok(Some(Notice { outgoing, draft }))
}

/// Writes it, once the session is written.
pub(crate) fn enqueue(change: &mut Change<'_>, notice: &Notice) -> Result<(), StoreError> {
    match change.mail(&notice.outgoing)? {
        true => ticket::insert_beside(change, &notice.draft),
        false => Ok(()),
    }
}
