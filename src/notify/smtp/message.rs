//! The message of a mail, as `lettre` makes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{self, HeaderName, HeaderValue, MessageId},
    },
};

use crate::{
    identity::sender::{Sender, mailable},
    notify::mailer::{Mail, MailError},
    types::Timestamp,
};

/// The message as it is sent, and as it stands in an `.eml` file.
pub(crate) fn message(mail: &Mail) -> Result<Message, MailError> {
    let refused = |what: &str| MailError::refused(format!("{what}, so it cannot be sent"));
    let to = address(&mail.to).ok_or_else(|| refused("the recipient is no address"))?;
    let from = mailbox(&mail.from).ok_or_else(|| refused("the sender is no address"))?;
    if mail.subject.contains(char::is_control) {
        return Err(refused("the subject is more than a line"));
    }
    let id = mail.message_id.as_str();
    if !id.contains('@')
        || !id
            .chars()
            .all(|c| c.is_ascii_graphic() && !"<>".contains(c))
    {
        return Err(refused("the message id is none"));
    }
    // Given as it is: lettre would read it from the headers again, by its own rule.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])
        .map_err(|_| refused("it has no recipient"))?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .date(system_time(mail.at))
        .from(Mailbox::new(
            None,
            Address::new_dangerous("from", "host.invalid"),
        ))
        .to(to.into());
    if let Some(reply_to) = &mail.reply_to {
        let reply_to =
            mailbox(reply_to).ok_or_else(|| refused("the address for answers is none"))?;
        builder = builder.reply_to(reply_to);
    }
    let builder = builder
        .header(MessageId::from(format!("<{id}>")))
        .subject(mail.subject.as_str())
        // No "I am on holiday" comes back (RFC 3834); the second is what Exchange looks at.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Auto-Response-Suppress", "All"));
    let (text, html) = (mail.text.clone(), mail.html.clone());
    let message = match (text.is_empty(), html.is_empty()) {
        (false, true) => builder.singlepart(SinglePart::plain(text)),
        (true, false) => builder.singlepart(SinglePart::html(html)),
        _ => builder.multipart(MultiPart::alternative_plain_html(text, html)),
    };
    let mut message = message.map_err(|_| refused("it makes no message"))?;
    // Set last: while it builds, lettre reads the sender again, and refuses address literals such as `[127.0.0.1]`.
    message
        .headers_mut()
        .set(header::From::from(Mailboxes::from(from)));
    Ok(message)
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.into())
}

/// One bare address, by the rule that accounts are made by.
fn address(text: &str) -> Option<Address> {
    let (local, domain) = mailable(text)?;
    // lettre's own rule refuses letters that RFC 6531 allows, such as the vowel signs of Hindi. Ours lets nothing
    // through by which a command could end.
    Some(Address::new_dangerous(local, domain))
}

/// `address` or `Name <address>`; lettre quotes or encodes the name.
fn mailbox(text: &str) -> Option<Mailbox> {
    let sender = Sender::read(text)?;
    let address = Address::new_dangerous(sender.local, sender.domain);
    Some(Mailbox::new(sender.name, address))
}

