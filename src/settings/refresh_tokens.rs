//! `[security.refresh_tokens]`.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    table::{Problem, Table},
    values::count,
};
use crate::types::{
    NonZeroDuration,
    span::{self, days},
};

/// `[security.refresh_tokens]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RefreshTokenSettings {
    /// Whether whoever asks for an authentication token gets a refresh token too. _Default:_ `false`.
    pub enabled: bool,
    /// Where it stands: `"cookie"`, which scripts cannot read, or `"body"`, as `refresh_token` in JSON.
    /// _Default:_ `"cookie"`.
    pub mode: RefreshMode,
    /// How long one may rest unused. _Default:_ 7 d.
    pub idle: NonZeroDuration,
    /// How long one sign-in lasts at most, however often it is used. _Default:_ 90 d.
    pub absolute: NonZeroDuration,
    /// How long the token before the present one is taken from requests sent at the same moment.
    /// At most 5 min. _Default:_ 10 s.
    #[serde(with = "crate::types::span")]
    pub grace: Duration,
    /// How many sign-ins of an account may have one; beyond it the oldest ends. _Default:_ 100.
    pub most: NonZeroU32,
}

impl Default for RefreshTokenSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            mode: RefreshMode::Cookie,
            idle: NonZeroDuration::at_least(days(7)),
            absolute: NonZeroDuration::at_least(days(90)),
            grace: Duration::from_secs(10),
            most: count(100),
        }
    }
}

impl Table for RefreshTokenSettings {
    const NAME: &'static str = "refresh_tokens";

    fn check(&self) -> Result<(), Problem> {
        if self.idle > self.absolute {
            return Err(Problem::at(
                "idle",
                format!(
                    "({}) is longer than `security.refresh_tokens.absolute` ({}); make it the shorter one",
                    self.idle, self.absolute
                ),
            ));
        }
        if self.grace > LONGEST_GRACE {
            return Err(format!(
                "`grace` is {}, and so long a copy would go unseen; write \"5 min\" or less",
                span::text(self.grace)
            )
            .into());
        }
        Ok(())
    }
}

/// Longer than any request is under way.
const LONGEST_GRACE: Duration = Duration::from_mins(5);

/// Where a refresh token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RefreshMode {
    /// In a cookie that goes to `/refresh-token` alone.
    Cookie,
    /// In the JSON of requests and answers.
    Body,
}
