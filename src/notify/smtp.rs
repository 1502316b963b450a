//! Mails by SMTP: `lettre` makes the message and speaks the protocol.
//!
//! The conversation is led step by step, because what a refusal means depends on the step that it answers:
//!
//! | step                                | answer                              | [`MailFailure`] |
//! |-------------------------------------|-------------------------------------|-----------------|
//! | any                                 | none in time, broken off, 421       | `Down`          |
//! | any                                 | 530, 534, 535, 538 (RFC 4954)       | `Down`          |
//! | connect, greeting, TLS, EHLO, AUTH  | any other refusal                   | `Down`          |
//! | MAIL FROM                           | any other refusal                   | `Later`         |
//! | RCPT TO                             | 4xx                                 | `Later`         |
//! | RCPT TO                             | 5xx about us: x.1.7, x.1.8, x.7.x   | `Later`         |
//! | RCPT TO                             | any other 5xx                       | `Refused`       |
//! | DATA and the message                | 4xx                                 | `Later`         |
//! | DATA and the message                | 5xx                                 | `Refused`       |
//!
//! Many servers say what they have against a sender at RCPT TO only, so there the enhanced code (RFC 3463)
//! decides: a bad sender or a policy says nothing against the recipient. A server that sends no enhanced
//! codes cannot be told apart, and its 5xx counts against the recipient.
//!
//! What is not promised: that a mail arrives once. Where a connection breaks after the message and before the
//! answer, nobody knows whether the server took it; it is sent again with the same `Message-ID`.

use std::{
    error::Error as _,
    io, mem,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{self, HeaderName, HeaderValue, MessageId},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, Tls, TlsParameters},
        commands,
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::{sleep, timeout},
};

use super::mail::{Mail, MailError, MailFailure, Mailer};
use crate::{
    identity::sender::{Sender, mailable},
    settings::{Encryption, MailSettings},
    store::cut,
    types::Timestamp,
};

/// A connection that rested so long is closed.
const REST: Duration = Duration::from_secs(60);
/// How long one that rested may take to say that it is still there, before a new one is made.
const REVIVAL: Duration = Duration::from_secs(3);

// The message.

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

// The mailer.

/// Hands mails to a server. It connects when there is something to send, keeps connections for a while, and
/// never has more than `connections` of them.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    encryption: Encryption,
    /// The name that this site gives.
    ehlo: ClientId,
    /// Whether the server has to take addresses beyond ASCII.
    international: bool,
    credentials: Option<Credentials>,
    timeout: Duration,
    /// Made when first needed: the system's certificates are many files.
    tls: OnceCell<Tls>,
    slots: Semaphore,
    resting: Arc<Mutex<Resting>>,
}

/// Connections that nobody uses just now.
#[derive(Default)]
struct Resting {
    connections: Vec<(Instant, AsyncSmtpConnection)>,
    /// Whether somebody looks after those that rest too long.
    watched: bool,
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail)?;
        // Waiting for a slot says nothing about the server, so it does not count.
        let _slot = self.slots.acquire().await;
        self.in_time(self.deliver(&message)).await
    }

    async fn check(&self) -> Result<String, MailError> {
        self.in_time(async {
            let mut connection = self.connect().await?;
            let noop = connection.command(commands::Noop).await;
            let international = takes_international(&connection);
            close(connection);
            noop.map_err(|error| self.failure(Step::Connect, &error))?;
            match self.international && !international {
                true => Err(MailError::refused(format!(
                    "{} does not offer SMTPUTF8, which `security.emails.international` needs",
                    self.server()
                ))),
                false => Ok(()),
            }
        })
        .await?;
        let how = match self.encryption {
            Encryption::Starttls => "over STARTTLS",
            Encryption::Tls => "over TLS",
            Encryption::None => "without encryption",
        };
        let who = match self.credentials {
            Some(_) => "takes the user name and password",
            None => "asks for no password",
        };
        Ok(format!(
            "mails go by SMTP to {}, which answers {how} and {who}",
            self.server()
        ))
    }
}

impl Smtp {
    /// Connects to nobody yet.
    pub(crate) fn new(settings: &MailSettings, host: String, international: bool) -> Self {
        let port = match settings.encryption {
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        };
        let credentials = match (&settings.username, &settings.password) {
            (Some(name), Some(password)) => {
                Some(Credentials::new(name.clone(), password.expose().clone()))
            }
            _ => None,
        };
        Self {
            host: settings
                .host
                .as_deref()
                .unwrap_or_default()
                .trim()
                .to_string(),
            port: settings.port.unwrap_or(port),
            encryption: settings.encryption,
            // A text, which is checked: lettre writes a domain as it is.
            ehlo: ClientId::Domain(settings.ehlo.clone().unwrap_or(host)),
            international,
            credentials,
            timeout: settings.timeout.as_duration(),
            tls: OnceCell::new(),
            slots: Semaphore::new(usize::try_from(settings.connections).unwrap_or(1).max(1)),
            resting: Arc::default(),
        }
    }

