//! Lengths of time as settings write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in a setting, exact to the second.
///
/// Written as a number of seconds (`900`) or with units (`"15 min"`, `"1h 30m"`, `"30 d"`).
/// Units: `s`, `m` or `min`, `h`, `d`, `w`.
///
/// ```
/// use rocket_security::config::Life;
/// assert_eq!("1h 30m".parse::<Life>().unwrap(), Life::minutes(90));
/// assert_eq!(Life::days(2).to_string(), "2d");
/// assert!("soon".parse::<Life>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life(u64);

impl Life {
    /// `n` seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(n)
    }

    /// `n` minutes.
    pub const fn minutes(n: u64) -> Self {
        Self(n * 60)
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Self(n * 3_600)
    }

    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self(n * 86_400)
    }

    /// This length, or a second where it is 0.
    pub const fn or_a_second(self) -> NonZeroLife {
        NonZeroLife(match self.0 {
            0 => Self(1),
            _ => self,
        })
    }

    /// The length in seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The length in milliseconds, as stored times count.
    pub const fn as_millis(self) -> i64 {
        self.0 as i64 * 1_000
    }

    /// The length as the standard library has it.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// A [`Life`] of at least a second: of what must not be over as soon as it begins, or be turned off by a 0.
///
/// ```
/// use rocket_security::config::{Life, NonZeroLife};
/// assert_eq!(NonZeroLife::new(Life::days(2)).map(NonZeroLife::get), Some(Life::days(2)));
/// assert_eq!(NonZeroLife::new(Life::seconds(0)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NonZeroLife(Life);

impl NonZeroLife {
    /// `life`, if it is not 0.
    pub const fn new(life: Life) -> Option<Self> {
        match life.0 {
            0 => None,
            _ => Some(Self(life)),
        }
    }

    /// The length as any other.
    pub const fn get(self) -> Life {
        self.0
    }
}

impl fmt::Display for NonZeroLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for NonZeroLife {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Life::deserialize(deserializer)?).ok_or_else(|| {
            de::Error::custom("0 is no length of time; write for example 900 or \"15 min\"")
        })
    }
}

/// Ten thousand years; more is a slip of the pen and would overflow sums.
const LONGEST: u64 = 10_000 * 366 * 86_400;

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a length of time; write for example 900, \"15 min\", \"12h\" or \"30 d\""
            )
        };
        let mut rest = text.trim();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
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
                _ => return Err(wrong()),
            };
            rest = rest[letters..].trim_start();
            total = number
                .checked_mul(unit)
                .and_then(|n| n.checked_add(total))
                .ok_or_else(wrong)?;
        }
        if total > LONGEST {
            return Err(wrong());
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, length) = [("d", 86_400), ("h", 3_600), ("m", 60)]
            .into_iter()
            .find(|(_, length)| self.0 != 0 && self.0.is_multiple_of(*length))
            .unwrap_or(("s", 1));
        write!(f, "{}{unit}", self.0 / length)
    }
}

impl Serialize for Life {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Life {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Life;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 900, \"15 min\" or \"30 d\"")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Life, E> {
                if n > LONGEST {
                    Err(E::custom("a length of time beyond ten thousand years"))
                } else {
                    Ok(Life(n))
                }
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Life, E> {
                u64::try_from(n)
                    .map_err(|_| E::custom("a length of time cannot be negative"))
                    .and_then(|n| self.visit_u64(n))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Life, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
