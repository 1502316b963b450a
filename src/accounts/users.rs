//! The state of an account: let in, shut out, confirmed, deleted.

use super::Accounts;
use crate::{
    core::change::Change,
    events::EventKind,
    store::{StoreError, users},
    types::UserId,
};

impl Change<'_> {
    /// Deletes an account with its sessions, tokens, roles and mails; false if there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if a table of the application still refers to it.
    pub fn delete_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let deleted = users::delete(self, id)?;
        Ok(self.event_if(deleted, || EventKind::Deleted { user: id.clone() }))
    }

    /// Lets an account in again; false if it was active already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub fn activate_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let now = self.now();
        let changed = users::set_active(self, id, true, now)?;
        Ok(self.event_if(changed, || EventKind::Activated { user: id.clone() }))
    }

    /// Shuts an account out at once, sessions, tokens and API keys included; false if it was inactive already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub fn deactivate_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let now = self.now();
        let changed = users::set_active(self, id, false, now)?;
        Ok(self.event_if(changed, || EventKind::Deactivated { user: id.clone() }))
    }

    /// Marks the email address as proven, on the application's word; false if it was. Sessions and the password stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn confirm_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let now = self.now();
        let changed = users::declare_confirmed(self, id, now)?;
        Ok(self.event_if(changed, || EventKind::EmailConfirmed { user: id.clone() }))
    }

    /// Ends every way in but the password: sessions, remembered and trusted devices, tokens, API keys, factors,
    /// linked accounts and mailed links.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub fn revoke_all(&mut self, id: &UserId) -> Result<(), StoreError> {
        users::revoke_all(self, id)?;
        self.event(EventKind::AccessReset { user: id.clone() });
        Ok(())
    }

    /// Emits an event if something changed, and returns whether it did.
    pub(super) fn event_if(&mut self, changed: bool, kind: impl FnOnce() -> EventKind) -> bool {
        if changed {
            self.event(kind());
        }
        changed
    }
}

impl Accounts {
    /// Deletes an account with its sessions, tokens, roles and mails; false if there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if a table of the application still refers to it.
    pub async fn delete_user(&self, id: &UserId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(move |change| change.delete_user(&id)).await
    }

    /// Lets an account in again; false if it was active already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn activate_user(&self, id: &UserId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(move |change| change.activate_user(&id)).await
    }

    /// Shuts an account out at once, sessions, tokens and API keys included; false if it was inactive already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn deactivate_user(&self, id: &UserId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(move |change| change.deactivate_user(&id)).await
    }

    /// Marks the email address as proven, on the application's word; false if it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn confirm_user(&self, id: &UserId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(move |change| change.confirm_user(&id)).await
    }

    /// Ends every way in but the password. See [`Change::revoke_all`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn revoke_all(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |change| change.revoke_all(&id)).await
    }
}
