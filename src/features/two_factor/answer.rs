//! What programs are told of second factors.

use serde::Serialize;

use crate::factors::Shown;

/// A sign-in that waits for its second step.
#[derive(Serialize)]
pub(super) struct SecondStepAnswer {
    /// Always true.
    tf_required: bool,
    /// `ready`, or `setup_from_login` where a factor must be set up first.
    tf_state: &'static str,
    /// The factor that is asked for, if it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    tf_method: Option<&'static str>,
    /// The same, by its other name.
    #[serde(skip_serializing_if = "Option::is_none")]
    tf_primary_method: Option<&'static str>,
    /// Where a passkey is asked for, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tf_signin_url: Option<String>,
    /// True where a factor must be chosen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    tf_select: Option<bool>,
}

impl SecondStepAnswer {
    /// A code or a passkey is awaited.
    pub(super) fn by(method: &'static str) -> Self {
        Self {
            tf_method: Some(method),
            tf_primary_method: Some(method),
            ..Self::in_state("ready")
        }
    }

    /// The same, with the path at which a passkey is asked for.
    pub(super) fn at(self, tf_signin_url: Option<String>) -> Self {
        Self {
            tf_signin_url,
            ..self
        }
    }

    /// A factor is to be chosen.
    pub(super) fn to_choose() -> Self {
        Self {
            tf_select: Some(true),
            ..Self::in_state("ready")
        }
    }

    /// A factor is to be set up.
    pub(super) fn to_set_up() -> Self {
        Self::in_state("setup_from_login")
    }

    fn in_state(tf_state: &'static str) -> Self {
        Self {
            tf_required: true,
            tf_state,
            tf_method: None,
            tf_primary_method: None,
            tf_signin_url: None,
            tf_select: None,
        }
    }
}

/// The token of a second step, for programs that keep no cookies.
#[derive(Serialize)]
pub(super) struct StepTokenAnswer<T: Serialize> {
    /// The token, which comes with each further request of the step.
    pub(super) second_step_token: T,
}

/// By what the second step can be answered.
#[derive(Serialize)]
pub(super) struct ChoiceAnswer<'a> {
    /// The factors of the account, each kind once.
    pub(super) tf_setup_methods: &'a [&'static str],
}

/// The choice between the factors of an account.
#[derive(Serialize)]
pub(super) struct SelectAnswer<'a> {
    /// Always true.
    pub(super) tf_required: bool,
    /// Always true.
    pub(super) tf_select: bool,
    /// The factors of the account, each kind once.
    pub(super) tf_setup_methods: &'a [&'static str],
}

/// What is set up, and what can be.
#[derive(Serialize)]
pub(super) struct SetupAnswer<'a> {
    /// Whether the account must have a second factor.
    pub(super) tf_required: bool,
    /// `setup_from_login` during a sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tf_state: Option<&'static str>,
    /// What `setup` takes.
    pub(super) tf_available_methods: Vec<&'static str>,
    /// The first factor of the account.
    pub(super) tf_method: Option<&'static str>,
    /// The same, by its other name.
    pub(super) tf_primary_method: Option<&'static str>,
    /// The telephone number of the account, if a factor has one.
    pub(super) tf_phone_number: Option<String>,
    /// The factors of the account; absent during a sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tf_factors: Option<&'a [FactorAnswer]>,
}

/// A factor, for programs and the page.
#[derive(Serialize)]
pub(super) struct FactorAnswer {
    /// Its id, which removes it and opens nothing.
    pub(super) id: String,
    /// What it is.
    pub(super) kind: &'static str,
    /// What its owner calls it; empty if it has no name.
    pub(super) name: String,
    /// The end of its telephone number.
    pub(super) detail: Option<String>,
    /// When it was set up, as text.
    pub(super) created: String,
    /// When it was set up.
    pub(super) created_iso: String,
    /// When it was last used, as text.
    pub(super) last_used: Option<String>,
    /// When it was last used.
    pub(super) last_used_iso: Option<String>,
    /// The path that removes it.
    pub(super) remove_url: String,
}

/// The factor whose first code is awaited.
#[derive(Serialize)]
pub(super) struct ConfirmAnswer<'a> {
    /// What it is.
    pub(super) tf_method: &'static str,
    /// The same, by its other name.
    pub(super) tf_primary_method: &'static str,
    /// The telephone number to which the code was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tf_phone: Option<&'a str>,
}

/// What an authenticator app is given.
#[derive(Serialize)]
pub(super) struct AuthenticatorAnswer<'a> {
    /// The key in groups of four letters.
    tf_authr_key: &'a str,
    /// The key.
    tf_authr_b32key: &'a str,
    /// All of it as an `otpauth:` address.
    tf_authr_uri: &'a str,
    /// The name of the site.
    tf_authr_issuer: &'a str,
    /// The name of the account.
    tf_authr_username: &'a str,
}

impl<'a> AuthenticatorAnswer<'a> {
    pub(super) fn of(shown: &'a Shown) -> Self {
        Self {
            tf_authr_key: &shown.grouped,
            tf_authr_b32key: &shown.key,
            tf_authr_uri: &shown.uri,
            tf_authr_issuer: &shown.issuer,
            tf_authr_username: &shown.username,
        }
    }
}

/// Where a set-up stands.
#[derive(Serialize)]
pub(super) struct SetupStateAnswer<'a> {
    /// Always `validating_profile`: the first code is awaited.
    tf_state: &'static str,
    /// The token that ends the path at which the code is sent; absent during a sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    tf_state_token: Option<&'a str>,
}

impl<'a> SetupStateAnswer<'a> {
    pub(super) fn awaiting_code(tf_state_token: Option<&'a str>) -> Self {
        Self {
            tf_state: "validating_profile",
            tf_state_token,
        }
    }
}

/// A factor that was set up.
#[derive(Serialize)]
pub(super) struct FactorAddedAnswer<'a> {
    /// What it is.
    pub(super) tf_method: &'static str,
    /// The same, by its other name.
    pub(super) tf_primary_method: &'static str,
    /// Its telephone number.
    pub(super) tf_phone: Option<&'a str>,
}

/// What helps where the second factor cannot be used.
#[derive(Serialize)]
pub(super) struct RescueAnswer<'a> {
    /// What `help_setup` takes.
    pub(super) options: &'a [&'a str],
}

/// The browsers that are not asked for the second factor.
#[derive(Serialize)]
pub(super) struct DevicesAnswer<'a> {
    /// All of them.
    pub(super) devices: &'a [DeviceAnswer<'a>],
}

/// A trusted browser, for programs and the page.
#[derive(Serialize)]
pub(super) struct DeviceAnswer<'a> {
    /// Its id, which revokes its trust and opens nothing.
    pub(super) id: &'a str,
    /// Whether the request came from it.
    pub(super) current: bool,
    /// Its `User-Agent` when it was trusted.
    pub(super) agent: &'a str,
    /// Its address then.
    pub(super) address: &'a str,
    /// When it was trusted, as text.
    pub(super) created: String,
    /// When it was trusted.
    pub(super) created_iso: String,
    /// When it was last used, as text.
    pub(super) last_used: String,
    /// When it was last used.
    pub(super) last_used_iso: String,
    /// The path that revokes its trust.
    pub(super) revoke_url: String,
}
