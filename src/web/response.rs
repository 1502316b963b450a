//! Responses as pages, as redirects and in the JSON envelope.

use std::io::Cursor;

use rocket::{
    Request, Response,
    http::{ContentType, Header, Status},
    response::Result as Responded,
};
use serde_json::{Map, Value, json};

use super::{page, site::Site};
use crate::{
    error::Invalid,
    guards::identity,
    http::{browser::Browser, csrf, language},
    identity::{IdentityKind, target::Target},
    templates::form::FormView,
    types::Message,
};

/// Adds the form of a page to its context.
pub(super) fn add_form(
    request: &Request<'_>,
    site: &Site,
    context: &mut Map<String, Value>,
    form: &FormView,
    invalid: &Invalid,
) {
    let (language, catalogue) = (language::of(request, &site.http), site.views.catalogue());
    let mut view = form.view(site, &catalogue, &language, invalid);
    if form.lacks_identity()
        && let Some(account) = account_of(request, site, context)
    {
        view["account"] = account.into();
    }
    context.insert("form".into(), view);
}

/// Whose password a form asks for, as a password manager knows the account: that of a mailed link, else whoever
/// is signed in.
fn account_of(request: &Request<'_>, site: &Site, context: &Map<String, Value>) -> Option<String> {
    let linked = context
        .get("account")
        .and_then(|account| account["email"].as_str());
    if let Some(email) = linked {
        return Some(email.to_string());
    }
    let user = &identity::known(request)?.user;
    let by_address = site.settings.identities.contains(&IdentityKind::Email);
    match &user.username {
        Some(username) if !by_address => Some(username.clone()),
        _ => Some(user.email.clone()),
    }
}

pub(super) fn token(request: &Request<'_>, site: &Site) -> String {
    let browser = Browser::of(request, &site.http);
    let token = csrf::token(browser, &site.http);
    csrf::send_readable(browser, &site.http, token.clone());
    token
}

/// The envelope that every JSON answer has.
pub(super) fn envelope(site: &Site, status: Status, payload: Value) -> Response<'static> {
    let body = match &site.hooks.envelope {
        Some(wrap) => wrap(status.code, payload),
        None => json!({"meta": {"code": status.code}, "response": payload}),
    };
    let text = body.to_string();
    Response::build()
        .status(status)
        .header(ContentType::JSON)
        .sized_body(text.len(), Cursor::new(text))
        .finalize()
}

pub(super) fn redirect(target: &Target) -> Response<'static> {
    Response::build()
        .status(Status::Found)
        .header(Header::new("Location", target.to_string()))
        .finalize()
}

pub(super) fn render(
    request: &Request<'_>,
    site: &Site,
    status: Status,
    name: &str,
    own: Map<String, Value>,
) -> Responded<'static> {
    let language = language::of(request, &site.http);
    let context = page::context(request, site, &language, name, own);
    let html = to_html(site, &language, name, &context)?;
    Ok(html_response(status, html, language))
}

pub(super) fn to_html(
    site: &Site,
    language: &str,
    name: &str,
    context: &Map<String, Value>,
) -> Result<String, Status> {
    site.views.render(language, name, context).map_err(|error| {
        log::error!("the page {name} cannot be rendered: {error}");
        Status::InternalServerError
    })
}

pub(super) fn html_response(status: Status, html: String, language: String) -> Response<'static> {
    let mut response = Response::build()
        .status(status)
        .header(ContentType::HTML)
        .sized_body(html.len(), Cursor::new(html))
        .finalize();
    response.set_header(Header::new("Content-Language", language));
    response
}

/// Errors as programs get them: a flat list, and by field.
pub(super) fn invalid_payload(site: &Site, language: &str, invalid: &Invalid) -> Value {
    let catalogue = site.views.catalogue();
    let say = |message: &Message| Value::from(catalogue.say(language, message));
    let fields: Map<String, Value> = invalid
        .fields()
        .map(|(field, messages)| {
            (
                field.to_string(),
                messages.iter().map(say).collect::<Vec<_>>().into(),
            )
        })
        .collect();
    let flat: Vec<Value> = invalid
        .fields()
        .flat_map(|(_, messages)| messages)
        .map(say)
        .collect();
    let codes: Vec<&str> = invalid
        .fields()
        .flat_map(|(_, messages)| messages)
        .map(Message::key)
        .collect();
    json!({"errors": flat, "field_errors": fields, "error_codes": codes})
}
