//! `[security.freshness]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::types::span;

use super::table::Table;

/// `[security.freshness]`: how long a sign-in counts as fresh.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FreshnessSettings {
    /// How long after the last proof. `-1` turns all checks of freshness and `/verify` off.
    /// _Default:_ 24 h.
    pub within: FreshWithin,
    /// How much longer for somebody in the middle of it, at most twice in a row; 0 for none.
    /// _Default:_ 1 h.
    #[serde(with = "crate::types::span")]
    pub grace: Duration,
    /// Whether an authentication token can be fresh. _Default:_ `true`.
    pub allow_tokens: bool,
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self {
            within: FreshWithin(Some(Duration::from_hours(24))),
            grace: Duration::from_hours(1),
            allow_tokens: true,
        }
    }
}

impl Table for FreshnessSettings {
    const NAME: &'static str = "freshness";
}

/// How long a sign-in counts as fresh, or `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a value in a setting")]
pub struct FreshWithin(pub Option<Duration>);

impl Serialize for FreshWithin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(life) => span::serialize(&life, serializer),
            None => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for FreshWithin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "write a length of time such as \"24h\", or -1")]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(n) if n < 0 => Ok(Self(None)),
            Written::Number(0) => Err(serde::de::Error::custom(
                "nothing is fresh for 0 seconds; write how long, or -1 to turn the check off",
            )),
            Written::Number(n) => Ok(Self(Some(Duration::from_secs(n.unsigned_abs())))),
            Written::Text(text) => span::parse(&text)
                .map(Some)
                .map(Self)
                .map_err(serde::de::Error::custom),
        }
    }
}
