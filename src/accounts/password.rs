//! Setting a password.

use crate::{
    core::Core,
    error::{Error, Invalid},
    events::EventKind,
    notify::{mail::Scribe, notices, outbox},
    secrets::{Password, PasswordCheck, PasswordHash},
    store::users,
    types::{Message, UserId},
};

/// Marks the password as one to be replaced, for handlers and the command line alike.
pub(crate) async fn require_new_password(
    core: &Core,
    scribe: &Scribe<'_>,
    user: &UserId,
) -> Result<(), Error> {
    core.store.require_new_password(user).await?;
    let kind = EventKind::PasswordChangeRequired { user: user.clone() };
    core.event(scribe.client, kind);
    Ok(())
}

/// Sets a password by the policy and tells its owner, for handlers and the command line alike.
pub(crate) async fn set_password(
    core: &Core,
    scribe: &Scribe<'_>,
    user: &UserId,
    password: &str,
) -> Result<(), Error> {
    let password =
        Password::parse(password).map_err(|message| Invalid::field("password", message))?;
    let account = core.store.find_user(user).await?.ok_or(Error::NotFound)?;
    let hash = checked_hash(core, &password, &account.email, account.username.as_deref()).await?;
    let notice = notices::password_changed(scribe, &account)?;
    let ends = core.ends_with_password();
    let (id, now) = (user.clone(), core.now());
    let posted = core
        .store
        .write(move |conn| {
            users::set_password(conn, &id, &hash, ends, now)?;
            outbox::put(conn, &notice)
        })
        .await?;
    core.posted(posted);
    let user = user.clone();
    core.event(scribe.client, EventKind::PasswordChanged { user });
    Ok(())
}

/// Hashes a password that the policy finds good for this account.
pub(crate) async fn checked_hash(
    core: &Core,
    password: &Password,
    email: &str,
    username: Option<&str>,
) -> Result<PasswordHash, Error> {
    let mut invalid = Invalid::new();
    for message in judge_password(core, password, Some(email), username).await? {
        invalid.add("password", message);
    }
    invalid.into_result()?;
    Ok(core.hasher.hash(password).await?)
}

/// What the policy has against a password for an account of these names.
pub(crate) async fn judge_password(
    core: &Core,
    password: &Password,
    email: Option<&str>,
    username: Option<&str>,
) -> Result<Vec<Message>, Error> {
    let site_name = core.settings.site_name.0.as_str();
    let about: Vec<&str> = email
        .into_iter()
        .chain(username)
        .chain([site_name])
        .collect();
    let check = PasswordCheck {
        password,
        about: &about,
    };
    Ok(core.passwords.check(&check).await?)
}
