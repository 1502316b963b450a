//! Authentication tokens: the hash of each, and whose it is.

use std::num::NonZeroU32;

use diesel::prelude::*;

use super::{
    Conn, StoreError, User,
    conn::natively,
    schema::{security_tokens, users},
    sign_in::Named,
};
use crate::types::{Methods, ProvenAt, Timestamp, Uniquifier, UserId};

/// A token to be written; made by the token service from proof of sign-in only.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = security_tokens)]
pub(crate) struct NewToken {
    pub(crate) token_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: ProvenAt,
    pub(crate) methods: Methods,
    /// The family of refresh tokens with which it ends.
    pub(crate) series: Option<String>,
    /// The sign-in with which it ends.
    pub(crate) session_hash: Option<String>,
    pub(crate) remember_series: Option<String>,
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = security_tokens)]
pub(crate) struct TokenRow {
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: ProvenAt,
    pub(crate) methods: Methods,
}

/// The token with this hash and its account: the one query of a request by token.
pub(crate) fn find(
    conn: &mut Conn,
    token_hash: &str,
) -> Result<Option<(TokenRow, User)>, StoreError> {
    let found = natively!(conn, conn => security_tokens::table
        .inner_join(users::table)
        .filter(security_tokens::token_hash.eq(token_hash))
        // A new uniquifier ends all tokens, also one that is being inserted.
        .filter(security_tokens::user_uniquifier.eq(users::token_uniquifier))
        .select((TokenRow::as_select(), User::as_select()))
        .get_result(conn));
    Ok(found.optional()?)
}

/// Writes a token that was given in the sign-in that `named` names.
///
/// The transaction holds the account, which keeps `most` tokens: the oldest go.
pub(crate) fn insert(
    conn: &mut Conn,
    new: &NewToken,
    named: Named,
    most: NonZeroU32,
) -> Result<(), StoreError> {
    let mut new = new.clone();
    (new.session_hash, new.remember_series) = (named.session_hash, named.remember_series);
    diesel::insert_into(security_tokens::table)
        .values(&new)
        .execute(conn)?;
    let beyond: Vec<String> = security_tokens::table
        .filter(security_tokens::user_id.eq(&new.user_id))
        .filter(security_tokens::token_hash.ne(&new.token_hash))
        .order((
            security_tokens::created_at.desc(),
            security_tokens::token_hash,
        ))
        .offset(i64::from(most.get()) - 1)
        .limit(5_000)
        .select(security_tokens::token_hash)
        .load(conn)?;
    for chunk in beyond.chunks(500) {
        diesel::delete(security_tokens::table.filter(security_tokens::token_hash.eq_any(chunk)))
            .execute(conn)?;
    }
    Ok(())
}

/// Deletes what families of refresh tokens gave.
pub(crate) fn delete_of_families(conn: &mut Conn, series: &[String]) -> Result<(), StoreError> {
    diesel::delete(security_tokens::table.filter(security_tokens::series.eq_any(series)))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(security_tokens::table.filter(security_tokens::expires_at.le(now)))
        .execute(conn)?;
    Ok(())
}
