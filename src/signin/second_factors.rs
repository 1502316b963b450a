//! The second factors of an account, and the proof that one was shown.

use super::limits::Buckets;
use crate::{
    core::Core,
    error::Error,
    factors::{by_browser, of_row},
    store::{
        User,
        factors::{self as rows, FactorRow},
    },
    types::{FactorKind, Methods, Usages},
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
    let unshown = |way: &FactorRow| {
        of_row(way).is_some_and(|factor| factor.counts_again()) || !way.is_shown_by(methods)
    };
    if factors.iter().any(unshown) {
        factors.retain(unshown);
    }
    factors
}

/// Returns the kind of these factors if the browser asks for whichever of them is there, so that there is nothing to
/// choose.
pub(crate) fn all_by_browser(factors: &[FactorRow]) -> Option<FactorKind> {
    let first = factors.first()?;
    factors.iter().all(by_browser).then(|| first.kind())?
}

/// The proof that a second step was answered. Nothing but a right answer makes one: see `second/answer.rs`.
#[derive(Debug)]
pub(crate) struct Passed {
    /// The account, as it is after the answer.
    pub(in crate::signin) user: User,
    pub(in crate::signin) methods: Methods,
    pub(in crate::signin) buckets: Buckets,
}

impl Passed {
    /// The account, as it is after the answer.
    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    /// All that was shown.
    pub(crate) fn methods(&self) -> Methods {
        self.methods
    }

    /// The counters that the answer clears where a session comes of it.
    pub(crate) fn buckets(&self) -> &Buckets {
        &self.buckets
    }
}
