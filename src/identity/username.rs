//! User names: one form to show, one to look up, one to tell look-alikes.
//!
//! What is not promised: that two names of different letters never look alike in every font. The
//! tables of UTS 39 are the measure, on the form with case folded; a capital `I` shown for a small
//! `l` is caught against reserved names only.

use std::{collections::HashSet, fmt};

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_security::{
    GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, skeleton,
};

use super::text::{folded, is_hidden};
use crate::types::Message;

/// The width of the columns.
const FORM_BYTES: usize = 255;
/// More than this is refused before it is normalised.
const TYPED_BYTES: usize = FORM_BYTES * 4;

/// Names that would speak for the site, or stand where its paths stand.
const RESERVED: &str = "\
    abuse account accounts admin administrator admins anonymous api assets auth billing blog \
    bot callback change confirm contact daemon dashboard delete docs everyone favicon.ico \
    ftp guest health help helpdesk home host hostmaster info invite legal localhost login \
    logout mail mailer-daemon metrics moderator nobody noreply no-reply null oauth official \
    operator owner password postmaster privacy profile public recover register reset \
    robots.txt root security security.txt self settings sign-in sign-up signin signout \
    signup site staff static status superuser support sysadmin system team terms token \
    undefined user username users verify webmaster well-known www";

/// A user name which passed the application's policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username {
    name: String,
    key: String,
    skeleton: String,
}

impl Username {
    /// Brings a text into its forms, for a [`UsernamePolicy`] to judge.
    ///
    /// It promises only what storing and showing need: not empty, no white space at the ends, no
    /// control or invisible character, each form within 255 bytes.
    ///
    /// # Errors
    /// `username.required`, `username.invalid`, `username.too_long` (with `max` 255).
    pub fn normalise(raw: &str) -> Result<Self, Message> {
        let too_long = || Message::new("username.too_long").with("max", FORM_BYTES);
        let typed = raw.trim();
        if typed.is_empty() {
            return Err(Message::new("username.required"));
        }
        if typed.len() > TYPED_BYTES {
            return Err(too_long());
        }
        let name: String = typed.nfkc().collect();
        // Hidden characters are looked for before NFKC too: it drops or alters some of them.
        if typed.chars().chain(name.chars()).any(is_hidden) || name.trim() != name {
            return Err(Message::new("username.invalid"));
        }
        let key = folded(&name);
        let skeleton: String = skeleton(&key).collect();
        if [&name, &key, &skeleton]
            .into_iter()
            .any(|form| form.len() > FORM_BYTES)
        {
            return Err(too_long());
        }
        Ok(Self {
            name,
            key,
            skeleton,
        })
    }

    /// The name as shown (NFKC).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form to look up and to keep unique: NFKC with case folded.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The UTS 39 skeleton of [`key`](Self::key): names with equal skeletons look alike.
    ///
    /// For comparison only, never to be shown (UTS 39, section 4).
    pub fn skeleton(&self) -> &str {
        &self.skeleton
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Which texts are user names.
///
/// ```
/// use rocket_security::{Message, Username, UsernamePolicy};
///
/// /// Staff numbers such as `AB1234`.
/// struct StaffNumbers;
///
/// impl UsernamePolicy for StaffNumbers {
///     fn parse(&self, raw: &str) -> Result<Username, Message> {
///         let username = Username::normalise(raw)?;
///         match username.key().as_bytes() {
///             [a, b, rest @ ..]
///                 if a.is_ascii_lowercase()
///                     && b.is_ascii_lowercase()
///                     && rest.len() == 4
///                     && rest.iter().all(u8::is_ascii_digit) => Ok(username),
///             _ => Err(Message::new("username.invalid")),
///         }
///     }
/// }
/// # assert!(StaffNumbers.parse("AB1234").is_ok());
/// # assert!(StaffNumbers.look_up("bob").is_none());
/// ```
pub trait UsernamePolicy: Send + Sync + 'static {
    /// Reads a name for a new account or a change of name.
    ///
    /// # Errors
    /// The message to show at the field.
    fn parse(&self, raw: &str) -> Result<Username, Message>;

    /// Reads a name somebody signs in with. Names given before the rules were tightened, or given
    /// by an administrator in spite of them, should pass here.
    fn look_up(&self, raw: &str) -> Option<Username> {
        self.parse(raw).ok()
    }
}

/// Settings of [`StandardUsernamePolicy`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UsernameSettings {
    /// The least length in characters, after normalisation.
    ///
    /// _Default:_ `4`.
    pub min: usize,
    /// The greatest length in characters, after normalisation. Whatever it says, each form of a
    /// name holds at most 255 bytes.
    ///
    /// _Default:_ `32`.
    pub max: usize,
    /// Names nobody may take, nor anything that looks like them, beside the built-in list
    /// (`admin`, `root`, `login`, ...).
    ///
    /// _Default:_ `[]`.
    pub reserved: Vec<String>,
}

