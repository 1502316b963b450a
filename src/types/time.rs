//! Column types: ids and times that cannot be mixed up.

use std::time::{Duration, SystemTime};

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::BigInt};
use serde::{Deserialize, Serialize};

use super::{column::column, span::millis};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds; in JSON that number.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use rocket_security::Timestamp;
///
/// let at = Timestamp::from_millis(1_700_000_000_123);
/// assert_eq!(at.as_millis(), 1_700_000_000_123);
/// assert_eq!(at.after(Duration::from_secs(1)).as_millis(), 1_700_000_001_123);
/// let system = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
/// assert_eq!((SystemTime::from(at), Timestamp::from(system)), (system, at));
/// ```
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    AsExpression,
    FromSqlRow,
)]
#[diesel(sql_type = BigInt)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// How far the clocks of two machines may differ.
pub(crate) const SKEW: Duration = Duration::from_mins(1);

impl Timestamp {
    /// The moment `millis` milliseconds after 1970 began.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `life` later.
    pub const fn after(self, life: Duration) -> Self {
        Self(self.0.saturating_add(millis(life)))
    }

    /// The moment `life` earlier.
    pub const fn before(self, life: Duration) -> Self {
        Self(self.0.saturating_sub(millis(life)))
    }

    /// Whether this moment is past. Clocks may differ by a minute and no more: a moment further in the future
    /// was noted by a clock that was set back since, and proves nothing.
    pub const fn has_been(self, now: Timestamp) -> bool {
        self.0 <= now.after(SKEW).0
    }

    /// Whether this moment is past, by less than `life`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_security::Timestamp;
    /// let now = Timestamp::from_millis(1_000_000);
    /// assert!(now.before(Duration::from_secs(59)).is_within(Duration::from_mins(1), now));
    /// assert!(!now.before(Duration::from_secs(60)).is_within(Duration::from_mins(1), now));
    /// // A minute of skew between clocks, and no more.
    /// assert!(now.after(Duration::from_secs(60)).is_within(Duration::from_mins(1), now));
    /// assert!(!now.after(Duration::from_secs(61)).is_within(Duration::from_mins(1), now));
    /// ```
    pub const fn is_within(self, life: Duration, now: Timestamp) -> bool {
        self.has_been(now) && self.after(life).0 > now.0
    }

    /// Whole seconds from this moment to `later`, rounded up, and 0 if that is past.
    pub const fn seconds_until(self, later: Timestamp) -> u64 {
        let millis = later.0.saturating_sub(self.0);
        if millis <= 0 {
            0
        } else {
            (millis as u64).div_ceil(1_000)
        }
    }

    /// The moment as RFC 3339 has it, in UTC, to the second.
    pub fn rfc3339(self) -> String {
        time::OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000))
            .ok()
            .and_then(|at| {
                at.format(&time::format_description::well_known::Rfc3339)
                    .ok()
            })
            .unwrap_or_default()
    }

    /// The moment for people: `23 November 2026, 13:04 UTC`.
    pub fn to_text(self) -> String {
        let format = time::macros::format_description!(
            "[day padding:none] [month repr:long] [year], [hour]:[minute] UTC"
        );
        time::OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000))
            .ok()
            .and_then(|at| at.format(&format).ok())
            .unwrap_or_default()
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let span = Duration::from_millis(at.0.unsigned_abs());
        let moment = match at.0 < 0 {
            true => Self::UNIX_EPOCH.checked_sub(span),
            false => Self::UNIX_EPOCH.checked_add(span),
        };
        moment.unwrap_or(Self::UNIX_EPOCH)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        })
    }
}

column!(Timestamp(i64) as BigInt);

/// When somebody last proved who they are: a moment, or never.
///
/// A session that a remembered device opened was never proven, whatever the age of the sign-in that the device
/// was remembered at. It is a type of its own so that no code can compare a missing proof with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = BigInt)]
pub(crate) struct ProvenAt(i64);

impl ProvenAt {
    /// Nobody proved anything.
    pub(crate) const NEVER: Self = Self(0);

    /// Proven at this moment.
    pub(crate) const fn at(moment: Timestamp) -> Self {
        Self(moment.0)
    }

    /// The moment, if there is one.
    pub(crate) const fn moment(self) -> Option<Timestamp> {
        match self.0 {
            0 => None,
            millis => Some(Timestamp(millis)),
        }
    }

    /// Whether there is a proof that is younger than `life`.
    pub(crate) fn is_within(self, life: Duration, now: Timestamp) -> bool {
        self.moment().is_some_and(|at| at.is_within(life, now))
    }
}

// In the database "never" is 0.
column!(ProvenAt(i64) as BigInt);
