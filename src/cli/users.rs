//! `users`: accounts, by the same validators and the same store as over HTTP.

use super::users_shown::{as_json, list_all, show};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{failure::Failure, out::Answer, password::Source, roles};
use crate::{
    accounts::{Accounts, invitation::Invitation, password::checked_hash},
    core::change::By,
    error::Invalid,
    identity::{EmailAddress, Identity, IdentityKind, Username},
    secrets::{Password, Secret},
    store::{NewUser, StoreError, Unique, User, UserQuery, users},
    types::UserId,
    web::site::Site,
};

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Make an account; inactive unless --active.
    Create(Create),
    /// Make an account for somebody who chooses the password by a mailed link.
    Invite(Invite),
    /// Let an account in.
    Activate(Who),
    /// Shut an account out at once, its sessions and tokens included.
    Deactivate(Who),
    /// End every way in but the password: sessions, remembered devices, tokens, mailed links.
    ResetAccess(Who),
    /// Set a new password, and end the account's sessions.
    ChangePassword(ChangePassword),
    /// Let nobody into an account who does not choose a new password; end its sessions.
    RequireNewPassword(Who),
    /// Mail an account a link by which a new password is chosen.
    SendRecovery(SendRecovery),
    /// Delete an account with all that belongs to it.
    Delete(Delete),
    /// List accounts in order of creation.
    List(List),
    /// Show an account with its roles, permissions and sessions.
    Show(Who),
}

#[derive(Debug, Args)]
pub(super) struct Who {
    /// The account's e-mail address, username or id.
    identity: String,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The e-mail address.
    email: String,
    /// The username.
    #[arg(long)]
    username: Option<String>,
    /// The account may be used at once.
    #[arg(long, conflicts_with = "inactive")]
    active: bool,
    /// The account may not be used before `users activate`; so it is without either.
    #[arg(long)]
    inactive: bool,
    /// The address counts as proven.
    #[arg(long)]
    confirmed: bool,
    /// A role to give; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    password: Source,
    /// Make the account without a password.
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
}

#[derive(Debug, Args)]
pub(super) struct Invite {
    /// The e-mail address. Whoever was invited and has not come yet is invited anew.
    email: String,
    /// The username.
    #[arg(long)]
    username: Option<String>,
    /// A role to give; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    by: Delivery,
}

#[derive(Debug, Args)]
pub(super) struct SendRecovery {
    /// The account's e-mail address, username or id.
    identity: String,
    #[command(flatten)]
    by: Delivery,
}

#[derive(Debug, Args)]
struct Delivery {
    /// Send no mail: print the link, to be handed over by other means. It is shown this once.
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Args)]
pub(super) struct ChangePassword {
    /// The account's e-mail address, username or id.
    identity: String,
    #[command(flatten)]
    password: Source,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The account's e-mail address, username or id.
    identity: String,
    /// Said on purpose: there is no way back.
    #[arg(long, required = true)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// How many at most, up to 1,000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) limit: u16,
    /// Those made after this account: its e-mail address, username or id.
    #[arg(long, value_name = "IDENTITY")]
    pub(super) after: Option<String>,
    /// Those with this text in the e-mail address or the username.
    #[arg(long, value_name = "TEXT")]
    pub(super) search: Option<String>,
    /// Those that have this role.
    #[arg(long)]
    pub(super) role: Option<String>,
    /// Those that may be used, or with `false` those that may not.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) active: Option<bool>,
    /// Those whose address is proven, or with `false` those whose address is not.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) confirmed: Option<bool>,
}

impl List {
    pub(super) fn query(&self, after: Option<&UserId>) -> UserQuery {
        let mut query = UserQuery::new().limit(self.limit);
        if let Some(after) = after {
            query = query.after(after);
        }
        if let Some(text) = &self.search {
            query = query.text(text);
        }
        if let Some(role) = &self.role {
            query = query.role(role);
        }
        if let Some(active) = self.active {
            query = query.active(active);
        }
        match self.confirmed {
            Some(confirmed) => query.confirmed(confirmed),
            None => query,
        }
    }
}

