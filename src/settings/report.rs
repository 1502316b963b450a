//! `[security.report]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.report]`: the look at every mounted route at launch.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReportSettings {
    /// What a route without a guard, or one that writes without a CSRF check, leads to: `"warn"`,
    /// `"error"` (no launch) or `"off"`. _Default:_ `"warn"`.
    pub unguarded: ReportLevel,
    /// Routes that are public on purpose, as mounted: `"/"`, `"/blog/<slug>"`, `"/static/<path..>"`.
    /// _Default:_ none.
    pub public: Vec<String>,
}

impl Table for ReportSettings {
    const NAME: &'static str = "report";
}

/// What a finding at launch leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReportLevel {
    /// A line in the log.
    #[default]
    Warn,
    /// No launch.
    Error,
    /// Nothing.
    Off,
}
