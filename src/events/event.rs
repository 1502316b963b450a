//! An event, and who did it.

use serde::Serialize;

use super::kind::EventKind;
use crate::types::{Timestamp, UserId};

/// Something that happened: when, who did it, to which account, from where, and what it was.
///
/// As JSON it is one flat object: `at`, `actor`, `client`, `event` (the name of the kind), and the fields of the kind.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The account that it is about, if it is about one: [`EventKind::user`].
    #[serde(skip)]
    pub user: Option<UserId>,
    /// Where the request came from; `None` for commands, jobs and the application's own code outside of requests.
    pub client: Option<Client>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "user", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// A visitor who has not proven to be anybody: a failed sign-in, a request for a mail.
    Visitor,
    /// The owner of the account: signed in, or by a mailed link or code, or by signing in.
    User(UserId),
    /// Another account, which was signed in when the application's code made the change in a request.
    Administrator(UserId),
    /// The command line.
    CommandLine,
    /// The application's own code, with no account signed in.
    Application,
    /// The library itself, in a job of its own.
    System,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Client {
    /// The client's address.
    pub address: String,
    /// The client's `User-Agent`, cut to 255 characters.
    pub agent: String,
}
