//! Limits of guessing: counted in SQL, per account and per client address, over all doors.
//!
//! A browser in which the owner signed in before carries a device cookie and has a budget of its own,
//! so nobody can lock an owner out by guessing. Buckets are keyed hashes: the table tells nothing about
//! who was tried, and hostile text has a fixed size.
//!
//! Of many guesses at once no more are answered than the limit allows, however many were under way: an
//! answer is given only if its failure could still be counted, and a right guess only while the door is
//! open. Afterwards right and wrong get the same refusal.

use std::time::Duration;

use crate::{
    core::Core,
    error::{Denied, Error},
    events::EventKind,
    http::client::ClientInfo,
    identity::{EmailAddress, Identity},
    signin::ticket::CodeSubject,
    store::{
        Conn, StoreError, User,
        failures::{self, Allowance, Counted},
    },
    types::{Methods, Timestamp, UserId, span::days},
};

/// The counters that one attempt concerns.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    /// Of the name, the account or the device.
    own: Vec<(String, Allowance)>,
    /// Of guesses at codes. A new password and an unlocking mail leave them be: a factor is there against
    /// whoever reads the mail, too.
    codes: Vec<(String, Allowance)>,
    /// Of guesses at codes within a day. Nothing clears them, so that a guesser gets no more by waiting for
    /// the owner to sign in.
    day: Vec<(String, Allowance)>,
    /// Of the client's address and its network; none for a browser that the account knows.
    address: Vec<(String, Allowance)>,
    /// Whether the account knows the browser.
    is_known: bool,
    /// Whether the owner is offered to open the lock by mail.
    unlock: bool,
}

impl Buckets {
    /// The counters of an attempt on `identity`, behind which `user` was found.
    ///
    /// What was typed is counted whether or not there is such an account, so that a lock does not tell;
    /// the account is counted too, whatever of its names was typed.
    pub(crate) fn of(
        core: &Core,
        identity: &Identity,
        user: Option<&User>,
        client: &ClientInfo,
    ) -> Self {
        let limits = &core.settings.limits;
        if let Some(known) = user.and_then(|user| Self::of_known_device(core, user, client)) {
            return known;
        }
        let typed = identity.bucket();
        let mut counters = vec![(["identity", typed.as_str(), ""], limits.per_account.get())];
        // For nobody another that is counted with it, so that the work is the same.
        let account = match user {
            Some(user) => ["account", user.id.as_str(), ""],
            None => ["account", "", typed.as_str()],
        };
        counters.push((account, limits.per_account.get()));
        Self::new(core, counters, client)
    }

    /// The counters of an attempt on a known account.
    pub(crate) fn of_user(core: &Core, user: &User, client: &ClientInfo) -> Self {
        Self::of_known_device(core, user, client).unwrap_or_else(|| {
            let limit = core.settings.limits.per_account.get();
            let account = ["account", user.id.as_str(), ""];
            Self::new(core, vec![(account, limit)], client)
        })
    }

    /// The counters of a guess at the code of a factor of a known account.
    pub(crate) fn of_factor(core: &Core, user: &User, client: &ClientInfo) -> Self {
        Self::of_user(core, user, client).with_codes(core, "codes", user.id.as_str())
    }

    /// The counters of a guess at a code that anybody can try: to sign in, confirm an address or reset a
    /// password. They are apart from those of the second step, which a stranger is not to shut.
    pub(crate) fn of_first_code(
        core: &Core,
        identity: &Identity,
        user: Option<&User>,
        client: &ClientInfo,
    ) -> Self {
        let account = match user {
            Some(user) => user.id.to_string(),
            None => identity.bucket(),
        };
        Self::of(core, identity, user, client).with_codes(core, "first codes", &account)
    }

    /// Adds those of codes: for a while, and for a day over all doors of that kind. The account's known
    /// browsers have a day's limit that nobody else can use up.
    fn with_codes(mut self, core: &Core, door: &str, account: &str) -> Self {
        let limits = &core.settings.limits;
        let day = Allowance {
            failures: limits.codes_per_day.get(),
            window: days(1),
            lock: days(1),
        };
        let whose = match self.is_known {
            true => "known codes",
            false => door,
        };
        self.day = vec![(core.keys.bucket([whose, account, "a day"]), day)];
        if !self.is_known {
            self.codes = vec![counter(core, [door, account, ""], limits.per_account.get())];
        }
        self
    }

    /// A known device stands apart: neither the account's lock nor its address's reaches it.
    fn of_known_device(core: &Core, user: &User, client: &ClientInfo) -> Option<Self> {
        let device = client.device.known_device(&core.http, user)?;
        let parts = ["device", &device, user.id.as_str()];
        let counter = counter(core, parts, core.settings.limits.per_device.get());
        Some(Self {
            own: vec![counter],
            codes: Vec::new(),
            day: Vec::new(),
            address: Vec::new(),
            is_known: true,
            unlock: true,
        })
    }

