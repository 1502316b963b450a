//! What HTTP needs, each concern in one place.

pub(crate) mod address;
pub(crate) mod catalogue;
pub(crate) mod catchers;
pub(crate) mod client;
pub(crate) mod cookies;
pub(crate) mod csrf;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod headers;
pub(crate) mod input;
pub(crate) mod own_paths;
pub(crate) mod page;
mod params;
pub(crate) mod pattern;
pub(crate) mod redirect;
pub(crate) mod refusal;
pub(crate) mod rendered;
pub(crate) mod reply;
pub(crate) mod stale;
pub(crate) mod views;
