//! Rows of mails that wait to be sent; their meaning is in [`crate::notify::delivery`].

use std::time::Duration;

use diesel::prelude::*;
use serde::Serialize;

use super::{Conn, Store, StoreError, cut, schema::security_outbox as outbox};
use crate::types::{RowId, Timestamp, span::days};

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MailState {
    /// It waits, or is being sent.
    Waiting,
    /// A server has taken it; its text is erased.
    Sent,
    /// It was given up; it can be sent again by the command `mail resend`.
    Failed,
}

impl MailState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "sent" => Self::Sent,
            "failed" => Self::Failed,
            _ => Self::Waiting,
        }
    }
}

/// The state of a row that goes nowhere: written for somebody unknown, so that the work is the same.
const DECOY: &str = "decoy";

/// A mail to be written; without recipient a decoy.
#[derive(Clone, Debug)]
pub(crate) struct NewMail {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) recipient: Option<String>,
    pub(crate) body: String,
    pub(crate) at: Timestamp,
}

/// A mail that this process alone may send until its lease ends.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub(crate) struct Claimed {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) body: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) created_at: Timestamp,
}

/// A mail as the command line lists it; never its text.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MailInfo {
    /// Which mail.
    pub id: String,
    /// What it is: the name of its template.
    pub kind: String,
    /// Whom it is for.
    pub recipient: String,
    /// Where it stands.
    pub state: MailState,
    /// How often it was tried in vain.
    pub attempts: i64,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is tried next, if it waits.
    pub due_at: Timestamp,
    /// When it was sent or given up.
    pub finished_at: Option<Timestamp>,
    /// What the server said last.
    pub error: Option<String>,
}

