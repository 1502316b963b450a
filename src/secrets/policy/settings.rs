//! The settings of the password policy.

use std::time::Duration;

use serde::Deserialize;

/// Whether new passwords are looked up among breached ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BreachCheck {
    /// No look-up.
    Off,
    /// A password that could not be looked up is accepted, with a line in the log.
    Lenient,
    /// A password that could not be looked up is not accepted now.
    Strict,
}

/// What a new password must be. Passwords that exist already are not judged.
///
/// ```
/// use rocket_security::config::PolicySettings;
/// let mut settings = PolicySettings::default();
/// settings.min_length = 12;
/// assert!(settings.validate().is_ok());
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PolicySettings {
    /// Whether a new account must have a password. Without one its owner signs in by mail, passkey or
    /// provider, and can set a password later. _Default: true._
    pub required: bool,
    /// Least characters after normalisation (NIST SP 800-63B, section 5.1.1.2: at least 8).
    /// _Default: 8._
    pub min_length: usize,
    /// Most characters after normalisation (the same section: at least 64 must be allowed).
    /// _Default: 128._
    pub max_length: usize,
    /// Refuse passwords that everybody uses, by a list in the crate, in any case of letters.
    /// _Default: true._
    pub common: bool,
    /// Refuse passwords that hold the person's e-mail address or name or that of the site, also
    /// backwards. _Default: true._
    pub similarity: bool,
    /// Least score by zxcvbn, 1 to 4, or 0 to not ask. Needs the feature `strength`. _Default: 0._
    pub strength: u8,
    /// Look passwords up among breached ones: `"off"`, `"lenient"` or `"strict"`. Only the first
    /// five of forty digits of a hash leave the server. Needs the feature `breach`.
    /// _Default: `"off"`._
    pub breach: BreachCheck,
    /// Where to look; the five digits are appended.
    /// _Default: `https://api.pwnedpasswords.com/range/`._
    pub breach_url: String,
    /// How long a look-up may take. _Default: 2 s._
    #[serde(with = "crate::types::span")]
    pub breach_timeout: Duration,
    /// From how many sightings on a password is refused. _Default: 1._
    pub breach_count: u64,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            required: true,
            min_length: 8,
            max_length: 128,
            common: true,
            similarity: true,
            strength: 0,
            breach: BreachCheck::Off,
            breach_url: "https://api.pwnedpasswords.com/range/".to_owned(),
            breach_timeout: Duration::from_secs(2),
            breach_count: 1,
        }
    }
}

impl PolicySettings {
    /// Checks that the settings make sense together and that the features they need are there.
    ///
    /// # Errors
    ///
    /// A sentence that names the key at fault and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if self.min_length == 0 {
            return Err("`min_length` is 0; an empty password is none".to_owned());
        }
        if self.max_length < self.min_length || self.max_length > 4096 {
            return Err(format!(
                "`max_length` is {}; it must lie between `min_length` ({}) and 4096",
                self.max_length, self.min_length
            ));
        }
        if self.strength > 4 {
            return Err(format!(
                "`strength` is {}; it must lie between 0 (off) and 4",
                self.strength
            ));
        }
        if self.strength > 0 && !cfg!(feature = "strength") {
            return Err("`strength` needs the feature `strength` of rocket_security".to_owned());
        }
        if self.breach == BreachCheck::Off {
            return Ok(());
        }
        if !cfg!(feature = "breach") {
            return Err("`breach` needs the feature `breach` of rocket_security".to_owned());
        }
        if !self.breach_url.starts_with("https://") && !self.breach_url.starts_with("http://") {
            return Err("`breach_url` must start with `https://` or `http://`".to_owned());
        }
        if !(1..=30).contains(&self.breach_timeout.as_secs()) {
            return Err("`breach_timeout` must lie between 1 s and 30 s".to_owned());
        }
        if self.breach_count == 0 {
            return Err("`breach_count` is 0; every password was seen that often".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let refusal = |change: fn(&mut PolicySettings)| {
            let mut settings = PolicySettings::default();
            change(&mut settings);
            settings.validate().unwrap_err()
        };
        assert!(PolicySettings::default().validate().is_ok());
        assert!(refusal(|s| s.min_length = 0).contains("`min_length`"));
        assert!(refusal(|s| s.max_length = 7).contains("`max_length`"));
        assert!(refusal(|s| s.strength = 5).contains("`strength`"));
        #[cfg(not(feature = "strength"))]
        assert!(refusal(|s| s.strength = 1).contains("feature `strength`"));
        #[cfg(not(feature = "breach"))]
        assert!(refusal(|s| s.breach = BreachCheck::Strict).contains("feature `breach`"));
    }

    #[test]
    fn the_breach_check_is_a_word() {
        let settings: PolicySettings = toml::from_str("breach = \"lenient\"").unwrap();
        assert_eq!(settings.breach, BreachCheck::Lenient);
        assert!(toml::from_str::<PolicySettings>("breach = \"maybe\"").is_err());
        assert!(toml::from_str::<PolicySettings>("minimum = 8").is_err());
    }
}
