//! Providers that speak OpenID Connect, found by discovery (OpenID Connect Discovery 1.0).
//!
//! The protocol and the signatures are openidconnect's. Here is what that leaves to its caller: which
//! algorithms there are, the authorised party, the times, the issuer of the answer (RFC 9207), and how
//! long what was discovered is kept.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, DiscoveryError, EmptyAdditionalClaims, IssuerUrl, JsonWebKeySet,
    Nonce, OAuth2TokenResponse, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, SubjectIdentifier, TokenResponse, UserInfoClaims, core::*,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    HttpClient, ProviderEmail, SocialAnswer, SocialError, SocialProfile, SocialProvider,
    SocialRequest, http::Blocking,
};
use crate::{
    features::social::{ProviderSettings, SocialSettings},
    secrets::Secret,
    store::Timestamp,
};

/// What is kept of a discovery document beside what the standard's own types hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Beside {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl openidconnect::AdditionalProviderMetadata for Beside {}

type Metadata = ProviderMetadata<
    Beside,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Signatures that only the provider can make: none that our own secret, or a public key, would do for.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 10] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EcdsaP521Sha512,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// How far clocks may differ.
const LEEWAY: i64 = 60_000;

/// After a discovery that failed, for how long the next one is not tried.
const REST: Duration = Duration::from_secs(2);

/// A provider that speaks OpenID Connect.
#[derive(Clone)]
pub(super) struct Oidc(Arc<Inner>);

struct Inner {
    name: String,
    label: String,
    issuer: String,
    client_id: String,
    client_secret: Option<Secret<String>>,
    scopes: Vec<String>,
    origins: Vec<String>,
    keep: Duration,
    http: HttpClient,
    known: Mutex<Known>,
    /// Held while the provider is asked, so that of many who need it one asks.
    asking: Mutex<()>,
}

/// What was discovered, and when.
#[derive(Default)]
struct Known {
    metadata: Option<(Arc<Metadata>, Instant)>,
    failed: Option<(SocialError, Instant)>,
}

impl Oidc {
    pub(super) fn new(
        name: &str,
        own: &ProviderSettings,
        settings: &SocialSettings,
        http: HttpClient,
    ) -> Result<Self, String> {
        let issuer = own.issuer_of(name).ok_or(
            "`issuer` is missing; write where the provider is, such as \"https://id.example.com\"",
        )?;
        let scopes = own.scopes.clone();
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            label: own.label_of(name),
            issuer,
            client_id: own.client_id.clone(),
            client_secret: own.client_secret.clone(),
            scopes: scopes.unwrap_or_else(|| vec!["email".into(), "profile".into()]),
            origins: own.origins.clone(),
            keep: settings.keep.as_duration(),
            http,
            known: Mutex::default(),
            asking: Mutex::default(),
        })))
    }

    async fn exchange<T, F>(&self, work: F) -> Result<T, SocialError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner, &Blocking) -> Result<T, SocialError> + Send + 'static,
    {
        let inner = self.0.clone();
        self.0.http.exchange(move |http| work(&inner, http)).await
    }
}

#[async_trait]
impl SocialProvider for Oidc {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn label(&self) -> &str {
        &self.0.label
    }

    fn issuer(&self) -> &str {
        &self.0.issuer
    }

    async fn authorize(&self, asked: &SocialRequest<'_>) -> Result<Url, SocialError> {
        let metadata = match self.0.fresh() {
            Some(metadata) => metadata,
            None => self.exchange(Inner::metadata).await?,
        };
        let (state, nonce) = (asked.state.to_string(), asked.nonce.to_string());
        let client = self.0.client(&metadata);
        let redirect = redirect_url(asked.redirect_uri)?;
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .add_extra_param("code_challenge", asked.code_challenge)
            .add_extra_param("code_challenge_method", "S256");
        for scope in self.0.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if asked.again {
            request = request.set_max_age(Duration::ZERO);
        }
        Ok(request.url().0)
    }

    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
        let answer = Answered {
            code: answer.code.to_string(),
            issuer: answer.issuer.map(String::from),
            redirect: redirect_url(answer.redirect_uri)?,
            nonce: Nonce::new(answer.nonce.to_string()),
            verifier: answer.code_verifier.clone(),
            now: answer.now,
        };
        self.exchange(move |inner, http| inner.profile(http, answer))
            .await
    }

    fn origins(&self) -> Vec<String> {
        let mut origins = self.0.origins.clone();
        origins.push(self.0.issuer.clone());
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((metadata, _)) = &known.metadata {
            origins.push(metadata.authorization_endpoint().url().to_string());
        }
        origins
    }

    async fn prepare(&self) {
        if let Err(error) = self.exchange(Inner::metadata).await {
            log::warn!("the provider {} {error}", self.0.name);
        }
    }
}

