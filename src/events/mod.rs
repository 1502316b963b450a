//! Everything that happens, for the application's own log, metrics or alerts.
//!
//! Each subscriber has a queue and a task of its own: a slow one delays nobody, a panicking one loses
//! one event. An event never carries a secret: no password, token, code or hash.

mod event;
mod kind;
mod queue;

pub(crate) use self::queue::{Events, Subscriber};
pub use self::{
    event::{Actor, Client, Event},
    kind::EventKind,
};
