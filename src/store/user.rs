//! What an account is: as its row has it, and as it is to be made.

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use super::schema::users;
use crate::{
    identity::{EmailAddress, Username},
    secrets::PasswordHash,
    types::{Timestamp, Uniquifier, UserId},
};

/// An account, as guards hand it out. Its password hash is not in here.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = users)]
#[non_exhaustive]
pub struct User {
    /// Who this is, for ever.
    pub id: UserId,
    /// The e-mail address, as its owner writes it.
    pub email: String,
    /// The username, if there is one.
    pub username: Option<String>,
    /// Whether the account may be used at all.
    pub active: bool,
    /// When the e-mail address was proven.
    pub confirmed_at: Option<Timestamp>,
    /// Ends all sessions and remembered devices when it changes.
    #[serde(skip)]
    pub uniquifier: Uniquifier,
    /// Ends all authentication tokens when it changes.
    #[serde(skip)]
    pub token_uniquifier: Uniquifier,
    /// Whether the next sign-in must set a new password.
    pub must_change_password: bool,
    /// When the password was last set.
    pub password_changed_at: Option<Timestamp>,
    /// How often somebody signed in.
    pub sign_in_count: i64,
    /// When the last but one sign-in was.
    pub last_sign_in_at: Option<Timestamp>,
    /// When the last sign-in was.
    pub current_sign_in_at: Option<Timestamp>,
    /// The client address of the last but one sign-in. Left out when the account is serialized.
    #[serde(skip)]
    pub last_sign_in_from: Option<String>,
    /// The client address of the last sign-in. Left out when the account is serialized.
    #[serde(skip)]
    pub current_sign_in_from: Option<String>,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl User {
    /// What to call the account in a page or mail: its username, else its address.
    pub fn display(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.email)
    }
}

/// What an account is allowed: its roles, and the permissions of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Grants {
    /// Names of the roles.
    pub roles: BTreeSet<String>,
    /// Permissions through any of the roles.
    pub permissions: BTreeSet<String>,
}

impl Grants {
    /// Whether the account has the role called `name`.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains(name)
    }

    /// Whether any role of the account carries `permission`.
    pub fn has_permission(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}

/// An account to be made: only from values that were parsed, so nothing unchecked reaches the table.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Known before the row is there, so that a mail can be written that belongs to it.
    pub(crate) id: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) username: Option<Username>,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) active: bool,
    pub(crate) confirmed: bool,
    /// The values of the application's own fields.
    pub(crate) extra: Map<String, Value>,
}

impl NewUser {
    /// An active, unconfirmed account without password and username.
    pub fn new(email: EmailAddress) -> Self {
        Self {
            id: UserId::new(),
            email,
            username: None,
            password: None,
            active: true,
            confirmed: false,
            extra: Map::new(),
        }
    }

    /// Sets the username.
    pub fn username(mut self, username: Username) -> Self {
        self.username = Some(username);
        self
    }

    /// Sets the password, already hashed: by [`Hasher::hash`](crate::secrets::Hasher::hash), or brought
    /// from elsewhere by [`PasswordHash::from_stored`].
    pub fn password(mut self, hash: PasswordHash) -> Self {
        self.password = Some(hash);
        self
    }

    /// Sets whether the account may be used.
    pub fn active(mut self, active: bool) -> Self {
        self.active = active;
        self
    }

    /// Sets a value that `on_register` gets, as if somebody had entered it in a field of the application.
    pub fn extra(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(field.into(), value.into());
        self
    }

    /// Sets whether the address counts as proven.
    pub fn confirmed(mut self, confirmed: bool) -> Self {
        self.confirmed = confirmed;
        self
    }
}
