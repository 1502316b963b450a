//! Authentication tokens: 256 random bits for a program, of which the database keeps the hash.

use std::num::NonZeroU32;

use super::{Admitted, admit::ensure_usable};
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::{Denied, Error},
    events::EventKind,
    secrets::{Secret, digest, random_token},
    signin::caller::Caller,
    store::{
        StoreError, User,
        sign_in::{Begun, Named},
        tokens, users,
    },
    types::{Methods, ProvenAt, Timestamp},
};

/// A token and when it ends, as it is shown once.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token itself.
    pub token: Secret<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a token is given on the strength of.
#[derive(Debug)]
pub(crate) struct Strength<'a> {
    pub(crate) user: &'a User,
    pub(crate) methods: Methods,
    pub(crate) proven_at: ProvenAt,
    /// The sign-in with which it ends.
    pub(crate) begun: Begun,
}

impl<'a> Strength<'a> {
    /// That of somebody who passed the gate a moment ago.
    pub(crate) fn of(admitted: &'a Admitted, begun: Begun) -> Self {
        Self {
            user: admitted.user(),
            methods: admitted.methods(),
            proven_at: admitted.proven_at(),
            begun,
        }
    }

    /// That of whoever asks.
    pub(crate) fn of_caller(caller: &'a Caller) -> Self {
        Self {
            user: &caller.user,
            methods: caller.methods,
            proven_at: caller.authenticated_at,
            begun: caller.begun(),
        }
    }
}

/// Makes a token, which is no fresher than what it is given on, and ends with the sign-in that it is given in.
pub(crate) async fn issue(
    core: &Core,
    strength: Strength<'_>,
    by: &By,
) -> Result<IssuedToken, Error> {
    let Strength {
        user,
        methods,
        proven_at,
        begun,
    } = strength;
    let (issued, row) = prepare(core, user, methods, proven_at, None)?;
    let (uniquifier, most) = (user.uniquifier.clone(), core.settings.tokens.most);
    core.change(by, move |change| {
        users::hold(change, &row.user_id, &uniquifier)?;
        let named = begun.hold(change)?;
        change.insert_token(&row, named, most)
    })
    .await
    .map_err(|error| match error {
        // The sign-in has ended meanwhile.
        StoreError::Missing => Denied::BadCredential.into(),
        error => Error::from(error),
    })?;
    Ok(issued)
}

impl Change<'_> {
    /// Writes a token that is given out.
    pub(crate) fn insert_token(
        &mut self,
        row: &tokens::NewToken,
        named: Named,
        most: NonZeroU32,
    ) -> Result<(), StoreError> {
        tokens::insert(self, row, named, most)?;
        self.event(EventKind::TokenIssued {
            user: row.user_id.clone(),
        });
        Ok(())
    }
}

/// A new token, and the row that makes it good, as long as the family of refresh tokens lives that gives it.
pub(crate) fn prepare(
    core: &Core,
    user: &User,
    methods: Methods,
    authenticated_at: ProvenAt,
    series: Option<String>,
) -> Result<(IssuedToken, tokens::NewToken), Error> {
    let (token, now) = (random_token()?, core.now());
    let mut expires_at = now.after(core.settings.tokens.life.get());
    if let Some(hook) = &core.token_expiry {
        // The shorter of both wins, so that a hook can only tighten.
        expires_at = expires_at.min(hook(user).unwrap_or(expires_at));
    }
    let row = tokens::NewToken {
        token_hash: digest(token.expose()),
        user_id: user.id.clone(),
        user_uniquifier: user.token_uniquifier.clone(),
        created_at: now,
        expires_at,
        authenticated_at,
        methods,
        series,
        session_hash: None,
        remember_series: None,
    };
    Ok((IssuedToken { token, expires_at }, row))
}

/// Whose token this is, if it is alive.
pub(crate) async fn resolve(
    core: &Core,
    presented: &str,
) -> Result<(tokens::TokenRow, User), Error> {
    // Ours have 43 characters; anything else is not worth a query.
    if presented.len() != 43 {
        return Err(Denied::BadCredential.into());
    }
    let hash = digest(presented);
    let Some((row, user)) = core
        .store
        .read(move |conn| tokens::find(conn, &hash))
        .await?
    else {
        return Err(Denied::BadCredential.into());
    };
    let now = core.now();
    if row.expires_at <= now || !row.created_at.has_been(now) {
        return Err(Denied::BadCredential.into());
    }
    ensure_usable(core, &user)?;
    Ok((row, user))
}
