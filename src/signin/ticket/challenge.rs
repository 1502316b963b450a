//! Tickets that one browser or session must present, and that have no code.
#![allow(dead_code, reason = "passkeys may not be compiled in")]

pub(crate) use super::ticket_id::TicketId;
use std::time::Duration;

use super::{
    draft::{CodeSubject, Draft, draft},
    row::{Purpose, TicketOptions, discard, hash_of, payload_of},
};
use crate::{
    core::Core,
    error::Error,
    secrets::digest,
    store::{sign_in::Begun, tickets},
    types::UserId,
};

/// Prepares a ticket that one browser or session must present, which has no code. It takes the place of
/// the one before in the same browser or session, and of no other.
pub(crate) fn begin<P: Purpose>(
    core: &Core,
    life: Duration,
    (user, begun): (Option<UserId>, Begun),
    bound_to: &str,
    payload: &P::Payload,
) -> Result<Draft<P>, Error> {
    let terms = TicketOptions {
        life,
        user,
        bound_to: Some(bound_to.to_string()),
    };
    let handle = CodeSubject::of_bucket(&format!("{} {bound_to}", P::NAME));
    let mut draft = draft::<P>(core, terms, begun, &handle, payload)?;
    draft.row.code_hash = None;
    draft.row.attempts_left = 0;
    draft.replaces = None;
    Ok(draft)
}

/// A ticket that was found, whether or not it is somebody's; not used up yet.
#[derive(Debug)]
pub(crate) struct Found<P: Purpose> {
    id: String,
    pub(crate) user: Option<UserId>,
    pub(crate) payload: P::Payload,
}

impl<P: Purpose> Found<P> {
    pub(crate) fn ticket_id(&self) -> TicketId {
        TicketId(self.id.clone())
    }
}

/// The open ticket with this secret; `None` if it is bound to anything but `bound_to`.
pub(crate) async fn find<P: Purpose>(
    core: &Core,
    secret: &str,
    bound_to: Option<&str>,
) -> Result<Option<Found<P>>, Error> {
    let Some(hash) = hash_of(secret) else {
        return Ok(None);
    };
    let (bound_to, now) = (bound_to.map(digest), core.now());
    let row = core
        .store
        .read(move |conn| tickets::find(conn, P::NAME, &hash, now))
        .await?;
    let row = row.filter(|row| row.bound_to.is_none() || row.bound_to == bound_to);
    let Some(row) = row else { return Ok(None) };
    let Some(payload) = payload_of::<P>(&row) else {
        discard(&core.store, row).await?;
        return Ok(None);
    };
    Ok(Some(Found {
        payload,
        id: row.id,
        user: row.user_id,
    }))
}
