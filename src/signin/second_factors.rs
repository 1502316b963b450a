//! The second factors of an account, and the proof that one was shown.

use crate::{
    core::Core,
    error::Error,
    store::{
        User,
        factors::{self as rows, FactorRow},
    },
    types::{FactorKind, Methods, Uniquifier, Usages},
};

/// The second factors of an account.
pub(crate) async fn factors_of(core: &Core, user: &User) -> Result<Vec<FactorRow>, Error> {
    let (id, counts) = (user.id.clone(), core.counted_factors());
    Ok(core
        .store
        .read(move |conn| {
            let mut factors = rows::serving(conn, &id, Usages::SECOND)?;
            factors.retain(|way| counts.contains(way));
            Ok(factors)
        })
        .await?)
}

/// The second factors one of which goes on from `methods`: what was shown already is none, unless there is
/// nothing else.
pub(crate) fn remaining_factors(mut factors: Vec<FactorRow>, methods: Methods) -> Vec<FactorRow> {
    // A further passkey is another thing that is held; the one that was shown is known by its id.
    let unshown =
        |way: &FactorRow| way.kind() == Some(FactorKind::Passkey) || !way.is_shown_by(methods);
    if factors.iter().any(unshown) {
        factors.retain(unshown);
    }
    factors
}

/// Whether all of these are passkeys, and there are some.
pub(crate) fn are_passkeys(factors: &[FactorRow]) -> bool {
    let is_passkey = |way: &FactorRow| way.kind() == Some(FactorKind::Passkey);
    !factors.is_empty() && factors.iter().all(is_passkey)
}

/// The proof that a second step was answered. Nothing but a right answer makes one: see `second/answer.rs`.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(in crate::signin) methods: Methods,
    pub(in crate::signin) uniquifier: Uniquifier,
}

impl Passed {
    /// All that was shown.
    pub(crate) fn methods(&self) -> Methods {
        self.methods
    }

    /// Whether `user` is the account as it was when that was shown.
    pub(crate) fn is_of(&self, user: &User) -> bool {
        self.uniquifier == user.uniquifier
    }
}
