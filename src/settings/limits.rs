//! `[security.limits]`.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use super::{table::Table, values::count};
use crate::types::NonZeroDuration;

/// `[security.limits]`: how many failures shut a door.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSettings {
    /// Failures for one account from unknown browsers within `window`. _Default:_ 10.
    pub per_account: NonZeroU32,
    /// Failures from one address (IPv6: one /64) within `window`. _Default:_ 100.
    pub per_address: NonZeroU32,
    /// How many times as much as one address all addresses of one IPv6 network of 48 bits may do together:
    /// of failures, registrations, mails, challenges and stored bytes. A site often has such a network, and
    /// an attacker can rent one. _Default:_ 10.
    pub network_factor: NonZeroU32,
    /// Failures for one account from one browser its owner used before. _Default:_ 10.
    pub per_device: NonZeroU32,
    /// Accounts that may be registered from one address within `window`. _Default:_ 300.
    pub registrations_per_address: u32,
    /// Mails that may be asked for from one address within `window`. _Default:_ 300.
    pub mails_per_address: u32,
    /// Challenges for passkeys that may be asked for from one address within `window`; a page that offers
    /// passkeys asks for one each time it is opened. As often somebody there may go to a provider.
    /// _Default:_ 600.
    pub challenges_per_address: u32,
    /// Bytes that requests of visitors at one address may store within a minute; each is counted by the most
    /// that its rows take. _Default:_ 1 000 000.
    pub bytes_per_address: NonZeroU32,
    /// Guesses at one mailed or texted code. _Default:_ 5.
    pub code_attempts: NonZeroU32,
    /// Wrong codes for one account within a day: of all doors at which a visitor signs in, confirms or resets
    /// by a code together; as many of all doors behind a first proof; and as many of the account's known
    /// browsers. A right code clears none of them. Mailed links and passkeys stay good. _Default:_ 50.
    pub codes_per_day: NonZeroU32,
    /// The time in which failures are added up. _Default:_ 15 min.
    pub window: NonZeroDuration,
    /// How long the door stays shut. _Default:_ 15 min.
    pub lock: NonZeroDuration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            per_account: count(10),
            per_address: count(100),
            network_factor: count(10),
            per_device: count(10),
            registrations_per_address: 300,
            mails_per_address: 300,
            challenges_per_address: 600,
            bytes_per_address: count(1_000_000),
            code_attempts: count(5),
            codes_per_day: count(50),
            window: NonZeroDuration::at_least(Duration::from_mins(15)),
            lock: NonZeroDuration::at_least(Duration::from_mins(15)),
        }
    }
}

impl Table for LimitSettings {
    const NAME: &'static str = "limits";
}
