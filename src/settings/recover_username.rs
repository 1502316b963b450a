//! `[security.recover_username]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.recover_username]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecoverUsernameSettings {
    /// Whether a forgotten username is mailed, where people sign in by usernames. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for RecoverUsernameSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for RecoverUsernameSettings {
    const NAME: &'static str = "recover_username";
}
