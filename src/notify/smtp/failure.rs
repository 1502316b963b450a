//! What a refusal means for a mail.

use std::error::Error as _;

use lettre::transport::smtp::Error;

use crate::{
    notify::mailer::{MailError, MailFailure},
    store::cut,
};

/// Where in the conversation something went wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Up to the second EHLO.
    Connect,
    Auth,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA and what follows.
    Message,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Self::Connect => "the connection",
            Self::Auth => "the user name and password",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Message => "the mail",
        }
    }
}

/// A failed step as an error. A server that has seen the message or the password may quote it, so its words
/// are left out there.
pub(super) fn failure(server: &str, step: Step, error: &Error) -> MailError {
    let Some(code) = error.status().map(u16::from) else {
        // What a parser says quotes what it read.
        let why = match error.is_response() {
            true => "it broke off, or what it answered is no SMTP".into(),
            false => error.to_string(),
        };
        return MailError::down(format!("{server} failed at {}: {why}", step.what()));
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let enhanced = enhanced(&said);
    let words = match step {
        Step::Auth | Step::Message => enhanced.unwrap_or_default().to_string(),
        Step::Connect | Step::Sender | Step::Recipient => cut(&said, 200),
    };
    MailError {
        failure: classify(step, code, enhanced),
        why: format!("{server} refused {}: {code} {words}", step.what())
            .trim_end()
            .into(),
    }
}

/// What a refusal means; see the table in [`super`].
fn classify(step: Step, code: u16, enhanced: Option<&str>) -> MailFailure {
    let about_us = enhanced.is_some_and(|code| {
        let (_, rest) = code.split_once('.').unwrap_or_default();
        matches!(rest, "1.7" | "1.8") || rest.starts_with("7.")
    });
    match (step, code) {
        (Step::Connect | Step::Auth, _) | (_, 421 | 530 | 534 | 535 | 538) => MailFailure::Down,
        (Step::Sender, _) | (_, ..500) => MailFailure::Later,
        (Step::Recipient, _) if about_us => MailFailure::Later,
        (Step::Recipient | Step::Message, _) => MailFailure::Refused,
    }
}

/// The enhanced status code (RFC 3463) that an answer begins with.
fn enhanced(said: &str) -> Option<&str> {
    let first = said.split(' ').next()?;
    let parts = first.split('.');
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (parts.clone().count() == 3 && parts.into_iter().all(number)).then_some(first)
}
