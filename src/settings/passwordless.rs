//! `[security.passwordless]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::NonZeroDuration;

/// `[security.passwordless]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PasswordlessSettings {
    /// Whether people may sign in by a mailed link or code. _Default:_ `false`.
    pub enabled: bool,
    /// How long link and code are good. _Default:_ 15 min.
    pub life: NonZeroDuration,
    /// Whether they are good only in the browser that asked. Then a link that is opened on another
    /// device, or that somebody else asked for, opens nothing. _Default:_ `false`.
    pub same_browser: bool,
}

impl Default for PasswordlessSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            life: NonZeroDuration::at_least(Duration::from_mins(15)),
            same_browser: false,
        }
    }
}

impl Table for PasswordlessSettings {
    const NAME: &'static str = "passwordless";
}
