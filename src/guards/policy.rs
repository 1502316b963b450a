//! Policies: what a route asks of its caller, as types that compose.

use std::{cell::Cell, fmt, marker::PhantomData, time::Duration};

use crate::{
    core::Core,
    error::Denied,
    signin::caller::{Caller, Mechanism},
    store::{Grants, User},
    types::{Methods, Timestamp},
};

/// What a route asks of its caller. Made by [`policies!`](crate::policies), composed by tuples and [`Any`].
///
/// An application's own, for what roles and permissions do not say:
///
/// ```
/// use rocket_security::{Denied, guards::{Policy, View}};
///
/// /// Accounts whose address was proven.
/// enum Confirmed {}
///
/// impl Policy for Confirmed {
///     fn authorize(view: &View<'_>) -> Result<(), Denied> {
///         match view.user().confirmed_at {
///             Some(_) => Ok(()),
///             None => Err(Denied::Forbidden),
///         }
///     }
/// }
/// ```
pub trait Policy: Send + Sync + 'static {
    /// Whether roles and permissions are looked at; they are loaded only then.
    const WANTS_GRANTS: bool = false;
    /// Whether HTTP Basic is taken.
    const WANTS_BASIC: bool = false;
    /// Whether API keys are taken.
    const WANTS_KEYS: bool = false;
    /// Whether HTTP Basic is the only way in, so that a browser is challenged instead of redirected.
    const ONLY_BASIC: bool = false;

    /// Whether the caller is let in.
    ///
    /// # Errors
    ///
    /// Why not.
    fn authorize(view: &View<'_>) -> Result<(), Denied>;

    /// Whether the caller is let in, and whether what lets it in names the caller's mechanism. HTTP Basic and API
    /// keys count only where they are named; in an [`Any`] that is in the branch that lets the caller in.
    #[doc(hidden)]
    fn authorize_named(view: &View<'_>) -> Result<bool, Denied> {
        Self::authorize(view)?;
        Ok(match view.via() {
            Mechanism::Basic => Self::WANTS_BASIC,
            Mechanism::ApiKey => Self::WANTS_KEYS,
            Mechanism::Session | Mechanism::Token => true,
        })
    }
}

