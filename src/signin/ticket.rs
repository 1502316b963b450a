//! Tickets: every step that is mailed or spans requests is a row, used once.
//!
//! The purpose is in the type, so a ticket for one thing cannot be spent on another. The database keeps
//! a hash of the secret; of many uses at once exactly one succeeds. A mailed ticket also carries a code
//! of six digits, for whoever reads the mail on another device: of that the database keeps a tag under
//! our own key, and a ticket takes a few guesses only.

use std::marker::PhantomData;

use data_encoding::BASE64URL_NOPAD;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use crate::store::sign_in::Begun;
use crate::{
    core::Core,
    error::Error,
    identity::Identity,
    secrets::{Purpose as Key, Secret, digest, random_token},
    store::{
        Conn, Store, StoreError, User,
        tickets::{self, NewTicket, TicketRow},
        users,
    },
    types::{Life, Timestamp, UserId},
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

/// A ticket that was just made: the secret is shown here and nowhere else.
#[derive(Debug)]
pub struct Issued<P: Purpose> {
    /// What to send.
    pub secret: Secret<String>,
    purpose: PhantomData<P>,
}

/// A ticket that was just spent: only one caller ever gets this for a ticket.
#[derive(Debug)]
pub struct Spent<P: Purpose> {
    /// Whose it was.
    pub user: Option<UserId>,
    /// What it carried.
    pub payload: P::Payload,
}

/// Where and how long a ticket is good.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long.
    pub life: Life,
    /// The account it belongs to.
    pub user: Option<UserId>,
    /// The session or browser that must present it, as anything that names it.
    pub bound_to: Option<String>,
}

/// Makes a ticket.
///
/// # Errors
///
/// [`Error::Unavailable`] if the database or the randomness is.
pub async fn issue<P: Purpose>(
    store: &Store,
    terms: Terms,
    payload: &P::Payload,
) -> Result<Issued<P>, Error> {
    let (row, secret) = row::<P>(store.now(), terms, payload)?;
    store
        .write(move |conn| tickets::insert(conn, &row, &Begun::ByVisitor))
        .await?;
    Ok(Issued {
        secret,
        purpose: PhantomData,
    })
}

/// Spends a ticket; `None` if there is none, it is of another purpose, elsewhere bound, expired or spent.
///
/// # Errors
///
/// [`Error::Unavailable`] if the database is.
pub async fn spend<P: Purpose>(
    store: &Store,
    presented: &str,
    bound_to: Option<&str>,
) -> Result<Option<Spent<P>>, Error> {
    let Some(hash) = hash_of(presented) else {
        return Ok(None);
    };
    let (bound_to, now) = (bound_to.map(digest), store.now());
    let spent = store
        .write(move |conn| {
            let Some(row) = tickets::find(conn, P::NAME, &hash, now)? else {
                return Ok(None);
            };
            if row.bound_to.is_some() && row.bound_to != bound_to {
                return Ok(None);
            }
            Ok(tickets::consume(conn, &row.id, now)?.then_some(row))
        })
        .await?;
    Ok(spent.and_then(|row| {
        Some(Spent {
            payload: payload_of::<P>(&row)?,
            user: row.user_id,
        })
    }))
}

/// Ends the open tickets of one purpose of an account.
///
/// # Errors
///
/// [`Error::Unavailable`] if the database is.
pub async fn end<P: Purpose>(store: &Store, user: &UserId) -> Result<(), Error> {
    let user = user.clone();
    Ok(store
        .write(move |conn| tickets::end_of_purpose(conn, &user, P::NAME))
        .await?)
}

