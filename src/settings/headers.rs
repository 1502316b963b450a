//! `[security.headers]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.headers]`: what our own pages tell browsers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderSettings {
    /// The Content-Security-Policy of our pages. _Default:_ nothing but this site, no script or style
    /// in the page, no frames around it.
    pub content_security_policy: String,
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            content_security_policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                      font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; \
                                      base-uri 'none'; frame-ancestors 'none'"
                .into(),
        }
    }
}

impl Table for HeaderSettings {
    const NAME: &'static str = "headers";
}
