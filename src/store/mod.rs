//! Where everything is kept: Diesel over SQLite, PostgreSQL or MySQL/MariaDB.
//!
//! [`Store`] runs closures over a [`Conn`] on a bounded number of blocking threads, so that a slow
//! database can never take all of Rocket's threads. Writes go through one door, [`Store::write`], which
//! retries what the database asks to retry. A failure is never read as "nothing found": it is a
//! [`StoreError`], and becomes 503.

pub(crate) mod api_keys;
mod conn;
pub(crate) mod devices;
pub(crate) mod drift;
pub(crate) mod endings;
pub(crate) mod factors;
pub(crate) mod failures;
pub(crate) mod families;
pub(crate) mod outbox;
#[cfg_attr(
    not(feature = "passkeys"),
    allow(dead_code, reason = "accounts use a part of it in every build")
)]
pub(crate) mod passkeys;
pub(crate) mod remember;
#[cfg(feature = "testing")]
pub(crate) mod reset;
pub(crate) mod roles;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod social;
pub(crate) mod tickets;
pub(crate) mod tokens;
pub(crate) mod touches;
mod url;
mod user;
mod user_queries;
pub(crate) mod users;

use std::{fmt, sync::Arc, time::Duration};

use diesel::{
    Connection,
    connection::TransactionManager,
    result::{DatabaseErrorKind, Error as DieselError},
};
use tokio::{
    sync::{AcquireError, Semaphore},
    task,
    time::timeout,
};

pub use self::passkeys::PasskeyInfo;
pub(crate) use self::url::DatabaseUrl;
pub use self::{
    api_keys::ApiKeyInfo,
    conn::{Conn, Dialect, Pool},
    devices::DeviceInfo,
    factors::FactorInfo,
    families::RefreshInfo,
    outbox::{MailInfo, MailState},
    roles::Role,
    sessions::SessionInfo,
    social::SocialAccountInfo,
    url::Manager,
    user::{Grants, NewUser, User},
};
use crate::{
    identity::text::is_hidden,
    types::{Clock, SharedClock, Timestamp},
};

/// Why the store did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be reached, or answered too late, or too many wait for it: 503, try again.
    Unavailable(String),
    /// A value that must be unique is taken; nothing was written.
    Taken(Unique),
    /// A value that the application's `on_register` writes, and that must be unique, is taken; nothing was
    /// written.
    TakenByApplication,
    /// The row that was to be changed is not there.
    Missing,
    /// The value does not fit the column or the rules of the store.
    Refused(String),
    /// Anything else: a defect here or a schema that has drifted.
    Broken(String),
}

