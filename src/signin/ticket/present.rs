//! A ticket that somebody presents, by its link or its code.

use data_encoding::BASE64URL_NOPAD;

use super::{
    draft::{CodeSubject, Draft},
    row::{Purpose, discard, hash_of, payload_of},
    ticket_id::TicketId,
};
use crate::{
    core::Core,
    error::Error,
    secrets::{Purpose as Key, digest},
    store::{
        Conn, StoreError, User,
        tickets::{self, TicketRow},
        users,
    },
    types::{Timestamp, UserId},
};

/// What somebody presents.
pub(crate) enum Presented<'a> {
    /// The secret of a link.
    Link(&'a str),
    /// A typed code, and for whom.
    Code(CodeSubject, &'a str),
}

/// Who presents it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presenter {
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
pub(crate) struct ValidTicket<P: Purpose> {
    id: String,
    /// Whose it is, as the account is now.
    pub(crate) user: User,
    /// What it carries.
    pub(crate) payload: P::Payload,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

impl<P: Purpose> ValidTicket<P> {
    /// The ticket of `user` that was just written.
    pub(crate) fn written(draft: &Draft<P>, user: User, payload: P::Payload) -> Self {
        Self {
            id: draft.row.id.clone(),
            user,
            payload,
            created_at: draft.row.created_at,
        }
    }

    pub(crate) fn ticket_id(&self) -> TicketId {
        TicketId(self.id.clone())
    }
}

/// Looks at what is presented. A link costs nothing; a code costs one of its ticket's attempts.
pub(crate) async fn present<P: Purpose>(
    core: &Core,
    presented: Presented<'_>,
    presenter: &Presenter,
) -> Result<Result<ValidTicket<P>, Refusal>, Error> {
    let (now, presenter) = (core.now(), presenter.clone());
    let found = match presented {
        Presented::Link(secret) => {
            let Some(hash) = hash_of(secret) else {
                return Ok(Err(Refusal::Invalid));
            };
            core.store
                .read(move |conn| {
                    let row = tickets::find(conn, P::NAME, &hash, now)?;
                    validate(conn, row, &presenter)
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
                    let row = tickets::attempt(conn, P::NAME, handle.as_str(), now)?;
                    let row = row.filter(|row| {
                        let tag = row.code_hash.as_deref().unwrap_or_default();
                        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap_or_default();
                        let parts = [P::NAME.as_bytes(), row.id.as_bytes(), code.as_bytes()];
                        keys.verify_mac(Key::Codes, &parts, &tag)
                    });
                    validate(conn, row, &presenter)
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
    Ok(Ok(ValidTicket {
        payload,
        id: row.id,
        user,
        created_at: row.created_at,
    }))
}

fn validate(
    conn: &mut Conn,
    row: Option<TicketRow>,
    presenter: &Presenter,
) -> Result<Result<(TicketRow, User), Refusal>, StoreError> {
    // A ticket of nobody was made for somebody unknown, and opens nothing.
    let Some((row, user_id)) = row.and_then(|row| row.user_id.clone().map(|user| (row, user)))
    else {
        return Ok(Err(Refusal::Invalid));
    };
    let Some(user) = users::by_id(conn, &user_id)?.filter(|user| user.active) else {
        return Ok(Err(Refusal::Invalid));
    };
    if presenter
        .user
        .as_ref()
        .is_some_and(|signed_in| *signed_in != user_id)
    {
        return Ok(Err(Refusal::OtherAccount));
    }
    if row.bound_to.is_some() && row.bound_to != presenter.browser.as_deref().map(digest) {
        return Ok(Err(Refusal::OtherBrowser));
    }
    Ok(Ok((row, user)))
}