/// What a [`Policy`] sees of the caller.
pub struct View<'a> {
    core: &'a Core,
    caller: &'a Caller,
    grants: &'a Grants,
    /// The freshness and grace that the answer hung on.
    freshness: Cell<Option<(Duration, Duration)>>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("user", &self.caller.user.id)
            .finish_non_exhaustive()
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(core: &'a Core, caller: &'a Caller, grants: &'a Grants) -> Self {
        Self {
            core,
            caller,
            grants,
            freshness: Cell::new(None),
        }
    }

    /// The account.
    pub fn user(&self) -> &User {
        &self.caller.user
    }

    /// Roles and permissions; empty unless [`Policy::WANTS_GRANTS`]. By API key there are no roles, and those
    /// permissions of the key that its owner has.
    pub fn grants(&self) -> &Grants {
        self.grants
    }

    /// What this request showed.
    pub fn via(&self) -> Mechanism {
        self.caller.mechanism
    }

    /// Whether guards take the caller's mechanism without naming it.
    pub(crate) fn is_taken_everywhere(&self) -> bool {
        match self.caller.mechanism {
            Mechanism::Session | Mechanism::Token => true,
            Mechanism::Basic => self.core.settings.basic.everywhere,
            Mechanism::ApiKey => false,
        }
    }

    /// How the session or token was proven.
    pub fn methods(&self) -> Methods {
        self.caller.methods
    }

    /// When it was last proven: `None` for a session that a remembered device brought back, and for an API key.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.caller.authenticated_at.moment()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// The freshness that the answer hung on, to be extended by the grace.
    pub(crate) fn used_freshness(&self) -> Option<(Duration, Duration)> {
        self.freshness.get()
    }

    /// Whether the last proof is recent enough by the setting, with its grace.
    pub fn is_fresh(&self) -> bool {
        let settings = &self.core.settings.freshness;
        match settings.within.0 {
            Some(within) => self.is_fresh_within(within, settings.grace),
            None => self.can_be_fresh(),
        }
    }

    /// Whether the last proof is at most `within` ago. Somebody in the middle of something may go on for `grace`
    /// longer, which each use extends, but never beyond twice the grace after `within`; 0 for none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocket_security::{Denied, guards::{Policy, View}};
    ///
    /// /// A proof of the last ten minutes, with an hour to finish what was begun.
    /// enum Recent {}
    ///
    /// impl Policy for Recent {
    ///     fn authorize(view: &View<'_>) -> Result<(), Denied> {
    ///         match view.is_fresh_within(Duration::from_mins(10), Duration::from_hours(1)) {
    ///             true => Ok(()),
    ///             false => Err(Denied::Stale),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn is_fresh_within(&self, within: Duration, grace: Duration) -> bool {
        if !self.can_be_fresh() {
            return false;
        }
        let (now, proven) = (self.now(), self.caller.authenticated_at);
        let has_grace = grace.as_secs() > 0;
        // The grace of a session may have been extended by a route that is more patient than this.
        let twice = grace.as_secs().saturating_mul(2);
        let longest = Duration::from_secs(within.as_secs().saturating_add(twice));
        let in_grace = has_grace && self.caller.grace_until > now && proven.is_within(longest, now);
        let fresh = proven.is_within(within, now) || in_grace;
        if fresh && has_grace {
            self.freshness.set(Some((within, grace)));
        }
        fresh
    }

    /// Whether what the request showed can be fresh at all.
    fn can_be_fresh(&self) -> bool {
        // A key proves nothing anew, however short a time ago it was made.
        if self.caller.mechanism == Mechanism::ApiKey {
            return false;
        }
        let settings = &self.core.settings.freshness;
        self.caller.mechanism != Mechanism::Token || settings.allow_tokens
    }
}

/// The more fundamental of refusals comes first: it is what stands in the way of all others.
fn rank(denied: &Denied) -> u8 {
    match denied {
        Denied::Anonymous | Denied::BadCredential | Denied::Inactive | Denied::Mechanism => 0,
        Denied::Forbidden => 1,
        Denied::SecondFactor => 2,
        Denied::Stale => 3,
        _ => 0,
    }
}

