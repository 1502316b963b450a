//! What the factors need of the site.

use std::{fmt, sync::Arc};

use super::{MfaPolicy, phone::PhoneParser, recovery::RecoveryCodes, totp::TotpProvider};
use crate::{
    secrets::Keys,
    settings::Settings,
    types::{Clock, SharedClock, Timestamp},
};

/// The part of the site that factors need.
pub(crate) struct FactorContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: SharedClock,
    pub(crate) totp: Arc<dyn TotpProvider>,
    pub(crate) recovery_codes: Arc<dyn RecoveryCodes>,
    pub(crate) phones: Arc<dyn PhoneParser>,
    /// Who must have a second factor, where anybody must.
    pub(crate) mfa_policy: Option<Arc<dyn MfaPolicy>>,
}

impl fmt::Debug for FactorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorContext").finish_non_exhaustive()
    }
}

impl FactorContext {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
