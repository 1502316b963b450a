//! Without the Cargo feature `social`: there are no providers.

use crate::settings::{ConfigError, Settings};

/// What the application gives beside the settings: nothing.
#[derive(Default)]
pub(crate) struct Given;

/// No providers.
pub(crate) struct Providers;

impl Providers {
    pub(crate) fn new(_: &mut Settings, _: Given) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn issuers(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    pub(crate) fn to_verify(&self) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn label(&self, _: &str) -> Option<String> {
        None
    }

    pub(crate) fn origins(&self) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn prepare(&self) {}
}
