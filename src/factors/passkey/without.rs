//! Without the Cargo feature `passkeys`: nothing is done with authenticators.

use url::Url;

use crate::settings::{ConfigError, Settings};

/// The application's choices about passkeys. There are none.
pub(crate) enum GivenPolicy {}

/// What is done with authenticators. There is nothing.
pub(crate) enum Ceremonies {}

impl Ceremonies {
    pub(crate) fn new(
        _: &Settings,
        _: &Url,
        _: Option<GivenPolicy>,
    ) -> Result<Option<Self>, ConfigError> {
        Ok(None)
    }
}
