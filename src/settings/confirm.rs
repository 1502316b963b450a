//! `[security.confirm]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::{NonZeroDuration, span::days};

/// `[security.confirm]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConfirmSettings {
    /// Whether addresses are to be confirmed. _Default:_ `true`.
    pub enabled: bool,
    /// How long a new account may be used before. With `0` it cannot be used before at all, and then not
    /// even whoever registers with somebody's address learns whether it had an account. _Default:_ 1 d.
    #[serde(with = "crate::types::span")]
    pub grace: Duration,
    /// How long link and code are good. _Default:_ 2 d.
    pub life: NonZeroDuration,
    /// Whether confirming also signs in. _Default:_ `false`.
    pub sign_in: bool,
}

impl Default for ConfirmSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            grace: days(1),
            life: NonZeroDuration::at_least(days(2)),
            sign_in: false,
        }
    }
}

impl Table for ConfirmSettings {
    const NAME: &'static str = "confirm";
}
