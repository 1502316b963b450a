//! `[security.change_email]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::{NonZeroDuration, span::days};

/// `[security.change_email]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChangeEmailSettings {
    /// Whether people may change their e-mail address. _Default:_ `true`.
    pub enabled: bool,
    /// How long the new address has to prove itself. _Default:_ 2 h.
    pub life: NonZeroDuration,
    /// How long the old address can take it back; 0 for not at all, as where `[security.recover]` is
    /// off. _Default:_ 7 d.
    #[serde(with = "crate::types::span")]
    pub undo: Duration,
}

impl Default for ChangeEmailSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: NonZeroDuration::at_least(Duration::from_hours(2)),
            undo: days(7),
        }
    }
}

impl Table for ChangeEmailSettings {
    const NAME: &'static str = "change_email";
}
