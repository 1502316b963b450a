//! What a feature is, and samples of what its templates are given.

use rocket::Route;
use serde_json::Value;

use crate::{
    settings::{Settings, Strictness},
    templates::{MailTemplate, Template},
    types::Path,
};

/// What a feature is made of.
pub(crate) struct Feature {
    /// Its name: that of its module, settings, templates, test and docs.
    pub(crate) name: &'static str,
    /// Whether the settings turn it on.
    pub(crate) is_on: fn(&Settings, Strictness) -> bool,
    /// Its routes, relative to the prefix.
    pub(crate) routes: fn() -> Vec<Route>,
    /// Its pages.
    pub(crate) templates: &'static [Template],
    /// Each of its pages with a context like those it will get: rendered once at launch.
    pub(crate) samples: fn() -> Vec<(Template, Value)>,
    /// Its mails.
    pub(crate) mails: &'static [MailTemplate],
    /// Its pages that others link to.
    pub(crate) links: &'static [Link],
}

/// A page that menus and templates link to, as `urls.<name>`.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) path: Path,
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