pub(super) async fn perform(site: &Site, command: Users) -> Result<Answer, Failure> {
    match command {
        Users::Create(create) => self::create(site, create).await,
        Users::Invite(invite) => self::invite(site, &invite).await,
        Users::Activate(who) => set_active(site, &who.identity, true).await,
        Users::Deactivate(who) => set_active(site, &who.identity, false).await,
        Users::ResetAccess(who) => reset_access(site, &who.identity).await,
        Users::ChangePassword(change) => change_password(site, change).await,
        Users::RequireNewPassword(who) => require_new_password(site, &who.identity).await,
        Users::SendRecovery(recovery) => send_recovery(site, &recovery).await,
        Users::Delete(delete) => self::delete(site, &delete.identity).await,
        Users::List(list) => self::list_all(site, list).await,
        Users::Show(who) => show(site, &who.identity).await,
    }
}

/// What changes accounts, on behalf of the command line.
pub(super) fn accounts(site: &Site) -> Accounts {
    Accounts::new(site.core.clone(), By::command_line())
}

/// The account behind an id, an e-mail address or a username, whatever the settings let sign in. Scripts call
/// this, so an address is taken letter for letter.
pub(super) async fn find(site: &Site, identity: &str) -> Result<User, Failure> {
    const KINDS: [IdentityKind; 2] = [IdentityKind::Email, IdentityKind::Username];
    if let Ok(id) = identity.trim().parse::<UserId>()
        && let Some(user) = site.store.find_user(&id).await?
    {
        return Ok(user);
    }
    let recognised = Identity::exact(identity, &KINDS, site.usernames.as_ref());
    let found = site
        .store
        .read(move |conn| users::by_identity(conn, &recognised))
        .await?;
    found.ok_or_else(|| Failure::unknown("account", identity, []))
}

/// The names that a new account is to have, judged as over HTTP.
fn names(
    site: &Site,
    email: &str,
    username: Option<&str>,
) -> Result<(EmailAddress, Option<Username>), Failure> {
    let mut invalid = Invalid::new();
    let email =
        EmailAddress::parse(email).and_then(|email| site.accept_email(&email).map(|()| email));
    let email = invalid.take("email", email);
    let username =
        username.and_then(|username| invalid.take("username", site.usernames.parse(username)));
    match email {
        Some(email) if invalid.is_empty() => Ok((email, username)),
        _ => Err(Failure::invalid(site, &invalid)),
    }
}

async fn create(site: &Site, create: Create) -> Result<Answer, Failure> {
    // All that can be refused is, before anybody types a password.
    let (email, username) = names(site, &create.email, create.username.as_deref())?;
    let mut roles = Vec::new();
    for name in &create.roles {
        roles.push(self::roles::find(site, name).await?);
    }
    if site.store.find_user_by_email(&email).await?.is_some() {
        return Err(StoreError::Taken(Unique::Email).into());
    }
    let mut new = NewUser::new(email)
        .active(create.active)
        .confirmed(create.confirmed);
    if !create.no_password {
        let typed = create.password.read()?;
        let password = Password::parse(&typed)
            .map_err(|message| Failure::invalid(site, &Invalid::field("password", message)))?;
        let name = username.as_ref().map(|username| username.name());
        let hash = checked_hash(site, &password, new.email.address(), name).await;
        new = new.password(hash.map_err(|error| Failure::of(site, error))?);
    }
    if let Some(username) = username {
        new = new.username(username);
    }
    let (user, grants) = accounts(site)
        .change(move |change| {
            let user = change.create_user(&new)?;
            for role in &roles {
                change.add_role_to_user(&user.id, &role.name)?;
            }
            let grants = users::grants(change, &user.id)?;
            Ok((user, grants))
        })
        .await?;
    let state = if user.active {
        "active"
    } else {
        "inactive: `users activate` lets it in"
    };
    let text = format!("{} is made ({state}); its id is {}", user.email, user.id);
    Ok(Answer::new(
        text,
        json!({ "user": as_json(&user, &grants) }),
    ))
}

async fn invite(site: &Site, command: &Invite) -> Result<Answer, Failure> {
    if !site.settings.invite.enabled {
        return Err(off("invite"));
    }
    let (email, username) = names(site, &command.email, command.username.as_deref())?;
    let mut invitation = Invitation::new(email.clone());
    for name in &command.roles {
        invitation = invitation.role(&self::roles::find(site, name).await?.name);
    }
    if let Some(username) = username {
        invitation = invitation.username(username);
    }
    if let Some(user) = site.store.find_user_by_email(&email).await? {
        refuse_inactive(&user)?;
    }
    let by_mail = !command.by.print;
    let (user, url) = accounts(site)
        .invitation_link(&invitation, by_mail)
        .await
        .map_err(|error| Failure::of(site, error))?;
    let grants = site.store.grants(&user.id).await?;
    let answer = json!({ "user": as_json(&user, &grants) });
    Ok(handed_over(
        by_mail,
        &format!("an invitation for {}", user.email),
        &url,
        answer,
    ))
}

