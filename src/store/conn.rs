//! One connection type for the databases that are compiled in, and how each is set up.

use diesel::{
    QueryResult,
    connection::{AnsiTransactionManager, SimpleConnection},
    r2d2::CustomizeConnection,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::url::{DatabaseUrl, Manager};

/// A connection to SQLite, PostgreSQL or MySQL/MariaDB, chosen by the URL at run time.
#[derive(diesel::MultiConnection)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an application matches it to run SQL of its own; its variants follow the Cargo features"
)]
pub enum Conn {
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(diesel::PgConnection),
    /// MySQL or MariaDB.
    #[cfg(feature = "mysql")]
    Mysql(diesel::MysqlConnection),
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(diesel::SqliteConnection),
}

/// Runs a query on the database's own connection instead of on the enum over them.
///
/// The enum writes the SQL of a query anew each time it is run, even if the statement is prepared. So
/// this is for what every request asks; the query is the same for all databases.
macro_rules! natively {
    ($conn:expr, $native:ident => $query:expr) => {
        match $conn {
            #[cfg(feature = "postgres")]
            $crate::store::Conn::Postgres($native) => $query,
            #[cfg(feature = "mysql")]
            $crate::store::Conn::Mysql($native) => $query,
            #[cfg(feature = "sqlite")]
            $crate::store::Conn::Sqlite($native) => $query,
        }
    };
}
pub(super) use natively;

/// A pool of [`Conn`].
pub type Pool = diesel::r2d2::Pool<Manager>;

/// The crate's migrations, oldest first.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Which database a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an application matches it to run SQL of its own"
)]
pub enum Dialect {
    /// SQLite: a file, in this process.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

impl Dialect {
    /// Reads the scheme of `url`; a path without one is a file for SQLite. `None` if the URL names no database that
    /// is known.
    pub fn of(url: &str) -> Option<Self> {
        DatabaseUrl::parse(url).ok().map(|url| url.dialect())
    }

    /// Whether this build can talk to it.
    pub const fn is_compiled_in(self) -> bool {
        match self {
            Self::Sqlite => cfg!(feature = "sqlite"),
            Self::Postgres => cfg!(feature = "postgres"),
            Self::Mysql => cfg!(feature = "mysql"),
        }
    }

    /// The Cargo feature that brings it.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

impl Conn {
    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Self::Mysql(_) => Dialect::Mysql,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Begins a transaction that may write.
    ///
    /// SQLite takes its write lock now, because a read that turns into a write fails at once in WAL
    /// mode. MySQL gets READ COMMITTED, as PostgreSQL has by default.
    pub(super) fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => {
                AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
            }
            #[cfg(feature = "mysql")]
            Self::Mysql(conn) => {
                conn.batch_execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
                AnsiTransactionManager::begin_transaction_sql(conn, "START TRANSACTION")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN"),
        }
    }

    /// Names of migrations not yet applied.
    pub(crate) fn pending_migrations(
        &mut self,
    ) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let pending = MigrationHarness::pending_migrations(self, MIGRATIONS)?;
        Ok(pending
            .iter()
            .map(|migration| migration.name().to_string())
            .collect())
    }

    /// Applies what is pending and names it.
    pub(crate) fn migrate(
        &mut self,
    ) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let applied = self.run_pending_migrations(MIGRATIONS)?;
        Ok(applied.iter().map(ToString::to_string).collect())
    }
}

/// What each new connection is told.
#[derive(Debug)]
pub(super) struct Setup;

impl CustomizeConnection<Conn, diesel::r2d2::Error> for Setup {
    fn on_acquire(&self, conn: &mut Conn) -> Result<(), diesel::r2d2::Error> {
        let statements = match conn.dialect() {
            // mmap spares a system call and a copy for each page: reads of a large file cost what
            // reads of a small one do. 4 GiB of address space, not of memory.
            Dialect::Sqlite => {
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                 PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 4294967296; \
                 PRAGMA cache_size = -4096;"
            }
            Dialect::Postgres => "SET client_min_messages TO WARNING",
            Dialect::Mysql => "SET NAMES utf8mb4",
        };
        conn.batch_execute(statements)
            .map_err(diesel::r2d2::Error::QueryError)
    }
}
