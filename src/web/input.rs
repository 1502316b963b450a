//! The one way a body comes in: decoded, bounded and known to come from our own page.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use rocket::{
    Data, Request, Rocket, Sentinel,
    data::{FromData, Outcome, ToByteUnit},
    outcome::Outcome::{Error as Failed, Success},
    tokio::time::timeout,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    error::{Denied, Error, Invalid, Unreadable},
    guards::{identity, probe::Probe},
    http::{browser::Browser, csrf, json::repeated_key, refusal},
    types::Message,
    web::{json::is_json, site::Site, stale},
};

/// A body decoded into `F` after the CSRF check: urlencoded, `multipart/form-data` or JSON alike.
///
/// The handler cannot see the body of a request that another site made: that is refused with 400
/// before. What counts as valid: the field `csrf_token`, or one of the headers `X-CSRFToken`,
/// `X-CSRF-Token`, `X-XSRF-Token`; a request that authenticates by token header, and a JSON body without
/// any of our cookies, need none.
///
/// Take it as it is. A handler that takes `Option<Input<F>>` or `Result<Input<F>, Error>` is called only where
/// the request passes the check before its body is read: by a header, by what the browser says of its origin, or
/// by the field of a body of at most 512 bytes.
///
/// `F` is any type that serde can deserialize; [`Empty`] for a handler that only acts. A body is at
/// most 64 KiB unless Rocket's limit `security` says otherwise.
///
/// | outcome | status |
/// |---|---|
/// | not from our own page | 400 |
/// | not an object, not UTF-8, a field of the wrong type | 400, with the field in JSON |
/// | larger than the limit | 413 |
/// | neither a form nor JSON | 415 |
///
/// Files in a `multipart/form-data` body are left out; only text fields are decoded.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Post { title: String }
///
/// #[post("/posts", data = "<post>")]
/// fn create(who: SignedIn, post: Input<Post>) -> String {
///     format!("{} wrote {}", who.email, post.title)
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Input<F>(F);

impl<F> Input<F> {
    /// The decoded body.
    pub fn into_inner(self) -> F {
        self.0
    }
}

impl<F> Deref for Input<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.0
    }
}

impl<F> DerefMut for Input<F> {
    fn deref_mut(&mut self) -> &mut F {
        &mut self.0
    }
}

/// The body of a handler that has no fields; only its CSRF token counts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "it stays empty")]
pub struct Empty {}

/// A tick box: `true`, `"on"`, `"true"`, `"y"`, `"yes"` or `"1"` is set; absent, `false`, `""` and the
/// like are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a value in a form")]
pub struct Checkbox(pub bool);

