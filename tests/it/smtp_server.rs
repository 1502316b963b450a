//! An SMTP server that keeps what it gets, on a thread and a runtime of its own.
//!
//! The tests of the library share this file with those of `src/notify/smtp`.
#![allow(dead_code, reason = "each of the two uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test wants to fail loudly, and nobody links against it"
)]

use std::{
    future::pending,
    io,
    net::TcpListener as Bound,
    sync::{Arc, Mutex, OnceLock},
    thread::{self, JoinHandle},
};

use data_encoding::BASE64;
use mailparse::MailHeaderMap;
use rocket::tokio::{
    self,
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::oneshot,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, pki_types},
};

/// Dropping it stops it, and every conversation with it.
pub struct SmtpServer {
    port: u16,
    shared: Arc<Shared>,
    /// Dropped before the thread is joined: that is the sign to end.
    life: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server does with those who come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Accept,
    /// 550 to every recipient.
    RefuseRecipient,
    /// 451 to every recipient.
    TryLater,
    /// 421 to everything, and good bye.
    Busy,
    /// Takes the connection and never says a word.
    Silent,
    /// Takes the whole mail and hangs up instead of saying so; the mail is not kept.
    DropAfterData,
    /// Says this to the command that begins with the first.
    Says(&'static str, &'static str),
}

/// What the server can do.
#[derive(Clone, Debug)]
pub struct Offers {
    pub starttls: bool,
    /// TLS from the first byte.
    pub tls: bool,
    /// Only whoever knows these may send.
    pub auth: Option<(&'static str, &'static str)>,
    /// Whether AUTH has PLAIN; LOGIN it always has.
    pub plain: bool,
    /// 8BITMIME and SMTPUTF8.
    pub utf8: bool,
    /// Sent in the clear with the answer to STARTTLS, as somebody on the way would.
    pub injected: &'static str,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            starttls: false,
            tls: false,
            auth: None,
            plain: true,
            utf8: true,
            injected: "",
        }
    }
}

/// A mail that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub recipients: Vec<String>,
    pub raw: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Without the angle brackets.
    pub message_id: String,
    /// Decoded.
    pub headers: Vec<(String, String)>,
}

struct Shared {
    offers: Offers,
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    greetings: Mutex<Vec<String>>,
}

impl SmtpServer {
    /// On a free port, without encryption or password.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// On the port of one that was stopped.
    pub async fn start_on(port: u16) -> Self {
        Self::bind(port, Offers::default())
    }

    pub async fn start_with(offers: Offers) -> Self {
        Self::bind(0, offers)
    }

    fn bind(port: u16, offers: Offers) -> Self {
        let bound = Bound::bind(("127.0.0.1", port)).expect("a port to listen on");
        bound.set_nonblocking(true).unwrap();
        let port = bound.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            offers,
            behaviour: Mutex::default(),
            received: Mutex::default(),
            connections: Mutex::default(),
            greetings: Mutex::default(),
        });
        let (life, end) = oneshot::channel();
        let for_thread = shared.clone();
        let thread = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(async {
                    tokio::select! {
                        _ = end => {}
                        () = listen(bound, for_thread) => {}
                    }
                });
        });
        Self {
            port,
            shared,
            life: Some(life),
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Refuses connections from now on.
    pub fn stop(self) {}

    pub fn answer(&self, how: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = how;
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// The names that clients gave, by EHLO.
    pub fn greetings(&self) -> Vec<String> {
        self.shared.greetings.lock().unwrap().clone()
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Those with this recipient, the oldest first.
    pub fn to(&self, address: &str) -> Vec<Received> {
        let is = |to: &String| to.eq_ignore_ascii_case(address);
        let mut received = self.received();
        received.retain(|mail| mail.recipients.iter().any(is));
        received
    }

    /// The newest one to an address. A mail is there as soon as its sender was told so.
    pub fn newest_to(&self, address: &str) -> Received {
        self.to(address).pop().unwrap_or_else(|| {
            let received = self.received().into_iter();
            let came: Vec<_> = received
                .map(|mail| (mail.recipients, mail.subject))
                .collect();
            panic!("no mail came to {address}, but {came:?}")
        })
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.life.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the server did not panic");
            }
        }
    }
}

