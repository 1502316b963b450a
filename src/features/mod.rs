//! The product on one screen: every feature, each a module that owns all that only it uses.

pub(crate) mod api_keys;
pub(crate) mod assets;
pub(crate) mod change_email;
pub(crate) mod change_password;
pub(crate) mod change_username;
pub(crate) mod confirm;
pub(crate) mod dev_mail;
pub(crate) mod end_session;
pub(crate) mod invite;
pub(crate) mod login;
pub(crate) mod logout;
#[cfg(feature = "passkeys")]
pub(crate) mod passkeys;
pub(crate) mod passwordless;
pub(crate) mod recover;
pub(crate) mod recover_username;
pub(crate) mod recovery_codes;
pub(crate) mod refresh_tokens;
pub(crate) mod register;
pub(crate) mod sessions;
#[cfg(feature = "social")]
pub(crate) mod social;
pub(crate) mod two_factor;
pub(crate) mod unified;
pub(crate) mod unlock;
pub(crate) mod verify;

// What several of them share.
mod mailed;
mod new_password;
mod web;

use rocket::Route;
use serde_json::Value;

pub(crate) use self::{
    assets::{ICON, STYLESHEET},
    web::{Others, Submitted, Web, outdated},
};
use crate::settings::{Settings, Strictness};

/// All features, in the order of the menu.
pub(crate) const ALL: &[&Feature] = &[
    &assets::FEATURE,
    &register::FEATURE,
    &login::FEATURE,
    &passwordless::FEATURE,
    &confirm::FEATURE,
    &recover::FEATURE,
    &recover_username::FEATURE,
    &unlock::FEATURE,
    &invite::FEATURE,
    &verify::FEATURE,
    &unified::FEATURE,
    &unified::AT_LOGIN,
    &two_factor::FEATURE,
    #[cfg(feature = "passkeys")]
    &passkeys::FEATURE,
    #[cfg(feature = "passkeys")]
    &passkeys::SIGN_UP,
    #[cfg(feature = "social")]
    &social::FEATURE,
    #[cfg(feature = "social")]
    &social::LINKING,
    &recovery_codes::FEATURE,
    &change_password::FEATURE,
    &change_email::FEATURE,
    &change_username::FEATURE,
    &sessions::FEATURE,
    &end_session::FEATURE,
    &refresh_tokens::FEATURE,
    &api_keys::FEATURE,
    &logout::FEATURE,
    &dev_mail::FEATURE,
    #[cfg(feature = "testing")]
    &crate::testing::FEATURE,
];

/// What a feature is made of.
pub(crate) struct Feature {
    /// Its name: that of its module, settings, templates, test and docs.
    pub(crate) name: &'static str,
    /// Whether the settings turn it on.
    pub(crate) is_on: fn(&Settings, Strictness) -> bool,
    /// Its routes, relative to the prefix.
    pub(crate) routes: fn() -> Vec<Route>,
    /// Its templates, pages and mails.
    pub(crate) templates: &'static [(&'static str, &'static str)],
    /// Each of its templates with a context like those it will get: rendered once at launch.
    pub(crate) samples: fn() -> Vec<(&'static str, Value)>,
    /// Its pages that others link to.
    pub(crate) links: &'static [Link],
}

/// A page that menus and templates link to, as `urls.<name>`.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) menu: MenuFor,
}

/// Who sees a link in the menu.
pub(crate) enum MenuFor {
    /// Whoever is not signed in.
    Visitors,
    /// Whoever is; `post` makes it a button.
    SignedIn { post: bool },
    /// Everybody.
    Everybody,
    /// Only pages that ask for it.
    Nobody,
}

/// A built-in template: its name as Tera knows it, and its text.
macro_rules! template {
    ($path:literal) => {
        (
            concat!("security/", $path),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/templates/security/",
                $path
            )),
        )
    };
}
pub(crate) use template;

/// A form as samples have it.
pub(crate) fn sample_form() -> Value {
    serde_json::json!({
        "id": "sample", "action": "/", "submit": "Go", "errors": ["An error"],
        "fields": [
            {"name": "email", "id": "sample-email", "kind": "email", "label": "E-mail", "value": "ada@example.com",
             "errors": ["An error"], "required": true, "autofocus": true, "checked": false, "hint": "A hint",
             "autocomplete": "email", "minlength": 1, "maxlength": 9},
            {"name": "agree", "id": "sample-agree", "kind": "checkbox", "label": "Agree", "value": "true",
             "errors": [], "required": false, "autofocus": false, "checked": true},
            {"name": "next", "id": "sample-next", "kind": "hidden", "label": "", "value": "/",
             "errors": [], "required": false, "autofocus": false, "checked": false},
        ],
    })
}

/// A mail's context as samples have it: everything that any of our mails is given.
pub(crate) fn sample_mail() -> Value {
    serde_json::json!({
        "user": {"email": "ada@example.com", "display": "Ada"},
        "site": {"name": "Site", "home": "https://example.com/"},
        "lang": "en", "at": "now", "address": "::1", "agent": "Browser",
        "url": "https://example.com/confirm/secret", "code": "123456", "until": "tomorrow",
        "url_login": "https://example.com/login", "url_register": "https://example.com/register",
        "url_recover": "https://example.com/reset", "username": "ada", "previous": "lovelace",
        "method": "Authenticator app", "name": "Phone", "left": 3, "permissions": ["post:publish"],
        "account": {"email": "grace@example.com", "display": "Grace"},
        "new_email": "a***@example.com", "locked_until": "soon", "inviter": "Grace",
    })
}
