//! Accounts, and what they may do.

use diesel::prelude::*;

use super::{
    Conn, Grants, NewUser, StoreError, Unique, User,
    conn::natively,
    endings::{self, Ending},
    factors,
    schema::{role_permissions, roles, user_roles, users},
    social, tickets,
};
use crate::{
    identity::{EmailAddress, Identity, Username},
    secrets::PasswordHash,
    types::{Timestamp, Uniquifier, UserId},
};

pub(crate) fn insert(conn: &mut Conn, new: &NewUser, now: Timestamp) -> Result<User, StoreError> {
    let id = &new.id;
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq(new.email.address()),
            users::email_key.eq(new.email.key()),
            users::username.eq(new.username.as_ref().map(Username::name)),
            users::username_key.eq(new.username.as_ref().map(Username::key)),
            users::username_skeleton.eq(new.username.as_ref().map(Username::skeleton)),
            users::password_hash.eq(new.password.as_ref().map(PasswordHash::as_stored)),
            users::active.eq(new.active),
            users::confirmed_at.eq(new.confirmed.then_some(now)),
            users::uniquifier.eq(Uniquifier::new()),
            users::token_uniquifier.eq(Uniquifier::new()),
            users::must_change_password.eq(false),
            users::password_changed_at.eq(new.password.as_ref().map(|_| now)),
            users::sign_in_count.eq(0),
            users::created_at.eq(now),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    by_id(conn, id)?.ok_or(StoreError::Missing)
}

pub(crate) fn by_id(conn: &mut Conn, id: &UserId) -> Result<Option<User>, StoreError> {
    Ok(users::table
        .find(id)
        .select(User::as_select())
        .get_result(conn)
        .optional()?)
}

pub(crate) fn by_identity(
    conn: &mut Conn,
    identity: &Identity,
) -> Result<Option<User>, StoreError> {
    Ok(with_password(conn, identity)?.map(|(user, _)| user))
}

/// The account behind an identity, with its password hash: the one query of a sign-in by password.
pub(crate) fn with_password(
    conn: &mut Conn,
    identity: &Identity,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    let columns = (User::as_select(), users::password_hash);
    let found: Option<(User, Option<String>)> = match identity {
        Identity::Email(email) => users::table
            .filter(users::email_key.eq(email.key()))
            .select(columns)
            .get_result(conn)
            .optional()?,
        Identity::Username(name) => users::table
            .filter(users::username_key.eq(name.key()))
            .select(columns)
            .get_result(conn)
            .optional()?,
        // No such account, but the same work: the query is one that finds nothing.
        Identity::Unknown(text) => users::table
            .filter(users::email_key.eq(text))
            .filter(users::id.eq(""))
            .select(columns)
            .get_result(conn)
            .optional()?,
    };
    Ok(found.map(|(user, hash)| (user, hash.map(PasswordHash::from_stored))))
}

/// Whose something of a new account is already: the address, else the username or one that looks alike.
pub(crate) fn owner_of(
    conn: &mut Conn,
    email: &EmailAddress,
    username: Option<&Username>,
) -> Result<Option<(Unique, User)>, StoreError> {
    let of_email: Option<User> = users::table
        .filter(users::email_key.eq(email.key()))
        .select(User::as_select())
        .get_result(conn)
        .optional()?;
    if let Some(owner) = of_email {
        return Ok(Some((Unique::Email, owner)));
    }
    match username {
        Some(username) => {
            let owner = owner_of_username(conn, username)?;
            Ok(owner.map(|owner| (Unique::Username, owner)))
        }
        None => Ok(None),
    }
}

/// Who has this username, or one that looks alike.
pub(crate) fn owner_of_username(
    conn: &mut Conn,
    username: &Username,
) -> Result<Option<User>, StoreError> {
    Ok(users::table
        .filter(
            users::username_key
                .eq(username.key())
                .or(users::username_skeleton.eq(username.skeleton())),
        )
        .select(User::as_select())
        .limit(1)
        .get_result(conn)
        .optional()?)
}

pub(crate) fn password_of(
    conn: &mut Conn,
    id: &UserId,
) -> Result<Option<PasswordHash>, StoreError> {
    let hash: Option<Option<String>> = users::table
        .find(id)
        .select(users::password_hash)
        .get_result(conn)
        .optional()?;
    Ok(hash.flatten().map(PasswordHash::from_stored))
}

/// Puts a better hash of the same password in place of `old`, unless it has been changed meanwhile.
pub(crate) fn upgrade_password(
    conn: &mut Conn,
    id: &UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let changed = diesel::update(
        users::table
            .find(id)
            .filter(users::password_hash.eq(old.as_stored())),
    )
    .set(users::password_hash.eq(new.as_stored()))
    .execute(conn)?;
    Ok(changed == 1)
}

/// What else ends with a password, as the settings have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndsWithPassword {
    pub(crate) tokens: bool,
    pub(crate) api_keys: bool,
}

