//! GitHub, which speaks OAuth 2.0 and an API of its own; on github.com or on a server of one's own.
//!
//! An account there is known by its number: names can be given up, and taken by somebody else.

use std::sync::Arc;

use async_trait::async_trait;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse, TokenUrl,
    basic::BasicClient,
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{
    HttpClient, HttpRequest, ProviderEmail, SocialAnswer, SocialError, SocialProfile,
    SocialProvider, SocialRequest, http::Blocking,
};
use crate::features::social::ProviderSettings;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// GitHub.
pub(super) struct Github {
    name: String,
    label: String,
    issuer: String,
    origins: Vec<String>,
    scopes: Vec<String>,
    inner: Arc<Inner>,
    http: HttpClient,
}

struct Inner {
    client: Client,
    api: String,
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
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
        let secret = own
            .client_secret
            .as_ref()
            .ok_or("`client_secret` is missing; GitHub shows it once, when it is made")?;
        let base = issuer.trim_end_matches('/');
        let api = match base {
            "https://github.com" => "https://api.github.com".to_string(),
            own => format!("{own}/api/v3"),
        };
        let wrong = |error: url::ParseError| format!("`issuer` is `{issuer}`: {error}");
        let authorize = AuthUrl::new(format!("{base}/login/oauth/authorize")).map_err(wrong)?;
        let token = TokenUrl::new(format!("{base}/login/oauth/access_token")).map_err(wrong)?;
        let client = BasicClient::new(ClientId::new(own.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret.expose().clone()))
            .set_auth_uri(authorize)
            .set_token_uri(token)
            // As its documentation has it.
            .set_auth_type(AuthType::RequestBody);
        let scopes = own.scopes.clone();
        let mut origins = own.origins.clone();
        origins.push(issuer.clone());
        Ok(Self {
            name: name.into(),
            label: own.label_of(name),
            issuer,
            origins,
            scopes: scopes.unwrap_or_else(|| vec!["user:email".into()]),
            inner: Arc::new(Inner { client, api }),
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
        let state = asked.state.to_string();
        let redirect = RedirectUrl::from_url(asked.redirect_uri.clone());
        let mut request = self
            .inner
            .client
            .authorize_url(|| CsrfToken::new(state))
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .add_extra_param("code_challenge", asked.code_challenge)
            .add_extra_param("code_challenge_method", "S256");
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        Ok(request.url().0)
    }

    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
        let inner = self.inner.clone();
        let code = AuthorizationCode::new(answer.code.to_string());
        let redirect = RedirectUrl::from_url(answer.redirect_uri.clone());
        let verifier = PkceCodeVerifier::new(answer.code_verifier.expose().clone());
        let exchange = move |http: &Blocking| inner.profile(http, code, redirect, verifier);
        self.http.exchange(exchange).await
    }

    fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }
}

impl Inner {
    fn profile(
        &self,
        http: &Blocking,
        code: AuthorizationCode,
        redirect: RedirectUrl,
        verifier: PkceCodeVerifier,
    ) -> Result<SocialProfile, SocialError> {
        let tokens = self
            .client
            .exchange_code(code)
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .set_pkce_verifier(verifier)
            .request(&|request| http.send(request))
            .map_err(|error| match error {
                RequestTokenError::Request(error) => error,
                // It answers errors with the status of success.
                error => SocialError::Refused(format!("it gave no token: {error}")),
            })?;
        let token = tokens.access_token().secret();
        let account: Account = self.get(http, "/user", token)?;
        let addresses: Vec<Address> = self.get(http, "/user/emails?per_page=100", token)?;
        let email = match addresses.into_iter().find(|address| address.primary) {
            Some(address) if address.verified => ProviderEmail::Verified(address.email),
            Some(address) => ProviderEmail::Unverified(address.email),
            None => ProviderEmail::Absent,
        };
        Ok(SocialProfile::new(account.id.to_string())
            .email(email)
            .label(account.login))
    }

    fn get<T: DeserializeOwned>(
        &self,
        http: &Blocking,
        path: &str,
        token: &str,
    ) -> Result<T, SocialError> {
        let refused = |why: String| SocialError::Refused(format!("{path}: {why}"));
        let request: HttpRequest = ureq::http::Request::get(format!("{}{path}", self.api))
            .header("Accept", "application/vnd.github+json")
            .header("Authorization", format!("Bearer {token}"))
            .header("X-GitHub-Api-Version", "2022-11-28")
            .body(Vec::new())
            .map_err(|error| refused(error.to_string()))?;
        let answer = http.send(request)?;
        if answer.status().as_u16() != 200 {
            return Err(refused(answer.status().to_string()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| refused(error.to_string()))
    }
}