impl Received {
    pub fn parse(from: String, recipients: Vec<String>, raw: &[u8]) -> Self {
        let mail = mailparse::parse_mail(raw).expect("a mail");
        let part = |kind: &str| {
            mail.parts()
                .find(|part| part.ctype.mimetype == kind)
                .map(|part| part.get_body().expect("a body"))
                .unwrap_or_default()
        };
        let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
        Self {
            from,
            recipients,
            raw: String::from_utf8_lossy(raw).into_owned(),
            subject: header("Subject"),
            text: part("text/plain"),
            html: part("text/html"),
            message_id: header("Message-ID")
                .trim_matches(['<', '>', ' '])
                .to_string(),
            headers: mail
                .headers
                .iter()
                .map(|header| (header.get_key(), header.get_value()))
                .collect(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every URL that stands alone on a line of the text part.
    pub fn links(&self) -> Vec<String> {
        self.text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("http://") || line.starts_with("https://"))
            .filter(|line| !line.contains(char::is_whitespace))
            .map(str::to_string)
            .collect()
    }

    /// The one line of the text part that is six digits and nothing else.
    pub fn code(&self) -> String {
        let is_code =
            |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        let codes: Vec<&str> = self.text.lines().map(str::trim).filter(is_code).collect();
        match codes.as_slice() {
            [code] => (*code).to_string(),
            _ => panic!("not one code, but {codes:?}, in:\n{}", self.text),
        }
    }
}

/// The certificate of every server, in PEM; nobody trusts it who was not told to.
pub fn certificate() -> String {
    let text = BASE64.encode(&identity().0);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// The certificate and its key.
fn identity() -> &'static (Vec<u8>, Vec<u8>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        (made.cert.der().to_vec(), made.signing_key.serialize_der())
    })
}

fn acceptor() -> TlsAcceptor {
    let (certificate, key) = identity();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone().into()],
            pki_types::PrivatePkcs8KeyDer::from(key.clone()).into(),
        )
        .expect("a certificate with its key");
    Arc::new(config).into()
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn listen(bound: Bound, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(bound).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        *shared.connections.lock().unwrap() += 1;
        let shared = shared.clone();
        tokio::spawn(async move {
            // A client that hangs up, or that does not trust us, is no failure here.
            let _ = Conversation::new(Box::new(stream), shared).hold().await;
        });
    }
}

struct Conversation {
    shared: Arc<Shared>,
    stream: BufReader<Box<dyn Stream>>,
    encrypted: bool,
    known: bool,
    from: Option<String>,
    recipients: Vec<String>,
}

impl Conversation {
    fn new(stream: Box<dyn Stream>, shared: Arc<Shared>) -> Self {
        Self {
            known: shared.offers.auth.is_none(),
            shared,
            stream: BufReader::new(stream),
            encrypted: false,
            from: None,
            recipients: Vec::new(),
        }
    }

    fn behaviour(&self) -> Behaviour {
        *self.shared.behaviour.lock().unwrap()
    }

    async fn say(&mut self, answer: &str) -> io::Result<()> {
        let answer = format!("{}\r\n", answer.replace('\n', "\r\n"));
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.flush().await
    }

