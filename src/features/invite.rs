//! Invitations: an administrator makes an account, its owner chooses the password at `/invite/<token>`.

use rocket::{get, post, routes};
use serde_json::{Map, json};

use super::{
    Submitted, Web, mailed,
    new_password::{self, NewPassword},
};
use crate::{
    core::Core,
    error::{Error, Invalid},
    events::EventKind,
    identity::{EmailAddress, Identity, Username},
    notify::{
        mail::{Addressee, Scribe},
        outbox::{self, Postage},
    },
    secrets::Secret,
    signin::{
        admit::admit,
        session::Opening,
        ticket::{self, Handle, Held, Purpose, Terms},
        ticket_mail,
    },
    store::{
        NewUser, StoreError, Unique, User, roles, tickets,
        users::{self, EarlierPassword},
    },
    templates::{form::FormView, template},
    types::{Message, Method, Methods},
    web::{
        feature::{Feature, sample_form, sample_mail},
        page,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "invite",
    is_on: |settings, _| settings.invite.enabled,
    routes: || routes![link, by_link],
    templates: &[
        template!("invite/link.html"),
        template!("invite/invite.mail.html"),
        template!("invite/invite.mail.txt"),
    ],
    samples: || {
        let mail = sample_mail();
        vec![
            (
                LINK,
                json!({"form": sample_form(), "account": {"email": "ada@example.com"}}),
            ),
            ("security/invite/invite.mail.html", mail.clone()),
            ("security/invite/invite.mail.txt", mail),
        ]
    },
    links: &[],
};

const LINK: &str = "security/invite/link.html";

/// The ticket of an invitation.
pub(crate) enum Invite {}

impl Purpose for Invite {
    const NAME: &'static str = "invite";
    type Payload = ();
}

// Routes.

fn link_view(web: &Web<'_>, token: &str, email: &str) -> Reply {
    let fields = new_password::fields(web, new_password::PASSWORD);
    let action = web.site.path(&format!("/invite/{token}"));
    Reply::page(LINK)
        .with("account", json!({"email": email}))
        .form(FormView::new("invite", action, fields))
}

#[get("/invite/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Invite>(&web, token, "/login", |held| {
        link_view(&web, token, &held.user.email)
    })
    .await
}

#[post("/invite/<token>", data = "<form>")]
async fn by_link(web: Web<'_>, token: &str, form: Submitted<NewPassword>) -> Answer {
    let form = web.sent(form, |_| link_view(&web, token, ""));
    mailed::use_link::<Invite, _>(&web, token, "/login", form, async |held, form| {
        let email = held.user.email.clone();
        match accept(&web, held, &form).await {
            Err(Error::Invalid(invalid)) if !mailed::is_gone(&invalid) => {
                Ok(link_view(&web, token, &email).invalid(invalid))
            }
            done => done,
        }
    })
    .await
}

// Service.

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
    /// Somebody with this address.
    pub fn new(email: EmailAddress) -> Self {
        Self {
            email,
            username: None,
            roles: Vec::new(),
            inviter: None,
        }
    }

    /// The username that the account gets when it is made. Whoever is invited anew keeps what was given
    /// first.
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

