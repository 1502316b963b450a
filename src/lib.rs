//! Authentication and authorisation for [Rocket](https://rocket.rs): one attach gives sign-in,
//! registration, roles, permissions, sessions and tokens, as pages and as a JSON API.
//!
//! ```no_run
//! #[macro_use] extern crate rocket;
//! use rocket_security::prelude::*;
//!
//! policies! {
//!     pub Admin = role("admin");
//! }
//!
//! #[get("/")]
//! fn home(who: Option<SignedIn>) -> String { who.map_or("Hello".into(), |who| format!("Hello, {}", who.email)) }
//!
//! #[get("/admin")]
//! fn admin(_who: Require<Admin>) -> &'static str { "For administrators" }
//!
//! #[launch]
//! fn rocket() -> _ {
//!     rocket::build().mount("/", routes![home, admin]).attach(Security::default())
//! }
//! ```
//!
//! # Where to look
//!
//! * Who may call a route: [`guards`], [`policies!`], [`SignedIn`], [`Require`].
//! * What comes in by a body: [`Input`].
//! * What can be set: [`config::Settings`], `[default.security]` in Rocket.toml.
//! * What can be given in code: [`Security`].
//! * Accounts, roles, sessions from code: [`Store`], within a request [`Auth`].
//! * Pages: [`Page`], [`engines`], `templates/security/` in the application's template folder.
//! * What happened: [`Event`].

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!(
    "rocket_security needs a database: turn on the feature `sqlite`, `postgres` or `mysql`"
);

#[cfg(feature = "cli")]
pub mod cli;
mod clock;
pub mod config;
mod error;
mod fairing;
mod features;
pub mod guards;
mod http;
mod identity;
mod notify;
mod secrets;
mod signin;
mod site;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::signin::ticket;
pub use self::{
    clock::{Clock, SharedClock, SystemClock},
    error::{Denied, Error, Invalid},
    fairing::Security,
    guards::{
        Anonymous, Any, Auth, Fresh, Mechanism, Mfa, Policy, Public, Require, SignIn, SignedIn, Via,
    },
    http::{
        address::ClientAddress,
        catchers::{CaughtReply, caught},
        fields::Form,
        input::{Input, Nothing, Tick},
        messages::Message,
        page::Page,
        views::engines,
    },
    identity::{
        EmailAddress, EmailPolicy, StandardEmailPolicy, StandardUsernamePolicy, Username,
        UsernamePolicy,
    },
    notify::{
        events::{Client, Event, EventKind},
        mail::{Mail, MailError, Mailbox, Mailer},
    },
    secrets::{
        HashError, Hasher, Password, PasswordCheck, PasswordHash, PasswordPolicy, PolicyError,
        Secret, StandardPolicy, Verdict,
    },
    signin::{Admitted, Method, Methods, NextStep, token::IssuedToken},
    store::{
        Conn, Dialect, Grants, NewUser, Pool, Role, RoleId, SessionId, SessionInfo, Store,
        StoreError, Timestamp, Unique, Uniquifier, User, UserId,
    },
};

#[doc(hidden)]
pub use self::guards::__Grant;

/// What most applications name.
pub mod prelude {
    pub use crate::{
        Anonymous, Any, Auth, Error, Fresh, Input, Mfa, Nothing, Page, Public, Require, Security,
        SignIn, SignedIn, Store, User, Via,
        guards::{Basic, Session, Token},
        policies,
    };
}

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
