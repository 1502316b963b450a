//! Mails by SMTP: `lettre` makes the message and speaks the protocol.
//!
//! The conversation is led step by step, because what a refusal means depends on the step that it answers:
//!
//! | step                                | answer                              | [`MailFailure`](super::mailer::MailFailure) |
//! |-------------------------------------|-------------------------------------|-----------------|
//! | any                                 | none in time, broken off, 421       | `Down`          |
//! | any                                 | 530, 534, 535, 538 (RFC 4954)       | `Down`          |
//! | connect, greeting, TLS, EHLO, AUTH  | any other refusal                   | `Down`          |
//! | MAIL FROM                           | any other refusal                   | `Later`         |
//! | RCPT TO                             | 4xx                                 | `Later`         |
//! | RCPT TO                             | 5xx about us: x.1.7, x.1.8, x.7.x   | `Later`         |
//! | RCPT TO                             | any other 5xx                       | `Refused`       |
//! | DATA and the message                | 4xx                                 | `Later`         |
//! | DATA and the message                | 5xx                                 | `Refused`       |
//!
//! Many servers say what they have against a sender at RCPT TO only, so there the enhanced code (RFC 3463)
//! decides: a bad sender or a policy says nothing against the recipient. A server that sends no enhanced
//! codes cannot be told apart, and its 5xx counts against the recipient.
//!
//! What is not promised: that a mail arrives once. Where a connection breaks after the message and before the
//! answer, nobody knows whether the server took it; it is sent again with the same `Message-ID`.

mod connection;
mod failure;
mod lines;
mod mailer;
mod message;
#[cfg(test)]
#[path = "../../../tests/it/smtp_server.rs"]
mod smtp_server;
#[cfg(test)]
mod testing;

pub(crate) use self::{mailer::Smtp, message::message};
