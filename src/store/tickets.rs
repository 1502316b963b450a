//! Rows of tickets; their meaning is in [`crate::signin::ticket`].

use diesel::prelude::*;

use super::{Conn, StoreError, Timestamp, UserId, schema::security_tickets};

/// A ticket to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = security_tickets)]
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
}

/// A ticket as it stands.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = security_tickets)]
pub(crate) struct TicketRow {
    pub(crate) id: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) bound_to: Option<String>,
    pub(crate) payload: String,
}

pub(crate) fn insert(conn: &mut Conn, new: &NewTicket) -> Result<(), StoreError> {
    diesel::insert_into(security_tickets::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find(
    conn: &mut Conn,
    purpose: &str,
    secret_hash: &str,
) -> Result<Option<TicketRow>, StoreError> {
    Ok(security_tickets::table
        .filter(security_tickets::secret_hash.eq(secret_hash))
        .filter(security_tickets::purpose.eq(purpose))
        .select(TicketRow::as_select())
        .get_result(conn)
        .optional()?)
}

/// Uses a ticket up: one conditional UPDATE, so of many at once exactly one gets true.
pub(crate) fn consume(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let open = security_tickets::table
        .find(id)
        .filter(security_tickets::used_at.is_null())
        .filter(security_tickets::expires_at.gt(now));
    Ok(diesel::update(open)
        .set(security_tickets::used_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Ends every open ticket of an account, whatever it was for.
pub(crate) fn end_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(security_tickets::table.filter(security_tickets::user_id.eq(user)))
        .execute(conn)?;
    Ok(())
}

/// Ends the account's tickets of one purpose.
pub(crate) fn end_of_purpose(
    conn: &mut Conn,
    user: &UserId,
    purpose: &str,
) -> Result<(), StoreError> {
    diesel::delete(
        security_tickets::table
            .filter(security_tickets::user_id.eq(user))
            .filter(security_tickets::purpose.eq(purpose)),
    )
    .execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(security_tickets::table.filter(security_tickets::expires_at.le(now)))
        .execute(conn)?;
    Ok(())
}