/// A role or permission by name, as [`policies!`](crate::policies) writes it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "only `policies!` writes it")]
pub enum Grant {
    Role(&'static str),
    Permission(&'static str),
}

impl Grant {
    #[doc(hidden)]
    pub fn authorize(self, view: &View<'_>) -> Result<(), Denied> {
        let has = match self {
            Self::Role(name) => view.grants().has_role(name),
            Self::Permission(name) => view.grants().has_permission(name),
        };
        if has { Ok(()) } else { Err(Denied::Forbidden) }
    }
}

/// Names roles and permissions once, as types: a misspelt one is a compile error.
///
/// ```
/// use rocket_security::prelude::*;
/// policies! {
///     /// May do everything.
///     pub Admin   = role("admin");
///     pub Publish = permission("post:publish");
/// }
/// ```
#[macro_export]
macro_rules! policies {
    ($($(#[$doc:meta])* $vis:vis $name:ident = $kind:ident($text:literal);)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("The ", stringify!($kind), " `", $text, "`.")]
            #[derive(Clone, Copy, Debug)]
            #[allow(clippy::exhaustive_enums)]
            $vis enum $name {}

            impl $crate::guards::Policy for $name {
                const WANTS_GRANTS: bool = true;

                fn authorize(view: &$crate::guards::View<'_>) -> ::core::result::Result<(), $crate::Denied> {
                    $crate::__grant!($kind, $text).authorize(view)
                }
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __grant {
    (role, $text:literal) => {
        $crate::__Grant::Role($text)
    };
    (permission, $text:literal) => {
        $crate::__Grant::Permission($text)
    };
}

/// One of several: `Any<(Admin, Editor)>`.
///
/// If none lets in, the mildest refusal is answered: who only has to prove it again is told so.
///
/// HTTP Basic and API keys count only in the branch that names them: `Any<((Via<ApiKey>, Publish), Admin)>` lets an
/// API key in if it may publish, and never as `Admin`.
#[derive(Debug)]
pub struct Any<T>(PhantomData<fn() -> T>);

/// A sign-in of at most so many seconds ago: `Fresh<600>`. With a second number there is a grace of so many
/// seconds for somebody in the middle of something: `Fresh<600, 3600>`; see [`View::is_fresh_within`]. `Fresh`
/// alone is the setting, with its grace.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it is only named")]
pub struct Fresh<const SECONDS: u64 = 0, const GRACE: u64 = 0>;

impl<const SECONDS: u64, const GRACE: u64> Policy for Fresh<SECONDS, GRACE> {
    fn authorize(view: &View<'_>) -> Result<(), Denied> {
        let fresh = match SECONDS {
            0 => view.is_fresh(),
            _ => view.is_fresh_within(Duration::from_secs(SECONDS), Duration::from_secs(GRACE)),
        };
        if fresh { Ok(()) } else { Err(Denied::Stale) }
    }
}

/// Two factors were shown in this session. A session that a remembered browser opened has shown none.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it is only named")]
pub struct Mfa;

impl Policy for Mfa {
    fn authorize(view: &View<'_>) -> Result<(), Denied> {
        let by_session = !matches!(view.via(), Mechanism::Basic | Mechanism::ApiKey);
        match view.methods() {
            methods if by_session && methods.is_multi_factor() => Ok(()),
            // The first factor comes before the second.
            methods if view.via() == Mechanism::Session && methods.is_only_remembered() => {
                Err(Denied::Stale)
            }
            _ => Err(Denied::SecondFactor),
        }
    }
}

/// How the request proves who it is: `Via<Token>`, `Via<(Token, Session)>`, `Via<Basic>`, `Via<ApiKey>`.
#[derive(Debug)]
pub struct Via<M>(PhantomData<fn() -> M>);

/// Kinds of proof that [`Via`] takes: those below, and tuples of them. There are no others.
pub trait Mechanisms: sealed::Sealed + Send + Sync + 'static {
    /// Which.
    const LIST: &'static [Mechanism];
}

mod sealed {
    /// Only this crate knows ways to prove who one is.
    #[allow(unnameable_types, reason = "so nobody else can implement it")]
    pub trait Sealed {}
}

/// By authentication token.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "it is only named")]
pub enum Token {}
/// By session cookie.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "it is only named")]
pub enum Session {}
/// By HTTP Basic.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "it is only named")]
pub enum Basic {}
/// By API key, of which only routes that name this take any. A key has no roles, and of its owner's permissions
/// those that it was given.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::{guards::{ApiKey, Token}, prelude::*};
///
/// policies! { pub Publish = permission("post:publish"); }
///
/// #[post("/api/posts")]
/// fn publish(who: Require<(Via<(ApiKey, Token)>, Publish)>) -> String {
///     format!("published for {} by key {:?}", who.email, who.api_key())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "it is only named")]
pub enum ApiKey {}

impl sealed::Sealed for Token {}
impl Mechanisms for Token {
    const LIST: &'static [Mechanism] = &[Mechanism::Token];
}

impl sealed::Sealed for Session {}
impl Mechanisms for Session {
    const LIST: &'static [Mechanism] = &[Mechanism::Session];
}

impl sealed::Sealed for Basic {}
impl Mechanisms for Basic {
    const LIST: &'static [Mechanism] = &[Mechanism::Basic];
}

impl sealed::Sealed for ApiKey {}
impl Mechanisms for ApiKey {
    const LIST: &'static [Mechanism] = &[Mechanism::ApiKey];
}

impl<A: Mechanisms, B: Mechanisms> sealed::Sealed for (A, B) {}
impl<A: Mechanisms, B: Mechanisms> Mechanisms for (A, B) {
    const LIST: &'static [Mechanism] = &[A::LIST[0], B::LIST[0]];
}

impl<A: Mechanisms, B: Mechanisms, C: Mechanisms> sealed::Sealed for (A, B, C) {}
impl<A: Mechanisms, B: Mechanisms, C: Mechanisms> Mechanisms for (A, B, C) {
    const LIST: &'static [Mechanism] = &[A::LIST[0], B::LIST[0], C::LIST[0]];
}

impl<A: Mechanisms, B: Mechanisms, C: Mechanisms, D: Mechanisms> sealed::Sealed for (A, B, C, D) {}
impl<A: Mechanisms, B: Mechanisms, C: Mechanisms, D: Mechanisms> Mechanisms for (A, B, C, D) {
    const LIST: &'static [Mechanism] = &[A::LIST[0], B::LIST[0], C::LIST[0], D::LIST[0]];
}

const fn lists(list: &[Mechanism], wanted: Mechanism) -> bool {
    let mut at = 0;
    while at < list.len() {
        if list[at] as u8 == wanted as u8 {
            return true;
        }
        at += 1;
    }
    false
}

impl<M: Mechanisms> Policy for Via<M> {
    const WANTS_BASIC: bool = lists(M::LIST, Mechanism::Basic);
    const WANTS_KEYS: bool = lists(M::LIST, Mechanism::ApiKey);
    const ONLY_BASIC: bool = Self::WANTS_BASIC
        && !Self::WANTS_KEYS
        && !lists(M::LIST, Mechanism::Session)
        && !lists(M::LIST, Mechanism::Token);

    fn authorize(view: &View<'_>) -> Result<(), Denied> {
        if lists(M::LIST, view.via()) {
            Ok(())
        } else {
            Err(Denied::Mechanism)
        }
    }
}

macro_rules! tuples {
    ($($name:ident),+) => {
        impl<$($name: Policy),+> Policy for ($($name,)+) {
            const WANTS_GRANTS: bool = $($name::WANTS_GRANTS)||+;
            const WANTS_BASIC: bool = $($name::WANTS_BASIC)||+;
            const WANTS_KEYS: bool = $($name::WANTS_KEYS)||+;
            const ONLY_BASIC: bool = $($name::ONLY_BASIC)||+;

            fn authorize(view: &View<'_>) -> Result<(), Denied> {
                Self::authorize_named(view).map(|_| ())
            }

            fn authorize_named(view: &View<'_>) -> Result<bool, Denied> {
                let answers = [$($name::authorize_named(view)),+];
                let named = answers.contains(&Ok(true));
                let refusals = answers.into_iter().filter_map(Result::err);
                refusals.min_by_key(rank).map_or(Ok(named), Err)
            }
        }

        impl<$($name: Policy),+> Policy for Any<($($name,)+)> {
            const WANTS_GRANTS: bool = $($name::WANTS_GRANTS)||+;
            const WANTS_BASIC: bool = $($name::WANTS_BASIC)||+;
            const WANTS_KEYS: bool = $($name::WANTS_KEYS)||+;
            const ONLY_BASIC: bool = $($name::ONLY_BASIC)&&+;

            fn authorize(view: &View<'_>) -> Result<(), Denied> {
                Self::authorize_named(view).map(|_| ())
            }

            fn authorize_named(view: &View<'_>) -> Result<bool, Denied> {
                let answers = [$($name::authorize_named(view)),+];
                if answers.iter().any(Result::is_ok) {
                    return Ok(answers.contains(&Ok(true)));
                }
                answers.into_iter().filter_map(Result::err).max_by_key(rank).map_or(Ok(false), Err)
            }
        }
    };
}

tuples!(A);
tuples!(A, B);
tuples!(A, B, C);
tuples!(A, B, C, D);
tuples!(A, B, C, D, E);
tuples!(A, B, C, D, E, F);
tuples!(A, B, C, D, E, F, G);
tuples!(A, B, C, D, E, F, G, H);
