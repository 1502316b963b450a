//! What HTTP needs in one place each.
pub(crate) mod messages;
