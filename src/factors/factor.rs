//! What the other layers ask of a factor.

use serde::{Deserialize, Serialize};

use super::{context::FactorContext, sending::Destination};
use crate::{
    error::Error,
    store::{Conn, StoreError, User, factors::FactorRow},
    types::{FactorKind, Path, Timestamp, Usages},
};

/// A kind of factor: how it is set up, how it checks a code, and what pages tell of it.
///
/// The defaults are those of a factor that makes its own codes.
pub(crate) trait Factor: Send + Sync {
    /// Begins a set-up: makes the secret of the factor that will have the id `id`, or reads its phone number.
    fn begin(&self, means: &FactorContext, wanted: &Wanted<'_>, id: &str) -> Result<Begun, Error> {
        let _ = (means, wanted, id);
        Ok(Begun::default())
    }

    /// Returns what an app must be shown to be set up, if the factor is an app.
    fn shown(
        &self,
        means: &FactorContext,
        setup: &Setup,
        user: &User,
    ) -> Result<Option<Shown>, Error> {
        let _ = (means, setup, user);
        Ok(None)
    }

    /// Returns where its codes are sent; `None` if it makes its own, or if there is no phone.
    fn destination(&self, phone: Option<&str>) -> Option<Destination> {
        let _ = phone;
        None
    }

    /// Returns where its codes are sent, as a page shows it: masked.
    fn describe(&self, email: &str, phone: Option<&str>) -> Option<String> {
        let _ = (email, phone);
        None
    }

    /// Checks a code that the factor made itself. [`accept`](Self::accept) uses it up.
    fn check(&self, means: &FactorContext, stored: Stored<'_>, code: &str) -> Option<Right> {
        let _ = (means, stored, code);
        None
    }

    /// Returns the time step of a code that proves a set-up, or `None` if the code is wrong. `is_sent` says whether
    /// it is the code that was sent.
    fn step(&self, right: Option<&Right>, is_sent: bool) -> Option<i64>;

    /// Uses a code up, and returns whether it was right and new.
    fn accept(
        &self,
        conn: &mut Conn,
        id: &str,
        right: Option<&Right>,
        is_sent: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Returns the path of the page that asks for it in a second step.
    fn page(&self) -> Path {
        Path::TfValidate
    }

    /// Returns whether the user types a code. Otherwise the browser asks the authenticator, and finds out which of
    /// the account's is there.
    fn takes_code(&self) -> bool {
        true
    }

    /// Returns whether a second one of the kind proves more than the first.
    fn counts_again(&self) -> bool {
        false
    }

    /// Returns whether it is the mailbox of the account: it needs no set-up to sign in, there is only one, and a
    /// code from it proves the address.
    fn is_mailbox(&self) -> bool {
        false
    }

    /// Returns whether its set-up asks for a phone number.
    fn takes_phone(&self) -> bool {
        false
    }
}

/// What a form asks to set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: FactorKind,
    pub(crate) usage: Usages,
    pub(crate) name: &'a str,
    pub(crate) phone: &'a str,
}

/// What a factor has before its first code.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// The encrypted secret, bound to the id that the factor will have.
    pub(super) secret: Option<String>,
    pub(super) phone: Option<String>,
}

/// A factor that is being set up. It counts only after its first code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) kind: FactorKind,
    pub(crate) usage: Usages,
    pub(crate) name: String,
    /// The encrypted secret, bound to the id that the factor will have.
    pub(crate) secret: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) id: String,
}

/// What an authenticator app is shown while it is set up.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) grouped: String,
    pub(crate) uri: String,
    pub(crate) issuer: String,
    pub(crate) username: String,
    /// The QR code, as an image that a page may hold.
    pub(crate) qr: String,
}

/// The stored secret that a code is checked with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a str>,
}

impl<'a> From<&'a FactorRow> for Stored<'a> {
    fn from(row: &'a FactorRow) -> Self {
        Self {
            id: &row.id,
            secret: row.secret.as_deref(),
        }
    }
}

impl<'a> From<&'a Setup> for Stored<'a> {
    fn from(setup: &'a Setup) -> Self {
        Self {
            id: &setup.id,
            secret: setup.secret.as_deref(),
        }
    }
}

/// A right code of a factor that makes its own, before [`Factor::accept`] uses it up.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    /// The factor that made it.
    pub(super) id: String,
    /// Its time step.
    pub(super) step: i64,
    /// The stored secret and the same under the current key, if it is stored under an earlier one.
    pub(super) resealed: Option<(String, String)>,
}
