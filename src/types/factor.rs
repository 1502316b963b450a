//! The kinds of factors, and what each is used for.

use serde::{Deserialize, Serialize};

use super::{Message, Method};

/// A kind of factor that an account can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FactorKind {
    /// An authenticator app.
    Authenticator,
    /// A code sent to the mailbox of the account.
    Email,
    /// A code sent to a phone.
    Sms,
    /// A passkey or security key.
    Passkey,
}

impl FactorKind {
    pub(crate) const ALL: [Self; 4] = [Self::Authenticator, Self::Email, Self::Sms, Self::Passkey];

    /// Its name in settings, forms and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Passkey => "passkey",
        }
    }

    /// Its name where the API says by what a second step is answered.
    pub(crate) const fn way(self) -> &'static str {
        match self {
            Self::Passkey => "webauthn",
            kind => kind.name(),
        }
    }

    /// What pages and mails call it.
    pub(crate) fn label(self) -> Message {
        Message::new(format!("factor.{}", self.name()))
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What its use proves.
    pub const fn method(self) -> Method {
        match self {
            Self::Authenticator => Method::Authenticator,
            Self::Email => Method::Email,
            Self::Sms => Method::Sms,
            Self::Passkey => Method::Passkey,
        }
    }

    /// Whether it sends a code before one can be typed.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Email | Self::Sms)
    }
}

/// What a factor is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Usages(i64);

#[cfg_attr(
    not(feature = "passkeys"),
    allow(dead_code, reason = "some of it serves passkeys alone")
)]
impl Usages {
    /// To sign in.
    pub(crate) const FIRST: Self = Self(1);
    /// As the second step.
    pub(crate) const SECOND: Self = Self(2);
    /// For either.
    pub(crate) const BOTH: Self = Self(3);

    pub(crate) const fn bits(self) -> i64 {
        self.0
    }

    /// Returns these uses and those.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether one use is in both.
    pub(crate) const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a passkey is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PasskeyUsage {
    /// To sign in.
    First,
    /// As the second factor.
    Secondary,
    /// Both.
    Both,
}

#[cfg_attr(
    not(feature = "passkeys"),
    allow(dead_code, reason = "some of it serves passkeys alone")
)]
impl PasskeyUsage {
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Secondary, Self::Both];

    /// Its name in forms and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Secondary => "secondary",
            Self::Both => "both",
        }
    }

    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        Self::ALL.into_iter().find(|usage| usage.name() == typed)
    }

    pub(crate) const fn usages(self) -> Usages {
        match self {
            Self::First => Usages::FIRST,
            Self::Secondary => Usages::SECOND,
            Self::Both => Usages::BOTH,
        }
    }
}