    fn new(core: &Core, own: Vec<([&str; 3], u32)>, client: &ClientInfo) -> Self {
        let per_address = core.settings.limits.per_address.get();
        Self {
            own: own
                .into_iter()
                .map(|(parts, limit)| counter(core, parts, limit))
                .collect(),
            codes: Vec::new(),
            day: Vec::new(),
            address: address_counters(core, client, "address", per_address).collect(),
            is_known: false,
            unlock: true,
        }
    }

    /// The counters of guesses at the code of a new address, apart from any account's: whoever guesses
    /// there keeps nobody from signing in.
    pub(crate) fn of_code(core: &Core, handle: &CodeSubject, client: &ClientInfo) -> Self {
        let limit = core.settings.limits.per_account.get();
        let own = vec![(["code", handle.as_str(), ""], limit)];
        Self {
            unlock: false,
            ..Self::new(core, own, client)
        }
        .with_codes(core, "codes of an address", handle.as_str())
    }

    /// The counters of an account under all of its names, for whoever proved to own it.
    pub(crate) fn names_of_account(core: &Core, user: &User) -> Vec<String> {
        let mut names = vec![core.keys.bucket(["account", user.id.as_str(), ""])];
        let email = EmailAddress::parse(&user.email).map(Identity::Email);
        let username = user
            .username
            .as_deref()
            .map(|name| core.usernames.parse(name).map(Identity::Username));
        for identity in std::iter::once(email).chain(username).flatten() {
            names.push(core.keys.bucket(["identity", &identity.bucket(), ""]));
        }
        names
    }

    fn counters(&self) -> impl Iterator<Item = &(String, Allowance)> {
        let codes = self.codes.iter().chain(&self.day);
        self.own.iter().chain(codes).chain(&self.address)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(String, Allowance)> {
        self.counters().cloned().collect()
    }

    /// Those that a success clears: not the address's, which a guesser could else wash clean by
    /// signing in to an account of his own now and then.
    pub(crate) fn cleared_by_success(&self) -> Vec<String> {
        let own = self.own.iter().chain(&self.codes);
        own.map(|(name, _)| name.clone()).collect()
    }

    /// Those that a mail to the owner opens.
    pub(crate) fn opened_by_mail(&self) -> Vec<String> {
        self.own.iter().map(|(name, _)| name.clone()).collect()
    }
}

fn counter(core: &Core, parts: [&str; 3], failures: u32) -> (String, Allowance) {
    let limits = &core.settings.limits;
    let allowance = Allowance {
        failures,
        window: limits.window.get(),
        lock: limits.lock.get(),
    };
    (core.keys.bucket(parts), allowance)
}

/// The counters of something that is counted by the client's address, and by its network.
fn address_counters<'a>(
    core: &'a Core,
    client: &ClientInfo,
    what: &'a str,
    limit: u32,
) -> impl Iterator<Item = (String, Allowance)> + use<'a> {
    let of_network = limit.saturating_mul(core.settings.limits.network_factor.get());
    let address = std::iter::once((client.address_bucket(), limit));
    let network = client.network_bucket().map(|network| (network, of_network));
    address
        .chain(network)
        .map(move |(from, limit)| counter(core, [what, &from, ""], limit))
}

/// Refuses if one of the doors of an attempt is shut.
pub(crate) async fn refuse_if_locked(core: &Core, buckets: &Buckets) -> Result<(), Error> {
    let (counters, now) = (buckets.all(), core.now());
    let locked = core
        .store
        .read(move |conn| failures::locked_until(conn, &counters, now))
        .await?;
    refuse_until(locked, now)
}

fn refuse_until(until: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    until.map_or(Ok(()), |until| Err(locked(until, now)))
}

/// The door is shut until then.
pub(crate) fn locked(until: Timestamp, now: Timestamp) -> Error {
    Denied::Locked {
        until,
        retry_after: now.seconds_until(until),
    }
    .into()
}

/// Counts a failure in every bucket of an attempt, and tells of it.
///
/// # Errors
///
/// [`Denied::Locked`] if a door was shut before this failure could be counted: then the answer must not
/// say whether the guess was right.
pub(crate) async fn count_failure(
    core: &Core,
    buckets: &Buckets,
    user: Option<&User>,
    methods: Methods,
    client: &ClientInfo,
) -> Result<(), Error> {
    let (counting, now) = (buckets.clone(), core.now());
    let counted = core
        .store
        .write(move |conn| count(conn, &counting, now))
        .await?;
    tell_failure(core, buckets, counted, user, methods, client).await
}

/// What became of the counters of an attempt.
pub(crate) struct Tally(Vec<Counted>);

/// Counts a failure in every bucket of an attempt, in the transaction that judged it.
pub(crate) fn count(
    conn: &mut Conn,
    buckets: &Buckets,
    now: Timestamp,
) -> Result<Tally, StoreError> {
    let counted = buckets
        .counters()
        .map(|(bucket, allowance)| failures::count(conn, bucket, *allowance, now));
    counted.collect::<Result<_, _>>().map(Tally)
}

