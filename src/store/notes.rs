//! Private notes of accounts.

use diesel::prelude::*;

use super::{Conn, StoreError};
use crate::types::{Timestamp, UserId};

diesel::table! {
    security_notes (user_id) {
        user_id -> Text,
        note -> Text,
        updated_at -> BigInt,
    }
}

/// The note of an account; `None` if it has none.
pub(crate) fn of_user(conn: &mut Conn, user: &UserId) -> Result<Option<String>, StoreError> {
    Ok(security_notes::table
        .find(user)
        .select(security_notes::note)
        .get_result(conn)
        .optional()?)
}

/// Replaces the note of an account. The account must be held, so that of two changes one comes after the other.
pub(crate) fn replace(
    conn: &mut Conn,
    user: &UserId,
    note: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::delete(security_notes::table.find(user)).execute(conn)?;
    if note.is_empty() {
        return Ok(());
    }
    diesel::insert_into(security_notes::table)
        .values((
            security_notes::user_id.eq(user),
            security_notes::note.eq(note),
            security_notes::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}
