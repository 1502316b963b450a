//! `[security.dev_mail]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.dev_mail]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DevMailSettings {
    /// Whether `/dev/mail` is there in development. _Default:_ `true`.
    pub enabled: bool,
}

impl Default for DevMailSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Table for DevMailSettings {
    const NAME: &'static str = "dev_mail";
}
