//! `[security.emails]`.

use serde::{Deserialize, Serialize};

use super::table::Table;

/// `[security.emails]`: which addresses may have an account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EmailSettings {
    /// Only these domains; with a leading dot, subdomains too. _Default:_ any.
    pub allow_domains: Vec<String>,
    /// Not these domains. _Default:_ none.
    pub deny_domains: Vec<String>,
    /// Accepts addresses with letters beyond ASCII before the `@`, such as `josé@example.com`. Mails to them need
    /// an SMTP server that offers SMTPUTF8 (RFC 6531); `doctor` asks it. Domains beyond ASCII need nothing and
    /// are always accepted. _Default:_ `false`.
    pub international: bool,
}

impl Table for EmailSettings {
    const NAME: &'static str = "emails";
}
