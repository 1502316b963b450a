//! Invitations: an account whose owner chooses the password by a mailed link.

use super::Accounts;
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::{Error, Invalid},
    events::EventKind,
    identity::{EmailAddress, Identity, Username},
    notify::{
        mail::Recipient,
        outbox::{MailLimit, OutgoingMail},
    },
    secrets::Secret,
    signin::{
        ticket::{self, CodeSubject, Draft, Purpose, TicketOptions},
        ticket_mail,
    },
    store::{NewUser, StoreError, Unique, User, users},
    templates::{MailTemplate, mail},
    types::{Message, PathTo, UserId},
};

/// The mail with the link.
pub(crate) const MAIL: MailTemplate = mail!("invite", "invite");

/// The ticket of an invitation.
pub(crate) enum Invite {}

impl Purpose for Invite {
    const NAME: &'static str = "invite";
    type Payload = ();
}

/// Whom to invite.
#[derive(Clone, Debug)]
#[must_use = "an invitation does nothing until it is given to `Auth::invite`"]
pub struct Invitation {
    email: EmailAddress,
    username: Option<Username>,
    roles: Vec<String>,
    inviter: Option<String>,
}

impl Invitation {
    /// Invites the owner of this address.
    pub fn new(email: EmailAddress) -> Self {
        Self {
            email,
            username: None,
            roles: Vec::new(),
            inviter: None,
        }
    }

    /// Sets the username. If the account was invited before, this name replaces the one that it has.
    pub fn username(mut self, username: Username) -> Self {
        self.username = Some(username);
        self
    }

    /// A role that the account gets; it must exist. Say it again for each further one.
    pub fn role(mut self, name: &str) -> Self {
        self.roles.push(name.into());
        self
    }

    /// Who invites, as the mail says.
    pub fn from(mut self, inviter: &str) -> Self {
        self.inviter = Some(crate::store::cut(inviter, 100));
        self
    }
}

/// What becomes of an invitation, by what is known of the address.
#[derive(Clone)]
enum Plan {
    /// The address is free, so the account is created.
    New(Box<NewUser>),
    /// The account was invited before, and the invitation is open. `takes_over` if a visitor registered it without showing
    /// that the address is theirs: then nothing of theirs is left.
    Again { id: UserId, takes_over: bool },
}

impl Plan {
    fn id(&self) -> &UserId {
        match self {
            Self::New(new) => &new.id,
            Self::Again { id, .. } => id,
        }
    }
}

/// Makes the account and mails the invitation, or only makes the link, to be handed over by other means.
/// An account whose invitation is open is invited again. One that a visitor registered without ever
/// confirming the address is taken over: its password, username, sessions, factors, keys and links are removed.
pub(crate) async fn invite(
    core: &Core,
    by: &By,
    invitation: &Invitation,
    by_mail: bool,
) -> Result<(User, Secret<String>), Error> {
    if !core.settings.invite.enabled {
        return Err(Error::NotFound);
    }
    let (plan, address) = plan(core, invitation).await?;
    let (draft, outgoing) = write(core, by, invitation, plan.id(), &address)?;
    let url = Secret::new(core.absolute_to(PathTo::Invite, [draft.secret.expose()]));
    let invitation = invitation.clone();
    let user = core
        .change(by, move |change| {
            let user = change.invited(&plan, &invitation)?;
            ticket::insert(change, &draft)?;
            if by_mail {
                change.mail(&outgoing)?;
            }
            Ok(user)
        })
        .await?;
    Ok((user, url))
}

