//! Sessions as rows: what is signed in, from where, since when.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, Timestamp, Uniquifier, User, UserId,
    conn::natively,
    families,
    schema::{security_remember, security_sessions, users},
    types::SessionId,
};
use crate::signin::Methods;

/// A session to be written; made by the session service from an `Admitted` only.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = security_sessions)]
pub(crate) struct NewSession {
    pub(crate) token_hash: String,
    pub(crate) id: SessionId,
    pub(crate) user_id: UserId,
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) grace_until: Timestamp,
    pub(crate) methods: Methods,
    pub(crate) address: String,
    pub(crate) agent: String,
    pub(crate) series: Option<String>,
}

/// What a request needs of its session.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = security_sessions)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) grace_until: Timestamp,
    pub(crate) methods: Methods,
}

/// A session as its owner sees it in the list.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = security_sessions)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Which session; opens nothing.
    pub id: SessionId,
    /// When somebody signed in.
    pub created_at: Timestamp,
    /// When it was last used, give or take five minutes.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How the sign-in was proven.
    pub methods: Methods,
    /// The client's address at sign-in.
    pub address: String,
    /// The client's `User-Agent` at sign-in, cut to 255 characters.
    pub agent: String,
    /// The remembered device that it comes from.
    #[serde(skip)]
    pub(crate) series: Option<String>,
}

impl SessionInfo {
    /// Whether the browser is remembered beyond this session.
    pub fn is_remembered(&self) -> bool {
        self.series.is_some()
    }
}

/// The session with this hash and its account: the one query of a guarded request.
pub(crate) fn find(
    conn: &mut Conn,
    token_hash: &str,
) -> Result<Option<(SessionRow, User)>, StoreError> {
    let found = natively!(conn, conn => security_sessions::table
        .inner_join(users::table)
        .filter(security_sessions::token_hash.eq(token_hash))
        // A new uniquifier ends all sessions, also one that is being inserted.
        .filter(security_sessions::user_uniquifier.eq(users::uniquifier))
        .select((SessionRow::as_select(), User::as_select()))
        .get_result(conn));
    Ok(found.optional()?)
}

/// Whose session it is, and the remembered device that it comes from.
pub(crate) fn owner(
    conn: &mut Conn,
    token_hash: &str,
) -> Result<Option<(UserId, Option<String>)>, StoreError> {
    Ok(security_sessions::table
        .find(token_hash)
        .select((security_sessions::user_id, security_sessions::series))
        .get_result(conn)
        .optional()?)
}

