//! The only source of text: keys here, words in `templates/security/messages/<lang>.toml`.

use std::borrow::Cow;

/// A text for a person, by key, to be put into words in the reader's language when it is shown.
///
/// ```
/// use rocket_security::Message;
/// let message = Message::new("password.too_short").with("min", 8);
/// assert_eq!(message.key(), "password.too_short");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    key: Cow<'static, str>,
    arguments: Vec<(&'static str, String)>,
}

impl Message {
    /// The message stored under `key` (dotted: table, then name).
    pub fn new(key: impl Into<Cow<'static, str>>) -> Self {
        Self {
            key: key.into(),
            arguments: Vec::new(),
        }
    }

    /// Fills the placeholder `{name}`.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.push((name, value.to_string()));
        self
    }

    /// The key: stable, part of the public API, usable by programs.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the placeholders stand for.
    pub fn arguments(&self) -> &[(&'static str, String)] {
        &self.arguments
    }
}
