//! `[security.social]`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::table::{Problem, Table};
use crate::{secrets::Secret, types::NonZeroDuration};

/// `[security.social]`: sign-in with accounts elsewhere. It is on as soon as there is a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocialSettings {
    /// `[security.social.providers.<name>]`: a table for each provider. _Default:_ none.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Whether somebody without an account here gets one, if the provider says that their address is
    /// proven. _Default:_ as `register.enabled`, but no where a username is required.
    pub sign_up: Option<bool>,
    /// Providers whose word on an address is enough to enter the account that has this address, without it
    /// being linked before. Whoever runs such a provider can enter every account. _Default:_ none.
    pub match_email: Vec<String>,
    /// Whether people may link and unlink accounts themselves. _Default:_ `true`.
    pub link: bool,
    /// Whether a linked account proves it again where a fresh sign-in is wanted. _Default:_ `true`.
    pub verify: bool,
    /// How long somebody may take at the provider. _Default:_ 10 min.
    pub state: NonZeroDuration,
    /// How long each request to a provider may take. _Default:_ 10 s.
    pub timeout: NonZeroDuration,
    /// How long what a provider says of itself is kept, its keys included. _Default:_ 1 h.
    pub keep: NonZeroDuration,
    /// Whether providers may be on this machine or network, and may speak plain http. _Default:_ `false`.
    pub allow_private: bool,
    /// Whether the application gave providers of its own.
    #[serde(skip)]
    pub(crate) given: bool,
}

impl Default for SocialSettings {
    fn default() -> Self {
        Self {
            providers: BTreeMap::new(),
            sign_up: None,
            match_email: Vec::new(),
            link: true,
            verify: true,
            state: NonZeroDuration::at_least(Duration::from_mins(10)),
            timeout: NonZeroDuration::at_least(Duration::from_secs(10)),
            keep: NonZeroDuration::at_least(Duration::from_hours(1)),
            allow_private: false,
            given: false,
        }
    }
}

impl Table for SocialSettings {
    const NAME: &'static str = "social";

    fn check(&self) -> Result<(), Problem> {
        for (name, provider) in &self.providers {
            if !is_provider_name(name) {
                return Err(format!(
                    "`providers.{name}`: a name has 1 to 32 small letters, digits and hyphens"
                )
                .into());
            }
            if let Some(problem) = provider.problem(name, self.allow_private) {
                return Err(format!("`providers.{name}`: {problem}").into());
            }
        }
        Ok(())
    }
}

/// `[security.social.providers.<name>]`. The names `google` and `github` need `client_id` and
/// `client_secret` alone; the name `apple` needs `client_id`, `team_id`, `key_id` and `private_key`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The name under which the provider knows this site.
    pub client_id: String,
    /// The secret that goes with it; best from the environment. _Default:_ none, for a public client.
    #[serde(default)]
    pub client_secret: Option<Secret<String>>,
    /// Where the provider is: what it calls itself in its discovery document, or where a GitHub Enterprise
    /// Server is. _Default:_ known for `apple`, `google` and `github`, else required.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Further audiences that may stand in an ID token beside `client_id`, such as the id of a project at Zitadel.
    /// The token must then name `client_id` as `azp`. _Default:_ none.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How the provider sends its answer: `"query"`, or `"form_post"` by POST. _Default:_ `"form_post"` for
    /// `apple`, else `"query"`.
    #[serde(default)]
    pub response_mode: Option<ResponseMode>,
    /// Further parameters of the request to the provider, such as `prompt`, `hd` or `claims`. _Default:_ none.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// The key that signs the client's secret in place of `client_secret`, as Apple wants it: the text of the
    /// `.p8` file, best from the environment. _Default:_ none.
    #[serde(default)]
    pub private_key: Option<Secret<String>>,
    /// The `.p8` file itself, in place of `private_key`. _Default:_ none.
    #[serde(default)]
    pub private_key_file: Option<PathBuf>,
    /// The id of that key. _Default:_ none.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The id of the team that the key belongs to. _Default:_ none.
    #[serde(default)]
    pub team_id: Option<String>,
    /// `"oidc"` or `"github"`. _Default:_ `"github"` if that is the name, else `"oidc"`.
    #[serde(default)]
    pub kind: Option<ProviderKind>,
    /// Its name for people. _Default:_ known for `apple`, `google` and `github`, else the name.
    #[serde(default)]
    pub label: Option<String>,
    /// What is asked for; `openid` is added. _Default:_ `["openid", "email", "profile"]`; of Apple,
    /// `["openid", "email", "name"]`, of GitHub, `["user:email"]`.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Further origins through which it leads browsers, such as `"https://login.example.com"`: our pages
    /// would else not let them go there. _Default:_ that of `issuer` and of what it says of itself.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// How a provider sends its answer to the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of a GET.
    Query,
    /// In the body of a POST.
    FormPost,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProviderKind {
    /// OpenID Connect, by discovery.
    Oidc,
    /// OAuth 2.0 as GitHub has it.
    Github,
}

