//! `[security.recover]`.

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::{NonZeroDuration, span::days};

/// `[security.recover]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecoverSettings {
    /// Whether a forgotten password can be replaced by mail. _Default:_ `true`.
    pub enabled: bool,
    /// How long link and code are good. _Default:_ 1 d.
    pub life: NonZeroDuration,
    /// Whether a new password also signs in. _Default:_ `false`.
    pub sign_in: bool,
}

impl Default for RecoverSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: NonZeroDuration::at_least(days(1)),
            sign_in: false,
        }
    }
}

impl Table for RecoverSettings {
    const NAME: &'static str = "recover";
}
