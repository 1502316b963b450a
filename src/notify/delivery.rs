//! Delivers what lies in the outbox, outside of requests.
//!
//! A mail server that is down delays no request and loses no mail. A conditional UPDATE leases each mail to one
//! process at a time, so several servers over one database do not send a mail twice. A process that is killed
//! after it sent a mail and before it wrote that down leaves a lease. When the lease has run out, the mail is sent
//! again with the same `Message-ID`.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    context::NotifyContext,
    mailer::{MailError, MailFailure},
    outbox::Content,
};
use crate::{
    events::EventKind,
    store::{
        StoreError,
        outbox::{self, Claimed, Outcome},
    },
    types::Timestamp,
};

/// How often the worker looks whether it was told of a mail. Not at once: else the work for known
/// addresses would show in the time of the next request.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between two looks into the table without being told: for mails of other processes, and for
/// those whose time has come.
const LOOK: u32 = 6;
/// The longest pause while the server is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Added to the time that a mail may take, before it is given to somebody else.
const MARGIN: Duration = Duration::from_secs(10);

/// Sends mails as long as the site lives.
pub(crate) async fn deliver(context: Weak<NotifyContext>) {
    let (mut round, mut pause) = (0u32, Pause::default());
    loop {
        tokio::time::sleep(TICK).await;
        let Some(context) = context.upgrade() else {
            return;
        };
        round = round.wrapping_add(1);
        let told = context.mail_signal.take();
        if !(told || round.is_multiple_of(LOOK) || pause.is_over_now()) || pause.lasts() {
            if told {
                context.mail_signal.wake();
            }
            continue;
        }
        if let Err(error) = deliver_due(&context, &mut pause).await {
            log::warn!("the outbox was not read: {error}");
        }
    }
}

/// No mail is tried for a while after the server could not be reached; then one asks again.
#[derive(Debug, Default)]
struct Pause {
    /// How long the last one was; zero if the server is well.
    length: Duration,
    until: Option<Instant>,
}

