//! Mails: composed from templates here, carried by a [`Mailer`].

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use serde_json::{Map, Value, json};

use super::outbox::{Letter, Postage};
use crate::{
    error::Error,
    events::Client,
    notify::context::NotifyContext,
    settings::{MailParts, MailSettings, Transport},
    store::{User, cut},
    types::{Message, Timestamp},
};

/// A mail, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mail {
    /// What it is, such as `"confirm"`: the name of its template.
    pub kind: String,
    /// Whom it is for.
    pub to: String,
    /// Whom it is from.
    pub from: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// Its subject, one line.
    pub subject: String,
    /// Its text part; empty if mails are of HTML alone.
    pub text: String,
    /// Its HTML part; empty if mails are of text alone.
    pub html: String,
    /// When it was written.
    pub at: Timestamp,
    /// Its `Message-ID` without the angle brackets; the same each time that it is tried.
    pub message_id: String,
}

/// Carries mails. Called outside of requests; what it answers delays nobody.
///
/// ```
/// use rocket_security::{Mail, MailError, Mailer, Security};
/// struct Pigeon;
/// #[async_trait::async_trait]
/// impl Mailer for Pigeon {
///     async fn send(&self, mail: &Mail) -> Result<(), MailError> {
///         if mail.to.ends_with("@sea.example") {
///             return Err(MailError::refused("pigeons do not cross the sea"));
///         }
///         println!("to {}: {}", mail.to, mail.subject);
///         Ok(())
///     }
/// }
/// let security = Security::default().mailer(Pigeon);
/// ```
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail. A mail that could not be sent is given again, with the same `message_id`. It may
    /// take as long as `[security.mail] timeout` says; what lasts longer counts as [`MailError::down`], a
    /// panic as [`MailError::later`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// One sentence on whether mails can be sent, for `doctor`.
    async fn check(&self) -> Result<String, MailError> {
        Ok("the application's own mailer, which has no check".into())
    }
}

/// Why a mail was not sent, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailError {
    /// What is to be done.
    pub failure: MailFailure,
    /// For the log; never a secret.
    pub why: String,
}

/// What is to be done about a mail that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailFailure {
    /// The server cannot be reached: all mails wait, and one asks again soon.
    Down,
    /// This mail was not taken now: it is tried again, at longer and longer intervals.
    Later,
    /// This mail will never be taken.
    Refused,
}

impl MailError {
    /// The server cannot be reached.
    pub fn down(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Down,
            why: why.into(),
        }
    }

    /// Not now.
    pub fn later(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Later,
            why: why.into(),
        }
    }

    /// Never.
    pub fn refused(why: impl Into<String>) -> Self {
        Self {
            failure: MailFailure::Refused,
            why: why.into(),
        }
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for MailError {}

/// Mails that were sent in this process, the newest last: the development mailbox, and what tests look at.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    mails: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    mails: VecDeque<(u64, Mail)>,
}

/// Mails kept; older ones are dropped.
const KEPT: usize = 200;

impl Mailbox {
    /// Puts a mail in.
    pub(crate) fn keep(&self, mail: &Mail) {
        let mut kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.next += 1;
        let number = kept.next;
        kept.mails.push_back((number, mail.clone()));
        if kept.mails.len() > KEPT {
            kept.mails.pop_front();
        }
    }

    /// All that is kept, with its number, the oldest first.
    pub fn all(&self) -> Vec<(u64, Mail)> {
        self.mails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .mails
            .iter()
            .cloned()
            .collect()
    }

    /// The mails to one address, the oldest first.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        self.all()
            .into_iter()
            .map(|(_, mail)| mail)
            .filter(|mail| mail.to == address)
            .collect()
    }

    /// The mail with this number.
    pub fn get(&self, number: u64) -> Option<Mail> {
        self.all()
            .into_iter()
            .find(|(kept, _)| *kept == number)
            .map(|(_, mail)| mail)
    }
}

/// The mailer for the settings. `host` is the site's name to a server, where the settings give none;
/// `international` whether accounts may have addresses beyond ASCII.
pub(crate) fn mailer(
    settings: &MailSettings,
    host: String,
    international: bool,
) -> Arc<dyn Mailer> {
    #[cfg(feature = "smtp")]
    if settings.transport == Transport::Smtp {
        return Arc::new(super::smtp::Smtp::new(settings, host, international));
    }
    let _ = (host, international);
    Arc::new(BuiltIn {
        settings: settings.clone(),
    })
}

/// The transports that need nobody else.
pub(crate) struct BuiltIn {
    pub(crate) settings: MailSettings,
}

#[async_trait]
impl Mailer for BuiltIn {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        match self.settings.transport {
            Transport::Console => {
                let text = if mail.text.is_empty() {
                    &mail.html
                } else {
                    &mail.text
                };
                log::info!("mail to {}: {}\n{text}", mail.to, mail.subject);
                Ok(())
            }
            Transport::Smtp => Err(MailError::down("the transport is not compiled in")),
            Transport::None => Ok(()),
            Transport::File => {
                let folder = self.settings.folder.clone();
                let (kind, text) = file(mail)?;
                let name = format!("{}-{}.{kind}", mail.at.as_millis(), uuid::Uuid::new_v4());
                let written = tokio::task::spawn_blocking(move || {
                    std::fs::create_dir_all(&folder)?;
                    std::fs::write(folder.join(name), text)
                })
                .await;
                match written {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(MailError::down(error.to_string())),
                    Err(error) => Err(MailError::down(error.to_string())),
                }
            }
        }
    }

    async fn check(&self) -> Result<String, MailError> {
        match self.settings.transport {
            Transport::Console => Ok("mails are printed to the log".into()),
            Transport::Smtp => Err(MailError::down("the transport is not compiled in")),
            Transport::None => Ok("mails are dropped".into()),
            Transport::File => match std::fs::create_dir_all(&self.settings.folder) {
                Ok(()) => Ok(format!(
                    "mails are written to {}",
                    self.settings.folder.display()
                )),
                Err(error) => Err(MailError::down(format!(
                    "{}: {error}",
                    self.settings.folder.display()
                ))),
            },
        }
    }
}

