//! The URL of a database: which database it names, how to connect by it, and no word of its password.

use std::{fmt, path::PathBuf};

use diesel::{Connection, ConnectionError, r2d2::ManageConnection};
use percent_encoding::percent_decode_str;

use super::conn::{Conn, Dialect};
use crate::secrets::Secret;

/// A URL that is understood.
#[derive(Clone)]
pub(crate) struct DatabaseUrl {
    dialect: Dialect,
    /// As the client library wants it.
    text: Secret<String>,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({:?})", self.dialect)
    }
}

const SCHEMES: &str = "write a file name for SQLite, `postgres://user:password@host/name` or `mysql://user:password@host/name`";

impl DatabaseUrl {
    /// Reads a URL, or says what is wrong with it without repeating any of it but a scheme.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let url = url.trim();
        if url.is_empty() {
            return Err(format!("is empty; {SCHEMES}"));
        }
        if url.contains('\0') {
            return Err(format!("holds a character that no URL has; {SCHEMES}"));
        }
        let (dialect, text) = match scheme(url) {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "postgres" | "postgresql" => (Dialect::Postgres, of_server("postgres", rest)?),
                "mysql" | "mariadb" => (Dialect::Mysql, of_server("mysql", rest)?),
                "sqlite" => (Dialect::Sqlite, of_file(rest)?),
                // SQLite's own URIs.
                "file" => (Dialect::Sqlite, of_file(rest).map(|_| url.to_string())?),
                other => return Err(unknown(other)),
            },
            None if url.starts_with("//") => {
                return Err(format!("names a server and no database system; {SCHEMES}"));
            }
            None if is_keywords(url) => {
                return Err(format!(
                    "is a list of keywords, which is not read; {SCHEMES}"
                ));
            }
            None if is_like_a_server(url) => {
                return Err(format!("names a server and no database system; {SCHEMES}"));
            }
            None => (Dialect::Sqlite, url.to_string()),
        };
        Ok(Self {
            dialect,
            text: Secret::new(text),
        })
    }

    /// Which database it names.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file of an SQLite database, if it is a plain one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let text = self.text.expose();
        (self.dialect == Dialect::Sqlite && !text.starts_with("file:")).then(|| text.into())
    }

    /// Connects to the database that the URL names, and to no other.
    pub(crate) fn establish(&self) -> Result<Conn, ConnectionError> {
        let url = self.text.expose().as_str();
        let outcome = match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => diesel::PgConnection::establish(url).map(Conn::Postgres),
            #[cfg(feature = "mysql")]
            Dialect::Mysql => diesel::MysqlConnection::establish(url).map(Conn::Mysql),
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => diesel::SqliteConnection::establish(url).map(Conn::Sqlite),
            #[allow(
                unreachable_patterns,
                reason = "each is reached where its feature is off"
            )]
            other => Err(ConnectionError::BadConnection(format!(
                "the Cargo feature `{}` is off",
                other.feature()
            ))),
        };
        outcome.map_err(|error| ConnectionError::BadConnection(self.without_password(&error)))
    }

    /// The words of a client library in one line and without the password, which none of them should say.
    fn without_password(&self, error: &ConnectionError) -> String {
        let said = error.to_string();
        let mut said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let written = url::Url::parse(self.text.expose()).ok();
        let written = written
            .as_ref()
            .and_then(url::Url::password)
            .unwrap_or_default();
        let plain = percent_decode_str(written).decode_utf8_lossy();
        for secret in [written, plain.as_ref()] {
            // A shorter one stands in many words, and replacing it there would tell it.
            if secret.len() > 3 {
                said = said.replace(secret, "***");
            }
        }
        said
    }
}

/// Divides a URL after its scheme: of a letter and more, so that `C:\data` has none.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some((scheme, rest))
}

/// `user:password@host`, in what is no URL; a drive of Windows is no user.
fn is_like_a_server(url: &str) -> bool {
    url.find(':')
        .is_some_and(|at| at > 1 && url[at..].contains('@'))
}

/// `host=db user=me`, as libpq takes it too.
fn is_keywords(url: &str) -> bool {
    [
        "host=",
        "hostaddr=",
        "dbname=",
        "user=",
        "password=",
        "service=",
    ]
    .iter()
    .any(|keyword| url.split_whitespace().any(|word| word.starts_with(keyword)))
}

fn unknown(scheme: &str) -> String {
    let known = ["postgres", "postgresql", "mysql", "mariadb", "sqlite"];
    // What stands before a colon may be a user's name, or a password.
    let hint = match crate::settings::nearest(scheme, known) {
        Some(meant) => format!("did you mean `{meant}://`?"),
        None => SCHEMES.to_string(),
    };
    format!("begins with no database system that is known; {hint}")
}

fn of_file(rest: &str) -> Result<String, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path.split('?').next() {
        None | Some("") => {
            Err("names no file; write for example `sqlite://data/security.db`".into())
        }
        Some(_) => Ok(path.to_string()),
    }
}

