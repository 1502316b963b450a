//! Templates and texts: the engine, the built-in pages and mails, and the catalogue of messages.

pub(crate) mod catalogue;
pub(crate) mod form;
pub(crate) mod rendered;
mod template;
pub(crate) mod views;

pub(crate) use self::template::{MailTemplate, Template, mail, template};