impl Default for UsernameSettings {
    fn default() -> Self {
        Self {
            min: 4,
            max: 32,
            reserved: Vec::new(),
        }
    }
}

/// The policy unless the application brings its own.
///
/// Letters and digits of any one script, or of the mixtures UTS 39 calls highly restrictive (such
/// as Latin with Japanese), with single `.`, `_` and `-` between them, and at least one letter, so
/// that no name is a telephone number; no `@`, so that none is an e-mail address. Reserved names
/// are refused in every look-alike form.
///
/// ```
/// use rocket_security::{StandardUsernamePolicy, UsernamePolicy, config::UsernameSettings};
/// let policy = StandardUsernamePolicy::new(&UsernameSettings::default());
/// assert_eq!(policy.parse(" Zoë.W ").unwrap().key(), "zoë.w");
/// assert_eq!(policy.parse("bob").unwrap_err().key(), "username.too_short");
/// assert_eq!(policy.parse("r00t").unwrap_err().key(), "username.reserved");
/// ```
#[derive(Clone, Debug)]
pub struct StandardUsernamePolicy {
    min: usize,
    max: usize,
    reserved: HashSet<String>,
}

impl StandardUsernamePolicy {
    /// The policy by `settings`.
    pub fn new(settings: &UsernameSettings) -> Self {
        let own = settings.reserved.iter().map(|name| name.trim());
        Self {
            min: settings.min,
            max: settings.max,
            reserved: RESERVED
                .split_ascii_whitespace()
                .chain(own)
                .map(|name| likeness(&folded(name)))
                .collect(),
        }
    }
}

impl Default for StandardUsernamePolicy {
    fn default() -> Self {
        Self::new(&UsernameSettings::default())
    }
}

impl UsernamePolicy for StandardUsernamePolicy {
    /// # Errors
    /// `username.required`, `username.too_short` (`min`), `username.too_long` (`max`),
    /// `username.invalid`, `username.mixed_script`, `username.reserved`.
    fn parse(&self, raw: &str) -> Result<Username, Message> {
        let too_long = || Message::new("username.too_long").with("max", self.max);
        let username = Username::normalise(raw).map_err(|message| match message.key() {
            "username.too_long" => too_long(),
            _ => message,
        })?;
        let name = username.name();
        if !is_well_formed(name) || !name.chars().all(|c| c.identifier_allowed()) {
            return Err(Message::new("username.invalid"));
        }
        let length = name.chars().count();
        if length < self.min {
            return Err(Message::new("username.too_short").with("min", self.min));
        }
        if length > self.max {
            return Err(too_long());
        }
        // As shown and as stored: only the first sees that `Iogin` has a capital I.
        if [name, username.key()]
            .into_iter()
            .any(|form| self.reserved.contains(&likeness(form)))
        {
            return Err(Message::new("username.reserved"));
        }
        if !name.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return Err(Message::new("username.mixed_script"));
        }
        Ok(username)
    }

    /// The form alone: lengths, scripts and reserved names are questions for a new name.
    fn look_up(&self, raw: &str) -> Option<Username> {
        Username::normalise(raw)
            .ok()
            .filter(|username| is_well_formed(username.name()))
    }
}

