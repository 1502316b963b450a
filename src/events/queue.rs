//! The queues between what happens and who listens.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{
    event::{Actor, Client, Event},
    kind::EventKind,
};
use crate::types::Timestamp;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(crate) type Subscriber = Arc<dyn Fn(Event) -> Boxed + Send + Sync>;

/// Events one subscriber may be behind before the newest are dropped (with a line in the log).
const BACKLOG: usize = 4_096;
/// How long a subscriber may take over one event.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process that ends waits for its subscribers.
#[cfg(feature = "cli")]
const FAREWELL: Duration = Duration::from_secs(5);

/// The list of subscribers, running.
#[derive(Clone, Default)]
pub(crate) struct Events {
    queues: Arc<[mpsc::Sender<Event>]>,
    pending: Arc<Pending>,
}

/// Events that some subscriber has not dealt with, and the news that there are none left.
#[derive(Default)]
struct Pending {
    count: AtomicUsize,
    none: Notify,
}

impl Pending {
    fn done(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none.notify_waiters();
        }
    }
}

impl Events {
    /// Starts a task for each subscriber.
    pub(crate) fn start(subscribers: Vec<Subscriber>) -> Self {
        let pending = Arc::new(Pending::default());
        let queues = subscribers.into_iter().map(|subscriber| {
            let pending = pending.clone();
            let (sender, mut receiver) = mpsc::channel::<Event>(BACKLOG);
            tokio::spawn(async move {
                while let Some(event) = receiver.recv().await {
                    // The call itself may panic, before there is a future.
                    let handled =
                        AssertUnwindSafe(async { subscriber(event).await }).catch_unwind();
                    match timeout(PATIENCE, handled).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => log::error!("an event subscriber panicked"),
                        Err(_) => log::error!("an event subscriber took longer than {PATIENCE:?}"),
                    }
                    pending.done();
                }
            });
            sender
        });
        Self {
            queues: queues.collect(),
            pending,
        }
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        !self.queues.is_empty()
    }

    pub(crate) fn emit(
        &self,
        at: Timestamp,
        actor: Actor,
        client: Option<&Client>,
        kind: EventKind,
    ) {
        if self.queues.is_empty() {
            return;
        }
        let event = Event {
            at,
            actor,
            user: kind.user().cloned(),
            client: client.cloned(),
            kind,
        };
        for queue in self.queues.iter() {
            self.pending.count.fetch_add(1, Ordering::AcqRel);
            if queue.try_send(event.clone()).is_err() {
                self.pending.done();
                log::warn!(
                    "an event subscriber is more than {BACKLOG} events behind; one was dropped"
                );
            }
        }
    }

    /// Waits until every subscriber has dealt with what was emitted, but not for long: for a process
    /// that is about to end. False if some event was still on its way.
    #[cfg(feature = "cli")]
    pub(crate) async fn drain(&self) -> bool {
        let drained = async {
            loop {
                // Listening begins before the look, so that the last `done` is not missed in between.
                let none = self.pending.none.notified();
                let mut none = std::pin::pin!(none);
                none.as_mut().enable();
                if self.pending.count.load(Ordering::Acquire) == 0 {
                    return;
                }
                none.await;
            }
        };
        timeout(FAREWELL, drained).await.is_ok()
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;
    use crate::types::UserId;

    fn subscriber(heard: &Arc<AtomicUsize>, pause: Duration) -> Subscriber {
        let heard = heard.clone();
        Arc::new(move |_| {
            let heard = heard.clone();
            Box::pin(async move {
                tokio::time::sleep(pause).await;
                heard.fetch_add(1, Ordering::SeqCst);
            })
        })
    }

    #[tokio::test]
    async fn draining_waits_for_slow_subscribers_and_for_panics() {
        let heard = Arc::new(AtomicUsize::new(0));
        let panics: Subscriber = Arc::new(|_| panic!("on purpose"));
        let slow = subscriber(&heard, Duration::from_millis(20));
        let events = Events::start(vec![panics, slow, subscriber(&heard, Duration::ZERO)]);
        for _ in 0..3 {
            let kind = EventKind::LoggedOut {
                user: UserId::new(),
            };
            events.emit(Timestamp::from_millis(0), Actor::System, None, kind);
        }
        assert!(events.drain().await);
        assert_eq!(heard.load(Ordering::SeqCst), 6);
    }

    #[tokio::test]
    async fn draining_nothing_takes_no_time() {
        assert!(Events::default().drain().await);
        assert!(
            Events::start(vec![subscriber(&Arc::default(), Duration::ZERO)])
                .drain()
                .await
        );
    }
}
