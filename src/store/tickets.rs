//! Rows of tickets; their meaning is in [`crate::signin::ticket`].

use diesel::prelude::*;

use super::{Conn, StoreError, schema::security_tickets as tickets, sign_in::Begun};
use crate::types::{SKEW, Timestamp, UserId};

/// A ticket to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = tickets)]
pub(crate) struct NewTicket {
    pub(crate) id: String,
    pub(crate) purpose: String,
    pub(crate) secret_hash: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) bound_to: Option<String>,
    pub(crate) payload: String,
    pub(crate) attempts_left: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) handle: Option<String>,
    pub(crate) code_hash: Option<String>,
    /// The sign-in that it was begun in; see [`insert`].
    pub(crate) session_hash: Option<String>,
    pub(crate) remember_series: Option<String>,
}

/// A ticket as it stands.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = tickets)]
pub(crate) struct TicketRow {
    pub(crate) id: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) bound_to: Option<String>,
    pub(crate) payload: String,
    pub(crate) code_hash: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// The purpose whose tickets outlive a new password and a new address: with them an owner takes back
/// an account on which somebody else has changed both.
pub(crate) const UNDO: &str = "undo";
/// The purpose of sign-ins that wait for their second step.
pub(crate) const SECOND_STEP: &str = "second_step";
/// The purpose of links in mails about a new sign-in, which sign out everywhere.
pub(crate) const NOTICED: &str = "sign_in_noticed";

/// Writes a ticket of whoever begins it: with a session it ends when that does. [`StoreError::Missing`] if that has
/// happened already.
pub(crate) fn insert(conn: &mut Conn, new: &NewTicket, begun: &Begun) -> Result<(), StoreError> {
    let named = begun.hold_ticket(conn)?;
    let mut new = new.clone();
    (new.session_hash, new.remember_series) = (named.session_hash, named.remember_series);
    diesel::insert_into(tickets::table)
        .values(&new)
        .execute(conn)?;
    let Some(user) = &new.user_id else {
        return Ok(());
    };
    // Of those that an account has for one purpose the newest are kept. Ids are in order of time.
    let beyond: Vec<String> = tickets::table
        .filter(tickets::user_id.eq(user))
        .filter(tickets::purpose.eq(&new.purpose))
        .order(tickets::id.desc())
        .offset(MOST)
        .limit(100)
        .select(tickets::id)
        .load(conn)?;
    if !beyond.is_empty() {
        diesel::delete(tickets::table.filter(tickets::id.eq_any(beyond))).execute(conn)?;
    }
    Ok(())
}

/// How many tickets of one purpose an account has.
const MOST: i64 = 100;

/// The open ticket of a purpose with this secret.
pub(crate) fn find(
    conn: &mut Conn,
    purpose: &str,
    secret_hash: &str,
    now: Timestamp,
) -> Result<Option<TicketRow>, StoreError> {
    Ok(tickets::table
        .filter(tickets::secret_hash.eq(secret_hash))
        .filter(tickets::purpose.eq(purpose))
        .filter(tickets::used_at.is_null())
        .filter(tickets::expires_at.gt(now))
        .filter(tickets::created_at.le(now.after(SKEW)))
        .select(TicketRow::as_select())
        .get_result(conn)
        .optional()?)
}

/// The open ticket of a purpose that `handle` has a code for, with one of its attempts used up:
/// one conditional UPDATE, so of many guesses at once no more are judged than there are attempts.
pub(crate) fn attempt(
    conn: &mut Conn,
    purpose: &str,
    handle: &str,
    now: Timestamp,
) -> Result<Option<TicketRow>, StoreError> {
    let open = || {
        tickets::used_at
            .is_null()
            .and(tickets::expires_at.gt(now))
            .and(tickets::created_at.le(now.after(SKEW)))
            .and(tickets::attempts_left.gt(0))
    };
    let row: Option<TicketRow> = tickets::table
        .filter(tickets::handle.eq(handle))
        .filter(tickets::purpose.eq(purpose))
        .filter(open())
        .order(tickets::id.desc())
        .select(TicketRow::as_select())
        .limit(1)
        .get_result(conn)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let counted = diesel::update(tickets::table.find(&row.id).filter(open()))
        .set(tickets::attempts_left.eq(tickets::attempts_left - 1))
        .execute(conn)?;
    Ok((counted == 1).then_some(row))
}