impl Pause {
    fn lasts(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn is_over_now(&self) -> bool {
        self.until.is_some() && !self.lasts()
    }

    fn begin(&mut self) {
        self.length = (self.length * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE);
        self.until = Some(Instant::now() + self.length);
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

/// Sends what is due until nothing is, or the server is down. Answers how many were sent.
async fn deliver_due(context: &Arc<NotifyContext>, pause: &mut Pause) -> Result<usize, StoreError> {
    // A caller finds every mail settled that was due when it called, whichever task delivered it.
    let _turn = context.mail_signal.turn().await;
    let mut sent = 0;
    loop {
        let now = context.now();
        if !context
            .store
            .read(move |conn| outbox::any_due(conn, now))
            .await?
        {
            return Ok(sent);
        }
        // After a failure one mail goes first and finds out; the others wait behind it.
        let most = match pause.length.is_zero() {
            true => context.settings.mail.connections.get(),
            false => 1,
        };
        let lease = uuid::Uuid::new_v4().to_string();
        let until = now.after(context.settings.mail.timeout.get()).after(MARGIN);
        let claimed = {
            let lease = lease.clone();
            context
                .store
                .write(move |conn| outbox::claim(conn, &lease, now, until, most))
                .await?
        };
        if claimed.is_empty() {
            // Another process was faster; there may be more.
            continue;
        }
        let tried = claimed
            .into_iter()
            .map(|claimed| try_one(context, claimed, &lease));
        let mut down = false;
        for outcome in join_all(tried).await {
            match outcome? {
                None => sent += 1,
                Some(MailFailure::Down) => down = true,
                Some(_) => {}
            }
        }
        if down {
            pause.begin();
            return Ok(sent);
        }
        pause.end();
    }
}

/// Sends what is due now, for a command or a test. Answers how many were sent.
#[cfg(any(feature = "cli", feature = "testing"))]
pub(crate) async fn deliver_now(context: &Arc<NotifyContext>) -> Result<usize, StoreError> {
    deliver_due(context, &mut Pause::default()).await
}

async fn try_one(
    context: &Arc<NotifyContext>,
    claimed: Claimed,
    lease: &str,
) -> Result<Option<MailFailure>, StoreError> {
    let now = context.now();
    let result = match Content::unseal(context, &claimed) {
        Some(Content::Sms(sms)) if sms.until <= now => {
            Err(MailError::refused("its code has run out"))
        }
        Some(content) => send(context, content).await,
        None => Err(MailError::refused(
            "it was encrypted under a secret that is not in `security.secret` any more",
        )),
    };
    let failure = result.as_ref().err().map(|error| error.failure);
    let outcome = match result {
        Ok(()) => Outcome::Sent,
        Err(error) => after(context, &claimed, error, now),
    };
    if let Outcome::Failed { why } = &outcome {
        log::error!(
            "the mail {} ({}) was given up: {why}",
            claimed.id,
            claimed.kind
        );
    }
    let (id, lease, written) = (claimed.id.clone(), lease.to_string(), outcome.clone());
    let settled = context
        .store
        .write(move |conn| outbox::settle(conn, &id, &lease, &written, now))
        .await?;
    if settled && matches!(outcome, Outcome::Failed { .. }) {
        context.system_event(EventKind::MailUndeliverable {
            mail: claimed.id,
            kind: claimed.kind,
        });
    }
    Ok(failure)
}

/// In a task of its own: a mailer that panics loses one try, and one that hangs is left behind.
async fn send(context: &Arc<NotifyContext>, content: Content) -> Result<(), MailError> {
    let (mailer, sms) = (context.mailer.clone(), context.sms.clone());
    let task = tokio::spawn(async move {
        match (content, sms) {
            (Content::Mail(mail), _) => mailer.send(&mail).await,
            (Content::Sms(sms), Some(sender)) => match sender.send(&sms).await {
                // That one cannot be reached says nothing of the mail server.
                Err(error) if error.failure == MailFailure::Down => {
                    Err(MailError::later(error.why))
                }
                sent => sent,
            },
            (Content::Sms(_), None) => Err(MailError::refused("text messages are not sent here")),
        }
    });
    let abort = task.abort_handle();
    let patience = Duration::from_secs(context.settings.mail.timeout.get().as_secs());
    match timeout(patience, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(MailError::later("the mailer panicked")),
        Err(_) => {
            abort.abort();
            Err(MailError::down(
                "it took longer than `security.mail.timeout`",
            ))
        }
    }
}

/// What is to be done with a mail that was not sent.
fn after(context: &NotifyContext, claimed: &Claimed, error: MailError, now: Timestamp) -> Outcome {
    let why = error.why;
    if error.failure == MailFailure::Refused
        || claimed
            .created_at
            .after(context.settings.mail.give_up.get())
            <= now
    {
        return Outcome::Failed { why };
    }
    match error.failure {
        // The server's fault and not the mail's; but another one goes first next time.
        MailFailure::Down => Outcome::Again {
            due: now,
            counts: false,
            why,
        },
        _ => Outcome::Again {
            due: now.after(wait(claimed.attempts)),
            counts: true,
            why,
        },
    }
}

/// How long a mail rests after so many tries: half a minute, doubled each time, at most an hour.
fn wait(attempts: i64) -> Duration {
    let doubled = 30u64 << attempts.clamp(0, 7);
    Duration::from_secs(doubled.min(3_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_rests_longer_after_each_try() {
        let waits: Vec<u64> = [0, 1, 2, 6, 7, 1_000]
            .into_iter()
            .map(|attempts| wait(attempts).as_secs())
            .collect();
        assert_eq!(waits, [30, 60, 120, 1_920, 3_600, 3_600]);
    }

    #[test]
    fn a_pause_grows_and_ends_with_the_first_success() {
        let mut pause = Pause::default();
        assert!(!pause.lasts() && !pause.is_over_now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            pause.begin();
            assert_eq!(pause.length.as_secs(), seconds);
            assert!(pause.lasts());
        }
        pause.end();
        assert!(!pause.lasts() && pause.length.is_zero());
    }
}
