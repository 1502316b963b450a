//! Ids that cannot be mixed up.

use std::{fmt, str::FromStr};

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::column::column;

/// An id is a UUID in its text form; a new one is a UUIDv7 (RFC 9562), so that rows stay in order of creation.
macro_rules! id {
    ($(#[$doc:meta])* $vis:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow)]
        #[diesel(sql_type = Text)]
        #[serde(transparent)]
        $vis struct $name(String);

        impl $name {
            /// A fresh id.
            $vis fn new() -> Self {
                Self(Uuid::now_v7().to_string())
            }

            /// The id as text.
            $vis fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(|id| Self(id.to_string()))
            }
        }

        column!($name(String) as Text);
    };
}

id!(
    /// Who an account is; never changes and is never given to another.
    pub UserId
);
id!(
    /// Which role.
    pub RoleId
);
id!(
    /// Which session, as its owner sees it in the list; it opens nothing.
    pub SessionId
);
id!(
    /// Which row of a kind whose ids have no type of their own. A text that is no id, such as one with a
    /// NUL, never reaches the database.
    pub(crate) RowId
);
id!(
    /// A value that all sessions (or tokens) of an account carry: a new one ends them all at once.
    pub Uniquifier
);
