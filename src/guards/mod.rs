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
mod open;
mod policy;
pub(crate) mod probe;
mod require;
pub(crate) mod routes;
mod signed_in;
pub(crate) mod strong;

pub use self::policy::{
    Any, ApiKey, Basic, Fresh, Grant as __Grant, Mechanisms, Mfa, Policy, Session, Token, Via, View,
};
pub(crate) use self::require::{authorize, authorize_caller};
pub use self::{
    open::{Anonymous, Public},
    require::Require,
    signed_in::SignedIn,
};
