//! Which passwords are accepted.
//!
//! NIST SP 800-63B, section 5.1.1.2, asks for a minimum length and a look-up among passwords known
//! to attackers, and advises against rules of composition; so there are none here.

#[cfg(feature = "breach")]
mod breach;
mod check;
mod common;
mod settings;
mod similar;

pub use self::check::{PasswordCheck, PasswordPolicy, PolicyError, StandardPolicy};
pub use self::settings::{BreachCheck, PolicySettings};
