//! Who must have a second factor.

use std::sync::Arc;

use crate::{
    settings::TwoFactorSettings,
    store::{Grants, User},
};

/// Decides which accounts must have a second factor, beside those that the settings name.
///
/// ```
/// use rocket_security::{Grants, MfaPolicy, Security, User};
/// struct Staff;
/// impl MfaPolicy for Staff {
///     fn requires(&self, user: &User, grants: &Grants) -> bool {
///         grants.has_role("admin") || user.email.ends_with("@example.com")
///     }
/// }
/// let security = Security::default().mfa_policy(Staff);
/// ```
pub trait MfaPolicy: Send + Sync + 'static {
    /// Whether this account cannot sign in without a second factor.
    fn requires(&self, user: &User, grants: &Grants) -> bool;
}

/// What `[security.two_factor]` requires, and what the application does beside.
struct BySettings {
    everybody: bool,
    roles: Vec<String>,
    own: Option<Arc<dyn MfaPolicy>>,
}

impl MfaPolicy for BySettings {
    fn requires(&self, user: &User, grants: &Grants) -> bool {
        self.everybody
            || self.roles.iter().any(|role| grants.has_role(role))
            || self
                .own
                .as_ref()
                .is_some_and(|own| own.requires(user, grants))
    }
}

/// The policy, if anybody at all may have to.
pub(crate) fn of(
    settings: &TwoFactorSettings,
    own: Option<Arc<dyn MfaPolicy>>,
) -> Option<Arc<dyn MfaPolicy>> {
    if !settings.required && settings.required_roles.is_empty() && own.is_none() {
        return None;
    }
    Some(Arc::new(BySettings {
        everybody: settings.required,
        roles: settings.required_roles.clone(),
        own,
    }))
}
