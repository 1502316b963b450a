//! The words of everything above: moments, spans of time, ids, messages, and the ways to prove who one is.
//!
//! This layer imports nothing of the crate.

mod clock;
mod column;
mod factor;
mod ids;
mod message;
mod methods;
mod path;
pub(crate) mod span;
mod time;

pub use self::factor::PasskeyUsage;
pub use self::{
    clock::{Clock, SharedClock, SystemClock},
    factor::FactorKind,
    ids::{RoleId, SessionId, Uniquifier, UserId},
    message::Message,
    methods::{Method, Methods},
    span::NonZeroDuration,
    time::Timestamp,
};
pub(crate) use self::{
    factor::Usages,
    ids::RowId,
    path::{Path, PathTo},
    time::{ProvenAt, SKEW},
};
