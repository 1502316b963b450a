//! `[security.database]`.

use std::time::Duration;

use serde::Deserialize;

use super::table::{Problem, Table};
use crate::{secrets::Secret, types::NonZeroDuration};

/// `[security.database]`: where everything is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseSettings {
    /// A file for SQLite, or `postgres://..`, or `mysql://..` and `mariadb://..`. An empty one and any other scheme
    /// stop the launch. _Default:_ `"data/security.db"`.
    pub url: Secret<String>,
    /// Connections kept. _Default:_ twice the cores, at least 4.
    pub connections: Option<u32>,
    /// How long a request waits for a connection before it gets 503. _Default:_ 5 s.
    pub patience: NonZeroDuration,
    /// Whether pending migrations are applied at launch; otherwise by `migrate`. _Default:_ `true`.
    pub migrate: bool,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("data/security.db".into()),
            connections: None,
            patience: NonZeroDuration::at_least(Duration::from_secs(5)),
            migrate: true,
        }
    }
}

impl Table for DatabaseSettings {
    const NAME: &'static str = "database";

    fn check(&self) -> Result<(), Problem> {
        if self.connections == Some(0) {
            return Err(Problem::at(
                "connections",
                "is 0; write 1 or more, or leave it out",
            ));
        }
        Ok(())
    }
}
