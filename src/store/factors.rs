//! Rows of factors and recovery codes; what they mean is in [`crate::factors`].

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError,
    schema::{security_factors as factors, security_recovery_codes as codes},
};
use crate::types::{FactorKind, Methods, Timestamp, Usages, UserId};

/// A factor to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = factors)]
pub(crate) struct NewFactor {
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) usages: i64,
    pub(crate) secret: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) identity: Option<String>,
    pub(crate) last_step: i64,
    pub(crate) created_at: Timestamp,
}

/// A factor as it stands.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = factors)]
pub(crate) struct FactorRow {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) usages: i64,
    pub(crate) secret: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl FactorRow {
    /// Which kind; `None` for one that this version does not know.
    pub(crate) fn kind(&self) -> Option<FactorKind> {
        FactorKind::of(&self.kind)
    }

    /// Whether one of its kind is among what was shown.
    pub(crate) fn is_shown_by(&self, methods: Methods) -> bool {
        self.kind()
            .is_some_and(|kind| methods.contains(kind.method()))
    }

    pub(crate) fn serves(&self, usage: Usages) -> bool {
        self.usages & usage.bits() != 0
    }
}

/// A factor as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FactorInfo {
    /// Which.
    pub id: String,
    /// Of which kind.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: String,
    /// Whether it signs in.
    pub first: bool,
    /// Whether it is asked for after another.
    pub second: bool,
    /// When it was set up.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

