//! `[security.passwords]`, which is defined with what reads it.

use super::table::{Problem, Table};
use crate::secrets::PolicySettings;

impl Table for PolicySettings {
    const NAME: &'static str = "passwords";

    fn check(&self) -> Result<(), Problem> {
        Ok(self.validate()?)
    }
}