    /// `None` where the client has hung up.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await?;
        Ok(line.ends_with(b"\r\n").then_some(line))
    }

    async fn encrypt(self, acceptor: TlsAcceptor) -> io::Result<Self> {
        let shared = self.shared.clone();
        let stream = acceptor.accept(self.stream.into_inner()).await?;
        Ok(Self {
            encrypted: true,
            ..Self::new(Box::new(stream), shared)
        })
    }

    async fn hold(mut self) -> io::Result<()> {
        if self.behaviour() == Behaviour::Silent {
            pending::<()>().await;
        }
        if self.shared.offers.tls {
            self = self.encrypt(acceptor()).await?;
        }
        if self.behaviour() == Behaviour::Busy {
            return self.say("421 too many of you").await;
        }
        self.say("220 test.invalid ESMTP").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            match self.behaviour() {
                Behaviour::Silent => pending::<()>().await,
                Behaviour::Busy => return self.say("421 too many of you").await,
                Behaviour::Says(to, answer) if to == verb => {
                    self.say(answer).await?;
                    continue;
                }
                _ => {}
            }
            match verb.as_str() {
                "EHLO" => {
                    let name = rest.to_string();
                    self.shared.greetings.lock().unwrap().push(name);
                    self.say(&self.offers()).await?
                }
                "HELO" => self.say("250 test.invalid").await?,
                "STARTTLS" if self.shared.offers.starttls && !self.encrypted => {
                    let injected = self.shared.offers.injected;
                    self.say(&format!("220 go ahead{injected}")).await?;
                    self = self.encrypt(acceptor()).await?;
                }
                "AUTH" => self.authenticate(rest).await?,
                "MAIL" if !self.known => self.say("530 5.7.0 who are you?").await?,
                "MAIL" => {
                    self.from = Some(path(rest));
                    self.recipients.clear();
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => match self.behaviour() {
                    Behaviour::RefuseRecipient => self.say("550 5.1.1 nobody of this name").await?,
                    Behaviour::TryLater => self.say("451 4.7.1 come back later").await?,
                    _ if self.from.is_none() => self.say("503 5.5.1 MAIL first").await?,
                    _ => {
                        self.recipients.push(path(rest));
                        self.say("250 2.1.5 ok").await?;
                    }
                },
                "DATA" if self.recipients.is_empty() => self.say("503 5.5.1 RCPT first").await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    let Some(raw) = self.data().await? else {
                        return Ok(());
                    };
                    if self.behaviour() == Behaviour::DropAfterData {
                        return Ok(());
                    }
                    let from = self.from.take().unwrap_or_default();
                    let recipients = std::mem::take(&mut self.recipients);
                    if let Behaviour::Says("MESSAGE", answer) = self.behaviour() {
                        self.say(answer).await?;
                        continue;
                    }
                    let mail = Received::parse(from, recipients, &raw);
                    self.shared.received.lock().unwrap().push(mail);
                    self.say("250 2.0.0 taken").await?;
                }
                "RSET" => {
                    self.from = None;
                    self.recipients.clear();
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 good bye").await,
                _ => self.say("502 5.5.2 what?").await?,
            }
        }
        Ok(())
    }

    fn offers(&self) -> String {
        let offers = &self.shared.offers;
        let mut lines = vec!["test.invalid"];
        if offers.starttls && !self.encrypted {
            lines.push("STARTTLS");
        }
        if offers.auth.is_some() {
            lines.push(match offers.plain {
                true => "AUTH PLAIN LOGIN",
                false => "AUTH LOGIN",
            });
        }
        if offers.utf8 {
            lines.extend(["8BITMIME", "SMTPUTF8"]);
        }
        lines.push("ENHANCEDSTATUSCODES");
        let last = lines.len() - 1;
        lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("250{}{line}", if at == last { " " } else { "-" }))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The message with the stuffing taken out, up to the lone dot.
    async fn data(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut raw = Vec::new();
        while let Some(line) = self.line().await? {
            if line == b".\r\n" {
                return Ok(Some(raw));
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        Ok(None)
    }

    async fn authenticate(&mut self, rest: &str) -> io::Result<()> {
        let Some((name, password)) = self.shared.offers.auth else {
            return self.say("502 5.5.1 no need").await;
        };
        let (mechanism, first) = rest.split_once(' ').unwrap_or((rest, ""));
        let first = match first {
            "" => None,
            first => Some(first.to_string()),
        };
        let right = match mechanism {
            "PLAIN" => {
                let said = self.ask("", first).await?;
                said == format!("\0{name}\0{password}")
            }
            "LOGIN" => {
                let said = self.ask("Username:", first).await?;
                said == name && self.ask("Password:", None).await? == password
            }
            _ => return self.say("504 5.5.4 by PLAIN or LOGIN").await,
        };
        self.known = right;
        match right {
            true => self.say("235 2.7.0 welcome").await,
            false => self.say("535 5.7.8 that is not it").await,
        }
    }

    async fn ask(&mut self, what: &str, said: Option<String>) -> io::Result<String> {
        let said = match said {
            Some(said) => said,
            None => {
                self.say(&format!("334 {}", BASE64.encode(what.as_bytes())))
                    .await?;
                let line = self.line().await?.unwrap_or_default();
                String::from_utf8_lossy(&line).trim_end().to_string()
            }
        };
        let bytes = BASE64.decode(said.as_bytes()).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The address between the angle brackets.
fn path(rest: &str) -> String {
    let (_, rest) = rest.split_once('<').unwrap_or_default();
    let (path, _) = rest.split_once('>').unwrap_or_default();
    path.to_string()
}
