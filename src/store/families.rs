//! Rows of refresh tokens: a family is what one sign-in gave, with its present token and the one before. Their
//! meaning is in [`crate::features::refresh_tokens`].

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, User,
    schema::{security_refresh_families as families, users},
    sign_in::Named,
    tokens,
};
use crate::types::{Methods, ProvenAt, Timestamp, Uniquifier, UserId};

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
    pub(crate) authenticated_at: ProvenAt,
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
    pub(crate) authenticated_at: ProvenAt,
    pub(crate) methods: Methods,
    pub(crate) session_hash: Option<String>,
    pub(crate) remember_series: Option<String>,
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

/// Holds on to a family for the rest of the transaction; answers it as it is, `None` if it has ended.
///
/// Whoever ends it at the same moment waits, and then ends what this transaction gave as well.
pub(crate) fn hold(conn: &mut Conn, series: &str) -> Result<Option<FamilyRow>, StoreError> {
    diesel::update(families::table.find(series))
        .set(families::rotated_at.eq(families::rotated_at))
        .execute(conn)?;
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

/// Puts `new` in the place of `present`, in a family that is held.
pub(crate) fn rotate(
    conn: &mut Conn,
    series: &str,
    present: &str,
    new: &str,
    idle_until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(families::table.find(series))
        .set((
            families::previous_hash.eq(present),
            families::token_hash.eq(new),
            families::rotated_at.eq(now),
            families::idle_until.eq(idle_until),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends families, and the authentication tokens that they gave. Whoever holds one gives its tokens before, so
/// that they are seen here.
pub(super) fn end_all(conn: &mut Conn, series: &[String]) -> Result<usize, StoreError> {
    let mut ended = 0;
    for chunk in series.chunks(500) {
        ended +=
            diesel::delete(families::table.filter(families::series.eq_any(chunk))).execute(conn)?;
        tokens::delete_of_families(conn, chunk)?;
    }
    Ok(ended)
}

/// Ends the families of which this is true; answers how many.
macro_rules! end_where {
    ($conn:expr, $filter:expr) => {{
        let found: Vec<String> = families::table
            .filter($filter)
            .select(families::series)
            .load($conn)?;
        end_all($conn, &found)
    }};
}

pub(crate) fn end(conn: &mut Conn, series: &str) -> Result<(), StoreError> {
    end_all(conn, &[series.to_string()]).map(drop)
}

pub(crate) fn end_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    end_where!(conn, families::user_id.eq(user)).map(drop)
}

/// Ends what was given in a sign-in before.
pub(crate) fn end_of(conn: &mut Conn, named: &Named) -> Result<(), StoreError> {
    if let Some(session) = &named.session_hash {
        end_where!(conn, families::session_hash.eq(session))?;
    }
    if let Some(series) = &named.remember_series {
        end_where!(conn, families::remember_series.eq(series))?;
    }
    Ok(())
}

/// Ends the oldest families of an account, as many as it has beyond `most`.
pub(crate) fn end_beyond(
    conn: &mut Conn,
    user: &UserId,
    most: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let beyond: Vec<String> = families::table
        .filter(families::user_id.eq(user))
        .filter(families::idle_until.gt(now))
        .order((families::created_at.desc(), families::id.desc()))
        .select(families::series)
        .limit(5_000)
        .offset(i64::from(most))
        .load(conn)?;
    end_all(conn, &beyond).map(drop)
}

/// What has run out gives nothing any more; the tokens that it gave run out by themselves.
pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(families::table.filter(families::idle_until.le(now))).execute(conn)?;
    Ok(())
}

/// Ends one family of an account, with the authentication tokens that it gave; false if the account has none of that id.
pub(crate) fn revoke(conn: &mut Conn, owner: &UserId, id: &str) -> Result<bool, StoreError> {
    let mine = families::id.eq(id).and(families::user_id.eq(owner));
    Ok(end_where!(conn, mine)? == 1)
}

/// The public queries on refresh tokens.
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
}
