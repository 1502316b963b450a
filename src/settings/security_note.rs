//! `[security.security_note]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.security_note]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityNoteSettings {
    /// Whether `/security-note` is there. _Default:_ `false`.
    pub enabled: bool,
}

impl Table for SecurityNoteSettings {
    const NAME: &'static str = "security_note";
}
