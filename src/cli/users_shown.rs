//! Accounts as commands list and show them.

use super::users::{List, find};
use super::{
    failure::Failure,
    out::{Answer, list, table},
};
use crate::{
    store::{Grants, SessionInfo, User, users},
    types::{Timestamp, UserId},
    web::site::Site,
};
use serde_json::{Value, json};

pub(super) async fn list_all(site: &Site, list: List) -> Result<Answer, Failure> {
    let after = match &list.after {
        // The id as it stands: the account may be gone since the last page.
        Some(after) => match after.parse::<UserId>() {
            Ok(id) => Some(id),
            Err(_) => Some(find(site, after).await?.id),
        },
        None => None,
    };
    let accounts = site.store.search_users(&list.query(after.as_ref())).await?;
    let accounts = site
        .store
        .read(move |conn| {
            accounts
                .into_iter()
                .map(|user| users::grants(conn, &user.id).map(|grants| (user, grants)))
                .collect()
        })
        .await?;
    let accounts: Vec<(User, Grants)> = accounts;
    let rows: Vec<_> = accounts
        .iter()
        .map(|(user, grants)| {
            [
                user.email.clone(),
                user.username.clone().unwrap_or_else(|| "-".into()),
                yes(user.active),
                yes(user.confirmed_at.is_some()),
                self::list(&grants.roles),
                user.current_sign_in_at
                    .map_or_else(|| "-".into(), Timestamp::rfc3339),
                user.id.to_string(),
            ]
        })
        .collect();
    let next = (accounts.len() == usize::from(list.limit))
        .then(|| accounts.last().map(|(user, _)| &user.id))
        .flatten();
    let mut text = match accounts.is_empty() {
        true => "no accounts".to_string(),
        false => table(
            [
                "EMAIL",
                "USERNAME",
                "ACTIVE",
                "CONFIRMED",
                "ROLES",
                "LAST SIGN-IN",
                "ID",
            ],
            &rows,
        ),
    };
    if let Some(next) = next {
        text.push_str(&format!("more by --after {next}\n"));
    }
    let users: Vec<Value> = accounts
        .iter()
        .map(|(user, grants)| as_json(user, grants))
        .collect();
    Ok(Answer::new(text, json!({ "users": users, "next": next })))
}

pub(super) async fn show(site: &Site, identity: &str) -> Result<Answer, Failure> {
    let user = find(site, identity).await?;
    let id = user.id.clone();
    let (grants, password) = site
        .store
        .read(move |conn| Ok((users::grants(conn, &id)?, users::password_of(conn, &id)?)))
        .await?;
    let sessions = site.store.sessions_of(&user.id).await?;
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".into(), Timestamp::rfc3339);
    let lines = [
        ("id", user.id.to_string()),
        ("e-mail", user.email.clone()),
        (
            "username",
            user.username.clone().unwrap_or_else(|| "-".into()),
        ),
        ("active", yes(user.active)),
        ("confirmed", time(user.confirmed_at)),
        (
            "password",
            password
                .as_ref()
                .map_or_else(|| "none".into(), |_| time(user.password_changed_at)),
        ),
        ("made", time(Some(user.created_at))),
        ("sign-ins", user.sign_in_count.to_string()),
        ("last sign-in", time(user.current_sign_in_at)),
        ("roles", list(&grants.roles)),
        ("permissions", list(&grants.permissions)),
        ("sessions", sessions.len().to_string()),
    ];
    let mut text: String = lines
        .iter()
        .map(|(name, value)| format!("{name:12}  {value}\n"))
        .collect();
    if !sessions.is_empty() {
        let row = |session: &SessionInfo| {
            [
                session.created_at.rfc3339(),
                session.last_seen_at.rfc3339(),
                session.methods.to_string(),
                session.address.clone(),
                session.agent.clone(),
            ]
        };
        let rows: Vec<_> = sessions.iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(
            ["SIGNED IN", "LAST SEEN", "METHODS", "ADDRESS", "AGENT"],
            &rows,
        ));
    }
    let mut json = as_json(&user, &grants);
    json["permissions"] = json!(grants.permissions);
    json["has_password"] = password.is_some().into();
    json["sessions"] = sessions
        .iter()
        .map(|session| {
            json!({
                "id": session.id,
                "created_at": session.created_at.rfc3339(),
                "last_seen_at": session.last_seen_at.rfc3339(),
                "expires_at": session.expires_at.rfc3339(),
                "methods": session.methods,
                "address": session.address,
                "agent": session.agent,
                "remembered": session.is_remembered(),
            })
        })
        .collect();
    Ok(Answer::new(text, json!({ "user": json })))
}

pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

/// An account as scripts see it; the keys are stable.
pub(super) fn as_json(user: &User, grants: &Grants) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
    json!({
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "active": user.active,
        "confirmed_at": time(user.confirmed_at),
        "created_at": user.created_at.rfc3339(),
        "password_changed_at": time(user.password_changed_at),
        "must_change_password": user.must_change_password,
        "sign_in_count": user.sign_in_count,
        "current_sign_in_at": time(user.current_sign_in_at),
        "last_sign_in_at": time(user.last_sign_in_at),
        "roles": grants.roles,
    })
}
