//! Authentication tokens: 256 random bits for a program, of which the database keeps the hash.

use super::{Admitted, Methods, admit::standing};
use crate::{
    error::{Denied, Error},
    notify::events::{Client, EventKind},
    secrets::{Secret, digest, random_token},
    site::Site,
    store::{Timestamp, User, tokens},
};

/// A token and when it ends, as it is shown once.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub token: Secret<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Makes a token for somebody who passed the gate.
pub(crate) async fn issue(
    site: &Site,
    admitted: &Admitted,
    client: &Client,
) -> Result<IssuedToken, Error> {
    issue_for(
        site,
        admitted.user(),
        admitted.methods(),
        admitted.at(),
        client,
    )
    .await
}

/// Makes a token on the strength of a session whose proof is as old as `authenticated_at`.
pub(crate) async fn issue_for(
    site: &Site,
    user: &User,
    methods: Methods,
    authenticated_at: Timestamp,
    client: &Client,
) -> Result<IssuedToken, Error> {
    let (issued, row) = prepare(site, user, methods, authenticated_at, None)?;
    site.store
        .write(move |conn| tokens::insert(conn, &row))
        .await?;
    announce(site, user, client);
    Ok(issued)
}

/// Tells of a token that was given.
pub(crate) fn announce(site: &Site, user: &User, client: &Client) {
    let user = user.id.clone();
    site.event(Some(client), EventKind::TokenIssued { user });
}

/// A new token, and the row that makes it good, as long as the family of refresh tokens lives that gives it.
pub(crate) fn prepare(
    site: &Site,
    user: &User,
    methods: Methods,
    authenticated_at: Timestamp,
    series: Option<String>,
) -> Result<(IssuedToken, tokens::NewToken), Error> {
    let (token, now) = (random_token()?, site.now());
    let mut expires_at = now.after(site.settings.tokens.life);
    if let Some(hook) = &site.hooks.token_expiry {
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
    };
    Ok((IssuedToken { token, expires_at }, row))
}

/// Whose token this is, if it is alive.
pub(crate) async fn resolve(
    site: &Site,
    presented: &str,
) -> Result<(tokens::TokenRow, User), Error> {
    // Ours have 43 characters; anything else is not worth a query.
    if presented.len() != 43 {
        return Err(Denied::BadCredential.into());
    }
    let hash = digest(presented);
    let Some((row, user)) = site
        .store
        .read(move |conn| tokens::find(conn, &hash))
        .await?
    else {
        return Err(Denied::BadCredential.into());
    };
    let now = site.now();
    if row.expires_at <= now || !row.created_at.has_been(now) {
        return Err(Denied::BadCredential.into());
    }
    standing(site, &user)?;
    Ok((row, user))
}
