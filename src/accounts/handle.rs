//! The application's hand on accounts.

use std::{fmt, sync::Arc};

use crate::{
    core::{
        Core,
        change::{By, Change, Changed},
    },
    store::{Conn, Store, StoreError},
};

/// Changes accounts and roles from the application's code.
///
/// Every method is one transaction with its mails and its [`Event`](crate::Event)s. [`Store`] reads, this changes.
///
/// Rocket manages a value of this type for code outside of requests, such as jobs and [`Security::seed`]; there the
/// events name the application as their actor. Within a request, [`Auth::accounts`] gives one: there the events name
/// the account that is signed in and the client.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket::State;
/// use rocket_security::{Accounts, Error, StoreError, UserId, prelude::*};
///
/// /// A job of the application.
/// async fn close(accounts: &Accounts, id: &UserId) -> Result<(), StoreError> {
///     accounts.deactivate_user(id).await?;
///     Ok(())
/// }
///
/// policies! { pub Admin = role("admin"); }
///
/// #[post("/team/<id>/promote", data = "<_body>")]
/// async fn promote(id: &str, _who: Require<Admin>, auth: Auth<'_>, _body: Input<Empty>) -> Result<(), Error> {
///     let id: UserId = id.parse().map_err(|_| Error::NotFound)?;
///     auth.accounts().await?.add_role_to_user(&id, "editor").await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// Several changes in one transaction, with the application's own rows:
///
/// ```
/// use diesel::prelude::*;
/// use rocket_security::{Accounts, EmailAddress, NewUser, StoreError, User};
///
/// diesel::table! { teams (id) { id -> Text, owner -> Text, } }
///
/// async fn found_team(accounts: &Accounts, email: EmailAddress) -> Result<User, StoreError> {
///     let new = NewUser::new(email);
///     accounts
///         .change(move |change| {
///             let owner = change.create_user(&new)?;
///             change.add_role_to_user(&owner.id, "owner")?;
///             diesel::insert_into(teams::table)
///                 .values((teams::id.eq("t1"), teams::owner.eq(owner.id.as_str())))
///                 .execute(change.conn())?;
///             Ok(owner)
///         })
///         .await
/// }
/// ```
///
/// [`Security::seed`]: crate::Security::seed
/// [`Auth::accounts`]: crate::Auth::accounts
#[derive(Clone)]
pub struct Accounts {
    pub(super) core: Arc<Core>,
    pub(super) by: By,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    pub(crate) fn new(core: Arc<Core>, by: By) -> Self {
        Self { core, by }
    }

    /// Returns the store, which reads.
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// Runs `work` in a transaction, then sends its mails and emits its events. The methods of [`Change`] are the
    /// same operations as those of `Accounts`.
    ///
    /// The closure may run more than once, when the database asks for that (deadlock, serialization, busy).
    ///
    /// # Errors
    ///
    /// What `work` returns, and [`StoreError::Unavailable`]. Then nothing is written, sent or emitted.
    pub async fn change<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Change<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.core.change(&self.by, work).await
    }

    /// Runs `work` in a transaction that the application has begun on `conn`. After its commit,
    /// [`Changed::committed`] emits the events.
    ///
    /// ```
    /// use diesel::Connection;
    /// use rocket_security::{Accounts, Conn, StoreError, UserId};
    ///
    /// fn retire(accounts: &Accounts, conn: &mut Conn, id: &UserId) -> Result<bool, StoreError> {
    ///     let changed = conn.transaction(|conn| {
    ///         // .. queries of the application ..
    ///         accounts.change_in(conn, |change| change.deactivate_user(id))
    ///     })?;
    ///     Ok(changed.committed())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What `work` returns.
    pub fn change_in<T>(
        &self,
        conn: &mut Conn,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<Changed<T>, StoreError> {
        self.core.change_in(&self.by, conn, work)
    }
}
