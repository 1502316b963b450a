//! From a handler to an answer: forms and what they bring, pages, replies, and who answers when nobody else does.

pub(crate) mod catchers;
pub(crate) mod feature;
pub(crate) mod fields;
pub(crate) mod finish;
pub(crate) mod form;
pub(crate) mod hooks;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod own_paths;
pub(crate) mod page;
pub(crate) mod refuse;
pub(crate) mod reply;
pub(crate) mod response;
pub(crate) mod security;
pub(crate) mod site;
pub(crate) mod stale;
