//! The application's secrets turned into one key for each purpose.
//!
//! A tag made for one purpose never passes for another, and the application's secret itself signs
//! nothing. Derivation is HKDF-SHA256 (RFC 5869), tags are HMAC-SHA256 (RFC 2104).

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::Secret;

/// What a key is for. The labels are stored in effect, by the tags made with them: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Csrf,
    Limits,
    Device,
    Codes,
    Outbox,
    Totp,
    Refresh,
    Social,
    Flash,
    Pepper,
}

impl Purpose {
    const ALL: [Self; 10] = [
        Self::Csrf,
        Self::Limits,
        Self::Device,
        Self::Codes,
        Self::Outbox,
        Self::Totp,
        Self::Refresh,
        Self::Social,
        Self::Flash,
        Self::Pepper,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Csrf => "rocket_security csrf",
            Self::Limits => "rocket_security limits",
            Self::Device => "rocket_security device",
            Self::Codes => "rocket_security codes",
            Self::Outbox => "rocket_security outbox",
            Self::Totp => "rocket_security totp",
            Self::Refresh => "rocket_security refresh",
            Self::Social => "rocket_security social",
            Self::Flash => "rocket_security flash",
            Self::Pepper => "rocket_security pepper",
        }
    }
}

/// The derived keys of one application secret, in the order of [`Purpose::ALL`].
type Derived = Vec<Secret<[u8; 32]>>;

/// The keys of every purpose, from a rotatable list of application secrets.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    current: Derived,
    /// Verify only, so that what was made before a rotation lives out its time.
    former: Vec<Derived>,
}

impl Keys {
    /// Derives the keys. The first secret is the current one; the others only verify.
    ///
    /// With an empty list the keys are random: what they sign lasts as long as the process, which
    /// suits a debug build; a release build has refused to start long before.
    pub(crate) fn new(secrets: &[Secret<Vec<u8>>]) -> Self {
        match secrets.split_first() {
            Some((first, rest)) => Self {
                current: derive(first.expose()),
                former: rest.iter().map(|secret| derive(secret.expose())).collect(),
            },
            None => {
                let mut random = Secret::new([0u8; 32]);
                // No randomness means no cookie, salt or token either; a guessable key is worse.
                assert!(
                    getrandom::fill(&mut random.0).is_ok(),
                    "the system gives no randomness"
                );
                Self {
                    current: derive(random.expose()),
                    former: Vec::new(),
                }
            }
        }
    }

    /// HMAC-SHA256 under the current key. Each part goes in behind its length, so that no two
    /// lists of parts give the same input.
    pub(crate) fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        tag(self.key(purpose), parts)
    }

    /// The name under which something is counted: a tag, so that the counters tell nothing about who was meant, and
    /// hostile text has a fixed size.
    pub(crate) fn bucket(&self, parts: [&str; 3]) -> String {
        let tag = self.mac(Purpose::Limits, &parts.map(str::as_bytes));
        data_encoding::BASE64URL_NOPAD.encode(&tag)
    }

    /// The tag of `parts` under each of the keys, the current one first.
    pub(crate) fn macs(&self, purpose: Purpose, parts: &[&[u8]]) -> impl Iterator<Item = [u8; 32]> {
        self.keys(purpose).map(move |key| tag(key, parts))
    }

    /// Whether `given` is the tag of `parts` under any of the keys, in constant time for each.
    ///
    /// A tag may be cut to 16 bytes, no further.
    pub(crate) fn verify_mac(&self, purpose: Purpose, parts: &[&[u8]], given: &[u8]) -> bool {
        if !(16..=32).contains(&given.len()) {
            return false;
        }
        let matches = self.keys(purpose).fold(Choice::from(0), |found, key| {
            found | tag(key, parts)[..given.len()].ct_eq(given)
        });
        matches.into()
    }

    /// Encrypts under the current key, by XChaCha20-Poly1305 with a random nonce. What it is `about`
    /// is authenticated with it, so that one row's text cannot be moved into another.
    pub(crate) fn seal(
        &self,
        purpose: Purpose,
        about: &str,
        text: &[u8],
    ) -> Result<String, getrandom::Error> {
        let mut sealed = vec![0u8; NONCE];
        getrandom::fill(&mut sealed)?;
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&sealed);
        let payload = Payload {
            msg: text,
            aad: about.as_bytes(),
        };
        let Ok(text) = XChaCha20Poly1305::new(self.key(purpose).into()).encrypt(&nonce, payload)
        else {
            unreachable!("XChaCha20-Poly1305 takes up to 256 GiB")
        };
        sealed.extend_from_slice(&text);
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// Decrypts what [`seal`](Self::seal) made under any of the keys, and says whether it was the current
    /// one; `None` if it was not made, or was about something else.
    pub(crate) fn unseal(
        &self,
        purpose: Purpose,
        about: &str,
        sealed: &str,
    ) -> Option<(Secret<Vec<u8>>, bool)> {
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let mut with = XNonce::default();
        with.copy_from_slice(nonce);
        self.keys(purpose).enumerate().find_map(|(n, key)| {
            let payload = Payload {
                msg: text,
                aad: about.as_bytes(),
            };
            let opened = XChaCha20Poly1305::new(key.into()).decrypt(&with, payload);
            opened.ok().map(|text| (Secret::new(text), n == 0))
        })
    }

    fn key(&self, purpose: Purpose) -> &[u8; 32] {
        self.current[purpose as usize].expose()
    }

    /// All keys of a purpose, the current one first.
    fn keys(&self, purpose: Purpose) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.current)
            .chain(&self.former)
            .map(move |derived| derived[purpose as usize].expose())
    }
}