pub(crate) fn insert(conn: &mut Conn, new: &NewMail) -> Result<(), StoreError> {
    let state = match new.recipient {
        Some(_) => MailState::Waiting.name(),
        None => DECOY,
    };
    diesel::insert_into(outbox::table)
        .values((
            outbox::id.eq(&new.id),
            outbox::kind.eq(&new.kind),
            outbox::recipient.eq(&new.recipient),
            outbox::state.eq(state),
            outbox::body.eq(&new.body),
            outbox::attempts.eq(0),
            outbox::due_at.eq(new.at),
            outbox::created_at.eq(new.at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whether any mail is due, asked without a write.
pub(crate) fn any_due(conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
    let due: Option<String> = outbox::table
        .filter(outbox::state.eq(MailState::Waiting.name()))
        .filter(outbox::due_at.le(now))
        .select(outbox::id)
        .limit(1)
        .get_result(conn)
        .optional()?;
    Ok(due.is_some())
}

/// How the outbox stands.
#[cfg(feature = "cli")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Mails that wait.
    pub(crate) waiting: i64,
    /// Those of them that were written before the given time.
    pub(crate) overdue: i64,
    /// Mails that were given up since the given time.
    pub(crate) failed: i64,
}

/// Counts what waits, what has waited since before `overdue`, and what was given up since `failed`.
#[cfg(feature = "cli")]
pub(crate) fn tally(
    conn: &mut Conn,
    overdue: Timestamp,
    failed: Timestamp,
) -> Result<Tally, StoreError> {
    let waiting = || outbox::table.filter(outbox::state.eq(MailState::Waiting.name()));
    let given_up = outbox::table
        .filter(outbox::state.eq(MailState::Failed.name()))
        .filter(outbox::finished_at.ge(failed));
    Ok(Tally {
        waiting: waiting().count().get_result(conn)?,
        overdue: waiting()
            .filter(outbox::created_at.le(overdue))
            .count()
            .get_result(conn)?,
        failed: given_up.count().get_result(conn)?,
    })
}

/// Why a mail that is due was not sent, if there is one that was tried.
#[cfg(feature = "cli")]
pub(crate) fn due_because(conn: &mut Conn, now: Timestamp) -> Result<Option<String>, StoreError> {
    let error: Option<Option<String>> = outbox::table
        .filter(outbox::state.eq(MailState::Waiting.name()))
        .filter(outbox::due_at.le(now))
        .filter(outbox::error.is_not_null())
        .select(outbox::error)
        .limit(1)
        .get_result(conn)
        .optional()?;
    Ok(error.flatten())
}

/// Takes at most `most` mails that are due, for this process alone: of many that ask at once, one
/// conditional UPDATE decides about each.
pub(crate) fn claim(
    conn: &mut Conn,
    lease: &str,
    now: Timestamp,
    until: Timestamp,
    most: u32,
) -> Result<Vec<Claimed>, StoreError> {
    let due = || {
        outbox::state
            .eq(MailState::Waiting.name())
            .and(outbox::due_at.le(now))
    };
    let ids: Vec<String> = outbox::table
        .filter(due())
        .order(outbox::due_at)
        .select(outbox::id)
        .limit(i64::from(most))
        .load(conn)?;
    let mut claimed = Vec::with_capacity(ids.len());
    for id in ids {
        let taken = diesel::update(outbox::table.find(&id).filter(due()))
            .set((outbox::due_at.eq(until), outbox::lease.eq(lease)))
            .execute(conn)?;
        if taken == 1 {
            claimed.push(
                outbox::table
                    .find(&id)
                    .select(Claimed::as_select())
                    .get_result(conn)?,
            );
        }
    }
    Ok(claimed)
}

/// What became of a claimed mail.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Sent,
    /// To be tried again then; counted or not.
    Again {
        due: Timestamp,
        counts: bool,
        why: String,
    },
    Failed {
        why: String,
    },
}

/// Writes down what became of a mail, unless its lease went to somebody else meanwhile.
pub(crate) fn settle(
    conn: &mut Conn,
    id: &str,
    lease: &str,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mine = || outbox::table.find(id).filter(outbox::lease.eq(lease));
    let none: Option<String> = None;
    let settled = match outcome {
        Outcome::Sent => diesel::update(mine())
            .set((
                outbox::state.eq(MailState::Sent.name()),
                outbox::body.eq(&none),
                outbox::lease.eq(&none),
                outbox::error.eq(&none),
                outbox::finished_at.eq(now),
            ))
            .execute(conn)?,
        Outcome::Again { due, counts, why } => diesel::update(mine())
            .set((
                outbox::due_at.eq(*due),
                outbox::lease.eq(&none),
                outbox::error.eq(cut(why, 255)),
                outbox::attempts.eq(outbox::attempts + i64::from(*counts)),
            ))
            .execute(conn)?,
        Outcome::Failed { why } => diesel::update(mine())
            .set((
                outbox::state.eq(MailState::Failed.name()),
                outbox::lease.eq(&none),
                outbox::error.eq(cut(why, 255)),
                outbox::attempts.eq(outbox::attempts + 1),
                outbox::finished_at.eq(now),
            ))
            .execute(conn)?,
    };
    Ok(settled == 1)
}

/// Deletes every mail to an address.
pub(crate) fn delete_to(conn: &mut Conn, recipient: &str) -> Result<(), StoreError> {
    diesel::delete(outbox::table.filter(outbox::recipient.eq(recipient))).execute(conn)?;
    Ok(())
}

/// How long a decoy stays, a mail that was sent, and one that was given up.
const KEPT: [(&str, Duration); 3] = [
    (DECOY, Duration::from_hours(1)),
    (MailState::Sent.name(), days(7)),
    (MailState::Failed.name(), days(30)),
];

pub(crate) fn delete_old(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    for (state, life) in KEPT {
        diesel::delete(
            outbox::table
                .filter(outbox::state.eq(state))
                .filter(outbox::due_at.le(now.before(life)))
                .filter(outbox::created_at.le(now.before(life))),
        )
        .execute(conn)?;
    }
    Ok(())
}

type Listed = (
    String,
    String,
    Option<String>,
    String,
    i64,
    Timestamp,
    Timestamp,
    Option<Timestamp>,
    Option<String>,
);

/// The public operations on the outbox.
impl Store {
    /// The mails in a state, or in any, the newest first, at most `limit` (capped at 1,000).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn list_mails(
        &self,
        state: Option<MailState>,
        limit: u16,
    ) -> Result<Vec<MailInfo>, StoreError> {
        let limit = i64::from(limit.clamp(1, 1_000));
        let rows: Vec<Listed> = self
            .read(move |conn| {
                let mut query = outbox::table
                    .filter(outbox::state.ne(DECOY))
                    .order(outbox::created_at.desc())
                    .limit(limit)
                    .select((
                        outbox::id,
                        outbox::kind,
                        outbox::recipient,
                        outbox::state,
                        outbox::attempts,
                        outbox::created_at,
                        outbox::due_at,
                        outbox::finished_at,
                        outbox::error,
                    ))
                    .into_boxed();
                if let Some(state) = state {
                    query = query.filter(outbox::state.eq(state.name()));
                }
                Ok(query.load(conn)?)
            })
            .await?;
        let info = |(
            id,
            kind,
            recipient,
            state,
            attempts,
            created_at,
            due_at,
            finished_at,
            error,
        ): Listed| {
            MailInfo {
                id,
                kind,
                recipient: recipient.unwrap_or_default(),
                state: MailState::of(&state),
                attempts,
                created_at,
                due_at,
                finished_at,
                error,
            }
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Lets a mail that was given up, or that waits, be tried at once; `None` means all that were given
    /// up. Answers how many. What was sent is never sent again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn resend_mails(&self, id: Option<&str>) -> Result<usize, StoreError> {
        let Ok(id) = id.map(str::parse::<RowId>).transpose() else {
            return Ok(0);
        };
        let now = self.now();
        self.write(move |conn| {
            let none: Option<String> = None;
            let anew = (
                outbox::state.eq(MailState::Waiting.name()),
                outbox::due_at.eq(now),
                // A mail that was given up for its age begins a new life.
                outbox::created_at.eq(now),
                outbox::finished_at.eq(None::<Timestamp>),
                outbox::attempts.eq(0),
                outbox::lease.eq(none),
            );
            let failed = outbox::state.eq(MailState::Failed.name());
            Ok(match &id {
                Some(id) => {
                    // One that is being sent just now is not given to a second process.
                    let waits = outbox::state
                        .eq(MailState::Waiting.name())
                        .and(outbox::lease.is_null());
                    diesel::update(outbox::table.find(id.as_str()).filter(failed.or(waits)))
                        .set(anew)
                        .execute(conn)?
                }
                None => diesel::update(outbox::table.filter(failed))
                    .set(anew)
                    .execute(conn)?,
            })
        })
        .await
    }
}
