//! Providers that speak OpenID Connect, found by discovery (OpenID Connect Discovery 1.0).
//!
//! Of all that a provider answers, only what is used is read, and leniently (`lenient`); the ID token is judged
//! strictly (`id_token`). Here is the rest: discovery and how long it is kept, the issuer of the answer (RFC 9207),
//! and what is asked when the ID token does not say whether an address is proven.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use openidconnect::core::CoreJsonWebKey;
use url::Url;

use super::{
    HttpClient, ProviderEmail, SocialAnswer, SocialError, SocialProfile, SocialProvider,
    SocialRequest,
    http::{Blocking, request},
    id_token::{self, Doubt, Expected},
    lenient::{Object, complaint, flag, object, quoted, text, texts},
    oauth::{Answered, Authentication, Client},
    secret::secret_of,
};
use crate::settings::{ProviderSettings, ResponseMode, SocialSettings};

/// After a discovery that failed, for how long the next one is not tried.
const REST: Duration = Duration::from_secs(2);

/// What a provider says of itself, as far as it is used.
#[derive(Clone, Debug)]
struct Metadata {
    authorize: Url,
    token: Url,
    userinfo: Option<Url>,
    jwks: Url,
    /// The algorithms that it signs with.
    algorithms: Vec<String>,
    /// Whether it takes the client's secret in the body alone.
    by_body: bool,
    /// Whether it names itself in the answer to the browser (RFC 9207).
    names_itself: bool,
    keys: Vec<CoreJsonWebKey>,
}

/// A provider that speaks OpenID Connect.
#[derive(Clone)]
pub(super) struct Oidc(Arc<Inner>);

