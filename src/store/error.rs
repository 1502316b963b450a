//! What the store answers when it did not do what it was asked.

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

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
pub(super) fn is_passing(message: &str) -> bool {
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

pub(super) fn worth_a_retry(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        DieselError::DatabaseError(_, info) => is_passing(info.message()),
        _ => false,
    }
}
