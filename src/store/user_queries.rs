//! The public queries on accounts. [`Accounts`](crate::Accounts) changes them.

use super::{
    Grants, Store, StoreError, User, UserQuery,
    schema::users,
    users::{by_id, by_identity, grants},
};
use crate::{
    identity::{EmailAddress, Identity, Username},
    types::UserId,
};
use diesel::prelude::*;

impl Store {
    /// The account with this id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; never "nobody" because the database is down.
    pub async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let id = id.clone();
        self.read(move |conn| by_id(conn, &id)).await
    }

    /// The account with this e-mail address, however it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn find_user_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<User>, StoreError> {
        let identity = Identity::Email(email.clone());
        self.read(move |conn| by_identity(conn, &identity)).await
    }

    /// The account with this username, however it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn find_user_by_username(
        &self,
        username: &Username,
    ) -> Result<Option<User>, StoreError> {
        let identity = Identity::Username(username.clone());
        self.read(move |conn| by_identity(conn, &identity)).await
    }

    /// Accounts in order of creation, after `after`, at most `limit` (capped at 1,000). [`Store::search_users`] asks for fewer, [`Store::user_pages`] for all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u16,
    ) -> Result<Vec<User>, StoreError> {
        let query = UserQuery::new().limit(limit);
        let query = match after {
            Some(after) => query.after(after),
            None => query,
        };
        self.search_users(&query).await
    }

    /// How many accounts there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn count_users(&self) -> Result<i64, StoreError> {
        self.read(|conn| Ok(users::table.count().get_result(conn)?))
            .await
    }

    /// The roles and permissions of an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn grants(&self, id: &UserId) -> Result<Grants, StoreError> {
        let id = id.clone();
        self.read(move |conn| grants(conn, &id)).await
    }
}
