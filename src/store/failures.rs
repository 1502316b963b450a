//! Counters of failed attempts, exact however many come at once.

use std::time::Duration;

use diesel::prelude::*;

use super::{Conn, StoreError, schema::security_failures};
use crate::types::{SKEW, Timestamp};

/// How many failures in which time shut a door, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) failures: u32,
    pub(crate) window: Duration,
    pub(crate) lock: Duration,
}

impl Allowance {
    /// The latest moment at which a lock can end that begins now. One that ends later was begun by a clock
    /// that was set back since, and counts for nothing.
    fn latest_end(self, now: Timestamp) -> Timestamp {
        now.after(self.lock).after(SKEW)
    }
}

/// The moment until which one of `counters` is locked, if any is.
pub(crate) fn locked_until(
    conn: &mut Conn,
    counters: &[(String, Allowance)],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let buckets = counters.iter().map(|(bucket, _)| bucket);
    let locked: Vec<(String, Timestamp)> = security_failures::table
        .filter(security_failures::bucket.eq_any(buckets))
        .filter(security_failures::locked_until.gt(now))
        .select((security_failures::bucket, security_failures::locked_until))
        .load(conn)?;
    let counts = |(bucket, until): &(String, Timestamp)| {
        let counter = counters.iter().find(|(name, _)| name == bucket);
        counter.is_some_and(|(_, allowance)| *until <= allowance.latest_end(now))
    };
    let counting = locked.into_iter().filter(counts);
    Ok(counting.map(|(_, until)| until).max())
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
    count_by(conn, bucket, allowance, 1, now)
}

/// Counts `by` at once, such as bytes of a budget.
pub(crate) fn count_by(
    conn: &mut Conn,
    bucket: &str,
    allowance: Allowance,
    by: u32,
    now: Timestamp,
) -> Result<Counted, StoreError> {
    use security_failures::dsl;
    let by = i64::from(by);
    let row = || security_failures::table.find(bucket);
    let (window_began, not_yet) = (now.before(allowance.window), now.after(SKEW));
    let latest_end = allowance.latest_end(now);
    let open = || {
        let over = dsl::locked_until.le(now);
        over.or(dsl::locked_until.gt(latest_end))
    };
    let one_more = || {
        (
            dsl::failures.eq(dsl::failures + by),
            dsl::locked_until.eq(0),
        )
    };
    let in_window = dsl::started_at.gt(window_began);
    let in_window = in_window.and(dsl::started_at.le(not_yet));
    let mut counted = diesel::update(row().filter(open()).filter(in_window))
        .set(one_more())
        .execute(conn)?;
    if counted == 0 {
        let outside = dsl::started_at.le(window_began);
        let outside = outside.or(dsl::started_at.gt(not_yet));
        counted = diesel::update(row().filter(open()).filter(outside))
            .set((
                dsl::failures.eq(by),
                dsl::started_at.eq(now),
                dsl::locked_until.eq(0),
            ))
            .execute(conn)?;
    }
    if counted == 0 {
        let inserted = conn.transaction(|conn| {
            diesel::insert_into(security_failures::table)
                .values((
                    dsl::bucket.eq(bucket),
                    dsl::started_at.eq(now),
                    dsl::failures.eq(by),
                    dsl::locked_until.eq(0),
                ))
                .execute(conn)
        });
        counted = match inserted.map_err(StoreError::from) {
            Ok(inserted) => inserted,
            // Another request was faster, or the door is shut: the UPDATE tells which.
            Err(StoreError::Taken(_)) => diesel::update(row().filter(open()))
                .set(one_more())
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
            .filter(open())
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
