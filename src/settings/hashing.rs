//! `[security.hashing]`, which is defined with what reads it.

use super::table::{Problem, Table};
use crate::secrets::HashingSettings;

impl Table for HashingSettings {
    const NAME: &'static str = "hashing";

    fn check(&self) -> Result<(), Problem> {
        Ok(self.validate()?)
    }
}
