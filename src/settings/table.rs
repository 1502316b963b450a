//! What every table has: a name, and a check of its own.

use super::ConfigError;

/// A table of `[security]`.
pub(super) trait Table {
    /// Its name below `[security]`.
    const NAME: &'static str;

    /// Checks the table by itself. What it has to do with other tables is checked in `contradictions`.
    fn check(&self) -> Result<(), Problem> {
        Ok(())
    }
}

/// What is wrong with a table.
#[derive(Debug)]
pub(super) struct Problem {
    key: Option<&'static str>,
    text: String,
}

impl Problem {
    /// A problem with one key; its name begins the sentence and `text` goes on.
    pub(super) fn at(key: &'static str, text: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            text: text.into(),
        }
    }

    fn in_table(self, table: &str) -> ConfigError {
        ConfigError(match self.key {
            Some(key) => format!("`security.{table}.{key}` {}", self.text),
            None => format!("`security.{table}`: {}", self.text),
        })
    }
}

/// A sentence that follows the name of the table.
impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { key: None, text }
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        String::from(text).into()
    }
}

/// Checks one table by itself.
pub(super) fn check<T: Table>(table: &T) -> Result<(), ConfigError> {
    table.check().map_err(|problem| problem.in_table(T::NAME))
}
