//! Connections to a mail server: made when there is something to send, and kept for a while.

use std::{
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Tls, TlsParameters},
    extension::ClientId,
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::OnceCell,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    failure::{self, Step},
    lines::Lines,
};
use crate::{
    notify::mailer::MailError,
    settings::{Encryption, MailSettings},
};

/// A connection that rested so long is closed.
const REST: Duration = Duration::from_secs(60);
/// How long one that rested may take to say that it is still there, before a new one is made.
const REVIVAL: Duration = Duration::from_secs(3);

/// A mail server, and the connections to it.
pub(super) struct Server {
    host: String,
    port: u16,
    pub(super) encryption: Encryption,
    /// The name that this site gives.
    ehlo: ClientId,
    credentials: Option<Credentials>,
    timeout: Duration,
    /// Made when first needed: the system's certificates are many files.
    tls: OnceCell<Tls>,
    resting: Arc<Mutex<Resting>>,
}

/// Connections that nobody uses just now.
#[derive(Default)]
struct Resting {
    connections: Vec<(Instant, AsyncSmtpConnection)>,
    /// Whether somebody looks after those that rest too long.
    watched: bool,
}

impl Server {
    /// Connects to nobody yet.
    pub(super) fn new(settings: &MailSettings, host: String) -> Self {
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
            credentials,
            timeout: settings.timeout.get(),
            tls: OnceCell::new(),
            resting: Arc::default(),
        }
    }

    /// Whether the site has a user name and a password there.
    pub(super) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub(super) fn name(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The times that lettre keeps are those of connecting only.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, MailError>>,
    ) -> Result<T, MailError> {
        timeout(self.timeout, work).await.unwrap_or_else(|_| {
            Err(MailError::down(format!(
                "{} did not answer within {} s",
                self.name(),
                self.timeout.as_secs()
            )))
        })
    }

    pub(super) fn failure(&self, step: Step, error: &Error) -> MailError {
        failure::failure(&self.name(), step, error)
    }

    /// One that rested and is still there, or a new one.
    pub(super) async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
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

    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
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
                    MailError::down(format!("{} cannot be reached: {error}", self.name()))
                })?;
                let mut connection = AsyncSmtpConnection::connect_with_transport(stream, hello)
                    .await
                    .map_err(failed(Step::Connect))?;
                if !connection.can_starttls() {
                    close(connection);
                    return Err(MailError::down(format!(
                        "{} does not offer STARTTLS, without which nothing is sent",
                        self.name()
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
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match timeout(self.per_address(), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Box::new(Lines::new(stream))),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for the next mail. There are no more than slots, since its user has one.
    pub(super) fn rest(&self, connection: AsyncSmtpConnection) {
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

/// Says goodbye, which nobody waits for.
pub(super) fn close(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move { timeout(REVIVAL, connection.abort()).await });
}

async fn make_tls(encryption: Encryption, host: String) -> Result<Tls, MailError> {
    if encryption == Encryption::None {
        return Ok(Tls::None);
    }
    let parameters = spawn_blocking(move || TlsParameters::new(host))
        .await
        .map_err(|error| MailError::down(error.to_string()))?
        .map_err(|error| MailError::down(error.to_string()))?;
    Ok(match encryption {
        Encryption::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use lettre::transport::smtp::{
        client::{Certificate, Tls, TlsParameters},
        commands,
    };
    use tokio::sync::OnceCell;

    use super::*;
    use crate::notify::{
        mailer::{MailFailure, Mailer},
        smtp::{
            mailer::Smtp,
            smtp_server::{Behaviour, Offers, SmtpServer, certificate},
            testing::{failure, mail, new, settings, smtp},
        },
    };

    /// Trusts the server, which nothing outside of tests can be made to do.
    fn trusting(server: &SmtpServer, encryption: Encryption) -> Smtp {
        let parameters = TlsParameters::builder("127.0.0.1".into())
            .add_root_certificate(Certificate::from_pem(certificate().as_bytes()).unwrap())
            .build()
            .unwrap();
        let mut smtp = new(&settings(server, encryption));
        smtp.server.tls = OnceCell::new_with(Some(match encryption {
            Encryption::Tls => Tls::Wrapper(parameters),
            _ => Tls::Required(parameters),
        }));
        smtp
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
            connections: std::num::NonZeroU32::MIN.saturating_add(1),
            ..settings(&server, Encryption::None)
        });
        let mail = mail();
        let sent = join_all((0..20).map(|_| two.send(&mail))).await;
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
        let mut rested = smtp.server.resting().connections.pop().unwrap().1;
        let noop = rested.command(commands::Noop);
        assert!(timeout(Duration::from_millis(100), noop).await.is_err());
        smtp.server.rest(rested);
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