/// Makes the account and mails the invitation, or only makes the link, to be handed over by other means.
/// An account that was invited and not taken yet is invited anew. One that somebody registered without ever
/// confirming the address is taken over: its password, username, sessions, factors, keys and links are removed.
pub(crate) async fn invite(
    site: &Core,
    scribe: &Scribe<'_>,
    invitation: &Invitation,
    by_mail: bool,
) -> Result<(User, Secret<String>), Error> {
    if !site.settings.invite.enabled {
        return Err(Error::NotFound);
    }
    let identity = Identity::Email(invitation.email.clone());
    let now = site.now();
    let known = site
        .store
        .read(move |conn| {
            let found = users::with_password(conn, &identity)?;
            Ok(found.map(|(user, hash)| (user, hash.is_some())))
        })
        .await?;
    // Whoever was invited before gets it at the address that is stored.
    let address = match &known {
        Some((user, _)) => user.email.clone(),
        None => invitation.email.address().to_string(),
    };
    // Where no address is ever confirmed, one that is not says nothing about who registered it.
    let confirms = site.settings.confirm.enabled;
    let mut takes_over = false;
    let (id, new) = match known {
        Some((user, has_password))
            if user.confirmed_at.is_some() || (has_password && !confirms) =>
        {
            return Err(StoreError::Taken(Unique::Email).into());
        }
        // Its link would open nothing.
        Some((user, _)) if !user.active => {
            return Err(Invalid::field("email", Message::new("login.inactive")).into());
        }
        Some((user, has_password)) => {
            // Whoever registered it never showed that the address is theirs. An account of an earlier
            // invitation that nobody accepted has nothing of a stranger's in it.
            takes_over = confirms && (has_password || user.sign_in_count > 0);
            (user.id, None)
        }
        None => {
            let refused = |message| Invalid::field("email", message);
            site.accept_email(&invitation.email).map_err(refused)?;
            let mut new = NewUser::new(invitation.email.clone());
            new.username = invitation.username.clone();
            (new.id.clone(), Some(new))
        }
    };
    let terms = Terms {
        life: site.settings.invite.life.get(),
        user: Some(id.clone()),
        bound_to: None,
    };
    let draft = ticket::draft::<Invite>(
        site,
        terms,
        ticket::Begun::ByVisitor,
        &Handle::of_user(&id),
        &(),
    )?;
    let url = Secret::new(site.absolute(&format!("/invite/{}", draft.secret.expose())));
    let mut own = ticket_mail::context(site, "/invite", &draft);
    own["inviter"] = invitation.inviter.clone().into();
    let to = Addressee::at(&address);
    let letter = scribe.letter(&to, ("invite", "invite"), Postage::Free, own)?;
    let roles = invitation.roles.clone();
    let hook = site.on_register.clone();
    let username = invitation.username.clone();
    let held_back = Handle::of_identity(site, &Identity::Email(invitation.email.clone()));
    let made = new.is_some();
    let (user, given, posted) = site
        .store
        .write(move |conn| {
            if let Some(new) = &new {
                // An address that its owner can still take back is theirs alone.
                if tickets::open_under(conn, tickets::UNDO, held_back.as_str(), now)?.is_some() {
                    return Err(StoreError::Taken(Unique::Email));
                }
                let user = users::insert(conn, new, now)?;
                hook.run(conn, &user, &Map::new())?;
            }
            // The roles below are not for whoever registered it: nothing of theirs may be left.
            if takes_over && !users::empty_unproven(conn, &id, now)? {
                return Err(StoreError::Taken(Unique::Email));
            }
            // Whoever is invited anew may get another name.
            if let (None, Some(username)) = (&new, &username) {
                users::set_username(conn, &id, username, now)?;
            }
            let mut given = Vec::new();
            for name in &roles {
                let role = roles::find(conn, name)?
                    .ok_or_else(|| StoreError::Refused(format!("there is no role `{name}`")))?;
                if roles::give(conn, &id, &role)? {
                    given.push(role.name);
                }
            }
            ticket::put(conn, &draft)?;
            let posted = by_mail.then(|| outbox::put(conn, &letter)).transpose()?;
            let user = users::by_id(conn, &id)?.ok_or(StoreError::Missing)?;
            Ok((user, given, posted))
        })
        .await?;
    if let Some(posted) = posted {
        site.posted(posted);
    }
    let id = || user.id.clone();
    if made {
        site.event(scribe.client, EventKind::Registered { user: id() });
    }
    for role in given {
        site.event(scribe.client, EventKind::RoleAdded { user: id(), role });
    }
    site.event(scribe.client, EventKind::Invited { user: id() });
    Ok((user, url))
}

/// Uses the ticket up and sets the password, or answers what is wrong with it and leaves the ticket.
async fn accept(web: &Web<'_>, held: Held<Invite>, typed: &NewPassword) -> Answer {
    let (site, user) = (web.site, &held.user);
    let username = user.username.as_deref();
    let password = new_password::checked(web, typed, &user.email, username).await?;
    let hash = site.hasher.hash(&password).await?;
    let (once, id, now) = (held.once(), user.id.clone(), site.now());
    let accepted = site
        .store
        .write(move |conn| {
            if !once.consume(conn, now)? {
                return Ok(None);
            }
            users::set_password(conn, &id, &hash, users::EndsWithPassword::ALL, now)?;
            users::confirm(conn, &id, EarlierPassword::Keep, now)?;
            users::by_id(conn, &id)
        })
        .await?;
    let Some(user) = accepted else {
        return Err(mailed::gone());
    };
    let (client, id) = (Some(&web.client.client), || user.id.clone());
    site.event(client, EventKind::InvitationAccepted { user: id() });
    site.event(client, EventKind::EmailConfirmed { user: id() });
    if site.settings.invite.sign_in && web.caller.is_none() {
        let admission = admit(site, user, Methods::of(Method::Email)).await?;
        let target = page::after(site, &site.settings.after.login);
        return web
            .enter(
                admission,
                Opening::by_default(site),
                target,
                false,
                "invite",
            )
            .await;
    }
    let target = page::after(site, &site.login_path());
    Ok(Reply::done(target)
        .flash("success", "invite.done")
        .spa("invite", &user.email))
}
