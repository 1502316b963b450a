//! Values that must not be printed, compared in variable time or kept longer than needed.

pub(crate) mod hashing;
pub(crate) mod keys;
pub(crate) mod known;
pub(crate) mod password;
pub(crate) mod policy;
mod secret;

pub(crate) use self::keys::{Keys, Purpose};
pub use self::secret::Secret;
pub(crate) use self::secret::{digest, random_token};
pub use self::{
    hashing::{HashError, Hasher, HashingSettings, Verdict},
    password::{Password, PasswordHash},
    policy::{
        BreachCheck, PasswordCheck, PasswordPolicy, PolicyError, PolicySettings, StandardPolicy,
    },
};
