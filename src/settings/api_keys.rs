//! `[security.api_keys]`.

use serde::{Deserialize, Serialize};

use super::table::{Problem, Table};
use crate::types::NonZeroDuration;

/// `[security.api_keys]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiKeySettings {
    /// Whether accounts may have API keys. _Default:_ `false`.
    pub enabled: bool,
    /// What keys begin with, so that one is known for yours wherever it turns up. Keys with another beginning
    /// are not known any more. _Default:_ `"rs"`.
    pub prefix: String,
    /// How many an account may have. _Default:_ 50.
    pub most: u32,
    /// How long one lives at most; absent, one may live for ever. _Default:_ none.
    pub longest: Option<NonZeroDuration>,
    /// Whether a change of password ends all keys of the account, as a reset by mail always does.
    /// _Default:_ `false`.
    pub end_with_password: bool,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        Self {
            enabled: false,
            prefix: "rs".into(),
            most: 50,
            longest: None,
            end_with_password: false,
        }
    }
}

impl Table for ApiKeySettings {
    const NAME: &'static str = "api_keys";

    fn check(&self) -> Result<(), Problem> {
        let prefix = &self.prefix;
        let fits = (1..=16).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !fits {
            return Err(format!(
                "`prefix` is `{prefix}`; write 1 to 16 small letters and digits, such as \"rs\""
            )
            .into());
        }
        Ok(())
    }
}
