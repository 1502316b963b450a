//! Our cookies: their names, their flags, and the one way they are sent.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rocket::{
    Request, Response,
    http::{Cookie, Header, SameSite},
};

use crate::http::context::HttpContext;

/// The one path that the cookie with a refresh token goes to.
pub(crate) const REFRESH_PATH: &str = "/refresh-token";

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The session's secret.
    Session,
    /// The remembered device's series and token.
    Remember,
    /// The device's mark for the limits.
    Device,
    /// What an anonymous visitor's CSRF tokens hang on.
    Visitor,
    /// Messages for the next page.
    Flash,
    /// A sign-in that waits for its second step.
    Pending,
    /// The trusted device's series and token.
    Trusted,
    /// The refresh token, which goes to one path alone.
    Refresh,
}

/// The names of the library's cookies, for an application's tests, proxies and consent banners.
///
/// They are fixed at launch: prefixed with `__Host-` where the site is reached by https, so that no
/// subdomain and no plain-text connection can plant one. That wants the path `/`; the one cookie that has
/// another is prefixed with `__Secure-`. The fairing manages this value:
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket::State;
/// use rocket_security::{CookieNames, prelude::*};
///
/// #[get("/cookies")]
/// fn cookies(_public: Public, names: &State<CookieNames>) -> String {
///     format!("{} keeps you signed in, {} remembers this browser", names.session(), names.remember())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct CookieNames {
    secure: bool,
    names: [String; 8],
}

impl CookieNames {
    pub(crate) fn new(secure: bool, base: &str) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        let name = |suffix: &str| format!("{prefix}{base}_{suffix}");
        let with_path = if secure { "__Secure-" } else { "" };
        Self {
            secure,
            names: [
                name("session"),
                name("remember"),
                name("device"),
                name("visitor"),
                name("flash"),
                name("pending"),
                name("trusted"),
                format!("{with_path}{base}_refresh"),
            ],
        }
    }

    /// The session.
    pub fn session(&self) -> &str {
        self.of(Kind::Session)
    }

    /// A browser that stays signed in.
    pub fn remember(&self) -> &str {
        self.of(Kind::Remember)
    }

    /// A browser that is known to the limits on failed attempts.
    pub fn device(&self) -> &str {
        self.of(Kind::Device)
    }

    /// A visitor, to whom CSRF tokens belong.
    pub fn visitor(&self) -> &str {
        self.of(Kind::Visitor)
    }

    /// Messages for the next page.
    pub fn flash(&self) -> &str {
        self.of(Kind::Flash)
    }

    /// A sign-in that waits for its second step.
    pub fn pending(&self) -> &str {
        self.of(Kind::Pending)
    }

    /// A browser in which the second factor is not asked for.
    pub fn trusted(&self) -> &str {
        self.of(Kind::Trusted)
    }

    /// A refresh token, where these come in a cookie.
    pub fn refresh(&self) -> &str {
        self.of(Kind::Refresh)
    }

    pub(crate) fn of(&self, kind: Kind) -> &str {
        &self.names[kind as usize]
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }
}

/// The values of our cookies that came with a request, by [`Kind`].
///
/// They are read from the header and not from Rocket's jar, which decodes names too: there `%5F%5FHost-..` of a
/// subdomain would take the place of a `__Host-` cookie, which browsers let nobody but this host set.
struct Incoming([Option<String>; 8]);

impl Incoming {
    fn of(request: &Request<'_>, names: &CookieNames) -> Self {
        let mut found: [Option<String>; 8] = Default::default();
        let headers = request.headers().get("Cookie");
        for pair in headers.flat_map(|header| header.split(';')) {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let mut known = names.names.iter().zip(&mut found);
            // The first of two is the one for the narrower path (RFC 6265, 5.4).
            let ours = known.find(|(known, slot)| *known == name.trim() && slot.is_none());
            if let Some((_, slot)) = ours {
                *slot = decoded(value);
            }
        }
        // The client of Rocket's tests fills the jar and sends no header.
        if !request.headers().contains("Cookie") {
            for (name, slot) in names.names.iter().zip(&mut found) {
                *slot = request
                    .cookies()
                    .get(name)
                    .map(|cookie| cookie.value().into());
            }
        }
        Self(found)
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

pub(crate) fn get<'r>(
    request: &'r Request<'_>,
    context: &HttpContext,
    kind: Kind,
) -> Option<&'r str> {
    let incoming = request.local_cache(|| Incoming::of(request, &context.cookies));
    incoming.0[kind as usize].as_deref()
}

