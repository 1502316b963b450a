//! Remembered devices: a series with a token that changes at each use, so that a stolen copy shows.

use std::num::NonZeroU32;

use diesel::prelude::*;

use super::{
    Conn, StoreError, User,
    endings::{self, Ending},
    schema::{security_remember, users},
    sign_in::SignIn,
};
use crate::types::{Methods, ProvenAt, Timestamp, Uniquifier, UserId};

/// A remembered device to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = security_remember)]
pub(crate) struct NewSeries {
    pub(crate) series: String,
    pub(crate) user_id: UserId,
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) token_hash: String,
    pub(crate) rotated_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: ProvenAt,
    pub(crate) methods: Methods,
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = security_remember)]
pub(crate) struct SeriesRow {
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) previous_hash: Option<String>,
    pub(crate) rotated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) methods: Methods,
}

pub(crate) fn find(conn: &mut Conn, series: &str) -> Result<Option<(SeriesRow, User)>, StoreError> {
    Ok(security_remember::table
        .inner_join(users::table)
        .filter(security_remember::series.eq(series))
        .select((SeriesRow::as_select(), User::as_select()))
        .get_result(conn)
        .optional()?)
}

pub(crate) fn insert(conn: &mut Conn, new: &NewSeries) -> Result<(), StoreError> {
    diesel::insert_into(security_remember::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Puts `new` in the place of `presented`; false if `presented` is not the current token (any more).
pub(crate) fn rotate(
    conn: &mut Conn,
    series: &str,
    presented: &str,
    new: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let current = security_remember::table
        .find(series)
        .filter(security_remember::token_hash.eq(presented));
    let changed = diesel::update(current)
        .set((
            security_remember::previous_hash.eq(presented),
            security_remember::token_hash.eq(new),
            security_remember::rotated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Forgets the oldest devices of an account whose row the transaction holds, as many as it has beyond `most`.
pub(crate) fn end_beyond(
    conn: &mut Conn,
    new: &NewSeries,
    most: NonZeroU32,
) -> Result<(), StoreError> {
    let beyond: Vec<String> = security_remember::table
        .filter(security_remember::user_id.eq(&new.user_id))
        .filter(security_remember::series.ne(&new.series))
        .order((
            security_remember::created_at.desc(),
            security_remember::series,
        ))
        .offset(i64::from(most.get()) - 1)
        .limit(5_000)
        .select(security_remember::series)
        .load(conn)?;
    for series in beyond {
        let of = SignIn {
            series: Some(series),
            ..SignIn::default()
        };
        endings::end(conn, &Ending::SignOut(of))?;
    }
    Ok(())
}

/// Holds on to a device for the rest of the transaction; false if it is forgotten.
///
/// Whoever forgets it at the same moment waits, and then ends what this transaction opened as well.
pub(crate) fn hold(conn: &mut Conn, series: &str) -> Result<bool, StoreError> {
    let held = diesel::update(security_remember::table.find(series))
        .set(security_remember::rotated_at.eq(security_remember::rotated_at))
        .execute(conn)?;
    Ok(held == 1)
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(security_remember::table.filter(security_remember::expires_at.le(now)))
        .execute(conn)?;
    Ok(())
}
