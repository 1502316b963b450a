//! `[security.unlock]`.

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::{NonZeroDuration, span::days};

/// `[security.unlock]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UnlockSettings {
    /// Whether the owner of a locked account gets a link that opens it. _Default:_ `true`.
    pub enabled: bool,
    /// How long the link is good. _Default:_ 1 d.
    pub life: NonZeroDuration,
}

impl Default for UnlockSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: NonZeroDuration::at_least(days(1)),
        }
    }
}

impl Table for UnlockSettings {
    const NAME: &'static str = "unlock";
}