/// Whether the request carries any cookie of ours.
pub(crate) fn has_any(request: &Request<'_>, context: &HttpContext) -> bool {
    let incoming = request.local_cache(|| Incoming::of(request, &context.cookies));
    incoming.0.iter().any(Option::is_some)
}

/// A cookie of ours with the flags that all have: HttpOnly, SameSite=Lax, Path=/, Secure where https. No link
/// of anybody's leads to where the refresh token goes, so that one is Strict, and has the path.
pub(crate) fn make(context: &HttpContext, kind: Kind, value: String) -> Cookie<'static> {
    let (path, same_site) = match kind {
        Kind::Refresh => (context.path(REFRESH_PATH), SameSite::Strict),
        _ => ("/".into(), SameSite::Lax),
    };
    Cookie::build((context.cookies.of(kind).to_string(), value))
        .path(path)
        .http_only(true)
        .same_site(same_site)
        .secure(context.cookies.is_secure())
        .build()
}

/// A cookie that makes the browser forget ours: explicit, because a `__Host-` cookie is only replaced
/// by one that is Secure too.
pub(crate) fn expired(context: &HttpContext, kind: Kind) -> Cookie<'static> {
    let mut cookie = make(context, kind, String::new());
    cookie.set_max_age(time::Duration::ZERO);
    cookie.set_expires(time::OffsetDateTime::UNIX_EPOCH);
    cookie
}

/// Cookies to go out with the answer, whoever answers.
///
/// Rocket drops what a guard put into its jar when a catcher answers, so ours wait here and the
/// fairing adds them to every response.
#[derive(Default)]
pub(super) struct Outgoing {
    cookies: Mutex<Vec<Cookie<'static>>>,
    /// Whether the answer is one of ours, and gets our headers.
    pub(super) ours: AtomicBool,
    /// Whether the address of the page is a secret.
    pub(super) secret_address: AtomicBool,
    /// Whether forms of the page lead to the providers of the site.
    pub(super) forms_lead_out: AtomicBool,
}

/// What waits for the answer to this request.
pub(super) fn pending<'r>(request: &'r Request<'_>) -> &'r Outgoing {
    request.local_cache(Outgoing::default)
}

/// Sends `cookie` with the answer to this request; a later one of the same name replaces it.
pub(crate) fn send(request: &Request<'_>, cookie: Cookie<'static>) {
    let outgoing = pending(request);
    let mut cookies = outgoing
        .cookies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    cookies.retain(|waiting| waiting.name() != cookie.name());
    cookies.push(cookie);
}

/// The value that is about to be sent, if one is.
pub(crate) fn outgoing(request: &Request<'_>, context: &HttpContext, kind: Kind) -> Option<String> {
    let outgoing = pending(request);
    let cookies = outgoing
        .cookies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    cookies
        .iter()
        .find(|cookie| cookie.name() == context.cookies.of(kind))
        .map(|cookie| cookie.value().to_string())
}

/// Puts the waiting cookies into the response. One that lets somebody in makes it an answer that no cache may
/// keep, also where it is the application's; with any other the application's own `Cache-Control` is left be.
pub(crate) fn flush(request: &Request<'_>, response: &mut Response<'_>, context: &HttpContext) {
    let outgoing = pending(request);
    let mut cookies = outgoing
        .cookies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let lets_in = |cookie: &Cookie<'_>| {
        let secrets = [
            Kind::Session,
            Kind::Remember,
            Kind::Pending,
            Kind::Trusted,
            Kind::Refresh,
        ];
        let is_secret = |kind: Kind| cookie.name() == context.cookies.of(kind);
        !cookie.value().is_empty() && secrets.into_iter().any(is_secret)
    };
    if cookies.iter().any(lets_in) && !response.headers().contains("Cache-Control") {
        response.set_header(Header::new("Cache-Control", "private, no-store"));
    }
    if !cookies.is_empty() && !outgoing.ours.load(Ordering::Relaxed) {
        response.adjoin_header(Header::new("Vary", "Cookie"));
    }
    for cookie in cookies.drain(..) {
        response.adjoin_header(Header::new("Set-Cookie", cookie.encoded().to_string()));
    }
}
