//! From proof to session: the one gate, and what lies behind it.

pub(crate) mod admit;
pub(crate) mod api_key;
pub(crate) mod caller;
pub(crate) mod limits;
pub(crate) mod lockout;
pub(crate) mod noticed;
pub(crate) mod password;
pub(crate) mod remember;
mod scope;
pub(crate) mod second;
mod second_factors;
pub(crate) mod session;
pub(crate) mod sign_in_methods;
pub mod ticket;
pub(crate) mod ticket_mail;
pub(crate) mod token;
pub(crate) mod trusted;

use crate::{
    error::{Denied, Error},
    store::StoreError,
};

pub use self::admit::{Admitted, NextStep};

/// What was asked for on the strength of a credential that has ended meanwhile.
pub(crate) fn outdated(error: StoreError) -> Error {
    match error {
        StoreError::Missing => Denied::BadCredential.into(),
        error => error.into(),
    }
}
