//! E-mail addresses: read once, then carried in a type.
//!
//! An address has two forms: the one that mails are sent to, and the one that is looked up and kept unique.
//! They differ in the case of letters only, so two mailboxes never share a form. A person who types may use
//! compatibility forms (full-width letters, ligatures): [`EmailAddress::typed`] turns them into plain letters,
//! and the mail goes to the plain form. A program may not: [`EmailAddress::parse`] refuses them.
//!
//! What is not promised: that the mailbox exists (a mail proves it), or that two domains which look alike are
//! told apart.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use validator::ValidateEmail;

use super::text::is_hidden;
use crate::types::Message;

/// The longest local part in bytes (RFC 5321, section 4.5.3.1.1).
const LOCAL_BYTES: usize = 64;
/// The longest address in bytes: a path of 256 less its angle brackets (RFC 5321, section
/// 4.5.3.1.3), and the width of the columns.
const ADDRESS_BYTES: usize = 254;
/// Normalisation may shorten a text, but not to a quarter; more is not worth the work.
const TYPED_BYTES: usize = ADDRESS_BYTES * 4;

/// An e-mail address which passed all rules of form.
///
/// ```
/// use rocket_security::EmailAddress;
/// let email = EmailAddress::parse(" José@BÜCHER.example ").unwrap();
/// assert_eq!(email.address(), "José@xn--bcher-kva.example");
/// assert_eq!(email.key(), "josé@xn--bcher-kva.example");
/// // A program must name the mailbox itself; a person may type a full-width letter.
/// assert!(EmailAddress::parse("ｖictim@example.com").is_err());
/// assert_eq!(EmailAddress::typed("ｖictim@example.com").unwrap().address(), "victim@example.com");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    address: String,
    key: String,
}

/// Who wrote an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A person, who is helped.
    Person,
    /// A program, which is taken at its word.
    Program,
}

impl EmailAddress {
    /// Reads an address that a program gives: a provider, an import, an application.
    ///
    /// White space around it is dropped. The local part is a dot-atom (RFC 5321, section 4.1.2),
    /// with letters beyond ASCII allowed (RFC 6531); the domain is a name of at least two labels,
    /// brought to ASCII by UTS 46 with its strict rules. Refused are quoted local parts, address
    /// literals, white space inside, controls, characters that cannot be seen, and in the local part
    /// characters that stand for others by Unicode's normalization (`ｖ` for `v`, `ﬁ` for `fi`): such a
    /// mailbox is another than the one with the plain letters.
    ///
    /// # Errors
    /// `email.required` for an empty text, `email.too_long` beyond 64 bytes of local part or 254
    /// in all (in either form, after normalisation), `email.invalid` for the rest.
    pub fn parse(raw: &str) -> Result<Self, Message> {
        Self::read(raw, Source::Program)
    }

