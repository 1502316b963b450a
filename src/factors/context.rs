//! What the factors need of the site.

use std::{fmt, ops::Deref, sync::Arc};

use super::{phone::PhoneParser, policy::MfaPolicy, recovery::RecoveryCodes, totp::TotpProvider};
use crate::settings::Base;

/// The part of the site that factors need.
pub(crate) struct FactorContext {
    pub(crate) base: Arc<Base>,
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

impl Deref for FactorContext {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}
