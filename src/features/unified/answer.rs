//! What programs are told of unified sign-in.

use serde::Serialize;

use crate::factors::Shown;

/// How users sign in here.
#[derive(Serialize)]
pub(super) struct MethodsAnswer {
    /// All ways to sign in.
    pub(super) available_methods: Vec<&'static str>,
    /// Those by which a code is sent.
    pub(super) code_methods: Vec<&'static str>,
    /// What identifies an account here.
    pub(super) identity_attributes: Vec<&'static str>,
}

/// The ways by which a code is sent to this account.
#[derive(Serialize)]
pub(super) struct CodeMethodsAnswer {
    /// Those of all that the account has.
    pub(super) code_methods: Vec<&'static str>,
}

/// What is set up, and what can be.
#[derive(Serialize)]
pub(super) struct SetupAnswer<'a> {
    /// The ways by which the account signs in.
    pub(super) active_methods: Vec<&'static str>,
    /// The ways that can be set up.
    pub(super) setup_methods: &'a [&'static str],
    /// The telephone number of the account, if it signs in.
    pub(super) phone: Option<String>,
}

/// The way to sign in whose first code is awaited.
#[derive(Serialize)]
pub(super) struct ConfirmAnswer<'a> {
    /// What it is.
    pub(super) chosen_method: &'static str,
    /// The telephone number to which the code was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone: Option<&'a str>,
}

/// What an authenticator app is given.
#[derive(Serialize)]
pub(super) struct AuthenticatorAnswer<'a> {
    /// The key in groups of four letters.
    authr_key: &'a str,
    /// The key.
    authr_b32key: &'a str,
    /// All of it as an `otpauth:` address.
    authr_uri: &'a str,
    /// The name of the site.
    authr_issuer: &'a str,
    /// The name of the account.
    authr_username: &'a str,
}

impl<'a> AuthenticatorAnswer<'a> {
    pub(super) fn of(shown: &'a Shown) -> Self {
        Self {
            authr_key: &shown.grouped,
            authr_b32key: &shown.key,
            authr_uri: &shown.uri,
            authr_issuer: &shown.issuer,
            authr_username: &shown.username,
        }
    }
}

/// Where a set-up stands.
#[derive(Serialize)]
pub(super) struct StateAnswer<'a> {
    /// The token that ends the path at which the first code is sent.
    pub(super) state: &'a str,
}

/// A way to sign in that was set up.
#[derive(Serialize)]
pub(super) struct MethodAddedAnswer<'a> {
    /// What it is.
    pub(super) chosen_method: &'static str,
    /// Its telephone number.
    pub(super) phone: Option<&'a str>,
}
