//! Tickets: every step that is mailed or spans requests is a row, used once.
//!
//! The purpose is in the type, so a ticket for one thing cannot be spent on another. The database keeps
//! a hash of the secret; of many uses at once exactly one succeeds.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Life,
    error::Error,
    secrets::{Secret, digest, random_token},
    store::{
        Store, UserId,
        tickets::{self, NewTicket},
    },
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
    let (secret, now) = (random_token()?, store.now());
    let row = NewTicket {
        id: uuid::Uuid::now_v7().to_string(),
        purpose: P::NAME.to_string(),
        secret_hash: digest(secret.expose()),
        user_id: terms.user,
        bound_to: terms.bound_to.as_deref().map(digest),
        payload: serde_json::to_string(payload)
            .map_err(|error| Error::Broken(error.to_string()))?,
        attempts_left: 1,
        created_at: now,
        expires_at: now.after(terms.life),
    };
    store.write(move |conn| tickets::insert(conn, &row)).await?;
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
    if presented.len() != 43 {
        return Ok(None);
    }
    let (hash, bound_to, now) = (digest(presented), bound_to.map(digest), store.now());
    let spent = store
        .write(move |conn| {
            let Some(row) = tickets::find(conn, P::NAME, &hash)? else {
                return Ok(None);
            };
            if row.bound_to.is_some() && row.bound_to != bound_to {
                return Ok(None);
            }
            Ok(tickets::consume(conn, &row.id, now)?.then_some(row))
        })
        .await?;
    match spent {
        Some(row) => {
            let payload = serde_json::from_str(&row.payload)
                .map_err(|error| Error::Broken(error.to_string()))?;
            Ok(Some(Spent {
                user: row.user_id,
                payload,
            }))
        }
        None => Ok(None),
    }
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
