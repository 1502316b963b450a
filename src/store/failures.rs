//! Counters of failed attempts, exact however many come at once.

use diesel::prelude::*;

use super::{Conn, StoreError, Timestamp, schema::security_failures};
use crate::config::Life;

/// How many failures in which time shut a door, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) failures: u32,
    pub(crate) window: Life,
    pub(crate) lock: Life,
}

/// The moment until which one of `buckets` is locked, if any is.
pub(crate) fn locked_until(
    conn: &mut Conn,
    buckets: &[String],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let until: Option<Timestamp> = security_failures::table
        .filter(security_failures::bucket.eq_any(buckets))
        .filter(security_failures::locked_until.gt(now))
        .order(security_failures::locked_until.desc())
        .select(security_failures::locked_until)
        .get_result(conn)
        .optional()?;
    Ok(until)
}

/// What became of a failure that was to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It was counted, and the door is open still.
    Open,
    /// It was counted, and has shut the door until then.
    Shut(Timestamp),
    /// The door was shut before, until then; nothing was counted.
    WasShut(Timestamp),
}

/// Counts one failure.
///
/// While a lock holds nothing is counted, so whoever keeps failing cannot extend it for ever.
pub(crate) fn count(
    conn: &mut Conn,
    bucket: &str,
    allowance: Allowance,
    now: Timestamp,
) -> Result<Counted, StoreError> {
    use security_failures::dsl;
    let row = || security_failures::table.find(bucket);
    let window_began = now.before(allowance.window);
    let open = dsl::locked_until.le(now);
    let one_more = dsl::failures.eq(dsl::failures + 1);
    let mut counted = diesel::update(row().filter(open).filter(dsl::started_at.gt(window_began)))
        .set(one_more)
        .execute(conn)?;
    if counted == 0 {
        counted = diesel::update(row().filter(open).filter(dsl::started_at.le(window_began)))
            .set((dsl::failures.eq(1), dsl::started_at.eq(now)))
            .execute(conn)?;
    }
    if counted == 0 {
        let inserted = conn.transaction(|conn| {
            diesel::insert_into(security_failures::table)
                .values((
                    dsl::bucket.eq(bucket),
                    dsl::started_at.eq(now),
                    dsl::failures.eq(1),
                    dsl::locked_until.eq(0),
                ))
                .execute(conn)
        });
        counted = match inserted.map_err(StoreError::from) {
            Ok(inserted) => inserted,
            // Another request was faster, or the door is shut: the UPDATE tells which.
            Err(StoreError::Taken(_)) => diesel::update(row().filter(open))
                .set(one_more)
                .execute(conn)?,
            Err(error) => return Err(error),
        };
    }
    if counted == 0 {
        let until: Timestamp = row().select(dsl::locked_until).get_result(conn)?;
        return Ok(Counted::WasShut(until));
    }
    let until = now.after(allowance.lock);
    let shut = diesel::update(
        row()
            .filter(open)
            .filter(dsl::failures.ge(i64::from(allowance.failures))),
    )
    .set((
        dsl::locked_until.eq(until),
        dsl::started_at.eq(0),
        dsl::failures.eq(0),
    ))
    .execute(conn)?;
    Ok(if shut == 1 {
        Counted::Shut(until)
    } else {
        Counted::Open
    })
}

/// Forgets the failures of `buckets` after a success, locks included.
pub(crate) fn clear(conn: &mut Conn, buckets: &[String]) -> Result<(), StoreError> {
    diesel::delete(security_failures::table.filter(security_failures::bucket.eq_any(buckets)))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn delete_expired(
    conn: &mut Conn,
    before: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::delete(
        security_failures::table
            .filter(security_failures::started_at.le(before))
            .filter(security_failures::locked_until.le(now)),
    )
    .execute(conn)?;
    Ok(())
}
