//! Hands mails to a server, step by step.

use async_trait::async_trait;
use lettre::{
    Message,
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands,
        extension::{Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::sync::Semaphore;

use super::{
    connection::{Server, close},
    failure::Step,
    message::message,
};
use crate::{
    notify::mailer::{Mail, MailError, MailFailure, Mailer},
    settings::{Encryption, MailSettings},
};

/// Hands mails to a server. It connects when there is something to send, keeps connections for a while, and
/// never has more than `connections` of them.
pub(crate) struct Smtp {
    pub(super) server: Server,
    /// Whether the server has to take addresses beyond ASCII.
    international: bool,
    slots: Semaphore,
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail)?;
        // Waiting for a slot says nothing about the server, so it does not count.
        let _slot = self.slots.acquire().await;
        self.server.in_time(self.deliver(&message)).await
    }

    async fn check(&self) -> Result<String, MailError> {
        self.server
            .in_time(async {
                let mut connection = self.server.connect().await?;
                let noop = connection.command(commands::Noop).await;
                let international = takes_international(&connection);
                close(connection);
                noop.map_err(|error| self.server.failure(Step::Connect, &error))?;
                match self.international && !international {
                    true => Err(MailError::refused(format!(
                        "{} does not offer SMTPUTF8, which `security.emails.international` needs",
                        self.server.name()
                    ))),
                    false => Ok(()),
                }
            })
            .await?;
        let how = match self.server.encryption {
            Encryption::Starttls => "over STARTTLS",
            Encryption::Tls => "over TLS",
            Encryption::None => "without encryption",
        };
        let who = match self.server.has_credentials() {
            true => "takes the user name and password",
            false => "asks for no password",
        };
        Ok(format!(
            "mails go by SMTP to {}, which answers {how} and {who}",
            self.server.name()
        ))
    }
}

impl Smtp {
    /// Connects to nobody yet.
    pub(crate) fn new(settings: &MailSettings, host: String, international: bool) -> Self {
        Self {
            server: Server::new(settings, host),
            international,
            slots: Semaphore::new(
                usize::try_from(settings.connections.get())
                    .unwrap_or(1)
                    .max(1),
            ),
        }
    }

    async fn deliver(&self, message: &Message) -> Result<(), MailError> {
        let mut connection = self.server.connection().await?;
        let outcome = self.converse(&mut connection, message).await;
        match &outcome {
            Ok(()) => self.server.rest(connection),
            // It may be a conversation in which nobody answers any more.
            Err(error) if error.failure == MailFailure::Down => drop(connection),
            Err(_) => close(connection),
        }
        outcome
    }

