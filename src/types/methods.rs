//! How somebody proved who they are.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::BigInt};
use serde::{Serialize, Serializer};

use super::column::column;

/// One way to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// A password.
    Password,
    /// A code or link sent by mail.
    Email,
    /// A code sent to a phone.
    Sms,
    /// A code of an authenticator app.
    Authenticator,
    /// A passkey or security key.
    Passkey,
    /// A recovery code.
    RecoveryCode,
    /// An account at a social login provider.
    Oauth,
    /// Just registered.
    Register,
    /// Signed in by the application's own code.
    Application,
    /// A remembered browser, which is no proof: what was shown when it signed in was shown in another session.
    Remembered,
}

const ALL: [(Method, &str); 10] = [
    (Method::Password, "password"),
    (Method::Email, "email"),
    (Method::Sms, "sms"),
    (Method::Authenticator, "authenticator"),
    (Method::Passkey, "passkey"),
    (Method::RecoveryCode, "recovery_code"),
    (Method::Oauth, "oauth"),
    (Method::Register, "register"),
    (Method::Application, "application"),
    (Method::Remembered, "remembered"),
];

/// The ways in which a session, token or request was proven, as a set.
///
/// It rests as a number, one bit a method: the order of [`Method`] must never change.
#[derive(Clone, Copy, Default, AsExpression, FromSqlRow)]
#[diesel(sql_type = BigInt)]
pub struct Methods(i64);

/// Sets of the same methods are equal, whether or not one of them was shown in a second step.
impl PartialEq for Methods {
    fn eq(&self, other: &Self) -> bool {
        self.0 & !SECOND == other.0 & !SECOND
    }
}

impl Eq for Methods {}

impl Hash for Methods {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0 & !SECOND).hash(state);
    }
}

/// The bit that says that what is held has checked its owner; it is no method by itself.
const VERIFIED: i64 = 1 << 48;

/// The bit that says that the second step was answered, by whatever it took; no method by itself either.
const SECOND: i64 = 1 << 49;

impl Methods {
    /// The set of one.
    pub const fn of(method: Method) -> Self {
        Self(1 << method as i64)
    }

    /// This set and `method`.
    pub const fn and(self, method: Method) -> Self {
        Self(self.0 | 1 << method as i64)
    }

    /// The union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `method` is in it.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as i64) != 0
    }

    /// Whether a remembered browser opened the session and nothing has been shown in it since.
    pub(crate) const fn is_only_remembered(self) -> bool {
        self.0 == 1 << Method::Remembered as i64
    }

    /// This set, where something that is held has checked its owner by PIN or finger, or something else
    /// was shown beside it, and that is to count like a password.
    pub(crate) const fn and_verified(self) -> Self {
        Self(self.0 | VERIFIED)
    }

    /// This set, where the second step of a sign-in was answered.
    pub(crate) const fn and_second(self) -> Self {
        Self(self.0 | SECOND)
    }

    /// Whether as much was shown as two steps show: the second was answered, or what is held counts as two.
    pub(crate) const fn is_two_step(self) -> bool {
        self.0 & (SECOND | VERIFIED) != 0 || self.contains(Method::RecoveryCode)
    }

    /// Whether two different factors were shown: at least two of something known, a mailbox or account
    /// elsewhere, and something held. A passkey that has checked its owner is two, unless the settings say
    /// otherwise.
    pub const fn is_multi_factor(self) -> bool {
        let known = self.contains(Method::Password) || self.0 & VERIFIED != 0;
        let elsewhere = self.contains(Method::Email) || self.contains(Method::Oauth);
        known as u8 + elsewhere as u8 + self.is_held() as u8 >= 2
    }

    /// Whether something was shown that one holds.
    pub(crate) const fn is_held(self) -> bool {
        self.contains(Method::Sms)
            || self.contains(Method::Authenticator)
            || self.contains(Method::Passkey)
            || self.contains(Method::RecoveryCode)
    }

    /// The methods in it.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        ALL.into_iter()
            .map(|(method, _)| method)
            .filter(move |method| self.contains(*method))
    }

    /// As it rests.
    pub(crate) const fn bits(self) -> i64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    fn names(self) -> Vec<&'static str> {
        ALL.into_iter()
            .filter(|(method, _)| self.contains(*method))
            .map(|(_, name)| name)
            .collect()
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Methods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

column!(Methods(i64) as BigInt);
