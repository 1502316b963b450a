//! A form of ours whose CSRF token is no longer good, offered again with what was entered.
//!
//! Passwords, codes and other secrets are not offered again: they are typed anew. The form is only offered where
//! the browser does not say that another site sent it, so that no other site can fill it in for somebody.

use std::sync::OnceLock;

use rocket::Request;
use serde_json::{Value, json};

use super::{cookies, csrf, own_paths::OwnPaths, page};
use crate::{
    site::{Site, path_and_query},
    types::Message,
};

/// More fields or longer values than any form of ours has are not offered again.
const MOST_FIELDS: usize = 20;
const MOST_BYTES: usize = 1_000;

/// What a form brought that was refused for its token.
#[derive(Default)]
pub(super) struct Stale(OnceLock<Vec<(String, String)>>);

/// Keeps the fields of a form of ours for the page that tells of the refusal.
pub(super) fn keep(request: &Request<'_>, fields: &[(String, String)]) {
    let bounded = fields.len() <= MOST_FIELDS
        && fields
            .iter()
            .all(|(name, value)| is_name(name) && value.len() <= MOST_BYTES);
    // A form without a token is none of ours that has grown old.
    let had_token = fields
        .iter()
        .any(|(name, value)| name == csrf::FIELD && !value.is_empty());
    if bounded && had_token && OwnPaths::contain(request) {
        let slot = request.local_cache(Stale::default);
        let _ = slot.0.set(fields.to_vec());
    }
}

/// Whether a field of ours could have this name, which is no text for people.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 64 && name.bytes().all(is_part)
}

/// Whether the request carried a token and no cookie of ours at all: the browser keeps none.
pub(super) fn lacks_cookies(request: &Request<'_>, site: &Site) -> bool {
    let kept = request.local_cache(Stale::default).0.get();
    kept.is_some() && !cookies::has_any(request, site)
}

/// The form again, as templates have forms.
pub(super) fn form(request: &Request<'_>, site: &Site) -> Option<Value> {
    let fields = request.local_cache(Stale::default).0.get()?;
    let needs_script = fields.iter().any(|(name, _)| name == "credential");
    if needs_script || csrf::is_of_another_site(request, site) {
        return None;
    }
    let language = page::language(request, site);
    let catalogue = site.views.catalogue();
    let is_new = fields.iter().any(|(name, _)| name.ends_with("_confirm"));
    let shown = fields
        .iter()
        .filter(|(name, _)| name != csrf::FIELD)
        .map(|(name, value)| {
            let (kind, label) = kind_of(name);
            let secret = matches!(kind, "password" | "code" | "secret");
            let autocomplete = match kind {
                "password" if is_new && name != "password_current" => Some("new-password"),
                "password" => Some("current-password"),
                "code" => Some("one-time-code"),
                _ => None,
            };
            json!({
                "name": name,
                "id": format!("stale-{name}"),
                "kind": match kind {
                    "code" => "text",
                    "secret" => "hidden",
                    kind => kind,
                },
                "label": if label.is_empty() { String::new() } else { catalogue.say(&language, &Message::new(label)) },
                "value": if secret { "" } else { value },
                "checked": true,
                "errors": [],
                "required": !matches!(kind, "checkbox" | "tel"),
                "autofocus": false,
                "autocomplete": autocomplete,
            })
        });
    let fields: Vec<Value> = shown.collect();
    Some(json!({
        "id": "stale",
        "action": path_and_query(request.uri()),
        "submit": catalogue.say(&language, &Message::new("stale.submit")),
        "errors": [],
        "fields": fields,
    }))
}

/// How a field is shown, and the message that labels it.
fn kind_of(name: &str) -> (&'static str, &'static str) {
    match name {
        "email" => ("text", "field.email"),
        "username" => ("text", "field.username"),
        "identity" => ("text", "field.identity"),
        "phone" => ("tel", "field.phone"),
        "password" => ("password", "field.password"),
        "password_confirm" | "new_password_confirm" => ("password", "field.password_confirm"),
        "new_password" => ("password", "field.password_new"),
        "passcode" => ("password", "field.passcode"),
        "code" => ("code", "field.code"),
        "remember" => ("checkbox", "field.remember"),
        "refresh_token" => ("secret", ""),
        name if name.contains("password") => ("password", "field.password"),
        _ => ("hidden", ""),
    }
}
