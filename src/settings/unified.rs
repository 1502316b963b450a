//! `[security.unified]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    table::{Problem, Table},
    values::twice,
};
use crate::types::{FactorKind, NonZeroDuration};

/// `[security.unified]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UnifiedSettings {
    /// Whether `/us-signin` is there. _Default:_ `false`.
    pub enabled: bool,
    /// What can be a passcode: `"password"`, `"email"`, `"authenticator"`, `"sms"`.
    /// _Default:_ `["password", "email", "authenticator"]`.
    pub methods: Vec<SignInMethod>,
    /// Which of authenticator and SMS owe a further factor where one is set up, as password and mail
    /// always do, listed or not. _Default:_ none.
    pub mfa_required: Vec<SignInMethod>,
    /// How long a mailed link or code is good. _Default:_ 15 min.
    pub mail_life: NonZeroDuration,
    /// Whether `/login` leads here. _Default:_ `false`.
    pub replaces_login: bool,
}

impl Default for UnifiedSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            methods: vec![
                SignInMethod::Password,
                SignInMethod::Email,
                SignInMethod::Authenticator,
            ],
            mfa_required: Vec::new(),
            mail_life: NonZeroDuration::at_least(Duration::from_mins(15)),
            replaces_login: false,
        }
    }
}

impl Table for UnifiedSettings {
    const NAME: &'static str = "unified";

    fn check(&self) -> Result<(), Problem> {
        if !self.enabled {
            return match self.replaces_login {
                true => Err(
                    "`replaces_login` is true while `enabled` is false; write `enabled = true`"
                        .into(),
                ),
                false => Ok(()),
            };
        }
        if self.methods.is_empty() {
            return Err(
                "`methods` is empty, so nobody could sign in; write [\"password\", \"email\"]"
                    .into(),
            );
        }
        if twice(&self.methods) {
            return Err("`methods` lists one twice; write each once".into());
        }
        Ok(())
    }
}

/// What can be a passcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SignInMethod {
    /// A password.
    Password,
    /// A mailed code or link.
    Email,
    /// A code of an authenticator app.
    Authenticator,
    /// A code in a text message.
    Sms,
}

impl SignInMethod {
    /// Its name in forms and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Email => "email",
            Self::Authenticator => "authenticator",
            Self::Sms => "sms",
        }
    }

    /// The factor by which it is shown; none for a password.
    pub(crate) const fn factor(self) -> Option<FactorKind> {
        match self {
            Self::Password => None,
            Self::Email => Some(FactorKind::Email),
            Self::Authenticator => Some(FactorKind::Authenticator),
            Self::Sms => Some(FactorKind::Sms),
        }
    }
}
