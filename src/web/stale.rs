//! A form of ours whose CSRF token is no longer good, offered again with what was entered.
//!
//! The handler that refuses the form draws it, as its own page does. Passwords and codes are not filled in again:
//! the user types them anew. The form is only offered where the browser does not say that another site sent it, so
//! that no other site can fill it in for a user.

use std::sync::OnceLock;

use rocket::Request;
use serde::de::DeserializeOwned;

use crate::{
    http::{browser::Browser, csrf},
    templates::form::FormView,
    web::{
        input,
        own_paths::OwnPaths,
        reply::Reply,
        site::{Site, path_and_query},
    },
};

/// More fields or longer values than any form of ours has are not offered again.
const MOST_FIELDS: usize = 20;
const MOST_BYTES: usize = 1_000;

/// What a form brought that was refused for its token, and the form to send it by again.
#[derive(Default)]
struct Stale {
    fields: OnceLock<Vec<(String, String)>>,
    form: OnceLock<FormView>,
}

/// What a handler draws the form with: the form alone, or the page that it is on.
pub(crate) trait Drawn {
    fn into_form(self) -> Option<FormView>;
}

impl Drawn for FormView {
    fn into_form(self) -> Option<FormView> {
        Some(self)
    }
}

impl Drawn for Option<FormView> {
    fn into_form(self) -> Option<FormView> {
        self
    }
}

impl Drawn for Reply {
    fn into_form(self) -> Option<FormView> {
        Reply::into_form(self)
    }
}

/// Keeps the fields of a form of ours for the page that tells of the refusal.
pub(super) fn keep(request: &Request<'_>, fields: &[(String, String)]) {
    let bounded = fields.len() <= MOST_FIELDS
        && fields
            .iter()
            .all(|(name, value)| name.len() <= 64 && value.len() <= MOST_BYTES);
    // A form without a token is none of ours that has grown old.
    let had_token = fields
        .iter()
        .any(|(name, value)| name == csrf::FIELD && !value.is_empty());
    if bounded && had_token && OwnPaths::contain(request) {
        let slot = request.local_cache(Stale::default);
        let _ = slot.fields.set(fields.to_vec());
    }
}

/// Offers the form that was refused for its token, as `draw` draws it from what was entered.
pub(crate) fn offer<F: DeserializeOwned, D: Drawn>(
    request: &Request<'_>,
    draw: impl FnOnce(&F) -> D,
) {
    let stale = request.local_cache(Stale::default);
    let entered = stale.fields.get().and_then(|fields| input::decode(fields));
    if let Some(form) = entered.and_then(|entered| draw(&entered).into_form()) {
        let _ = stale.form.set(form);
    }
}

/// Offers a form of one button that was refused for its token, with the message on that button.
pub(crate) fn offer_button(request: &Request<'_>, submit: &'static str) {
    let button = FormView::new("stale", String::new(), []).submit(submit);
    let _ = request.local_cache(Stale::default).form.set(button);
}

/// Whether the request carried a token and no cookie of ours at all: the browser keeps none.
pub(super) fn lacks_cookies(request: &Request<'_>, site: &Site) -> bool {
    let kept = request.local_cache(Stale::default).fields.get();
    kept.is_some() && !Browser::of(request, &site.http).has_cookies()
}

/// Returns the message that says what to do with a form that is offered again.
pub(super) fn message_key(form: &FormView) -> &'static str {
    match (form.has_password(), form.is_visible()) {
        (true, _) => "stale.lead_password",
        (false, true) => "stale.lead",
        (false, false) => "stale.lead_button",
    }
}

/// The form to be sent again, if one is offered. A form of one button needs no handler to draw it.
pub(super) fn form(request: &Request<'_>, site: &Site) -> Option<FormView> {
    let stale = request.local_cache(Stale::default);
    let fields = stale.fields.get()?;
    if csrf::is_of_another_site(request, &site.http) {
        return None;
    }
    let action = path_and_query(request.uri());
    let is_button = || fields.iter().all(|(name, _)| name == csrf::FIELD);
    let button =
        || is_button().then(|| FormView::new("stale", String::new(), []).submit("stale.submit"));
    let form = stale.form.get().cloned().or_else(button)?;
    Some(form.sent_to(action.to_string()))
}
