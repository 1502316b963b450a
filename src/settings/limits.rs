//! `[security.limits]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::{Problem, Table};
use crate::types::NonZeroDuration;

/// `[security.limits]`: how many failures shut a door.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSettings {
    /// Failures for one account from unknown browsers within `window`. _Default:_ 10.
    pub per_account: u32,
    /// Failures from one address (IPv6: one /64) within `window`. _Default:_ 100.
    pub per_address: u32,
    /// How many times as much as one address all addresses of one IPv6 network of 48 bits may do together:
    /// of failures, registrations, mails, challenges and stored bytes. A site often has such a network, and
    /// an attacker can rent one. _Default:_ 10.
    pub network_factor: u32,
    /// Failures for one account from one browser its owner used before. _Default:_ 10.
    pub per_device: u32,
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
    pub bytes_per_address: u32,
    /// Guesses at one mailed or texted code. _Default:_ 5.
    pub code_attempts: u32,
    /// Wrong codes for one account within a day: of all doors at which a visitor signs in, confirms or resets
    /// by a code together; as many of all doors behind a first proof; and as many of the account's known
    /// browsers. A right code clears none of them. Mailed links and passkeys stay good. _Default:_ 50.
    pub codes_per_day: u32,
    /// The time in which failures are added up. _Default:_ 15 min.
    pub window: NonZeroDuration,
    /// How long the door stays shut. _Default:_ 15 min.
    pub lock: NonZeroDuration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            per_account: 10,
            per_address: 100,
            network_factor: 10,
            per_device: 10,
            registrations_per_address: 300,
            mails_per_address: 300,
            challenges_per_address: 600,
            bytes_per_address: 1_000_000,
            code_attempts: 5,
            codes_per_day: 50,
            window: NonZeroDuration::at_least(Duration::from_mins(15)),
            lock: NonZeroDuration::at_least(Duration::from_mins(15)),
        }
    }
}

impl Table for LimitSettings {
    const NAME: &'static str = "limits";

    fn check(&self) -> Result<(), Problem> {
        for (key, number) in [
            ("per_account", self.per_account),
            ("per_address", self.per_address),
            ("per_device", self.per_device),
            ("code_attempts", self.code_attempts),
            ("codes_per_day", self.codes_per_day),
            ("network_factor", self.network_factor),
            ("bytes_per_address", self.bytes_per_address),
        ] {
            if number == 0 {
                return Err(Problem::at(
                    key,
                    "is 0, which would let nobody in; write 1 or more",
                ));
            }
        }
        Ok(())
    }
}
