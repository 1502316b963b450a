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
//! # What it is made of
//!
//! A request meets a **guard** ([`SignedIn`], [`Require`]), which finds out who asks: by token, else by
//! session, else by a remembered device, once however many guards want to know. A body comes in through
//! [`Input`], which checks that one of our own pages sent it. A way in (password, token, remembered
//! device, the application's own code) leads to one **admission gate**, which alone makes an
//! [`Admitted`]; sessions and tokens are made from nothing else. What was found comes back as one answer
//! that becomes a page, a redirect or the JSON envelope, as the client prefers.
//!
//! Everything rests in the application's database, through Diesel: users, roles, sessions, tokens,
//! tickets, counters of failures. Of each secret only a hash is kept.
//!
//! # Who may call a route
//!
//! ```
//! # #[macro_use] extern crate rocket;
//! use rocket_security::{guards::{Session, Token}, prelude::*};
//!
//! policies! {
//!     pub Editor  = role("editor");
//!     pub Publish = permission("post:publish");
//! }
//!
//! /// Anybody signed in.
//! #[get("/profile")]
//! fn profile(who: SignedIn) -> String { who.email.clone() }
//!
//! /// An editor who may publish and proved who it is within ten minutes.
//! #[post("/posts/<id>/publish", data = "<_body>")]
//! fn publish(id: u32, who: Require<(Editor, Publish, Fresh<600>)>, _body: Input<Empty>) -> String {
//!     format!("{} published {id}", who.email)
//! }
//!
//! /// A program with a token, or a browser with a session.
//! #[get("/api/me")]
//! fn me(who: Require<Via<(Token, Session)>>) -> String { who.email.clone() }
//! # fn main() {}
//! ```
//!
//! All policies are in [`guards`]; one of the application's own is a type that implements [`Policy`]. A
//! refusal is answered by catchers that come with the fairing, unless the application has its own for that
//! status; that one can call [`caught`].
//!
//! # Accounts from code
//!
//! Within a request [`Auth`] signs in and out, looks up, verifies and sets passwords and builds URLs.
//! [`Accounts`] changes accounts and roles, and [`Store`] reads them. Rocket manages both, for code outside of
//! requests too; within a request use [`Auth::accounts`], whose events name who is signed in.
//!
//! ```no_run
//! # async fn example(accounts: rocket_security::Accounts) -> Result<(), Box<dyn std::error::Error>> {
//! use rocket_security::{EmailAddress, NewUser, PasswordHash};
//!
//! // Brought from elsewhere with the hash it had; renewed at the next sign-in.
//! let email = EmailAddress::parse("ada@example.com").map_err(|message| message.key().to_string())?;
//! let hash = PasswordHash::from_stored("$2b$12$...".into());
//! let ada = accounts.create_user(NewUser::new(email).password(hash).confirmed(true)).await?;
//! accounts.find_or_create_role("editor").await?;
//! accounts.add_permissions_to_role("editor", &["post:publish"]).await?;
//! accounts.add_role_to_user(&ada.id, "editor").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings and behaviour
//!
//! Settings are TOML and environment: [`config::Settings`]. Behaviour is code: the methods of [`Security`]
//! take a mailer, subscribers to [`Event`]s, own fields and columns, policies for passwords, addresses and
//! usernames, hooks for redirects and JSON, values for pages.
//!
//! # Pages
//!
//! Our pages are Tera templates below `security/`; a file of that name in the application's template folder
//! takes the place of the built-in one, live in debug builds. The application's own pages get our context
//! by [`Page`], and our partials by [`tera_extensions`].
//!
//! # Errors
//!
//! [`Error`] is what a service function answers, and answers a request by itself when a handler returns it:
//! [`Invalid`] values are 400 with the fields, [`Denied`] is 401, 403 or 429, a database that is down is
//! 503 with `Retry-After`.
//!
//! # Tests of an application
//!
//! The feature `testing` brings the module `testing`: sign in as anybody, look at mails, move the clock.
//!
//! # What it does not promise
//!
//! The limits of each mechanism stand in its module's documentation and together in `docs/limits.md`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!(
    "rocket_security needs a database: turn on the feature `sqlite`, `postgres` or `mysql`"
);

