//! The answer to whoever is refused: for programs the JSON envelope, for browsers a page or the way to one.

use rocket::{
    Request, Response,
    http::{Header, Method, Status},
    response::{Responder, Result as Responded},
};
use serde_json::{Map, Value, json};

use super::{
    json::wants_json,
    own_paths::OwnPaths,
    page,
    response::{add_form, envelope, invalid_payload, redirect, render},
    site::{Site, path_and_query},
    stale,
};
use crate::{
    error::{Denied, Error, Invalid, Unreadable},
    guards::identity,
    http::{headers, language, refusal, status::status_of},
    identity::target::{Target, next_of},
    templates::{form::FormView, views},
    types::{Message, Path},
};

impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, request: &'r Request<'_>) -> Responded<'static> {
        refusal::remember(request, &self);
        match Site::of(request) {
            Ok(site) => Ok(refuse(request, site, &self)),
            Err(_) => Err(status_of(&self)),
        }
    }
}

/// What the message for an error is.
fn message_of(error: &Error) -> Message {
    match error {
        Error::Invalid(_) | Error::Gone | Error::NothingPending => Message::new("input.invalid"),
        Error::Denied(denied) => denied.message(),
        Error::Unavailable { .. } => Message::new("error.unavailable"),
        Error::NotFound => Message::new("error.not_found"),
        Error::Unreadable(_, message) => message.clone(),
        Error::Broken(_) => Message::new("error.broken"),
    }
}

