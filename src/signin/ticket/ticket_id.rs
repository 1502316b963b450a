//! What is done once with a ticket, in the transaction in which it is done.

use data_encoding::BASE64URL_NOPAD;

use super::{
    draft::random_code,
    row::{Purpose, payload_of},
};
use crate::{
    core::Core,
    error::Error,
    secrets::{Keys, Purpose as Key, Secret},
    store::{Conn, StoreError, tickets},
    types::Timestamp,
};

/// Something that is done once: the key to it, for the transaction in which it is done.
#[derive(Clone, Debug)]
pub(crate) struct TicketId(pub(super) String);

/// The tag of a ticket's code.
pub(crate) struct Tag(Option<String>);

/// A code that a ticket gets after it was made.
pub(crate) struct NewCode {
    pub(crate) code: Secret<String>,
    hash: String,
}

impl TicketId {
    /// A new code for the ticket, not written yet.
    pub(crate) fn new_code<P: Purpose>(&self, core: &Core) -> Result<NewCode, Error> {
        let code = random_code()?;
        let parts = [
            P::NAME.as_bytes(),
            self.0.as_bytes(),
            code.expose().as_bytes(),
        ];
        let hash = BASE64URL_NOPAD.encode(&core.keys.mac(Key::Codes, &parts));
        Ok(NewCode { code, hash })
    }

    /// Changes what the ticket carries, its code included; false if it is spent.
    pub(crate) fn carry<P: Purpose>(
        &self,
        conn: &mut Conn,
        payload: &P::Payload,
        code: Option<&NewCode>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let payload = serde_json::to_string(payload)
            .map_err(|error| StoreError::Broken(error.to_string()))?;
        let hash = code.map(|code| code.hash.as_str());
        tickets::carry(conn, &self.0, &payload, hash, now)
    }

    /// Uses up one of the ticket's attempts; what it carries and its code's tag, if one was left.
    pub(crate) fn attempt<P: Purpose>(
        &self,
        conn: &mut Conn,
        now: Timestamp,
    ) -> Result<Option<(P::Payload, Tag)>, StoreError> {
        let Some(row) = tickets::attempt_at(conn, &self.0, now)? else {
            return Ok(None);
        };
        let Some(payload) = payload_of::<P>(&row) else {
            self.consume(conn, now)?;
            return Ok(None);
        };
        Ok(Some((payload, Tag(row.code_hash))))
    }

    /// Whether `code` is the one of `tag`.
    pub(crate) fn is_code<P: Purpose>(&self, keys: &Keys, tag: &Tag, code: &str) -> bool {
        let tag = tag.0.as_deref().unwrap_or_default();
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap_or_default();
        let parts = [P::NAME.as_bytes(), self.0.as_bytes(), code.as_bytes()];
        keys.verify_mac(Key::Codes, &parts, &tag)
    }

    /// Uses the ticket up; of many at once exactly one gets true, and only within its life.
    pub(crate) fn consume(&self, conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
        tickets::consume(conn, &self.0, now)
    }
}
