//! What leaves the house: events for the application, mails for people.

pub(crate) mod events;
pub(crate) mod mail;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;
