//! The providers of a site.

use std::sync::Arc;

use url::Url;

use super::{github::Github, http::HttpClient, oidc::Oidc, provider::SocialProvider};
use crate::settings::{
    ConfigError, ProviderKind, ProviderSettings, Settings, SocialSettings, Usernames,
    is_provider_name,
};

/// What the application gives beside the settings.
pub(crate) type Given = Vec<Arc<dyn SocialProvider>>;

/// The providers of a site, in the order of their names.
pub(crate) struct Providers {
    all: Vec<Arc<dyn SocialProvider>>,
    /// Whether they serve for proving it again.
    verify: bool,
}

impl Providers {
    /// Those of the settings, which are told whether the application gave some, and those.
    pub(crate) fn new(settings: &mut Settings, given: Given) -> Result<Self, ConfigError> {
        settings.social.given = !given.is_empty();
        let providers = Self::of(&settings.social, given)?;
        if settings.social.sign_up == Some(true)
            && settings.register.username == Usernames::Required
        {
            return Err(ConfigError(
                "`security.social.sign_up` is true and `security.register.username` is \"required\", which no provider knows; make the username \"optional\", or leave `sign_up` out".into(),
            ));
        }
        Ok(providers)
    }

    fn of(settings: &SocialSettings, given: Given) -> Result<Self, ConfigError> {
        let mut all: Vec<Arc<dyn SocialProvider>> = Vec::new();
        for (name, own) in &settings.providers {
            let wrong = |why| ConfigError(format!("`security.social.providers.{name}`: {why}"));
            all.push(provider(name, own, settings).map_err(wrong)?);
        }
        for provider in given {
            let name = provider.name();
            if !is_provider_name(name) {
                return Err(ConfigError(format!(
                    "`Security::social` was given a provider called `{name}`; name it in 1 to 32 small letters, digits and hyphens"
                )));
            }
            if all.iter().any(|other| other.name() == name) {
                return Err(ConfigError(format!(
                    "there are two providers called `{name}`; rename the one given to `Security::social`, or remove `security.social.providers.{name}`"
                )));
            }
            all.push(provider);
        }
        all.sort_by(|one, other| one.name().cmp(other.name()));
        for name in &settings.match_email {
            if !all.iter().any(|provider| provider.name() == name) {
                return Err(ConfigError(format!(
                    "`security.social.match_email` names `{name}`, which is no provider here; add it below `security.social.providers`, or leave it out"
                )));
            }
        }
        Ok(Self {
            all,
            verify: settings.verify,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn SocialProvider>> {
        self.all.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn SocialProvider>> {
        self.iter().find(|provider| provider.name() == name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.iter().map(|one| one.name().to_string()).collect()
    }

    /// The providers by which somebody may prove it again.
    pub(crate) fn to_verify(&self) -> Vec<String> {
        match self.verify {
            true => self.names(),
            false => Vec::new(),
        }
    }

    /// What people call the provider of this name, if there is one.
    pub(crate) fn label(&self, name: &str) -> Option<String> {
        self.get(name).map(|one| one.label().to_string())
    }

    /// Lets each fetch what it will need. Nobody waits for it.
    pub(crate) fn prepare(&self) {
        for provider in self.iter() {
            let provider = provider.clone();
            tokio::spawn(async move { provider.prepare().await });
        }
    }

    /// Each by name and issuer.
    pub(crate) fn issuers(&self) -> Vec<(String, String)> {
        self.iter()
            .map(|one| (one.name().to_string(), one.issuer().to_string()))
            .collect()
    }

    /// Sources for the directive `form-action`, each an origin and nothing else.
    pub(crate) fn origins(&self) -> Vec<String> {
        let mut origins: Vec<String> = self
            .iter()
            .flat_map(|provider| provider.origins())
            .filter_map(|origin| Url::parse(&origin).ok())
            .filter(|url| matches!(url.scheme(), "https" | "http"))
            .map(|url| url.origin().ascii_serialization())
            .collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }
}

/// The provider that one table of the settings describes.
fn provider(
    name: &str,
    own: &ProviderSettings,
    settings: &SocialSettings,
) -> Result<Arc<dyn SocialProvider>, String> {
    let http = HttpClient::new(settings.timeout.get(), settings.allow_private);
    Ok(match own.kind_of(name) {
        ProviderKind::Oidc => Arc::new(Oidc::new(name, own, settings, http)?),
        ProviderKind::Github => Arc::new(Github::new(name, own, http)?),
    })
}
