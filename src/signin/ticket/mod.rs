//! Tickets: every step that is mailed or spans requests is a row, used once.
//!
//! The purpose is in the type, so a ticket for one thing cannot be spent on another. The database keeps
//! a hash of the secret; of many uses at once exactly one succeeds. A mailed ticket also carries a code
//! of six digits, for whoever reads the mail on another device: of that the database keeps a tag under
//! our own key, and a ticket takes a few guesses only.

pub(crate) mod challenge;
mod draft;
mod issue;
mod present;
mod row;
mod ticket_id;

pub(crate) use self::{
    draft::{CodeSubject, Draft, draft, insert, insert_beside},
    present::{Presented, Presenter, Refusal, ValidTicket, present},
};
pub use self::{
    issue::{Issued, Spent, end, issue, spend},
    row::{Purpose, TicketOptions},
};
pub(crate) use crate::store::sign_in::Begun;
