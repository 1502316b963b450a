//! skeleton
#![allow(dead_code, unused_imports)]
pub mod config;
mod http;
mod identity;
mod secrets;
pub use http::address::{ClientAddress, ForwardedHeader};
pub use http::messages::Message;
pub use http::redirect::RedirectSettings;
pub use identity::{
    EmailAddress, EmailPolicy, IdentityKind, StandardEmailPolicy, StandardUsernamePolicy, Username,
    UsernamePolicy, UsernameSettings,
};
pub use secrets::Secret;
pub use secrets::hashing::{HashError, Hasher, HashingSettings, Verdict};
pub use secrets::password::{Password, PasswordHash};
pub use secrets::policy::{
    BreachCheck, PasswordCheck, PasswordPolicy, PolicyError, PolicySettings, StandardPolicy,
};
