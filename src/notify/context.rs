//! What mails and messages need of the site.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use url::Url;

use super::{
    mail::{Mailbox, Mailer},
    outbox::Courier,
    sms::SmsSender,
};
use crate::{
    events::{Client, EventKind, Events},
    secrets::Keys,
    settings::Settings,
    store::Store,
    templates::views::Views,
    types::{Clock, SharedClock, Timestamp},
};

/// The application's own values for a page or a mail, by its name.
pub(crate) type AddContext = Arc<dyn Fn(&str) -> Value + Send + Sync>;

/// The part of the site that mails and messages need.
pub(crate) struct NotifyContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) base_url: Url,
    pub(crate) clock: SharedClock,
    pub(crate) keys: Arc<Keys>,
    pub(crate) store: Store,
    pub(crate) views: Arc<Views>,
    pub(crate) events: Events,
    pub(crate) mailer: Arc<dyn Mailer>,
    /// The sender of every mail.
    pub(crate) sender: String,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) courier: Courier,
    pub(crate) sms: Option<Arc<dyn SmsSender>>,
    /// The application's own values for mails.
    pub(crate) mail_values: Vec<AddContext>,
    /// Our pages that mails link to: the name of each, and its path.
    pub(crate) links: Vec<(&'static str, &'static str)>,
}

impl fmt::Debug for NotifyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyContext")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl NotifyContext {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn event(&self, client: Option<&Client>, kind: EventKind) {
        self.events.emit(self.now(), client.cloned(), kind);
    }

    /// The path as the rest of the world sees it.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let base = self.base_url.as_str().trim_end_matches('/');
        format!("{base}{}{path}", self.settings.url_prefix)
    }

    /// The application's own values for a mail, by its name, such as `welcome`.
    pub(crate) fn mail_values(&self, which: &str) -> Map<String, Value> {
        objects(self.mail_values.iter().map(|add| add(which)))
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
