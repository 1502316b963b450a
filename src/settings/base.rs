//! What every part of the site is built on: its settings, address, keys and clock.

use url::Url;

use super::Settings;
use crate::{
    secrets::Keys,
    types::{Clock, Path, PathTo, SharedClock, Timestamp},
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

    /// Returns a path of ours under the prefix.
    pub(crate) fn path(&self, path: Path) -> String {
        self.under_prefix(path.as_str())
    }

    /// Returns a path of ours under the prefix, with its places filled in.
    pub(crate) fn path_to<V: AsRef<str>, const N: usize>(
        &self,
        path: PathTo,
        values: [V; N],
    ) -> String {
        self.under_prefix(&path.fill(values))
    }

    /// Returns a path of ours as the rest of the world sees it: from `base_url`, never from a request.
    pub(crate) fn absolute(&self, path: Path) -> String {
        self.on_site(&self.path(path))
    }

    /// The same for a path with its places filled in.
    pub(crate) fn absolute_to<V: AsRef<str>, const N: usize>(
        &self,
        path: PathTo,
        values: [V; N],
    ) -> String {
        self.on_site(&self.path_to(path, values))
    }

    fn under_prefix(&self, path: &str) -> String {
        format!("{}{path}", self.settings.url_prefix)
    }

    fn on_site(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.as_str().trim_end_matches('/'))
    }
}
