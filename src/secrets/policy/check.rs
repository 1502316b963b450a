//! What a password must be, and the policy that comes with the library.

use super::super::password::Password;
use super::PolicySettings;
#[cfg(feature = "breach")]
use super::{BreachCheck, breach};
use super::{common, similar};
use crate::types::Message;
use async_trait::async_trait;
use std::fmt;

/// What a policy is asked about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PasswordCheck<'a> {
    /// The password that somebody wants to set.
    pub password: &'a Password,
    /// What an attacker would try first: e-mail address, user name, name of the site.
    pub about: &'a [&'a str],
}

impl<'a> PasswordCheck<'a> {
    /// This password, of somebody whom these words are about.
    pub const fn new(password: &'a Password, about: &'a [&'a str]) -> Self {
        Self { password, about }
    }
}

/// Why a policy came to no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// A service it needs did not answer: 503, with the message `password.check_unavailable`.
    Unavailable,
}

impl PolicyError {
    /// The text for the person who waits.
    pub fn message(&self) -> Message {
        Message::new("password.check_unavailable")
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password could not be checked")
    }
}

impl std::error::Error for PolicyError {}

/// Judges new passwords. The default is [`StandardPolicy`].
///
/// ```
/// use async_trait::async_trait;
/// use rocket_security::{Message, PasswordCheck, PasswordPolicy, PolicyError};
///
/// /// Passwords of four words or more.
/// struct Words;
///
/// #[async_trait]
/// impl PasswordPolicy for Words {
///     async fn check(&self, check: &PasswordCheck<'_>) -> Result<Vec<Message>, PolicyError> {
///         let words = check.password.expose().split_whitespace().count();
///         let complaint = (words < 4).then(|| Message::new("app.more_words").with("min", 4));
///         Ok(complaint.into_iter().collect())
///     }
/// }
/// ```
#[async_trait]
pub trait PasswordPolicy: Send + Sync + 'static {
    /// Says what is wrong with a password; nothing if it is accepted.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Unavailable`] if it cannot tell now.
    async fn check(&self, check: &PasswordCheck<'_>) -> Result<Vec<Message>, PolicyError>;
}

/// The policy that [`PolicySettings`] describe.
///
/// The cheap rules (length, common, similar) complain together; only what passes them is measured
/// for strength, and only what passes that is looked up among breached passwords.
///
/// ```
/// # rocket::async_test(async {
/// use rocket_security::{Password, PasswordCheck, PasswordPolicy, StandardPolicy, config::PolicySettings};
///
/// let policy = StandardPolicy::new(PolicySettings::default()).unwrap();
/// let password = Password::parse("iloveyou").unwrap();
/// let check = PasswordCheck::new(&password, &["ann@example.com"]);
/// let complaints = policy.check(&check).await.unwrap();
/// assert_eq!(complaints[0].key(), "password.common");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct StandardPolicy {
    settings: PolicySettings,
}

impl StandardPolicy {
    /// A policy with these settings.
    ///
    /// # Errors
    ///
    /// The sentence of [`PolicySettings::validate`].
    pub fn new(settings: PolicySettings) -> Result<Self, String> {
        settings.validate()?;
        Ok(Self { settings })
    }

    fn cheap(&self, check: &PasswordCheck<'_>) -> Vec<Message> {
        let settings = &self.settings;
        let password = check.password.expose();
        let length = password.chars().count();
        let mut complaints = Vec::new();
        if length < settings.min_length {
            complaints.push(Message::new("password.too_short").with("min", settings.min_length));
        }
        if length > settings.max_length {
            complaints.push(Message::new("password.too_long").with("max", settings.max_length));
        }
        if settings.common && common::contains(password) {
            complaints.push(Message::new("password.common"));
        }
        if settings.similarity && similar::is_similar(password, check.about) {
            complaints.push(Message::new("password.similar"));
        }
        complaints
    }
}

