//! Tickets and the mails that carry them, written together.

use serde_json::json;

use super::ticket::{self, Draft, Purpose};
use crate::{
    core::Core,
    error::Error,
    notify::outbox::{self, Letter, Posted},
    store::{Conn, StoreError},
};

/// Writes a letter and its ticket; true if the letter is in the outbox, and not held back since one like
/// it went there a moment ago. Then the older ticket stays the good one.
pub(crate) async fn write<P: Purpose>(
    core: &Core,
    letter: Letter,
    draft: Draft<P>,
) -> Result<bool, Error> {
    let posted = core
        .store
        .write(move |conn| put(conn, &letter, &draft))
        .await
        .map_err(super::outdated)?;
    let is_put = posted.is_put();
    core.posted(posted);
    Ok(is_put)
}

/// The same as part of a transaction: the ticket is written only if its letter is.
pub(crate) fn put<P: Purpose>(
    conn: &mut Conn,
    letter: &Letter,
    draft: &Draft<P>,
) -> Result<Posted, StoreError> {
    let posted = outbox::put(conn, letter)?;
    if posted.is_put() {
        ticket::put(conn, draft)?;
    }
    Ok(posted)
}

/// What the letter of a ticket says of it: link, code and until when.
pub(crate) fn context<P: Purpose>(core: &Core, path: &str, draft: &Draft<P>) -> serde_json::Value {
    json!({
        "url": core.absolute(&format!("{path}/{}", draft.secret.expose())),
        "code": draft.code.expose(),
        "until": draft.until().to_text(),
    })
}
