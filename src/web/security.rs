//! What an application gives to [`Security`]. The launch takes it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use super::hooks::Hooks;
use crate::{
    accounts::Accounts,
    events::Subscriber,
    factors::{
        MfaPolicy, passkey::GivenPolicy, phone::PhoneParser, recovery::RecoveryCodes,
        totp::TotpProvider,
    },
    identity::{EmailPolicy, UsernamePolicy},
    notify::{mailbox::Mailbox, mailer::Mailer, sms::SmsSender},
    secrets::{Hasher, PasswordPolicy},
    social::Given,
    store::{Store, StoreError},
    templates::views::Extend,
    types::SharedClock,
};

/// What runs once at each launch.
pub(crate) type Seed = Box<
    dyn FnOnce(Accounts, Hasher) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>
        + Send,
>;

/// Authentication and authorisation for a Rocket application, by one attach.
///
/// Settings come from `[default.security]` in Rocket.toml (see [`config::Settings`](crate::settings::Settings));
/// behaviour is given here.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::prelude::*;
///
/// #[launch]
/// fn rocket() -> _ {
///     rocket::build().attach(Security::default())
/// }
/// ```
#[must_use = "a fairing does nothing until it is attached"]
pub struct Security {
    /// Taken at ignition: Rocket hands a fairing out by reference only.
    parts: Mutex<Option<Parts>>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            parts: Mutex::new(Some(Parts::default())),
        }
    }
}

/// What the application gave.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) hooks: Hooks,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) mailer: Option<Arc<dyn Mailer>>,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) clock: Option<SharedClock>,
    pub(crate) store: Option<Store>,
    pub(crate) passwords: Option<Arc<dyn PasswordPolicy>>,
    pub(crate) emails: Option<Arc<dyn EmailPolicy>>,
    pub(crate) usernames: Option<Arc<dyn UsernamePolicy>>,
    pub(crate) sms: Option<Arc<dyn SmsSender>>,
    pub(crate) phones: Option<Arc<dyn PhoneParser>>,
    pub(crate) totp: Option<Arc<dyn TotpProvider>>,
    pub(crate) recovery_codes: Option<Arc<dyn RecoveryCodes>>,
    pub(crate) mfa_policy: Option<Arc<dyn MfaPolicy>>,
    pub(crate) webauthn_policy: Option<GivenPolicy>,
    pub(crate) social: Given,
    pub(crate) engines: Vec<Extend>,
    pub(crate) messages: Vec<(String, String, String)>,
    pub(crate) seeds: Vec<Seed>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Security")
    }
}

impl Security {
    /// Changes what was given so far.
    pub(crate) fn with(self, change: impl FnOnce(&mut Parts)) -> Self {
        if let Some(parts) = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            change(parts);
        }
        self
    }

    /// What was given; `None` if it was taken before.
    pub(crate) fn take(&self) -> Option<Parts> {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