/// The skeleton with case folded, so that `0`, whose skeleton is a capital, stands for `o`.
fn likeness(text: &str) -> String {
    folded(&skeleton(text).collect::<String>())
}

/// Words of letters and digits with single marks between them, and a letter somewhere.
fn is_well_formed(name: &str) -> bool {
    name.split(['.', '_', '-'])
        .all(|word| !word.is_empty() && word.chars().all(char::is_alphanumeric))
        && name.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Username, Message> {
        StandardUsernamePolicy::default().parse(raw)
    }

    fn refusal(raw: &str) -> String {
        match parse(raw) {
            Ok(username) => panic!("{raw:?} was taken for {username:?}"),
            Err(message) => message.key().to_owned(),
        }
    }

    #[test]
    fn names_of_many_scripts_are_accepted() {
        for raw in [
            "alice",
            "Zoë.W",
            "a-b_c.d",
            "bob42",
            "42bob",
            "иван",
            "Мария",
            "παπας",
            "さくらサクラ",
            "田中太郎",
            "山田Taro",
            "김철수님",
            "محمد",
            "straße",
        ] {
            let username = parse(raw).unwrap_or_else(|message| panic!("{raw}: {message:?}"));
            assert_eq!(username.to_string(), username.name());
            assert_eq!(parse(username.key()).unwrap().key(), username.key());
        }
    }

    #[test]
    fn name_and_key_are_normalised() {
        let username = parse("\u{3000}Ｊｏｓｅ\u{301} ").unwrap();
        assert_eq!(username.name(), "José");
        assert_eq!(username.key(), "josé");
        assert_eq!(parse("JOSÉ").unwrap().key(), "josé");
        assert_ne!(parse("jose").unwrap().key(), "josé");
    }

    #[test]
    fn look_alikes_share_a_skeleton() {
        // All Cyrillic against all Latin: neither mixes scripts.
        let (cyrillic, latin) = (parse("расе").unwrap(), parse("pace").unwrap());
        assert_ne!(cyrillic.key(), latin.key());
        assert_eq!(cyrillic.skeleton(), latin.skeleton());
        assert_eq!(
            parse("modern").unwrap().skeleton(),
            parse("rnodern").unwrap().skeleton()
        );
        assert_eq!(
            parse("paul1").unwrap().skeleton(),
            parse("paull").unwrap().skeleton()
        );
        assert_ne!(
            parse("alice").unwrap().skeleton(),
            parse("alicia").unwrap().skeleton()
        );
    }

    #[test]
    fn lengths_count_characters_after_normalisation() {
        assert_eq!(refusal(""), "username.required");
        assert_eq!(refusal(" \t\n"), "username.required");
        let short = parse("bob").unwrap_err();
        assert_eq!(
            (short.key(), short.arguments()),
            ("username.too_short", &[("min", "4".into())][..])
        );
        assert!(parse("é".repeat(32).as_str()).is_ok());
        assert!(parse("e\u{301}".repeat(32).as_str()).is_ok());
        let long = parse(&"a".repeat(33)).unwrap_err();
        assert_eq!(
            (long.key(), long.arguments()),
            ("username.too_long", &[("max", "32".into())][..])
        );
        // One character typed, two kept.
        assert_eq!(refusal(&"ﬁ".repeat(17)), "username.too_long");
        assert!(parse(&"ﬁ".repeat(16)).is_ok());
        assert_eq!(refusal(&"a".repeat(1_000_000)), "username.too_long");
    }

    #[test]
    fn no_form_outgrows_its_column() {
        let policy = StandardUsernamePolicy::new(&UsernameSettings {
            min: 1,
            max: 10_000,
            reserved: vec![],
        });
        for (raw, fits) in [
            ("a".repeat(255), true),
            ("a".repeat(256), false),
            ("ΐ".repeat(85), false),
            ("m".repeat(127), true),
            // `m` looks like `rn`: the skeleton is twice as long.
            ("m".repeat(128), false),
        ] {
            match policy.parse(&raw) {
                Ok(username) => {
                    assert!(fits, "{raw}");
                    assert!(username.key().len() <= 255 && username.skeleton().len() <= 255);
                }
                Err(message) => {
                    assert!(!fits, "{raw}: {message:?}");
                    assert_eq!(message.key(), "username.too_long");
                }
            }
        }
    }

    #[test]
    fn bad_form_is_refused() {
        for raw in [
            ".alice",
            "alice.",
            "_alice",
            "alice-",
            "al..ice",
            "al.-ice",
            "al__ice",
            "al ice",
            "al\u{A0}ice",
            "al/ice",
            "al:ice",
            "al%ice",
            "al\\ice",
            "al'ice",
            "<alice>",
            ".well-known",
            "alice!",
            "😀😀😀😀",
            // E-mail addresses and telephone numbers.
            "alice@example.com",
            "alice＠example.com",
            "@alice",
            "12345",
            "+4917112345",
            "0171-555.12",
            "٠١٢٣٤",
            "１２３４５",
            // What cannot be seen, or not rightly.
            "al\0ice",
            "al\nice",
            "al\u{200B}ice",
            "al\u{200D}ice",
            "al\u{202E}ice",
            "al\u{AD}ice",
            "alice\u{FE0F}",
            "\u{FEFF}alice",
            "al\u{FFFF}ice",
            "al\u{3164}ice",
            "al\u{E0041}ice",
            "al\u{2028}ice",
            // A mark on a letter that has no composed form, and an ancient script.
            "q\u{301}alice",
            "𐌰𐌱𐌲𐌳",
        ] {
            assert_eq!(refusal(raw), "username.invalid", "{raw:?}");
        }
    }

    #[test]
    fn mixed_scripts_are_refused() {
        // The first letters are Cyrillic, Greek, Cherokee-like and the last Hebrew.
        for raw in ["аlice", "αlice", "pаypal", "иvan", "aliceא"] {
            assert_eq!(refusal(raw), "username.mixed_script", "{raw}");
        }
    }

    #[test]
    fn reserved_names_are_refused_in_every_likeness() {
        for raw in [
            "admin",
            "ADMIN",
            "Ａdmin",
            "аdmin",
            "adrnin",
            "root",
            "r00t",
            "rооt",
            "login",
            "Iogin",
            "1ogin",
            "well-known",
            "Support",
            "postmaster",
            "security.txt",
        ] {
            assert_eq!(refusal(raw), "username.reserved", "{raw}");
        }
        assert!(parse("admiral").is_ok());

        let policy = StandardUsernamePolicy::new(&UsernameSettings {
            reserved: vec![" Acme ".into()],
            ..Default::default()
        });
        for raw in ["acme", "ACME", "асme", "root"] {
            assert_eq!(
                policy.parse(raw).unwrap_err().key(),
                "username.reserved",
                "{raw}"
            );
        }
    }

    #[test]
    fn signing_in_asks_for_the_form_alone() {
        let policy = StandardUsernamePolicy::default();
        assert_eq!(policy.look_up("Bob").unwrap().key(), "bob");
        assert_eq!(policy.look_up("ADMIN").unwrap().key(), "admin");
        for raw in ["", "a@b.de", "12345", "al\0ice", "a b"] {
            assert!(policy.look_up(raw).is_none(), "{raw:?}");
        }
    }

    #[test]
    fn settings_have_defaults_and_refuse_strangers() {
        let settings: UsernameSettings = toml::from_str("max = 20").unwrap();
        assert_eq!((settings.min, settings.max), (4, 20));
        assert!(toml::from_str::<UsernameSettings>("maximum = 20").is_err());
    }
}
