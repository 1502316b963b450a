//! What an application chooses about passkeys.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    identity::text::{self, NotAName},
    types::{Message, PasskeyUsage},
};

/// Where an authenticator is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Attachment {
    /// In the device at which the person sits.
    Platform,
    /// Apart from it, such as a key or a phone.
    CrossPlatform,
}

/// What browsers are told of the authenticator that is likely, so that they offer it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PasskeyHint {
    /// A key.
    SecurityKey,
    /// The device at which the person sits.
    ClientDevice,
    /// A phone, over the air.
    Hybrid,
}

/// What an application chooses about passkeys; every choice has a default.
///
/// ```
/// use rocket_security::{PasskeyUsage, Security, WebauthnPolicy};
/// struct OurKeys;
/// impl WebauthnPolicy for OurKeys {
///     fn account_name(&self, email: &str, _username: Option<&str>) -> String {
///         format!("{email} (staff)")
///     }
///     fn allows(&self, aaguid: uuid::Uuid, usage: PasskeyUsage) -> bool {
///         usage == PasskeyUsage::Secondary || !aaguid.is_nil()
///     }
/// }
/// let security = Security::default().webauthn_policy(OurKeys);
/// ```
pub trait WebauthnPolicy: Send + Sync + 'static {
    /// What authenticators show to tell one account here from another. _Default:_ the address.
    fn account_name(&self, email: &str, username: Option<&str>) -> String {
        let _ = username;
        email.to_string()
    }

    /// What authenticators call the person. _Default:_ the username, else the address.
    fn display_name(&self, email: &str, username: Option<&str>) -> String {
        username.unwrap_or(email).to_string()
    }

    /// Where a new authenticator must be. _Default:_ anywhere.
    fn attachment(&self, usage: PasskeyUsage) -> Option<Attachment> {
        let _ = usage;
        None
    }

    /// What browsers offer first. _Default:_ they choose.
    fn hints(&self, usage: PasskeyUsage) -> Vec<PasskeyHint> {
        let _ = usage;
        Vec::new()
    }

    /// Whether a model may be added. The authenticator names it itself, so this keeps out whom one does
    /// not want by mistake, and nobody who lies. _Default:_ any.
    fn allows(&self, aaguid: Uuid, usage: PasskeyUsage) -> bool {
        let _ = (aaguid, usage);
        true
    }

    /// Judges the name that somebody gives a passkey, and answers it as it is kept: at most 64 characters.
    /// _Default:_ any text of 1 to 64 characters that can be seen.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_name(&self, name: &str) -> Result<String, Message> {
        check_name(name)
    }
}

/// The application's choices.
pub(crate) type GivenPolicy = Arc<dyn WebauthnPolicy>;

/// The choices of nobody: every default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StandardPolicy;

impl WebauthnPolicy for StandardPolicy {}

/// Characters of a passkey's name, as the table holds them.
const NAME: usize = 64;

fn check_name(typed: &str) -> Result<String, Message> {
    let name = text::name(typed, NAME).map_err(|why| match why {
        NotAName::Empty => Message::new("passkey.name_required"),
        NotAName::TooLong => Message::new("passkey.name_too_long").with("max", NAME),
        NotAName::Hidden => Message::new("passkey.name_invalid"),
    })?;
    // It could pose as markup.
    match name.contains(['<', '>']) {
        true => Err(Message::new("passkey.name_invalid")),
        false => Ok(name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_texts_that_can_be_seen() {
        for (name, kept) in [
            ("my key-1", "my key-1"),
            ("  Blue key ", "Blue key"),
            ("Schlüssel", "Schlüssel"),
            ("鍵", "鍵"),
            ("👩‍💻 laptop", "👩‍💻 laptop"),
            ("a & b's \"key\"", "a & b's \"key\""),
        ] {
            assert_eq!(check_name(name).unwrap(), kept);
        }
        assert_eq!(check_name(&"x".repeat(64)).unwrap().len(), 64);
        for (name, key) in [
            ("", "passkey.name_required"),
            ("  ", "passkey.name_required"),
            ("<script>", "passkey.name_invalid"),
            ("key\u{202e}yek", "passkey.name_invalid"),
            ("\u{200b}", "passkey.name_invalid"),
            ("\u{200d}", "passkey.name_invalid"),
            ("\u{200d}\u{fe0f}", "passkey.name_invalid"),
            ("\u{3164}", "passkey.name_invalid"),
            ("a\nb", "passkey.name_invalid"),
            ("a\u{7}", "passkey.name_invalid"),
        ] {
            assert_eq!(check_name(name).unwrap_err().key(), key, "{name:?}");
        }
        let long = check_name(&"é".repeat(65)).unwrap_err();
        assert_eq!(long.key(), "passkey.name_too_long");
    }
}
