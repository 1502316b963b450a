//! `[security.passkeys]`.

use std::{num::NonZeroU32, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::{
    ConfigError, Settings,
    table::{Problem, Table},
    values::count,
};
use crate::types::{NonZeroDuration, PasskeyUsage, Usages};

/// `[security.passkeys]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PasskeySettings {
    /// Whether accounts may have passkeys. _Default:_ `true`.
    pub enabled: bool,
    /// The name that passkeys are made for: the host of `base_url` or a domain above it. Another name later
    /// makes every passkey useless. _Default:_ the host of `base_url`.
    pub rp_id: Option<String>,
    /// Further sites, such as `"https://example.net"`, on which the same passkeys work; told to browsers at
    /// `/.well-known/webauthn`. Also Android applications, as `"android:apk-key-hash:"` and the SHA-256 of the
    /// certificate that signs the application, in base64url. _Default:_ none.
    pub origins: Vec<String>,
    /// Whether people may make an account that has a passkey and no password. _Default:_ `false`.
    pub sign_up: bool,
    /// Whether a passkey that has checked its owner, by PIN or finger, counts as two factors.
    /// _Default:_ `true`.
    pub multi_factor: bool,
    /// Whether browsers are told which passkeys somebody has who typed who they are. Needed only by keys
    /// that cannot find themselves; somebody unknown is told of keys that are not there. _Default:_ `false`.
    pub hints: bool,
    /// Whether the field for the address offers passkeys as well. _Default:_ `true`.
    pub autofill: bool,
    /// Whether a passkey signs in without anything else. Off, keys are second factors alone, and those that were
    /// made to sign in open nothing. _Default:_ `true`.
    pub first_factor: bool,
    /// Which passkeys can prove it again at `/wan-verify`: `true` for all of them, `false` for none, or a list of
    /// what they are for, such as `["secondary"]`. _Default:_ `true`.
    pub verify: PasskeyVerify,
    /// How long somebody may take to show a passkey. _Default:_ 5 min.
    pub challenge: NonZeroDuration,
    /// How long somebody may take to make one. _Default:_ 5 min.
    pub register_challenge: NonZeroDuration,
    /// Challenges of visitors that may be open at once; beyond that the oldest end. _Default:_ 10 000.
    pub challenges: NonZeroU32,
    /// How long the mailed link of a sign-up is good. _Default:_ 1 h.
    pub sign_up_life: NonZeroDuration,
}

/// Which passkeys can prove it again, by what they are for. A passkey for both uses counts for either.
///
/// ```
/// use rocket_security::{PasskeyUsage, config::PasskeyVerify};
/// let keys_alone = PasskeyVerify::of(&[PasskeyUsage::Secondary]);
/// assert!(keys_alone.takes(PasskeyUsage::Both) && !keys_alone.takes(PasskeyUsage::First));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyVerify(Option<Usages>);

impl PasskeyVerify {
    /// Every passkey of the account.
    pub const ANY: Self = Self(Some(Usages::BOTH));
    /// No passkey.
    pub const NONE: Self = Self(None);

    /// The passkeys that are for one of these uses.
    pub fn of(usages: &[PasskeyUsage]) -> Self {
        let usages = usages.iter().map(|usage| usage.usages());
        Self(usages.reduce(Usages::union))
    }

    /// Returns whether a passkey for this use can prove it again.
    pub fn takes(self, usage: PasskeyUsage) -> bool {
        self.0.is_some_and(|taken| taken.overlaps(usage.usages()))
    }

    /// What a passkey must be for; `None` if none is taken.
    pub(crate) const fn usages(self) -> Option<Usages> {
        self.0
    }
}

impl<'de> Deserialize<'de> for PasskeyVerify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "write true, false, or a list of `first` and `secondary`"
        )]
        enum Written {
            All(bool),
            Some(Vec<PasskeyUsage>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::All(true) => Self::ANY,
            Written::All(false) => Self::NONE,
            Written::Some(usages) => Self::of(&usages),
        })
    }
}

impl Serialize for PasskeyVerify {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let usages = [PasskeyUsage::First, PasskeyUsage::Secondary];
        let taken = usages.into_iter().filter(|usage| self.takes(*usage));
        serializer.collect_seq(taken)
    }
}

impl Default for PasskeySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            rp_id: None,
            origins: Vec::new(),
            sign_up: false,
            multi_factor: true,
            hints: false,
            autofill: true,
            first_factor: true,
            verify: PasskeyVerify::ANY,
            challenge: NonZeroDuration::at_least(Duration::from_mins(5)),
            register_challenge: NonZeroDuration::at_least(Duration::from_mins(5)),
            challenges: count(10_000),
            sign_up_life: NonZeroDuration::at_least(Duration::from_hours(1)),
        }
    }
}

impl Table for PasskeySettings {
    const NAME: &'static str = "passkeys";

    fn check(&self) -> Result<(), Problem> {
        for (key, life) in [
            ("challenge", self.challenge),
            ("register_challenge", self.register_challenge),
        ] {
            if life.get().as_secs() > 3_600 {
                return Err(format!(
                    "`{key}` is {} s, longer than anybody waits; write at most \"1 h\"",
                    life.get().as_secs()
                )
                .into());
            }
        }
        if self.sign_up && !self.first_factor {
            return Err("`sign_up` makes accounts that have nothing but a passkey, which `first_factor = false` does not take; turn one of the two round".into());
        }
        Ok(())
    }
}

impl PasskeySettings {
    /// The further origins, each with https, at this machine, or of an Android application.
    pub(crate) fn parsed_origins(&self) -> Result<Vec<Url>, ConfigError> {
        self.origins
            .iter()
            .map(|origin| {
                let wrong = || {
                    ConfigError(format!(
                        "`security.passkeys.origins` has `{origin}`, which is no https origin of a site and no Android application; write for example \"https://example.net\" or \"android:apk-key-hash:\" and the SHA-256 of its certificate in base64url"
                    ))
                };
                let url = Url::parse(origin).map_err(|_| wrong())?;
                if let Some(hash) = origin.strip_prefix("android:apk-key-hash:") {
                    let is_hash = BASE64URL_NOPAD
                        .decode(hash.as_bytes())
                        .is_ok_and(|hash| hash.len() == 32);
                    return is_hash.then_some(url).ok_or_else(wrong);
                }
                let local = url.host_str() == Some("localhost");
                let scheme = url.scheme() == "https" || url.scheme() == "http" && local;
                let bare = url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none();
                match scheme && bare && url.domain().is_some() {
                    true => Ok(url),
                    false => Err(wrong()),
                }
            })
            .collect()
    }
}

impl Settings {
    /// Whether passkeys can be there: they want a name, and no address.
    pub(crate) fn passkeys_are_on(&self) -> bool {
        let base = self.base_url.as_deref().map(Url::parse);
        let named = base.is_none_or(|url| url.is_ok_and(|url| url.domain().is_some()));
        self.passkeys.enabled && named
    }
}
