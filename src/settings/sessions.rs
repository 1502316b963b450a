//! `[security.sessions]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.sessions]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionsSettings {
    /// Whether `/sessions` is there. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for SessionsSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for SessionsSettings {
    const NAME: &'static str = "sessions";
}
