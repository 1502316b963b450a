//! The way to the database, shared by everything.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{AcquireError, Semaphore},
    task,
    time::timeout,
};

use super::{Conn, DatabaseUrl, Dialect, Manager, Pool, StoreError, conn, write::write_on};
use crate::types::{Clock, SharedClock, Timestamp};

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
