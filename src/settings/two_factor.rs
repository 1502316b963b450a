//! `[security.two_factor]`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    table::{Problem, Table},
    tokens::AT_MOST,
    values::twice,
};
use crate::{
    identity::EmailAddress,
    types::{FactorKind, NonZeroDuration, span::days},
};

/// `[security.two_factor]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TwoFactorSettings {
    /// Whether accounts may have a second factor. _Default:_ `true`.
    pub enabled: bool,
    /// What can be set up as one: `"authenticator"`, `"email"`, `"sms"`.
    /// _Default:_ `["authenticator", "email"]`.
    pub methods: Vec<FactorKind>,
    /// Whether nobody comes in without one. _Default:_ `false`.
    pub required: bool,
    /// The roles whose holders do not come in without one. _Default:_ none.
    pub required_roles: Vec<String>,
    /// How long a sign-in waits for its second step, and a factor for its first code. _Default:_ 10 min.
    pub pending: NonZeroDuration,
    /// How long a mailed code is good. _Default:_ 15 min.
    pub mail_life: NonZeroDuration,
    /// Whether people may ask not to be asked again in a browser. _Default:_ `true`.
    pub trust_devices: bool,
    /// For how long. _Default:_ 30 d.
    pub trust: NonZeroDuration,
    /// In how many browsers of an account; beyond it the oldest is trusted no more. _Default:_ 100.
    pub most_devices: NonZeroU32,
    /// Whether somebody who lost every factor gets a code by mail instead. Whoever reads the mail can then
    /// do without the factor. _Default:_ `false`.
    pub rescue_email: bool,
    /// The address of an administrator whom they can ask for help. _Default:_ none.
    pub rescue_mail: Option<String>,
}

impl Default for TwoFactorSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            methods: vec![FactorKind::Authenticator, FactorKind::Email],
            required: false,
            required_roles: Vec::new(),
            pending: NonZeroDuration::at_least(Duration::from_mins(10)),
            mail_life: NonZeroDuration::at_least(Duration::from_mins(15)),
            trust_devices: true,
            trust: NonZeroDuration::at_least(days(30)),
            most_devices: AT_MOST,
            rescue_email: false,
            rescue_mail: None,
        }
    }
}

impl Table for TwoFactorSettings {
    const NAME: &'static str = "two_factor";

    fn check(&self) -> Result<(), Problem> {
        if self.methods.contains(&FactorKind::Passkey) {
            return Err("`methods` lists \"passkey\", which has settings of its own; take it out, and see `security.passkeys`".into());
        }
        if twice(&self.methods) {
            return Err("`methods` lists one twice; write each once".into());
        }
        if self.enabled && self.methods.is_empty() {
            return Err(
                "`methods` is empty; write [\"authenticator\"], or `enabled = false`".into(),
            );
        }
        if !self.enabled && (self.required || !self.required_roles.is_empty()) {
            return Err("requires a second factor while `enabled` is false; take `required` and `required_roles` out, or write `enabled = true`".into());
        }
        if let Some(mail) = &self.rescue_mail
            && EmailAddress::parse(mail).is_err()
        {
            return Err(format!(
                "`rescue_mail` is `{mail}`, which is no address; write for example \"help@example.com\""
            ).into());
        }
        Ok(())
    }
}
