//! `[security.spa]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.spa]`: for an application that draws its own pages in the browser.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpaSettings {
    /// Whether redirects lead to the application's views with the outcome in the query: `success`,
    /// `email` and `identity`, or `error` alone. _Default:_ `false`.
    pub enabled: bool,
    /// The view to which somebody is sent who must sign in or prove it again. _Default:_ `"/login"`.
    pub login_view: String,
    /// The view to which mailed links lead, with `purpose` and `token` (or `error`) in the query; it posts
    /// the token back to the link's own path. _Default:_ `"/link"`.
    pub link_view: String,
}

impl Default for SpaSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            login_view: "/login".into(),
            link_view: "/link".into(),
        }
    }
}

impl Table for SpaSettings {
    const NAME: &'static str = "spa";
}
