//! Everything that is done with authenticators: the site, as they know it.

use std::{fmt, sync::Arc, time::Duration};

use url::Url;
use webauthn_rs::prelude::{Webauthn, WebauthnBuilder, WebauthnError};

use super::policy::{GivenPolicy, StandardPolicy};
use crate::settings::{ConfigError, Settings};

/// Everything that is done with authenticators.
pub(crate) struct Ceremonies {
    pub(super) webauthn: Webauthn,
    /// What browsers are told of the time in which a passkey is to be made, in milliseconds.
    pub(super) register_timeout: u64,
    pub(crate) policy: GivenPolicy,
}

impl fmt::Debug for Ceremonies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ceremonies").finish_non_exhaustive()
    }
}

impl Ceremonies {
    /// For this site; `None` where passkeys are off, or the site has an address for a name.
    pub(crate) fn new(
        settings: &Settings,
        base_url: &Url,
        policy: Option<GivenPolicy>,
    ) -> Result<Option<Self>, ConfigError> {
        let (settings, site_name) = (&settings.passkeys, &settings.site_name);
        if !settings.enabled {
            return Ok(None);
        }
        let Some(host) = base_url.domain() else {
            let host = base_url.host_str().unwrap_or_default();
            if settings.rp_id.is_some() || settings.sign_up || !settings.origins.is_empty() {
                return Err(ConfigError(format!(
                    "`security.passkeys` cannot work at the address {host}; give the site a name in `security.base_url`, such as \"http://localhost:8000\" or \"https://example.com\""
                )));
            }
            log::warn!(
                "passkeys are off: they need a name, and `security.base_url` has the address {host}; write for example \"http://localhost:8000\""
            );
            return Ok(None);
        };
        let said = settings.rp_id.as_deref().map(str::to_ascii_lowercase);
        let rp_id = said.as_deref().unwrap_or(host);
        // A name without a dot is nobody's: browsers take none above the site's own.
        let above = host.ends_with(&format!(".{rp_id}")) && rp_id.contains('.');
        if rp_id.is_empty() || !(host == rp_id || above) {
            return Err(ConfigError(format!(
                "`security.passkeys.rp_id` is `{rp_id}`, but must be `{host}`, the host of `security.base_url`, or a domain above it"
            )));
        }
        let wrong = |error: WebauthnError| {
            ConfigError(format!(
                "`security.passkeys.rp_id` is `{rp_id}`, which does not do: {error}"
            ))
        };
        let mut builder = WebauthnBuilder::new(rp_id, base_url)
            .map_err(wrong)?
            .rp_name(site_name)
            .timeout(Duration::from_secs(settings.challenge.get().as_secs()));
        for origin in settings.parsed_origins()? {
            builder = builder.append_allowed_origin(&origin);
        }
        Ok(Some(Self {
            webauthn: builder.build().map_err(wrong)?,
            register_timeout: settings
                .register_challenge
                .get()
                .as_secs()
                .saturating_mul(1_000),
            policy: policy.unwrap_or_else(|| Arc::new(StandardPolicy)),
        }))
    }

    /// The sites from which an answer may come. Applications are no sites, and browsers are told nothing of them.
    pub(crate) fn origins(&self) -> Vec<String> {
        let origins = self.webauthn.get_allowed_origins().iter();
        origins
            .filter(|origin| origin.origin().is_tuple())
            .map(|origin| origin.origin().ascii_serialization())
            .collect()
    }
}
