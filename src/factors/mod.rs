//! Second factors, and the codes that sign in: authenticator app, mailed code, text message, passkey, and recovery
//! codes for users who have lost the rest.
//!
//! [`Factor`](factor::Factor) is what the other layers ask, and each kind answers in a file of its own. A new kind is a file
//! here, a line in `registry.rs`, and a variant of [`FactorKind`](crate::types::FactorKind).

mod authenticator;
pub(crate) mod context;
mod factor;
mod mailbox;
pub(crate) mod passkey;
pub(crate) mod phone;
pub(crate) mod policy;
pub(crate) mod recovery;
mod registry;
mod sending;
mod setup;
mod sms;
pub(crate) mod totp;

pub use self::policy::MfaPolicy;
pub(crate) use self::{
    factor::{Right, Setup, Shown, Wanted},
    registry::{RESCUE, by_browser, of, of_row, right_code, takes_phone},
    sending::{CodeMessage, Destination},
    setup::{begin, described, digits, kind_of, row},
};
