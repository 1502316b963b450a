//! Tickets of the application: issued, spent once, or ended.

use std::marker::PhantomData;

use super::row::{Purpose, TicketOptions, hash_of, payload_of, row};
use crate::{
    error::Error,
    secrets::{Secret, digest},
    store::{Store, sign_in::Begun, tickets},
    types::UserId,
};

/// A ticket that was just made: the secret is shown here and nowhere else.
#[derive(Debug)]
pub struct Issued<P: Purpose> {
    /// What to send.
    pub secret: Secret<String>,
    purpose: PhantomData<P>,
}

/// A ticket that was just spent: only one caller ever gets this for a ticket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spent<P: Purpose> {
    /// Whose it was.
    pub user: Option<UserId>,
    /// What it carried.
    pub payload: P::Payload,
}

/// Makes a ticket.
///
/// # Errors
///
/// [`Error::Unavailable`] if the database or the randomness is.
pub async fn issue<P: Purpose>(
    store: &Store,
    terms: TicketOptions,
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
