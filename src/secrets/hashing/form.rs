//! The forms of stored hashes that are known.

use super::argon::StoredArgon2;
#[cfg(feature = "imports")]
use super::imports::Imported;

/// Whether a stored hash can be verified; see [`PasswordHash::is_supported`].
pub(in crate::secrets) fn is_supported(stored: &str) -> bool {
    Form::parse(stored).is_some()
}

/// A stored hash, taken apart.
pub(super) enum Form {
    Argon2(StoredArgon2),
    #[cfg(feature = "imports")]
    Imported(Imported),
}

impl Form {
    pub(super) fn parse(stored: &str) -> Option<Self> {
        // The longest form there is takes about 250 characters.
        if stored.len() > 1024 {
            return None;
        }
        if let Some(argon2) = StoredArgon2::parse(stored) {
            return Some(Self::Argon2(argon2));
        }
        #[cfg(feature = "imports")]
        if let Some(imported) = Imported::parse(stored) {
            return Some(Self::Imported(imported));
        }
        None
    }
}
