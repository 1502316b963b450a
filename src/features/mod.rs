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
#[cfg_attr(not(feature = "passkeys"), path = "without/passkeys.rs")]
pub(crate) mod passkeys;
pub(crate) mod passwordless;
pub(crate) mod recover;
pub(crate) mod recover_username;
pub(crate) mod recovery_codes;
pub(crate) mod refresh_tokens;
pub(crate) mod register;
pub(crate) mod sessions;
#[cfg_attr(not(feature = "social"), path = "without/social.rs")]
pub(crate) mod social;
#[cfg(feature = "testing")]
pub(crate) mod testing;
pub(crate) mod two_factor;
pub(crate) mod unified;
pub(crate) mod unlock;
pub(crate) mod verify;

// What several of them share.
mod answer;
mod entry;
mod factor_setup;
mod mailed;
mod new_password;
mod others;
mod web;

pub(crate) use self::{
    answer::{AccountAnswer, UserAnswer},
    others::Others,
    web::{Submitted, Web},
};
use rocket::Route;
use serde_json::Value;

use crate::{
    notify::notices,
    templates::{MailTemplate, Template, views},
    web::{
        feature::{Feature, sample_form, sample_mail},
        site::Site,
    },
};

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
    &dev_mail::FEATURE,
    &logout::FEATURE,
    #[cfg(feature = "testing")]
    &testing::FEATURE,
];

/// What stands at the site's root, whatever our prefix is.
pub(crate) fn root_routes(site: &Site) -> Vec<Route> {
    let mut routes = Vec::new();
    if site.settings.change_password.enabled {
        routes.extend(change_password::root_routes());
    }
    #[cfg(feature = "passkeys")]
    if site.has_passkeys() && !site.settings.passkeys.origins.is_empty() {
        routes.extend(passkeys::root_routes());
    }
    routes
}

/// All built-in templates: those that pages and mails share, those of notices, then those of each feature.
pub(crate) fn built_in() -> views::BuiltIn {
    let features = ALL.iter();
    let own = features.flat_map(|feature| feature.templates.iter().chain(parts(feature.mails)));
    let shared = views::SHARED.iter().chain(parts(notices::MAILS));
    shared.chain(own).copied().collect()
}

/// Each built-in template that stands alone, with a context like those it will get.
///
/// Of features that are on: a page may name the links that its own feature brings.
pub(crate) fn samples(on: impl Iterator<Item = &'static Feature>) -> Vec<(Template, Value)> {
    let status =
        serde_json::json!({"code": 403, "title": "Title", "text": "Text", "retry_after": 5});
    let refused =
        serde_json::json!({"status": status, "form": sample_form(), "retry_url": "/login"});
    let of_mails = |mails| parts(mails).map(|part| (*part, sample_mail()));
    let mut samples = vec![(views::ERROR, refused)];
    samples.extend(of_mails(notices::MAILS));
    samples.extend(on.flat_map(|feature| {
        let pages = (feature.samples)();
        pages.into_iter().chain(of_mails(feature.mails))
    }));
    samples
}

fn parts(mails: &'static [MailTemplate]) -> impl Iterator<Item = &'static Template> {
    mails.iter().flat_map(|mail| [&mail.html, &mail.text])
}
