//! `[security.session]`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    table::{Problem, Table},
    tokens::AT_MOST,
};
use crate::types::{NonZeroDuration, span::days};

/// `[security.session]`: how long a session lasts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionSettings {
    /// The first part of our cookies' names; `__Host-` is put before where the site has https.
    /// _Default:_ `"security"`.
    pub cookie: String,
    /// How long a session may rest unused. _Default:_ 12 h.
    pub idle: NonZeroDuration,
    /// How long a session lasts at most. _Default:_ 30 d.
    pub absolute: NonZeroDuration,
    /// How many sessions an account has at once; beyond it the oldest ends. _Default:_ 100.
    pub most: NonZeroU32,
    /// Whether an account gets a mail when somebody signs in to it in a browser that it does not know, with a link
    /// that signs out everywhere. The first sign-in of an account is none. _Default:_ `true`.
    pub new_device_mail: bool,
    /// How long that link is good. _Default:_ 7 d.
    pub new_device_link: NonZeroDuration,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            cookie: "security".into(),
            idle: NonZeroDuration::at_least(Duration::from_hours(12)),
            absolute: NonZeroDuration::at_least(days(30)),
            most: AT_MOST,
            new_device_mail: true,
            new_device_link: NonZeroDuration::at_least(days(7)),
        }
    }
}

impl Table for SessionSettings {
    const NAME: &'static str = "session";

    fn check(&self) -> Result<(), Problem> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.cookie.is_empty() || !self.cookie.bytes().all(fits) {
            return Err(Problem::at(
                "cookie",
                format!(
                    "is `{}`, which is no name for a cookie; write for example \"security\"",
                    self.cookie
                ),
            ));
        }
        if self.idle > self.absolute {
            return Err(Problem::at(
                "idle",
                format!(
                    "({}) is longer than `security.session.absolute` ({}); make it the shorter one",
                    self.idle, self.absolute
                ),
            ));
        }
        Ok(())
    }
}