/// A server's URL under the scheme that its client library knows.
fn of_server(scheme: &str, rest: &str) -> Result<String, String> {
    let encode = "write special characters in user and password percent-encoded, such as `%40` for `@` and `%2F` for `/`";
    let text = format!("{scheme}:{rest}");
    let unreadable = || format!("cannot be read as `{scheme}://user:password@host/name`; {encode}");
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(unreadable());
    };
    // Everything after a character that divides would be taken for host, port or options, and told.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let outside = &rest[authority.len()..];
    let well_encoded = rest.match_indices('%').all(|(at, _)| {
        rest.as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    });
    let is_plain = rest.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if authority.matches('@').count() > 1
        || outside.contains(['@', '#'])
        || !well_encoded
        || !is_plain
    {
        return Err(unreadable());
    }
    match url::Url::parse(&text) {
        Ok(url) if url.query_pairs().all(|(key, _)| !key.is_empty()) => Ok(text),
        // Several hosts, or a socket's folder as the host, are fine with libpq and no URL.
        Err(_) if scheme == "postgres" && is_list_of_hosts(authority) => Ok(text),
        _ => Err(unreadable()),
    }
}

/// `host1:5432,host2:5433`, behind a user or not.
fn is_list_of_hosts(authority: &str) -> bool {
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    hosts.contains(',')
        && hosts.split(',').all(|host| {
            let port = host.rsplit_once(':').map_or("", |(_, port)| port);
            !host.is_empty() && port.chars().all(|c| c.is_ascii_digit())
        })
}

/// Makes the connections of a [`Pool`](super::Pool): to the database that its URL names, never to another that
/// would take the same text.
#[derive(Debug)]
pub struct Manager(DatabaseUrl);

impl Manager {
    /// For a database by its URL.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`](super::StoreError::Refused) if the URL names no database that is known.
    pub fn new(url: &str) -> Result<Self, super::StoreError> {
        match DatabaseUrl::parse(url) {
            Ok(url) => Ok(Self(url)),
            Err(problem) => Err(super::StoreError::Refused(format!(
                "the database URL {problem}"
            ))),
        }
    }

    pub(super) fn of(url: DatabaseUrl) -> Self {
        Self(url)
    }
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        self.0
            .establish()
            .map_err(diesel::r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Self::Error> {
        diesel::r2d2::R2D2Connection::ping(conn).map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking() || diesel::r2d2::R2D2Connection::is_broken(conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_which_database_it_is() {
        for (url, dialect) in [
            ("data/security.db", Dialect::Sqlite),
            ("/var/lib/site/a b@c.db", Dialect::Sqlite),
            ("C:\\data\\security.db", Dialect::Sqlite),
            ("sqlite://data/security.db", Dialect::Sqlite),
            ("sqlite:data/security.db", Dialect::Sqlite),
            ("file:security.db?mode=rwc", Dialect::Sqlite),
            (" postgres://me@localhost/name\n", Dialect::Postgres),
            (
                "postgresql://me:p%40ss@db.example.com:5432/name?sslmode=require",
                Dialect::Postgres,
            ),
            ("POSTGRES://localhost/name", Dialect::Postgres),
            (
                "postgres:///name?host=/var/run/postgresql",
                Dialect::Postgres,
            ),
            ("postgres://me@one:5432,two:5433/name", Dialect::Postgres),
            ("postgres://me@%2Fvar%2Frun/name", Dialect::Postgres),
            ("mysql://root@127.0.0.1:3306/test", Dialect::Mysql),
            ("mariadb://root@127.0.0.1:3306/test", Dialect::Mysql),
        ] {
            assert_eq!(DatabaseUrl::parse(url).unwrap().dialect(), dialect, "{url}");
        }
        let mariadb = DatabaseUrl::parse("mariadb://root@localhost/test").unwrap();
        assert_eq!(mariadb.text.expose(), "mysql://root@localhost/test");
    }

    #[test]
    fn what_is_not_understood_is_refused_without_being_repeated() {
        for url in [
            "",
            "  ",
            "sqlite://",
            "sqlite:",
            "file:",
            "postgress://user:canary@host/db",
            "postgres//user:canary@host/db:x",
            "postgre://user:canary@host/db",
            "postgresql+psycopg://user:canary@host/db",
            "mysql+pymysql://user:canary@host/db",
            "mssql://user:canary@host/db",
            "redis://:canary@host",
            "canary:canary@host/db",
            "//user:canary@host/db",
            "postgres:user:canary@host/db",
            "postgres://user:can/ary@host/db",
            "postgres://user:can@canary@host/db",
            "postgres://user:can#canary@host/db",
            "postgres://user:12?canary@host/db",
            "postgres://user:canary%zz@host/db",
            "postgres://user:canary @host/db",
            "postgres://user@host:canary/db",
            "mysql://user:can/canary@host/db",
            "host=localhost user=me password=canary",
        ] {
            let problem = DatabaseUrl::parse(url).map(|_| ()).unwrap_err();
            assert!(
                !problem.contains("can") || problem.contains("cannot"),
                "{url}: {problem}"
            );
            assert!(
                !problem.contains("canary") && !problem.contains("ary@"),
                "{url}: {problem}"
            );
        }
        let near = DatabaseUrl::parse("postgress://user:secret@host/db").unwrap_err();
        assert!(near.contains("did you mean `postgres://`"), "{near}");
    }
}
