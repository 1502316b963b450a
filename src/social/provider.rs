//! What a provider is: what it is asked, and what it answers.

use std::fmt;

use async_trait::async_trait;
use url::Url;

use crate::{secrets::Secret, types::Timestamp};

/// What a provider is asked, once for each sign-in.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocialRequest<'a> {
    /// Where the provider must lead the browser back to.
    pub redirect_uri: &'a Url,
    /// What it must bring back unchanged (RFC 6749, section 10.12).
    pub state: &'a str,
    /// What an ID token must contain (OpenID Connect Core 1.0, section 3.1.2.1).
    pub nonce: &'a str,
    /// The digest of the verifier, by S256 (RFC 7636).
    pub code_challenge: &'a str,
    /// Whether the provider is to ask the person anew, even if they are signed in there.
    pub again: bool,
}

/// What came back from a provider, by the browser, with what belongs to its question.
#[derive(Debug)]
#[non_exhaustive]
pub struct SocialAnswer<'a> {
    /// The code to be exchanged.
    pub code: &'a str,
    /// The issuer that the answer names, if it does (RFC 9207).
    pub issuer: Option<&'a str>,
    /// As it was in the question.
    pub redirect_uri: &'a Url,
    /// As it was in the question.
    pub nonce: &'a str,
    /// What the code challenge is the digest of.
    pub code_verifier: &'a Secret<String>,
    /// The time now.
    pub now: Timestamp,
}

/// An address, and what the provider says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEmail {
    /// None, or none that it tells.
    Absent,
    /// One that nobody proved to be the person's.
    Unverified(String),
    /// One that the provider says it has seen proven.
    Verified(String),
}

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocialProfile {
    /// What names the account there for ever, and is never given to another: not an address or a name.
    pub subject: String,
    /// The address.
    pub email: ProviderEmail,
    /// What the person knows the account by, for a list of linked accounts.
    pub label: Option<String>,
    /// When the provider last asked the person, if it says so.
    pub authenticated_at: Option<Timestamp>,
}

impl SocialProfile {
    /// Somebody of whom no more is known.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            email: ProviderEmail::Absent,
            label: None,
            authenticated_at: None,
        }
    }

    /// Sets the address.
    pub fn email(mut self, email: ProviderEmail) -> Self {
        self.email = email;
        self
    }

    /// Sets what the person knows the account by.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets when the provider last asked the person.
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.authenticated_at = Some(at);
        self
    }
}

/// Why a provider said nothing that can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocialError {
    /// It cannot be reached, is too slow, or answers that something is wrong with it: worth another try.
    Unavailable(String),
    /// What it answered is not to be believed. For the log; nobody else is told.
    Refused(String),
}

impl fmt::Display for SocialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "cannot be asked: {why}"),
            Self::Refused(why) => write!(f, "is not believed: {why}"),
        }
    }
}

impl std::error::Error for SocialError {}

/// A site whose accounts open ours. Google, GitHub and all that speak OpenID Connect need no more than
/// settings; this is for others, given to [`Security::social`](crate::Security::social).
///
/// ```
/// use rocket_security::{
///     HttpClient, ProviderEmail, Security, SocialAnswer, SocialError, SocialProfile, SocialProvider,
///     SocialRequest,
/// };
/// use url::Url;
///
/// struct Intranet {
///     http: HttpClient,
/// }
///
/// #[async_trait::async_trait]
/// impl SocialProvider for Intranet {
///     fn name(&self) -> &str {
///         "intranet"
///     }
///     fn label(&self) -> &str {
///         "Intranet"
///     }
///     async fn authorize(&self, asked: &SocialRequest<'_>) -> Result<Url, SocialError> {
///         Url::parse_with_params(
///             "https://id.example.com/authorize",
///             [("state", asked.state), ("redirect_uri", asked.redirect_uri.as_str())],
///         )
///         .map_err(|error| SocialError::Refused(error.to_string()))
///     }
///     async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
///         // Exchange `answer.code` by `self.http.post_form(..)`, and look at what comes.
///         # let _ = answer;
///         Ok(SocialProfile::new("4711").email(ProviderEmail::Absent))
///     }
///     fn origins(&self) -> Vec<String> {
///         vec!["https://id.example.com".into()]
///     }
/// }
/// let security = Security::default().social(Intranet { http: HttpClient::default() });
/// ```
#[async_trait]
pub trait SocialProvider: Send + Sync + 'static {
    /// Its name in addresses and the database: small letters, digits and hyphens, at most 32, and never
    /// another afterwards.
    fn name(&self) -> &str;

    /// Its name for people.
    fn label(&self) -> &str;

    /// Where the browser is led to.
    async fn authorize(&self, asked: &SocialRequest<'_>) -> Result<Url, SocialError>;

    /// Who came back.
    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError>;

    /// The origins through which browsers are led: our pages allow their forms to end there, and nowhere
    /// else (Content-Security-Policy, `form-action`).
    fn origins(&self) -> Vec<String>;

    /// Who speaks for the subjects: two issuers may know the same subject. _Default:_ the name.
    fn issuer(&self) -> &str {
        self.name()
    }

    /// Whether the provider sends its answer by POST (OAuth 2.0 Form Post Response Mode), as Apple does. Only
    /// then does the address that it leads back to take a POST. _Default:_ `false`.
    fn posts_back(&self) -> bool {
        false
    }

    /// Called once at launch, and nobody waits for it: to fetch what will be needed.
    async fn prepare(&self) {}
}
