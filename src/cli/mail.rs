//! `mail`: the outbox. What a mail says is never shown: it may let somebody in.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    out::{Answer, count, table},
};
use crate::{
    notify::delivery::deliver_now,
    store::{MailInfo, MailState, outbox},
    types::Timestamp,
    web::site::Site,
};

#[derive(Debug, Subcommand)]
pub(super) enum Mails {
    /// List mails, the newest first, without what they say.
    List(List),
    /// Let mails that failed, or one that waits, be tried at once.
    Resend(Resend),
    /// Send what is due now: where no site runs, or from a timer.
    Send,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Those in this state only.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// How many at most, up to 1,000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// It waits, or is being sent.
    Waiting,
    /// A server has taken it.
    Sent,
    /// It was given up.
    Failed,
}

impl From<State> for MailState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Sent => Self::Sent,
            State::Failed => Self::Failed,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Resend {
    /// The mail's id, as `mail list` shows it.
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    id: Option<String>,
    /// All that failed.
    #[arg(long)]
    failed: bool,
}

pub(super) async fn perform(site: &Arc<Site>, command: Mails) -> Result<Answer, Failure> {
    match command {
        Mails::List(list) => self::list(site, &list).await,
        Mails::Resend(resend) => self::resend(site, resend.id.as_deref()).await,
        Mails::Send => send(site).await,
    }
}

async fn list(site: &Site, list: &List) -> Result<Answer, Failure> {
    let state = list.state.map(MailState::from);
    let mails = site.store.list_mails(state, list.limit).await?;
    let row = |mail: &MailInfo| {
        [
            mail.created_at.rfc3339(),
            mail.kind.clone(),
            mail.recipient.clone(),
            mail.state.name().to_string(),
            mail.attempts.to_string(),
            mail.finished_at
                .or(next_try(mail))
                .map_or_else(|| "-".into(), Timestamp::rfc3339),
            mail.id.clone(),
            mail.error.as_deref().map(one_line).unwrap_or_default(),
        ]
    };
    let text = match mails.is_empty() {
        true => "no mails".to_string(),
        false => table(
            [
                "WRITTEN",
                "MAIL",
                "FOR",
                "STATE",
                "ATTEMPTS",
                "DONE OR DUE",
                "ID",
                "WHY NOT",
            ],
            &mails.iter().map(row).collect::<Vec<_>>(),
        ),
    };
    let mails: Vec<Value> = mails.iter().map(as_json).collect();
    Ok(Answer::new(text, json!({ "mails": mails })))
}

async fn resend(site: &Site, id: Option<&str>) -> Result<Answer, Failure> {
    let number = site.store.resend_mails(id).await?;
    if let (Some(id), 0) = (id, number) {
        return Err(Failure::new(format!(
            "there is no mail `{id}` that failed or waits; what was sent is not sent again"
        )));
    }
    let text = match number {
        0 => "no mail had failed".to_string(),
        _ => format!(
            "{} will be tried again, by the running site or by `mail send`",
            count(number, "mail", "mails")
        ),
    };
    Ok(Answer::new(text, json!({ "resent": number })))
}

async fn send(site: &Arc<Site>) -> Result<Answer, Failure> {
    // The log is what this transport writes to, and a command has none: the mails would be lost.
    if site.dead_end() == Some("console") {
        return Err(Failure::new(
            "`security.mail.transport` is \"console\", and a command has no log; write \"smtp\" or \"file\"",
        ));
    }
    let since = site.now();
    let sent = deliver_now(&site.notify).await?;
    let now = site.now();
    let (tally, due) = site
        .store
        .read(move |conn| {
            Ok((
                outbox::tally(conn, now, since)?,
                outbox::due_because(conn, now)?,
            ))
        })
        .await?;
    let (waiting, failed) = (tally.waiting, tally.failed);
    let (is, wait) = (
        if sent == 1 { "is" } else { "are" },
        if waiting == 1 { "waits" } else { "wait" },
    );
    let mut text = format!(
        "{} {is} sent, {waiting} {wait}",
        count(sent, "mail", "mails")
    );
    if failed > 0 {
        text.push_str(&format!(
            "; {failed} failed, see `mail list --state failed`"
        ));
    }
    // What is still due was held back since no server could be reached.
    if let Some(why) = &due {
        text.push_str(&format!("; {}", one_line(why)));
    }
    let json = json!({ "sent": sent, "waiting": waiting, "failed": failed, "error": due });
    Ok(Answer::new(text, json).well(due.is_none()))
}

/// When a mail is tried next, if it is at all.
fn next_try(mail: &MailInfo) -> Option<Timestamp> {
    (mail.state == MailState::Waiting).then_some(mail.due_at)
}

/// What a server or mailer said, so that it cannot break a table or a terminal.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// A mail as scripts see it; the keys are stable.
fn as_json(mail: &MailInfo) -> Value {
    json!({
        "id": mail.id,
        "kind": mail.kind,
        "recipient": mail.recipient,
        "state": mail.state,
        "attempts": mail.attempts,
        "created_at": mail.created_at.rfc3339(),
        "due_at": next_try(mail).map(Timestamp::rfc3339),
        "finished_at": mail.finished_at.map(Timestamp::rfc3339),
        "error": mail.error,
    })
}
