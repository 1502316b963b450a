//! A passkey as the answer to a second step.
#![allow(dead_code, reason = "passkeys may not be compiled in")]

use super::pending::SecondStep;
use crate::{
    core::Core,
    error::Error,
    http::client::ClientInfo,
    signin::{
        limits::{Buckets, locked},
        second_factors::Passed,
        ticket::ValidTicket,
    },
    store::{Conn, StoreError, failures, users},
    types::Method,
};

/// Answers a second step by something that is checked elsewhere: a passkey. `effect` writes what came of it,
/// in the transaction that uses the step up; its answer is handed back, and only `true` passes.
pub(crate) async fn answer<T: Send + 'static>(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
    mut effect: impl FnMut(&mut Conn) -> Result<(bool, T), StoreError> + Send + 'static,
) -> Result<(Option<Passed>, T), Error> {
    let (buckets, now) = (Buckets::of_user(core, &held.user, client), core.now());
    let (counters, ticket_id) = (buckets.all(), held.ticket_id());
    let (id, uniquifier) = (held.user.id.clone(), held.user.uniquifier.clone());
    let checked = core
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            if let Some(until) = failures::locked_until(conn, &counters, now)? {
                return Ok(Err(until));
            }
            let (right, came) = effect(conn)?;
            // Two answers at once: the one that comes too late takes nothing with it.
            if right && !ticket_id.consume(conn, now)? {
                return Err(StoreError::Missing);
            }
            let user = users::by_id(conn, &id)?.ok_or(StoreError::Missing)?;
            Ok(Ok((right.then_some(user), came)))
        })
        .await;
    match checked {
        Ok(Ok((user, came))) => {
            let mut methods = held.payload.methods().and(Method::Passkey);
            // Two passkeys are two things that are held, and each was shown.
            if held.payload.shown.is_some() {
                methods = methods.and_verified();
            }
            let passed = user.map(|user| Passed {
                user,
                methods,
                buckets,
            });
            Ok((passed, came))
        }
        Ok(Err(until)) => Err(locked(until, now)),
        Err(StoreError::Missing) => Err(Error::NothingPending),
        Err(error) => Err(error.into()),
    }
}