impl EndsWithPassword {
    /// Whoever had the account before may have taken tokens and made keys.
    pub(crate) const ALL: Self = Self {
        tokens: true,
        api_keys: true,
    };
}

/// Sets a new password, and ends what the old one had opened and every open ticket.
pub(crate) fn set_password(
    conn: &mut Conn,
    id: &UserId,
    hash: &PasswordHash,
    ends: EndsWithPassword,
    now: Timestamp,
) -> Result<User, StoreError> {
    let changed = diesel::update(users::table.find(id))
        .set((
            users::password_hash.eq(hash.as_stored()),
            users::password_changed_at.eq(now),
            users::must_change_password.eq(false),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(StoreError::Missing);
    }
    let ending = Ending::NewPassword {
        user: id.clone(),
        tokens: ends.tokens,
        api_keys: ends.api_keys,
    };
    endings::end(conn, &ending)?;
    by_id(conn, id)?.ok_or(StoreError::Missing)
}

/// Goes on only if the account still is as a credential found it, and keeps it so until the transaction
/// ends: a new password, a shut account or a sign-out everywhere that commits first wins.
pub(crate) fn hold(
    conn: &mut Conn,
    id: &UserId,
    uniquifier: &Uniquifier,
) -> Result<(), StoreError> {
    let same = users::table
        .find(id)
        .filter(users::uniquifier.eq(uniquifier));
    let held = diesel::update(same)
        .set(users::uniquifier.eq(uniquifier))
        .execute(conn)?;
    match held {
        0 => Err(StoreError::Missing),
        _ => Ok(()),
    }
}

/// What becomes of the password of an account whose address is proven for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EarlierPassword {
    /// The proof answers the mail that went out when it was chosen.
    Keep,
    /// Whoever chose it may be somebody else.
    Remove,
}

/// What a proof of the address changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// Nothing: it was proven before.
    Before,
    /// It is proven now.
    Now {
        /// Whether a password was removed.
        password_removed: bool,
    },
}

/// Marks the address as proven by its owner. The first time everything goes that somebody else may
/// have planted under the address before: sessions, remembered devices, tokens, tickets.
pub(crate) fn confirm(
    conn: &mut Conn,
    id: &UserId,
    password: EarlierPassword,
    now: Timestamp,
) -> Result<Confirmed, StoreError> {
    if !declare_confirmed(conn, id, now)? {
        return Ok(Confirmed::Before);
    }
    end_all_that_opens(conn, id)?;
    let password_removed = match password {
        EarlierPassword::Keep => false,
        EarlierPassword::Remove => remove_password(conn, id, now)?,
    };
    Ok(Confirmed::Now { password_removed })
}

/// Ends everything but the password that opens an account or asks for something in its name: sessions,
/// remembered and trusted devices, tokens, tickets, factors, linked accounts and API keys.
fn end_all_that_opens(conn: &mut Conn, id: &UserId) -> Result<(), StoreError> {
    factors::delete_all_of(conn, id)?;
    social::delete_all_of(conn, id)?;
    endings::end(conn, &Ending::Reclaimed(id.clone()))?;
    Ok(())
}

