//! The behaviour of the whole, by HTTP, on every database that is there.
#![cfg(test)]
#![allow(missing_docs, unreachable_pub, reason = "nobody links against tests")]

mod api_keys;
mod app;
mod attacks;
mod clock_back;
mod csrf;
mod datastore;
mod dev_mail;
mod guards;
mod hashes;
mod hooks;
mod input;
mod limits;
mod login;
mod logout;
mod methods;
mod negotiation;
mod order;
mod outbox;
mod overrides;
mod pages;
mod redirects;
mod refresh_tokens;
mod register;
mod remember;
mod routes;
mod sessions;
mod settings;
mod shape;
mod smtp;
mod smtp_server;
mod tickets;
mod tokens;
mod verify;

#[cfg(all(feature = "cli", feature = "sqlite"))]
#[path = "."]
mod with_cli {
    pub mod browser;
    pub mod cli;
}

#[cfg(feature = "smtp")]
#[path = "."]
mod with_smtp {
    pub mod change_email;
    pub mod change_password;
    pub mod change_username;
    pub mod confirm;
    pub mod doors;
    pub mod for_browsers;
    pub mod invite;
    pub mod mailed;
    pub mod passwordless;
    pub mod recover;
    pub mod recover_username;
    pub mod takeover;
    pub mod unlock;
}

#[cfg(all(feature = "smtp", feature = "sms"))]
#[path = "."]
mod with_factors {
    pub mod bounds;
    pub mod endings;
    pub mod factor_attacks;
    pub mod factors;
    pub mod guesses;
    pub mod hooks_factors;
    pub mod recovery_codes;
    pub mod second_step;
    pub mod telling;
    pub mod two_factor;
    pub mod unified;
}

#[cfg(all(feature = "passkeys", feature = "smtp", feature = "sms"))]
#[path = "."]
mod with_passkeys {
    pub mod authenticators;
    pub mod choices;
    pub mod contract;
    pub mod keep;
    pub mod passkey_attacks;
    pub mod passkey_shapes;
    pub mod passkeys;
}

#[cfg(all(feature = "social", feature = "smtp", feature = "sms"))]
#[path = "."]
mod with_social {
    pub mod addresses;
    pub mod provider;
    pub mod provider_claims;
    pub mod social;
    pub mod social_attacks;
    pub mod social_process;
}

#[cfg(all(
    feature = "cli",
    feature = "passkeys",
    feature = "smtp",
    feature = "sms",
    feature = "social",
    feature = "sqlite"
))]
#[path = "."]
mod with_everything {
    pub mod api_keys_browser;
    pub mod browser_factors;
    pub mod passkeys_browser;
    pub mod social_browser;
    pub mod ways_in;
    pub mod wording;
}
