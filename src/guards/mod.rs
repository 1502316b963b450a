//! Request guards: who may call a route stands in its signature.
//!
//! | guard | lets in | refuses with |
//! |---|---|---|
//! | [`SignedIn`] | anybody signed in, by session or token | 401 |
//! | `Option<SignedIn>` | everybody | nothing |
//! | [`Require<P>`] | whoever the policy `P` lets in | 401 or 403 |
//! | [`Anonymous`] | only visitors | 400 (JSON), redirect (HTML) |
//! | [`Public`] | everybody, said on purpose | nothing |
//!
//! A refusal is answered by the fairing's catchers: a page gets a redirect to sign in, with `next`; a
//! program gets the envelope with the status. A database that is down is 503, never "nobody".

pub(crate) mod identity;
mod policy;
pub(crate) mod probe;
pub(crate) mod routes;
pub(crate) mod strong;

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};

pub use self::policy::{
    Any, ApiKey, Basic, Fresh, Grant as __Grant, Mechanisms, Mfa, Policy, Session, Token, Via, View,
};
use self::{identity::Resolved, probe::Probe};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::{csrf, refusal},
    signin::{
        caller::{Caller, Mechanism},
        session::extend_grace,
    },
    store::{Grants, User},
    types::{Methods, SessionId, Timestamp},
};

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
    caller: Arc<Caller>,
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

fn refuse<T>(request: &Request<'_>, error: Error) -> Outcome<T, Error> {
    if let (Error::Denied(Denied::Anonymous | Denied::BadCredential | Denied::Inactive), Ok(core)) =
        (&error, Core::of(request))
    {
        identity::announce_unauthenticated(request, core);
    }
    let status = refusal::remember(request, &error);
    Outcome::Error((status, error))
}

/// Whoever asks, after the CSRF check that a route without [`Input`](crate::Input) would otherwise lack.
async fn caller(request: &Request<'_>, basic: bool, keys: bool) -> Resolved {
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

fn missing(rocket: &Rocket<rocket::Ignite>) -> bool {
    let missing = rocket.state::<std::sync::Arc<Core>>().is_none();
    if missing {
        log::error!("a guard of rocket_security is used, but `Security` is not attached");
    }
    missing
}

/// Somebody whom the policy `P` lets in: a role, a permission, [`Fresh`], [`Mfa`], [`Via`], several of
/// them as a tuple (all of), or [`Any`] of several.
///
/// Judged in this order: no or bad credential, mechanism not taken (401); role or permission (403); second
/// factor, freshness (401 with `reauth_required`).
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::prelude::*;
///
/// policies! {
///     pub Admin   = role("admin");
///     pub Editor  = role("editor");
///     pub Publish = permission("post:publish");
/// }
///
/// #[get("/admin")]
/// fn admin(_who: Require<Admin>) -> &'static str { "For administrators" }
///
/// #[post("/posts/<id>/publish")]
/// fn publish(id: u32, who: Require<(Any<(Admin, Editor)>, Publish, Fresh<600>)>) -> String {
///     format!("{} published {id}", who.email)
/// }
/// # fn main() {}
/// ```
///
/// Neither an empty tuple nor an empty [`Any`] is a policy:
///
/// ```compile_fail
/// use rocket_security::prelude::*;
/// fn nobody(_who: Require<Any<()>>) {}
/// fn is_guard<'r, G: rocket::request::FromRequest<'r>>() {}
/// is_guard::<Require<Any<()>>>();
/// ```
pub struct Require<P> {
    who: SignedIn,
    policy: PhantomData<fn() -> P>,
}

impl<P> Deref for Require<P> {
    type Target = SignedIn;

    fn deref(&self) -> &SignedIn {
        &self.who
    }
}

impl<P> fmt::Debug for Require<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)
    }
}

/// Whether the policy `P` lets the caller of this request in.
pub(crate) async fn authorize<P: Policy>(request: &Request<'_>) -> Result<SignedIn, Error> {
    let core = Core::of(request)?;
    if P::ONLY_BASIC {
        identity::note_only_basic(request);
    }
    let caller = caller(request, P::WANTS_BASIC, P::WANTS_KEYS).await?;
    authorize_caller::<P>(request, core, &caller).await?;
    Ok(SignedIn { caller })
}

/// Whether the policy `P` lets `caller` in; for a handler that has read its body, and with it the CSRF
/// token.
pub(crate) async fn authorize_caller<P: Policy>(
    request: &Request<'_>,
    core: &Core,
    caller: &Caller,
) -> Result<(), Error> {
    let empty = Grants::default();
    let grants = if P::WANTS_GRANTS {
        identity::grants(request, caller).await?
    } else {
        &empty
    };
    let view = View::new(core, caller, grants);
    let judged =
        P::authorize_named(&view).and_then(|named| match named || view.is_taken_everywhere() {
            true => Ok(()),
            false => Err(Denied::Mechanism),
        });
    if let Err(denied) = judged {
        let again = matches!(denied, Denied::Stale | Denied::SecondFactor);
        if again && core.has_usable_passkey(&caller.user.id).await? {
            refusal::ByPasskey::leave(request);
        }
        return Err(denied.into());
    }
    if let Some((within, grace)) = view.used_freshness() {
        extend_grace(core, caller, within, grace);
    }
    Ok(())
}

#[rocket::async_trait]
impl<'r, P: Policy> FromRequest<'r> for Require<P> {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        match authorize::<P>(request).await {
            Ok(who) => Outcome::Success(Self {
                who,
                policy: PhantomData,
            }),
            Err(error) => refuse(request, error),
        }
    }
}

impl<P> Sentinel for Require<P> {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket) || missing(rocket)
    }
}

/// A visitor: nobody is signed in. Whoever is, is sent to the page after sign-in, or gets 400 as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous(());

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Anonymous {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        match identity::resolve(request).await {
            Ok(_) => refuse(request, Denied::SignedIn.into()),
            Err(Error::Denied(_)) => Outcome::Success(Self(())),
            Err(error) => refuse(request, error.clone()),
        }
    }
}

impl Sentinel for Anonymous {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket) || missing(rocket)
    }
}

/// Lets everybody in and says so: the launch report leaves the route out.
#[derive(Clone, Copy, Debug)]
pub struct Public(());

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Public {
    type Error = std::convert::Infallible;

    async fn from_request(_: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        Outcome::Success(Self(()))
    }
}

impl Sentinel for Public {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket)
    }
}