/// One of a ticket's attempts used up, and the ticket as it is then: of many guesses at once no more are
/// judged than there are attempts.
pub(crate) fn attempt_at(
    conn: &mut Conn,
    id: &str,
    now: Timestamp,
) -> Result<Option<TicketRow>, StoreError> {
    let open = tickets::table
        .find(id)
        .filter(tickets::used_at.is_null())
        .filter(tickets::expires_at.gt(now))
        .filter(tickets::created_at.le(now.after(SKEW)))
        .filter(tickets::attempts_left.gt(0));
    let counted = diesel::update(open)
        .set(tickets::attempts_left.eq(tickets::attempts_left - 1))
        .execute(conn)?;
    if counted == 0 {
        return Ok(None);
    }
    Ok(tickets::table
        .find(id)
        .select(TicketRow::as_select())
        .get_result(conn)
        .optional()?)
}

/// Changes what an open ticket carries, and its code if there is another; false if it is spent.
pub(crate) fn carry(
    conn: &mut Conn,
    id: &str,
    payload: &str,
    code_hash: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let open = tickets::table
        .find(id)
        .filter(tickets::used_at.is_null())
        .filter(tickets::expires_at.gt(now))
        .filter(tickets::created_at.le(now.after(SKEW)));
    Ok(diesel::update(open)
        .set((
            tickets::payload.eq(payload),
            tickets::code_hash.eq(code_hash),
        ))
        .execute(conn)?
        == 1)
}

/// Uses a ticket up: one conditional UPDATE, so of many at once exactly one gets true.
pub(crate) fn consume(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let open = tickets::table
        .find(id)
        .filter(tickets::used_at.is_null())
        .filter(tickets::expires_at.gt(now))
        .filter(tickets::created_at.le(now.after(SKEW)));
    Ok(diesel::update(open)
        .set(tickets::used_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Ends the account's tickets of one purpose.
pub(crate) fn end_of_purpose(
    conn: &mut Conn,
    user: &UserId,
    purpose: &str,
) -> Result<(), StoreError> {
    diesel::delete(
        tickets::table
            .filter(tickets::user_id.eq(user))
            .filter(tickets::purpose.eq(purpose)),
    )
    .execute(conn)?;
    Ok(())
}

/// Ends the tickets of one purpose that `handle` has codes for; a ticket of nobody ends only its like.
pub(crate) fn end_of_handle(
    conn: &mut Conn,
    handle: &str,
    purpose: &str,
    nobody: bool,
) -> Result<(), StoreError> {
    let of_handle = tickets::table
        .filter(tickets::handle.eq(handle))
        .filter(tickets::purpose.eq(purpose));
    match nobody {
        true => diesel::delete(of_handle.filter(tickets::user_id.is_null())).execute(conn)?,
        false => diesel::delete(of_handle).execute(conn)?,
    };
    Ok(())
}

/// Whose open ticket of a purpose is under this handle, and since when.
pub(crate) fn open_under(
    conn: &mut Conn,
    purpose: &str,
    handle: &str,
    now: Timestamp,
) -> Result<Option<(UserId, Timestamp)>, StoreError> {
    let found: Option<(Option<UserId>, Timestamp)> = tickets::table
        .filter(tickets::handle.eq(handle))
        .filter(tickets::purpose.eq(purpose))
        .filter(tickets::used_at.is_null())
        .filter(tickets::expires_at.gt(now))
        .filter(tickets::created_at.le(now.after(SKEW)))
        .order(tickets::id)
        .select((tickets::user_id, tickets::created_at))
        .limit(1)
        .get_result(conn)
        .optional()?;
    Ok(found.and_then(|(user, since)| Some((user?, since))))
}

/// Ends the account's tickets of one purpose that were made at or after `since`.
pub(crate) fn end_since(
    conn: &mut Conn,
    user: &UserId,
    purpose: &str,
    since: Timestamp,
) -> Result<(), StoreError> {
    diesel::delete(
        tickets::table
            .filter(tickets::user_id.eq(user))
            .filter(tickets::purpose.eq(purpose))
            .filter(tickets::created_at.ge(since)),
    )
    .execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(tickets::table.filter(tickets::expires_at.le(now))).execute(conn)?;
    Ok(())
}

/// Leaves of the open tickets of a purpose that are nobody's the newest `most`.
///
/// The oldest go, and not whoever comes: to keep one person out by asking for many, all of them must be
/// asked for in the few seconds that a person takes.
#[cfg(any(feature = "passkeys", feature = "social"))]
pub(crate) fn bound(conn: &mut Conn, purpose: &str, most: i64) -> Result<(), StoreError> {
    let oldest_to_go: Vec<String> = tickets::table
        .filter(tickets::purpose.eq(purpose))
        .filter(tickets::user_id.is_null())
        // Ids are in order of time.
        .order(tickets::id.desc())
        .offset(most)
        .limit(100)
        .select(tickets::id)
        .load(conn)?;
    if !oldest_to_go.is_empty() {
        diesel::delete(tickets::table.filter(tickets::id.eq_any(oldest_to_go))).execute(conn)?;
    }
    Ok(())
}
