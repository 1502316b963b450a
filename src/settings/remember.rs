//! `[security.remember]`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{table::Table, tokens::AT_MOST};
use crate::types::{NonZeroDuration, span::days};

/// `[security.remember]`: browsers that stay signed in beyond a session.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RememberSettings {
    /// Whether people may ask for it. _Default:_ `true`.
    pub enabled: bool,
    /// Whether it is so where nobody says. _Default:_ `false`.
    pub by_default: bool,
    /// How long a device is remembered. _Default:_ 30 d.
    pub life: NonZeroDuration,
    /// How many devices of an account are remembered; beyond it the oldest is forgotten. _Default:_ 100.
    pub most: NonZeroU32,
    /// How long the token before the present one is taken from requests sent at the same moment.
    /// _Default:_ 10 s.
    #[serde(with = "crate::types::span")]
    pub grace: Duration,
}

impl Default for RememberSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            by_default: false,
            life: NonZeroDuration::at_least(days(30)),
            most: AT_MOST,
            grace: Duration::from_secs(10),
        }
    }
}

impl Table for RememberSettings {
    const NAME: &'static str = "remember";
}
