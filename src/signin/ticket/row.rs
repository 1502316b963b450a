//! What a ticket is for, and the row that makes it good.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    secrets::{Secret, digest, random_token},
    store::{
        Store, StoreError,
        tickets::{self, NewTicket, TicketRow},
    },
    types::{Timestamp, UserId},
};

/// What a kind of ticket is for.
///
/// ```
/// use rocket_security::ticket::Purpose;
/// enum Download {}
/// impl Purpose for Download {
///     const NAME: &'static str = "download";
///     type Payload = String;
/// }
/// ```
pub trait Purpose: Send + Sync + 'static {
    /// A name of at most 32 characters, never used for anything else.
    const NAME: &'static str;
    /// What the ticket carries.
    type Payload: Serialize + DeserializeOwned + Send;
}

/// Where and how long a ticket is good.
#[derive(Clone, Debug)]
#[must_use]
pub struct TicketOptions {
    pub(crate) life: Duration,
    pub(crate) user: Option<UserId>,
    /// The session or browser that must present it, as anything that names it.
    pub(crate) bound_to: Option<String>,
}

impl TicketOptions {
    /// Good for `life`, for whoever has it.
    pub const fn lasting(life: Duration) -> Self {
        Self {
            life,
            user: None,
            bound_to: None,
        }
    }

    /// It belongs to this account, and ends with it.
    pub fn user(mut self, user: &UserId) -> Self {
        self.user = Some(user.clone());
        self
    }

    /// Only who presents the same text again may spend it: what names a session, or a browser.
    pub fn bound_to(mut self, holder: impl Into<String>) -> Self {
        self.bound_to = Some(holder.into());
        self
    }
}

pub(super) fn row<P: Purpose>(
    now: Timestamp,
    terms: TicketOptions,
    payload: &P::Payload,
) -> Result<(NewTicket, Secret<String>), Error> {
    let secret = random_token()?;
    let row = NewTicket {
        id: uuid::Uuid::now_v7().to_string(),
        purpose: P::NAME.to_string(),
        secret_hash: digest(secret.expose()),
        user_id: terms.user,
        bound_to: terms.bound_to.as_deref().map(digest),
        payload: serde_json::to_string(payload)
            .map_err(|error| Error::Broken(error.to_string()))?,
        attempts_left: 0,
        created_at: now,
        expires_at: now.after(terms.life),
        handle: None,
        code_hash: None,
        session_hash: None,
        remember_series: None,
    };
    Ok((row, secret))
}

/// The hash of what was presented, if it can be a ticket's secret at all.
pub(super) fn hash_of(presented: &str) -> Option<String> {
    (presented.len() == 43).then(|| digest(presented))
}

/// Returns what a ticket carries, or `None` if this version cannot read it.
///
/// Another version of the application or of this crate wrote such a ticket. The visitor is told that it has expired.
pub(super) fn payload_of<P: Purpose>(row: &TicketRow) -> Option<P::Payload> {
    serde_json::from_str(&row.payload)
        .map_err(|error| {
            log::warn!(
                "a stored ticket for `{}` cannot be read, and is treated as expired: {error}",
                P::NAME
            );
        })
        .ok()
}

/// Uses up a ticket that cannot be read.
pub(super) async fn discard(store: &Store, row: TicketRow) -> Result<(), StoreError> {
    let now = store.now();
    store
        .write(move |conn| tickets::consume(conn, &row.id, now))
        .await?;
    Ok(())
}