    fn server(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The times that lettre keeps are those of connecting only.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, MailError>>,
    ) -> Result<T, MailError> {
        timeout(self.timeout, work).await.unwrap_or_else(|_| {
            Err(MailError::down(format!(
                "{} did not answer within {} s",
                self.server(),
                self.timeout.as_secs()
            )))
        })
    }

    async fn deliver(&self, message: &Message) -> Result<(), MailError> {
        let mut connection = self.connection().await?;
        let outcome = self.converse(&mut connection, message).await;
        match &outcome {
            Ok(()) => self.rest(connection),
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
                let why = format!("{} takes addresses in ASCII only", self.server());
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
        let failed = |step| move |error| self.failure(step, &error);
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

    /// A failed step as an error. A server that has seen the message or the password may quote it, so its words
    /// are left out there.
    fn failure(&self, step: Step, error: &Error) -> MailError {
        let server = self.server();
        let Some(code) = error.status().map(u16::from) else {
            // What a parser says quotes what it read.
            let why = match error.is_response() {
                true => "it broke off, or what it answered is no SMTP".into(),
                false => error.to_string(),
            };
            return MailError::down(format!("{server} failed at {}: {why}", step.what()));
        };
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let enhanced = enhanced(&said);
        let words = match step {
            Step::Auth | Step::Message => enhanced.unwrap_or_default().to_string(),
            Step::Connect | Step::Sender | Step::Recipient => cut(&said, 200),
        };
        MailError {
            failure: judge(step, code, enhanced),
            why: format!("{server} refused {}: {code} {words}", step.what())
                .trim_end()
                .into(),
        }
    }

    // Connections.

    /// One that rested and is still there, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        loop {
            let rested = self.resting().connections.pop();
            let Some((_, mut connection)) = rested else {
                return self.connect().await;
            };
            // One that a firewall forgot would keep us waiting for the whole of the time.
            if timeout(REVIVAL.min(self.timeout / 4), connection.test_connected()).await == Ok(true)
            {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let failed = |step| move |error| self.failure(step, &error);
        let hello = &self.ehlo;
        let server = (self.host.as_str(), self.port);
        let tls = self
            .tls
            .get_or_try_init(|| make_tls(self.encryption, self.host.clone()))
            .await?;
        let mut connection = match tls {
            Tls::Required(parameters) => {
                let stream = self.dial().await.map_err(|error| {
                    MailError::down(format!("{} cannot be reached: {error}", self.server()))
                })?;
                let mut connection = AsyncSmtpConnection::connect_with_transport(stream, hello)
                    .await
                    .map_err(failed(Step::Connect))?;
                if !connection.can_starttls() {
                    close(connection);
                    return Err(MailError::down(format!(
                        "{} does not offer STARTTLS, without which nothing is sent",
                        self.server()
                    )));
                }
                connection
                    .starttls(parameters.clone(), hello)
                    .await
                    .map_err(failed(Step::Connect))?;
                connection
            }
            Tls::Wrapper(parameters) => {
                let (patience, tls) = (Some(self.per_address()), Some(parameters.clone()));
                AsyncSmtpConnection::connect_tokio1(server, patience, hello, tls, None)
                    .await
                    .map_err(failed(Step::Connect))?
            }
            _ => {
                let patience = Some(self.per_address());
                AsyncSmtpConnection::connect_tokio1(server, patience, hello, None, None)
                    .await
                    .map_err(failed(Step::Connect))?
            }
        };
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(failed(Step::Auth))?;
        }
        Ok(connection)
    }

    /// So that a name with an address which swallows everything still has time for another.
    fn per_address(&self) -> Duration {
        self.timeout / 3
    }

    async fn dial(&self) -> io::Result<Box<Lines>> {
        let mut last = io::Error::other("the name has no address");
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match timeout(self.per_address(), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Box::new(Lines::new(stream))),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for the next mail. There are no more than slots, since its user has one.
    fn rest(&self, connection: AsyncSmtpConnection) {
        let mut resting = self.resting();
        resting.connections.push((Instant::now(), connection));
        if !mem::replace(&mut resting.watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.resting)));
        }
    }
}

