//! The Rocket in which routes are looked at.

use rocket::{Ignite, Rocket};

/// Marks the Rocket in which sentinels are asked what stands in a signature.
pub(crate) struct Probe;

impl Probe {
    pub(crate) fn answers(rocket: &Rocket<Ignite>) -> bool {
        rocket.state::<Self>().is_some()
    }
}
