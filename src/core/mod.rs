//! The heart of the site: what a service needs, and how a service changes something.

pub(crate) mod change;
pub(crate) mod context;

pub(crate) use self::context::{Core, OnRegister, Registering, TokenExpiry};