pub(crate) fn insert(conn: &mut Conn, new: &NewFactor) -> Result<(), StoreError> {
    diesel::insert_into(factors::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// All factors of an account, the oldest first.
pub(crate) fn of_user(conn: &mut Conn, user: &UserId) -> Result<Vec<FactorRow>, StoreError> {
    Ok(factors::table
        .filter(factors::user_id.eq(user))
        .order(factors::id)
        .select(FactorRow::as_select())
        .load(conn)?)
}

/// Those of one use.
pub(crate) fn serving(
    conn: &mut Conn,
    user: &UserId,
    usage: Usages,
) -> Result<Vec<FactorRow>, StoreError> {
    let mut rows = of_user(conn, user)?;
    rows.retain(|row| row.serves(usage) && row.kind().is_some());
    Ok(rows)
}

/// Whose phone this is, among those that people sign in with.
pub(crate) fn owner_of(conn: &mut Conn, identity: &str) -> Result<Option<UserId>, StoreError> {
    Ok(factors::table
        .filter(factors::identity.eq(identity))
        .select(factors::user_id)
        .get_result(conn)
        .optional()?)
}

/// Moves the last time step on: a code is accepted once, and none of a step before. One conditional
/// UPDATE, so of many at once exactly one gets true.
pub(crate) fn advance(
    conn: &mut Conn,
    id: &str,
    step: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let behind = factors::table.find(id).filter(factors::last_step.lt(step));
    Ok(diesel::update(behind)
        .set((factors::last_step.eq(step), factors::last_used_at.eq(now)))
        .execute(conn)?
        == 1)
}

/// Notes the use of a factor that has no steps.
pub(crate) fn touch(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    Ok(diesel::update(factors::table.find(id))
        .set(factors::last_used_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Puts a seed encrypted under the current key in the place of one under a former.
pub(crate) fn reseal(conn: &mut Conn, id: &str, old: &str, new: &str) -> Result<bool, StoreError> {
    let row = factors::table.find(id).filter(factors::secret.eq(old));
    Ok(diesel::update(row)
        .set(factors::secret.eq(new))
        .execute(conn)?
        == 1)
}

/// Takes one use from a factor of an account, and deletes it when none is left; answers the row as it
/// was, if it had that use.
pub(crate) fn take_usage(
    conn: &mut Conn,
    user: &UserId,
    id: &str,
    usage: Usages,
) -> Result<Option<FactorRow>, StoreError> {
    let row: Option<FactorRow> = factors::table
        .find(id)
        .filter(factors::user_id.eq(user))
        .select(FactorRow::as_select())
        .get_result(conn)
        .optional()?;
    let Some(row) = row.filter(|row| row.serves(usage)) else {
        return Ok(None);
    };
    let left = row.usages & !usage.bits();
    let same = factors::table
        .find(id)
        .filter(factors::usages.eq(row.usages));
    let none: Option<String> = None;
    let changed = match left {
        0 => diesel::delete(same).execute(conn)?,
        _ if usage == Usages::FIRST => diesel::update(same)
            .set((factors::usages.eq(left), factors::identity.eq(none)))
            .execute(conn)?,
        _ => diesel::update(same)
            .set(factors::usages.eq(left))
            .execute(conn)?,
    };
    Ok((changed == 1).then_some(row))
}

/// Deletes every factor and recovery code of an account.
pub(crate) fn delete_all_of(conn: &mut Conn, user: &UserId) -> Result<(), StoreError> {
    diesel::delete(factors::table.filter(factors::user_id.eq(user))).execute(conn)?;
    diesel::delete(codes::table.filter(codes::user_id.eq(user))).execute(conn)?;
    Ok(())
}

/// Deletes the factors and recovery codes of an account that were made at or after `since`.
pub(crate) fn delete_since(
    conn: &mut Conn,
    user: &UserId,
    since: Timestamp,
) -> Result<usize, StoreError> {
    diesel::delete(
        codes::table
            .filter(codes::user_id.eq(user))
            .filter(codes::created_at.ge(since)),
    )
    .execute(conn)?;
    Ok(diesel::delete(
        factors::table
            .filter(factors::user_id.eq(user))
            .filter(factors::created_at.ge(since)),
    )
    .execute(conn)?)
}

// Recovery codes.

/// A recovery code to be written.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = codes)]
pub(crate) struct NewCode {
    pub(crate) id: String,
    pub(crate) user_id: UserId,
    pub(crate) code_hash: String,
    pub(crate) created_at: Timestamp,
}

/// Puts new codes in the place of all former ones.
pub(crate) fn replace_codes(
    conn: &mut Conn,
    user: &UserId,
    new: &[NewCode],
) -> Result<(), StoreError> {
    diesel::delete(codes::table.filter(codes::user_id.eq(user))).execute(conn)?;
    for code in new {
        diesel::insert_into(codes::table)
            .values(code)
            .execute(conn)?;
    }
    Ok(())
}

/// The codes that are left of those made after `since`: id and tag of each.
pub(crate) fn codes_left(
    conn: &mut Conn,
    user: &UserId,
    since: Timestamp,
) -> Result<Vec<(String, String)>, StoreError> {
    Ok(codes::table
        .filter(codes::user_id.eq(user))
        .filter(codes::used_at.is_null())
        .filter(codes::created_at.gt(since))
        .order(codes::id)
        .select((codes::id, codes::code_hash))
        .load(conn)?)
}

/// Uses a code up: one conditional UPDATE, so of many at once exactly one gets true.
pub(crate) fn use_code(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let unused = codes::table.find(id).filter(codes::used_at.is_null());
    Ok(diesel::update(unused)
        .set(codes::used_at.eq(now))
        .execute(conn)?
        == 1)
}

/// The public operations on factors.
impl Store {
    /// The factors of an account, the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn factors_of(&self, user: &UserId) -> Result<Vec<FactorInfo>, StoreError> {
        let user = user.clone();
        let rows = self.read(move |conn| of_user(conn, &user)).await?;
        let info = |row: FactorRow| {
            Some(FactorInfo {
                kind: row.kind()?,
                first: row.serves(Usages::FIRST),
                second: row.serves(Usages::SECOND),
                id: row.id,
                name: row.name,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
            })
        };
        Ok(rows.into_iter().filter_map(info).collect())
    }

    /// How many recovery codes an account has left, whatever `[security.recovery_codes] life` says of them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn recovery_codes_left(&self, user: &UserId) -> Result<usize, StoreError> {
        let user = user.clone();
        self.read(move |conn| Ok(codes_left(conn, &user, Timestamp::from_millis(i64::MIN))?.len()))
            .await
    }
}