    async fn converse(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<(), MailError> {
        let envelope = message.envelope();
        let formatted = message.formatted();
        let mut parameters = Vec::new();
        // All else is encoded in ASCII: only addresses are written as they are.
        if !formatted.is_ascii() {
            if !takes_international(connection) {
                let why = format!("{} takes addresses in ASCII only", self.server.name());
                let theirs = envelope.to().iter().any(|to| !to.to_string().is_ascii());
                return Err(match theirs {
                    true => MailError::refused(why),
                    false => MailError::later(format!("{why}, and the sender's is none")),
                });
            }
            parameters = vec![
                MailParameter::SmtpUtfEight,
                MailParameter::Body(MailBodyParameter::EightBitMime),
            ];
        }
        let failed = |step| move |error| self.server.failure(step, &error);
        connection
            .command(commands::Mail::new(envelope.from().cloned(), parameters))
            .await
            .map_err(failed(Step::Sender))?;
        for to in envelope.to() {
            connection
                .command(commands::Rcpt::new(to.clone(), Vec::new()))
                .await
                .map_err(failed(Step::Recipient))?;
        }
        connection
            .command(commands::Data)
            .await
            .map_err(failed(Step::Message))?;
        connection
            .message(&formatted)
            .await
            .map_err(failed(Step::Message))?;
        Ok(())
    }
}

/// Whether a server takes letters beyond ASCII in addresses (RFC 6531).
fn takes_international(connection: &AsyncSmtpConnection) -> bool {
    let server = connection.server_info();
    [Extension::SmtpUtfEight, Extension::EightBitMime]
        .into_iter()
        .all(|extension| server.supports_feature(extension))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;

    use super::*;
    use crate::{
        notify::smtp::{
            smtp_server::{Behaviour, Offers, SmtpServer},
            testing::{failure, mail, new, settings, smtp},
        },
        secrets::Secret,
    };

    #[rocket::async_test]
    async fn a_mail_arrives_as_it_was_written() {
        let server = SmtpServer::start().await;
        let mail = mail();
        smtp(&server).send(&mail).await.unwrap();
        let received = server.newest_to("ada@example.com");
        let unix = |text: &str| text.replace("\r\n", "\n");
        assert_eq!(received.from, "no-reply@example.com");
        assert_eq!(received.recipients, ["ada@example.com"]);
        assert_eq!(received.subject, mail.subject);
        assert_eq!(unix(&received.text), mail.text);
        assert_eq!(unix(&received.html), mail.html);
        assert_eq!(received.message_id, mail.message_id);
        for (name, value) in [
            ("From", "Bücher & Co. (Support) <no-reply@example.com>"),
            ("To", "ada@example.com"),
            ("Reply-To", "help@xn--bcher-kva.example"),
            ("Date", "Mon, 23 Nov 2026 16:34:56 +0000"),
            ("MIME-Version", "1.0"),
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
        ] {
            let header = received.header(name).map(|text| text.replace('"', ""));
            assert_eq!(header.as_deref(), Some(value), "{name}");
        }
        assert!(received.raw.is_ascii());
        assert!(received.raw.lines().all(|line| line.len() <= 78));
        assert!(received.raw.contains("multipart/alternative"));
    }

    #[rocket::async_test]
    async fn letters_beyond_ascii_want_a_server_that_takes_them() {
        let mail = Mail {
            to: "josé@example.com".into(),
            ..mail()
        };
        let server = SmtpServer::start().await;
        smtp(&server).send(&mail).await.unwrap();
        assert_eq!(server.to("josé@example.com").len(), 1);

        let offers = Offers {
            utf8: false,
            ..Offers::default()
        };
        let server = SmtpServer::start_with(offers).await;
        let error = smtp(&server).send(&mail).await.unwrap_err();
        assert_eq!(error.failure, MailFailure::Refused, "{error}");
        let mail = Mail {
            from: "josé@example.com".into(),
            to: "ada@example.com".into(),
            ..mail
        };
        let error = smtp(&server).send(&mail).await.unwrap_err();
        assert_eq!(error.failure, MailFailure::Later, "{error}");
    }

    #[rocket::async_test]
    async fn a_refusal_is_told_by_its_step() {
        use Behaviour::Says;
        use MailFailure::{Down, Later, Refused};
        let server = SmtpServer::start().await;
        for (how, expected) in [
            (Behaviour::RefuseRecipient, Refused),
            (Behaviour::TryLater, Later),
            (Behaviour::Busy, Down),
            (Behaviour::DropAfterData, Down),
            (Says("EHLO", "554 5.7.1 go away"), Down),
            (Says("MAIL", "550 5.1.8 no such sender"), Later),
            (Says("MAIL", "530 5.7.0 who are you?"), Down),
            (Says("MAIL", "451 4.3.0 later"), Later),
            (Says("RCPT", "550 nobody"), Refused),
            (Says("RCPT", "550 5.7.1 relaying denied"), Later),
            (Says("RCPT", "553 5.1.8 no such sender"), Later),
            (Says("RCPT", "421 4.7.0 enough"), Down),
            (Says("DATA", "554 5.5.1 nobody to send to"), Refused),
            (Says("MESSAGE", "452 4.3.1 disk full"), Later),
            (Says("MESSAGE", "554 5.7.1 it is spam"), Refused),
            (Says("MESSAGE", "hello?"), Down),
        ] {
            let smtp = smtp(&server);
            server.answer(how);
            let (failure, why) = failure(&smtp).await;
            assert_eq!(failure, expected, "{how:?}: {why}");
            assert!(why.contains(&server.port().to_string()), "{why}");
            server.answer(Behaviour::Accept);
            smtp.send(&mail()).await.unwrap();
        }
    }

    #[rocket::async_test]
    async fn what_a_server_quotes_is_not_repeated() {
        let server = SmtpServer::start().await;
        server.answer(Behaviour::Says(
            "MESSAGE",
            "554 5.7.1 bad link https://secret",
        ));
        let (_, why) = failure(&smtp(&server)).await;
        assert!(why.ends_with("refused the mail: 554 5.7.1"), "{why}");
        server.answer(Behaviour::Says("MESSAGE", "https://secret"));
        let (_, why) = failure(&smtp(&server)).await;
        assert!(!why.contains("secret"), "{why}");
        server.answer(Behaviour::Says(
            "RCPT",
            "550-5.1.1 nobody\n550 5.1.1 \u{7}here",
        ));
        let (_, why) = failure(&smtp(&server)).await;
        assert!(
            why.ends_with("refused the recipient: 550 5.1.1 nobody here"),
            "{why}"
        );
    }

    #[rocket::async_test]
    async fn a_server_that_says_nothing_is_down_in_time() {
        let server = SmtpServer::start().await;
        server.answer(Behaviour::Silent);
        let settings = MailSettings {
            timeout: crate::types::NonZeroDuration::at_least(Duration::from_secs(1)),
            ..settings(&server, Encryption::None)
        };
        let since = Instant::now();
        let all = [Encryption::None, Encryption::Starttls, Encryption::Tls].map(|encryption| {
            let smtp = new(&MailSettings {
                encryption,
                ..settings.clone()
            });
            async move { (smtp.send(&mail()).await, smtp.check().await) }
        });
        for (sent, checked) in join_all(all).await {
            let error = sent.unwrap_err();
            assert_eq!(error.failure, MailFailure::Down);
            assert!(error.why.contains("within 1 s"), "{error}");
            assert!(checked.is_err());
        }
        assert!(since.elapsed() < Duration::from_secs(5));
    }

    #[rocket::async_test]
    async fn a_server_that_is_not_there_is_down() {
        let server = SmtpServer::start().await;
        let (plain, starttls) = (smtp(&server), settings(&server, Encryption::Starttls));
        plain.send(&mail()).await.unwrap();
        let port = server.port();
        server.stop();
        assert_eq!(failure(&plain).await.0, MailFailure::Down);
        assert_eq!(failure(&new(&starttls)).await.0, MailFailure::Down);
        // The connection that rested is gone, and a new one is made.
        let server = SmtpServer::start_on(port).await;
        plain.send(&mail()).await.unwrap();
        assert_eq!(server.received().len(), 1);
    }

    #[rocket::async_test]
    async fn the_password_is_taken_or_all_mails_wait() {
        for plain in [true, false] {
            let offers = Offers {
                auth: Some(("ada", "sesame")),
                plain,
                ..Offers::default()
            };
            let server = SmtpServer::start_with(offers).await;
            let with = |password: &str| {
                new(&MailSettings {
                    username: Some("ada".into()),
                    password: Some(Secret::new(password.to_string())),
                    ..settings(&server, Encryption::None)
                })
            };
            with("sesame").send(&mail()).await.unwrap();
            let said = with("sesame").check().await.unwrap();
            assert!(
                said.contains(&format!("127.0.0.1:{}", server.port())),
                "{said}"
            );
            let (is, why) = failure(&with("simsim")).await;
            assert_eq!(is, MailFailure::Down);
            assert!(
                why.ends_with("refused the user name and password: 535 5.7.8"),
                "{why}"
            );
            assert!(with("simsim").check().await.is_err());
            assert_eq!(failure(&smtp(&server)).await.0, MailFailure::Down);
            assert_eq!(server.received().len(), 1);
        }
    }
}