impl<'de> Deserialize<'de> for Checkbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Checkbox;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, set: bool) -> Result<Checkbox, E> {
                Ok(Checkbox(set))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Checkbox, E> {
                match text.to_ascii_lowercase().as_str() {
                    "on" | "true" | "y" | "yes" | "1" => Ok(Checkbox(true)),
                    "" | "off" | "false" | "n" | "no" | "0" => Ok(Checkbox(false)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding<'r> {
    Form,
    /// A form in parts, between which this boundary stands.
    Parts(&'r str),
    Json,
    /// No body at all.
    Empty,
}

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rocket's limit for our bodies.
const LIMIT: &str = "security";

async fn read<F: DeserializeOwned>(request: &Request<'_>, data: Data<'_>) -> Result<F, Error> {
    match receive(request, data).await? {
        (body, true) => body.decode(),
        (body, false) => {
            if let Body::Form(fields) = &body {
                stale::keep(request, fields);
            }
            Err(Denied::Csrf.into())
        }
    }
}

/// The body, and whether it comes from our own page.
async fn receive(request: &Request<'_>, data: Data<'_>) -> Result<(Body, bool), Error> {
    let site = Site::of(request)?;
    let encoding = match request.content_type() {
        Some(kind) if kind.is_form() => Encoding::Form,
        Some(kind) if kind.is_form_data() => match kind.param("boundary") {
            Some(boundary) => Encoding::Parts(boundary),
            None => return Err(unreadable("input.not_a_form")),
        },
        Some(kind) if is_json(kind) => Encoding::Json,
        Some(_) => {
            return Err(Error::Unreadable(
                Unreadable::UnsupportedType,
                Message::new("input.content_type"),
            ));
        }
        None => Encoding::Empty,
    };
    let limit = request
        .limits()
        .get(LIMIT)
        .unwrap_or_else(|| 64.kibibytes());
    // A body that comes drop by drop would hold a connection for ever.
    let read = timeout(PATIENCE, data.open(limit).into_bytes()).await;
    let body = match read {
        Ok(Ok(body)) if body.is_complete() => body.into_inner(),
        Ok(Ok(_)) => {
            return Err(Error::Unreadable(
                Unreadable::TooLarge,
                Message::new("input.too_large"),
            ));
        }
        Ok(Err(error)) => {
            log::debug!("a body broke off: {error}");
            return Err(unreadable("input.broken_off"));
        }
        Err(_) => {
            return Err(Error::Unreadable(
                Unreadable::TooSlow,
                Message::new("input.broken_off"),
            ));
        }
    };
    // Rocket takes a connection that ends early for the end of the body.
    let announced = request.headers().get_one("Content-Length");
    if announced.is_some_and(|length| length.trim().parse() != Ok(body.len())) {
        return Err(unreadable("input.broken_off"));
    }
    let encoding = match encoding {
        Encoding::Empty if !body.is_empty() => {
            return Err(Error::Unreadable(
                Unreadable::UnsupportedType,
                Message::new("input.content_type"),
            ));
        }
        Encoding::Form | Encoding::Parts(_) if body.is_empty() => Encoding::Empty,
        Encoding::Json if body.is_empty() => return Err(unreadable("input.not_an_object")),
        other => other,
    };
    let body = parse(encoding, body).await?;
    let is_ours = is_ours(request, site, encoding, body.csrf_token()).await;
    Ok((body, csrf::note(request, is_ours)))
}

/// Whether the request comes from our own page, as far as its headers and the beginning of its body show.
/// `body` is the whole body if it is short, else `None`.
pub(crate) async fn is_known_as_ours(
    request: &Request<'_>,
    site: &Site,
    body: Option<&[u8]>,
) -> bool {
    let encoding = match request.content_type() {
        Some(kind) if kind.is_form() => Encoding::Form,
        Some(kind) if kind.is_form_data() => match kind.param("boundary") {
            Some(boundary) => Encoding::Parts(boundary),
            None => Encoding::Empty,
        },
        Some(kind) if is_json(kind) => Encoding::Json,
        _ => Encoding::Empty,
    };
    let body = match body {
        Some(body) => parse(encoding, body.to_vec()).await.ok(),
        None => None,
    };
    let field = body.as_ref().and_then(Body::csrf_token);
    csrf::is_same_origin(request, &site.http) || is_ours(request, site, encoding, field).await
}

async fn parse(encoding: Encoding<'_>, bytes: Vec<u8>) -> Result<Body, Error> {
    match encoding {
        Encoding::Parts(boundary) => Ok(Body::Form(parts(boundary, bytes).await?)),
        encoding => Body::parse(encoding, &bytes),
    }
}

/// The fields of a form that comes in parts. Files are left out.
async fn parts(boundary: &str, body: Vec<u8>) -> Result<Vec<(String, String)>, Error> {
    let whole = rocket::futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let broken = |_| unreadable("input.not_a_form");
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let Some(name) = part.name().map(String::from) else {
            continue;
        };
        if part.file_name().is_none() {
            let value = part.bytes().await.map_err(broken)?.to_vec();
            let value = String::from_utf8(value).map_err(|_| unreadable("input.not_utf8"))?;
            fields.push((name, value));
        }
    }
    Ok(fields)
}

/// The CSRF judgement on a request with a body.
async fn is_ours(
    request: &Request<'_>,
    site: &Site,
    encoding: Encoding<'_>,
    field: Option<&str>,
) -> bool {
    if identity::shows_own_header(request, site).await {
        return true;
    }
    let browser = Browser::of(request, &site.http);
    if encoding == Encoding::Json && !browser.has_cookies() && !identity::has_basic(request) {
        return true;
    }
    field.is_some_and(|token| csrf::is_valid(browser, &site.http, token))
        || csrf::header_is_valid(request, &site.http)
}

/// A body before it becomes a form.
enum Body {
    Form(Vec<(String, String)>),
    Json(Map<String, Value>),
}

impl Body {
    fn parse(encoding: Encoding<'_>, bytes: &[u8]) -> Result<Self, Error> {
        match encoding {
            Encoding::Empty | Encoding::Parts(_) => Ok(Self::Form(Vec::new())),
            Encoding::Form => {
                // The parser below would put U+FFFD in place of what is not UTF-8.
                if percent_encoding::percent_decode(bytes)
                    .decode_utf8()
                    .is_err()
                {
                    return Err(unreadable("input.not_utf8"));
                }
                let pairs: Vec<(String, String)> =
                    url::form_urlencoded::parse(bytes).into_owned().collect();
                Ok(Self::Form(pairs))
            }
            Encoding::Json => {
                let text = std::str::from_utf8(bytes).map_err(|_| unreadable("input.not_utf8"))?;
                match serde_json::from_str(text) {
                    Ok(Value::Object(object)) => {
                        // Two programs that read one text must not read two things.
                        if let Some(name) = repeated_key(text) {
                            let repeated = Message::new("input.repeated");
                            return Err(Invalid::field(&name, repeated).into());
                        }
                        match object.iter().find(|(_, value)| has_nul(value)) {
                            Some((name, _)) => {
                                Err(Invalid::field(name, Message::new("input.nul")).into())
                            }
                            None => Ok(Self::Json(object)),
                        }
                    }
                    Ok(_) => Err(unreadable("input.not_an_object")),
                    Err(_) => Err(unreadable("input.not_json")),
                }
            }
        }
    }

    fn csrf_token(&self) -> Option<&str> {
        match self {
            Self::Form(pairs) => pairs
                .iter()
                .find(|(name, _)| name == csrf::FIELD)
                .map(|(_, value)| value.as_str()),
            Self::Json(object) => object.get(csrf::FIELD).and_then(Value::as_str),
        }
    }

    /// The first field with a NUL in it, which no database takes alike.
    fn nul(&self) -> Option<&str> {
        match self {
            Self::Form(pairs) => pairs
                .iter()
                .find(|(_, value)| value.contains('\0'))
                .map(|(name, _)| name.as_str()),
            Self::Json(object) => object
                .iter()
                .find(|(_, value)| has_nul(value))
                .map(|(name, _)| name.as_str()),
        }
    }

    fn decode<F: DeserializeOwned>(self) -> Result<F, Error> {
        if let Some(field) = self.nul() {
            return Err(Invalid::field(field, Message::new("input.nul")).into());
        }
        match self {
            Self::Form(mut pairs) => {
                pairs.retain(|(name, _)| name != csrf::FIELD);
                let mut text = url::form_urlencoded::Serializer::new(String::new());
                text.extend_pairs(&pairs);
                let text = text.finish();
                let decoder = serde_html_form::Deserializer::from_bytes(text.as_bytes());
                serde_path_to_error::deserialize(decoder).map_err(|error| {
                    let path = error.path().to_string();
                    wrong_type(&path, &error.into_inner().to_string())
                })
            }
            Self::Json(mut object) => {
                object.remove(csrf::FIELD);
                serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
                    let path = error.path().to_string();
                    wrong_type(&path, &error.into_inner().to_string())
                })
            }
        }
    }
}

/// Decodes the fields of a form; `None` where they do not fit.
pub(super) fn decode<F: DeserializeOwned>(fields: &[(String, String)]) -> Option<F> {
    Body::Form(fields.to_vec()).decode().ok()
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(object) => object.values().any(has_nul),
        _ => false,
    }
}

