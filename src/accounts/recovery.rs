//! Recovering an account: the ticket with which a new password is set, and the mail that carries it.

use serde::{Deserialize, Serialize};

use crate::{
    accounts::Accounts,
    core::{
        Core,
        change::{By, Change},
    },
    error::{Error, Invalid},
    events::EventKind,
    notify::{
        mail::{MailComposer, Recipient},
        outbox::{MailLimit, OutgoingMail},
    },
    secrets::Secret,
    signin::{
        ticket::{self, CodeSubject, Draft, Purpose, TicketOptions},
        ticket_mail,
    },
    store::{StoreError, User},
    templates::{MailTemplate, mail},
    types::{Message, PathTo, UserId},
};

/// The mail that carries the ticket.
pub(crate) const MAIL: MailTemplate = mail!("recover", "recover");

/// The ticket with which a new password is set.
pub(crate) enum Reset {}

impl Purpose for Reset {
    const NAME: &'static str = "reset";
    type Payload = Proof;
}

/// What holding the ticket proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// The address: it was mailed there.
    Mail,
    /// What was shown at a sign-in that wants a new password.
    SignIn {
        methods: i64,
        /// Whether that browser is to be remembered.
        remember: bool,
    },
}

/// A ticket and its mail for an account, to be written in one transaction by [`Change::recovery`].
#[derive(Clone)]
pub(crate) struct Recovery {
    draft: Draft<Reset>,
    outgoing: OutgoingMail,
    /// The link, to be handed over by other means than the mail.
    pub(crate) url: Secret<String>,
}

/// Prepares the ticket and the mail with which an owner chooses a new password: for an administrator, or after a change of
/// address was undone.
pub(crate) fn prepare(
    core: &Core,
    composer: &MailComposer<'_>,
    to: &Recipient<'_>,
    user: &User,
) -> Result<Recovery, Error> {
    let terms = TicketOptions {
        life: core.settings.recover.life.get(),
        user: Some(user.id.clone()),
        bound_to: None,
    };
    let handle = CodeSubject::of_user(&user.id);
    let begun = ticket::Begun::ByVisitor;
    let draft = ticket::draft::<Reset>(core, terms, begun, &handle, &Proof::Mail)?;
    let own = ticket_mail::context(core, PathTo::Reset, &draft);
    let outgoing = composer.compose(to, MAIL, MailLimit::Free, own)?;
    let url = Secret::new(core.absolute_to(PathTo::Reset, [draft.secret.expose()]));
    Ok(Recovery {
        draft,
        outgoing,
        url,
    })
}

impl Change<'_> {
    /// Writes the ticket, and the mail if it is to be mailed.
    pub(crate) fn recovery(
        &mut self,
        recovery: &Recovery,
        by_mail: bool,
    ) -> Result<(), StoreError> {
        ticket::insert(self, &recovery.draft)?;
        if by_mail {
            self.mail(&recovery.outgoing)?;
        }
        Ok(())
    }
}

/// Sends an account the mail with which it can choose a new password, or only makes the link, to be handed over by
/// other means.
pub(crate) async fn send(
    core: &Core,
    by: &By,
    user: &User,
    by_mail: bool,
) -> Result<Secret<String>, Error> {
    if !core.settings.recover.enabled {
        return Err(Error::NotFound);
    }
    // Its link would open nothing.
    if !user.active {
        return Err(Invalid::field("email", Message::new("login.inactive")).into());
    }
    let composer = by.composer(&core.notify);
    let recovery = prepare(core, &composer, &Recipient::from(user), user)?;
    let (url, id) = (recovery.url.clone(), user.id.clone());
    core.change(by, move |change| {
        change.recovery(&recovery, by_mail)?;
        change.event(EventKind::ResetInstructionsSent { user: id.clone() });
        Ok(())
    })
    .await?;
    Ok(url)
}

impl Accounts {
    /// Mails an account what it needs to choose a new password.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such account or `[security.recover]` is off, [`Error::Invalid`] if the account
    /// is inactive.
    pub async fn send_recovery(&self, user: &UserId) -> Result<(), Error> {
        self.recovery_link(user, true).await.map(drop)
    }

    /// The same, or only the link, to be handed over by other means.
    pub(crate) async fn recovery_link(
        &self,
        user: &UserId,
        by_mail: bool,
    ) -> Result<Secret<String>, Error> {
        let found = self.core.store.find_user(user).await?;
        let user = found.ok_or(Error::NotFound)?;
        send(&self.core, &self.by, &user, by_mail).await
    }
}
