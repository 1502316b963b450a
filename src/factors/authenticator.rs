//! An authenticator app as a factor. `totp.rs` has the algorithm.

use super::{
    context::FactorContext,
    factor::{Begun, Factor, Right, Setup, Shown, Stored, Wanted},
    totp::{self, TotpError},
};
use crate::{
    error::Error,
    secrets::{Keys, Purpose},
    store::{Conn, StoreError, User, factors as rows},
    types::Timestamp,
};

/// An authenticator app.
pub(super) struct Authenticator;

fn broken(error: TotpError) -> Error {
    Error::Broken(error.0)
}

impl Factor for Authenticator {
    fn begin(&self, means: &FactorContext, _: &Wanted<'_>, id: &str) -> Result<Begun, Error> {
        let seed = means.totp.generate().map_err(broken)?;
        let secret = means.keys.seal(Purpose::Totp, id, seed.expose())?;
        Ok(Begun {
            secret: Some(secret),
            phone: None,
        })
    }

    fn shown(
        &self,
        means: &FactorContext,
        setup: &Setup,
        user: &User,
    ) -> Result<Option<Shown>, Error> {
        let Some(sealed) = &setup.secret else {
            return Ok(None);
        };
        let Some((seed, _)) = means.keys.unseal(Purpose::Totp, &setup.id, sealed) else {
            // The settings no longer have the secret that encrypted it.
            log::warn!("the key of an authenticator that is being set up cannot be read");
            return Err(Error::Gone);
        };
        let issuer = match &means.settings.totp.issuer {
            Some(issuer) => issuer.clone(),
            None => means.settings.site_name.clone(),
        };
        let uri = means
            .totp
            .uri(&seed, &issuer, user.display())
            .map_err(broken)?;
        let svg = means.totp.qr(&uri).map_err(broken)?;
        let key = totp::key(&seed);
        Ok(Some(Shown {
            grouped: totp::grouped(&key),
            key,
            issuer,
            username: user.display().to_string(),
            qr: format!(
                "data:image/svg+xml;base64,{}",
                data_encoding::BASE64.encode(svg.as_bytes())
            ),
            uri,
        }))
    }

    fn check(&self, means: &FactorContext, stored: Stored<'_>, code: &str) -> Option<Right> {
        let sealed = stored.secret?;
        let (seed, is_current) = means.keys.unseal(Purpose::Totp, stored.id, sealed)?;
        let step = means.totp.step_of(&seed, code, means.now())?;
        let resealed = match is_current {
            true => None,
            false => reseal(&means.keys, stored.id, seed.expose(), sealed),
        };
        Some(Right {
            id: stored.id.to_string(),
            step,
            resealed,
        })
    }

    fn step(&self, right: Option<&Right>, _: bool) -> Option<i64> {
        right.map(|right| right.step)
    }

    fn accept(
        &self,
        conn: &mut Conn,
        id: &str,
        right: Option<&Right>,
        _: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match right.filter(|right| right.id == id) {
            Some(right) => right.accept(conn, now),
            None => Ok(false),
        }
    }
}

fn reseal(keys: &Keys, id: &str, seed: &[u8], old: &str) -> Option<(String, String)> {
    let new = keys.seal(Purpose::Totp, id, seed).ok()?;
    Some((old.to_string(), new))
}

impl Right {
    /// Uses the code up; false if its time step, or a later one, was used before.
    pub(crate) fn accept(&self, conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
        if !rows::advance(conn, &self.id, self.step, now)? {
            return Ok(false);
        }
        if let Some((old, new)) = &self.resealed {
            rows::reseal(conn, &self.id, old, new)?;
        }
        Ok(true)
    }
}