/// Within the years that a date can be written for: the clock may be an application's own.
fn system_time(at: Timestamp) -> SystemTime {
    const YEAR_9999: u64 = 253_370_764_800;
    let millis = u64::try_from(at.as_millis()).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(millis.min(YEAR_9999 * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::sender::can_send_from,
        notify::{
            mailer::MailFailure,
            smtp::{smtp_server::Received, testing::mail},
            transport::mailer,
        },
        settings::{MailSettings, Transport},
    };

    #[test]
    fn a_sender_that_passes_makes_a_message() {
        let local = "!#$%&'*+-/=?^_`{|}~azAZ09é本";
        let all = local.chars().chain(('\u{80}'..'\u{3000}').step_by(7));
        let all = all.chain("संपर्क🙂א".chars()).map(String::from);
        let mut refused = Vec::new();
        for local in all.chain(["a.b".into(), "संपर्क".into(), "x".repeat(64)]) {
            let sender = format!("{local}@example.com");
            if mailable(&sender).is_none() {
                continue;
            }
            let written = format!("Site <{sender}>");
            let message = message(&Mail {
                from: written.clone(),
                reply_to: Some(written.clone()),
                ..mail()
            });
            assert!(message.is_ok(), "{sender}");
            let is_known = sender.parse::<Address>().is_ok();
            assert_eq!(can_send_from(&written), is_known, "{sender}");
            refused.extend((!is_known).then_some(sender));
        }
        assert!(refused.contains(&"संपर्क@example.com".to_string()));
        for good in [
            "no-reply@example.com",
            "Bücher & Co. (Support) <josé+news@bücher.example>",
            "\"a@b.de <x>\" <a@b.de>",
            "root@localhost",
            "no-reply@[127.0.0.1]",
            "no-reply@[IPv6:::1]",
            "本@example.com",
        ] {
            assert!(can_send_from(good), "{good}");
            let message = message(&Mail {
                from: good.into(),
                reply_to: Some(good.into()),
                ..mail()
            });
            let text = String::from_utf8_lossy(&message.unwrap().formatted()).into_owned();
            assert!(!text.contains("host.invalid"), "{text}");
            assert_eq!(text.matches("From: ").count(), 1, "{text}");
            let sender = Sender::read(good).unwrap();
            let address = format!("{}@{}", sender.local, sender.domain);
            assert!(text.contains(&address), "{text}");
        }
    }

    #[test]
    fn nothing_is_smuggled_in() {
        assert!(message(&mail()).is_ok());
        type Change = fn(&mut Mail, String);
        let changes: [(&str, Change); 5] = [
            ("ada@example.com", |mail, text| mail.to = text),
            ("Ada <ada@example.com>", |mail, text| mail.from = text),
            ("ada@example.com", |mail, text| mail.reply_to = Some(text)),
            ("Hello", |mail, text| mail.subject = text),
            ("1@example.com", |mail, text| mail.message_id = text),
        ];
        for (good, change) in changes {
            for bad in [
                format!("{good}\r\nBcc: eve@example.com"),
                format!("{good}\nBcc: eve@example.com"),
                format!("{good}\r"),
                format!("{good}\0"),
                format!("Bcc: eve@example.com\r\n{good}"),
            ] {
                let mut mail = mail();
                change(&mut mail, bad.clone());
                let error = message(&mail).map(drop).unwrap_err();
                assert_eq!(error.failure, MailFailure::Refused, "{bad:?}");
                assert!(!error.why.contains("eve"), "{}", error.why);
            }
        }
        for to in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example.com,eve@example.com",
            "ada@example.com, eve@example.com",
            "ada@example.com;eve@example.com",
            "ada@example.com eve@example.com",
            "ada@example.com> <eve@example.com",
            "<ada@example.com>",
            "Ada <ada@example.com>",
            "\"ada@example.com, eve\"@example.com",
            "\"a\\\"b\"@example.com",
            "ada@example.com>\u{2028}RCPT TO:<eve@example.com",
            "ada@eve@example.com",
            "ada(eve)@example.com",
        ] {
            assert!(address(to).is_none(), "{to}");
            assert!(
                message(&Mail {
                    to: to.into(),
                    ..mail()
                })
                .is_err(),
                "{to}"
            );
        }
        for from in [
            "Ada <ada@example.com>, Eve <eve@example.com>",
            "Ada <ada@example.com> <eve@example.com>",
            "ada@example.com, Eve <eve@example.com>",
            "Ada <ada@example.com",
            "Ada ada@example.com",
            "\"Ada\" Eve <ada@example.com>",
        ] {
            assert!(mailbox(from).is_none(), "{from}");
        }
    }

    #[test]
    fn addresses_of_all_the_world() {
        for (written, sent) in [
            ("o'neil+tag@example.com", "o'neil+tag@example.com"),
            ("root@localhost", "root@localhost"),
            ("josé@example.com", "josé@example.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("no-reply@127.0.0.1", "no-reply@127.0.0.1"),
        ] {
            assert_eq!(address(written).unwrap().to_string(), sent);
        }
    }

    #[rocket::async_test]
    async fn a_file_is_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = mailer(
            &MailSettings {
                transport: Transport::File,
                folder: folder.path().join("mails"),
                ..MailSettings::default()
            },
            "site.example".into(),
            false,
        );
        mailer.send(&mail()).await.unwrap();
        let mut files = std::fs::read_dir(folder.path().join("mails")).unwrap();
        let path = files.next().unwrap().unwrap().path();
        assert_eq!(path.extension().unwrap(), "eml");
        let raw = std::fs::read(path).unwrap();
        let received = Received::parse(String::new(), Vec::new(), &raw);
        assert_eq!(received.subject, mail().subject);
        assert_eq!(received.text.replace("\r\n", "\n"), mail().text);
        assert_eq!(received.message_id, mail().message_id);
        assert!(files.next().is_none());
    }

    #[test]
    fn a_clock_that_is_off_makes_no_panic() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert!(message(&Mail { at, ..mail() }).is_ok(), "{millis}");
        }
    }
}
