//! `[security.tokens]`, and how many sign-ins of one kind an account has.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::NonZeroDuration;

/// `[security.tokens]`: authentication tokens for programs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenSettings {
    /// Whether sign-in gives one to whoever asks with `?include_auth_token`. _Default:_ `true`.
    pub enabled: bool,
    /// How long one lives. _Default:_ 15 min.
    pub life: NonZeroDuration,
    /// How many an account has at once; beyond it the oldest end. _Default:_ 100.
    pub most: NonZeroU32,
    /// Whether one may also come in the query, as `?auth_token=`; it then stands in logs and histories.
    /// _Default:_ `false`.
    pub in_query: bool,
    /// Whether a new password ends all tokens. What came with a refresh token ends with that in either case.
    /// _Default:_ `true`.
    pub end_with_password: bool,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: NonZeroDuration::at_least(Duration::from_mins(15)),
            most: AT_MOST,
            in_query: false,
            end_with_password: true,
        }
    }
}

impl Table for TokenSettings {
    const NAME: &'static str = "tokens";
}

/// How many sign-ins of one kind an account has where nobody says.
pub(crate) const AT_MOST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
