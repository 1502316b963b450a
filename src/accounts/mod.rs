//! Changes of accounts: one service for each, which routes, commands and the application share.
//!
//! What happens inside the transaction is a method of [`Change`](crate::Change); routes, commands and the application
//! share it. [`Accounts`](crate::Accounts) is the application's hand on it.

mod address;
mod create;
mod handle;
pub(crate) mod invitation;
pub(crate) mod password;
pub(crate) mod recovery;
mod roles;
mod sessions;
mod users;

pub use self::handle::Accounts;
