//! Tickets and the mails that carry them, written together.

use serde_json::json;

use super::ticket::{self, Draft, Purpose};
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::Error,
    notify::outbox::OutgoingMail,
    store::StoreError,
    types::PathTo,
};

/// Writes a mail and its ticket; true if the mail is in the outbox, and not held back since one like
/// it went there a moment ago. Then the older ticket stays the good one.
pub(crate) async fn write<P: Purpose>(
    core: &Core,
    by: &By,
    outgoing: OutgoingMail,
    draft: Draft<P>,
) -> Result<bool, Error> {
    core.change(by, move |change| enqueue(change, &outgoing, &draft))
        .await
        .map_err(super::outdated)
}

/// The same as part of a transaction: the ticket is written only if its mail is.
pub(crate) fn enqueue<P: Purpose>(
    change: &mut Change<'_>,
    outgoing: &OutgoingMail,
    draft: &Draft<P>,
) -> Result<bool, StoreError> {
    let is_queued = change.mail(outgoing)?;
    if is_queued {
        ticket::insert(change, draft)?;
    }
    Ok(is_queued)
}

/// What the mail of a ticket says of it: link, code and until when.
pub(crate) fn context<P: Purpose>(
    core: &Core,
    path: PathTo,
    draft: &Draft<P>,
) -> serde_json::Value {
    json!({
        "url": core.absolute_to(path, [draft.secret.expose()]),
        "code": draft.code.expose(),
        "until": draft.until().to_text(),
    })
}
