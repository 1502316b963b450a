//! `[security.basic]`.

use serde::{Deserialize, Serialize};

use super::table::{Problem, Table};

/// `[security.basic]`: HTTP Basic authentication (RFC 7617).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BasicSettings {
    /// Whether every guard accepts Basic, not only those that ask by `Via<Basic>`. _Default:_ `false`.
    pub everywhere: bool,
    /// The realm that browsers show. _Default:_ `"Login Required"`.
    pub realm: String,
}

impl Default for BasicSettings {
    fn default() -> Self {
        Self {
            everywhere: false,
            realm: "Login Required".into(),
        }
    }
}

impl Table for BasicSettings {
    const NAME: &'static str = "basic";

    fn check(&self) -> Result<(), Problem> {
        if self
            .realm
            .chars()
            .any(|c| c.is_control() || c == '"' || c == '\\' || !c.is_ascii())
        {
            return Err(Problem::at(
                "realm",
                "must be plain text without quotes, such as \"Login Required\"",
            ));
        }
        Ok(())
    }
}