/// Bytes of the nonce of XChaCha20-Poly1305.
const NONCE: usize = 24;

fn derive(secret: &[u8]) -> Derived {
    let root = Hkdf::<Sha256>::new(None, secret);
    Purpose::ALL
        .iter()
        .map(|purpose| {
            let mut key = Secret::new([0u8; 32]);
            let Ok(()) = root.expand(purpose.label().as_bytes(), &mut key.0) else {
                unreachable!("HKDF-SHA256 gives up to 8160 bytes")
            };
            key
        })
        .collect()
}

fn tag(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&str]) -> Keys {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| Secret::new(secret.as_bytes().to_vec()))
            .collect();
        Keys::new(&secrets)
    }

    #[test]
    fn the_index_of_a_purpose_is_its_place_and_its_label_is_its_own() {
        for (place, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, place);
            let same = Purpose::ALL
                .into_iter()
                .filter(|other| other.label() == purpose.label());
            assert_eq!(same.count(), 1);
        }
    }

    #[test]
    fn a_tag_is_good_for_its_purpose_and_its_parts_only() {
        let keys = keys(&["one"]);
        let tag = keys.mac(Purpose::Csrf, &[b"ab", b"c"]);
        assert!(keys.verify_mac(Purpose::Csrf, &[b"ab", b"c"], &tag));
        assert!(!keys.verify_mac(Purpose::Codes, &[b"ab", b"c"], &tag));
        assert!(!keys.verify_mac(Purpose::Csrf, &[b"a", b"bc"], &tag));
        assert!(!keys.verify_mac(Purpose::Csrf, &[b"abc"], &tag));
    }

    #[test]
    fn a_tag_may_be_cut_to_sixteen_bytes() {
        let keys = keys(&["one"]);
        let tag = keys.mac(Purpose::Codes, &[b"x"]);
        assert!(keys.verify_mac(Purpose::Codes, &[b"x"], &tag[..16]));
        assert!(!keys.verify_mac(Purpose::Codes, &[b"x"], &tag[..15]));
        assert!(!keys.verify_mac(Purpose::Codes, &[b"x"], &[]));
        assert!(!keys.verify_mac(Purpose::Codes, &[b"x"], &[tag, tag].concat()));
    }

    #[test]
    fn after_a_rotation_old_tags_hold_until_the_old_secret_goes() {
        let old = keys(&["old"]).mac(Purpose::Device, &[b"x"]);
        let rotated = keys(&["new", "old"]);
        assert!(rotated.verify_mac(Purpose::Device, &[b"x"], &old));
        assert_ne!(rotated.mac(Purpose::Device, &[b"x"]), old);
        assert_eq!(rotated.keys(Purpose::Device).count(), 2);
        assert!(!keys(&["new"]).verify_mac(Purpose::Device, &[b"x"], &old));
    }

    #[test]
    fn keys_from_no_secret_are_random() {
        let tag = keys(&[]).mac(Purpose::Csrf, &[b"x"]);
        assert!(!keys(&[]).verify_mac(Purpose::Csrf, &[b"x"], &tag));
    }

    #[test]
    fn keys_do_not_print() {
        assert!(!format!("{:?}", keys(&["one"])).contains(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn what_is_sealed_opens_for_what_it_is_about_only_and_after_a_rotation() {
        let (old, new) = (
            Secret::new(b"an old secret of the application".to_vec()),
            Secret::new(b"a new secret of the application!".to_vec()),
        );
        let before = Keys::new(std::slice::from_ref(&old));
        let after = Keys::new(&[new.clone(), old]);
        let sealed = before.seal(Purpose::Outbox, "row 1", b"canary").unwrap();
        assert!(!sealed.contains("canary"));
        assert_ne!(
            sealed,
            before.seal(Purpose::Outbox, "row 1", b"canary").unwrap()
        );
        let open = |keys: &Keys, purpose, about: &str| {
            keys.unseal(purpose, about, &sealed)
                .map(|(text, current)| (text.expose().clone(), current))
        };
        assert_eq!(
            open(&after, Purpose::Outbox, "row 1"),
            Some((b"canary".to_vec(), false))
        );
        assert_eq!(open(&after, Purpose::Outbox, "row 2"), None);
        assert_eq!(open(&after, Purpose::Totp, "row 1"), None);
        assert_eq!(open(&Keys::new(&[new]), Purpose::Outbox, "row 1"), None);
        for broken in ["", "x", "AAAA", &sealed[1..]] {
            assert!(after.unseal(Purpose::Outbox, "row 1", broken).is_none());
        }
    }
}
