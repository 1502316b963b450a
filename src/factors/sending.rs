//! Where codes are sent, and the mail or text message that takes them there.

use std::time::Duration;

use serde_json::Value;

use crate::{
    error::Error,
    notify::{
        mail::{MailComposer, Recipient},
        outbox::{MailLimit, OutgoingMail},
        sms::Sms,
    },
    settings::Settings,
    templates::MailTemplate,
    types::{Message, Timestamp},
};

/// Where a code is sent.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// The mailbox of the account.
    Mailbox,
    /// A phone, in E.164.
    Phone(String),
}

/// What is sent with a code.
pub(crate) struct CodeMessage<'a> {
    /// To whom a mail is.
    pub(crate) recipient: Recipient<'a>,
    /// The mail, where it is one.
    pub(crate) mail: MailTemplate,
    /// The values of the mail's template.
    pub(crate) values: Value,
    /// The name of the text message in the outbox.
    pub(crate) sms: &'static str,
    pub(crate) limit: MailLimit,
    /// Whether the text message is for an account that does not exist.
    pub(crate) is_decoy: bool,
}

impl Destination {
    /// Returns how long a code is good that is sent here; `mailed` is how long a mailed one is.
    pub(crate) fn life(&self, settings: &Settings, mailed: Duration) -> Duration {
        match self {
            Self::Mailbox => mailed,
            Self::Phone(_) => settings.sms.life.get(),
        }
    }

    /// Composes the mail or the text message with `code`, which is good until `until`.
    pub(crate) fn compose(
        &self,
        composer: &MailComposer<'_>,
        (code, until): (&str, Timestamp),
        message: CodeMessage<'_>,
    ) -> Result<OutgoingMail, Error> {
        match self {
            Self::Mailbox => composer.compose(
                &message.recipient,
                message.mail,
                message.limit,
                message.values,
            ),
            Self::Phone(phone) => {
                let context = composer.context;
                let sms = Sms::new(phone, text(composer, code, until), context.now(), until);
                OutgoingMail::of_sms(context, message.sms, sms, message.limit, message.is_decoy)
            }
        }
    }
}

/// Returns the text of a message with a code.
fn text(composer: &MailComposer<'_>, code: &str, until: Timestamp) -> String {
    let context = composer.context;
    let message = Message::new("sms.code")
        .with("code", code)
        .with("site", &context.settings.site_name)
        .with("until", until.to_text());
    context.views.catalogue().say(composer.language, &message)
}
