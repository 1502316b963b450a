//! Cross-site request forgery: what makes sure that a request comes from our own page.
//!
//! A token is a random number and its keyed hash together with what the browser holds: the session
//! cookie, or for a visitor one that says nothing else. So it needs no storage, differs in every page
//! (a compressed page leaks nothing about it), and dies with the session.

use std::sync::atomic::{AtomicU8, Ordering};

use data_encoding::BASE64URL_NOPAD;
use rocket::{Request, http::Method};

use super::{browser::Browser, cookies::Kind};
use crate::{http::context::HttpContext, secrets::Purpose, types::Timestamp};

/// The form field.
pub(crate) const FIELD: &str = "csrf_token";
/// The headers, in the order they are looked at.
pub(crate) const HEADERS: [&str; 3] = ["X-CSRFToken", "X-CSRF-Token", "X-XSRF-Token"];

/// The time at which a token was made, in milliseconds.
const TIME: usize = 8;
/// That time and a random number.
const NONCE: usize = TIME + 16;

/// What tokens hang on: the session cookie if there is one, about to be sent or received.
fn binding(browser: &Browser) -> Option<(Kind, String)> {
    let now = |kind| browser.current(kind).map(|value| (kind, value));
    now(Kind::Session).or_else(|| now(Kind::Visitor))
}

fn parts<'a>(nonce: &'a [u8], binding: &'a (Kind, String)) -> [&'a [u8]; 3] {
    let kind: &[u8] = if binding.0 == Kind::Session {
        b"session"
    } else {
        b"visitor"
    };
    [nonce, kind, binding.1.as_bytes()]
}

/// A token for this browser; a visitor without any cookie of ours is given one.
pub(crate) fn token(browser: &Browser, context: &HttpContext) -> String {
    let binding = match binding(browser) {
        Some(binding) => binding,
        None => {
            // Without randomness there is no token, and every check fails: closed.
            let Ok(value) = browser.new_visitor() else {
                return String::new();
            };
            (Kind::Visitor, value)
        }
    };
    let mut random = [0u8; NONCE - TIME];
    if getrandom::fill(&mut random).is_err() {
        return String::new();
    }
    let mut nonce = context.now().as_millis().to_be_bytes().to_vec();
    nonce.extend_from_slice(&random);
    let mut token = nonce.clone();
    token.extend_from_slice(&context.keys.mac(Purpose::Csrf, &parts(&nonce, &binding)));
    BASE64URL_NOPAD.encode(&token)
}

/// Whether `token` was made for this browser as it is now.
pub(crate) fn is_valid(browser: &Browser, context: &HttpContext, token: &str) -> bool {
    // By the cookie that came: the page was made for it, even if the session behind it has just run
    // out and a remembered device opened another.
    let came = |kind| {
        let value = browser.cookie(kind).filter(|value| !value.is_empty())?;
        Some((kind, value.to_string()))
    };
    let Some(binding) = came(Kind::Session).or_else(|| came(Kind::Visitor)) else {
        return false;
    };
    let Ok(bytes) = BASE64URL_NOPAD.decode(token.as_bytes()) else {
        return false;
    };
    if bytes.len() != NONCE + 32 {
        return false;
    }
    let (nonce, tag) = bytes.split_at(NONCE);
    let made = <[u8; TIME]>::try_from(nonce.get(..TIME).unwrap_or_default());
    let made = Timestamp::from_millis(made.map_or(0, i64::from_be_bytes));
    let in_time = match context.settings.csrf.life {
        Some(life) => made.after(life) > context.now(),
        None => true,
    };
    in_time
        && context
            .keys
            .verify_mac(Purpose::Csrf, &parts(nonce, &binding), tag)
}

/// Whether a header carries a valid token.
pub(crate) fn header_is_valid(request: &Request<'_>, context: &HttpContext) -> bool {
    let mut tokens = HEADERS
        .iter()
        .filter_map(|name| request.headers().get_one(name));
    tokens.any(|token| is_valid(Browser::of(request, context), context, token))
}

/// Whether the browser itself says that the request comes from a page of ours.
pub(crate) fn is_same_origin(request: &Request<'_>, context: &HttpContext) -> bool {
    let headers = request.headers();
    if let Some(fetched) = headers.get_one("sec-fetch-site") {
        return fetched == "same-origin";
    }
    match headers.get_one("origin") {
        Some(origin) => {
            url::Url::parse(origin).is_ok_and(|origin| origin.origin() == context.base_url.origin())
        }
        None => false,
    }
}

/// Whether requests of this method may change something.
pub(crate) fn writes(method: Method) -> bool {
    !matches!(
        method,
        Method::Get | Method::Head | Method::Options | Method::Trace
    )
}

/// What the CSRF checks of a request have found so far. A refusal stays.
#[derive(Default)]
struct Verdict(AtomicU8);

const UNKNOWN: u8 = 0;
const OURS: u8 = 1;
const FOREIGN: u8 = 2;

/// Keeps the outcome of a CSRF check for everything that handles this request later.
pub(crate) fn note(request: &Request<'_>, is_ours: bool) -> bool {
    let verdict = if is_ours { OURS } else { FOREIGN };
    let slot = &request.local_cache(Verdict::default).0;
    slot.fetch_max(verdict, Ordering::Relaxed);
    is_ours
}

/// Whether the request passed its CSRF checks; `None` if there was none yet.
pub(crate) fn noted(request: &Request<'_>) -> Option<bool> {
    let slot = &request.local_cache(Verdict::default).0;
    match slot.load(Ordering::Relaxed) {
        UNKNOWN => None,
        verdict => Some(verdict == OURS),
    }
}

/// Whether headers alone show that the request comes from a page of ours: by a token, or by what the browser
/// says.
pub(crate) fn is_shown_by_headers(request: &Request<'_>, context: &HttpContext) -> bool {
    is_same_origin(request, context) || header_is_valid(request, context)
}

/// Whether the browser says that the request comes from somewhere else than a page of ours. A browser that
/// sends a form across sites says at least `Origin`.
pub(crate) fn is_of_another_site(request: &Request<'_>, context: &HttpContext) -> bool {
    let headers = request.headers();
    let says = headers.contains("sec-fetch-site") || headers.contains("origin");
    says && !is_same_origin(request, context)
}

/// Sends the readable cookie for scripts, if the settings want one.
pub(crate) fn send_readable(browser: &Browser, context: &HttpContext, token: String) {
    if context.settings.csrf.cookie.is_some() {
        browser.send_csrf_token(token);
    }
}

/// Makes the browser forget that cookie.
pub(crate) fn forget_readable(browser: &Browser, context: &HttpContext) {
    send_readable(browser, context, String::new());
}
