//! What leaves the house: events for the application, mails for people.

pub(crate) mod context;
pub(crate) mod mail;
pub(crate) mod notices;
pub(crate) mod outbox;
pub(crate) mod sms;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;
pub(crate) mod throttle;
