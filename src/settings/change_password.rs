//! `[security.change_password]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.change_password]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChangePasswordSettings {
    /// Whether people may change their password. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for ChangePasswordSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for ChangePasswordSettings {
    const NAME: &'static str = "change_password";
}
