//! The mailers that the settings name: the console, a folder, none, and SMTP.

use std::sync::Arc;

use async_trait::async_trait;

use super::mailer::{Mail, MailError, Mailer};
#[cfg(feature = "smtp")]
use super::smtp;
use crate::settings::{MailSettings, Transport};

/// The mailer for the settings. `host` is the site's name to a server, where the settings give none;
/// `international` whether accounts may have addresses beyond ASCII.
pub(crate) fn mailer(
    settings: &MailSettings,
    host: String,
    international: bool,
) -> Arc<dyn Mailer> {
    #[cfg(feature = "smtp")]
    if settings.transport == Transport::Smtp {
        return Arc::new(smtp::Smtp::new(settings, host, international));
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
    Ok(("eml", smtp::message(mail)?.formatted()))
}

/// What a file holds where nothing is compiled in that makes messages.
#[cfg(not(feature = "smtp"))]
fn file(mail: &Mail) -> Result<(&'static str, Vec<u8>), MailError> {
    match serde_json::to_vec_pretty(mail) {
        Ok(json) => Ok(("json", json)),
        Err(error) => Err(MailError::refused(error.to_string())),
    }
}
