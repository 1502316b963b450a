//! Sessions as rows: what is signed in, from where, since when.

use std::{collections::BTreeMap, num::NonZeroU32};

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, User,
    conn::natively,
    endings::{self, Ending},
    schema::{security_sessions, users},
    sign_in::{self, SignIn, WhichSession},
};
use crate::types::{Methods, ProvenAt, SessionId, Timestamp, Uniquifier, UserId};

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
    pub(crate) authenticated_at: ProvenAt,
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
    pub(crate) authenticated_at: ProvenAt,
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

/// Whose session it is.
pub(crate) fn owner(conn: &mut Conn, token_hash: &str) -> Result<Option<UserId>, StoreError> {
    Ok(security_sessions::table
        .find(token_hash)
        .select(security_sessions::user_id)
        .get_result(conn)
        .optional()?)
}

pub(crate) fn insert(conn: &mut Conn, new: &NewSession) -> Result<(), StoreError> {
    diesel::insert_into(security_sessions::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// Ends the oldest sessions of an account whose row the transaction holds, as many as it has beyond `most`.
pub(crate) fn end_beyond(
    conn: &mut Conn,
    new: &NewSession,
    most: NonZeroU32,
) -> Result<(), StoreError> {
    // The new one stays, whatever the clock says.
    let beyond: Vec<String> = security_sessions::table
        .filter(security_sessions::user_id.eq(&new.user_id))
        .filter(security_sessions::token_hash.ne(&new.token_hash))
        .order((
            security_sessions::created_at.desc(),
            security_sessions::id.desc(),
        ))
        .offset(i64::from(most.get()) - 1)
        .limit(5_000)
        .select(security_sessions::token_hash)
        .load(conn)?;
    for session in beyond {
        let of = SignIn {
            session: Some(session),
            ..SignIn::default()
        };
        endings::end(conn, &Ending::Crowded(of))?;
    }
    Ok(())
}

/// Puts `new` in the place of the session with this hash: what was given and begun in it stays good, where it is of
/// the same account.
pub(crate) fn replace_by_hash(
    conn: &mut Conn,
    token_hash: &str,
    new: &NewSession,
) -> Result<(), StoreError> {
    diesel::delete(security_sessions::table.find(token_hash)).execute(conn)?;
    sign_in::follow(conn, &new.user_id, token_hash, &new.token_hash)?;
    // Another account's goes without the device, which is none of its own.
    let other = SignIn {
        session: Some(token_hash.to_string()),
        ..SignIn::default()
    };
    endings::end(conn, &Ending::SignOut(other)).map(drop)
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
            security_sessions::authenticated_at.eq(ProvenAt::at(now)),
            security_sessions::grace_until.eq(now),
            security_sessions::last_seen_at.eq(now),
            security_sessions::methods.eq(methods),
        ))
        .execute(conn)?;
    if changed == 1 {
        sign_in::follow(conn, user, old_hash, new_hash)?;
    }
    Ok(changed == 1)
}

/// Notes what was shown in a session, which is no proof of all that is owed.
pub(crate) fn note_methods(
    conn: &mut Conn,
    user: &UserId,
    session: &SessionId,
    methods: Methods,
) -> Result<(), StoreError> {
    let its = security_sessions::table
        .filter(security_sessions::id.eq(session))
        .filter(security_sessions::user_id.eq(user));
    diesel::update(its)
        .set(security_sessions::methods.eq(methods))
        .execute(conn)?;
    Ok(())
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

/// Ends one session of an account, with its remembered and trusted device, its tokens and what was begun in it;
/// false if the account has none of that id.
pub(crate) fn revoke(
    conn: &mut Conn,
    owner: &UserId,
    session: &SessionId,
) -> Result<bool, StoreError> {
    match sign_in::hold_session(conn, owner, &WhichSession::Id(session.clone())) {
        Ok(of) => Ok(endings::end(conn, &Ending::RevokeOne(of))? > 0),
        Err(StoreError::Missing) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends every sign-in of an account but that of the session `keep`; answers how many sessions.
pub(crate) fn revoke_others(
    conn: &mut Conn,
    owner: &UserId,
    keep: &SessionId,
) -> Result<usize, StoreError> {
    let keep = match sign_in::hold_session(conn, owner, &WhichSession::Id(keep.clone())) {
        // It has ended meanwhile: all others are the rest.
        Err(StoreError::Missing) => SignIn::default(),
        keep => keep?,
    };
    let user = owner.clone();
    endings::end(conn, &Ending::RevokeOthers { user, keep })
}

/// The public queries on sessions.
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
}