fn unreadable(key: &'static str) -> Error {
    Error::Unreadable(Unreadable::Malformed, Message::new(key))
}

/// A field that does not fit its type, by the name the client used.
fn wrong_type(path: &str, detail: &str) -> Error {
    // serde says "missing field `x`" and "duplicate field `x`" of the whole, not of the field.
    let (field, key) = match detail
        .split_once('`')
        .and_then(|(_, rest)| rest.split_once('`'))
    {
        Some((field, _)) if detail.starts_with("missing field") => (field, "input.required"),
        Some((field, _)) if detail.starts_with("duplicate field") => (field, "input.repeated"),
        _ => (
            path.split(['.', '[']).next().unwrap_or_default(),
            "input.wrong_type",
        ),
    };
    Invalid::field(field, Message::new(key)).into()
}

#[rocket::async_trait]
impl<'r, F: DeserializeOwned> FromData<'r> for Input<F> {
    type Error = Error;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        outcome(request, read(request, data).await.map(Self))
    }
}

/// What was read, or why nothing was, which a catcher will want to know.
fn outcome<'r, T: FromData<'r, Error = Error>>(
    request: &Request<'_>,
    read: Result<T, Error>,
) -> Outcome<'r, T> {
    match read {
        Ok(read) => Success(read),
        Err(error) => {
            let status = refusal::remember(request, &error);
            Failed((status, error))
        }
    }
}

impl<F> Sentinel for Input<F> {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket) || rocket.state::<std::sync::Arc<Site>>().is_none()
    }
}

/// Never stops a launch. It makes Rocket ask `Result<Input<F>, Error>` as a whole, so that it is found under any
/// name that an application gives to that type.
impl Sentinel for Error {
    fn abort(_: &Rocket<rocket::Ignite>) -> bool {
        false
    }
}

/// A body in which a secret may stand that is the proof by itself. Whether the request comes from our own page is
/// told and not insisted on: the handler does, where it goes by a cookie.
pub(crate) struct Proving<F> {
    pub(crate) form: F,
    pub(crate) is_ours: bool,
}

#[rocket::async_trait]
impl<'r, F: DeserializeOwned> FromData<'r> for Proving<F> {
    type Error = Error;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let read = async {
            let (body, is_ours) = receive(request, data).await?;
            let form = body.decode()?;
            Ok(Self { form, is_ours })
        };
        outcome(request, read.await)
    }
}

/// What a request says about the box "Keep me signed in"; `None` leaves it to the setting.
///
/// A browser leaves out a box that is not ticked, so a submitted form without the field says no. A program that
/// leaves the field out of its JSON says nothing.
pub(crate) fn choice(request: &Request<'_>, ticked: Option<Checkbox>) -> Option<bool> {
    choice_where_shown(request, ticked, Some(Checkbox(true)))
}

/// The same for a form that does not always show the box: it says with the field `remember_box` that it did.
pub(crate) fn choice_where_shown(
    request: &Request<'_>,
    ticked: Option<Checkbox>,
    shown: Option<Checkbox>,
) -> Option<bool> {
    let is_form = request
        .content_type()
        .is_some_and(|kind| kind.is_form() || kind.is_form_data());
    let unticked = is_form && shown.is_some_and(|shown| shown.0);
    ticked.map(|tick| tick.0).or(unticked.then_some(false))
}
