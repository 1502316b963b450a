//! Providers of accounts elsewhere: what one is, and the list of those that a site has.
//!
//! A provider says who a person is there. Which account that is here, and whether it is let in, is decided in the
//! features and at the gate.

#[cfg(feature = "social")]
mod github;
#[cfg(feature = "social")]
mod http;
#[cfg(feature = "social")]
mod id_token;
#[cfg(feature = "social")]
mod lenient;
#[cfg(feature = "social")]
mod oauth;
#[cfg(feature = "social")]
mod oidc;
#[cfg(feature = "social")]
mod provider;
#[cfg(feature = "social")]
mod providers;
#[cfg(feature = "social")]
mod secret;
#[cfg(not(feature = "social"))]
mod without;

#[cfg(not(feature = "social"))]
pub(crate) use self::without::{Given, Providers};
#[cfg(feature = "social")]
pub use self::{
    http::{HttpClient, HttpRequest, HttpResponse},
    provider::{
        ProviderEmail, SocialAnswer, SocialError, SocialProfile, SocialProvider, SocialRequest,
    },
};
#[cfg(feature = "social")]
pub(crate) use self::{
    oauth::challenge_of,
    providers::{Given, Providers},
};
