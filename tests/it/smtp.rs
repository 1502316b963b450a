//! The server that mails are sent to in tests, held to the protocol by a client that knows nothing of it.
//!
//! The mailer itself is tested where it is, in `src/notify/smtp`, with the same server.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use crate::smtp_server::{Behaviour, SmtpServer};

struct Client(BufReader<TcpStream>);

impl Client {
    fn to(server: &SmtpServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    /// Says something and hears the last line of the answer; empty where the server hung up.
    fn say(&mut self, text: &str) -> String {
        write!(self.0.get_mut(), "{text}\r\n").unwrap();
        self.hear()
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.0.read_line(&mut line).unwrap() > 0 && line.as_bytes()[3] == b'-' {
            line.clear();
        }
        line.trim_end().to_string()
    }
}

const MAIL: &str = "From: a@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
    Message-ID: <1@example.com>\r\n\r\n..hidden\r\n  123456 \r\n see https://example.com/no\r\n\
    https://example.com/yes\r\n.";

#[rocket::async_test]
async fn the_server_takes_a_mail_apart() {
    let server = SmtpServer::start().await;
    let mut client = Client::to(&server);
    assert_eq!(client.hear(), "220 test.invalid ESMTP");
    assert_eq!(client.say("EHLO me"), "250 ENHANCEDSTATUSCODES");
    assert!(client.say("DATA").starts_with("503"));
    assert!(client.say("MAIL FROM:<a@example.com>").starts_with("250"));
    assert!(client.say("RCPT TO:<b@example.com>").starts_with("250"));
    assert!(client.say("RCPT TO:<c@example.com>").starts_with("250"));
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say(MAIL).starts_with("250"));
    let mail = server.newest_to("c@example.com");
    assert_eq!(mail.from, "a@example.com");
    assert_eq!(mail.recipients, ["b@example.com", "c@example.com"]);
    assert_eq!(mail.subject, "Grüße");
    assert_eq!(mail.message_id, "1@example.com");
    assert!(mail.text.starts_with(".hidden\r\n"), "{}", mail.text);
    assert_eq!(mail.code(), "123456");
    assert_eq!(mail.links(), ["https://example.com/yes"]);
    assert!(client.say("QUIT").starts_with("221"));
    assert_eq!(client.hear(), "");
}

#[rocket::async_test]
async fn the_server_can_be_unwell_and_come_back() {
    let server = SmtpServer::start().await;
    let mut client = Client::to(&server);
    client.hear();
    client.say("MAIL FROM:<a@example.com>");
    for (how, code) in [
        (Behaviour::RefuseRecipient, "550"),
        (Behaviour::TryLater, "451"),
        (Behaviour::Accept, "250"),
    ] {
        server.answer(how);
        let answer = client.say("RCPT TO:<b@example.com>");
        assert!(answer.starts_with(code), "{how:?}: {answer}");
    }
    server.answer(Behaviour::DropAfterData);
    client.say("DATA");
    assert_eq!(client.say(MAIL), "");
    assert!(server.received().is_empty());
    server.answer(Behaviour::Busy);
    assert!(Client::to(&server).hear().starts_with("421"));

    let port = server.port();
    server.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let server = SmtpServer::start_on(port).await;
    assert!(Client::to(&server).hear().starts_with("220"));
    assert_eq!(server.connections(), 1);
}