/// What a file holds: the message itself, to be opened by a mail program.
#[cfg(feature = "smtp")]
fn file(mail: &Mail) -> Result<(&'static str, Vec<u8>), MailError> {
    Ok(("eml", super::smtp::message(mail)?.formatted()))
}

/// What a file holds where nothing is compiled in that makes messages.
#[cfg(not(feature = "smtp"))]
fn file(mail: &Mail) -> Result<(&'static str, Vec<u8>), MailError> {
    match serde_json::to_vec_pretty(mail) {
        Ok(json) => Ok(("json", json)),
        Err(error) => Err(MailError::refused(error.to_string())),
    }
}

/// Whom a letter is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressee<'a> {
    pub(crate) email: &'a str,
    /// What to call them.
    pub(crate) display: &'a str,
    /// Nobody: the letter is written like any other, and goes nowhere.
    pub(crate) decoy: bool,
}

impl<'a> Addressee<'a> {
    /// An address of which no more is known.
    pub(crate) fn at(email: &'a str) -> Self {
        Self {
            email,
            display: email,
            decoy: false,
        }
    }
}

impl<'a> From<&'a User> for Addressee<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            email: &user.email,
            display: user.display(),
            decoy: false,
        }
    }
}

/// The name of the mail that a template is part of, if it is one: `welcome` of
/// `security/register/welcome.mail.txt`.
pub(crate) fn name_of(template: &str) -> Option<&str> {
    let (path, _) = template.split_once(".mail.")?;
    path.rsplit('/').next()
}

/// Writes letters: in which language, and on whose behalf.
#[derive(Clone, Copy)]
pub(crate) struct Scribe<'a> {
    pub(crate) context: &'a NotifyContext,
    /// Who asks; nobody for commands and jobs.
    pub(crate) client: Option<&'a Client>,
    pub(crate) language: &'a str,
}

impl<'a> Scribe<'a> {
    /// For commands and jobs: in the site's first language.
    #[cfg(feature = "cli")]
    pub(crate) fn of(context: &'a NotifyContext) -> Self {
        Self {
            context,
            client: None,
            language: "en",
        }
    }

    /// On behalf of whoever asks.
    pub(crate) fn on_behalf(
        context: &'a NotifyContext,
        client: &'a Client,
        language: &'a str,
    ) -> Self {
        Self {
            context,
            client: Some(client),
            language,
        }
    }

    /// Writes the letter `security/<feature>/<which>.mail.{txt,html}`, with the subject
    /// `mail.<which>.subject` and `own` beside what every letter's context has.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if a template of the application's cannot be rendered.
    pub(crate) fn letter(
        &self,
        to: &Addressee<'_>,
        (feature, which): (&str, &str),
        postage: Postage,
        own: Value,
    ) -> Result<Letter, Error> {
        let mail = self.compose(to, feature, which, own).map_err(|error| {
            Error::Broken(format!(
                "the mail {feature}/{which} cannot be composed: {error}"
            ))
        })?;
        Letter::new(self.context, mail, postage, to.decoy)
    }

    fn compose(
        &self,
        to: &Addressee<'_>,
        feature: &str,
        which: &str,
        own: Value,
    ) -> Result<Mail, String> {
        let (context, now) = (self.context, self.context.now());
        let mut given = Map::new();
        let shared = json!({
            "lang": self.language,
            "user": {"email": to.email, "display": to.display},
            "site": {"name": context.settings.site_name.0, "home": context.base_url.as_str()},
            "at": now.to_text(),
            "address": self.client.map(|client| client.address.as_str()),
            "agent": self.client.map(|client| client.agent.as_str()),
        });
        for values in [shared, Value::Object(self.links()), own] {
            if let Value::Object(values) = values {
                given.extend(values);
            }
        }
        given.extend(context.mail_values(which));
        let subject = Message::new(format!("mail.{which}.subject"))
            .with("site", &context.settings.site_name.0);
        // A subject is one line, whatever the name of the site.
        let subject: String = cut(&context.views.catalogue().say(self.language, &subject), 200)
            .chars()
            .filter(|c| {
                !crate::identity::text::is_hidden(*c) && !matches!(c, '\u{2028}' | '\u{2029}')
            })
            .collect();
        let parts = context.settings.mail.parts;
        let part = |end: &str, left_out: MailParts| match parts == left_out {
            true => Ok(String::new()),
            false => context.views.render(
                self.language,
                &format!("security/{feature}/{which}.mail.{end}"),
                &given,
            ),
        };
        let host = context.base_url.host_str().unwrap_or("localhost");
        Ok(Mail {
            kind: which.into(),
            to: to.email.into(),
            from: context.sender.clone(),
            reply_to: context.settings.mail.reply_to.clone(),
            subject,
            text: part("txt", MailParts::Html)?,
            html: part("html", MailParts::Text)?,
            at: now,
            message_id: format!("{}@{host}", uuid::Uuid::new_v4()),
        })
    }

    /// Pages that mails link to, as `url_<name>`, where their features are on.
    fn links(&self) -> Map<String, Value> {
        let mut links = Map::new();
        for (name, path) in &self.context.links {
            if matches!(*name, "login" | "register" | "recover") {
                links.insert(format!("url_{name}"), self.context.absolute(path).into());
            }
        }
        links
    }
}
