//! `[security.usernames]`, which is defined with what reads it.

use super::table::{Problem, Table};
use crate::identity::UsernameSettings;

impl Table for UsernameSettings {
    const NAME: &'static str = "usernames";

    fn check(&self) -> Result<(), Problem> {
        if self.min > self.max {
            return Err(Problem::at(
                "min",
                format!(
                    "({}) is more than `security.usernames.max` ({})",
                    self.min, self.max
                ),
            ));
        }
        Ok(())
    }
}