#[async_trait]
impl PasswordPolicy for StandardPolicy {
    async fn check(&self, check: &PasswordCheck<'_>) -> Result<Vec<Message>, PolicyError> {
        let complaints = self.cheap(check);
        if !complaints.is_empty() {
            return Ok(complaints);
        }
        #[cfg(feature = "strength")]
        if self.settings.strength > 0 && strength(check).await? < self.settings.strength {
            return Ok(vec![Message::new("password.weak")]);
        }
        #[cfg(feature = "breach")]
        if self.settings.breach != BreachCheck::Off {
            return breach::check(&self.settings, check.password).await;
        }
        Ok(complaints)
    }
}

/// zxcvbn's score, 0 to 4, computed apart from the threads that answer requests.
#[cfg(feature = "strength")]
async fn strength(check: &PasswordCheck<'_>) -> Result<u8, PolicyError> {
    use tokio::task;
    use zeroize::Zeroizing;

    /// Its time grows faster than the length, and so much is strong in any case.
    const MEASURED: usize = 100;

    let start: String = check.password.expose().chars().take(MEASURED).collect();
    let start = Zeroizing::new(start);
    let about: Vec<String> = check
        .about
        .iter()
        .map(|text| text.chars().take(MEASURED).collect())
        .collect();
    task::spawn_blocking(move || {
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        u8::from(zxcvbn::zxcvbn(&start, &about).score())
    })
    .await
    .map_err(|error| {
        log::error!("measuring the strength of a password failed: {error}");
        PolicyError::Unavailable
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keys(settings: PolicySettings, raw: &str) -> Vec<String> {
        let password = Password::parse(raw).unwrap();
        let check = PasswordCheck {
            password: &password,
            about: &["ann.arbor@example.com", "annie", "Gardenclub"],
        };
        let complaints = StandardPolicy::new(settings)
            .unwrap()
            .check(&check)
            .await
            .unwrap();
        complaints
            .iter()
            .map(|message| message.key().to_owned())
            .collect()
    }

    #[rocket::async_test]
    async fn the_cheap_rules_complain_together() {
        let keys = async |raw: &str| keys(PolicySettings::default(), raw).await;
        assert_eq!(
            keys("abc123").await,
            ["password.too_short", "password.common"]
        );
        assert_eq!(keys("IloveYou").await, ["password.common"]);
        assert_eq!(keys("Annie's own words").await, ["password.similar"]);
        assert_eq!(keys(&"ab cd ".repeat(30)).await, ["password.too_long"]);
        assert!(keys("quiet river stone").await.is_empty());
    }

    #[rocket::async_test]
    async fn length_is_counted_in_normalised_characters() {
        let keys = async |raw: &str| keys(PolicySettings::default(), raw).await;
        assert!(
            keys(&"\u{fc}\u{f6}\u{e4}\u{df}".repeat(32))
                .await
                .is_empty()
        );
        assert_eq!(
            keys("u\u{308}u\u{308}u\u{308}u\u{308}xy").await,
            ["password.too_short"]
        );
    }

    #[rocket::async_test]
    async fn each_rule_can_be_off() {
        let settings = PolicySettings {
            min_length: 1,
            common: false,
            similarity: false,
            ..PolicySettings::default()
        };
        assert!(keys(settings, "annie").await.is_empty());
    }

    #[cfg(feature = "strength")]
    #[rocket::async_test]
    async fn weak_passwords_are_refused_where_strength_is_asked_for() {
        let strict = || PolicySettings {
            strength: 3,
            max_length: 4096,
            ..PolicySettings::default()
        };
        assert_eq!(keys(strict(), "qwertz98").await, ["password.weak"]);
        assert!(
            keys(strict(), "quiet river stone umbrella")
                .await
                .is_empty()
        );
        // Beyond what is measured: quick, and judged by its start.
        assert_eq!(keys(strict(), &"a".repeat(4000)).await, ["password.weak"]);
    }
}
