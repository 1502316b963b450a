//! What is wrong with the settings.

use std::fmt;

/// Why the settings do not do: one sentence that names the key and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl ConfigError {
    /// The sentence without users and passwords of addresses, such as `https://***@example.com`.
    pub(crate) fn without_users(self) -> Self {
        let words = self
            .0
            .split_inclusive(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '(' | ')'));
        let told = words.map(|word| {
            let Some((before, after)) = word.rsplit_once('@') else {
                return word.to_string();
            };
            match (before.split_once("://"), before.contains(':')) {
                (Some((scheme, _)), _) => format!("{scheme}://***@{after}"),
                (None, true) => format!("***@{after}"),
                (None, false) => word.to_string(),
            }
        });
        Self(told.collect())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