/// Closes what rests too long, as long as anything rests.
async fn watch(resting: Weak<Mutex<Resting>>) {
    loop {
        sleep(REST).await;
        let Some(resting) = resting.upgrade() else {
            return;
        };
        let mut resting = resting.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, fresh) = mem::take(&mut resting.connections)
            .into_iter()
            .partition::<Vec<_>, _>(|(since, _)| since.elapsed() >= REST);
        resting.connections = fresh;
        old.into_iter()
            .for_each(|(_, connection)| close(connection));
        if resting.connections.is_empty() {
            resting.watched = false;
            return;
        }
    }
}

/// Whether a server takes letters beyond ASCII in addresses (RFC 6531).
fn takes_international(connection: &AsyncSmtpConnection) -> bool {
    let server = connection.server_info();
    [Extension::SmtpUtfEight, Extension::EightBitMime]
        .into_iter()
        .all(|extension| server.supports_feature(extension))
}

/// Says goodbye, which nobody waits for.
fn close(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move { timeout(REVIVAL, connection.abort()).await });
}

async fn make_tls(encryption: Encryption, host: String) -> Result<Tls, MailError> {
    if encryption == Encryption::None {
        return Ok(Tls::None);
    }
    let parameters = tokio::task::spawn_blocking(move || TlsParameters::new(host))
        .await
        .map_err(|error| MailError::down(error.to_string()))?
        .map_err(|error| MailError::down(error.to_string()))?;
    Ok(match encryption {
        Encryption::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

/// Where in the conversation something went wrong.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Up to the second EHLO.
    Connect,
    Auth,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA and what follows.
    Message,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Self::Connect => "the connection",
            Self::Auth => "the user name and password",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Message => "the mail",
        }
    }
}

/// What a refusal means; see the table at the top.
fn judge(step: Step, code: u16, enhanced: Option<&str>) -> MailFailure {
    let about_us = enhanced.is_some_and(|code| {
        let (_, rest) = code.split_once('.').unwrap_or_default();
        matches!(rest, "1.7" | "1.8") || rest.starts_with("7.")
    });
    match (step, code) {
        (Step::Connect | Step::Auth, _) | (_, 421 | 530 | 534 | 535 | 538) => MailFailure::Down,
        (Step::Sender, _) | (_, ..500) => MailFailure::Later,
        (Step::Recipient, _) if about_us => MailFailure::Later,
        (Step::Recipient | Step::Message, _) => MailFailure::Refused,
    }
}

/// The enhanced status code (RFC 3463) that an answer begins with.
fn enhanced(said: &str) -> Option<&str> {
    let first = said.split(' ').next()?;
    let parts = first.split('.');
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (parts.clone().count() == 3 && parts.into_iter().all(number)).then_some(first)
}

/// A connection that is read line by line until TLS begins.
///
/// What somebody on the way puts behind the server's "go ahead" must reach the TLS handshake, which it breaks, and
/// not lie in a buffer to be taken for an answer that came encrypted. A buffer can only hold what it was given, so
/// it is given single bytes; from the first byte of our handshake on, whatever comes.
#[derive(Debug)]
struct Lines {
    stream: TcpStream,
    encrypted: bool,
}

impl Lines {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            encrypted: false,
        }
    }
}

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.encrypted || buf.remaining() == 0 {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The type of a handshake record (RFC 8446, section 5.1), with which no command begins.
        self.encrypted |= buf.first() == Some(&0x16);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "../../tests/it/smtp_server.rs"]
mod smtp_server;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test wants to fail loudly")]
mod tests {
    use lettre::transport::smtp::client::Certificate;

    use super::{
        smtp_server::{Behaviour, Offers, SmtpServer, certificate},
        *,
    };
    use crate::identity::sender::can_send_from;
    use crate::{secrets::Secret, settings::Transport, types::Life};

