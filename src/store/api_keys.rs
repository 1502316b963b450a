//! Rows of API keys: the hash of each, whose it is, and what it was given. Their meaning is in
//! [`crate::signin::api_key`].

use std::time::Duration;

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, User,
    conn::natively,
    schema::{security_api_keys as keys, users},
};
use crate::types::{Timestamp, UserId, span::days};

/// A key to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = keys)]
pub(crate) struct NewApiKey {
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) key_hash: String,
    pub(crate) name: String,
    pub(crate) permissions: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

/// What a request needs of its key.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = keys)]
pub(crate) struct ApiKeyRow {
    pub(crate) key_hash: String,
    pub(crate) permissions: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// An API key as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ApiKeyInfo {
    /// Which; it stands in the key and opens nothing by itself.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The permissions that it was given. It has those of them that its owner still has.
    pub permissions: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never if absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, give or take five minutes.
    pub last_used_at: Option<Timestamp>,
    /// The client's address then.
    pub last_used_from: Option<String>,
}

/// As the table has it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = keys)]
struct InfoRow {
    id: String,
    name: String,
    permissions: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    last_used_from: Option<String>,
}

impl From<InfoRow> for ApiKeyInfo {
    fn from(row: InfoRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            permissions: permissions(&row.permissions),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            last_used_from: row.last_used_from,
        }
    }
}

/// The permissions that a row names; none if it cannot be read.
pub(crate) fn permissions(stored: &str) -> Vec<String> {
    serde_json::from_str(stored).unwrap_or_default()
}

/// The key with this id and its account: the one query of a request by key.
pub(crate) fn find(conn: &mut Conn, id: &str) -> Result<Option<(ApiKeyRow, User)>, StoreError> {
    let found = natively!(conn, conn => keys::table
        .inner_join(users::table)
        .filter(keys::id.eq(id))
        .select((ApiKeyRow::as_select(), User::as_select()))
        .get_result(conn));
    Ok(found.optional()?)
}

pub(crate) fn insert(conn: &mut Conn, new: &NewApiKey) -> Result<(), StoreError> {
    diesel::insert_into(keys::table).values(new).execute(conn)?;
    Ok(())
}

pub(crate) fn count_of(conn: &mut Conn, user: &UserId) -> Result<i64, StoreError> {
    Ok(keys::table
        .filter(keys::user_id.eq(user))
        .count()
        .get_result(conn)?)
}

/// The name of an account's key.
pub(crate) fn name_of(
    conn: &mut Conn,
    owner: &UserId,
    id: &str,
) -> Result<Option<String>, StoreError> {
    Ok(keys::table
        .find(id)
        .filter(keys::user_id.eq(owner))
        .select(keys::name)
        .get_result(conn)
        .optional()?)
}

pub(crate) fn delete(conn: &mut Conn, owner: &UserId, id: &str) -> Result<bool, StoreError> {
    let mine = keys::table.find(id).filter(keys::user_id.eq(owner));
    Ok(diesel::delete(mine).execute(conn)? == 1)
}

pub(crate) fn delete_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(keys::table.filter(keys::user_id.eq(user))).execute(conn)?;
    Ok(())
}

/// Writes down the use of many keys in one transaction.
pub(crate) fn touch_all(
    conn: &mut Conn,
    uses: &[(String, Timestamp, String)],
) -> Result<(), StoreError> {
    for (id, at, from) in uses {
        diesel::update(keys::table.find(id))
            .set((
                keys::last_used_at.eq(Some(*at)),
                keys::last_used_from.eq(Some(super::cut(from, 64))),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// How long a key that has run out stays in its owner's list.
const SHOWN: Duration = days(30);

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(keys::table.filter(keys::expires_at.le(now.before(SHOWN)))).execute(conn)?;
    Ok(())
}

/// The public operations on API keys.
impl Store {
    /// The API keys of an account, the newest first; those that have run out for another month, too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn api_keys_of(&self, user: &UserId) -> Result<Vec<ApiKeyInfo>, StoreError> {
        let user = user.clone();
        let rows: Vec<InfoRow> = self
            .read(move |conn| {
                Ok(keys::table
                    .filter(keys::user_id.eq(user))
                    .order(keys::created_at.desc())
                    .limit(1_000)
                    .select(InfoRow::as_select())
                    .load(conn)?)
            })
            .await?;
        Ok(rows.into_iter().map(ApiKeyInfo::from).collect())
    }
}
