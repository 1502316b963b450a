//! Codes on their way: where they go, and the mail or text message that takes them there.

use crate::{
    error::Error,
    notify::{
        mail::{MailComposer, Recipient},
        outbox::{MailLimit, OutgoingMail},
        sms::Sms,
    },
    store::User,
    types::{FactorKind, Message, Timestamp},
};

/// Where a code goes.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Mailbox,
    Phone(String),
}

impl Destination {
    /// Where codes of a kind go; nowhere for one that makes its own.
    pub(crate) fn of(kind: FactorKind, phone: Option<&str>) -> Option<Self> {
        match kind {
            FactorKind::Authenticator | FactorKind::Passkey => None,
            FactorKind::Email => Some(Self::Mailbox),
            FactorKind::Sms => Some(Self::Phone(phone.unwrap_or_default().into())),
        }
    }

    /// How codes of a second step are counted: by account, so that whoever knows no more than the number
    /// uses up none of its owner's.
    pub(super) fn mail_limit(user: &User) -> MailLimit {
        MailLimit::Steps(user.id.to_string())
    }

    /// How those of a set-up are: by where they go, whoever asks, since it may be a stranger's.
    pub(crate) fn postage_of_setup(&self, user: &User) -> MailLimit {
        MailLimit::Steps(match self {
            Self::Mailbox => format!("set-up {}", user.email),
            Self::Phone(phone) => format!("set-up {phone}"),
        })
    }
}

/// The mail with a code.
pub(crate) const CODE: &str = "two_factor";

/// How a code is sent.
pub(crate) struct Sending<'a> {
    pub(crate) to: &'a Destination,
    pub(crate) mail_limit: MailLimit,
    /// Which of the mails of this feature, where it is one.
    pub(crate) mail: &'static str,
    /// When the ticket ends that the code is for.
    pub(crate) ends: Timestamp,
}

/// The mail with a code, and until when that is good.
pub(crate) fn code_letter(
    composer: &MailComposer<'_>,
    user: &User,
    sending: Sending<'_>,
    code: &str,
) -> Result<(OutgoingMail, Timestamp), Error> {
    let (core, now) = (composer.context, composer.context.now());
    let Sending {
        to,
        mail_limit,
        mail,
        ends,
    } = sending;
    match to {
        Destination::Mailbox => {
            let until = now
                .after(core.settings.two_factor.mail_life.get())
                .min(ends);
            let own = serde_json::json!({"code": code, "until": until.to_text()});
            let mail = ("two_factor", mail);
            let outgoing = composer.compose(&Recipient::from(user), mail, mail_limit, own)?;
            Ok((outgoing, until))
        }
        Destination::Phone(phone) => {
            let until = now.after(core.settings.sms.life.get()).min(ends);
            let text = sms_text(composer, code, until);
            let sms = Sms::new(phone, text, now, until);
            let outgoing = OutgoingMail::of_sms(core, "two_factor", sms, mail_limit, false)?;
            Ok((outgoing, until))
        }
    }
}

/// What a text message with a code says.
pub(crate) fn sms_text(composer: &MailComposer<'_>, code: &str, until: Timestamp) -> String {
    let core = composer.context;
    let message = Message::new("sms.code")
        .with("code", code)
        .with("site", &core.settings.site_name)
        .with("until", until.to_text());
    core.views.catalogue().say(composer.language, &message)
}
