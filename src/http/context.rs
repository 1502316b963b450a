//! What the files of this folder need of the site.

use std::{fmt, sync::Arc};

use url::Url;

use super::cookies::CookieNames;
use crate::{
    secrets::Keys,
    settings::{RedirectRules, Settings},
    templates::views::Views,
    types::{Clock, SharedClock, Timestamp},
};

/// The part of the site that requests and answers need.
pub(crate) struct HttpContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) base_url: Url,
    pub(crate) clock: SharedClock,
    pub(crate) keys: Arc<Keys>,
    pub(crate) cookies: CookieNames,
    pub(crate) redirects: RedirectRules,
    pub(crate) views: Arc<Views>,
    /// Origins of providers, to which forms of our pages may lead.
    pub(crate) provider_origins: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl fmt::Debug for HttpContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpContext")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl HttpContext {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One of our own paths, under the prefix.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.settings.url_prefix)
    }
}
