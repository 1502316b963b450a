//! `[security.verify]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.verify]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VerifySettings {
    /// Whether `/verify` is there. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for VerifySettings {
    const NAME: &'static str = "verify";
}
