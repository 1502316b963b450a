//! Setting a password.

use super::Accounts;
use crate::{
    core::{Core, change::Change},
    error::{Error, Invalid},
    events::EventKind,
    notify::notices,
    secrets::{Password, PasswordCheck, PasswordHash},
    store::{
        StoreError, User,
        users::{self, EndsWithPassword},
    },
    types::{Message, UserId},
};

impl Change<'_> {
    /// Sets a password that is hashed already, and ends the account's sessions, and its tokens if `tokens_too`. It asks
    /// no policy, sends no mail, and leaves API keys alone, whatever `api_keys.end_with_password` says;
    /// [`Accounts::set_password`] does all of that.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub fn set_password_hash(
        &mut self,
        id: &UserId,
        hash: &PasswordHash,
        tokens_too: bool,
    ) -> Result<User, StoreError> {
        let ends = EndsWithPassword {
            tokens: tokens_too,
            api_keys: false,
        };
        self.replace_password(id, hash, ends)
    }

    pub(crate) fn replace_password(
        &mut self,
        id: &UserId,
        hash: &PasswordHash,
        ends: EndsWithPassword,
    ) -> Result<User, StoreError> {
        let now = self.now();
        let user = users::set_password(self, id, hash, ends, now)?;
        self.event(EventKind::PasswordChanged { user: id.clone() });
        Ok(user)
    }

    /// Requires a new password at the next sign-in. Sessions and tokens end now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub fn require_new_password(&mut self, id: &UserId) -> Result<(), StoreError> {
        let now = self.now();
        users::require_new_password(self, id, now)?;
        self.event(EventKind::PasswordChangeRequired { user: id.clone() });
        Ok(())
    }
}

impl Accounts {
    /// Sets a password that the policy accepts, ends the account's sessions, and tells its owner by mail.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with what the policy says, [`Error::NotFound`] if there is no such account.
    pub async fn set_password(&self, user: &UserId, password: &str) -> Result<(), Error> {
        let core = &self.core;
        let password =
            Password::parse(password).map_err(|message| Invalid::field("password", message))?;
        let account = core.store.find_user(user).await?.ok_or(Error::NotFound)?;
        let username = account.username.as_deref();
        let hash = checked_hash(core, &password, &account.email, username).await?;
        let notice = notices::password_changed(&self.by.composer(&core.notify), &account)?;
        let (id, ends) = (user.clone(), core.ends_with_password());
        self.change(move |change| {
            change.replace_password(&id, &hash, ends)?;
            change.mail(&notice)
        })
        .await?;
        Ok(())
    }

    /// Sets a password that is hashed already. See [`Change::set_password_hash`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn set_password_hash(
        &self,
        id: &UserId,
        hash: PasswordHash,
        tokens_too: bool,
    ) -> Result<User, StoreError> {
        let id = id.clone();
        self.change(move |change| change.set_password_hash(&id, &hash, tokens_too))
            .await
    }

    /// Requires a new password at the next sign-in. Sessions and tokens end now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn require_new_password(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |change| change.require_new_password(&id))
            .await
    }
}

/// Hashes a password that the policy finds good for this account.
pub(crate) async fn checked_hash(
    core: &Core,
    password: &Password,
    email: &str,
    username: Option<&str>,
) -> Result<PasswordHash, Error> {
    let mut invalid = Invalid::new();
    for message in judge_password(core, password, Some(email), username).await? {
        invalid.add("password", message);
    }
    invalid.into_result()?;
    Ok(core.hasher.hash(password).await?)
}

/// What the policy has against a password for an account of these names.
pub(crate) async fn judge_password(
    core: &Core,
    password: &Password,
    email: Option<&str>,
    username: Option<&str>,
) -> Result<Vec<Message>, Error> {
    let site_name = core.settings.site_name.as_str();
    let about: Vec<&str> = email
        .into_iter()
        .chain(username)
        .chain([site_name])
        .collect();
    let check = PasswordCheck {
        password,
        about: &about,
    };
    Ok(core.passwords.check(&check).await?)
}