    /// Reads an address as a person types it, into a form: compatibility forms become plain letters (NFKC),
    /// for this address and for the mails that are sent to it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn typed(raw: &str) -> Result<Self, Message> {
        Self::read(raw, Source::Person)
    }

    fn read(raw: &str, source: Source) -> Result<Self, Message> {
        let invalid = || Message::new("email.invalid");
        let too_long = || Message::new("email.too_long").with("max", ADDRESS_BYTES);

        let raw = raw.trim();
        if raw.is_empty() {
            return Err(Message::new("email.required"));
        }
        if raw.len() > TYPED_BYTES {
            return Err(too_long());
        }
        if raw.chars().any(|c| is_hidden(c) || c.is_whitespace()) {
            return Err(invalid());
        }
        let (local, domain) = raw.rsplit_once('@').ok_or_else(invalid)?;

        let local: String = match source {
            Source::Person => local.nfkc().collect(),
            Source::Program if local.chars().all(stands_for_itself) => local.nfc().collect(),
            Source::Program => return Err(invalid()),
        };
        // After normalisation, which makes an `@` of U+FF20 and a dot of U+2024.
        if !is_dot_atom(&local) {
            return Err(invalid());
        }
        if local.len() > LOCAL_BYTES {
            return Err(too_long());
        }
        let domain = ascii_domain(domain).ok_or_else(invalid)?;
        // The names of hosts that are numbers are addresses (WHATWG URL, "ends in a number").
        let (_, top) = domain.rsplit_once('.').ok_or_else(invalid)?;
        if top.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }

        // The check of the validator crate knows ASCII only: letters beyond it are stood in for.
        let stand_in: String = local
            .chars()
            .map(|c| if c.is_ascii() { c } else { 'x' })
            .collect();
        if !format!("{stand_in}@{domain}").validate_email() {
            return Err(invalid());
        }

        let email = Self {
            key: format!("{}@{domain}", lower(&local)),
            address: format!("{local}@{domain}"),
        };
        if email.address.len() > ADDRESS_BYTES || email.key.len() > ADDRESS_BYTES {
            return Err(too_long());
        }
        Ok(email)
    }

    /// The address to show and to send to: the case of the local part's letters is kept, since it
    /// belongs to the receiving host (RFC 5321, section 2.4); the domain is in ASCII and lower case.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The form to look up and to keep unique: the address in lower case.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the local part has letters beyond ASCII, so that mails need a server with SMTPUTF8 (RFC 6531).
    pub fn is_international(&self) -> bool {
        !self.address.is_ascii()
    }

    /// The domain, in ASCII and lower case.
    pub fn domain(&self) -> &str {
        self.address
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Whether normalisation leaves a character as it is. Where it does not, another mailbox would be meant:
/// `ﬁ` is not `fi`, and the sign of the kelvin is no `K`.
fn stands_for_itself(c: char) -> bool {
    std::iter::once(c).nfkc().eq([c])
}

/// The letters in lower case, each by itself. This is no full case folding, which makes `ss` of `ß`: that is
/// another mailbox.
fn lower(local: &str) -> String {
    local.chars().flat_map(char::to_lowercase).nfc().collect()
}

/// Atoms joined by single dots, as RFC 5321 and RFC 6531 have them, of visible characters.
fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' => true,
                c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
                c => !is_hidden(c) && !c.is_whitespace(),
            })
    })
}

