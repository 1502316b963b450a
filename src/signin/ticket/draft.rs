//! Tickets that are mailed, or begin a second step: drafted first, and written in the transaction of the mail.

use std::marker::PhantomData;

use data_encoding::BASE64URL_NOPAD;

use super::row::{Purpose, TicketOptions, row};
use crate::{
    core::Core,
    error::Error,
    identity::Identity,
    secrets::{Purpose as Key, Secret, digest},
    settings::Base,
    store::{
        Conn, StoreError,
        sign_in::Begun,
        tickets::{self, NewTicket},
    },
    types::{Timestamp, UserId},
};

/// Who a code is asked for: what links the mail's ticket to the form in which the code is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeSubject(String);

impl CodeSubject {
    /// An account, by whatever name somebody typed.
    pub(crate) fn of_user(user: &UserId) -> Self {
        Self(digest(user.as_str()))
    }

    /// As it rests.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What a counter is about.
    pub(crate) fn of_bucket(name: &str) -> Self {
        Self(digest(name))
    }

    /// A name that has no account, or an address that is to get one.
    pub(crate) fn of_identity(base: &Base, identity: &Identity) -> Self {
        let tag = base
            .keys
            .mac(Key::Limits, &[b"handle", identity.bucket().as_bytes()]);
        Self(BASE64URL_NOPAD.encode(&tag))
    }
}

/// A ticket that is about to be mailed, with both of its secrets.
pub(crate) struct Draft<P: Purpose> {
    pub(super) row: NewTicket,
    /// Who begins it, and with what it ends.
    begun: Begun,
    /// Whose older tickets for the same purpose end with this one.
    pub(super) replaces: Option<UserId>,
    /// What the link carries.
    pub(crate) secret: Secret<String>,
    /// What may be typed instead.
    pub(crate) code: Secret<String>,
    purpose: PhantomData<P>,
}

impl<P: Purpose> Clone for Draft<P> {
    fn clone(&self) -> Self {
        Self {
            row: self.row.clone(),
            begun: self.begun.clone(),
            replaces: self.replaces.clone(),
            secret: self.secret.clone(),
            code: self.code.clone(),
            purpose: PhantomData,
        }
    }
}

/// Prepares a mailed ticket. Nothing is written yet: that is [`put`], in the transaction of the mail. What a
/// signed-in caller begins ends with the caller's session: `begun` says so.
pub(crate) fn draft<P: Purpose>(
    core: &Core,
    terms: TicketOptions,
    begun: Begun,
    handle: &CodeSubject,
    payload: &P::Payload,
) -> Result<Draft<P>, Error> {
    let (mut row, secret) = row::<P>(core.now(), terms, payload)?;
    let code = random_code()?;
    row.attempts_left = i64::from(core.settings.limits.code_attempts.get());
    row.code_hash = Some(BASE64URL_NOPAD.encode(&core.keys.mac(
        Key::Codes,
        &[
            P::NAME.as_bytes(),
            row.id.as_bytes(),
            code.expose().as_bytes(),
        ],
    )));
    row.handle = Some(handle.0.clone());
    Ok(Draft {
        replaces: row.user_id.clone(),
        row,
        begun,
        secret,
        code,
        purpose: PhantomData,
    })
}

impl<P: Purpose> Draft<P> {
    /// Found by its secret alone: who types its code must present the secret too.
    pub(crate) fn by_secret(mut self) -> Self {
        self.row.handle = None;
        self
    }

    /// Found by its secret, and without a code. It can get one later, by [`TicketId::carry`].
    pub(crate) fn without_code(self) -> Self {
        let mut draft = self.by_secret();
        draft.row.code_hash = None;
        draft
    }

    /// The same ticket with something else in it.
    pub(crate) fn carrying(mut self, payload: &P::Payload) -> Result<Self, Error> {
        self.row.payload =
            serde_json::to_string(payload).map_err(|error| Error::Broken(error.to_string()))?;
        Ok(self)
    }

    /// In the place of somebody's older tickets, even if it is not theirs.
    pub(crate) fn replacing(mut self, user: &UserId) -> Self {
        self.replaces = Some(user.clone());
        self
    }

    /// Until when it is good.
    pub(crate) fn until(&self) -> Timestamp {
        self.row.expires_at
    }
}

/// Writes a ticket in the place of the older ones for the same purpose.
pub(crate) fn insert<P: Purpose>(conn: &mut Conn, draft: &Draft<P>) -> Result<(), StoreError> {
    if let Some(handle) = &draft.row.handle {
        tickets::end_of_handle(conn, handle, P::NAME, draft.row.user_id.is_none())?;
    }
    if let Some(user) = &draft.replaces {
        tickets::end_of_purpose(conn, user, P::NAME)?;
    }
    tickets::insert(conn, &draft.row, &draft.begun)
}

/// Writes a ticket beside older ones for the same purpose.
pub(crate) fn insert_beside<P: Purpose>(
    conn: &mut Conn,
    draft: &Draft<P>,
) -> Result<(), StoreError> {
    tickets::insert(conn, &draft.row, &draft.begun)
}

/// Six digits, each as likely as any other (NIST SP 800-63B, 5.1.3.2, asks for no fewer).
pub(super) fn random_code() -> Result<Secret<String>, Error> {
    const CODES: u32 = 1_000_000;
    // What lies beyond the last whole million would favour the lower codes.
    const END: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let mut bytes = [0u8; 4];
        getrandom::fill(&mut bytes)?;
        let number = u32::from_le_bytes(bytes);
        if number < END {
            return Ok(Secret::new(format!("{:06}", number % CODES)));
        }
    }
}