/// Decides what to do, and to which address the mail goes: an account that was invited before gets it at the address
/// that is stored.
async fn plan(core: &Core, invitation: &Invitation) -> Result<(Plan, String), Error> {
    let identity = Identity::Email(invitation.email.clone());
    let known = core
        .store
        .read(move |conn| {
            let found = users::with_password(conn, &identity)?;
            Ok(found.map(|(user, hash)| (user, hash.is_some())))
        })
        .await?;
    let Some((user, has_password)) = known else {
        let refused = |message| Invalid::field("email", message);
        core.accept_email(&invitation.email).map_err(refused)?;
        let mut new = NewUser::new(invitation.email.clone());
        new.username = invitation.username.clone();
        return Ok((
            Plan::New(Box::new(new)),
            invitation.email.address().to_string(),
        ));
    };
    // Where no address is ever confirmed, one that is not says nothing about who registered it.
    let confirms = core.settings.confirm.enabled;
    if user.confirmed_at.is_some() || (has_password && !confirms) {
        return Err(StoreError::Taken(Unique::Email).into());
    }
    // Its link would open nothing.
    if !user.active {
        return Err(Invalid::field("email", Message::new("login.inactive")).into());
    }
    // An account of an earlier, open invitation holds nothing of a stranger's.
    let takes_over = confirms && (has_password || user.sign_in_count > 0);
    let plan = Plan::Again {
        id: user.id,
        takes_over,
    };
    Ok((plan, user.email))
}

fn write(
    core: &Core,
    by: &By,
    invitation: &Invitation,
    id: &UserId,
    address: &str,
) -> Result<(Draft<Invite>, OutgoingMail), Error> {
    let terms = TicketOptions {
        life: core.settings.invite.life.get(),
        user: Some(id.clone()),
        bound_to: None,
    };
    let (begun, handle) = (ticket::Begun::ByVisitor, CodeSubject::of_user(id));
    let draft = ticket::draft::<Invite>(core, terms, begun, &handle, &())?;
    let mut own = ticket_mail::context(core, PathTo::Invite, &draft);
    own["inviter"] = invitation.inviter.clone().into();
    let composer = by.composer(&core.notify);
    let to = Recipient::at(address);
    let outgoing = composer.compose(&to, MAIL, MailLimit::Free, own)?;
    Ok((draft, outgoing))
}

impl Change<'_> {
    /// The account of an invitation, with its roles.
    fn invited(&mut self, plan: &Plan, invitation: &Invitation) -> Result<User, StoreError> {
        let now = self.now();
        match plan {
            Plan::New(new) => drop(self.register_user(new)?),
            Plan::Again { id, takes_over } => {
                // The roles below are not for the visitor who registered it, so nothing of theirs may stay.
                if *takes_over && !users::empty_unproven(self, id, now)? {
                    return Err(StoreError::Taken(Unique::Email));
                }
                // A repeated invitation may give another name.
                if let Some(username) = &invitation.username {
                    users::set_username(self, id, username, now)?;
                }
            }
        }
        let id = plan.id();
        for name in &invitation.roles {
            self.add_role_to_user(id, name)
                .map_err(|error| match error {
                    StoreError::Missing => {
                        StoreError::Refused(format!("there is no role `{name}`"))
                    }
                    error => error,
                })?;
        }
        self.event(EventKind::Invited { user: id.clone() });
        users::by_id(self, id)?.ok_or(StoreError::Missing)
    }
}

impl Accounts {
    /// Creates an account whose owner chooses the password by a mailed link. An account that was invited before
    /// and has not been taken yet is invited anew.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the address has an account with a password or a proven address, if the username is
    /// another's, if a role does not exist, or if the account that was invited before is inactive now;
    /// [`Error::NotFound`] if `[security.invite]` is off.
    pub async fn invite(&self, invitation: &Invitation) -> Result<User, Error> {
        let (user, _) = self.invitation_link(invitation, true).await?;
        Ok(user)
    }

    /// The same, or only the link, to be handed over by other means.
    pub(crate) async fn invitation_link(
        &self,
        invitation: &Invitation,
        by_mail: bool,
    ) -> Result<(User, Secret<String>), Error> {
        invite(&self.core, &self.by, invitation, by_mail).await
    }
}
