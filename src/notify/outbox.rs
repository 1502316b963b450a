//! The outbox: a mail is a row, written in the transaction of the change that it tells of. So no change is
//! without its mail, and no mail without its change. [`delivery`](super::delivery) sends what is written here.

use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib_with_limit};
use serde::{Deserialize, Serialize};

use super::{
    context::NotifyContext,
    mailer::Mail,
    sms::Sms,
    throttle::{MailCounters, may_mail},
};
use crate::{
    error::Error,
    secrets::Purpose,
    store::{
        Conn, StoreError,
        outbox::{self, Claimed, NewMail},
    },
};

/// A mail that is ready for the outbox: composed, encrypted, not written yet.
#[derive(Clone)]
pub(crate) struct OutgoingMail {
    row: NewMail,
    /// As mailboxes of tests and developers show it.
    mail: Option<Mail>,
    counters: Option<MailCounters>,
}

/// What became of a mail: whether it lies in the outbox, for [`NotifyContext::queued`] after the commit.
#[must_use = "give it to `NotifyContext::posted` once the transaction is committed"]
pub(crate) enum Queued {
    /// It lies in the outbox; a decoy carries no mail.
    Put(Option<Box<Mail>>),
    /// One of its kind went to that address a moment ago.
    Throttled,
}

impl Queued {
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}

/// How often mails of a kind may go to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MailLimit {
    /// As `[security.mail]` says: for what anybody can ask for.
    Limited,
    /// A few at once: for whoever has shown something already.
    Steps(String),
    /// The same, apart from what others ask for: in a browser that the account knows.
    Device(String),
    /// Always: for what the owner must be told.
    Free,
}

/// How hard a mail is compressed, of 10.
const COMPRESSION: u8 = 6;

/// The most bytes that a mail of the outbox takes when it is decompressed.
const LONGEST_MAIL: usize = 16 * 1_024 * 1_024;

/// What lies in the outbox.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Mail(Mail),
    Sms(Sms),
}

impl Content {
    /// What a claimed row holds, `None` if its secret is gone.
    pub(super) fn unseal(context: &NotifyContext, claimed: &Claimed) -> Option<Self> {
        let body = claimed.body.as_deref()?;
        let (text, _) = context.keys.unseal(Purpose::Outbox, &claimed.id, body)?;
        // Mails of an earlier version lie in the outbox as they are.
        if text.expose().starts_with(b"{") {
            return serde_json::from_slice(text.expose()).ok();
        }
        let text = decompress_to_vec_zlib_with_limit(text.expose(), LONGEST_MAIL).ok()?;
        serde_json::from_slice(&zeroize::Zeroizing::new(text)).ok()
    }
}

impl OutgoingMail {
    /// Makes an outgoing mail of what was written. With `decoy` it is written and counted like any other and goes nowhere:
    /// for somebody unknown, so that nothing tells them apart.
    pub(crate) fn new(
        context: &NotifyContext,
        mail: Mail,
        mail_limit: MailLimit,
        decoy: bool,
    ) -> Result<Self, Error> {
        Self::of(
            context,
            mail.clone(),
            Content::Mail(mail),
            mail_limit,
            decoy,
        )
    }

    /// Makes an outgoing text message of a kind.
    pub(crate) fn of_sms(
        context: &NotifyContext,
        kind: &str,
        sms: Sms,
        mail_limit: MailLimit,
        decoy: bool,
    ) -> Result<Self, Error> {
        let mail = sms.as_mail(kind);
        Self::of(context, mail, Content::Sms(sms), mail_limit, decoy)
    }

    fn of(
        context: &NotifyContext,
        mail: Mail,
        content: Content,
        mail_limit: MailLimit,
        decoy: bool,
    ) -> Result<Self, Error> {
        let id = uuid::Uuid::now_v7().to_string();
        let text =
            serde_json::to_vec(&content).map_err(|error| Error::Broken(error.to_string()))?;
        let text = zeroize::Zeroizing::new(text);
        // The parts of a mail repeat one another: a row of it stays below 4 KiB.
        let text = zeroize::Zeroizing::new(compress_to_vec_zlib(&text, COMPRESSION));
        // What is for nobody uses nothing up that is for somebody.
        let kind = match (&mail_limit, decoy) {
            (_, true) => format!("nobody's {}", mail.kind),
            (MailLimit::Device(device), _) => format!("{} {device}", mail.kind),
            _ => mail.kind.clone(),
        };
        Ok(Self {
            counters: match mail_limit {
                MailLimit::Limited | MailLimit::Device(_) => {
                    Some(MailCounters::of(context, &kind, &mail.to))
                }
                MailLimit::Steps(whose) => Some(MailCounters::of_steps(context, &kind, &whose)),
                MailLimit::Free => None,
            },
            row: NewMail {
                body: context.keys.seal(Purpose::Outbox, &id, &text)?,
                id,
                kind: mail.kind.clone(),
                recipient: (!decoy).then(|| mail.to.clone()),
                at: mail.at,
            },
            mail: (!decoy).then_some(mail),
        })
    }
}

/// Writes a mail into the outbox, unless it is throttled; part of the transaction of its change.
pub(crate) fn enqueue(conn: &mut Conn, outgoing: &OutgoingMail) -> Result<Queued, StoreError> {
    if let Some(counters) = &outgoing.counters
        && !may_mail(conn, counters, outgoing.row.at)?
    {
        return Ok(Queued::Throttled);
    }
    outbox::insert(conn, &outgoing.row)?;
    Ok(Queued::Put(outgoing.mail.clone().map(Box::new)))
}

impl NotifyContext {
    /// After the commit: the worker is told, and mailboxes of tests and developers get their copy.
    pub(crate) fn queued(&self, queued: Queued) {
        if let Queued::Put(Some(mail)) = queued {
            if let Some(mailbox) = &self.mailbox {
                mailbox.keep(&mail);
            }
            self.mail_signal.wake();
        }
    }
}
