//! Mails: composed from templates here, carried by a [`Mailer`].

use std::{
    collections::VecDeque,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rocket::async_trait;
use serde::{Deserialize, Serialize};

use serde_json::{Map, Value};

use crate::{Message, site::Site, store::Timestamp};

/// `[security.mail]`: how mails leave.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// `"console"` prints mails, `"file"` writes each into a file of `folder`, `"none"` drops them.
    /// A mailer given to [`Security::mailer`](crate::Security::mailer) takes precedence.
    /// _Default:_ `"console"`; in development mails are also kept for the page `/dev/mail`.
    pub transport: Transport,
    /// The folder of the `"file"` transport. _Default:_ `"data/mail"`.
    pub folder: PathBuf,
    /// The sender of every mail. _Default:_ `"no-reply@localhost"`.
    pub from: String,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            transport: Transport::Console,
            folder: "data/mail".into(),
            from: "no-reply@localhost".into(),
        }
    }
}

/// How mails leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// To the log.
    Console,
    /// Into a folder.
    File,
    /// Nowhere.
    None,
}

/// A mail, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mail {
    /// Whom it is for.
    pub to: String,
    /// Whom it is from.
    pub from: String,
    /// Its subject, one line.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// When it was written.
    pub at: Timestamp,
}

/// Carries mails. Called outside of requests; what it answers delays nobody.
///
/// ```
/// use rocket_security::{Mail, MailError, Mailer, Security};
/// struct Pigeon;
/// #[rocket::async_trait]
/// impl Mailer for Pigeon {
///     async fn send(&self, mail: &Mail) -> Result<(), MailError> {
///         println!("to {}: {}", mail.to, mail.subject);
///         Ok(())
///     }
/// }
/// let security = Security::default().mailer(Pigeon);
/// ```
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// One sentence on whether mails can be sent, for `doctor`.
    async fn check(&self) -> Result<String, MailError> {
        Ok("the application's own mailer, which has no check".into())
    }
}

/// Why a mail was not sent.
#[derive(Clone, Debug)]
pub struct MailError(
    /// For the log.
    pub String,
);

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

/// The transports that come with the crate.
pub(crate) struct BuiltIn {
    pub(crate) settings: MailSettings,
}

#[async_trait]
impl Mailer for BuiltIn {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        match self.settings.transport {
            Transport::Console => {
                log::info!("mail to {}: {}\n{}", mail.to, mail.subject, mail.text);
                Ok(())
            }
            Transport::None => Ok(()),
            Transport::File => {
                let folder = self.settings.folder.clone();
                let name = format!("{}-{}.json", mail.at.as_millis(), uuid::Uuid::new_v4());
                let text = serde_json::to_string_pretty(mail)
                    .map_err(|error| MailError(error.to_string()))?;
                let written = rocket::tokio::task::spawn_blocking(move || {
                    std::fs::create_dir_all(&folder)?;
                    std::fs::write(folder.join(name), text)
                })
                .await;
                match written {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(MailError(error.to_string())),
                    Err(error) => Err(MailError(error.to_string())),
                }
            }
        }
    }

    async fn check(&self) -> Result<String, MailError> {
        match self.settings.transport {
            Transport::Console => Ok("mails are printed to the log".into()),
            Transport::None => Ok("mails are dropped".into()),
            Transport::File => match std::fs::create_dir_all(&self.settings.folder) {
                Ok(()) => Ok(format!(
                    "mails are written to {}",
                    self.settings.folder.display()
                )),
                Err(error) => Err(MailError(format!(
                    "{}: {error}",
                    self.settings.folder.display()
                ))),
            },
        }
    }
}

/// Renders a mail: both parts from their templates, the subject from its message.
pub(crate) fn compose(
    site: &Site,
    language: &str,
    to: &str,
    feature: &str,
    which: &str,
    mut context: Map<String, Value>,
) -> Result<Mail, String> {
    context.insert("lang".into(), language.into());
    for add in &site.hooks.mail_contexts {
        if let Value::Object(values) = add(which) {
            context.extend(values);
        }
    }
    let subject =
        Message::new(format!("mail.{which}.subject")).with("site", &site.settings.site_name.0);
    // A subject is one line, whatever the name of the site.
    let subject = crate::store::cut(&site.views.catalogue().say(language, &subject), 200);
    let part = |end: &str| {
        site.views.render(
            language,
            &format!("security/{feature}/{which}.mail.{end}"),
            &context,
        )
    };
    Ok(Mail {
        to: to.into(),
        from: site.settings.mail.from.clone(),
        subject,
        text: part("txt")?,
        html: part("html")?,
        at: site.now(),
    })
}
