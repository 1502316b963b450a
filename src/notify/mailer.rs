//! What a mail is, and what carries it: [`Mailer`].

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// A mail, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mail {
    /// What it is, such as `"confirm"`: the name of its template.
    pub kind: String,
    /// Whom it is for.
    pub to: String,
    /// Whom it is from.
    pub from: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// Its subject, one line.
    pub subject: String,
    /// Its text part; empty if mails are of HTML alone.
    pub text: String,
    /// Its HTML part; empty if mails are of text alone.
    pub html: String,
    /// When it was written.
    pub at: Timestamp,
    /// Its `Message-ID` without the angle brackets; the same each time that it is tried.
    pub message_id: String,
}

/// Carries mails. Called outside of requests; what it answers delays nobody.
///
/// ```
/// use rocket_security::{Mail, MailError, Mailer, Security};
/// struct Pigeon;
/// #[async_trait::async_trait]
/// impl Mailer for Pigeon {
///     async fn send(&self, mail: &Mail) -> Result<(), MailError> {
///         if mail.to.ends_with("@sea.example") {
///             return Err(MailError::refused("pigeons do not cross the sea"));
///         }
///         println!("to {}: {}", mail.to, mail.subject);
///         Ok(())
///     }
/// }
/// let security = Security::default().mailer(Pigeon);
/// ```
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail. A mail that could not be sent is given again, with the same `message_id`. It may
    /// take as long as `[security.mail] timeout` says; what lasts longer counts as [`MailError::down`], a
    /// panic as [`MailError::later`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// One sentence on whether mails can be sent, for `doctor`.
    async fn check(&self) -> Result<String, MailError> {
        Ok("the application's own mailer, which has no check".into())
    }
}

/// Why a mail was not sent, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailError {
    /// What is to be done.
    pub failure: MailFailure,
    /// For the log; never a secret.
    pub why: String,
}

/// What is to be done about a mail that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailFailure {
    /// The server cannot be reached: all mails wait, and one asks again soon.
    Down,
    /// This mail was not taken now: it is tried again, at longer and longer intervals.
    Later,
    /// This mail will never be taken.
    Refused,
}

impl MailError {
    /// The server cannot be reached.
    pub fn down(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Down,
            why: why.into(),
        }
    }

    /// Not now.
    pub fn later(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Later,
            why: why.into(),
        }
    }

    /// Never.
    pub fn refused(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Refused,
            why: why.into(),
        }
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for MailError {}
