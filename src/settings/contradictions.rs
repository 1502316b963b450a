//! What two tables contradict each other in.

use super::{ConfigError, IdentityKind, RedirectRules, Settings, SignInMethod, Usernames};

impl Settings {
    /// Refuses tables that are each fine and do not go together.
    pub(super) fn check_contradictions(&self) -> Result<(), ConfigError> {
        self.check_ways_in()?;
        self.check_refresh()?;
        self.check_redirects()
    }

    /// Refuses names nobody signs in with, and accounts without any way in.
    fn check_ways_in(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        if self.register.username != Usernames::Off
            && !self.identities.contains(&IdentityKind::Username)
        {
            return wrong(
                "`security.register.username` asks for a username that `security.identities` does not list; add \"username\" there".into(),
            );
        }
        if !self.passwords.required && !self.signs_in_without_password() {
            return wrong(
                "`security.passwords.required` is false, and nothing else lets anybody in; turn on `security.passwordless`, `security.recover`, `security.unified` with \"email\", or a provider in `security.social`".into(),
            );
        }
        Ok(())
    }

    /// Refuses refresh tokens without tokens that they refresh.
    fn check_refresh(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        let refresh = &self.refresh_tokens;
        if refresh.enabled && !self.tokens.enabled {
            return wrong(
                "`security.refresh_tokens.enabled` is true and `security.tokens.enabled` is false, so there is nothing to refresh; turn both on, or the first off".into(),
            );
        }
        Ok(())
    }

    /// Refuses pages to go to that are not of this site.
    fn check_redirects(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        let base = self
            .base_url
            .as_deref()
            .and_then(|url| url::Url::parse(url).ok());
        if let Some(problem) = self.redirects.problem(base.as_ref()) {
            return wrong(format!("`security.redirects`: {problem}"));
        }
        for (key, path) in [
            ("after.login", &self.after.login),
            ("after.logout", &self.after.logout),
            ("after.verify", &self.after.verify),
            ("after.change", &self.after.change),
            ("spa.login_view", &self.spa.login_view),
            ("spa.link_view", &self.spa.link_view),
        ]
        .into_iter()
        .chain(
            self.after
                .optional()
                .into_iter()
                .filter_map(|(key, path)| path.as_ref().map(|path| (key, path))),
        ) {
            if RedirectRules::new(&self.redirects, base.as_ref())
                .allowed(path)
                .is_none()
            {
                return wrong(format!(
                    "`security.{key}` is `{path}`, which is not a page of this site; write a path such as \"/\""
                ));
            }
        }
        Ok(())
    }

    /// Whether an account without a password has a way to sign in, or to get a password.
    fn signs_in_without_password(&self) -> bool {
        let by_mail = self.unified.enabled && self.unified.methods.contains(&SignInMethod::Email);
        #[cfg(feature = "social")]
        if !self.social.providers.is_empty() {
            return true;
        }
        self.passwordless.enabled || self.recover.enabled || by_mail
    }
}
