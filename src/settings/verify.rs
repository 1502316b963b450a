//! `[security.verify]`.

use serde::{Deserialize, Serialize};

/// `[security.verify]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifySettings {
    /// Whether `/verify` is there. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}
