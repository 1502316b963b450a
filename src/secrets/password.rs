//! Passwords, in the clear and hashed.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::types::Message;

/// The most bytes a password may have as it was typed; beyond, only an attack is likely.
const MAX_BYTES: usize = 4096;

/// A password in the clear: normalised, never printed, wiped when dropped.
///
/// It is brought into Unicode's form NFKC, so that the same password typed on another keyboard or
/// system is the same (NIST SP 800-63B, section 5.1.1.2). It is neither trimmed nor cut.
///
/// ```
/// use rocket_security::Password;
/// let password = Password::parse("cafe\u{301} au lait").unwrap();
/// assert_eq!(password.expose(), "caf\u{e9} au lait");
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// ```
pub struct Password {
    normal: Zeroizing<String>,
    /// As typed, if that differs: hashes from elsewhere may have been made of it.
    raw: Option<Zeroizing<String>>,
}

impl Password {
    /// Takes a password as it was typed.
    ///
    /// # Errors
    ///
    /// `password.required` if it is empty, `password.too_long` beyond 4096 bytes (argument `max`),
    /// `password.invalid` if it holds a NUL, which some of the hash functions take for the end.
    /// How long or how good it must be is for the [policy](crate::PasswordPolicy).
    pub fn parse(raw: &str) -> Result<Self, Message> {
        if raw.is_empty() {
            return Err(Message::new("password.required"));
        }
        if raw.len() > MAX_BYTES {
            return Err(Message::new("password.too_long").with("max", MAX_BYTES));
        }
        if raw.contains('\0') {
            return Err(Message::new("password.invalid"));
        }
        let normal = collect(|| raw.nfkc());
        let raw = (normal.as_str() != raw).then(|| Zeroizing::new(raw.to_owned()));
        Ok(Self { normal, raw })
    }

    /// The normalised password.
    pub fn expose(&self) -> &str {
        &self.normal
    }

    /// The forms of which a hash may have been made, ours first: NFKC, NFKD, as typed; each once.
    pub(crate) fn forms(&self) -> Vec<Zeroizing<String>> {
        let mut forms = vec![self.normal.clone()];
        let decomposed = collect(|| self.normal.nfkd());
        for form in std::iter::once(&decomposed).chain(&self.raw) {
            if !forms.contains(form) {
                forms.push(form.clone());
            }
        }
        forms
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Collects twice, once for the length: a string that grows leaves pieces of itself in the heap.
fn collect<I: Iterator<Item = char>>(characters: impl Fn() -> I) -> Zeroizing<String> {
    let length = characters().map(char::len_utf8).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.extend(characters());
    text
}

/// A password's hash as it rests in the database.
///
/// It does not display, and its debug form shows the scheme only: with a hash in hand, guessing
/// needs no server. There is no `==` either: hashes are verified, not compared.
///
/// ```
/// use rocket_security::PasswordHash;
/// let hash = PasswordHash::from_stored("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$..".into());
/// assert_eq!(format!("{hash:?}"), "PasswordHash(argon2id)");
/// ```
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a hash from storage, as it is. Whether it can be verified,
    /// [`is_supported`](Self::is_supported) tells.
    pub fn from_stored(stored: String) -> Self {
        Self(stored)
    }

    /// The hash for storage: at most 255 characters if made here.
    pub fn as_stored(&self) -> &str {
        &self.0
    }

    /// Whether this is a hash that can be verified, and cheap enough that it will be.
    ///
    /// Argon2 always; bcrypt, PBKDF2 and scrypt with the feature `imports`. A hash that is empty,
    /// led by `!` or foreign is not: it then matches no password.
    pub fn is_supported(&self) -> bool {
        super::hashing::is_supported(&self.0)
    }

    /// Only known names: something else between dollar signs may be anything, even a password.
    fn scheme(&self) -> &str {
        let first = self.0.trim_start_matches('$').split('$').next();
        SCHEMES
            .iter()
            .find(|scheme| self.0.contains('$') && first == Some(**scheme))
            .unwrap_or(&"unknown")
    }
}

const SCHEMES: [&str; 19] = [
    "argon2id",
    "argon2i",
    "argon2d",
    "argon2",
    "2a",
    "2b",
    "2y",
    "2x",
    "bcrypt",
    "bcrypt_sha256",
    "bcrypt-sha256",
    "pbkdf2",
    "pbkdf2-sha1",
    "pbkdf2-sha256",
    "pbkdf2-sha512",
    "pbkdf2_sha1",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "scrypt",
];

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({})", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: &str) -> String {
        Password::parse(raw).unwrap_err().key().to_owned()
    }

    #[test]
    fn empty_huge_and_nul_are_refused() {
        assert_eq!(refused(""), "password.required");
        assert_eq!(refused(&"x".repeat(4097)), "password.too_long");
        assert_eq!(refused("pass\0word"), "password.invalid");
        assert!(Password::parse(&"x".repeat(4096)).is_ok());
    }

    #[test]
    fn spaces_stay() {
        assert_eq!(Password::parse("  a b ").unwrap().expose(), "  a b ");
    }

    #[test]
    fn ways_of_typing_the_same_character_are_one() {
        let composed = Password::parse("Gr\u{fc}n").unwrap();
        let decomposed = Password::parse("Gru\u{308}n").unwrap();
        assert_eq!(composed.expose(), decomposed.expose());
    }

    #[test]
    fn forms_are_listed_once_and_ours_first() {
        let forms = |raw| Password::parse(raw).unwrap().forms();
        assert_eq!(forms("plain").len(), 1);
        assert_eq!(forms("Gr\u{fc}n").len(), 2);
        assert_eq!(forms("\u{fb01}sh").len(), 2);
        assert_eq!(forms("\u{fb01}sh \u{fc}").len(), 3);
        assert_eq!(forms("Gru\u{308}n")[0].as_str(), "Gr\u{fc}n");
    }

    #[test]
    fn debug_output_tells_the_scheme_and_nothing_else() {
        let shown = |text: &str| format!("{:?}", PasswordHash::from_stored(text.into()));
        assert_eq!(shown("$2b$05$abc"), "PasswordHash(2b)");
        assert_eq!(shown("pbkdf2_sha256$1$a$b"), "PasswordHash(pbkdf2_sha256)");
        assert_eq!(shown("hunter2"), "PasswordHash(unknown)");
        assert_eq!(shown("pa$$word"), "PasswordHash(unknown)");
        assert_eq!(shown("!"), "PasswordHash(unknown)");
    }
}
