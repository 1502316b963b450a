//! Uses of sessions and API keys that wait to be written, many in one transaction.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Store, StoreError, api_keys,
    sessions::{self, Touch},
};
use crate::types::{SessionId, Timestamp};

/// Uses of sessions that wait to be written, many in one transaction.
///
/// A process that is killed forgets a few seconds of use; nobody is signed out by that.
#[derive(Debug, Default)]
pub(crate) struct Touches(Mutex<HashMap<SessionId, Touch>>);

impl Touches {
    pub(crate) fn waiting(&self, id: &SessionId) -> Option<Touch> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .copied()
    }

    pub(crate) fn note(&self, id: &SessionId, seen: Timestamp, grace_until: Option<Timestamp>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let touch = waiting
            .entry(id.clone())
            .or_insert(Touch { seen, grace_until });
        touch.seen = touch.seen.max(seen);
        touch.grace_until = touch.grace_until.max(grace_until);
    }

    /// Writes down what waits.
    pub(crate) async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let waiting: Vec<(SessionId, Touch)> =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
                .into_iter()
                .collect();
        for chunk in waiting.chunks(2_000) {
            let chunk = chunk.to_vec();
            store
                .write(move |conn| sessions::touch_all(conn, &chunk))
                .await?;
        }
        Ok(())
    }
}

/// Uses of a key closer together than this are not written down.
pub(crate) const NOTED_EVERY: Duration = Duration::from_mins(5);

/// Uses of keys that wait to be written, many in one transaction.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<HashMap<String, (Timestamp, String)>>);

impl KeyUses {
    /// Notes a use, unless one is noted that is recent enough.
    pub(crate) fn note(&self, id: &str, at: Timestamp, from: impl FnOnce() -> String) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = waiting
            .get(id)
            .is_none_or(|(noted, _)| noted.after(NOTED_EVERY) <= at);
        if due {
            waiting.insert(id.to_string(), (at, from()));
        }
    }

    /// Writes down what waits.
    pub(crate) async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let waiting: Vec<(String, Timestamp, String)> =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
                .into_iter()
                .map(|(id, (at, from))| (id, at, from))
                .collect();
        for chunk in waiting.chunks(500) {
            let mut chunk = chunk.to_vec();
            // Two processes that write the same keys take them in one order.
            chunk.sort_unstable();
            store
                .write(move |conn| api_keys::touch_all(conn, &chunk))
                .await?;
        }
        Ok(())
    }
}
