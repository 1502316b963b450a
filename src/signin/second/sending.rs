//! Sends the code of a second step, or of a factor that is being set up.

use serde_json::json;

use crate::{
    error::Error,
    factors::{CodeMessage, Destination},
    notify::{
        mail::{MailComposer, Recipient},
        outbox::{MailLimit, OutgoingMail},
    },
    store::User,
    templates::{MailTemplate, mail},
    types::Timestamp,
};

/// Returns the limit of codes of a second step. They count by account, so that an attacker who knows only the number
/// uses up none of its owner's.
pub(super) fn mail_limit(user: &User) -> MailLimit {
    MailLimit::Steps(user.id.to_string())
}

/// Returns the limit of codes of a set-up. They count by destination, whoever asks, since it may be a stranger's.
pub(crate) fn limit_of_setup(to: &Destination, user: &User) -> MailLimit {
    MailLimit::Steps(match to {
        Destination::Mailbox => format!("set-up {}", user.email),
        Destination::Phone(phone) => format!("set-up {phone}"),
    })
}

/// The mail with a code.
pub(crate) const CODE: MailTemplate = mail!("two_factor", "two_factor");

/// The mail with a code for whoever cannot use the second factor.
pub(crate) const RESCUE: MailTemplate = mail!("two_factor", "rescue");

/// How a code is sent.
pub(crate) struct Sending<'a> {
    pub(crate) to: &'a Destination,
    pub(crate) limit: MailLimit,
    /// Which mail of the feature `two_factor` it is.
    pub(crate) mail: MailTemplate,
    /// When the ticket expires that the code is for.
    pub(crate) ends: Timestamp,
}

impl Sending<'_> {
    /// Returns until when the code is good.
    pub(crate) fn until(&self, composer: &MailComposer<'_>) -> Timestamp {
        let context = composer.context;
        let mailed = context.settings.two_factor.mail_life.get();
        let life = self.to.life(&context.settings, mailed);
        context.now().after(life).min(self.ends)
    }

    /// Composes the mail or the text message.
    pub(crate) fn compose(
        self,
        composer: &MailComposer<'_>,
        user: &User,
        code: &str,
    ) -> Result<OutgoingMail, Error> {
        let until = self.until(composer);
        let message = CodeMessage {
            recipient: Recipient::from(user),
            mail: self.mail,
            values: json!({"code": code, "until": until.to_text()}),
            sms: "two_factor",
            limit: self.limit,
            is_decoy: false,
        };
        self.to.compose(composer, (code, until), message)
    }
}
