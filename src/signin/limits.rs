//! Limits of guessing: counted in SQL, per account and per client address, over all doors.
//!
//! A browser in which the owner signed in before carries a device cookie and has a budget of its own,
//! so nobody can lock an owner out by guessing. Buckets are keyed hashes: the table tells nothing about
//! who was tried, and hostile text has a fixed size.
//!
//! What it does not promise: guesses that are being checked when the last allowed failure is counted
//! are still answered, at most one for each hashing thread.

use serde::{Deserialize, Serialize};

use crate::{
    config::Life,
    error::{Denied, Error},
    http::client::ClientInfo,
    identity::Identity,
    notify::events::EventKind,
    secrets::Purpose,
    signin::Methods,
    site::Site,
    store::{
        Timestamp, User, UserId,
        failures::{self, Allowance},
    },
};

/// `[security.limits]`: how many failures shut a door.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Failures for one account from unknown browsers within `window`. _Default:_ 10.
    pub per_account: u32,
    /// Failures from one address (IPv6: one /64) within `window`. _Default:_ 100.
    pub per_address: u32,
    /// Failures for one account from one browser its owner used before. _Default:_ 10.
    pub per_device: u32,
    /// The time in which failures are added up. _Default:_ 15 min.
    pub window: Life,
    /// How long the door stays shut. _Default:_ 15 min.
    pub lock: Life,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            per_account: 10,
            per_address: 100,
            per_device: 10,
            window: Life::minutes(15),
            lock: Life::minutes(15),
        }
    }
}

/// The counters that one attempt concerns.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    counters: Vec<(String, Allowance)>,
}

impl Buckets {
    /// The counters of an attempt on `identity`, behind which `user` was found.
    pub(crate) fn of(
        site: &Site,
        identity: &Identity,
        user: Option<&UserId>,
        client: &ClientInfo,
    ) -> Self {
        match user {
            Some(user) => Self::of_user(site, user, client),
            None => Self::unknown(site, identity, client),
        }
    }

    /// The counters of an attempt on a known account.
    pub(crate) fn of_user(site: &Site, user: &UserId, client: &ClientInfo) -> Self {
        let limits = &site.settings.limits;
        match client.device.known_device(site, user) {
            // A known device stands apart: neither the account's lock nor its address's reaches it.
            Some(device) => Self::new(
                site,
                [(["device", &device, user.as_str()], limits.per_device)],
            ),
            None => {
                let address = client.address_bucket();
                Self::new(
                    site,
                    [
                        (["account", user.as_str(), ""], limits.per_account),
                        (["address", &address, ""], limits.per_address),
                    ],
                )
            }
        }
    }

    fn unknown(site: &Site, identity: &Identity, client: &ClientInfo) -> Self {
        let limits = &site.settings.limits;
        let (identity, address) = (identity.bucket(), client.address_bucket());
        Self::new(
            site,
            [
                (["identity", &identity, ""], limits.per_account),
                (["address", &address, ""], limits.per_address),
            ],
        )
    }

    fn new<'a>(site: &Site, counters: impl IntoIterator<Item = ([&'a str; 3], u32)>) -> Self {
        let limits = &site.settings.limits;
        let counters = counters
            .into_iter()
            .map(|(parts, failures)| {
                let tag = site.keys.mac(Purpose::Limits, &parts.map(str::as_bytes));
                let allowance = Allowance {
                    failures,
                    window: limits.window,
                    lock: limits.lock,
                };
                (data_encoding::BASE64URL_NOPAD.encode(&tag), allowance)
            })
            .collect();
        Self { counters }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.counters.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Those that a success clears: not the address's, which a guesser could else wash clean by
    /// signing in to an account of his own now and then.
    pub(crate) fn cleared_by_success(&self) -> Vec<String> {
        self.counters
            .iter()
            .take(1)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// Refuses if a door is shut.
pub(crate) fn refuse_if_locked(locked: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match locked {
        Some(until) => Err(Denied::Locked {
            until,
            retry_after: now.seconds_until(until),
        }
        .into()),
        None => Ok(()),
    }
}

/// Counts a failure in every bucket of an attempt, and tells of it.
pub(crate) async fn count_failure(
    site: &Site,
    buckets: &Buckets,
    user: Option<&User>,
    methods: Methods,
    client: &ClientInfo,
) -> Result<(), Error> {
    let (now, counters) = (site.now(), buckets.counters.clone());
    let shut = site
        .store
        .write(move |conn| {
            let mut shut = None;
            for (bucket, allowance) in &counters {
                shut = shut.max(failures::count(conn, bucket, *allowance, now)?);
            }
            Ok(shut)
        })
        .await?;
    let user = user.map(|user| user.id.clone());
    site.event(
        Some(&client.client),
        EventKind::AuthenticationFailed {
            user: user.clone(),
            methods,
        },
    );
    if let Some(until) = shut {
        site.event(Some(&client.client), EventKind::Locked { user, until });
    }
    Ok(())
}

/// Whether the mail `which` may go to `address` now: at most one a minute, whoever asks for it.
///
/// The same counters as for failures: the first shuts the door for the next.
pub(crate) async fn may_mail(site: &Site, which: &str, address: &str) -> Result<bool, Error> {
    let minute = Life::minutes(1);
    let allowance = Allowance {
        failures: 1,
        window: minute,
        lock: minute,
    };
    let parts = ["mail", which, address].map(str::as_bytes);
    let bucket = data_encoding::BASE64URL_NOPAD.encode(&site.keys.mac(Purpose::Limits, &parts));
    let now = site.now();
    let first = site
        .store
        .write(move |conn| failures::count(conn, &bucket, allowance, now))
        .await?;
    Ok(first.is_some())
}
