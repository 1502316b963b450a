//! Hashing passwords: Argon2id on threads of its own.
//!
//! Made here is Argon2id alone (RFC 9106), in PHC form. Hashes of other makes are verified, and
//! replaced when their owner signs in. What it does not promise: that a hash brought from elsewhere
//! takes as long to verify as ours, so until it is replaced its account can be told by the time.

mod argon;
mod engine;
mod error;
mod form;
mod hasher;
#[cfg(feature = "imports")]
mod imports;
mod pool;
mod settings;

pub(super) use self::form::is_supported;
pub use self::{engine::Verdict, error::HashError, hasher::Hasher, settings::HashingSettings};