mod accounts;
mod auth;
#[cfg(feature = "cli")]
pub mod cli;
mod core;
pub mod config {
    //! Settings: `[default.security]` in Rocket.toml, a table per feature, and
    //! `ROCKET_SECURITY__<TABLE>__<KEY>` in the environment, or with `_FILE` behind it the name of a file that holds
    //! the text.
    //!
    //! Profiles work as in any Rocket application. An unknown key, a contradiction or a missing secret
    //! stops the launch with one sentence that says which key it is and what to write instead.

    pub use crate::settings::*;
}
mod error;
mod events;
mod factors;
mod fairing;
mod features;
pub mod guards;
mod http;
mod identity;
mod notify;
mod secrets;
mod settings;
mod signin;
mod social;
mod store;
mod templates;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod web;

pub use self::signin::ticket;
pub use self::{
    accounts::{Accounts, invitation::Invitation},
    auth::{Auth, SignIn},
    core::change::{Change, Changed},
    error::{Denied, Error, Invalid, Unreadable},
    events::{Actor, Client, Event, EventKind},
    factors::{
        MfaPolicy,
        phone::{Phone, PhoneParser, PlainPhoneParser},
        recovery::{RecoveryCodes, RecoveryCodesError, StandardRecoveryCodes},
        totp::{StandardTotp, TotpError, TotpProvider, TotpSecret},
    },
    guards::{Anonymous, Any, Fresh, Mfa, Policy, Public, Require, SignedIn, Via},
    http::{address::ClientAddress, cookies::CookieNames},
    identity::{
        EmailAddress, EmailPolicy, StandardEmailPolicy, StandardUsernamePolicy, Username,
        UsernamePolicy,
    },
    notify::{
        mailbox::Mailbox,
        mailer::{Mail, MailError, MailFailure, Mailer},
        sms::{Sms, SmsSender},
    },
    secrets::{
        HashError, Hasher, Password, PasswordCheck, PasswordHash, PasswordPolicy, PolicyError,
        Secret, StandardPolicy, Verdict,
    },
    signin::{Admitted, NextStep, caller::Mechanism, token::IssuedToken},
    store::{
        ApiKeyInfo, Conn, DeviceInfo, Dialect, FactorInfo, Grants, MailInfo, MailState, Manager,
        NewUser, PasskeyInfo, Pool, RefreshInfo, Role, SessionInfo, SocialAccountInfo, Store,
        StoreError, Unique, User, UserPages, UserQuery,
    },
    templates::views::tera_extensions,
    types::{
        Clock, FactorKind, Message, Method, Methods, PasskeyUsage, RoleId, SessionId, SharedClock,
        SystemClock, Timestamp, Uniquifier, UserId,
    },
    web::{
        catchers::{CaughtReply, caught},
        fields::Form,
        input::{Checkbox, Empty, Input},
        page::Page,
        security::Security,
    },
};

/// The crates whose types are part of ours, in the versions that fit.
#[doc(no_inline)]
pub use {async_trait, diesel, figment, ipnet, serde_json, tera, url, uuid, validator};

#[cfg(feature = "passkeys")]
pub use self::factors::passkey::{Attachment, PasskeyHint, WebauthnPolicy};
#[cfg(feature = "sms")]
pub use self::factors::phone::StandardPhoneParser;

#[cfg(feature = "social")]
pub use self::social::{
    HttpClient, HttpRequest, HttpResponse, ProviderEmail, SocialAnswer, SocialError, SocialProfile,
    SocialProvider, SocialRequest,
};

#[doc(hidden)]
pub use self::guards::__Grant;

/// What most applications name. Names that other crates have too, such as `Error`, `Any` and
/// [`guards::Token`], are not among it.
pub mod prelude {
    pub use crate::{
        Accounts, Anonymous, Auth, Empty, Fresh, Input, Mfa, Page, Public, Require, Security,
        SignedIn, Store, User, Via, policies,
    };
}

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the page for applications.
#[cfg(all(doctest, feature = "testing", feature = "sqlite"))]
#[doc = include_str!("../docs/from-an-application.md")]
struct FromAnApplication;
