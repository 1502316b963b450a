//! The browser behind a request: the cookies that it sent, and those that it is sent.
//!
//! Signing in reads and sends cookies by this type and knows no request. There is one for each request.

use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use rocket::{Request, Response, http::Header};

use super::cookies::{self, CookieNames, Keep, Kind};
use crate::{http::context::HttpContext, secrets::random_token};

/// The header in which a program without cookies sends what waits for its second step.
const SECOND_STEP: &str = "Second-Step-Token";

/// A browser, or a program that makes requests.
#[derive(Default)]
pub(crate) struct Browser {
    received: OnceLock<Received>,
    sending: Mutex<Sending>,
    pub(super) marks: Marks,
}

/// What is known of the answer to a request, and decides about its headers.
#[derive(Default)]
pub(super) struct Marks {
    /// Whether the answer is one of ours, and gets our headers.
    pub(super) ours: AtomicBool,
    /// Whether the address of the page is a secret.
    pub(super) secret_address: AtomicBool,
    /// Whether forms of the page lead to the providers of the site.
    pub(super) forms_lead_out: AtomicBool,
}

/// What came with a request.
#[derive(Default)]
struct Received {
    /// The values of our cookies, by [`Kind`].
    cookies: [Option<String>; Kind::COUNT],
    /// The header [`SECOND_STEP`], which is read only where no cookie came.
    second_step: Option<String>,
}

impl Received {
    /// The cookies are read from the header and not from Rocket's jar, which decodes names too: there
    /// `%5F%5FHost-..` of a subdomain would take the place of a `__Host-` cookie, which browsers let nobody but this
    /// host set.
    fn of(request: &Request<'_>, names: &CookieNames) -> Self {
        let mut received = Self::default();
        let cookies = &mut received.cookies;
        let headers = request.headers().get("Cookie");
        for pair in headers.flat_map(|header| header.split(';')) {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let mut known = names.all().iter().zip(cookies.iter_mut());
            // The first of two is the one for the narrower path (RFC 6265, 5.4).
            let ours = known.find(|(known, slot)| *known == name.trim() && slot.is_none());
            if let Some((_, slot)) = ours {
                *slot = decoded(value);
            }
        }
        // The client of Rocket's tests fills the jar and sends no header.
        if !request.headers().contains("Cookie") {
            for (name, slot) in names.all().iter().zip(cookies.iter_mut()) {
                *slot = request
                    .cookies()
                    .get(name)
                    .map(|cookie| cookie.value().into());
            }
        }
        if cookies.iter().all(Option::is_none) {
            received.second_step = request.headers().get_one(SECOND_STEP).map(String::from);
        }
        received
    }
}

fn decoded(value: &str) -> Option<String> {
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let text = percent_encoding::percent_decode_str(quoted.unwrap_or(value));
    text.decode_utf8().ok().map(String::from)
}

/// What goes out with the answer, whoever answers.
///
/// Rocket drops what a guard put into its jar when a catcher answers, so ours wait here and the fairing adds them to
/// every response.
#[derive(Default)]
struct Sending {
    cookies: Vec<Going>,
    /// The value of the readable cookie with a CSRF token. It is empty where the browser is to forget the cookie.
    csrf_token: Option<String>,
}

/// A cookie that goes out.
struct Going {
    kind: Kind,
    value: String,
    keep: Keep,
}

impl Browser {
    /// The browser that sent this request.
    pub(crate) fn of<'r>(request: &'r Request<'_>, context: &HttpContext) -> &'r Self {
        let browser = Self::unread(request);
        browser
            .received
            .get_or_init(|| Received::of(request, &context.cookies));
        browser
    }

    /// The same without a look at its cookies: for what concerns the answer alone.
    pub(super) fn unread<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a cookie that came.
    pub(crate) fn cookie(&self, kind: Kind) -> Option<&str> {
        self.received.get()?.cookies[kind as usize].as_deref()
    }

