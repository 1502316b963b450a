//! Rows of accounts at social login providers, each of which opens one account here.

use diesel::prelude::*;
use serde::Serialize;

use super::{Conn, Store, StoreError, schema::security_social_accounts as accounts};
#[cfg(feature = "social")]
use super::{User, conn::natively, schema::users};
use crate::types::{Timestamp, UserId};

/// An account elsewhere, to be linked.
#[cfg(feature = "social")]
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = accounts)]
pub(crate) struct NewSocialAccount {
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) provider: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) label: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// What names an account elsewhere.
#[cfg(feature = "social")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocialKey {
    pub(crate) provider: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

/// An account at a provider as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = accounts)]
#[non_exhaustive]
pub struct SocialAccountInfo {
    /// Which; opens nothing.
    pub id: String,
    /// The name of the provider.
    pub provider: String,
    /// Who spoke for it when it was linked.
    pub issuer: String,
    /// What its owner knows it by, if the provider told.
    pub label: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was last used to sign in.
    pub last_used_at: Option<Timestamp>,
}

/// The account here that this one opens, and the row of the link.
#[cfg(feature = "social")]
pub(crate) fn owner_of(
    conn: &mut Conn,
    key: &SocialKey,
) -> Result<Option<(String, User)>, StoreError> {
    let found = natively!(conn, conn => accounts::table
        .inner_join(users::table)
        .filter(accounts::provider.eq(&key.provider))
        .filter(accounts::subject.eq(&key.subject))
        .filter(accounts::issuer.eq(&key.issuer))
        .select((accounts::id, User::as_select()))
        .get_result(conn));
    Ok(found.optional()?)
}

#[cfg(feature = "social")]
pub(crate) fn insert(conn: &mut Conn, new: &NewSocialAccount) -> Result<(), StoreError> {
    diesel::insert_into(accounts::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Notes a use; false if it is linked no more.
#[cfg(feature = "social")]
pub(crate) fn touch(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let touched = diesel::update(accounts::table.find(id))
        .set(accounts::last_used_at.eq(now))
        .execute(conn)?;
    Ok(touched == 1)
}

pub(crate) fn of_user(
    conn: &mut Conn,
    user: &UserId,
) -> Result<Vec<SocialAccountInfo>, StoreError> {
    Ok(accounts::table
        .filter(accounts::user_id.eq(user))
        .order(accounts::provider)
        .select(SocialAccountInfo::as_select())
        .load(conn)?)
}

/// What an account has at one provider, whoever spoke for that.
#[cfg(feature = "social")]
pub(crate) fn of_user_at(
    conn: &mut Conn,
    user: &UserId,
    provider: &str,
) -> Result<Option<SocialAccountInfo>, StoreError> {
    let mut all = of_user(conn, user)?;
    all.retain(|account| account.provider == provider);
    Ok(all.pop())
}

/// Ends a link; false if there is none such.
#[cfg(feature = "social")]
pub(crate) fn delete(conn: &mut Conn, user: &UserId, id: &str) -> Result<bool, StoreError> {
    let own = accounts::table.find(id).filter(accounts::user_id.eq(user));
    Ok(diesel::delete(own).execute(conn)? == 1)
}

/// Ends every link of an account.
pub(crate) fn delete_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(accounts::table.filter(accounts::user_id.eq(user))).execute(conn)?;
    Ok(())
}

/// Ends the links of an account that were made at or after `since`.
pub(crate) fn delete_since(
    conn: &mut Conn,
    user: &UserId,
    since: Timestamp,
) -> Result<(), StoreError> {
    let late = accounts::table
        .filter(accounts::user_id.eq(user))
        .filter(accounts::created_at.ge(since));
    diesel::delete(late).execute(conn)?;
    Ok(())
}

/// The public operations on accounts elsewhere.
impl Store {
    /// The accounts at social login providers that open this one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn social_accounts_of(
        &self,
        user: &UserId,
    ) -> Result<Vec<SocialAccountInfo>, StoreError> {
        let user = user.clone();
        self.read(move |conn| of_user(conn, &user)).await
    }
}
