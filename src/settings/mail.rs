//! `[security.mail]`.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    table::{Problem, Table},
    values::count,
};
#[cfg(feature = "smtp")]
use crate::identity::sender::can_send_from;
use crate::{
    identity::sender::{Sender, is_ehlo},
    secrets::Secret,
    types::{NonZeroDuration, span::days},
};

/// `[security.mail]`: how mails leave.
///
/// A mail is written into the outbox together with the change that it tells of; a worker beside the
/// requests carries it out by the transport, and tries again as long as `give_up` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MailSettings {
    /// `"smtp"` hands mails to a server, `"console"` prints them, `"file"` writes each into a file of
    /// `folder`, `"none"` drops them. A mailer given to [`Security::mailer`](crate::Security::mailer)
    /// takes precedence. _Default:_ `"console"`; in development those of the running site are also shown at
    /// `/dev/mail`.
    pub transport: Transport,
    /// The sender of every mail, as `"address"` or `"Name <address>"`. _Default:_ `no-reply@` and the
    /// host of `base_url`.
    pub from: Option<String>,
    /// What a mail is made of: `"both"`, `"text"` alone or `"html"` alone. _Default:_ `"both"`.
    pub parts: MailParts,
    /// Where answers go, written like `from`. _Default:_ none.
    pub reply_to: Option<String>,
    /// The folder of the `"file"` transport. Files are messages (`.eml`); without the Cargo feature `smtp`,
    /// JSON. _Default:_ `"data/mail"`.
    pub folder: PathBuf,
    /// The SMTP server. _Default:_ none; required by the transport `"smtp"`.
    pub host: Option<String>,
    /// Its port. _Default:_ 587 for `"starttls"`, 465 for `"tls"`, 25 for `"none"`.
    pub port: Option<u16>,
    /// `"starttls"` (RFC 3207; required, never skipped), `"tls"` from the first byte (RFC 8314), or
    /// `"none"`. _Default:_ `"starttls"`.
    pub encryption: Encryption,
    /// The name that this site gives to the server in `EHLO` (RFC 5321): a name in the DNS, or an address in
    /// square brackets such as `"[192.0.2.1]"`. _Default:_ the host of `base_url`.
    pub ehlo: Option<String>,
    /// The name to sign in with. _Default:_ none.
    pub username: Option<String>,
    /// The password to sign in with; best from the environment. _Default:_ none.
    pub password: Option<Secret<String>>,
    /// Connections to the server kept open, and mails sent at once. _Default:_ 4.
    pub connections: NonZeroU32,
    /// How long one mail may take. _Default:_ 20 s.
    pub timeout: NonZeroDuration,
    /// How long a mail is tried before it counts as undeliverable. _Default:_ 3 d.
    pub give_up: NonZeroDuration,
    /// The shortest time between two mails of one kind to one address. _Default:_ 1 min.
    #[serde(with = "crate::types::span")]
    pub throttle: Duration,
    /// Mails of one kind to one address in a day. _Default:_ 10.
    pub per_day: NonZeroU32,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            transport: Transport::Console,
            from: None,
            parts: MailParts::Both,
            reply_to: None,
            folder: "data/mail".into(),
            host: None,
            port: None,
            encryption: Encryption::Starttls,
            ehlo: None,
            username: None,
            password: None,
            connections: count(4),
            timeout: NonZeroDuration::at_least(Duration::from_secs(20)),
            give_up: NonZeroDuration::at_least(days(3)),
            throttle: Duration::from_mins(1),
            per_day: count(10),
        }
    }
}

impl Table for MailSettings {
    const NAME: &'static str = "mail";

    fn check(&self) -> Result<(), Problem> {
        for (key, mailbox) in [("from", &self.from), ("reply_to", &self.reply_to)] {
            if let Some(text) = mailbox
                && Sender::read(text).is_none()
            {
                return Err(format!(
                    "`{key}` is `{text}`, which is no sender; write \"address@example.com\" or \"Name <address@example.com>\""
                ).into());
            }
        }
        #[cfg(feature = "smtp")]
        for (key, mailbox) in [("from", &self.from), ("reply_to", &self.reply_to)] {
            if let Some(text) = mailbox
                && !can_send_from(text)
            {
                return Err(format!(
                    "`{key}` is `{text}`, from which no mail can be sent; write an address that has only letters, digits and hyphens before the @, such as \"no-reply@example.com\""
                ).into());
            }
        }
        if let Some(name) = &self.ehlo
            && !is_ehlo(name)
        {
            return Err(format!(
                "`ehlo` is `{name}`, which is no name of a host; write for example \"mail.example.com\" or \"[192.0.2.1]\""
            ).into());
        }
        if self.transport == Transport::Smtp {
            if !cfg!(feature = "smtp") {
                return Err(
                    "`transport` is \"smtp\", which is not compiled in; build with the Cargo feature `smtp`".into(),
                );
            }
            if self.host.as_deref().unwrap_or_default().trim().is_empty() {
                return Err(
                    "`transport` is \"smtp\" and `host` is missing; write the name of the server, such as \"smtp.example.com\"".into(),
                );
            }
        }
        if self.username.is_some() != self.password.is_some() {
            return Err("`username` and `password` belong together; write both or neither".into());
        }
        let local = matches!(
            self.host.as_deref(),
            Some("localhost" | "127.0.0.1" | "::1")
        );
        if self.encryption == Encryption::None && self.password.is_some() && !local {
            return Err(
                "`encryption` is \"none\", with which the password could be read on the way; write \"starttls\" or \"tls\"".into(),
            );
        }
        Ok(())
    }
}

/// How mails leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// To a server, by SMTP (RFC 5321).
    Smtp,
    /// To the log.
    Console,
    /// Into a folder.
    File,
    /// Nowhere.
    None,
}

/// What a mail is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MailParts {
    /// Text and HTML, of which the reader's program chooses.
    Both,
    /// Text alone.
    Text,
    /// HTML alone.
    Html,
}

/// How the conversation with the SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Encryption {
    /// By STARTTLS, without which nothing is sent.
    Starttls,
    /// By TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}