/// What came back, for another thread.
struct Answered {
    code: String,
    issuer: Option<String>,
    redirect: RedirectUrl,
    nonce: Nonce,
    verifier: Secret<String>,
    now: Timestamp,
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

impl Inner {
    /// What is known and not too old.
    fn fresh(&self) -> Option<Arc<Metadata>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (metadata, at) = known.metadata.as_ref()?;
        (at.elapsed() < self.keep).then(|| metadata.clone())
    }

    /// What the provider says of itself, with its keys.
    fn metadata(&self, http: &Blocking) -> Result<Arc<Metadata>, SocialError> {
        if let Some(metadata) = self.fresh() {
            return Ok(metadata);
        }
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        match self.fresh() {
            Some(metadata) => Ok(metadata),
            None => self.discover(http),
        }
    }

    fn discover(&self, http: &Blocking) -> Result<Arc<Metadata>, SocialError> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((error, at)) = &known.failed
                && at.elapsed() < REST
            {
                return Err(error.clone());
            }
        }
        let found = self.discovered(http).map(Arc::new);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Ok(metadata) => {
                *known = Known {
                    metadata: Some((metadata.clone(), Instant::now())),
                    failed: None,
                };
            }
            Err(error) => known.failed = Some((error.clone(), Instant::now())),
        }
        found
    }

    fn discovered(&self, http: &Blocking) -> Result<Metadata, SocialError> {
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(refused)?;
        let metadata = Metadata::discover(&issuer, &|request| http.send(request)).map_err(
            |error| match error {
                DiscoveryError::Request(error) => error,
                DiscoveryError::Response(status, _, why) => not_ok(status.as_u16(), &why),
                error => refused(error),
            },
        )?;
        // What our pages lead to is a site, whatever the document says.
        let scheme = metadata.authorization_endpoint().url().scheme();
        let issuer_scheme = issuer.url().scheme();
        if scheme != "https" && scheme != issuer_scheme {
            return Err(SocialError::Refused(format!(
                "it leads to an address that begins with {scheme:?}"
            )));
        }
        Ok(metadata)
    }

    /// The client that speaks for us, with what is known of the provider.
    fn client(&self, metadata: &Metadata) -> Client {
        let secret = self
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose().clone()));
        let id = ClientId::new(self.client_id.clone());
        let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
        let by_post_only = metadata
            .token_endpoint_auth_methods_supported()
            .is_some_and(|methods| {
                methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                    && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            });
        match by_post_only {
            true => client.set_auth_type(AuthType::RequestBody),
            false => client,
        }
    }

    fn profile(&self, http: &Blocking, answer: Answered) -> Result<SocialProfile, SocialError> {
        let metadata = self.metadata(http)?;
        let beside = metadata.additional_metadata();
        let named = match answer.issuer.as_deref() {
            Some(issuer) => issuer == self.issuer,
            None => !beside.authorization_response_iss_parameter_supported,
        };
        if !named {
            return Err(SocialError::Refused(
                "the answer names another issuer, or none".into(),
            ));
        }
        let client = self.client(&metadata);
        let tokens = client
            .exchange_code(AuthorizationCode::new(answer.code.clone()))
            .map_err(refused)?
            .set_redirect_uri(std::borrow::Cow::Borrowed(&answer.redirect))
            .set_pkce_verifier(PkceCodeVerifier::new(answer.verifier.expose().clone()))
            .request(&|request| http.send(request))
            .map_err(|error| match error {
                RequestTokenError::Request(error) => error,
                error => refused(error),
            })?;
        let token = tokens
            .id_token()
            .ok_or_else(|| SocialError::Refused("it gave no ID token".into()))?;
        let claims = match self.verified(&metadata, token, &answer) {
            // The provider may sign by a new key.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let keys = JsonWebKeySet::fetch(metadata.jwks_uri(), &|request| http.send(request))
                    .map_err(|error| match error {
                        DiscoveryError::Request(error) => error,
                        error => refused(error),
                    })?;
                let metadata = self.with_keys(&metadata, keys);
                self.verified(&metadata, token, &answer)
            }
            verified => verified,
        };
        let claims = claims.map_err(refused)?;
        if claims
            .authorized_party()
            .is_some_and(|party| party.as_str() != self.client_id)
        {
            return Err(SocialError::Refused(
                "the ID token was given to another party".into(),
            ));
        }
        let subject = claims.subject();
        let mut email = said(claims.email(), claims.email_verified());
        if !matches!(email, Said::Whole(_))
            && let Some(userinfo) = metadata.userinfo_endpoint()
        {
            let asked = ureq::http::Request::get(userinfo.url().as_str())
                .header("Accept", "application/json")
                .header(
                    "Authorization",
                    format!("Bearer {}", tokens.access_token().secret()),
                )
                .body(Vec::new())
                .map_err(refused)?;
            email = match userinfo_of(http, asked, subject)? {
                Said::Nothing => email,
                better => better,
            };
        }
        let label = claims.preferred_username().map(|name| name.to_string());
        let label = label.or_else(|| claims.email().map(|email| email.to_string()));
        Ok(SocialProfile {
            subject: subject.to_string(),
            email: email.into(),
            label,
            authenticated_at: claims
                .auth_time()
                .map(|at| Timestamp::from_millis(at.timestamp_millis())),
        })
    }

    fn verified(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        answer: &Answered,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let now = answer.now.as_millis();
        let client = self.client(metadata);
        let allowed: Vec<_> = metadata
            .id_token_signing_alg_values_supported()
            .iter()
            .filter(|algorithm| ALGORITHMS.contains(algorithm))
            .cloned()
            .collect();
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(allowed)
            .set_time_fn(move || chrono_of(now - LEEWAY))
            .set_issue_time_verifier_fn(move |issued| {
                match issued.timestamp_millis() > now + LEEWAY {
                    true => Err("it was issued in the future".into()),
                    false => Ok(()),
                }
            });
        token.claims(&verifier, &answer.nonce).cloned()
    }

    /// Puts other keys in the place of those that are known.
    fn with_keys(&self, metadata: &Metadata, keys: CoreJsonWebKeySet) -> Arc<Metadata> {
        let metadata = Arc::new(metadata.clone().set_jwks(keys));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = &mut known.metadata {
            *known = metadata.clone();
        }
        metadata
    }
}