/// Tells of a failure that was counted.
///
/// # Errors
///
/// As [`count_failure`].
pub(crate) async fn tell_failure(
    core: &Core,
    buckets: &Buckets,
    Tally(counted): Tally,
    user: Option<&User>,
    methods: Methods,
    client: &ClientInfo,
) -> Result<(), Error> {
    let now = core.now();
    core.event(
        &client.client,
        EventKind::AuthenticationFailed {
            user: user.map(|user| user.id.clone()),
            methods,
        },
    );
    let (mut shut, mut was_shut, mut own_shut) = (None, None, None);
    for (n, counted) in counted.into_iter().enumerate() {
        match counted {
            Counted::Open => {}
            Counted::Shut(until) => {
                shut = shut.max(Some(until));
                if n < buckets.own.len() {
                    own_shut = shut;
                }
            }
            Counted::WasShut(until) => was_shut = was_shut.max(Some(until)),
        }
    }
    if let Some(until) = shut {
        let user = user.map(|user| user.id.clone());
        core.event(&client.client, EventKind::Locked { user, until });
    }
    if let Some(until) = own_shut
        && buckets.unlock
        && core.settings.unlock.enabled
        && let Err(error) = super::lockout::offer(core, client, user, buckets, until).await
    {
        log::error!("no mail was sent with which a lock can be opened: {error}");
    }
    refuse_until(was_shut, now)
}

/// What one address may do only so often, whoever it is for.
#[allow(
    dead_code,
    reason = "passkeys and providers ask for challenges, and may not be compiled in"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PerAddress {
    /// Make an account.
    Registration,
    /// Ask for a mail.
    Mail,
    /// Ask for a challenge, or go to a provider.
    Challenge,
    /// The same, for what a page offers by itself.
    Offer,
    /// Begin a second step, after a right password.
    SecondStep,
}

impl PerAddress {
    /// The most bytes that the rows of one such request take. No row of a visitor takes more than 4 KiB.
    const fn bytes(self) -> u32 {
        match self {
            Self::Registration | Self::Mail => 8 * 1_024,
            Self::Challenge | Self::Offer | Self::SecondStep => 4 * 1_024,
        }
    }
}

/// Counts something done from an address and the bytes that it stores, and refuses beyond the limits.
///
/// # Errors
///
/// [`Denied::Locked`].
pub(crate) async fn count_per_address(
    core: &Core,
    what: PerAddress,
    client: &ClientInfo,
) -> Result<(), Error> {
    let limits = &core.settings.limits;
    let times = match what {
        PerAddress::Registration => Some(("register", limits.registrations_per_address)),
        PerAddress::Mail => Some(("ask for a mail", limits.mails_per_address)),
        PerAddress::Challenge => Some(("ask for a challenge", limits.challenges_per_address)),
        PerAddress::Offer => Some(("offer a challenge", limits.challenges_per_address)),
        PerAddress::SecondStep => None,
    };
    let mut counters: Vec<(String, Allowance, u32)> = Vec::new();
    if let Some((name, limit)) = times {
        let of_times = address_counters(core, client, name, limit);
        counters.extend(of_times.map(|(bucket, allowance)| (bucket, allowance, 1)));
    }
    let limit = limits.bytes_per_address.get();
    let of_bytes =
        address_counters(core, client, "stored bytes", limit).map(|(bucket, counted)| {
            let a_minute = Allowance {
                window: Duration::from_mins(1),
                lock: Duration::from_mins(1),
                ..counted
            };
            (bucket, a_minute, what.bytes())
        });
    counters.extend(of_bytes);
    // What goes beyond the limit shuts the door, and is refused.
    for (_, allowance, _) in &mut counters {
        allowance.failures = allowance.failures.saturating_add(1);
    }
    let now = core.now();
    let shut = core
        .store
        .write(move |conn| {
            for (bucket, allowance, by) in &counters {
                match failures::count_by(conn, bucket, *allowance, *by, now)? {
                    Counted::Open => {}
                    Counted::Shut(until) | Counted::WasShut(until) => return Ok(Some(until)),
                }
            }
            Ok(None)
        })
        .await?;
    refuse_until(shut, now)
}

/// Counts something that an account does, and refuses beyond ten times within `window`: for what sends
/// mails or ends tickets each time.
///
/// # Errors
///
/// [`Denied::Locked`].
pub(crate) async fn count_per_user(core: &Core, what: &str, user: &UserId) -> Result<(), Error> {
    const TIMES: u32 = 10;
    let (bucket, allowance) = counter(core, ["own", what, user.as_str()], TIMES + 1);
    let now = core.now();
    let counted = core
        .store
        .write(move |conn| failures::count(conn, &bucket, allowance, now))
        .await?;
    match counted {
        Counted::Open => Ok(()),
        Counted::Shut(until) | Counted::WasShut(until) => refuse_until(Some(until), now),
    }
}
