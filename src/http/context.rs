//! What the files of this folder need of the site.

use std::{fmt, ops::Deref, sync::Arc};

use super::cookies::CookieNames;
use crate::{
    settings::{Base, RedirectRules},
    templates::views::Views,
};

/// The part of the site that requests and answers need.
pub(crate) struct HttpContext {
    pub(crate) base: Arc<Base>,
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

impl Deref for HttpContext {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}
