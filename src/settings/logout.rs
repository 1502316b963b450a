//! `[security.logout]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.logout]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogoutSettings {
    /// Whether `/logout` is there. _Default:_ `true`.
    pub enabled: bool,
    /// Whether signing out wants a CSRF token; without one a page asks. _Default:_ `true`.
    pub csrf: bool,
}

impl Default for LogoutSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            csrf: true,
        }
    }
}

impl Table for LogoutSettings {
    const NAME: &'static str = "logout";
}
