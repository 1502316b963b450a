//! Proof by password, the same for every door: the login form, `/verify`, Basic, the application's code.

use super::{
    admit::{Admission, admit},
    limits::{Buckets, count_failure, refuse_if_locked},
};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::client::ClientInfo,
    identity::Identity,
    secrets::{Password, PasswordHash, Verdict},
    store::{User, users},
    types::{Method, Methods},
};

/// What a password attempt comes to, when it is no error.
pub(crate) enum Proof {
    /// Right.
    Right(Admission, Buckets),
    /// Wrong. Why is told only where the settings tell.
    Wrong(Wrong),
}

/// Why a password proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is no such account.
    NoAccount,
    /// The account has no password.
    NoPassword,
    /// It is another.
    Password,
}

/// From where a password is tried, and what was shown before it.
pub(crate) struct Attempt<'a> {
    pub(crate) buckets: Buckets,
    pub(crate) client: &'a ClientInfo,
    pub(crate) before: Methods,
}

/// Checks who `identity` is by `password` and brings them to the gate.
///
/// An unknown identity costs the same work: one look-up, one hash, one count.
pub(crate) async fn prove(
    core: &Core,
    identity: Identity,
    password: &Password,
    client: &ClientInfo,
) -> Result<Proof, Error> {
    let found = {
        let identity = identity.clone();
        core.store
            .read(move |conn| users::with_password(conn, &identity))
            .await?
    };
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
    let buckets = Buckets::of(core, &identity, user.as_ref(), client);
    let attempt = Attempt {
        buckets,
        client,
        before: Methods::default(),
    };
    check(core, user, hash, password, attempt).await
}

/// Checks that `user`, who is known already and has shown `before`, knows the password: for `/verify`.
pub(crate) async fn prove_again(
    core: &Core,
    user: &User,
    password: &Password,
    before: Methods,
    client: &ClientInfo,
) -> Result<Proof, Error> {
    let id = user.id.clone();
    let (user, hash) = core
        .store
        .read(move |conn| Ok((users::by_id(conn, &id)?, users::password_of(conn, &id)?)))
        .await?;
    let Some(user) = user else {
        return Err(Denied::BadCredential.into());
    };
    let buckets = Buckets::of_user(core, &user, client);
    let attempt = Attempt {
        buckets,
        client,
        before,
    };
    check(core, Some(user), hash, password, attempt).await
}

/// Checks a password against what an account has, if there is one, behind its lock.
pub(crate) async fn check(
    core: &Core,
    user: Option<User>,
    hash: Option<PasswordHash>,
    password: &Password,
    attempt: Attempt<'_>,
) -> Result<Proof, Error> {
    refuse_if_locked(core, &attempt.buckets).await?;
    let verdict = core.hasher.verify(password, hash.as_ref()).await?;
    check_verdict(core, user, hash, verdict, attempt).await
}

/// The same where the password was compared before. A wrong one is counted here, a right one never is; but
/// where answers do not tell them apart, that of a shut account is, since the lock would tell.
pub(crate) async fn check_verdict(
    core: &Core,
    user: Option<User>,
    hash: Option<PasswordHash>,
    verdict: Verdict,
    attempt: Attempt<'_>,
) -> Result<Proof, Error> {
    let Attempt {
        buckets,
        client,
        before,
    } = attempt;
    let methods = Methods::of(Method::Password);
    let count =
        async |user: Option<&User>| count_failure(core, &buckets, user, methods, client).await;
    let (user, upgrade) = match (user, verdict) {
        (Some(user), Verdict::Match { upgrade }) => (user, upgrade),
        (user, _) => {
            count(user.as_ref()).await?;
            return Ok(Proof::Wrong(match (&user, &hash) {
                (None, _) => Wrong::NoAccount,
                (Some(_), None) => Wrong::NoPassword,
                (Some(_), Some(_)) => Wrong::Password,
            }));
        }
    };
    // Of many guesses at once, a right one that was answered after the door was shut comes too late; a
    // wrong one got the same answer when it could not be counted.
    refuse_if_locked(core, &buckets).await?;
    let admission = match admit(core, user.clone(), before.union(methods)).await {
        // To guess the password of a shut account is no cheaper.
        Err(error @ Error::Denied(Denied::Inactive | Denied::Unconfirmed)) => {
            if core.settings.generic_answers {
                count(Some(&user)).await?;
            }
            return Err(error);
        }
        admission => admission?,
    };
    if let (Some(old), Some(new)) = (hash, upgrade) {
        let id = user.id;
        core.store
            .write(move |conn| users::upgrade_password(conn, &id, &old, &new))
            .await?;
    }
    Ok(Proof::Right(admission, buckets))
}
