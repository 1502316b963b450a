//! What an application gives for social login.

use std::sync::Arc;

use crate::{social::SocialProvider, web::security::Security};

impl Security {
    /// Lets people sign in with accounts at a provider that settings alone cannot describe.
    pub fn social(self, provider: impl SocialProvider) -> Self {
        self.with(|parts| parts.social.push(Arc::new(provider)))
    }
}
