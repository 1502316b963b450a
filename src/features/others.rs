//! What a page offers beside its form: passkeys and providers.

use serde_json::Value;

use super::{Web, passkeys, social};
use crate::{
    error::Error,
    factors::by_browser,
    store::{User, factors::FactorRow},
    types::Path,
    web::reply::Reply,
};

/// What a page offers beside its form; null where there is none.
#[derive(Debug, Default)]
pub(crate) struct Others {
    pub(crate) passkey: Value,
    social: Value,
}

impl Others {
    /// The page with it.
    pub(crate) fn on(&self, page: Reply) -> Reply {
        page.with("passkey", &self.passkey)
            .with("social", &self.social)
    }
}

impl Web<'_> {
    /// What a page to sign in at offers beside its form.
    pub(crate) fn others(&self, next: Option<&str>) -> Others {
        let passkey = match self.site.passkeys_sign_in() {
            true => passkeys::offer(self.site, &self.site.path(Path::WanSignin), "?first"),
            false => Value::Null,
        };
        Others {
            passkey,
            social: social::offer(self, None, next),
        }
    }

    /// What a page of a second step is given, where a passkey is among the ways; else null.
    pub(crate) fn second_passkeys(&self, factors: &[FactorRow]) -> Value {
        match factors.iter().any(by_browser) {
            true => passkeys::offer(self.site, &self.site.path(Path::WanSignin), ""),
            false => Value::Null,
        }
    }

    /// What a page of re-authentication offers beside its form: what the account has.
    pub(crate) async fn own_others(
        &self,
        user: &User,
        next: Option<&str>,
    ) -> Result<Others, Error> {
        let linked = social::linked(self.site, &user.id).await?;
        let passkey = match self.site.has_usable_passkey(&user.id).await? {
            true => passkeys::offer(self.site, &self.site.path(Path::WanVerify), ""),
            false => Value::Null,
        };
        Ok(Others {
            passkey,
            social: social::offer(self, Some(&linked), next),
        })
    }

    /// The hint with which a browser fills in an identity, or a passkey in its place.
    pub(crate) fn identity_hint(&self) -> &'static str {
        match passkeys::autofills(self.site) {
            true => "username webauthn",
            false => "username",
        }
    }
}
