//! Why no password was hashed.

use std::fmt;

/// Why a password was neither hashed nor verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashError {
    /// Too many wait already, or the wait took too long: answer 503 with Retry-After.
    Overloaded,
    /// No memory, no randomness or a panic; the log says which. Answer 500.
    Failed,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overloaded => "too many passwords wait to be hashed",
            Self::Failed => "a password could not be hashed",
        })
    }
}

impl std::error::Error for HashError {}
