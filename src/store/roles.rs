//! Roles and their permissions: rows, so that a comma in a name harms nothing.

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, Unique, User,
    schema::{role_permissions, roles, user_roles, users},
};
use crate::{
    identity::text::{self, NotAName},
    types::{RoleId, Timestamp, UserId},
};

/// A role: a name that routes ask for, and permissions that it carries.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = roles)]
#[non_exhaustive]
pub struct Role {
    /// Which role.
    pub id: RoleId,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// Longest name of a role or permission, in characters (what an index of every database holds).
const LONGEST: usize = 191;

/// Names are matched exactly, so none may hide a difference that nobody sees.
pub(super) fn checked(name: &str) -> Result<&str, StoreError> {
    match text::name(name, LONGEST) {
        Ok(good) if good == name => Ok(name),
        Err(NotAName::Empty | NotAName::TooLong) => Err(StoreError::Refused(format!(
            "a name has 1 to {LONGEST} characters"
        ))),
        Ok(_) | Err(NotAName::Hidden) => Err(StoreError::Refused(
            "a name has no control or invisible characters and no space at its ends".into(),
        )),
    }
}

pub(crate) fn find(conn: &mut Conn, name: &str) -> Result<Option<Role>, StoreError> {
    // One that no role can have is not worth a query, which some databases would refuse.
    if checked(name).is_err() {
        return Ok(None);
    }
    Ok(roles::table
        .filter(roles::name.eq(name))
        .select(Role::as_select())
        .get_result(conn)
        .optional()?)
}

/// Makes a role.
pub(crate) fn create(
    conn: &mut Conn,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<Role, StoreError> {
    let id = RoleId::new();
    diesel::insert_into(roles::table)
        .values((
            roles::id.eq(&id),
            roles::name.eq(checked(name)?),
            roles::description.eq(description.map(|text| super::cut(text, 1_024))),
            roles::created_at.eq(now),
        ))
        .execute(conn)?;
    find(conn, name)?.ok_or(StoreError::Missing)
}

/// Inserts unless it is there; true if it was not. `insert` is tried in a savepoint, since a refused
/// statement ends the whole transaction on PostgreSQL.
fn insert_once(
    conn: &mut Conn,
    insert: impl FnOnce(&mut Conn) -> Result<(), diesel::result::Error>,
) -> Result<bool, StoreError> {
    match conn
        .transaction(|conn| insert(conn))
        .map_err(StoreError::from)
    {
        Ok(()) => Ok(true),
        Err(StoreError::Taken(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives a role to an account; false if it had it.
pub(crate) fn give(conn: &mut Conn, id: &UserId, role: &Role) -> Result<bool, StoreError> {
    insert_once(conn, |conn| {
        diesel::insert_into(user_roles::table)
            .values((user_roles::user_id.eq(id), user_roles::role_id.eq(&role.id)))
            .execute(conn)
            .map(drop)
    })
}

/// Adds permissions to a role; answers how many were new.
pub(crate) fn permit(
    conn: &mut Conn,
    role: &Role,
    permissions: &[String],
) -> Result<usize, StoreError> {
    let mut added = 0;
    for permission in permissions {
        let permission = checked(permission)?;
        added += usize::from(insert_once(conn, |conn| {
            diesel::insert_into(role_permissions::table)
                .values((
                    role_permissions::role_id.eq(&role.id),
                    role_permissions::permission.eq(permission),
                ))
                .execute(conn)
                .map(drop)
        })?);
    }
    Ok(added)
}

/// The role called `name`, made if need be.
pub(crate) fn find_or_create(
    conn: &mut Conn,
    name: &str,
    now: Timestamp,
) -> Result<Role, StoreError> {
    if let Some(role) = find(conn, name)? {
        return Ok(role);
    }
    match conn.transaction(|conn| create(conn, name, None, now)) {
        // Another was faster; the row is there now.
        Err(StoreError::Taken(Unique::RoleName | Unique::Other)) => {
            find(conn, name)?.ok_or(StoreError::Missing)
        }
        other => other,
    }
}

/// Takes a role from an account; false if it did not have it.
pub(crate) fn take(conn: &mut Conn, id: &UserId, role: &Role) -> Result<bool, StoreError> {
    Ok(diesel::delete(user_roles::table.find((id, &role.id))).execute(conn)? == 1)
}

/// Takes permissions from a role; answers how many it had.
pub(crate) fn forbid(
    conn: &mut Conn,
    role: &Role,
    permissions: &[String],
) -> Result<usize, StoreError> {
    let good: Vec<&String> = permissions
        .iter()
        .filter(|name| checked(name).is_ok())
        .collect();
    let which = role_permissions::table
        .filter(role_permissions::role_id.eq(&role.id))
        .filter(role_permissions::permission.eq_any(good));
    Ok(diesel::delete(which).execute(conn)?)
}

/// Deletes a role with its permissions and grants; answers who had it, or `None` if there was none.
pub(crate) fn delete(conn: &mut Conn, name: &str) -> Result<Option<Vec<UserId>>, StoreError> {
    let Some(role) = find(conn, name)? else {
        return Ok(None);
    };
    let holders = user_roles::table
        .filter(user_roles::role_id.eq(&role.id))
        .select(user_roles::user_id)
        .load(conn)?;
    let deleted = diesel::delete(roles::table.find(&role.id)).execute(conn)?;
    Ok((deleted == 1).then_some(holders))
}

/// The public queries on roles. [`Accounts`](crate::Accounts) changes them.
impl Store {
    /// The role called `name`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn find_role(&self, name: &str) -> Result<Option<Role>, StoreError> {
        let name = name.to_string();
        self.read(move |conn| find(conn, &name)).await
    }

    /// All roles by name, each with its permissions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn list_roles(&self) -> Result<Vec<(Role, Vec<String>)>, StoreError> {
        self.read(|conn| {
            let all: Vec<Role> = roles::table
                .order(roles::name)
                .select(Role::as_select())
                .load(conn)?;
            let permissions: Vec<(RoleId, String)> = role_permissions::table
                .order(role_permissions::permission)
                .select((role_permissions::role_id, role_permissions::permission))
                .load(conn)?;
            Ok(all
                .into_iter()
                .map(|role| {
                    let own = permissions
                        .iter()
                        .filter(|(id, _)| *id == role.id)
                        .map(|(_, name)| name.clone());
                    let own = own.collect();
                    (role, own)
                })
                .collect())
        })
        .await
    }

    /// The accounts that have a role, in order of creation. For many, ask page by page:
    /// [`UserQuery::role`](super::UserQuery::role).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn users_with_role(&self, role: &str) -> Result<Vec<User>, StoreError> {
        let role = role.to_string();
        self.read(move |conn| {
            if checked(&role).is_err() {
                return Ok(Vec::new());
            }
            Ok(user_roles::table
                .inner_join(users::table)
                .inner_join(roles::table)
                .filter(roles::name.eq(role))
                .order(users::id)
                .select(User::as_select())
                .load(conn)?)
        })
        .await
    }
}
