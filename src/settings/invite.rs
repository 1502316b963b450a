//! `[security.invite]`.

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::{NonZeroDuration, span::days};

/// `[security.invite]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct InviteSettings {
    /// Whether people can be invited: by [`Auth::invite`](crate::Auth::invite) or the command
    /// `users invite`. _Default:_ `true`.
    pub enabled: bool,
    /// How long an invitation is good. _Default:_ 7 d.
    pub life: NonZeroDuration,
    /// Whether accepting it also signs in. _Default:_ `true`.
    pub sign_in: bool,
}

impl Default for InviteSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: NonZeroDuration::at_least(days(7)),
            sign_in: true,
        }
    }
}

impl Table for InviteSettings {
    const NAME: &'static str = "invite";
}