fn row<P: Purpose>(
    now: Timestamp,
    terms: Terms,
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
fn hash_of(presented: &str) -> Option<String> {
    (presented.len() == 43).then(|| digest(presented))
}

/// Returns what a ticket carries, or `None` if this version cannot read it.
///
/// Another version of the application or of this crate wrote such a ticket. The visitor is told that it has expired.
fn payload_of<P: Purpose>(row: &TicketRow) -> Option<P::Payload> {
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
async fn discard(store: &Store, row: TicketRow) -> Result<(), StoreError> {
    let now = store.now();
    store
        .write(move |conn| tickets::consume(conn, &row.id, now))
        .await?;
    Ok(())
}

// Mailed tickets.

/// Who a code is asked for: what links the mail's ticket to the form in which the code is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handle(String);

impl Handle {
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
    pub(crate) fn of_identity(core: &Core, identity: &Identity) -> Self {
        let tag = core
            .keys
            .mac(Key::Limits, &[b"handle", identity.bucket().as_bytes()]);
        Self(BASE64URL_NOPAD.encode(&tag))
    }
}

/// A ticket that is about to be mailed, with both of its secrets.
pub(crate) struct Draft<P: Purpose> {
    row: NewTicket,
    /// Who begins it, and with what it ends.
    begun: Begun,
    /// Whose older tickets for the same purpose end with this one.
    replaces: Option<UserId>,
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
    terms: Terms,
    begun: Begun,
    handle: &Handle,
    payload: &P::Payload,
) -> Result<Draft<P>, Error> {
    let (mut row, secret) = row::<P>(core.now(), terms, payload)?;
    let code = random_code()?;
    row.attempts_left = i64::from(core.settings.limits.code_attempts);
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
    /// Without a code; one can be given to it later, by [`Once::carry`].
    pub(crate) fn without_code(mut self) -> Self {
        self.row.code_hash = None;
        self.row.handle = None;
        self
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

// Challenges.

/// Prepares a ticket that one browser or session must present, which has no code. It takes the place of
/// the one before in the same browser or session, and of no other.
#[cfg(feature = "passkeys")]
pub(crate) fn challenge<P: Purpose>(
    core: &Core,
    life: Life,
    (user, begun): (Option<UserId>, Begun),
    bound_to: &str,
    payload: &P::Payload,
) -> Result<Draft<P>, Error> {
    let terms = Terms {
        life,
        user,
        bound_to: Some(bound_to.to_string()),
    };
    let handle = Handle::of_bucket(&format!("{} {bound_to}", P::NAME));
    let mut draft = draft::<P>(core, terms, begun, &handle, payload)?;
    draft.row.code_hash = None;
    draft.row.attempts_left = 0;
    draft.replaces = None;
    Ok(draft)
}

/// A ticket that was found, whether or not it is somebody's; not used up yet.
#[cfg(feature = "passkeys")]
#[derive(Debug)]
pub(crate) struct Found<P: Purpose> {
    id: String,
    pub(crate) user: Option<UserId>,
    pub(crate) payload: P::Payload,
}

#[cfg(feature = "passkeys")]
impl<P: Purpose> Found<P> {
    pub(crate) fn once(&self) -> Once {
        Once(self.id.clone())
    }
}

/// The open ticket with this secret; `None` if it is bound to anything but `bound_to`.
#[cfg(feature = "passkeys")]
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

/// Writes a ticket in the place of the older ones for the same purpose.
pub(crate) fn put<P: Purpose>(conn: &mut Conn, draft: &Draft<P>) -> Result<(), StoreError> {
    if let Some(handle) = &draft.row.handle {
        tickets::end_of_handle(conn, handle, P::NAME, draft.row.user_id.is_none())?;
    }
    if let Some(user) = &draft.replaces {
        tickets::end_of_purpose(conn, user, P::NAME)?;
    }
    tickets::insert(conn, &draft.row, &draft.begun)
}

/// Writes a ticket beside older ones for the same purpose.
pub(crate) fn put_beside<P: Purpose>(conn: &mut Conn, draft: &Draft<P>) -> Result<(), StoreError> {
    tickets::insert(conn, &draft.row, &draft.begun)
}

/// Six digits, each as likely as any other (NIST SP 800-63B, 5.1.3.2, asks for no fewer).
fn random_code() -> Result<Secret<String>, Error> {
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

/// What somebody presents.
pub(crate) enum Presented<'a> {
    /// The secret of a link.
    Link(&'a str),
    /// A typed code, and for whom.
    Code(Handle, &'a str),
}

/// Who presents it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearer {
    /// The account that is signed in, if any.
    pub(crate) user: Option<UserId>,
    /// The browser, as a binding names it.
    pub(crate) browser: Option<String>,
}

/// Why a ticket was not taken; the ticket is as it was, but for an attempt at a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none, or no longer, or the code is wrong.
    Invalid,
    /// Somebody else is signed in.
    OtherAccount,
    /// It is bound to another browser.
    OtherBrowser,
}

/// A ticket that was found good, and is not used up yet.
#[derive(Debug)]
pub(crate) struct Held<P: Purpose> {
    id: String,
    /// Whose it is, as the account is now.
    pub(crate) user: User,
    /// What it carries.
    pub(crate) payload: P::Payload,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

/// The tag of a ticket's code.
pub(crate) struct Tag(Option<String>);

/// Something that is done once: the key to it, for the transaction in which it is done.
#[derive(Clone, Debug)]
pub(crate) struct Once(String);

/// A code that a ticket gets after it was made.
pub(crate) struct NewCode {
    pub(crate) code: Secret<String>,
    hash: String,
}

impl Once {
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
    pub(crate) fn is_code<P: Purpose>(
        &self,
        keys: &crate::secrets::Keys,
        tag: &Tag,
        code: &str,
    ) -> bool {
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

impl<P: Purpose> Held<P> {
    pub(crate) fn once(&self) -> Once {
        Once(self.id.clone())
    }
}

/// Looks at what is presented. A link costs nothing; a code costs one of its ticket's attempts.
pub(crate) async fn present<P: Purpose>(
    core: &Core,
    presented: Presented<'_>,
    bearer: &Bearer,
) -> Result<Result<Held<P>, Refusal>, Error> {
    let (now, bearer) = (core.now(), bearer.clone());
    let found = match presented {
        Presented::Link(secret) => {
            let Some(hash) = hash_of(secret) else {
                return Ok(Err(Refusal::Invalid));
            };
            core.store
                .read(move |conn| {
                    let row = tickets::find(conn, P::NAME, &hash, now)?;
                    judge(conn, row, &bearer)
                })
                .await?
        }
        Presented::Code(handle, code) => {
            // As people type or paste it.
            let code: String = code
                .chars()
                .filter(|c| !c.is_whitespace() && *c != '-')
                .collect();
            let keys = core.keys.clone();
            core.store
                .write(move |conn| {
                    let row = tickets::attempt(conn, P::NAME, &handle.0, now)?;
                    let row = row.filter(|row| {
                        let tag = row.code_hash.as_deref().unwrap_or_default();
                        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap_or_default();
                        let parts = [P::NAME.as_bytes(), row.id.as_bytes(), code.as_bytes()];
                        keys.verify_mac(Key::Codes, &parts, &tag)
                    });
                    judge(conn, row, &bearer)
                })
                .await?
        }
    };
    let (row, user) = match found {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(payload) = payload_of::<P>(&row) else {
        discard(&core.store, row).await?;
        return Ok(Err(Refusal::Invalid));
    };
    Ok(Ok(Held {
        payload,
        id: row.id,
        user,
        created_at: row.created_at,
    }))
}

fn judge(
    conn: &mut Conn,
    row: Option<TicketRow>,
    bearer: &Bearer,
) -> Result<Result<(TicketRow, User), Refusal>, StoreError> {
    // A ticket of nobody was made for somebody unknown, and opens nothing.
    let Some((row, user_id)) = row.and_then(|row| row.user_id.clone().map(|user| (row, user)))
    else {
        return Ok(Err(Refusal::Invalid));
    };
    let Some(user) = users::by_id(conn, &user_id)?.filter(|user| user.active) else {
        return Ok(Err(Refusal::Invalid));
    };
    if bearer
        .user
        .as_ref()
        .is_some_and(|signed_in| *signed_in != user_id)
    {
        return Ok(Err(Refusal::OtherAccount));
    }
    if row.bound_to.is_some() && row.bound_to != bearer.browser.as_deref().map(digest) {
        return Ok(Err(Refusal::OtherBrowser));
    }
    Ok(Ok((row, user)))
}
