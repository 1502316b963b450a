//! Everything that happens, for the application's own log, metrics or alerts.
//!
//! Each subscriber has a queue and a task of its own: a slow one delays nobody, a panicking one loses
//! one event. An event never carries a secret: no password, token, code or hash.

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
use serde::Serialize;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::types::{FactorKind, Methods, SessionId, Timestamp, UserId};

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// From where; absent for commands and jobs.
    pub client: Option<Client>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Client {
    /// The client's address.
    pub address: String,
    /// The client's `User-Agent`, cut to 255 characters.
    pub agent: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody passed the admission gate.
    Authenticated {
        /// Who.
        user: UserId,
        /// How it was proven.
        methods: Methods,
        /// The session that was opened, unless it was for one request.
        session: Option<SessionId>,
    },
    /// Somebody tried to sign in and failed.
    AuthenticationFailed {
        /// The account, if the identity names one.
        user: Option<UserId>,
        /// What was tried.
        methods: Methods,
    },
    /// A guard asked who it is and nobody could say.
    Unauthenticated {
        /// The path that was asked for, without its query.
        path: String,
    },
    /// Too many failures: a door was shut.
    Locked {
        /// The account, if one is meant.
        user: Option<UserId>,
        /// When it opens again.
        until: Timestamp,
    },
    /// A signed-in person proved it again.
    Reauthenticated {
        /// Who.
        user: UserId,
        /// How.
        methods: Methods,
    },
    /// Somebody signed out.
    LoggedOut {
        /// Who.
        user: UserId,
    },
    /// An owner ended sessions: in the list, or by the link of the mail about a new sign-in.
    SessionRevoked {
        /// Whose.
        user: UserId,
        /// Which; absent if it was all, or all the others.
        session: Option<SessionId>,
    },
    /// An old copy of a remember cookie came back: its device is forgotten and its sessions are ended.
    RememberTheft {
        /// Whose.
        user: UserId,
    },
    /// An account was made.
    Registered {
        /// Whose.
        user: UserId,
    },
    /// Somebody tried to register what exists.
    RegistrationCollision {
        /// The account that exists.
        user: UserId,
        /// Whether the address is the same.
        existing_email: bool,
        /// Whether the username is the same.
        existing_username: bool,
    },
    /// A mail was sent with which an address can be confirmed.
    ConfirmInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// An e-mail address was proven.
    EmailConfirmed {
        /// Whose.
        user: UserId,
    },
    /// A mail was sent with which a new password can be set.
    ResetInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// A new password was set by a mailed ticket.
    PasswordReset {
        /// Whose.
        user: UserId,
    },
    /// A mail was sent with which somebody can sign in.
    LoginInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// A mail was sent that says a username.
    UsernameRecoverySent {
        /// To whom.
        user: UserId,
    },
    /// A mail was sent to a new address, with which it can be proven.
    ChangeEmailInstructionsSent {
        /// For whom.
        user: UserId,
    },
    /// An account has another e-mail address, which was proven.
    EmailChanged {
        /// Whose.
        user: UserId,
    },
    /// A change of address was undone from the old address: everybody is signed out, the password is gone.
    EmailChangeUndone {
        /// Whose.
        user: UserId,
    },
    /// An account has another username.
    UsernameChanged {
        /// Whose.
        user: UserId,
    },
    /// A locked account was opened by a mailed ticket.
    Unlocked {
        /// Whose.
        user: UserId,
    },
    /// Somebody was invited.
    Invited {
        /// Whom.
        user: UserId,
    },
    /// An invitation was accepted.
    InvitationAccepted {
        /// By whom.
        user: UserId,
    },
    /// The next sign-in must set a new password.
    PasswordChangeRequired {
        /// Whose.
        user: UserId,
    },
    /// A factor was set up.
    FactorAdded {
        /// Whose.
        user: UserId,
        /// Of which kind.
        method: FactorKind,
    },
    /// A factor was removed.
    FactorRemoved {
        /// Whose.
        user: UserId,
        /// Of which kind.
        method: FactorKind,
    },
    /// A passkey or security key was added.
    PasskeyAdded {
        /// Whose.
        user: UserId,
        /// What its owner calls it.
        name: String,
    },
    /// A passkey or security key was removed.
    PasskeyRemoved {
        /// Whose.
        user: UserId,
        /// What its owner called it.
        name: String,
    },
    /// The counter of a passkey went back: somebody may have a copy. It opens nothing any more.
    PasskeySuspect {
        /// Whose.
        user: UserId,
        /// What its owner calls it.
        name: String,
    },
    /// A second factor was shown.
    SecondFactorPassed {
        /// By whom.
        user: UserId,
        /// All that was shown.
        methods: Methods,
    },
    /// An account asks for no second factor any more.
    SecondFactorOff {
        /// Whose.
        user: UserId,
    },
    /// A code was sent for a second step.
    SecondFactorCodeSent {
        /// To whom.
        user: UserId,
        /// By what.
        method: FactorKind,
    },
    /// A code was sent for unified sign-in.
    SigninCodeSent {
        /// To whom.
        user: UserId,
        /// By what.
        method: FactorKind,
    },
    /// A second factor is not asked for in a browser for a while.
    DeviceTrusted {
        /// Whose.
        user: UserId,
    },
    /// A browser is trusted no more.
    DeviceRevoked {
        /// Whose.
        user: UserId,
    },
    /// There are new recovery codes.
    RecoveryCodesGenerated {
        /// Whose.
        user: UserId,
    },
    /// A recovery code was used.
    RecoveryCodeUsed {
        /// Whose.
        user: UserId,
        /// How many are left.
        left: usize,
    },
    /// Somebody who lost every factor asks an administrator for help.
    SecondFactorHelp {
        /// Who.
        user: UserId,
    },
    /// A mail was given up; `mail list` says why.
    MailUndeliverable {
        /// Which, in the outbox.
        mail: String,
        /// What it is: the name of its template.
        kind: String,
    },
    /// A password was set or changed.
    PasswordChanged {
        /// Whose.
        user: UserId,
    },
    /// A token for programs was given out.
    TokenIssued {
        /// Whose.
        user: UserId,
    },
    /// An old copy of a refresh token came back: it was in two hands, and nothing of its sign-in is good any more.
    RefreshReuse {
        /// Whose.
        user: UserId,
    },
    /// An account at a social login provider was linked, and opens this one.
    SocialLinked {
        /// Whose.
        user: UserId,
        /// The name of the provider.
        provider: String,
    },
    /// An account at a social login provider opens this one no more.
    SocialUnlinked {
        /// Whose.
        user: UserId,
        /// The name of the provider.
        provider: String,
    },
    /// An API key was made.
    ApiKeyCreated {
        /// Whose.
        user: UserId,
        /// Which.
        key: String,
        /// What its owner calls it.
        name: String,
    },
    /// An API key was ended by its owner.
    ApiKeyRevoked {
        /// Whose.
        user: UserId,
        /// Which.
        key: String,
        /// What its owner called it.
        name: String,
    },
    /// An account was let in again.
    Activated {
        /// Whose.
        user: UserId,
    },
    /// An account was shut out.
    Deactivated {
        /// Whose.
        user: UserId,
    },
    /// An account was deleted.
    Deleted {
        /// Whose.
        user: UserId,
    },
    /// Every way in but the password was ended.
    AccessReset {
        /// Whose.
        user: UserId,
    },
    /// A role was given.
    RoleAdded {
        /// To whom.
        user: UserId,
        /// Which.
        role: String,
    },
    /// A role was taken away.
    RoleRemoved {
        /// From whom.
        user: UserId,
        /// Which.
        role: String,
    },
    /// The permissions of a role changed.
    PermissionsChanged {
        /// Which role.
        role: String,
    },
}

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

    pub(crate) fn emit(&self, at: Timestamp, client: Option<Client>, kind: EventKind) {
        if self.queues.is_empty() {
            return;
        }
        let event = Event { at, client, kind };
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
    use crate::events::*;

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

    #[rocket::async_test]
    async fn draining_waits_for_slow_subscribers_and_for_panics() {
        let heard = Arc::new(AtomicUsize::new(0));
        let panics: Subscriber = Arc::new(|_| panic!("on purpose"));
        let slow = subscriber(&heard, Duration::from_millis(20));
        let events = Events::start(vec![panics, slow, subscriber(&heard, Duration::ZERO)]);
        for _ in 0..3 {
            let kind = EventKind::LoggedOut {
                user: UserId::new(),
            };
            events.emit(Timestamp::from_millis(0), None, kind);
        }
        assert!(events.drain().await);
        assert_eq!(heard.load(Ordering::SeqCst), 6);
    }

    #[rocket::async_test]
    async fn draining_nothing_takes_no_time() {
        assert!(Events::default().drain().await);
        assert!(
            Events::start(vec![subscriber(&Arc::default(), Duration::ZERO)])
                .drain()
                .await
        );
    }
}
