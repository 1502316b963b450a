//! The guard for whoever is signed in.

use super::routes;
use super::{
    identity::{self, Resolved},
    probe::Probe,
};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::{csrf, refusal},
    signin::caller::{Caller, Mechanism},
    store::User,
    types::{Methods, SessionId, Timestamp},
};
use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};
use std::{fmt, ops::Deref, sync::Arc};

/// Somebody who is signed in: by session, or by token.
///
/// It reads as the [`User`]: `who.email`, `who.id`.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::prelude::*;
///
/// #[get("/profile")]
/// fn profile(who: SignedIn) -> String { format!("You are {}", who.email) }
///
/// #[get("/")]
/// fn home(who: Option<SignedIn>) -> String { who.map_or("Hello".into(), |who| format!("Hello, {}", who.email)) }
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct SignedIn {
    pub(super) caller: Arc<Caller>,
}

impl SignedIn {
    /// The account.
    pub fn user(&self) -> &User {
        &self.caller.user
    }

    /// What this request showed: a session, a token, Basic, an API key.
    pub fn via(&self) -> Mechanism {
        self.caller.mechanism
    }

    /// How the session or token was proven when it began.
    pub fn methods(&self) -> Methods {
        self.caller.methods
    }

    /// When it was last proven: `None` for a session that a remembered device brought back, and for an API key.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.caller.authenticated_at.moment()
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Which session, if it is one.
    pub fn session(&self) -> Option<&SessionId> {
        self.caller.session.as_ref()
    }

    /// Which API key, if it is one: the `id` of its [`ApiKeyInfo`](crate::ApiKeyInfo).
    pub fn api_key(&self) -> Option<&str> {
        self.caller.key.as_ref().map(|key| key.id.as_str())
    }

    pub(crate) fn of(caller: Arc<Caller>) -> Self {
        Self { caller }
    }
}

impl Deref for SignedIn {
    type Target = User;

    fn deref(&self) -> &User {
        &self.caller.user
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("user", &self.caller.user.id)
            .field("via", &self.caller.mechanism)
            .finish_non_exhaustive()
    }
}

pub(super) fn refuse<T>(request: &Request<'_>, error: Error) -> Outcome<T, Error> {
    if let (Error::Denied(Denied::Anonymous | Denied::BadCredential | Denied::Inactive), Ok(core)) =
        (&error, Core::of(request))
    {
        identity::announce_unauthenticated(request, core);
    }
    let status = refusal::remember(request, &error);
    Outcome::Error((status, error))
}

/// Whoever asks, after the CSRF check that a route without [`Input`](crate::Input) would otherwise lack.
pub(super) async fn caller(request: &Request<'_>, basic: bool, keys: bool) -> Resolved {
    let core = Core::of(request)?;
    if keys && let Some(by_key) = identity::resolve_by_key(request, core).await {
        // No browser sends a key by itself.
        return by_key.clone();
    }
    let resolved = match basic || core.settings.basic.everywhere {
        true => identity::resolve_with_basic(request).await,
        false => identity::resolve(request).await,
    };
    let caller = resolved.as_ref().map_err(Clone::clone)?;
    let by_browser = matches!(caller.mechanism, Mechanism::Session | Mechanism::Basic);
    if csrf::writes(request.method()) && by_browser {
        let route = request.route();
        let left_to_input = || {
            let routes = request.rocket().state::<routes::Routes>();
            route
                .zip(routes)
                .is_some_and(|(route, routes)| routes.takes_input(route))
        };
        let is_ours = csrf::noted(request).unwrap_or_else(|| {
            left_to_input() || csrf::note(request, csrf::is_shown_by_headers(request, &core.http))
        });
        if !is_ours {
            return Err(Denied::Csrf.into());
        }
    }
    Ok(caller.clone())
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignedIn {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        match caller(request, false, false).await {
            Ok(caller) => Outcome::Success(Self { caller }),
            Err(error) => refuse(request, error),
        }
    }
}

impl Sentinel for SignedIn {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket) || missing(rocket)
    }
}

pub(super) fn missing(rocket: &Rocket<rocket::Ignite>) -> bool {
    let missing = rocket.state::<std::sync::Arc<Core>>().is_none();
    if missing {
        log::error!("a guard of rocket_security is used, but `Security` is not attached");
    }
    missing
}
