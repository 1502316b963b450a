//! `[security.register]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.register]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RegisterSettings {
    /// Whether people may make accounts themselves. _Default:_ `true`.
    pub enabled: bool,
    /// Whether the password must be typed twice. _Default:_ `true`.
    pub confirm_password: bool,
    /// Whether a username is asked for: `"off"`, `"optional"` or `"required"`. _Default:_ `"off"`.
    pub username: Usernames,
    /// Whether a new account gets a mail of welcome where addresses are not confirmed; where they are,
    /// that mail welcomes. _Default:_ `true`.
    pub welcome_mail: bool,
}

impl Default for RegisterSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            confirm_password: true,
            username: Usernames::Off,
            welcome_mail: true,
        }
    }
}

impl Table for RegisterSettings {
    const NAME: &'static str = "register";
}

/// Whether a username is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Usernames {
    /// No.
    #[default]
    Off,
    /// It may be left empty.
    Optional,
    /// It must be given.
    Required,
}
