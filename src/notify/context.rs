//! What mails and messages need of the site.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Map, Value};
use tokio::sync::{Mutex, MutexGuard};

use super::{mailbox::Mailbox, mailer::Mailer, sms::SmsSender};
use crate::{
    events::{Actor, EventKind, Events},
    settings::Base,
    store::Store,
    templates::views::Views,
    types::Path,
};

/// The application's own values for a page or a mail, by its name.
pub(crate) type AddContext = Arc<dyn Fn(&str) -> Value + Send + Sync>;

/// The part of the site that mails and messages need.
pub(crate) struct NotifyContext {
    pub(crate) base: Arc<Base>,
    pub(crate) store: Store,
    pub(crate) views: Arc<Views>,
    pub(crate) events: Events,
    pub(crate) mailer: Arc<dyn Mailer>,
    /// The sender of every mail.
    pub(crate) sender: String,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) mail_signal: MailSignal,
    pub(crate) sms: Option<Arc<dyn SmsSender>>,
    /// The application's own values for mails.
    pub(crate) mail_values: Vec<AddContext>,
    /// Our pages that mails link to: the name of each, and its path.
    pub(crate) links: Vec<(&'static str, Path)>,
}

impl fmt::Debug for NotifyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyContext")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Deref for NotifyContext {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}

impl NotifyContext {
    /// Tells of something that a job of ours did.
    pub(crate) fn system_event(&self, kind: EventKind) {
        self.events.emit(self.now(), Actor::System, None, kind);
    }

    /// The application's own values for a mail, by its name, such as `welcome`.
    pub(crate) fn mail_values(&self, which: &str) -> Map<String, Value> {
        objects(self.mail_values.iter().map(|add| add(which)))
    }
}

/// Whether there are mails that the delivery does not know of yet, and whose turn it is to deliver.
#[derive(Debug, Default)]
pub(crate) struct MailSignal {
    woken: AtomicBool,
    turn: Mutex<()>,
}

impl MailSignal {
    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// Whether it was woken since the last call.
    pub(super) fn take(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Waits until no other task of this process delivers mails.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

/// The values of several objects, of which the last says what holds.
pub(crate) fn objects(values: impl IntoIterator<Item = Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for value in values {
        if let Value::Object(object) = value {
            all.extend(object);
        }
    }
    all
}
