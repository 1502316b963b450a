//! What every part of the site is built on: its settings, address, keys and clock.

use url::Url;

use super::Settings;
use crate::{
    secrets::Keys,
    types::{Clock, SharedClock, Timestamp},
};

/// The site as its settings describe it. Each part of the site holds it and reads as it.
pub(crate) struct Base {
    pub(crate) settings: Settings,
    pub(crate) base_url: Url,
    pub(crate) keys: Keys,
    pub(crate) clock: SharedClock,
}

impl Base {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One of our own paths, under the prefix: `path("/login")`.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.settings.url_prefix)
    }

    /// The path as the rest of the world sees it, from `base_url` and never from a request.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let base = self.base_url.as_str().trim_end_matches('/');
        format!("{base}{}", self.path(path))
    }
}