    /// Whether any cookie of ours came.
    pub(crate) fn has_cookies(&self) -> bool {
        let received = self.received.get();
        received.is_some_and(|received| received.cookies.iter().any(Option::is_some))
    }

    /// What a program that has no cookies sends of its second step.
    pub(crate) fn second_step_token(&self) -> Option<&str> {
        self.received.get()?.second_step.as_deref()
    }

    /// The value of a cookie that goes out with the answer. It is empty where the browser is to forget the cookie.
    pub(crate) fn going(&self, kind: Kind) -> Option<String> {
        let sending = self.sending();
        let mut waiting = sending.cookies.iter();
        let found = waiting.find(|going| going.kind == kind)?;
        Some(found.value.clone())
    }

    /// The value of a cookie as the browser will have it: the one that goes out, else the one that came.
    pub(crate) fn current(&self, kind: Kind) -> Option<String> {
        let came = || self.cookie(kind).map(String::from);
        let value = self.going(kind).or_else(came);
        value.filter(|value| !value.is_empty())
    }

    /// Sends a cookie with the answer, which the browser keeps until it is closed. A later one of the same kind
    /// replaces it.
    pub(crate) fn send(&self, kind: Kind, value: String) {
        self.set(kind, value, Keep::UntilClosed);
    }

    /// The same of a cookie that the browser keeps for `life`.
    pub(crate) fn send_for(&self, kind: Kind, value: String, life: Duration) {
        self.set(kind, value, Keep::For(life));
    }

    /// Makes the browser forget a cookie.
    pub(crate) fn forget(&self, kind: Kind) {
        self.set(kind, String::new(), Keep::No);
    }

    fn set(&self, kind: Kind, value: String, keep: Keep) {
        let mut sending = self.sending();
        sending.cookies.retain(|waiting| waiting.kind != kind);
        sending.cookies.push(Going { kind, value, keep });
    }

    /// Sends the readable cookie with a CSRF token, or makes the browser forget it if `token` is empty.
    pub(super) fn send_csrf_token(&self, token: String) {
        self.sending().csrf_token = Some(token);
    }

    /// What names this browser while nobody is signed in; one without any cookie of ours is given one.
    pub(crate) fn visitor(&self) -> Result<String, getrandom::Error> {
        let going = self.going(Kind::Visitor).filter(|value| !value.is_empty());
        match going.or_else(|| self.cookie(Kind::Visitor).map(String::from)) {
            Some(value) => Ok(value),
            None => self.new_visitor(),
        }
    }

    /// Gives this browser a new name.
    pub(super) fn new_visitor(&self) -> Result<String, getrandom::Error> {
        let value = random_token()?.expose().clone();
        self.send(Kind::Visitor, value.clone());
        Ok(value)
    }
}

/// Puts the waiting cookies into the response. One that lets somebody in makes it an answer that no cache may
/// keep, also where it is the application's; with any other the application's own `Cache-Control` is left be.
pub(crate) fn flush(request: &Request<'_>, response: &mut Response<'_>, context: &HttpContext) {
    let browser = Browser::unread(request);
    let Sending {
        cookies,
        csrf_token,
    } = std::mem::take(&mut *browser.sending());
    let lets_in = |going: &Going| !going.value.is_empty() && going.kind.lets_in();
    if cookies.iter().any(lets_in) && !response.headers().contains("Cache-Control") {
        response.set_header(Header::new("Cache-Control", "private, no-store"));
    }
    let sends = !cookies.is_empty() || csrf_token.is_some();
    if sends && !browser.marks.ours.load(Ordering::Relaxed) {
        response.adjoin_header(Header::new("Vary", "Cookie"));
    }
    let ours = cookies
        .into_iter()
        .map(|Going { kind, value, keep }| cookies::make(context, kind, value, keep));
    let readable = csrf_token.and_then(|token| cookies::readable(context, token));
    for cookie in ours.chain(readable) {
        response.adjoin_header(Header::new("Set-Cookie", cookie.encoded().to_string()));
    }
}
