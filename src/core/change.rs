//! A change: one transaction with its mails and its events.
//!
//! [`Core::change`] is the only way to change an account. The mails are rows of the outbox, written in the same
//! transaction. The events go out after the commit, once, however often the database made the transaction run.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crate::{
    core::{Core, Registering},
    events::{Actor, Client, EventKind},
    http::client::ClientInfo,
    notify::{
        context::NotifyContext,
        mail::MailComposer,
        outbox::{self, OutgoingMail, Queued},
    },
    store::{Conn, StoreError},
    types::{Timestamp, UserId},
};

/// The language of mails that no request asks for.
const FIRST_LANGUAGE: &str = "en";

/// Who makes a change, and from where.
#[derive(Clone, Debug)]
pub(crate) struct By {
    door: Door,
    client: Option<Client>,
    language: String,
}

/// What a change comes through.
#[derive(Clone, Debug)]
enum Door {
    /// A route of ours: the actor is the account that the change is about.
    Route,
    /// The application's code, with the account that is signed in in its request.
    Application { signed_in: Option<UserId> },
    /// A command.
    CommandLine,
}

impl By {
    /// A request to a route of ours.
    pub(crate) fn route(client: &ClientInfo) -> Self {
        Self {
            door: Door::Route,
            client: Some(client.client.clone()),
            language: client.language.clone(),
        }
    }

    /// The application's code in a request, in which `signed_in` may be signed in.
    pub(crate) fn handler(client: &ClientInfo, signed_in: Option<UserId>) -> Self {
        Self {
            door: Door::Application { signed_in },
            ..Self::route(client)
        }
    }

    /// The application's code outside of requests.
    pub(crate) fn application() -> Self {
        Self {
            door: Door::Application { signed_in: None },
            client: None,
            language: FIRST_LANGUAGE.into(),
        }
    }

    /// A command.
    #[allow(dead_code, reason = "commands are a feature of Cargo")]
    pub(crate) fn command_line() -> Self {
        Self {
            door: Door::CommandLine,
            ..Self::application()
        }
    }

    fn actor(&self, kind: &EventKind) -> Actor {
        match &self.door {
            Door::Route => actor_of_route(kind),
            Door::CommandLine => Actor::CommandLine,
            Door::Application { signed_in } => match signed_in {
                None => Actor::Application,
                Some(own) if kind.user() == Some(own) => Actor::User(own.clone()),
                Some(other) => Actor::Administrator(other.clone()),
            },
        }
    }

    /// Composes mails on behalf of the actor.
    pub(crate) fn composer<'a>(&'a self, notify: &'a NotifyContext) -> MailComposer<'a> {
        MailComposer {
            context: notify,
            client: self.client.as_ref(),
            language: &self.language,
        }
    }
}

fn actor_of_route(kind: &EventKind) -> Actor {
    match kind.user().filter(|_| !kind.is_by_visitor()) {
        Some(user) => Actor::User(user.clone()),
        None => Actor::Visitor,
    }
}

/// What came of a change beside its rows; it goes out after the commit.
#[derive(Default)]
struct Made {
    mails: Vec<Queued>,
    events: Vec<EventKind>,
}

/// A transaction that changes accounts, with the mails and events that belong to it.
///
/// It is a [`Conn`], so the application's own queries run in the same transaction: `.execute(change.conn())`. If the
/// closure returns an error, nothing is written, no mail is sent and no event is emitted.
///
/// The closure may run more than once, when the database asks for that (deadlock, serialization, busy).
pub struct Change<'c> {
    conn: &'c mut Conn,
    notify: &'c NotifyContext,
    on_register: &'c Registering,
    now: Timestamp,
    made: Made,
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Deref for Change<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn
    }
}

impl<'c> Change<'c> {
    /// Runs `work` on a connection, in whatever transaction it is.
    fn run<T>(
        conn: &'c mut Conn,
        (notify, on_register): (&'c NotifyContext, &'c Registering),
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(T, Made), StoreError> {
        let mut change = Self {
            conn,
            notify,
            on_register,
            now: notify.now(),
            made: Made::default(),
        };
        let value = work(&mut change)?;
        Ok((value, change.made))
    }

    /// Returns the connection, for queries of the application in this transaction.
    pub fn conn(&mut self) -> &mut Conn {
        self.conn
    }

    /// Returns the moment of the change.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Queues a mail; false if its recipient got one of its kind a moment ago, and this one is held back.
    pub(crate) fn mail(&mut self, outgoing: &OutgoingMail) -> Result<bool, StoreError> {
        let queued = outbox::enqueue(self.conn, outgoing)?;
        let is_queued = queued.is_queued();
        self.made.mails.push(queued);
        Ok(is_queued)
    }

    /// Emits an event after the commit.
    pub(crate) fn event(&mut self, kind: EventKind) {
        self.made.events.push(kind);
    }

    pub(crate) fn notify(&self) -> &NotifyContext {
        self.notify
    }

    /// The application's part in making an account.
    pub(crate) fn on_register(&self) -> Registering {
        self.on_register.clone()
    }
}

/// What [`Accounts::change_in`](crate::Accounts::change_in) came to. Its mails are queued with the transaction that it is part of; its events wait.
#[must_use = "call `committed` after the commit, so that events go out"]
pub struct Changed<T> {
    value: T,
    made: Made,
    by: By,
    core: Arc<Core>,
}

impl<T> fmt::Debug for Changed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changed")
    }
}

impl<T> Changed<T> {
    /// Emits the events and returns the value of the closure. Call it once the transaction is committed.
    pub fn committed(self) -> T {
        self.core.announce(&self.by, self.made);
        self.value
    }
}

impl Core {
    /// Runs `work` in a transaction, then sends its mails and its events.
    ///
    /// # Errors
    ///
    /// What `work` returns, and [`StoreError::Unavailable`]; then nothing has happened.
    pub(crate) async fn change<T, F>(&self, by: &By, mut work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Change<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (notify, on_register) = (self.notify.clone(), self.on_register.clone());
        let (value, made) = self
            .store
            .write(move |conn| Change::run(conn, (&notify, &on_register), &mut work))
            .await?;
        self.announce(by, made);
        Ok(value)
    }

    /// Runs `work` in a transaction that the application has begun on `conn`.
    pub(crate) fn change_in<T>(
        self: &Arc<Self>,
        by: &By,
        conn: &mut Conn,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<Changed<T>, StoreError> {
        let (value, made) = Change::run(conn, (&self.notify, &self.on_register), work)?;
        Ok(Changed {
            value,
            made,
            by: by.clone(),
            core: self.clone(),
        })
    }

    fn announce(&self, by: &By, made: Made) {
        for queued in made.mails {
            self.notify.queued(queued);
        }
        for kind in made.events {
            self.emit(by.actor(&kind), by.client.as_ref(), kind);
        }
    }

    /// Emits the event of something that a request to a route of ours did and that is no change: a failed attempt, a
    /// look.
    pub(crate) fn event(&self, client: &Client, kind: EventKind) {
        self.emit(actor_of_route(&kind), Some(client), kind);
    }

    fn emit(&self, actor: Actor, client: Option<&Client>, kind: EventKind) {
        self.notify.events.emit(self.now(), actor, client, kind);
    }
}
