//! What HTTP needs in one place each.
pub(crate) mod address;
pub(crate) mod messages;
pub(crate) mod redirect;