    fn mail() -> Mail {
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

    fn settings(server: &SmtpServer, encryption: Encryption) -> MailSettings {
        MailSettings {
            transport: Transport::Smtp,
            host: Some("127.0.0.1".into()),
            port: Some(server.port()),
            encryption,
            timeout: Life::seconds(5),
            ..MailSettings::default()
        }
    }

    fn new(settings: &MailSettings) -> Smtp {
        Smtp::new(settings, "site.example".into(), false)
    }

    fn smtp(server: &SmtpServer) -> Smtp {
        new(&settings(server, Encryption::None))
    }

    /// Trusts the server, which nothing outside of tests can be made to do.
    fn trusting(server: &SmtpServer, encryption: Encryption) -> Smtp {
        let parameters = TlsParameters::builder("127.0.0.1".into())
            .add_root_certificate(Certificate::from_pem(certificate().as_bytes()).unwrap())
            .build()
            .unwrap();
        Smtp {
            tls: OnceCell::new_with(Some(match encryption {
                Encryption::Tls => Tls::Wrapper(parameters),
                _ => Tls::Required(parameters),
            })),
            ..new(&settings(server, encryption))
        }
    }

    async fn failure(smtp: &Smtp) -> (MailFailure, String) {
        let error = smtp.send(&mail()).await.unwrap_err();
        (error.failure, error.why)
    }

    #[rocket::async_test]
    async fn a_mail_arrives_as_it_was_written() {
        let server = SmtpServer::start().await;
        let mail = mail();
        smtp(&server).send(&mail).await.unwrap();
        let received = server.wait_for_mail_to("ada@example.com").await;
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
        let mailer = crate::notify::mail::mailer(
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
        let received = smtp_server::Received::parse(String::new(), Vec::new(), &raw);
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
            timeout: Life::seconds(1),
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
        for (sent, checked) in rocket::futures::future::join_all(all).await {
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
    async fn connections_are_kept_and_counted() {
        let server = SmtpServer::start().await;
        let one = smtp(&server);
        for _ in 0..3 {
            one.send(&mail()).await.unwrap();
        }
        assert_eq!(server.connections(), 1);
        let two = new(&MailSettings {
            connections: 2,
            ..settings(&server, Encryption::None)
        });
        let mail = mail();
        let sent = rocket::futures::future::join_all((0..20).map(|_| two.send(&mail))).await;
        assert!(sent.iter().all(Result::is_ok));
        assert_eq!(server.connections(), 3);
        assert_eq!(server.received().len(), 23);
    }

    #[rocket::async_test]
    async fn a_connection_that_hangs_costs_no_mail() {
        let server = SmtpServer::start().await;
        let smtp = smtp(&server);
        smtp.send(&mail()).await.unwrap();
        // This one falls silent for good.
        server.answer(Behaviour::Silent);
        let mut rested = smtp.resting().connections.pop().unwrap().1;
        let noop = rested.command(commands::Noop);
        assert!(timeout(Duration::from_millis(100), noop).await.is_err());
        smtp.rest(rested);
        server.answer(Behaviour::Accept);
        smtp.send(&mail()).await.unwrap();
        assert_eq!(server.received().len(), 2);
    }

    #[test]
    fn the_mailer_may_outlive_its_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (smtp, _server) = runtime.block_on(async {
            let server = SmtpServer::start().await;
            let smtp = smtp(&server);
            smtp.send(&mail()).await.unwrap();
            (smtp, server)
        });
        drop(runtime);
        drop(smtp);
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
            let (failure, why) = failure(&with("simsim")).await;
            assert_eq!(failure, MailFailure::Down);
            assert!(
                why.ends_with("refused the user name and password: 535 5.7.8"),
                "{why}"
            );
            assert!(with("simsim").check().await.is_err());
            assert_eq!(
                super::tests::failure(&smtp(&server)).await.0,
                MailFailure::Down
            );
            assert_eq!(server.received().len(), 1);
        }
    }

    #[rocket::async_test]
    async fn starttls_is_demanded() {
        let server = SmtpServer::start().await;
        let (failure, why) = failure(&trusting(&server, Encryption::Starttls)).await;
        assert_eq!(failure, MailFailure::Down);
        assert!(why.contains("does not offer STARTTLS"), "{why}");
        assert!(server.received().is_empty());
    }

    #[rocket::async_test]
    async fn mails_go_encrypted_to_a_server_that_is_trusted() {
        for encryption in [Encryption::Starttls, Encryption::Tls] {
            let server = SmtpServer::start_with(Offers {
                starttls: encryption == Encryption::Starttls,
                tls: encryption == Encryption::Tls,
                ..Offers::default()
            })
            .await;
            let smtp = trusting(&server, encryption);
            smtp.send(&mail()).await.unwrap();
            smtp.send(&mail()).await.unwrap();
            assert!(smtp.check().await.is_ok());
            assert_eq!(server.received().len(), 2);

            let (failure, why) = failure(&new(&settings(&server, encryption))).await;
            assert_eq!(failure, MailFailure::Down);
            assert!(why.contains("certificate"), "{why}");
            assert_eq!(server.received().len(), 2);
        }
    }

    #[rocket::async_test]
    async fn answers_from_before_tls_are_not_believed() {
        let server = SmtpServer::start_with(Offers {
            starttls: true,
            injected: "\n250-test.invalid\n250 8BITMIME",
            ..Offers::default()
        })
        .await;
        let (failure, why) = failure(&trusting(&server, Encryption::Starttls)).await;
        assert_eq!(failure, MailFailure::Down, "{why}");
        assert!(server.received().is_empty());
    }
}