struct Inner {
    name: String,
    label: String,
    issuer: String,
    client: Client,
    audiences: Vec<String>,
    scopes: Vec<String>,
    mode: ResponseMode,
    parameters: Vec<(String, String)>,
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
        let client = Client {
            id: own.client_id.clone(),
            secret: secret_of(own, &issuer)?,
        };
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            label: own.label_of(name),
            issuer,
            client,
            audiences: own.audiences.clone(),
            scopes: own.scopes_of(name),
            mode: own.response_mode_of(name),
            parameters: own.parameters.clone().into_iter().collect(),
            origins: own.origins.clone(),
            keep: settings.keep.get(),
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
        let inner = &self.0;
        let mut beside = vec![("nonce", asked.nonce)];
        if asked.again {
            beside.push(("max_age", "0"));
        }
        if inner.mode == ResponseMode::FormPost {
            beside.push(("response_mode", "form_post"));
        }
        for (name, value) in &inner.parameters {
            beside.push((name, value));
        }
        Ok(inner
            .client
            .authorization_url(&metadata.authorize, asked, &inner.scopes, &beside))
    }

    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
        let answer = Answered::from(answer);
        self.exchange(move |inner, http| inner.profile(http, &answer))
            .await
    }

    fn origins(&self) -> Vec<String> {
        let mut origins = self.0.origins.clone();
        origins.push(self.0.issuer.clone());
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((metadata, _)) = &known.metadata {
            origins.push(metadata.authorize.to_string());
        }
        origins
    }

    fn posts_back(&self) -> bool {
        self.0.mode == ResponseMode::FormPost
    }

    async fn prepare(&self) {
        if let Err(error) = self.exchange(Inner::metadata).await {
            log::warn!("the provider {} {error}", self.0.name);
        }
    }
}

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
        let base = self.issuer.trim_end_matches('/');
        let what = "its discovery document";
        let document = fetch(
            http,
            &format!("{base}/.well-known/openid-configuration"),
            what,
        )?;
        match text(&document, "issuer") {
            Some(issuer) if issuer == self.issuer => {}
            Some(other) => {
                return Err(SocialError::Refused(format!(
                    "{what} is of {}, and `issuer` is {}; write the former if it is the right one",
                    quoted(other),
                    quoted(&self.issuer)
                )));
            }
            None => return Err(SocialError::Refused(format!("{what} names no issuer"))),
        }
        let endpoint = |name: &str| match text(&document, name).map(Url::parse) {
            None => Ok(None),
            Some(Ok(url)) => Ok(Some(url)),
            Some(Err(_)) => Err(SocialError::Refused(format!(
                "`{name}` of {what} is no URL"
            ))),
        };
        let needed = |name: &str| {
            let missing = || SocialError::Refused(format!("{what} has no `{name}`"));
            endpoint(name)?.ok_or_else(missing)
        };
        let authorize = needed("authorization_endpoint")?;
        // What our pages lead to is a site, whatever the document says.
        let is_web = authorize.scheme() == "https"
            || Url::parse(&self.issuer).is_ok_and(|issuer| issuer.scheme() == authorize.scheme());
        if !is_web {
            return Err(SocialError::Refused(format!(
                "it leads to an address that begins with {:?}",
                authorize.scheme()
            )));
        }
        let jwks = needed("jwks_uri")?;
        let owned = |name: &str| -> Vec<String> {
            texts(&document, name)
                .into_iter()
                .map(String::from)
                .collect()
        };
        let methods = owned("token_endpoint_auth_methods_supported");
        let has = |method: &str| methods.iter().any(|one| one == method);
        let mut algorithms = owned("id_token_signing_alg_values_supported");
        if algorithms.is_empty() {
            // What a client may count on (OpenID Connect Core 1.0, section 15.1).
            algorithms.push("RS256".into());
        }
        Ok(Metadata {
            token: needed("token_endpoint")?,
            // One that cannot be asked is none.
            userinfo: endpoint("userinfo_endpoint").unwrap_or_default(),
            keys: keys_at(http, &jwks)?,
            by_body: has("client_secret_post") && !has("client_secret_basic"),
            names_itself: flag(&document, "authorization_response_iss_parameter_supported")
                .unwrap_or_default(),
            authorize,
            jwks,
            algorithms,
        })
    }

    fn profile(&self, http: &Blocking, answer: &Answered) -> Result<SocialProfile, SocialError> {
        let metadata = self.metadata(http)?;
        let named = match answer.issuer.as_deref() {
            Some(issuer) => issuer == self.issuer,
            None => !metadata.names_itself,
        };
        if !named {
            return Err(SocialError::Refused(
                "the answer names another issuer, or none".into(),
            ));
        }
        let how = match metadata.by_body {
            true => Authentication::Body,
            false => Authentication::Basic,
        };
        let tokens = self.client.exchange(http, &metadata.token, how, answer)?;
        let token = tokens
            .id
            .ok_or_else(|| SocialError::Refused("it gave no ID token".into()))?;
        let expected = Expected {
            issuer: &self.issuer,
            client: &self.client.id,
            audiences: &self.audiences,
            nonce: &answer.nonce,
            algorithms: &metadata.algorithms,
            now: answer.now,
        };
        let claims = match id_token::verified(&token, &metadata.keys, &expected) {
            // The provider may sign by a new key.
            Err(Doubt::NoKey) => {
                let keys = keys_at(http, &metadata.jwks)?;
                self.keep_keys(&metadata, keys.clone());
                id_token::verified(&token, &keys, &expected)?
            }
            verified => verified?,
        };
        let subject = text(&claims, "sub").unwrap_or_default();
        let mut email = email_claim(&claims);
        if !matches!(email, EmailClaim::Whole(_))
            && let Some(userinfo) = &metadata.userinfo
        {
            email = match userinfo_of(http, userinfo, tokens.access.expose(), subject)? {
                EmailClaim::Nothing => email,
                better => better,
            };
        }
        let label = text(&claims, "preferred_username").or_else(|| text(&claims, "email"));
        Ok(SocialProfile {
            subject: subject.to_string(),
            label: label.map(String::from),
            email: email.into(),
            authenticated_at: id_token::authenticated_at(&claims),
        })
    }

    /// Puts other keys in the place of those that are known.
    fn keep_keys(&self, metadata: &Metadata, keys: Vec<CoreJsonWebKey>) {
        let metadata = Arc::new(Metadata {
            keys,
            ..metadata.clone()
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = &mut known.metadata {
            *known = metadata;
        }
    }
}

/// What an answer says of the address.
enum EmailClaim {
    Nothing,
    /// The address, and not whether it is proven.
    Half(String),
    Whole(ProviderEmail),
}

impl From<EmailClaim> for ProviderEmail {
    fn from(said: EmailClaim) -> Self {
        match said {
            EmailClaim::Nothing => Self::Absent,
            EmailClaim::Half(email) => Self::Unverified(email),
            EmailClaim::Whole(email) => email,
        }
    }
}

fn email_claim(claims: &Object) -> EmailClaim {
    let email = text(claims, "email").map(String::from);
    match (email, flag(claims, "email_verified")) {
        (None, _) => EmailClaim::Nothing,
        (Some(email), None) => EmailClaim::Half(email),
        (Some(email), Some(true)) => EmailClaim::Whole(ProviderEmail::Verified(email)),
        (Some(email), Some(false)) => EmailClaim::Whole(ProviderEmail::Unverified(email)),
    }
}

/// What the provider tells whoever holds the access token; of the same subject, or it is not believed
/// (OpenID Connect Core 1.0, section 5.3.2). Where it tells nothing that can be read, the address stays unproven:
/// who it is stands in the ID token.
fn userinfo_of(
    http: &Blocking,
    userinfo: &Url,
    token: &str,
    subject: &str,
) -> Result<EmailClaim, SocialError> {
    let bearer = format!("Bearer {token}");
    let headers = [("Accept", "application/json"), ("Authorization", &bearer)];
    let answer = http.send(request("GET", userinfo.as_str(), &headers, Vec::new())?)?;
    let status = answer.status().as_u16();
    let read = object(answer.body(), "the answer of its user info endpoint");
    let claims = match read {
        Ok(claims) if status == 200 => claims,
        read => {
            let why = read.map_or_else(|error| error.to_string(), |said| complaint(&said));
            log::info!("the user info endpoint answered {status}: {why}");
            return Ok(EmailClaim::Nothing);
        }
    };
    match text(&claims, "sub") == Some(subject) {
        true => Ok(email_claim(&claims)),
        false => Err(SocialError::Refused(
            "its user info is of another subject".into(),
        )),
    }
}

/// The keys that a provider publishes.
fn keys_at(http: &Blocking, url: &Url) -> Result<Vec<CoreJsonWebKey>, SocialError> {
    Ok(id_token::keys(&fetch(http, url.as_str(), "its key set")?))
}

/// An object of JSON that anybody may have.
fn fetch(http: &Blocking, url: &str, what: &str) -> Result<Object, SocialError> {
    let headers = [("Accept", "application/json")];
    let answer = http.send(request("GET", url, &headers, Vec::new())?)?;
    match answer.status().as_u16() {
        200 => object(answer.body(), what),
        status => Err(SocialError::Refused(format!(
            "{what} is not there: {status}"
        ))),
    }
}
