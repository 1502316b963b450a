//! `roles`: roles, their permissions, and who has them.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    out::{Answer, count, list, table},
    users::{self, accounts},
};
use crate::{store::Role, web::site::Site};

#[derive(Debug, Subcommand)]
pub(super) enum Roles {
    /// Make a role.
    Create(Create),
    /// Give a role to an account.
    Add(Grant),
    /// Take a role from an account.
    Remove(Grant),
    /// Add permissions to a role.
    AddPermissions(Permissions),
    /// Take permissions from a role.
    RemovePermissions(Permissions),
    /// Delete a role, and take it from everybody who has it.
    Delete(Delete),
    /// List roles with their permissions.
    List,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name that routes ask for.
    name: String,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// A permission that it carries; may be repeated.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Grant {
    /// The account's e-mail address, username or id.
    identity: String,
    /// The name of the role.
    role: String,
}

#[derive(Debug, Args)]
pub(super) struct Permissions {
    /// The name of the role.
    role: String,
    /// The permissions.
    #[arg(required = true, value_name = "PERMISSION")]
    permissions: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name of the role.
    role: String,
    /// Said on purpose: there is no way back.
    #[arg(long, required = true)]
    yes: bool,
}

pub(super) async fn perform(site: &Site, command: Roles) -> Result<Answer, Failure> {
    match command {
        Roles::Create(create) => self::create(site, create).await,
        Roles::Add(grant) => add(site, &grant).await,
        Roles::Remove(grant) => remove(site, &grant).await,
        Roles::AddPermissions(change) => permissions(site, &change, true).await,
        Roles::RemovePermissions(change) => permissions(site, &change, false).await,
        Roles::Delete(delete) => self::delete(site, delete.role).await,
        Roles::List => list_all(site).await,
    }
}

/// The role called `name`, or the nearest name as a hint.
pub(super) async fn find(site: &Site, name: &str) -> Result<Role, Failure> {
    match site.store.find_role(name).await? {
        Some(role) => Ok(role),
        None => {
            let known = site.store.list_roles().await?;
            Err(Failure::unknown(
                "role",
                name,
                known.iter().map(|(role, _)| role.name.as_str()),
            ))
        }
    }
}

async fn create(site: &Site, create: Create) -> Result<Answer, Failure> {
    let permissions = create.permissions.clone();
    let role = accounts(site)
        .change(move |change| {
            let role = change.create_role(&create.name, create.description.as_deref())?;
            let names: Vec<&str> = create.permissions.iter().map(String::as_str).collect();
            change.add_permissions_to_role(&role.name, &names)?;
            Ok(role)
        })
        .await?;
    let permissions: BTreeSet<String> = permissions.into_iter().collect();
    let granted = match permissions.is_empty() {
        true => "no permissions".into(),
        false => format!("permissions: {}", list(&permissions)),
    };
    let text = format!("Created role \"{}\" ({granted})", role.name);
    Ok(Answer::new(
        text,
        json!({ "role": as_json(&role, permissions) }),
    ))
}

async fn add(site: &Site, grant: &Grant) -> Result<Answer, Failure> {
    let user = users::find(site, &grant.identity).await?;
    let role = find(site, &grant.role).await?.name;
    let changed = accounts(site).add_role_to_user(&user.id, &role).await?;
    let text = match changed {
        true => format!("{} has the role {role} now", user.email),
        false => format!("{} had the role {role} already", user.email),
    };
    Ok(Answer::new(
        text,
        json!({ "id": user.id, "role": role, "changed": changed }),
    ))
}

async fn remove(site: &Site, grant: &Grant) -> Result<Answer, Failure> {
    let user = users::find(site, &grant.identity).await?;
    let role = find(site, &grant.role).await?.name;
    let changed = accounts(site)
        .remove_role_from_user(&user.id, &role)
        .await?;
    let text = match changed {
        true => format!("{} no longer has the role {role}", user.email),
        false => format!("{} did not have the role {role}", user.email),
    };
    Ok(Answer::new(
        text,
        json!({ "id": user.id, "role": role, "changed": changed }),
    ))
}

async fn permissions(site: &Site, change: &Permissions, add: bool) -> Result<Answer, Failure> {
    let role = find(site, &change.role).await?.name;
    let names: Vec<&str> = change.permissions.iter().map(String::as_str).collect();
    let accounts = accounts(site);
    let number = match add {
        true => accounts.add_permissions_to_role(&role, &names).await?,
        false => accounts.remove_permissions_from_role(&role, &names).await?,
    };
    let all = site.store.list_roles().await?;
    let left = all
        .into_iter()
        .find(|(known, _)| known.name == role)
        .map(|(_, permissions)| permissions);
    let left = left.unwrap_or_default();
    let done = if add { "added" } else { "removed" };
    let text = format!(
        "{} {done}; {role} carries now: {}",
        count(number, "permission", "permissions"),
        list(&left)
    );
    Ok(Answer::new(
        text,
        json!({ "role": role, "permissions": left, "changed": number }),
    ))
}

async fn delete(site: &Site, name: String) -> Result<Answer, Failure> {
    let role = find(site, &name).await?.name;
    let gone = name.clone();
    let holders = accounts(site)
        .change(move |change| change.delete_role_of(&gone))
        .await?;
    let Some(holders) = holders else {
        return Err(Failure::unknown("role", &name, []));
    };
    let had = count(holders, "account", "accounts");
    Ok(Answer::new(
        format!("the role {role} is deleted; {had} had it"),
        json!({ "role": role, "deleted": true, "accounts": holders }),
    ))
}

async fn list_all(site: &Site) -> Result<Answer, Failure> {
    let roles = site.store.list_roles().await?;
    let row = |(role, permissions): &(Role, Vec<String>)| {
        [
            role.name.clone(),
            list(permissions),
            role.description.clone().unwrap_or_default(),
        ]
    };
    let text = match roles.is_empty() {
        true => "no roles".to_string(),
        false => table(
            ["ROLE", "PERMISSIONS", "DESCRIPTION"],
            &roles.iter().map(row).collect::<Vec<_>>(),
        ),
    };
    let json: Vec<Value> = roles
        .into_iter()
        .map(|(role, permissions)| as_json(&role, permissions))
        .collect();
    Ok(Answer::new(text, json!({ "roles": json })))
}

fn as_json(role: &Role, permissions: impl IntoIterator<Item = String>) -> Value {
    let permissions: Vec<String> = permissions.into_iter().collect();
    json!({ "id": role.id, "name": role.name, "description": role.description, "permissions": permissions })
}
