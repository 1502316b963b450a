//! Making an account: the one way for registration, invitation, sign-up by provider or passkey, the application and
//! the command line.

use super::Accounts;
use crate::{
    core::change::Change,
    events::EventKind,
    identity::Identity,
    signin::ticket::CodeSubject,
    store::{NewUser, StoreError, Unique, User, tickets, users},
};

impl Change<'_> {
    /// Creates an account on behalf of a visitor, as [`create_user`](Self::create_user) does. An address that was changed
    /// away from another account is taken as long as its owner can undo that.
    pub(crate) fn register_user(&mut self, new: &NewUser) -> Result<User, StoreError> {
        let identity = Identity::Email(new.email.clone());
        let reserved = CodeSubject::of_identity(&self.notify().base, &identity);
        let now = self.now();
        match tickets::open_under(self, tickets::UNDO, reserved.as_str(), now)? {
            Some(_) => Err(StoreError::Taken(Unique::Email)),
            None => self.create_user(new),
        }
    }

    /// Creates an account. The application's `on_register` runs in the same transaction, with the values of
    /// [`NewUser::extra`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the address or username belongs to another account.
    pub fn create_user(&mut self, new: &NewUser) -> Result<User, StoreError> {
        let now = self.now();
        let user = users::insert(self, new, now)?;
        self.on_register().run(self, &user, &new.extra)?;
        self.event(EventKind::Registered {
            user: user.id.clone(),
        });
        if new.confirmed {
            self.event(EventKind::EmailConfirmed {
                user: user.id.clone(),
            });
        }
        Ok(user)
    }
}

impl Accounts {
    /// Creates an account. See [`Change::create_user`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the address or username belongs to another account.
    pub async fn create_user(&self, new: NewUser) -> Result<User, StoreError> {
        self.change(move |change| change.create_user(&new)).await
    }
}