async fn send_recovery(site: &Site, command: &SendRecovery) -> Result<Answer, Failure> {
    if !site.settings.recover.enabled {
        return Err(off("recover"));
    }
    let user = find(site, &command.identity).await?;
    refuse_inactive(&user)?;
    let by_mail = !command.by.print;
    let url = accounts(site)
        .recovery_link(&user.id, by_mail)
        .await
        .map_err(|error| Failure::of(site, error))?;
    Ok(handed_over(
        by_mail,
        &format!("a mail for {}", user.email),
        &url,
        json!({ "id": user.id }),
    ))
}

fn off(feature: &str) -> Failure {
    Failure::new(format!(
        "`security.{feature}.enabled` is false; nobody could use the link"
    ))
}

/// Links open nothing for an account that is shut out, and letting it in again would end them.
fn refuse_inactive(user: &User) -> Result<(), Failure> {
    match user.active {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} is inactive, so its link would open nothing; `users activate` lets it in",
            user.email
        ))),
    }
}

/// How a link leaves: in the mail, or printed, and then nowhere else.
fn handed_over(by_mail: bool, what: &str, url: &Secret<String>, mut json: Value) -> Answer {
    json["mailed"] = by_mail.into();
    if by_mail {
        let text = format!("{what} is in the outbox; the running site, or `mail send`, sends it");
        return Answer::new(text, json);
    }
    json["url"] = url.expose().as_str().into();
    Answer::new(url.expose().as_str(), json)
}

async fn require_new_password(site: &Site, identity: &str) -> Result<Answer, Failure> {
    let user = find(site, identity).await?;
    accounts(site).require_new_password(&user.id).await?;
    let how = match site.settings.recover.enabled {
        true => "the next sign-in asks for a new password",
        false => {
            "since `security.recover.enabled` is false, nobody gets in before `users change-password`"
        }
    };
    let text = format!("the sessions of {} are ended; {how}", user.email);
    Ok(Answer::new(text, json!({ "id": user.id, "changed": true })))
}

async fn set_active(site: &Site, identity: &str, active: bool) -> Result<Answer, Failure> {
    let user = find(site, identity).await?;
    let changed = match active {
        true => accounts(site).activate_user(&user.id).await?,
        false => accounts(site).deactivate_user(&user.id).await?,
    };
    let (is, was) = if changed {
        ("is", "now")
    } else {
        ("was", "already")
    };
    let state = if active { "active" } else { "inactive" };
    let json = json!({ "id": user.id, "active": active, "changed": changed });
    Ok(Answer::new(
        format!("{} {is} {state} {was}", user.email),
        json,
    ))
}

async fn reset_access(site: &Site, identity: &str) -> Result<Answer, Failure> {
    let user = find(site, identity).await?;
    accounts(site).revoke_all(&user.id).await?;
    let text = format!("every way in but the password is ended for {}", user.email);
    Ok(Answer::new(text, json!({ "id": user.id, "changed": true })))
}

async fn change_password(site: &Site, change: ChangePassword) -> Result<Answer, Failure> {
    let user = find(site, &change.identity).await?;
    let typed = change.password.read()?;
    accounts(site)
        .set_password(&user.id, &typed)
        .await
        .map_err(|error| Failure::of(site, error))?;
    let text = format!(
        "{} has a new password, and its sessions are ended",
        user.email
    );
    Ok(Answer::new(text, json!({ "id": user.id, "changed": true })))
}

async fn delete(site: &Site, identity: &str) -> Result<Answer, Failure> {
    let user = find(site, identity).await?;
    if !accounts(site).delete_user(&user.id).await? {
        return Err(Failure::unknown("account", identity, []));
    }
    Ok(Answer::new(
        format!("{} is deleted", user.email),
        json!({ "id": user.id, "deleted": true }),
    ))
}