/// The parameters of a request that are no setting.
const OURS: [&str; 13] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "max_age",
    "request",
    "request_uri",
];

impl ProviderSettings {
    pub(crate) fn kind_of(&self, name: &str) -> ProviderKind {
        self.kind.unwrap_or(match name {
            "github" => ProviderKind::Github,
            _ => ProviderKind::Oidc,
        })
    }

    pub(crate) fn issuer_of(&self, name: &str) -> Option<String> {
        let known = match name {
            "google" => Some("https://accounts.google.com"),
            "apple" => Some("https://appleid.apple.com"),
            _ => None,
        };
        self.issuer.clone().or(known.map(String::from))
    }

    pub(crate) fn response_mode_of(&self, name: &str) -> ResponseMode {
        self.response_mode.unwrap_or(match name {
            "apple" => ResponseMode::FormPost,
            _ => ResponseMode::Query,
        })
    }

    pub(crate) fn scopes_of(&self, name: &str) -> Vec<String> {
        let (kind, owned) = (self.kind_of(name), |list: &[&str]| {
            list.iter().map(ToString::to_string).collect()
        });
        let mut scopes = self.scopes.clone().unwrap_or_else(|| match (kind, name) {
            (ProviderKind::Github, _) => owned(&["user:email"]),
            (_, "apple") => owned(&["email", "name"]),
            _ => owned(&["email", "profile"]),
        });
        if kind == ProviderKind::Oidc && !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".into());
        }
        scopes
    }

    /// The key that signs the client's secret, if there is one.
    pub(crate) fn private_key(&self) -> Result<Option<Secret<String>>, String> {
        match (&self.private_key, &self.private_key_file) {
            (Some(_), Some(_)) => {
                Err("`private_key` and `private_key_file` are both there; write one".into())
            }
            (Some(key), None) => Ok(Some(key.clone())),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(key) => Ok(Some(Secret::new(key))),
                Err(error) => Err(format!(
                    "`private_key_file` is `{}`: {error}",
                    file.display()
                )),
            },
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn label_of(&self, name: &str) -> String {
        let known = match name {
            "google" => "Google",
            "github" => "GitHub",
            "apple" => "Apple",
            other => other,
        };
        self.label.clone().unwrap_or_else(|| known.into())
    }

    fn problem(&self, name: &str, allow_private: bool) -> Option<String> {
        if self.client_id.trim().is_empty() {
            return Some("`client_id` is empty; write what the provider gave you".into());
        }
        let has_key = self.private_key.is_some() || self.private_key_file.is_some();
        if has_key && self.client_secret.is_some() {
            return Some("`client_secret` and `private_key` are both there; write one".into());
        }
        if let Some(name) = self
            .parameters
            .keys()
            .find(|name| OURS.contains(&name.as_str()))
        {
            return Some(format!(
                "`parameters.{name}` is set by this library; leave it out"
            ));
        }
        for (key, url) in self
            .issuer
            .iter()
            .map(|url| ("issuer", url))
            .chain(self.origins.iter().map(|url| ("origins", url)))
        {
            let parsed = Url::parse(url).ok();
            let fits = parsed.as_ref().is_some_and(|url| {
                let scheme = url.scheme() == "https" || allow_private && url.scheme() == "http";
                scheme && url.host().is_some() && url.query().is_none() && url.fragment().is_none()
            });
            if !fits {
                return Some(format!(
                    "`{key}` has `{url}`, which is no https address; write for example \"https://id.example.com\" (plain http wants `security.social.allow_private`)"
                ));
            }
        }
        if self.issuer_of(name).is_none() && self.kind_of(name) == ProviderKind::Oidc {
            return Some(
                "`issuer` is missing; write where the provider is, such as \"https://id.example.com\""
                    .into(),
            );
        }
        None
    }
}

impl SocialSettings {
    /// Whether there is a provider.
    pub(crate) fn is_on(&self) -> bool {
        self.given || !self.providers.is_empty()
    }
}

/// Whether this can be a provider's name.
pub(crate) fn is_provider_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}
