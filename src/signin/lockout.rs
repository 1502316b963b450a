//! The mail that opens a door which guesses have shut.

use super::{
    limits::Buckets,
    ticket::{self, CodeSubject, Purpose, TicketOptions},
};
use crate::{
    core::{Core, change::By},
    error::Error,
    http::client::ClientInfo,
    notify::{mail::Recipient, outbox::MailLimit},
    signin::ticket_mail,
    store::User,
    templates::{MailTemplate, mail},
    types::{PathTo, Timestamp},
};

/// The mail with the link.
pub(crate) const MAIL: MailTemplate = mail!("unlock", "unlock");

/// The ticket that opens a lock; it carries the names of the counters that were shut.
pub(crate) enum Unlock {}

impl Purpose for Unlock {
    const NAME: &'static str = "unlock";
    type Payload = Vec<String>;
}

/// Sends the owner of an account that was just locked a link that opens it. For nobody, the same work.
pub(crate) async fn offer(
    core: &Core,
    client: &ClientInfo,
    user: Option<&User>,
    buckets: &Buckets,
    locked_until: Timestamp,
) -> Result<(), Error> {
    let terms = TicketOptions {
        life: core.settings.unlock.life.get(),
        user: user.map(|user| user.id.clone()),
        bound_to: None,
    };
    let names = buckets.opened_by_mail();
    // Nobody types the code of this one: it has no other handle than what was shut.
    let handle = CodeSubject::of_bucket(names.first().map_or("", String::as_str));
    let draft = ticket::draft::<Unlock>(core, terms, ticket::Begun::ByVisitor, &handle, &names)?;
    let to = match user {
        Some(user) => Recipient::from(user),
        None => Recipient {
            decoy: true,
            ..Recipient::at(names.first().map_or("", String::as_str))
        },
    };
    let mut own = ticket_mail::context(core, PathTo::Unlock, &draft);
    own["locked_until"] = locked_until.to_text().into();
    let outgoing = client
        .composer(&core.notify)
        .compose(&to, MAIL, MailLimit::Limited, own)?;
    ticket_mail::write(core, &By::route(client), outgoing, draft).await?;
    Ok(())
}
