//! Rows of refresh tokens: a family is what one sign-in gave, with its present token and the one before. Their
//! meaning is in [`crate::features::refresh_tokens`].

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, Timestamp, Uniquifier, User, UserId,
    schema::{security_refresh_families as families, users},
};
use crate::signin::Methods;

/// A family to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = families)]
pub(crate) struct NewFamily {
    pub(crate) series: String,
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) token_hash: String,
    pub(crate) rotated_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) idle_until: Timestamp,
    pub(crate) absolute_until: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) methods: Methods,
    pub(crate) address: String,
    pub(crate) agent: String,
    pub(crate) session_hash: Option<String>,
    pub(crate) remember_series: Option<String>,
}

/// What a refresh needs of its family.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = families)]
pub(crate) struct FamilyRow {
    pub(crate) token_hash: String,
    pub(crate) previous_hash: Option<String>,
    pub(crate) rotated_at: Timestamp,
    pub(crate) idle_until: Timestamp,
    pub(crate) absolute_until: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) methods: Methods,
}

/// A family of refresh tokens as its owner may see it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = families)]
#[non_exhaustive]
pub struct RefreshInfo {
    /// Which; opens nothing.
    pub id: String,
    /// When somebody signed in.
    pub created_at: Timestamp,
    /// When a token of it was last exchanged.
    #[diesel(column_name = rotated_at)]
    pub last_used_at: Timestamp,
    /// When it ends if it is not used before.
    #[diesel(column_name = idle_until)]
    pub expires_at: Timestamp,
    /// When it ends at the latest.
    #[diesel(column_name = absolute_until)]
    pub ends_at: Timestamp,
    /// How the sign-in was proven.
    pub methods: Methods,
    /// The client's address at sign-in.
    pub address: String,
    /// The client's `User-Agent` at sign-in, cut to 255 characters.
    pub agent: String,
}

/// A family that is still its owner's, and the owner.
pub(crate) fn find(conn: &mut Conn, series: &str) -> Result<Option<(FamilyRow, User)>, StoreError> {
    Ok(families::table
        .inner_join(users::table)
        .filter(families::series.eq(series))
        .filter(families::user_uniquifier.eq(users::token_uniquifier))
        .select((FamilyRow::as_select(), User::as_select()))
        .get_result(conn)
        .optional()?)
}

pub(crate) fn by_series(conn: &mut Conn, series: &str) -> Result<Option<FamilyRow>, StoreError> {
    Ok(families::table
        .find(series)
        .select(FamilyRow::as_select())
        .get_result(conn)
        .optional()?)
}

pub(crate) fn insert(conn: &mut Conn, new: &NewFamily) -> Result<(), StoreError> {
    diesel::insert_into(families::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Puts `new` in the place of `presented`; false if `presented` is not the present token (any more).
pub(crate) fn rotate(
    conn: &mut Conn,
    series: &str,
    presented: &str,
    new: &str,
    idle_until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let present = families::table
        .find(series)
        .filter(families::token_hash.eq(presented))
        .filter(families::idle_until.gt(now));
    let changed = diesel::update(present)
        .set((
            families::previous_hash.eq(presented),
            families::token_hash.eq(new),
            families::rotated_at.eq(now),
            families::idle_until.eq(idle_until),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

pub(crate) fn delete(conn: &mut Conn, series: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(families::table.find(series)).execute(conn)? == 1)
}

pub(crate) fn delete_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(families::table.filter(families::user_id.eq(user))).execute(conn)?;
    Ok(())
}

/// Ends what was given in a session, whether that has run out or not.
pub(crate) fn end_of_session(conn: &mut Conn, token_hash: &str) -> Result<(), StoreError> {
    diesel::delete(families::table.filter(families::session_hash.eq(token_hash))).execute(conn)?;
    Ok(())
}

/// A session of an account goes on under another secret, and what was given in it goes with it.
pub(crate) fn follow_session(
    conn: &mut Conn,
    user: &UserId,
    old_hash: &str,
    new_hash: &str,
) -> Result<(), StoreError> {
    let given = families::table
        .filter(families::session_hash.eq(old_hash))
        .filter(families::user_id.eq(user));
    diesel::update(given)
        .set(families::session_hash.eq(new_hash))
        .execute(conn)?;
    Ok(())
}

/// Ends what was given in the sessions of a remembered device.
pub(crate) fn end_of_series(conn: &mut Conn, series: &str) -> Result<(), StoreError> {
    diesel::delete(families::table.filter(families::remember_series.eq(series))).execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(families::table.filter(families::idle_until.le(now))).execute(conn)?;
    Ok(())
}

/// The public operations on refresh tokens.
impl Store {
    /// The families of refresh tokens of an account, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn refresh_tokens_of(&self, user: &UserId) -> Result<Vec<RefreshInfo>, StoreError> {
        let (user, now) = (user.clone(), self.now());
        self.read(move |conn| {
            Ok(families::table
                .filter(families::user_id.eq(user))
                .filter(families::idle_until.gt(now))
                .order(families::created_at.desc())
                .limit(1_000)
                .select(RefreshInfo::as_select())
                .load(conn)?)
        })
        .await
    }

    /// Ends one family of an account; false if there is none of that id that belongs to that account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_refresh_tokens(
        &self,
        owner: &UserId,
        id: &str,
    ) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.write(move |conn| {
            let mine = families::table
                .filter(families::id.eq(&id))
                .filter(families::user_id.eq(&owner));
            Ok(diesel::delete(mine).execute(conn)? == 1)
        })
        .await
    }
}
