//! The guard for whoever a policy lets in.

use super::{
    Policy, SignedIn, View,
    signed_in::{caller, missing, refuse},
};
use super::{
    identity::{self},
    probe::Probe,
};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::refusal,
    signin::{caller::Caller, session::extend_grace},
    store::Grants,
};
use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};
use std::{fmt, marker::PhantomData, ops::Deref};

/// Somebody whom the policy `P` lets in: a role, a permission, [`Fresh`](super::Fresh), [`Mfa`](super::Mfa),
/// [`Via`](super::Via), several of
/// them as a tuple (all of), or [`Any`](super::Any) of several.
///
/// Judged in this order: no or bad credential, mechanism not taken (401); role or permission (403); second
/// factor, freshness (401 with `reauth_required`).
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::{Any, prelude::*};
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
/// Neither an empty tuple nor an empty [`Any`](super::Any) is a policy:
///
/// ```compile_fail
/// use rocket_security::{Any, prelude::*};
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
