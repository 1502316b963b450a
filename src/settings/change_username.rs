//! `[security.change_username]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.change_username]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChangeUsernameSettings {
    /// Whether people may choose another username, where they sign in by usernames. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for ChangeUsernameSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for ChangeUsernameSettings {
    const NAME: &'static str = "change_username";
}
