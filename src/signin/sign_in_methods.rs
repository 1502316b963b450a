//! What an account signs in with: asked before one of its ways in is taken away.

use crate::{
    core::Core,
    factors::{self, passkey},
    settings::SignInMethod,
    store::{Conn, StoreError, factors as rows, social, users},
    types::{FactorKind, Usages, UserId},
};

/// What the site lets people sign in with.
#[derive(Clone, Debug)]
pub(crate) struct SignInMethods {
    password: bool,
    mail: bool,
    passkeys: bool,
    /// The providers, by name and issuer.
    social: Vec<(String, String)>,
    factors: Vec<FactorKind>,
}

impl SignInMethods {
    pub(crate) fn of(core: &Core) -> Self {
        let settings = &core.settings;
        let unified = &settings.unified;
        let has = |method| unified.enabled && unified.methods.contains(&method);
        let by_login = settings.login.enabled && !(unified.enabled && unified.replaces_login);
        let factors = unified
            .methods
            .iter()
            .filter_map(|method| method.factor())
            .filter(|kind| unified.enabled && !factors::of(*kind).is_mailbox())
            .collect();
        Self {
            password: by_login || has(SignInMethod::Password),
            mail: settings.passwordless.enabled || has(SignInMethod::Email),
            passkeys: core.passkeys_sign_in(),
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
        if self.passkeys {
            let passkeys = passkey::usable(conn, user, Usages::FIRST)?;
            if passkeys.iter().any(|id| id != leaving) {
                return Ok(true);
            }
        }
        if !self.social.is_empty() {
            let linked = social::of_user(conn, user)?;
            if linked
                .into_iter()
                .any(|one| one.id != leaving && self.social.contains(&(one.provider, one.issuer)))
            {
                return Ok(true);
            }
        }
        let left = rows::serving(conn, user, Usages::FIRST)?;
        Ok(left.iter().any(|way| {
            way.id != leaving && way.kind().is_some_and(|kind| self.factors.contains(&kind))
        }))
    }
}
