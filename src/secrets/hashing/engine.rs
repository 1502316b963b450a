//! What the threads do: a password is hashed by the current recipe, and verified against a hash of any known form.

use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{argon::Recipe, error::HashError, form::Form, pool::Memory};
use crate::secrets::{Secret, password::PasswordHash};

/// What came of verifying a password.
#[derive(Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a password is right or wrong")]
pub enum Verdict {
    /// The password is right.
    Match {
        /// A new hash of it, to be stored in place of the old one: the old one was made with other
        /// parameters, under a former pepper, or elsewhere.
        upgrade: Option<PasswordHash>,
    },
    /// The password is wrong, or there is no hash that could be verified.
    Mismatch,
}

/// What the threads share.
pub(super) struct Engine {
    pub(super) recipe: Recipe,
    pub(super) hmac_salts: Vec<Secret<String>>,
    /// How many hashes were computed.
    pub(super) done: AtomicU64,
}

impl Engine {
    pub(super) fn hash(&self, text: &str, memory: &mut Memory) -> Result<PasswordHash, HashError> {
        self.done.fetch_add(1, Ordering::SeqCst);
        self.recipe
            .hash(text.as_bytes(), memory)
            .map(PasswordHash::from_stored)
    }

    pub(super) fn verify(
        &self,
        forms: Vec<Zeroizing<String>>,
        stored: Option<&PasswordHash>,
        memory: &mut Memory,
    ) -> Result<Verdict, HashError> {
        let stored = stored
            .map(PasswordHash::as_stored)
            .filter(|text| !text.is_empty() && !text.starts_with('!'));
        let form = stored.and_then(Form::parse);
        if stored.is_some() && form.is_none() {
            log::warn!("a stored password hash cannot be verified: unknown form, or too costly");
        }
        let own = &forms[0];
        let keyed = self
            .hmac_salts
            .iter()
            .flat_map(|salt| forms.iter().map(move |form| keyed_form(salt, form)));
        for (place, candidate) in forms.iter().cloned().chain(keyed).enumerate() {
            // A wrong password is tried in every form, whatever is stored, for equal time.
            if !self.matches(form.as_ref(), &candidate, memory)? {
                continue;
            }
            let current = match &form {
                Some(Form::Argon2(stored)) => place == 0 && self.recipe.is_current(stored),
                _ => false,
            };
            let upgrade = if current {
                None
            } else {
                // The password was right: a failure here is no reason to refuse it.
                self.hash(own, memory).ok()
            };
            return Ok(Verdict::Match { upgrade });
        }
        Ok(Verdict::Mismatch)
    }

    fn matches(
        &self,
        form: Option<&Form>,
        candidate: &str,
        memory: &mut Memory,
    ) -> Result<bool, HashError> {
        let text = candidate.as_bytes();
        self.done.fetch_add(1, Ordering::SeqCst);
        match form {
            Some(Form::Argon2(stored)) => {
                if let Some(matches) = self.recipe.verify(stored, text, memory)? {
                    return Ok(matches);
                }
                log::warn!("a stored password hash needs a pepper that is not in `peppers`");
            }
            #[cfg(feature = "imports")]
            Some(Form::Imported(imported)) => return Ok(imported.verify(candidate)),
            None => {}
        }
        self.recipe.pretend(text, memory)?;
        Ok(false)
    }
}

/// What some systems hash in place of the password: the Base64 of HMAC-SHA512(salt, password).
fn keyed_form(salt: &Secret<String>, password: &str) -> Zeroizing<String> {
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(salt.expose().as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(password.as_bytes());
    Zeroizing::new(BASE64.encode(&mac.finalize().into_bytes()))
}
