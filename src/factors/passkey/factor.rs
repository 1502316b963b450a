//! A passkey or security key as a factor. `assertion.rs` checks what it answers.

use super::super::factor::{Factor, Right};
#[cfg(feature = "passkeys")]
use crate::types::FactorKind;
use crate::{
    store::{Conn, StoreError},
    types::{Path, Timestamp},
};

/// The kind of all passkeys.
#[cfg(feature = "passkeys")]
pub(crate) const KIND: FactorKind = FactorKind::Passkey;

/// A passkey or security key.
pub(in crate::factors) struct PasskeyFactor;

impl Factor for PasskeyFactor {
    fn step(&self, _: Option<&Right>, _: bool) -> Option<i64> {
        None
    }

    fn accept(
        &self,
        _: &mut Conn,
        _: &str,
        _: Option<&Right>,
        _: bool,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        // The browser answers with a signature, never with a code.
        Ok(false)
    }

    fn page(&self) -> Path {
        Path::WanSignin
    }

    fn takes_code(&self) -> bool {
        false
    }

    fn counts_again(&self) -> bool {
        // It is another device. The one that was shown is known by its id.
        true
    }
}
