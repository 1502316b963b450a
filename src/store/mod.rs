//! Where everything is kept: Diesel over SQLite, PostgreSQL or MySQL/MariaDB.
//!
//! [`Store`] runs closures over a [`Conn`] on a bounded number of blocking threads, so that a slow
//! database can never take all of Rocket's threads. Writes go through one door, [`Store::write`], which
//! retries what the database asks to retry. A failure is never read as "nothing found": it is a
//! [`StoreError`], and becomes 503.

pub(crate) mod api_keys;
mod conn;
pub(crate) mod devices;
pub(crate) mod drift;
pub(crate) mod endings;
mod error;
pub(crate) mod factors;
pub(crate) mod failures;
pub(crate) mod families;
mod handle;
pub(crate) mod outbox;
#[cfg_attr(
    not(feature = "passkeys"),
    allow(dead_code, reason = "accounts use a part of it in every build")
)]
pub(crate) mod passkeys;
pub(crate) mod remember;
#[cfg(feature = "testing")]
pub(crate) mod reset;
pub(crate) mod roles;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod social;
mod text;
pub(crate) mod tickets;
pub(crate) mod tokens;
pub(crate) mod touches;
mod url;
mod user;
mod user_queries;
mod user_search;
pub(crate) mod users;
pub(crate) mod write;

pub use self::passkeys::PasskeyInfo;
pub use self::{
    api_keys::ApiKeyInfo,
    conn::{Conn, Dialect, Pool},
    devices::DeviceInfo,
    error::{StoreError, Unique},
    factors::FactorInfo,
    families::RefreshInfo,
    handle::Store,
    outbox::{MailInfo, MailState},
    roles::Role,
    sessions::SessionInfo,
    social::SocialAccountInfo,
    url::Manager,
    user::{Grants, NewUser, User},
    user_search::{UserPages, UserQuery},
};
pub(crate) use self::{text::cut, url::DatabaseUrl};
