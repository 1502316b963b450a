//! Our cookies: their names and their flags.

use std::time::Duration;

use rocket::http::{Cookie, SameSite};

use crate::{http::context::HttpContext, types::Path};

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

impl Kind {
    pub(super) const COUNT: usize = 8;

    /// Whether the cookie lets somebody in, or does in part.
    pub(super) fn lets_in(self) -> bool {
        matches!(
            self,
            Self::Session | Self::Remember | Self::Pending | Self::Trusted | Self::Refresh
        )
    }
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
    names: [String; Kind::COUNT],
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

    /// All of them, by [`Kind`].
    pub(super) fn all(&self) -> &[String; Kind::COUNT] {
        &self.names
    }

    pub(super) fn of(&self, kind: Kind) -> &str {
        &self.names[kind as usize]
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    UntilClosed,
    For(Duration),
    /// It forgets the one that it has.
    No,
}

/// A cookie of ours with the flags that all have: HttpOnly, SameSite=Lax, Path=/, Secure where https. No link
/// of anybody's leads to where the refresh token goes, so that one is Strict, and has the path.
///
/// One that is to be forgotten has them too, because a `__Host-` cookie is only replaced by one that is Secure.
pub(super) fn make(
    context: &HttpContext,
    kind: Kind,
    value: String,
    keep: Keep,
) -> Cookie<'static> {
    let (path, same_site) = match kind {
        Kind::Refresh => (context.path(Path::RefreshToken), SameSite::Strict),
        _ => ("/".into(), SameSite::Lax),
    };
    let mut cookie = Cookie::build((context.cookies.of(kind).to_string(), value))
        .path(path)
        .http_only(true)
        .same_site(same_site)
        .secure(context.cookies.is_secure())
        .build();
    match keep {
        Keep::UntilClosed => {}
        Keep::For(life) => {
            let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(time::Duration::seconds(seconds));
        }
        Keep::No => {
            cookie.set_max_age(time::Duration::ZERO);
            cookie.set_expires(time::OffsetDateTime::UNIX_EPOCH);
        }
    }
    cookie
}

/// The cookie from which scripts read a CSRF token, if the settings have one; without a token, one that makes the
/// browser forget it.
pub(super) fn readable(context: &HttpContext, token: String) -> Option<Cookie<'static>> {
    let name = context.settings.csrf.cookie.clone()?;
    let is_over = token.is_empty();
    let mut cookie = Cookie::build((name, token))
        .path("/")
        .http_only(false)
        .same_site(SameSite::Strict)
        .secure(context.cookies.is_secure())
        .build();
    if is_over {
        cookie.set_max_age(time::Duration::ZERO);
    }
    Some(cookie)
}
