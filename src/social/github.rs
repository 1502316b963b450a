//! GitHub, which speaks OAuth 2.0 and an API of its own; on github.com or on a server of one's own.
//!
//! An account there is known by its number: names can be given up, and taken by somebody else.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::{
    HttpClient, ProviderEmail, SocialAnswer, SocialError, SocialProfile, SocialProvider,
    SocialRequest,
    http::{Blocking, request},
    lenient::{complaint, flag, object, text},
    oauth::{Answered, Authentication, Client},
    secret::secret_of,
};
use crate::settings::ProviderSettings;

/// GitHub.
pub(super) struct Github {
    name: String,
    label: String,
    issuer: String,
    origins: Vec<String>,
    scopes: Vec<String>,
    authorize: Url,
    parameters: Vec<(String, String)>,
    inner: Arc<Inner>,
    http: HttpClient,
}

struct Inner {
    client: Client,
    token: Url,
    api: String,
}

impl Github {
    pub(super) fn new(
        name: &str,
        own: &ProviderSettings,
        http: HttpClient,
    ) -> Result<Self, String> {
        let issuer = own
            .issuer_of(name)
            .unwrap_or_else(|| "https://github.com".into());
        if own.client_secret.is_none() {
            return Err("`client_secret` is missing; GitHub shows it once, when it is made".into());
        }
        let base = issuer.trim_end_matches('/');
        let api = match base {
            "https://github.com" => "https://api.github.com".to_string(),
            own => format!("{own}/api/v3"),
        };
        let wrong = |error: url::ParseError| format!("`issuer` is `{issuer}`: {error}");
        let client = Client {
            id: own.client_id.clone(),
            secret: secret_of(own, &issuer)?,
        };
        let token = Url::parse(&format!("{base}/login/oauth/access_token")).map_err(wrong)?;
        let mut origins = own.origins.clone();
        origins.push(issuer.clone());
        Ok(Self {
            name: name.into(),
            label: own.label_of(name),
            origins,
            scopes: own.scopes_of(name),
            authorize: Url::parse(&format!("{base}/login/oauth/authorize")).map_err(wrong)?,
            parameters: own.parameters.clone().into_iter().collect(),
            inner: Arc::new(Inner { client, token, api }),
            issuer,
            http,
        })
    }
}

#[async_trait]
impl SocialProvider for Github {
    fn name(&self) -> &str {
        &self.name
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn authorize(&self, asked: &SocialRequest<'_>) -> Result<Url, SocialError> {
        let beside: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let client = &self.inner.client;
        Ok(client.authorization_url(&self.authorize, asked, &self.scopes, &beside))
    }

    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
        let (inner, answer) = (self.inner.clone(), Answered::from(answer));
        let exchange = move |http: &Blocking| inner.profile(http, &answer);
        self.http.exchange(exchange).await
    }

    fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }
}

impl Inner {
    fn profile(&self, http: &Blocking, answer: &Answered) -> Result<SocialProfile, SocialError> {
        // As its documentation has it.
        let how = Authentication::Body;
        let tokens = self.client.exchange(http, &self.token, how, answer)?;
        let token = tokens.access.expose();
        let (status, body) = self.get(http, "/user", token)?;
        let account = object(&body, "/user")?;
        let id = account.get("id").and_then(Value::as_u64);
        let id = id.filter(|_| status == 200).ok_or_else(|| {
            SocialError::Refused(format!("/user: {status} {}", complaint(&account)))
        })?;
        let profile = SocialProfile::new(id.to_string()).email(self.email(http, token)?);
        Ok(match text(&account, "login") {
            Some(login) => profile.label(login),
            None => profile,
        })
    }

    /// The primary address. A site that may not read addresses learns none; whoever is linked comes in all the
    /// same.
    fn email(&self, http: &Blocking, token: &str) -> Result<ProviderEmail, SocialError> {
        let path = "/user/emails?per_page=100";
        let (status, body) = self.get(http, path, token)?;
        let addresses: Vec<Value> = match serde_json::from_slice(&body) {
            Ok(Value::Array(all)) if status == 200 => all,
            _ => {
                let why = object(&body, path).map(|said| complaint(&said));
                let why = why.unwrap_or_else(|error| error.to_string());
                log::info!("GitHub tells no addresses: {path}: {status} {why}");
                return Ok(ProviderEmail::Absent);
            }
        };
        let primary = addresses
            .iter()
            .filter_map(Value::as_object)
            .find(|address| flag(address, "primary") == Some(true));
        let Some((primary, email)) = primary.and_then(|one| Some((one, text(one, "email")?)))
        else {
            return Ok(ProviderEmail::Absent);
        };
        Ok(match flag(primary, "verified") {
            Some(true) => ProviderEmail::Verified(email.into()),
            _ => ProviderEmail::Unverified(email.into()),
        })
    }

    fn get(&self, http: &Blocking, path: &str, token: &str) -> Result<(u16, Vec<u8>), SocialError> {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Accept", "application/vnd.github+json"),
            ("Authorization", &bearer),
            ("X-GitHub-Api-Version", "2022-11-28"),
        ];
        let url = format!("{}{path}", self.api);
        let answer = http.send(request("GET", &url, &headers, Vec::new())?)?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }
}
