//! `[security.login]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.login]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginSettings {
    /// Whether `/login` is there. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for LoginSettings {
    const NAME: &'static str = "login";
}
