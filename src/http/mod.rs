//! What HTTP needs, each concern in one place.

pub(crate) mod address;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod context;
pub(crate) mod cookies;
pub(crate) mod csrf;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod language;
mod params;
pub(crate) mod pattern;
pub(crate) mod refusal;
pub(crate) mod status;