/// Which unique value is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unique {
    /// The e-mail address of an account.
    Email,
    /// The username of an account, or one that looks alike.
    Username,
    /// The name of a role.
    RoleName,
    /// Something else.
    Other,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the database is unavailable: {why}"),
            Self::Taken(Unique::Email) => f.write_str("the e-mail address is taken"),
            Self::Taken(Unique::Username) => {
                f.write_str("the username is taken or looks like another")
            }
            Self::Taken(Unique::RoleName) => f.write_str("the role exists already"),
            Self::Taken(Unique::Other) => f.write_str("a value that must be unique is taken"),
            Self::TakenByApplication => {
                f.write_str("a value that `on_register` writes must be unique and is taken")
            }
            Self::Missing => f.write_str("not found"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Broken(why) => write!(f, "the database answered unexpectedly: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::NotFound => Self::Missing,
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                // MySQL says the value before the key: what somebody typed must not be taken for a name.
                let message = info.message();
                let message = message
                    .rsplit_once("for key")
                    .map_or(message, |(_, key)| key);
                let text = format!("{} {message}", info.constraint_name().unwrap_or_default());
                Self::Taken(if text.contains("email_key") {
                    Unique::Email
                } else if text.contains("username") {
                    Unique::Username
                } else if text.contains("roles") && text.contains("name") || text.trim() == "'name'"
                {
                    Unique::RoleName
                } else {
                    Unique::Other
                })
            }
            DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => Self::Missing,
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction,
                info,
            ) => Self::Unavailable(info.message().to_string()),
            DieselError::DatabaseError(_, info) if is_passing(info.message()) => {
                Self::Unavailable(info.message().to_string())
            }
            DieselError::BrokenTransactionManager | DieselError::RollbackErrorOnCommit { .. } => {
                Self::Unavailable("the transaction was lost".into())
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The words with which each database says: not now, but the same again may work.
fn is_passing(message: &str) -> bool {
    const WORDS: [&str; 12] = [
        "database is locked",
        "database table is locked",
        "database is busy",
        "Deadlock found",
        "deadlock detected",
        "Lock wait timeout",
        "Record has changed since last read",
        "could not serialize",
        "server has gone away",
        "Lost connection",
        "terminating connection",
        "server closed the connection",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

fn worth_a_retry(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        DieselError::DatabaseError(_, info) => is_passing(info.message()),
        _ => false,
    }
}

/// The way to the database: cheap to clone, shared by everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    dialect: Dialect,
    /// As many as the pool has connections: whoever waits, waits here and not on a thread.
    permits: Semaphore,
    /// SQLite has one writer; a queue in front of it is fairer than its busy handler.
    writer: Semaphore,
    patience: Duration,
    clock: SharedClock,
}

/// Time after which no further try begins: whoever waits for the answer has waited long enough.
const PATIENCE: Duration = Duration::from_secs(4);

/// Times one write is tried when the database asks to try again.
const TRIES: u32 = 6;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dialect", &self.inner.dialect)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects to `url` with a pool of `size` connections, waiting at most `patience` for one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the URL is not understood or its database is not compiled in,
    /// [`StoreError::Unavailable`] if it does not answer.
    pub fn connect(
        url: &str,
        size: u32,
        patience: Duration,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let url = DatabaseUrl::parse(url)
            .map_err(|problem| StoreError::Refused(format!("the database URL {problem}")))?;
        Self::connect_to(url, size, patience, clock)
    }

    pub(crate) fn connect_to(
        url: DatabaseUrl,
        size: u32,
        patience: Duration,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let dialect = url.dialect();
        if !dialect.is_compiled_in() {
            return Err(StoreError::Refused(format!(
                "the URL names a database whose Cargo feature `{}` is off",
                dialect.feature()
            )));
        }
        // A bad file name or password is worth a sentence at once, not after the pool's patience.
        drop(
            url.establish()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?,
        );
        let pool = diesel::r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(patience)
            .connection_customizer(Box::new(conn::Setup))
            // A file does not go away; a server may, and a dead connection would fail a request.
            .test_on_check_out(dialect != Dialect::Sqlite)
            .error_handler(Box::new(diesel::r2d2::LoggingErrorHandler))
            .build(Manager::of(url))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Self::from_pool(pool, patience, clock)
    }

    /// Works on a pool that the application made by [`Manager`]. SQLite then wants the pragmas that
    /// [`Store::connect`] sets: WAL, `foreign_keys = ON` and a busy timeout.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if no connection can be had.
    pub fn from_pool(
        pool: Pool,
        patience: Duration,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let dialect = pool
            .get()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .dialect();
        let permits = Semaphore::new(pool.max_size() as usize);
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                dialect,
                permits,
                writer: Semaphore::new(1),
                patience,
                clock,
            }),
        })
    }

    /// The pool, for the application's own queries.
    pub fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// The present moment, by the clock that the store was given.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Runs `query` on a blocking thread with a connection of the pool.
    ///
    /// # Errors
    ///
    /// What `query` answers, and [`StoreError::Unavailable`] if no connection comes in time.
    pub async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        let _permit = self.wait(&self.inner.permits).await?;
        blocking(move || {
            let mut conn = store
                .inner
                .pool
                .get()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            query(&mut conn)
        })
        .await
    }

    /// Runs `change` in a transaction on a blocking thread: all of it happens, or nothing.
    ///
    /// It may run more than once, when the database asks for that (deadlock, serialisation, busy).
    ///
    /// # Errors
    ///
    /// What `change` answers (rolled back), and [`StoreError::Unavailable`].
    pub async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        let _turn = match self.inner.dialect {
            Dialect::Sqlite => Some(self.wait(&self.inner.writer).await?),
            Dialect::Postgres | Dialect::Mysql => None,
        };
        let _permit = self.wait(&self.inner.permits).await?;
        blocking(move || {
            let mut conn = store
                .inner
                .pool
                .get()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            write_on(&mut conn, change)
        })
        .await
    }

    async fn wait<'a>(
        &self,
        semaphore: &'a Semaphore,
    ) -> Result<tokio::sync::SemaphorePermit<'a>, StoreError> {
        // The usual case takes no timer.
        if let Ok(permit) = semaphore.try_acquire() {
            return Ok(permit);
        }
        match timeout(self.inner.patience, semaphore.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(AcquireError { .. })) => Err(StoreError::Unavailable("shutting down".into())),
            Err(_) => Err(StoreError::Unavailable(
                "too many wait for a connection".into(),
            )),
        }
    }
}

async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Broken("the database task panicked".into())),
    }
}

/// One change as a transaction, tried again with a growing, jittered pause while the database asks for it.
pub(crate) fn write_on<T>(
    conn: &mut Conn,
    mut change: impl FnMut(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let began = std::time::Instant::now();
    let mut attempt = 1;
    loop {
        let error = match try_write(conn, &mut change) {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error)) => error,
        };
        if attempt == TRIES || began.elapsed() > PATIENCE {
            return Err(StoreError::Unavailable(error));
        }
        let mut jitter = [0u8; 1];
        let _ = getrandom::fill(&mut jitter);
        std::thread::sleep(Duration::from_millis(
            u64::from(attempt * attempt * 5) + u64::from(jitter[0]) / 16,
        ));
        attempt += 1;
    }
}

enum Failure {
    Final(StoreError),
    Passing(String),
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        if worth_a_retry(&error) {
            Self::Passing(error.to_string())
        } else {
            Self::Final(error.into())
        }
    }
}

fn try_write<T>(
    conn: &mut Conn,
    change: &mut impl FnMut(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    type Manager = <Conn as Connection>::TransactionManager;
    conn.begin_write()?;
    match change(conn) {
        Ok(value) => match Manager::commit_transaction(conn) {
            Ok(()) => Ok(value),
            Err(error) => {
                let _ = Manager::rollback_transaction(conn);
                Err(error.into())
            }
        },
        Err(error) => {
            let _ = Manager::rollback_transaction(conn);
            Err(match error {
                StoreError::Unavailable(why) if is_passing(&why) => Failure::Passing(why),
                error => Failure::Final(error),
            })
        }
    }
}

/// `VARCHAR(n)` counts characters, and only SQLite takes more: cut a value that merely informs, and leave out
/// what a reader would not see of it.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(most).collect()
}
