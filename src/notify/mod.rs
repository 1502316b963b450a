//! What leaves the house: mails and text messages for people.

pub(crate) mod context;
pub(crate) mod delivery;
pub(crate) mod mail;
pub(crate) mod mailbox;
pub(crate) mod mailer;
pub(crate) mod notices;
pub(crate) mod outbox;
pub(crate) mod sms;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;
pub(crate) mod throttle;
pub(crate) mod transport;
