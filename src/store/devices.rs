//! Rows of trusted devices; their meaning is in [`crate::signin::trusted`].

use std::num::NonZeroU32;

use diesel::prelude::*;
use serde::Serialize;

use super::{Conn, Store, StoreError, schema::security_devices as devices, sessions::NewSession};
use crate::types::{SKEW, Timestamp, Uniquifier, UserId};

/// A trusted device to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = devices)]
pub(crate) struct NewDevice {
    pub(crate) series: String,
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) user_uniquifier: Uniquifier,
    pub(crate) token_hash: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) address: String,
    pub(crate) agent: String,
}

/// A trusted device as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = devices)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Which; opens nothing.
    pub id: String,
    #[serde(skip)]
    pub(crate) series: String,
    /// When it was trusted.
    pub created_at: Timestamp,
    /// When a second factor was last spared.
    pub last_used_at: Timestamp,
    /// When it is trusted no more.
    pub expires_at: Timestamp,
    /// The client's address when it was last used.
    pub address: String,
    /// The client's `User-Agent` when it was last used.
    pub agent: String,
}

/// Trusts a device of an account whose row the transaction holds. Of its devices `most` are kept: the oldest go.
pub(crate) fn insert(conn: &mut Conn, new: &NewDevice, most: NonZeroU32) -> Result<(), StoreError> {
    diesel::insert_into(devices::table)
        .values(new)
        .execute(conn)?;
    let beyond: Vec<String> = devices::table
        .filter(devices::user_id.eq(&new.user_id))
        .filter(devices::id.ne(&new.id))
        .order((devices::created_at.desc(), devices::id.desc()))
        .offset(i64::from(most.get()) - 1)
        .limit(5_000)
        .select(devices::id)
        .load(conn)?;
    for chunk in beyond.chunks(500) {
        diesel::delete(devices::table.filter(devices::id.eq_any(chunk))).execute(conn)?;
    }
    Ok(())
}

/// What a browser shows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) series: String,
    pub(crate) token_hash: String,
    pub(crate) address: String,
    pub(crate) agent: String,
}

/// Uses a trusted device: its token is exchanged for the next in the same statement that judges it.
pub(crate) fn rotate(
    conn: &mut Conn,
    user: &UserId,
    uniquifier: &Uniquifier,
    shown: &Shown,
    next_hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let good = devices::table
        .find(&shown.series)
        .filter(devices::user_id.eq(user))
        .filter(devices::user_uniquifier.eq(uniquifier))
        .filter(devices::token_hash.eq(&shown.token_hash))
        .filter(devices::expires_at.gt(now))
        .filter(devices::last_used_at.le(now.after(SKEW)));
    Ok(diesel::update(good)
        .set((
            devices::token_hash.eq(next_hash),
            devices::last_used_at.eq(now),
            devices::address.eq(&shown.address),
            devices::agent.eq(&shown.agent),
        ))
        .execute(conn)?
        == 1)
}

/// Notes the sign-in in which a trusted device of the account was last used, if it is one.
pub(crate) fn used_in(
    conn: &mut Conn,
    session: &NewSession,
    series: &str,
) -> Result<(), StoreError> {
    let mine = devices::table
        .find(series)
        .filter(devices::user_id.eq(&session.user_id));
    diesel::update(mine)
        .set((
            devices::session_hash.eq(Some(&session.token_hash)),
            devices::remember_series.eq(&session.series),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets a series of an account: an old copy of its token came back, or it has run out.
pub(crate) fn delete_series(
    conn: &mut Conn,
    user: &UserId,
    series: &str,
) -> Result<(), StoreError> {
    let mine = devices::table
        .find(series)
        .filter(devices::user_id.eq(user));
    diesel::delete(mine).execute(conn)?;
    Ok(())
}

pub(crate) fn delete_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(devices::table.filter(devices::user_id.eq(user))).execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(devices::table.filter(devices::expires_at.le(now))).execute(conn)?;
    Ok(())
}

/// Trusts a device no more; false if the account has none of that id.
pub(crate) fn delete(conn: &mut Conn, owner: &UserId, id: &str) -> Result<bool, StoreError> {
    let device = devices::table
        .filter(devices::id.eq(id))
        .filter(devices::user_id.eq(owner));
    Ok(diesel::delete(device).execute(conn)? == 1)
}

/// The public operations on trusted devices.
impl Store {
    /// The devices on which an account is not asked for its second factor, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn trusted_devices_of(&self, user: &UserId) -> Result<Vec<DeviceInfo>, StoreError> {
        let (user, now) = (user.clone(), self.now());
        self.read(move |conn| {
            Ok(devices::table
                .filter(devices::user_id.eq(user))
                .filter(devices::expires_at.gt(now))
                .order(devices::created_at.desc())
                .limit(1_000)
                .select(DeviceInfo::as_select())
                .load(conn)?)
        })
        .await
    }
}
