//! What a sign-in is in rows: which columns name it, and how a transaction holds on to it.

use diesel::prelude::*;

use super::{
    Conn, StoreError,
    schema::{
        security_devices as devices, security_refresh_families as refresh,
        security_sessions as sessions, security_tickets as tickets, security_tokens as tokens,
    },
};
use crate::types::{SessionId, UserId};

/// One sign-in, by what names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// The digest of the session's cookie.
    pub(crate) session: Option<String>,
    /// The digest of the remembered device's series.
    pub(crate) series: Option<String>,
    /// The digest of the series of the refresh token that was given in it.
    pub(crate) refresh: Option<String>,
    /// The digest of the cookie of a second step that waits in the same browser.
    pub(crate) pending: Option<String>,
}

/// Which session, as a request knows it.
#[derive(Clone, Debug)]
pub(crate) enum WhichSession {
    Id(SessionId),
    /// By the digest of its cookie, which this request may have been given a moment ago.
    Hash(String),
}

/// Where something is given or begun, so that it ends with that.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    /// By a visitor, or on the word of a mail: it ends with no session.
    ByVisitor,
    /// In a session of this account.
    InSession(UserId, WhichSession),
    /// By the authentication token with this digest, in the sign-in that the token comes from.
    ByToken(String),
    /// By a caller who shows a proof with each request.
    ByProof,
}

impl Begun {
    /// What names the sign-in in a row. The sign-in is held for the rest of the transaction, which goes on only if
    /// it has not ended.
    pub(crate) fn hold(&self, conn: &mut Conn) -> Result<Named, StoreError> {
        Ok(match self {
            Self::ByVisitor => Named::default(),
            Self::InSession(user, which) => hold_session(conn, user, which)?.into(),
            Self::ByToken(hash) => hold_token(conn, hash)?,
            Self::ByProof => Named::default(),
        })
    }

    /// The same for a ticket: an empty hash says that it is of no session, and yet no visitor's.
    pub(super) fn hold_ticket(&self, conn: &mut Conn) -> Result<Named, StoreError> {
        let mut named = self.hold(conn)?;
        if !matches!(self, Self::ByVisitor) {
            named.session_hash.get_or_insert_default();
        }
        Ok(named)
    }
}

/// The columns that name a sign-in.
#[derive(Clone, Debug, Default, Queryable)]
pub(crate) struct Named {
    pub(crate) session_hash: Option<String>,
    pub(crate) remember_series: Option<String>,
}

impl From<SignIn> for Named {
    fn from(of: SignIn) -> Self {
        Self {
            session_hash: of.session,
            remember_series: of.series,
        }
    }
}

/// Goes on only if a session of an account has not ended, and holds on to it for the rest of the transaction;
/// answers the sign-in that it is.
///
/// Whoever ends it at the same moment waits, and then ends what this transaction gave in it as well. An update
/// comes first, so that nobody gives the session another hash after it was read.
pub(crate) fn hold_session(
    conn: &mut Conn,
    user: &UserId,
    which: &WhichSession,
) -> Result<SignIn, StoreError> {
    let of_user = || sessions::table.filter(sessions::user_id.eq(user));
    let same = sessions::last_seen_at.eq(sessions::last_seen_at);
    let columns = (sessions::token_hash, sessions::series);
    let found: Option<(String, Option<String>)> = match which {
        WhichSession::Id(id) => {
            let mine = || of_user().filter(sessions::id.eq(id));
            diesel::update(mine()).set(same).execute(conn)?;
            mine().select(columns).get_result(conn).optional()?
        }
        WhichSession::Hash(hash) => {
            let mine = || of_user().filter(sessions::token_hash.eq(hash));
            diesel::update(mine()).set(same).execute(conn)?;
            mine().select(columns).get_result(conn).optional()?
        }
    };
    let (session, series) = found.ok_or(StoreError::Missing)?;
    Ok(SignIn {
        session: Some(session),
        series,
        ..SignIn::default()
    })
}

/// Goes on only if a token has not ended, and holds on to it for the rest of the transaction; answers the sign-in in
/// which it was given.
fn hold_token(conn: &mut Conn, token_hash: &str) -> Result<Named, StoreError> {
    let held = diesel::update(tokens::table.find(token_hash))
        .set(tokens::expires_at.eq(tokens::expires_at))
        .execute(conn)?;
    if held == 0 {
        return Err(StoreError::Missing);
    }
    Ok(tokens::table
        .find(token_hash)
        .select((tokens::session_hash, tokens::remember_series))
        .get_result(conn)?)
}

/// A session of an account goes on under another hash, and what was given and begun in it goes with it.
pub(crate) fn follow(
    conn: &mut Conn,
    user: &UserId,
    old_hash: &str,
    new_hash: &str,
) -> Result<(), StoreError> {
    macro_rules! follow {
        ($table:ident) => {{
            let given = $table::table
                .filter($table::session_hash.eq(old_hash))
                .filter($table::user_id.eq(user));
            diesel::update(given)
                .set($table::session_hash.eq(new_hash))
                .execute(conn)?;
        }};
    }
    follow!(refresh);
    follow!(tokens);
    follow!(tickets);
    follow!(devices);
    Ok(())
}
