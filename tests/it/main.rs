//! The behaviour of the whole, by HTTP, on every database that is there.
#![allow(missing_docs, unreachable_pub, reason = "nobody links against tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test wants to fail loudly"
)]

#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod addresses;
mod api_keys;
#[cfg(all(feature = "cli", feature = "sqlite", feature = "smtp", feature = "sms"))]
mod api_keys_browser;
mod app;
mod attacks;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod authenticators;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod bounds;
#[cfg(all(feature = "cli", feature = "sqlite"))]
mod browser;
#[cfg(all(feature = "cli", feature = "sqlite", feature = "smtp", feature = "sms"))]
mod browser_factors;
#[cfg(feature = "smtp")]
mod change_email;
#[cfg(feature = "smtp")]
mod change_password;
#[cfg(feature = "smtp")]
mod change_username;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod choices;
#[cfg(all(feature = "cli", feature = "sqlite"))]
mod cli;
mod clock_back;
#[cfg(feature = "smtp")]
mod confirm;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod contract;
mod csrf;
mod datastore;
mod dev_mail;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod endings;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod factor_attacks;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod factors;
#[cfg(feature = "smtp")]
mod for_browsers;
mod guards;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod guesses;
mod hashes;
mod hooks;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod hooks_factors;
mod input;
#[cfg(feature = "smtp")]
mod invite;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod keep;
mod limits;
mod login;
mod logout;
#[cfg(feature = "smtp")]
mod mailed;
mod methods;
mod negotiation;
mod order;
mod outbox;
mod overrides;
mod pages;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod passkey_attacks;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod passkey_shapes;
#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
mod passkeys;
#[cfg(all(feature = "cli", feature = "sqlite", feature = "passkeys"))]
mod passkeys_browser;
#[cfg(feature = "smtp")]
mod passwordless;
#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod provider;
#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod provider_claims;
#[cfg(feature = "smtp")]
mod recover;
#[cfg(feature = "smtp")]
mod recover_username;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod recovery_codes;
mod redirects;
mod refresh_tokens;
mod register;
mod remember;
mod routes;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod second_step;
mod sessions;
mod settings;
mod shape;
mod smtp;
mod smtp_server;
#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod social;
#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod social_attacks;
#[cfg(all(
    feature = "cli",
    feature = "sqlite",
    feature = "social",
    feature = "smtp",
    feature = "sms"
))]
mod social_browser;
#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
mod social_process;
#[cfg(feature = "smtp")]
mod takeover;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod telling;
mod tickets;
mod tokens;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod two_factor;
#[cfg(all(feature = "smtp", feature = "sms"))]
mod unified;
#[cfg(feature = "smtp")]
mod unlock;
mod verify;
#[cfg(all(
    feature = "passkeys",
    feature = "social",
    feature = "smtp",
    feature = "sms"
))]
mod ways_in;