pub(crate) fn insert(conn: &mut Conn, new: &NewSession) -> Result<(), StoreError> {
    diesel::insert_into(security_sessions::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Deletes by hash, with the refresh tokens that were given in it; answers whether it was there. Those of a
/// session that has run out go as well.
pub(crate) fn delete_by_hash(conn: &mut Conn, token_hash: &str) -> Result<bool, StoreError> {
    let deleted = diesel::delete(security_sessions::table.find(token_hash)).execute(conn)? == 1;
    families::end_of_session(conn, token_hash)?;
    Ok(deleted)
}

/// Deletes by hash, where `new` goes on in its place: refresh tokens of the same account stay good.
pub(crate) fn replace_by_hash(
    conn: &mut Conn,
    token_hash: &str,
    new: &NewSession,
) -> Result<(), StoreError> {
    diesel::delete(security_sessions::table.find(token_hash)).execute(conn)?;
    families::follow_session(conn, &new.user_id, token_hash, &new.token_hash)?;
    families::end_of_session(conn, token_hash)
}

/// Goes on only if this session of an account has not ended, and holds on to it for the rest of the transaction;
/// answers the remembered device that it comes from.
///
/// Whoever ends it at the same moment waits, and then ends what this transaction gave in it as well.
pub(crate) fn hold(
    conn: &mut Conn,
    user: &UserId,
    token_hash: &str,
) -> Result<Option<String>, StoreError> {
    let mine = security_sessions::table
        .find(token_hash)
        .filter(security_sessions::user_id.eq(user));
    let held = diesel::update(mine)
        .set(security_sessions::last_seen_at.eq(security_sessions::last_seen_at))
        .execute(conn)?;
    if held == 0 {
        return Err(StoreError::Missing);
    }
    Ok(security_sessions::table
        .find(token_hash)
        .select(security_sessions::series)
        .get_result(conn)?)
}

/// Gives a session a new secret and a new moment of proof, if it is still the one presented.
pub(crate) fn renew(
    conn: &mut Conn,
    user: &UserId,
    old_hash: &str,
    new_hash: &str,
    methods: Methods,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(security_sessions::table.find(old_hash))
        .set((
            security_sessions::token_hash.eq(new_hash),
            security_sessions::authenticated_at.eq(now),
            security_sessions::grace_until.eq(now),
            security_sessions::last_seen_at.eq(now),
            security_sessions::methods.eq(methods),
        ))
        .execute(conn)?;
    if changed == 1 {
        families::follow_session(conn, user, old_hash, new_hash)?;
    }
    Ok(changed == 1)
}

/// What is known of a session's use since it was last written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) seen: Timestamp,
    pub(crate) grace_until: Option<Timestamp>,
}

/// Writes down the use of many sessions in one transaction, to the second.
///
/// Those of one second share a statement: on a busy site nearly every request is a session's first in
/// its minute, and a statement of its own would be parsed for each.
pub(crate) fn touch_all(conn: &mut Conn, touches: &[(SessionId, Touch)]) -> Result<(), StoreError> {
    let mut by_second: BTreeMap<i64, (Timestamp, Vec<&SessionId>)> = BTreeMap::new();
    for (id, touch) in touches {
        if let Some(until) = touch.grace_until {
            diesel::update(security_sessions::table.filter(security_sessions::id.eq(id)))
                .set((
                    security_sessions::last_seen_at.eq(touch.seen),
                    security_sessions::grace_until.eq(until),
                ))
                .execute(conn)?;
            continue;
        }
        let second = by_second
            .entry(touch.seen.as_millis().div_euclid(1_000))
            .or_insert((touch.seen, Vec::new()));
        second.0 = second.0.max(touch.seen);
        second.1.push(id);
    }
    for (seen, mut ids) in by_second.into_values() {
        // In the order in which the index has them.
        ids.sort_unstable();
        for ids in ids.chunks(500) {
            diesel::update(
                security_sessions::table.filter(security_sessions::id.eq_any(ids.iter().copied())),
            )
            .set(security_sessions::last_seen_at.eq(seen))
            .execute(conn)?;
        }
    }
    Ok(())
}

/// Deletes what has run out, a bounded number at a time.
pub(crate) fn delete_expired(
    conn: &mut Conn,
    now: Timestamp,
    idle_before: Timestamp,
) -> Result<(), StoreError> {
    let gone = security_sessions::table.filter(
        security_sessions::expires_at
            .le(now)
            .or(security_sessions::last_seen_at.le(idle_before)),
    );
    let hashes: Vec<String> = gone
        .select(security_sessions::token_hash)
        .limit(5_000)
        .load(conn)?;
    for chunk in hashes.chunks(500) {
        diesel::delete(
            security_sessions::table.filter(security_sessions::token_hash.eq_any(chunk)),
        )
        .execute(conn)?;
    }
    Ok(())
}

fn delete_with_series(
    conn: &mut Conn,
    rows: Vec<(String, Option<String>)>,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for (hash, series) in rows {
        ended += usize::from(delete_by_hash(conn, &hash)?);
        if let Some(series) = series {
            super::remember::delete_with_sessions(conn, &series)?;
        }
    }
    Ok(ended)
}

/// The public operations on sessions.
impl Store {
    /// The sessions of an account, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn sessions_of(&self, id: &UserId) -> Result<Vec<SessionInfo>, StoreError> {
        let (id, now) = (id.clone(), self.now());
        self.read(move |conn| {
            Ok(security_sessions::table
                .filter(security_sessions::user_id.eq(id))
                .filter(security_sessions::expires_at.gt(now))
                .order(security_sessions::created_at.desc())
                .limit(1_000)
                .select(SessionInfo::as_select())
                .load(conn)?)
        })
        .await
    }

    /// Ends one session of an account, and the remembered device it comes from; false if there is none
    /// of that id that belongs to that account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_session(
        &self,
        owner: &UserId,
        session: &SessionId,
    ) -> Result<bool, StoreError> {
        let (owner, session) = (owner.clone(), session.clone());
        self.write(move |conn| {
            let rows = security_sessions::table
                .filter(security_sessions::id.eq(&session))
                .filter(security_sessions::user_id.eq(&owner))
                .select((security_sessions::token_hash, security_sessions::series))
                .load(conn)?;
            Ok(delete_with_series(conn, rows)? == 1)
        })
        .await
    }

    /// Ends every session of an account but `keep`, every remembered device but the one of `keep`, and
    /// every token; answers how many sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_other_sessions(
        &self,
        owner: &UserId,
        keep: &SessionId,
    ) -> Result<usize, StoreError> {
        let (owner, keep) = (owner.clone(), keep.clone());
        self.write(move |conn| {
            let kept: Option<Option<String>> = security_sessions::table
                .filter(security_sessions::id.eq(&keep))
                .filter(security_sessions::user_id.eq(&owner))
                .select(security_sessions::series)
                .get_result(conn)
                .optional()?;
            let kept = kept.flatten().unwrap_or_default();
            super::users::end_tokens(conn, &owner)?;
            // What one of the others asked for is asked for no more.
            super::tickets::end_of_purpose(conn, &owner, super::tickets::CHANGE_EMAIL)?;
            diesel::delete(
                security_remember::table
                    .filter(security_remember::user_id.eq(&owner))
                    .filter(security_remember::series.ne(kept)),
            )
            .execute(conn)?;
            Ok(diesel::delete(
                security_sessions::table
                    .filter(security_sessions::user_id.eq(&owner))
                    .filter(security_sessions::id.ne(&keep)),
            )
            .execute(conn)?)
        })
        .await
    }
}
