//! skeleton
#![allow(dead_code, unused_imports)]
pub mod config;
mod http;
mod secrets;
pub use http::messages::Message;
pub use secrets::Secret;
pub use secrets::hashing::{HashError, Hasher, HashingSettings, Verdict};
pub use secrets::password::{Password, PasswordHash};
pub use secrets::policy::{
    BreachCheck, PasswordCheck, PasswordPolicy, PolicyError, PolicySettings, StandardPolicy,
};
