//! What several tests of this folder need.

use std::time::Duration;

use super::{mailer::Smtp, smtp_server::SmtpServer};
use crate::{
    notify::mailer::{Mail, MailFailure, Mailer},
    settings::{Encryption, MailSettings, Transport},
    types::{NonZeroDuration, Timestamp},
};

pub(super) fn mail() -> Mail {
    Mail {
        kind: "confirm".into(),
        to: "ada@example.com".into(),
        from: "Bücher & Co. (Support) <no-reply@example.com>".into(),
        reply_to: Some("help@bücher.example".into()),
        subject: "Bestätigen Sie Ihre Adresse, bitte – und zwar möglichst bald".into(),
        text: format!("Grüße\n\n.\n..x\n{}\n", "lang ".repeat(400)),
        html: format!("<p>Grüße</p><p>{}</p>\n", "breit ".repeat(400)),
        at: Timestamp::from_millis(1_795_451_696_789),
        message_id: "1234@example.com".into(),
    }
}

pub(super) fn settings(server: &SmtpServer, encryption: Encryption) -> MailSettings {
    MailSettings {
        transport: Transport::Smtp,
        host: Some("127.0.0.1".into()),
        port: Some(server.port()),
        encryption,
        timeout: NonZeroDuration::at_least(Duration::from_secs(5)),
        ..MailSettings::default()
    }
}

pub(super) fn new(settings: &MailSettings) -> Smtp {
    Smtp::new(settings, "site.example".into(), false)
}

pub(super) fn smtp(server: &SmtpServer) -> Smtp {
    new(&settings(server, Encryption::None))
}

pub(super) async fn failure(smtp: &Smtp) -> (MailFailure, String) {
    let error = smtp.send(&mail()).await.unwrap_err();
    (error.failure, error.why)
}
