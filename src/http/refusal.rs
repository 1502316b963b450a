//! How a refusal travels from where it is found to who answers: through the request.

use std::sync::{Mutex, PoisonError};

use rocket::{Request, http::Status};

use super::status::status_of;
use crate::error::{Denied, Error};

/// Whether whoever is refused for want of a fresh proof could give one by a passkey.
#[derive(Default)]
pub(crate) struct ByPasskey(std::sync::atomic::AtomicBool);

impl ByPasskey {
    /// Leaves it for the catcher.
    pub(crate) fn leave(request: &Request<'_>) {
        let slot = request.local_cache(Self::default);
        slot.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn recall(request: &Request<'_>) -> bool {
        let slot = request.local_cache(Self::default);
        slot.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Slot(Mutex<Option<Error>>);

/// Leaves `error` for the catcher, and answers the status under which it will come.
pub(crate) fn remember(request: &Request<'_>, error: &Error) -> Status {
    if let Error::Unavailable { why, .. } | Error::Broken(why) = error {
        // Said here, because `Option<Guard>` reads every error as "none". By the route: the path itself may
        // hold a secret.
        let route = request.route().map(|route| route.uri.to_string());
        let route = route.unwrap_or_else(|| "a path without a route".into());
        log::error!("{} {route}: {why}", request.method());
    }
    let slot = request.local_cache(Slot::default);
    *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    status_of(error)
}

/// What was left, if anything.
pub(crate) fn recall(request: &Request<'_>) -> Option<Error> {
    let slot = request.local_cache(Slot::default);
    slot.0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Seconds for `Retry-After`, where waiting helps.
pub(crate) fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::Unavailable { retry_after, .. }
        | Error::Denied(Denied::Locked { retry_after, .. }) => Some((*retry_after).max(1)),
        _ => None,
    }
}
