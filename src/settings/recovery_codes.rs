//! `[security.recovery_codes]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::{Problem, Table};
use crate::types::span::days;

/// `[security.recovery_codes]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecoveryCodesSettings {
    /// Whether there are any, where there is a second factor. _Default:_ `true`.
    pub enabled: bool,
    /// How many are made at once, at most 50. _Default:_ 10.
    pub count: u32,
    /// How long they can be used. _Default:_ none, until new ones are made.
    #[serde(with = "crate::types::span::optional")]
    pub life: Option<Duration>,
}

impl Default for RecoveryCodesSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            count: 10,
            life: None,
        }
    }
}

impl Table for RecoveryCodesSettings {
    const NAME: &'static str = "recovery_codes";

    fn check(&self) -> Result<(), Problem> {
        if self.life.is_some_and(|life| life < days(1)) {
            return Err("`life` is shorter than a day, and such codes wait for a bad day; write at least \"1 d\", or leave it out".into());
        }
        if !(1..=50).contains(&self.count) {
            return Err(format!("`count` is {}; write a number from 1 to 50", self.count).into());
        }
        Ok(())
    }
}