/// The answer to whoever is refused, by handler or by catcher.
pub(crate) fn refuse(request: &Request<'_>, site: &Site, error: &Error) -> Response<'static> {
    refuse_as(request, site, error, status_of(error))
}

/// The same under a status that was caught.
pub(crate) fn refuse_as(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Response<'static> {
    headers::mark(request);
    let error = &error.clone().for_form();
    // Who shows a token is a program, whatever it accepts; unless the application decides otherwise.
    let by_token = site.hooks.wants_json.is_none() && identity::shows_token(request, site);
    let is_program = by_token || wants_json(request, site);
    let mut response = match is_program {
        true => refuse_program(request, site, error, status),
        false => refuse_browser(request, site, error, status),
    };
    if let Some(seconds) = refusal::retry_after(error) {
        response.set_header(Header::new("Retry-After", seconds.to_string()));
    }
    // A program that did not show Basic is not challenged: browsers would ask over a script's head.
    let challenged =
        identity::has_basic(request) || identity::asks_by_basic(request) && !is_program;
    if status == Status::Unauthorized && challenged {
        let challenge = format!(
            "Basic realm=\"{}\", charset=\"UTF-8\"",
            site.settings.basic.realm
        );
        response.set_header(Header::new("WWW-Authenticate", challenge));
    }
    response
}

fn refuse_program(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Response<'static> {
    let language = language::of(request, &site.http);
    let catalogue = site.views.catalogue();
    if let Error::Invalid(invalid) = error {
        return envelope(site, status, invalid_payload(site, &language, invalid));
    }
    let message = message_of(error);
    let told = match error {
        Error::Denied(Denied::Csrf) => Message::new("denied.csrf_program"),
        _ => message.clone(),
    };
    let mut payload = json!({
        "errors": [catalogue.say(&language, &told)],
        "error_codes": [message.key()],
    });
    if let Error::Denied(Denied::Stale | Denied::SecondFactor) = error
        && let Value::Object(payload) = &mut payload
    {
        payload.insert("reauth_required".into(), true.into());
        let unified = site.settings.unified.enabled;
        payload.insert("unified_signin_enabled".into(), unified.into());
        let by_passkey = refusal::ByPasskey::recall(request);
        payload.insert("has_webauthn_verify_credential".into(), by_passkey.into());
        let providers = site.social_to_verify();
        payload.insert("oauth_enabled".into(), (!providers.is_empty()).into());
        payload.insert("oauth_providers".into(), providers.into());
    }
    envelope(site, status, payload)
}

fn refuse_browser(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Response<'static> {
    let elsewhere = way_of_application(request, site, error, status);
    if let Some(way) = elsewhere.or_else(|| way_on(request, site, error, status)) {
        return redirect(&way);
    }
    let again = match error {
        Error::Denied(Denied::Csrf) => stale::form(request, site),
        _ => None,
    };
    let text = text(request, site, error, status, again.as_ref());
    let title = title(request, site, status, again.as_ref());
    let mut context = Map::new();
    if let Some(form) = &again {
        add_form(request, site, &mut context, form, &Invalid::new());
        let back = way_back(request, site).unwrap_or_else(|| "/".into());
        context.insert("cancel_url".into(), back.into());
        // The address may hold a secret, as that of a mailed link does.
        headers::hide_address(request);
    }
    if OwnPaths::methods(request).is_some_and(|own| own.contains(&Method::Get)) {
        context.insert("retry_url".into(), path_and_query(request.uri()).into());
    }
    if status == Status::MethodNotAllowed
        && let Some(page) = OwnPaths::page_above(request)
    {
        context.insert("page_url".into(), page.into());
    }
    context.insert(
        "status".into(),
        json!({
            "code": status.code,
            "title": title,
            "text": text,
            "retry_after": refusal::retry_after(error),
        }),
    );
    let asked = render(request, site, status, views::ERROR.name, context);
    asked.unwrap_or_else(|status| Response::build().status(status).finalize())
}

/// Where the application sends a browser that is refused, if it does.
fn way_of_application(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Option<Target> {
    let hooks = &site.hooks;
    let (name, hook) = match error {
        Error::Denied(Denied::Forbidden) => ("forbidden", hooks.forbidden.as_ref()),
        Error::Denied(Denied::Stale | Denied::SecondFactor) => {
            ("reauthenticate", hooks.reauthenticate.as_ref())
        }
        Error::Denied(_) if status == Status::Unauthorized => {
            ("unauthenticated", hooks.unauthenticated.as_ref())
        }
        _ => return None,
    };
    let asked = hook.and_then(|decide| decide(request))?;
    let target = site.http.redirects.allowed(&asked);
    if target.is_none() {
        log::error!(
            "`Security::{name}` returned an address that is neither a path of this site nor a host that `security.redirects` allows, so the browser gets the built-in answer"
        );
    }
    target
}

/// Where a browser that is refused can do something about it.
fn way_on(request: &Request<'_>, site: &Site, error: &Error, status: Status) -> Option<Target> {
    // Where Basic is the way in, the browser asks by itself.
    let asks_by_basic = identity::asks_by_basic(request);
    let settings = &site.settings;
    match error {
        Error::Denied(Denied::SignedIn) => Some(page::after(site, &settings.after.login)),
        Error::Denied(Denied::SecondFactor) if settings.two_factor.enabled => {
            let (way, back) = (site.path(Path::TfSelect), way_back(request, site));
            Some(with_next(site, &way, back, "denied.second_factor"))
        }
        Error::Denied(Denied::Stale | Denied::SecondFactor) => {
            let way = match settings.verify.enabled && settings.freshness.within.0.is_some() {
                true => site.verify_path(),
                false => site.login_path(),
            };
            let back = way_back(request, site);
            Some(with_next(site, &way, back, "denied.stale"))
        }
        Error::Denied(denied) if status == Status::Unauthorized && !asks_by_basic => {
            // Both come only after a right credential.
            let key = match denied {
                Denied::NewPassword => "denied.new_password",
                Denied::Unconfirmed => "denied.unconfirmed",
                _ => "denied.unauthenticated",
            };
            page::leave_message(request, site, "info", key);
            let back = asked_page(request);
            Some(with_next(site, &site.login_path(), back, key))
        }
        _ => None,
    }
}

/// What the page says, with the form that is offered again.
fn text(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
    again: Option<&FormView>,
) -> String {
    let (language, catalogue) = (language::of(request, &site.http), site.views.catalogue());
    let message = match (error, again) {
        (Error::Denied(Denied::Csrf), _) if stale::lacks_cookies(request, site) => {
            Message::new("stale.cookies")
        }
        (Error::Denied(Denied::Csrf), Some(form)) => Message::new(stale::message_key(form)),
        // How long it takes is said below it.
        (Error::Denied(Denied::Locked { .. }), _) if may_be_unlocked(request, site) => {
            Message::new("status.429.text_unlock")
        }
        // Without the names of the fields: whoever sent them chose them, and this page speaks for us.
        (Error::Invalid(invalid), _) => {
            let messages = invalid.fields().flat_map(|(_, messages)| messages);
            let texts: Vec<String> = messages
                .map(|message| catalogue.say(&language, message))
                .collect();
            return texts.join(" ");
        }
        (error, _) => {
            let own = Message::new(format!("status.{}.text", status.code));
            match tells_no_more(error, status) && catalogue.has(own.key()) {
                true => own,
                false => message_of(error),
            }
        }
    };
    catalogue.say(&language, &message)
}

fn title(request: &Request<'_>, site: &Site, status: Status, again: Option<&FormView>) -> String {
    let catalogue = site.views.catalogue();
    let title = match again.map(FormView::is_visible) {
        Some(true) => Message::new("stale.title"),
        Some(false) => Message::new("stale.title_button"),
        None => Message::new(format!("status.{}.title", status.code)),
    };
    let title = match catalogue.has(title.key()) {
        true => title,
        false => Message::new("error.title"),
    };
    catalogue.say(&language::of(request, &site.http), &title)
}

/// Returns whether an error says no more than its status does, in the words of the page for that status.
fn tells_no_more(error: &Error, status: Status) -> bool {
    match error {
        Error::Denied(denied) => matches!(
            denied,
            Denied::Anonymous
                | Denied::BadCredential
                | Denied::Inactive
                | Denied::Mechanism
                | Denied::Forbidden
                | Denied::Locked { .. }
        ),
        Error::Unreadable(why, _) => status != Status::BadRequest || *why == Unreadable::Unknown,
        Error::NotFound | Error::Unavailable { .. } | Error::Broken(_) => true,
        Error::Invalid(_) | Error::Gone | Error::NothingPending => false,
    }
}

/// Returns whether a sign-in was refused for wrong attempts, so that its account may be one that a mail unlocks.
fn may_be_unlocked(request: &Request<'_>, site: &Site) -> bool {
    let path = request.uri().path();
    let is_sign_in = |own: Path| path.as_str() == site.path(own);
    site.settings.unlock.enabled && (is_sign_in(Path::Login) || is_sign_in(Path::UsSignin))
}

/// The page that the browser asked for; `None` if it sent a form.
fn asked_page(request: &Request<'_>) -> Option<String> {
    let asked = path_and_query(request.uri());
    (request.method() == Method::Get && next_of(&asked).is_some()).then_some(asked)
}

/// The page to which a person returns after proving it again.
///
/// A form cannot be sent again by a redirect. So the browser returns to the page that had the form, or to the page of
/// ours at the form's path or above it.
fn way_back(request: &Request<'_>, site: &Site) -> Option<String> {
    if request.method() == Method::Get {
        return asked_page(request);
    }
    let said = request.headers().get_one("Referer");
    let from = said.and_then(|said| site.http.redirects.own_page(said));
    let is_page = |page: &String| OwnPaths::is_page(request, page);
    from.filter(is_page)
        .or_else(|| OwnPaths::page_above(request))
        .filter(|page| next_of(page).is_some())
}

/// The way to a page of ours, with the way back if there is one.
fn with_next(site: &Site, way: &str, back: Option<String>, error: &'static str) -> Target {
    let way = if site.settings.spa.enabled {
        site.settings.spa.login_view.as_str()
    } else {
        way
    };
    let mut target = Target::local(way);
    if let Some(back) = back {
        target = target.with_query(&[("next", &back)]);
    }
    if site.settings.spa.enabled {
        target = target.with_query(&[("error", error)]);
    }
    target
}
