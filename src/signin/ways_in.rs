//! What an account signs in with: asked before one of its ways in is taken away.

use crate::{
    core::Core,
    settings::SignInMethod,
    store::{Conn, StoreError, factors, users},
    types::{FactorKind, Usages, UserId},
};

/// What the site lets people sign in with.
#[derive(Clone, Debug)]
pub(crate) struct WaysIn {
    password: bool,
    mail: bool,
    #[cfg(feature = "passkeys")]
    passkeys: bool,
    /// The providers, by name and issuer.
    #[cfg(feature = "social")]
    social: Vec<(String, String)>,
    factors: Vec<FactorKind>,
}

impl WaysIn {
    pub(crate) fn of(core: &Core) -> Self {
        let settings = &core.settings;
        let unified = &settings.unified;
        let has = |method| unified.enabled && unified.methods.contains(&method);
        let by_login = settings.login.enabled && !(unified.enabled && unified.replaces_login);
        let factors = unified
            .methods
            .iter()
            .filter_map(|method| method.factor())
            .filter(|kind| unified.enabled && *kind != FactorKind::Email)
            .collect();
        Self {
            password: by_login || has(SignInMethod::Password),
            mail: settings.passwordless.enabled || has(SignInMethod::Email),
            #[cfg(feature = "passkeys")]
            passkeys: core.passkeys_sign_in(),
            #[cfg(feature = "social")]
            social: core.social.issuers(),
            factors,
        }
    }

    /// Whether an account has a way in without the factor or account elsewhere `leaving`.
    pub(crate) fn without(
        &self,
        conn: &mut Conn,
        user: &UserId,
        leaving: &str,
    ) -> Result<bool, StoreError> {
        if self.mail || self.password && users::password_of(conn, user)?.is_some() {
            return Ok(true);
        }
        #[cfg(feature = "passkeys")]
        if self.passkeys {
            let passkeys = crate::store::passkeys::usable(conn, user, Some(Usages::FIRST))?;
            if passkeys.iter().any(|row| row.id != leaving) {
                return Ok(true);
            }
        }
        #[cfg(feature = "social")]
        if !self.social.is_empty() {
            let linked = crate::store::social::of_user(conn, user)?;
            if linked
                .into_iter()
                .any(|one| one.id != leaving && self.social.contains(&(one.provider, one.issuer)))
            {
                return Ok(true);
            }
        }
        let left = factors::serving(conn, user, Usages::FIRST)?;
        Ok(left.iter().any(|way| {
            way.id != leaving && way.kind().is_some_and(|kind| self.factors.contains(&kind))
        }))
    }
}