/// The domain by UTS 46 (strict: STD3, hyphens, lengths), in lower case.
pub(super) fn ascii_domain(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(raw: &str) -> String {
        match EmailAddress::parse(raw) {
            Ok(email) => panic!("{raw:?} was taken for {email:?}"),
            Err(message) => message.key().to_owned(),
        }
    }

    #[test]
    fn ordinary_addresses_are_accepted() {
        for raw in [
            "a@b.de",
            "first.last+tag@sub.example.co.uk",
            "o'neil@example.com",
            "x_y-z@xn--bcher-kva.example",
            "用户@例子.广告",
            "δοκιμή@παράδειγμα.δοκιμή",
            "!#$%&'*+-/=?^_`{|}~@example.org",
        ] {
            let email = EmailAddress::parse(raw).unwrap_or_else(|e| panic!("{raw}: {e:?}"));
            assert!(email.domain().is_ascii());
            assert_eq!(
                EmailAddress::parse(email.address()).unwrap(),
                email,
                "{raw}"
            );
        }
    }

    #[test]
    fn address_keeps_the_local_part_and_lowers_the_domain() {
        let email = EmailAddress::parse("\u{2003}Jose\u{301}.B@ExAmple.COM \n").unwrap();
        assert_eq!(email.address(), "José.B@example.com");
        assert_eq!(email.key(), "josé.b@example.com");
        assert_eq!(email.domain(), "example.com");
        assert_eq!(email.to_string(), email.address());
    }

    #[test]
    fn spellings_share_a_key_and_other_letters_do_not() {
        let key = |raw: &str| EmailAddress::parse(raw).unwrap().key().to_owned();
        for raw in ["JOSÉ@x.de", "jose\u{301}@X.de", " josé@x。de"] {
            assert_eq!(key(raw), "josé@x.de", "{raw}");
        }
        assert_ne!(key("jose@x.de"), "josé@x.de");
        assert_ne!(key("mıke@x.de"), key("mike@x.de"));
        assert_ne!(key("mike@gıthub.com"), key("mike@github.com"));
        // Equal by full case folding, and other mailboxes.
        assert_ne!(key("straße@x.de"), key("strasse@x.de"));
        assert_ne!(key("οδος@x.de"), key("οδοσ@x.de"));
        assert_ne!(key("İan@x.de"), key("ian@x.de"));
    }

    #[test]
    fn compatibility_forms_help_who_types_and_are_no_mailbox_of_a_program() {
        for (raw, plain) in [
            ("ｖictim@example.com", "victim@example.com"),
            ("ﬁsher@example.com", "fisher@example.com"),
            ("ſam@example.com", "sam@example.com"),
            ("\u{212A}elvin@example.com", "Kelvin@example.com"),
            ("ⅷ@example.com", "viii@example.com"),
            ("ªda@example.com", "ada@example.com"),
            ("a²@example.com", "a2@example.com"),
            ("𝐚da@example.com", "ada@example.com"),
            ("ⓐda@example.com", "ada@example.com"),
            ("a․b@example.com", "a.b@example.com"),
            ("\u{2126}@example.com", "Ω@example.com"),
            ("ŉa@example.com", "ʼna@example.com"),
            ("ĳ@example.com", "ij@example.com"),
        ] {
            assert_eq!(refusal(raw), "email.invalid", "{raw}");
            let typed = EmailAddress::typed(raw).unwrap();
            assert_eq!(typed.address(), plain);
            assert_eq!(typed, EmailAddress::parse(plain).unwrap());
        }
    }

    #[test]
    fn no_character_shares_a_key_with_another_but_by_case() {
        let codes = (0x21..0x3400).chain(0xA000..0xAC00).chain(0xF900..0x20000);
        let mut owners = std::collections::HashMap::<String, char>::new();
        for c in codes.filter_map(char::from_u32) {
            let Ok(email) = EmailAddress::parse(&format!("a{c}b@c.de")) else {
                continue;
            };
            let capitals = |c: char| c.to_lowercase().collect::<String>();
            if let Some(other) = owners.insert(email.key().to_string(), c) {
                assert_eq!(capitals(other), capitals(c), "{other} and {c}");
            }
        }
    }

    #[test]
    fn empty_is_required() {
        for raw in ["", " ", "\t\u{3000}\r\n"] {
            assert_eq!(refusal(raw), "email.required");
        }
    }

    #[test]
    fn bad_form_is_refused() {
        for raw in [
            "a",
            "@",
            "a@",
            "@b.de",
            "a@b",
            "a@localhost",
            "a@@b.de",
            "a@b@c.de",
            ".a@b.de",
            "a.@b.de",
            "a..b@c.de",
            "a b@c.de",
            "a@b .de",
            "a@b..de",
            "a@.b.de",
            "a@b.de.",
            "a@-b.de",
            "a@b-.de",
            "a@b_c.de",
            "a@xn--a.de",
            "a@xn--zz--zz.de",
            // Quoted local parts, comments, display names, literals.
            "\"a\"@b.de",
            "\"a b\"@c.de",
            "a(x)@b.de",
            "<a@b.de>",
            "A <a@b.de>",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@127.0.0.1",
            "a@1.2",
            "a,b@c.de",
            "a@b.de,c@d.de",
            "a;b@c.de",
            "a\\b@c.de",
            // Header injection and what cannot be seen.
            "a@b.de\r\nBcc: x@y.de",
            "a\nb@c.de",
            "a\0@b.de",
            "a@b.de\0",
            "a\u{200B}@b.de",
            "a@b\u{200D}.de",
            "a\u{202E}b@c.de",
            "a\u{2066}@b.de",
            "a\u{FFFF}@b.de",
            "a@b\u{AD}.de",
            "\u{FEFF}a@b.de",
            "a\u{2028}b@c.de",
            "a\u{FFFD}@b.de",
            "a\u{A0}b@c.de",
            // NFKC would change the grammar.
            "a＠b@c.de",
            "a﹫b.de",
            "a\u{2024}@b.de",
            "＂a＂@b.de",
            "a@b＠c.de",
            "a\u{A8}b@c.de",
        ] {
            assert_eq!(refusal(raw), "email.invalid", "{raw:?}");
        }
    }

    #[test]
    fn lengths_are_checked_in_bytes_on_both_forms() {
        let longest = format!(
            "{}@{}.de",
            "a".repeat(64),
            vec!["b".repeat(61); 3].join(".")
        );
        assert_eq!(longest.len(), 64 + 1 + 61 * 3 + 2 + 3);
        let filled = format!(
            "{}@{}c.de",
            "a".repeat(64),
            format!("{}.", "b".repeat(61)).repeat(3)
        );
        assert_eq!(filled.len(), 254 + 1);
        assert!(EmailAddress::parse(&longest).is_ok());
        assert_eq!(refusal(&filled), "email.too_long");
        assert!(EmailAddress::parse(&filled[1..]).is_ok());

        assert_eq!(
            refusal(&format!("{}@b.de", "a".repeat(65))),
            "email.too_long"
        );
        assert_eq!(
            refusal(&format!("{}@b.de", "é".repeat(33))),
            "email.too_long"
        );
        assert!(EmailAddress::parse(&format!("{}@b.de", "é".repeat(32))).is_ok());
        // Decomposed it is longer than allowed, composed it is not.
        assert!(EmailAddress::parse(&format!("{}@b.de", "e\u{301}".repeat(32))).is_ok());
        assert_eq!(
            refusal(&format!("a@{}.de", "b".repeat(64))),
            "email.invalid"
        );
        assert_eq!(refusal(&"a".repeat(1_000_000)), "email.too_long");
    }

    #[test]
    fn a_key_which_grows_past_its_column_is_refused() {
        // Two bytes as typed, three in the key (`İ` is an `i` and a dot above in lower case).
        let domain = format!(
            "{}.{}.{}.de",
            "b".repeat(61),
            "b".repeat(61),
            "b".repeat(61)
        );
        let raw = format!("{}@{domain}", "İ".repeat(32));
        assert!(raw.len() <= 254);
        assert_eq!(refusal(&raw), "email.too_long");
    }

    #[test]
    fn no_text_makes_an_overlong_or_unsafe_form() {
        // Ideographs and what lies beyond the compatibility blocks have nothing to surprise with.
        let codes = (0..0x3400).chain(0xA000..0xAC00).chain(0xF900..0x20000);
        for c in codes.filter_map(char::from_u32) {
            if let Ok(email) = EmailAddress::parse(&format!("a{c}b@c.de")) {
                for form in [email.address(), email.key()] {
                    assert!(form.len() <= 254);
                    assert_eq!(form.matches('@').count(), 1, "U+{:04X}", u32::from(c));
                    assert!(!form.chars().any(|c| is_hidden(c) || c.is_whitespace()));
                }
            }
        }
    }

    #[test]
    fn the_key_of_a_key_is_itself() {
        for raw in [
            "JOSÉ@x.de",
            "STRAẞE@x.de",
            "ΟΔΟΣ@x.de",
            "İ@x.de",
            "J\u{30C}@x.de",
        ] {
            let email = EmailAddress::parse(raw).unwrap();
            assert_eq!(EmailAddress::parse(email.key()).unwrap().key(), email.key());
        }
    }
}
