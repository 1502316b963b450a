//! `[security.totp]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.totp]`: codes of authenticator apps.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TotpSettings {
    /// What apps show as the name of the site. _Default:_ `site_name`.
    pub issuer: Option<String>,
}

impl Table for TotpSettings {
    const NAME: &'static str = "totp";
}
