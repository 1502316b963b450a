//! Without the Cargo feature `passkeys`: nothing is done with authenticators.

use url::Url;

use crate::{
    settings::{ConfigError, Settings},
    store::{Conn, StoreError},
    types::{Usages, UserId},
};

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

pub(crate) fn signs_in(_: &Settings) -> bool {
    false
}

pub(crate) fn to_verify(_: &Settings) -> Option<Usages> {
    None
}

pub(crate) fn usable(_: &mut Conn, _: &UserId, _: Usages) -> Result<Vec<String>, StoreError> {
    Ok(Vec::new())
}
