//! What somebody typed to say who they are, as what it is recognised for.

use super::{EmailAddress, Username, UsernamePolicy, text};
use crate::{secrets::digest, types::Message};
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

/// What somebody may sign in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdentityKind {
    /// The e-mail address.
    Email,
    /// The user name.
    Username,
}

impl IdentityKind {
    /// The name that settings and programs know it by.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
        }
    }
}

/// The longest form kept of a text that is no identity: a local part, an `@` and a domain.
const UNKNOWN_CHARACTERS: usize = 320;

/// A typed text as what it was recognised for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// An e-mail address.
    Email(EmailAddress),
    /// A user name.
    Username(Username),
    /// Neither: folded, without white space and hidden characters, at most 320 characters.
    Unknown(String),
}

impl Identity {
    /// The first of `kinds` that accepts the text, as a person typed it.
    pub(crate) fn recognise(
        raw: &str,
        kinds: &[IdentityKind],
        usernames: &dyn UsernamePolicy,
    ) -> Self {
        Self::first(raw, kinds, usernames, EmailAddress::typed)
    }

    /// The first of `kinds` that accepts the text, as a program gives it: an address is taken letter for letter.
    pub(crate) fn exact(raw: &str, kinds: &[IdentityKind], usernames: &dyn UsernamePolicy) -> Self {
        Self::first(raw, kinds, usernames, EmailAddress::parse)
    }

    fn first(
        raw: &str,
        kinds: &[IdentityKind],
        usernames: &dyn UsernamePolicy,
        email: impl Fn(&str) -> Result<EmailAddress, Message>,
    ) -> Self {
        kinds
            .iter()
            .find_map(|kind| match kind {
                IdentityKind::Email => email(raw).ok().map(Self::Email),
                IdentityKind::Username => usernames.look_up(raw).map(Self::Username),
            })
            .unwrap_or_else(|| Self::unknown(raw))
    }

    fn unknown(raw: &str) -> Self {
        let seen = |c: &char| !is_blank(*c);
        // Cut before normalising too, so that a megabyte costs no more than a line.
        let start: String = raw.chars().filter(seen).take(UNKNOWN_CHARACTERS).collect();
        let kept = text::folded(&start.nfkc().filter(seen).collect::<String>());
        Self::Unknown(kept.chars().filter(seen).take(UNKNOWN_CHARACTERS).collect())
    }

    /// What attempts are counted under: the same for all spellings of one identity, of fixed size
    /// whatever was typed, and a digest because people type passwords into this field.
    pub(crate) fn bucket(&self) -> String {
        digest(match self {
            Self::Email(email) => email.key(),
            Self::Username(username) => username.key(),
            Self::Unknown(text) => text,
        })
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || text::is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::StandardUsernamePolicy;

    const BOTH: &[IdentityKind] = &[IdentityKind::Email, IdentityKind::Username];

    fn recognise(raw: &str, kinds: &[IdentityKind]) -> Identity {
        Identity::recognise(raw, kinds, &StandardUsernamePolicy::default())
    }

    #[test]
    fn the_first_kind_that_accepts_wins() {
        assert!(matches!(recognise("A@b.de", BOTH), Identity::Email(_)));
        assert!(matches!(recognise("Alice", BOTH), Identity::Username(_)));
        assert!(matches!(recognise("12345", BOTH), Identity::Unknown(_)));
        assert!(matches!(recognise("", BOTH), Identity::Unknown(_)));
        assert!(matches!(
            recognise("A@b.de", &[IdentityKind::Username]),
            Identity::Unknown(_)
        ));
        assert!(matches!(
            recognise("Alice", &[IdentityKind::Email]),
            Identity::Unknown(_)
        ));
    }

    #[test]
    fn spellings_of_one_identity_share_a_bucket() {
        for spellings in [
            &[
                "v@x.com",
                " V@X.com",
                "ｖ@x.COM\t",
                "v @x.com",
                "v\u{200B}@x.com",
            ][..],
            &["alice", "ALICE ", "Ａlice", "al ice", "ali\0ce"],
            &["+49 171 555", "+49171555", "＋４９171555 "],
            &["josé!", "JOSE\u{301}!", "jose \u{301} !"],
        ] {
            for other in &spellings[1..] {
                assert_eq!(
                    recognise(spellings[0], BOTH).bucket(),
                    recognise(other, BOTH).bucket(),
                    "{} and {other:?}",
                    spellings[0]
                );
            }
        }
        assert_ne!(
            recognise("josé!", BOTH).bucket(),
            recognise("jose!", BOTH).bucket()
        );
    }

    #[test]
    fn unknown_texts_are_bounded() {
        for raw in [
            "x y".repeat(500_000),
            " ".repeat(1_000_000),
            "\u{FDFA}".repeat(100_000),
            "\u{301}".repeat(100_000),
            "\0".repeat(10),
        ] {
            let identity = recognise(&raw, BOTH);
            let Identity::Unknown(text) = &identity else {
                panic!("{identity:?}");
            };
            assert!(text.chars().count() <= 320);
            assert!(!text.chars().any(is_blank));
            assert_eq!(identity.bucket().len(), 43);
        }
    }

    #[test]
    fn kinds_are_written_in_small_letters() {
        #[derive(Deserialize)]
        struct Settings {
            by: Vec<IdentityKind>,
        }
        let settings: Settings = toml::from_str("by = ['email', 'username']").unwrap();
        assert_eq!(settings.by, BOTH);
    }
}
