//! What an application gives for passkeys.

use std::sync::Arc;

use crate::{factors::passkey::WebauthnPolicy, web::security::Security};

impl Security {
    /// Chooses about passkeys otherwise: what authenticators show, and which are allowed.
    pub fn webauthn_policy(self, policy: impl WebauthnPolicy) -> Self {
        self.with(|parts| parts.webauthn_policy = Some(Arc::new(policy)))
    }
}
