//! Lengths of time, as settings write and show them.
//!
//! A number is seconds (`900`); a text has units (`"15 min"`, `"1h 30m"`, `"30 d"`): `s`, `m` or `min`, `h`, `d`
//! and `w`. A field of a settings table is a [`Duration`] with `#[serde(with = "span")]`, or a
//! [`NonZeroDuration`].

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `n` days of 24 hours.
pub(crate) const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Milliseconds, as stored times count them.
pub(crate) const fn millis(span: Duration) -> i64 {
    let millis = span.as_millis();
    if millis > i64::MAX as u128 {
        i64::MAX
    } else {
        millis as i64
    }
}

/// A [`Duration`] of at least a second: of what must not be over as soon as it begins, or be turned off by a 0.
///
/// ```
/// use std::time::Duration;
/// use rocket_security::config::NonZeroDuration;
///
/// let hour = NonZeroDuration::new(Duration::from_hours(1)).unwrap();
/// assert_eq!(hour.get().as_secs(), 3_600);
/// assert_eq!(hour.to_string(), "1h");
/// assert_eq!(NonZeroDuration::new(Duration::ZERO), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NonZeroDuration(Duration);

impl NonZeroDuration {
    /// `span`, if it is at least a second.
    pub const fn new(span: Duration) -> Option<Self> {
        match span.as_secs() {
            0 => None,
            _ => Some(Self(span)),
        }
    }

    /// `span`, or a second where it is shorter.
    pub const fn at_least(span: Duration) -> Self {
        match span.as_secs() {
            0 => Self(Duration::from_secs(1)),
            _ => Self(span),
        }
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for NonZeroDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0))
    }
}

impl Serialize for NonZeroDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for NonZeroDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(deserialize(deserializer)?).ok_or_else(|| {
            de::Error::custom("0 is no length of time; write for example 900 or \"15 min\"")
        })
    }
}

/// Ten thousand years; more is a slip of the pen and would overflow sums.
const LONGEST: u64 = 10_000 * 366 * 86_400;

/// Reads a length of time as people write it.
pub(crate) fn parse(written: &str) -> Result<Duration, String> {
    let refused = || {
        format!(
            "`{written}` is not a length of time; write for example 900, \"15 min\", \"12h\" or \"30 d\""
        )
    };
    let mut rest = written.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(refused());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().map_err(|_| refused())?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return Err(refused()),
        };
        rest = rest[letters..].trim_start();
        total = number
            .checked_mul(unit)
            .and_then(|n| n.checked_add(total))
            .ok_or_else(refused)?;
    }
    match total > LONGEST {
        true => Err(refused()),
        false => Ok(Duration::from_secs(total)),
    }
}

/// A length of time as settings show it, in the largest unit that leaves no rest: `15m`, `2d`.
pub(crate) fn text(span: Duration) -> String {
    let seconds = span.as_secs();
    let (unit, length) = [("d", 86_400), ("h", 3_600), ("m", 60)]
        .into_iter()
        .find(|(_, length)| seconds != 0 && seconds.is_multiple_of(*length))
        .unwrap_or(("s", 1));
    format!("{}{unit}", seconds / length)
}

/// For `#[serde(with = "span")]`.
pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*span))
}

/// For `#[serde(with = "span")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a length of time such as 900, \"15 min\" or \"30 d\"")
        }

        fn visit_u64<E: de::Error>(self, n: u64) -> Result<Duration, E> {
            match n > LONGEST {
                true => Err(E::custom("a length of time beyond ten thousand years")),
                false => Ok(Duration::from_secs(n)),
            }
        }

        fn visit_i64<E: de::Error>(self, n: i64) -> Result<Duration, E> {
            u64::try_from(n)
                .map_err(|_| E::custom("a length of time cannot be negative"))
                .and_then(|n| self.visit_u64(n))
        }

        fn visit_str<E: de::Error>(self, written: &str) -> Result<Duration, E> {
            parse(written).map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// The same for a length of time that may be absent: `#[serde(with = "span::optional")]`.
pub(crate) mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// For `#[serde(with = "span::optional")]`.
    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => super::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = "span::optional")]`.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Written(#[serde(with = "super")] Duration);
        Option::<Written>::deserialize(deserializer)
            .map(|written| written.map(|Written(span)| span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_and_shown() {
        for (written, seconds, shown) in [
            ("900", 900, "15m"),
            ("1h 30m", 5_400, "90m"),
            ("2 days", 172_800, "2d"),
            ("1w", 604_800, "7d"),
            ("0", 0, "0s"),
        ] {
            let span = parse(written).unwrap();
            assert_eq!(span, Duration::from_secs(seconds), "{written}");
            assert_eq!(text(span), shown, "{written}");
        }
        for written in ["", "soon", "-1", "1.5h", "5 fortnights", "99999999999999w"] {
            assert!(parse(written).is_err(), "{written}");
        }
    }
}