/// What an answer says of the address.
enum Said {
    Nothing,
    /// The address, and not whether it is proven.
    Half(String),
    Whole(ProviderEmail),
}

impl From<Said> for ProviderEmail {
    fn from(said: Said) -> Self {
        match said {
            Said::Nothing => Self::Absent,
            Said::Half(email) => Self::Unverified(email),
            Said::Whole(email) => email,
        }
    }
}

fn said(email: Option<&openidconnect::EndUserEmail>, verified: Option<bool>) -> Said {
    match (email.map(|email| email.to_string()), verified) {
        (None, _) => Said::Nothing,
        (Some(email), None) => Said::Half(email),
        (Some(email), Some(true)) => Said::Whole(ProviderEmail::Verified(email)),
        (Some(email), Some(false)) => Said::Whole(ProviderEmail::Unverified(email)),
    }
}

/// What the provider tells whoever holds the access token; of the same subject, or it is not believed
/// (OpenID Connect Core 1.0, section 5.3.2).
fn userinfo_of(
    http: &Blocking,
    asked: super::HttpRequest,
    subject: &SubjectIdentifier,
) -> Result<Said, SocialError> {
    let answer = http.send(asked)?;
    if answer.status().as_u16() != 200 {
        return Err(not_ok(answer.status().as_u16(), "the user info endpoint"));
    }
    let claims =
        UserInfoClaims::<EmptyAdditionalClaims, CoreGenderClaim>::from_json::<SocialError>(
            answer.body(),
            Some(subject),
        )
        .map_err(refused)?;
    Ok(said(claims.email(), claims.email_verified()))
}

fn redirect_url(url: &Url) -> Result<RedirectUrl, SocialError> {
    RedirectUrl::new(url.to_string()).map_err(refused)
}

fn refused(error: impl std::error::Error) -> SocialError {
    // The reason behind a reason is what helps whoever reads the log.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    SocialError::Refused(text)
}

fn not_ok(status: u16, what: &str) -> SocialError {
    match status {
        500..=599 | 429 => SocialError::Unavailable(format!("{what}: {status}")),
        _ => SocialError::Refused(format!("{what}: {status}")),
    }
}

/// The time as openidconnect has it.
fn chrono_of(millis: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
