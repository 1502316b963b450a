//! API keys: long-lived tokens for programs, which may do less than their owner.
//!
//! A key is `<prefix>_<id>_<secret>`. The secret has 256 random bits, so a fast hash of it is enough; the id finds
//! the row, and tells a key that was found somewhere from others. It opens only routes that say `Via<ApiKey>`,
//! counts as no session, is never fresh, and carries permissions and no roles.

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::admit::ensure_usable;
use crate::{
    core::Core,
    error::{Denied, Error},
    secrets::{Secret, digest},
    signin::{
        caller::{Caller, Mechanism},
        scope::Scope,
    },
    store::api_keys,
    types::{Methods, ProvenAt},
};

/// Characters of an id in a key: a UUID without its hyphens.
const ID: usize = 32;
/// Characters of the secret.
const SECRET: usize = 43;

/// What is shown once.
pub(crate) fn write(core: &Core, id: &str, secret: &Secret<String>) -> Secret<String> {
    let prefix = &core.settings.api_keys.prefix;
    let id = id.replace('-', "");
    Secret::new(format!("{prefix}_{id}_{}", secret.expose()))
}

/// What its owner may know it by later.
pub(crate) fn beginning(core: &Core, id: &str) -> String {
    let prefix = &core.settings.api_keys.prefix;
    format!("{prefix}_{}_", id.replace('-', ""))
}

/// Whether a text in a header is meant as a key. An authentication token may begin like one, and is shorter.
pub(crate) fn is_meant(core: &Core, shown: &str) -> bool {
    core.settings.api_keys.enabled && split(core, shown).is_some()
}

/// The id and the secret of a key.
fn split<'a>(core: &Core, shown: &'a str) -> Option<(Uuid, &'a str)> {
    let prefix = core.settings.api_keys.prefix.as_str();
    let rest = shown.strip_prefix(prefix)?.strip_prefix('_')?;
    let (id, secret) = rest.split_at_checked(ID)?;
    let secret = secret.strip_prefix('_')?;
    let id = Uuid::try_parse(id).ok()?;
    (secret.len() == SECRET).then_some((id, secret))
}

/// Whose key this is, if it is alive and its owner may come in.
pub(crate) async fn resolve(
    core: &Core,
    shown: &str,
    from: impl FnOnce() -> String,
) -> Result<Caller, Error> {
    let bad = || Error::from(Denied::BadCredential);
    let (id, secret) = split(core, shown).ok_or_else(bad)?;
    let (id, hash) = (id.to_string(), digest(secret));
    let found = {
        let id = id.clone();
        core.store
            .read(move |conn| api_keys::find(conn, &id))
            .await?
    };
    let (row, user) = found.ok_or_else(bad)?;
    let is_right: bool = row.key_hash.as_bytes().ct_eq(hash.as_bytes()).into();
    let now = core.now();
    let over = row.expires_at.is_some_and(|end| end <= now) || !row.created_at.has_been(now);
    if !is_right || over {
        return Err(bad());
    }
    ensure_usable(core, &user)?;
    // While a new password is owed nothing of the account is open.
    if user.must_change_password {
        return Err(Denied::NewPassword.into());
    }
    if row
        .last_used_at
        .is_none_or(|used| used.after(crate::store::touches::NOTED_EVERY) <= now)
    {
        core.key_uses.note(&id, now, from);
    }
    Ok(Caller {
        user,
        mechanism: Mechanism::ApiKey,
        methods: Methods::default(),
        // A key proves nothing anew, however short a time ago it was made.
        authenticated_at: ProvenAt::NEVER,
        grace_until: row.created_at,
        session: None,
        token: None,
        key: Some(Scope {
            id,
            permissions: row.permissions,
        }),
    })
}
