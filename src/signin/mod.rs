//! From proof to session: the one gate, and what lies behind it.

pub(crate) mod admit;
pub(crate) mod api_key;
pub(crate) mod factor_setup;
pub(crate) mod limits;
pub(crate) mod noticed;
pub(crate) mod password;
pub(crate) mod remember;
pub(crate) mod second;
pub(crate) mod session;
pub mod ticket;
pub(crate) mod token;
pub(crate) mod trusted;
pub(crate) mod ways_in;

pub use self::admit::{Admitted, NextStep};
