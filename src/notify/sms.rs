//! Text messages: written into the outbox like mails, carried by an [`SmsSender`].

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::mailer::{Mail, MailError};
use crate::{
    settings::{SmsSettings, SmsTransport},
    types::Timestamp,
};

/// A text message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sms {
    /// The number that it is for, in E.164.
    pub phone: String,
    /// What it says.
    pub message: String,
    /// When it was written.
    pub at: Timestamp,
    /// After which it is of no use.
    pub until: Timestamp,
}

impl Sms {
    pub(crate) fn new(phone: &str, message: String, at: Timestamp, until: Timestamp) -> Self {
        Self {
            phone: phone.into(),
            message,
            at,
            until,
        }
    }

    /// As a mailbox of tests and developers shows it.
    pub(crate) fn as_mail(&self, kind: &str) -> Mail {
        Mail {
            kind: kind.into(),
            to: self.phone.clone(),
            from: String::new(),
            reply_to: None,
            subject: String::new(),
            text: self.message.clone(),
            html: String::new(),
            at: self.at,
            message_id: String::new(),
        }
    }
}

/// Carries text messages. Called outside of requests; what it answers delays nobody.
///
/// ```
/// use rocket_security::{MailError, Security, Sms, SmsSender};
/// struct Loudspeaker;
/// #[async_trait::async_trait]
/// impl SmsSender for Loudspeaker {
///     async fn send(&self, sms: &Sms) -> Result<(), MailError> {
///         println!("{}: {}", sms.phone, sms.message);
///         Ok(())
///     }
/// }
/// let security = Security::default().sms(Loudspeaker);
/// ```
#[async_trait]
pub trait SmsSender: Send + Sync + 'static {
    /// Sends one text message.
    async fn send(&self, sms: &Sms) -> Result<(), MailError>;
}

/// The sender that the settings name.
pub(crate) fn sender(settings: &SmsSettings) -> Option<Arc<dyn SmsSender>> {
    match settings.transport {
        SmsTransport::None => None,
        SmsTransport::Console => Some(Arc::new(Console)),
        SmsTransport::File => Some(Arc::new(Folder(settings.folder.clone()))),
        #[cfg(feature = "sms")]
        SmsTransport::Twilio => Some(Arc::new(twilio::Twilio::new(settings))),
        #[cfg(not(feature = "sms"))]
        SmsTransport::Twilio => None,
    }
}

struct Console;

#[async_trait]
impl SmsSender for Console {
    async fn send(&self, sms: &Sms) -> Result<(), MailError> {
        log::info!("text message to {}: {}", sms.phone, sms.message);
        Ok(())
    }
}

struct Folder(PathBuf);

#[async_trait]
impl SmsSender for Folder {
    async fn send(&self, sms: &Sms) -> Result<(), MailError> {
        let text = serde_json::to_vec_pretty(sms)
            .map_err(|error| MailError::refused(error.to_string()))?;
        let name = format!("{}-{}.json", sms.at.as_millis(), uuid::Uuid::new_v4());
        let folder = self.0.clone();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(name), text)
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(MailError::down(error.to_string())),
            Err(error) => Err(MailError::down(error.to_string())),
        }
    }
}

#[cfg(feature = "sms")]
mod twilio {
    //! Twilio's API for messages: <https://www.twilio.com/docs/messaging/api/message-resource>.

    use std::time::Duration;

    use async_trait::async_trait;

    use super::{MailError, Sms, SmsSender};
    use crate::{secrets::Secret, settings::SmsSettings};

    pub(super) struct Twilio {
        agent: ureq::Agent,
        url: String,
        /// `Authorization`, by HTTP Basic.
        authorization: Secret<String>,
        from: String,
    }

    const PATIENCE: Duration = Duration::from_secs(15);

    impl Twilio {
        pub(super) fn new(settings: &SmsSettings) -> Self {
            let account = settings.account.as_deref().unwrap_or_default();
            let token = settings.token.as_ref().map(Secret::expose);
            let pair =
                zeroize::Zeroizing::new(format!("{account}:{}", token.map_or("", String::as_str)));
            let basic = data_encoding::BASE64.encode(pair.as_bytes());
            let config = ureq::Agent::config_builder()
                .timeout_global(Some(PATIENCE))
                // A status is an answer to be judged, not an error.
                .http_status_as_error(false)
                .max_redirects(0)
                .build();
            Self {
                agent: config.into(),
                url: format!(
                    "{}/2010-04-01/Accounts/{account}/Messages.json",
                    settings.url.trim_end_matches('/')
                ),
                authorization: Secret::new(format!("Basic {basic}")),
                from: settings.from.clone().unwrap_or_default(),
            }
        }
    }

    #[async_trait]
    impl SmsSender for Twilio {
        async fn send(&self, sms: &Sms) -> Result<(), MailError> {
            let request = self
                .agent
                .post(&self.url)
                .header("Authorization", self.authorization.expose().as_str());
            let form = [
                ("To", sms.phone.clone()),
                ("From", self.from.clone()),
                ("Body", sms.message.clone()),
            ];
            let sent = tokio::task::spawn_blocking(move || request.send_form(form)).await;
            let status = match sent {
                Ok(Ok(answer)) => answer.status().as_u16(),
                Ok(Err(error)) => return Err(MailError::down(format!("the SMS API: {error}"))),
                Err(error) => return Err(MailError::later(format!("the SMS API: {error}"))),
            };
            let why = format!("the SMS API answered {status}");
            match status {
                200..=299 => Ok(()),
                // Not this message's fault: the account, too many at once, or the API itself.
                401 | 403 | 408 | 429 | 500..=599 => Err(MailError::later(why)),
                _ => Err(MailError::refused(why)),
            }
        }
    }
}