/// Empties an account whose address nobody has proven, so that it can be given to the owner of the address:
/// nothing is left by which whoever registered it comes in. False if its address is proven by now.
pub(crate) fn empty_unproven(
    conn: &mut Conn,
    id: &UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let none: Option<String> = None;
    let unproven = users::table.find(id).filter(users::confirmed_at.is_null());
    let emptied = diesel::update(unproven)
        .set((
            users::username.eq(&none),
            users::username_key.eq(&none),
            users::username_skeleton.eq(&none),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    if emptied == 0 {
        return Ok(false);
    }
    remove_password(conn, id, now)?;
    end_all_that_opens(conn, id)?;
    Ok(true)
}

/// Leaves an account without a password; false if it had none.
fn remove_password(conn: &mut Conn, id: &UserId, now: Timestamp) -> Result<bool, StoreError> {
    let none: Option<String> = None;
    let had_one = users::table
        .find(id)
        .filter(users::password_hash.is_not_null());
    let removed = diesel::update(had_one)
        .set((
            users::password_hash.eq(none),
            users::must_change_password.eq(false),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(removed == 1)
}

/// Gives an account another address, which its owner has proven, in the place of `old_key`; false if
/// that is not its address any more. Every open ticket ends, but those that undo this.
pub(crate) fn set_email(
    conn: &mut Conn,
    id: &UserId,
    old_key: &str,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(users::table.find(id).filter(users::email_key.eq(old_key)))
        .set((
            users::email.eq(email.address()),
            users::email_key.eq(email.key()),
            users::confirmed_at.eq(now),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    if changed == 1 {
        endings::end(conn, &Ending::NewAddress(id.clone()))?;
    }
    Ok(changed == 1)
}

/// Gives an account its earlier address back, and locks everybody out of it: no session, token or
/// ticket is left, and no password.
pub(crate) fn restore_email(
    conn: &mut Conn,
    id: &UserId,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = diesel::update(users::table.find(id))
        .set((
            users::email.eq(email.address()),
            users::email_key.eq(email.key()),
            users::confirmed_at.eq(now),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(StoreError::Missing);
    }
    remove_password(conn, id, now)?;
    endings::end(conn, &Ending::Reclaimed(id.clone())).map(drop)
}

/// Gives an account another username.
pub(crate) fn set_username(
    conn: &mut Conn,
    id: &UserId,
    username: &Username,
    now: Timestamp,
) -> Result<User, StoreError> {
    diesel::update(users::table.find(id))
        .set((
            users::username.eq(username.name()),
            users::username_key.eq(username.key()),
            users::username_skeleton.eq(username.skeleton()),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    by_id(conn, id)?.ok_or(StoreError::Missing)
}

/// Lets nobody in who does not choose a new password first, and ends what the present one has opened.
pub(crate) fn require_new_password(
    conn: &mut Conn,
    id: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = diesel::update(users::table.find(id))
        .set((
            users::must_change_password.eq(true),
            users::updated_at.eq(now),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(StoreError::Missing);
    }
    end_sessions(conn, id, true)
}

/// Ends every sign-in of an account, and its tokens if `tokens_too`.
pub(crate) fn end_sessions(
    conn: &mut Conn,
    id: &UserId,
    tokens_too: bool,
) -> Result<(), StoreError> {
    let ending = Ending::Everywhere {
        user: id.clone(),
        tokens: tokens_too,
    };
    endings::end(conn, &ending).map(drop)
}

/// Notes a sign-in: the last one becomes the last but one, in the same statement.
pub(crate) fn note_sign_in(
    conn: &mut Conn,
    id: &UserId,
    from: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    // MySQL assigns from left to right, so what is read must stand before what overwrites it.
    diesel::update(users::table.find(id))
        .set((
            users::last_sign_in_at.eq(users::current_sign_in_at),
            users::last_sign_in_from.eq(users::current_sign_in_from),
            users::current_sign_in_at.eq(now),
            users::current_sign_in_from.eq(super::cut(from, 64)),
            users::sign_in_count.eq(users::sign_in_count + 1),
        ))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn grants(conn: &mut Conn, id: &UserId) -> Result<Grants, StoreError> {
    let rows: Vec<(String, Option<String>)> = natively!(conn, conn => user_roles::table
        .inner_join(roles::table.left_join(role_permissions::table))
        .filter(user_roles::user_id.eq(id))
        .select((roles::name, role_permissions::permission.nullable()))
        .load(conn))?;
    let mut grants = Grants::default();
    for (role, permission) in rows {
        grants.roles.insert(role);
        grants.permissions.extend(permission);
    }
    Ok(grants)
}

/// Lets an account in or shuts it out, and ends what was opened before; false if it was so already.
pub(crate) fn set_active(
    conn: &mut Conn,
    id: &UserId,
    active: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(users::table.find(id).filter(users::active.ne(active)))
        .set((users::active.eq(active), users::updated_at.eq(now)))
        .execute(conn)?;
    if changed == 1 {
        endings::end(conn, &Ending::Deactivation(id.clone()))?;
        return Ok(true);
    }
    match by_id(conn, id)? {
        Some(_) => Ok(false),
        None => Err(StoreError::Missing),
    }
}

/// Deletes an account with its sessions, tokens and grants; false if there was none.
pub(crate) fn delete(conn: &mut Conn, id: &UserId) -> Result<bool, StoreError> {
    let Some(user) = by_id(conn, id)? else {
        return Ok(false);
    };
    endings::end(conn, &Ending::Deletion(id.clone()))?;
    // Its mails go with it, those that wait and those that only say to whom they went.
    super::outbox::delete_to(conn, &user.email)?;
    match diesel::delete(users::table.find(id)).execute(conn) {
        Ok(deleted) => Ok(deleted == 1),
        Err(error) => Err(match StoreError::from(error) {
            StoreError::Missing => {
                StoreError::Refused("another table refers to the account without ON DELETE".into())
            }
            error => error,
        }),
    }
}

/// Ends every way in but the password: sessions, remembered devices, tokens, API keys, factors, open tickets.
pub(crate) fn revoke_all(conn: &mut Conn, id: &UserId) -> Result<(), StoreError> {
    by_id(conn, id)?.ok_or(StoreError::Missing)?;
    tickets::end_of_purpose(conn, id, tickets::UNDO)?;
    end_all_that_opens(conn, id)
}

/// Marks the address as proven on the application's word, which ends nothing; false if it was.
pub(crate) fn declare_confirmed(
    conn: &mut Conn,
    id: &UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(users::table.find(id).filter(users::confirmed_at.is_null()))
        .set((users::confirmed_at.eq(now), users::updated_at.eq(now)))
        .execute(conn)?;
    Ok(changed == 1)
}
