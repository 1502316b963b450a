//! Rows of passkeys: what belongs to a factor of that kind; what they mean is in
//! [`crate::factors::passkey`].

use diesel::prelude::*;
use serde::Serialize;

use super::{
    Conn, Store, StoreError, User,
    schema::{
        security_factors as factors, security_passkey_users as handles,
        security_passkeys as passkeys,
    },
    users,
};
use crate::{
    secrets::digest,
    types::{FactorKind, PasskeyUsage, Timestamp, Usages, UserId},
};

/// The kind of factor that a passkey is, as its rows name it.
const KIND: &str = FactorKind::Passkey.name();

/// A passkey to be written, beside its factor.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = passkeys)]
pub(crate) struct NewPasskey {
    pub(crate) factor_id: String,
    pub(crate) credential_hash: String,
    pub(crate) credential: String,
    pub(crate) verifies: bool,
    pub(crate) aaguid: String,
    pub(crate) transports: String,
    pub(crate) backup_eligible: bool,
    pub(crate) backed_up: bool,
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = passkeys)]
struct Own {
    factor_id: String,
    credential: String,
    verifies: bool,
    aaguid: String,
    transports: String,
    backed_up: bool,
    suspect_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = factors)]
struct Shared {
    id: String,
    user_id: UserId,
    name: String,
    usages: i64,
    last_step: i64,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// A passkey as it stands.
#[derive(Clone, Debug)]
pub(crate) struct PasskeyRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) usages: i64,
    /// The signature counter that was seen last.
    pub(crate) counter: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) credential: String,
    pub(crate) verifies: bool,
    pub(crate) aaguid: String,
    pub(crate) transports: String,
    pub(crate) backed_up: bool,
    pub(crate) suspect_at: Option<Timestamp>,
}

impl PasskeyRow {
    fn of(shared: Shared, own: Own) -> Self {
        Self {
            id: shared.id,
            name: shared.name,
            usages: shared.usages,
            counter: shared.last_step,
            created_at: shared.created_at,
            last_used_at: shared.last_used_at,
            credential: own.credential,
            verifies: own.verifies,
            aaguid: own.aaguid,
            transports: own.transports,
            backed_up: own.backed_up,
            suspect_at: own.suspect_at,
        }
    }

    pub(crate) fn serves(&self, usage: Usages) -> bool {
        self.usages & usage.bits() != 0
    }

    pub(crate) fn usage(&self) -> PasskeyUsage {
        match (self.serves(Usages::FIRST), self.serves(Usages::SECOND)) {
            (true, true) => PasskeyUsage::Both,
            (true, false) => PasskeyUsage::First,
            (false, _) => PasskeyUsage::Secondary,
        }
    }
}

/// A passkey as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PasskeyInfo {
    /// Which.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Whether it signs in.
    pub first: bool,
    /// Whether it is asked for after something else.
    pub second: bool,
    /// Whether the authenticator checks that it is its owner, by PIN or finger.
    pub verifies: bool,
    /// Whether copies of it are on other devices.
    pub synced: bool,
    /// The model of authenticator by its own word, as a UUID; all zeros where it does not say.
    pub aaguid: String,
    /// When its counter went back: it may have been copied, and opens nothing since.
    pub suspect_at: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

impl From<PasskeyRow> for PasskeyInfo {
    fn from(row: PasskeyRow) -> Self {
        Self {
            first: row.serves(Usages::FIRST),
            second: row.serves(Usages::SECOND),
            id: row.id,
            name: row.name,
            verifies: row.verifies,
            synced: row.backed_up,
            aaguid: row.aaguid,
            suspect_at: row.suspect_at,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        }
    }
}

pub(crate) fn insert(conn: &mut Conn, new: &NewPasskey) -> Result<(), StoreError> {
    diesel::insert_into(passkeys::table)
        .values(new)
        .execute(conn)?;
    Ok(())
}

/// All passkeys of an account, the oldest first.
pub(crate) fn of_user(conn: &mut Conn, user: &UserId) -> Result<Vec<PasskeyRow>, StoreError> {
    let shared: Vec<Shared> = factors::table
        .filter(factors::user_id.eq(user))
        .filter(factors::kind.eq(KIND))
        .order(factors::id)
        .select(Shared::as_select())
        .load(conn)?;
    let ids: Vec<&str> = shared.iter().map(|row| row.id.as_str()).collect();
    let mut own: Vec<Own> = passkeys::table
        .filter(passkeys::factor_id.eq_any(ids))
        .select(Own::as_select())
        .load(conn)?;
    let rows = shared.into_iter().filter_map(|shared| {
        let at = own.iter().position(|own| own.factor_id == shared.id)?;
        Some(PasskeyRow::of(shared, own.swap_remove(at)))
    });
    Ok(rows.collect())
}

/// Those of one use that may be shown: none whose counter went back.
pub(crate) fn usable(
    conn: &mut Conn,
    user: &UserId,
    usage: Option<Usages>,
) -> Result<Vec<PasskeyRow>, StoreError> {
    let mut rows = of_user(conn, user)?;
    rows.retain(|row| row.suspect_at.is_none() && usage.is_none_or(|usage| row.serves(usage)));
    Ok(rows)
}

/// Whose a credential is.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) row: PasskeyRow,
    pub(crate) user: User,
    /// The name under which authenticators know the account.
    pub(crate) handle: String,
}

/// The passkey with this credential id, with its owner.
pub(crate) fn by_credential(
    conn: &mut Conn,
    credential_id: &[u8],
) -> Result<Option<Owned>, StoreError> {
    let own: Option<Own> = passkeys::table
        .filter(passkeys::credential_hash.eq(hash_of(credential_id)))
        .select(Own::as_select())
        .get_result(conn)
        .optional()?;
    let Some(own) = own else { return Ok(None) };
    let shared: Option<Shared> = factors::table
        .find(&own.factor_id)
        .select(Shared::as_select())
        .get_result(conn)
        .optional()?;
    let Some(shared) = shared else {
        return Ok(None);
    };
    let user = users::by_id(conn, &shared.user_id)?;
    let handle = handle_of(conn, &shared.user_id)?;
    Ok(match (user, handle) {
        (Some(user), Some(handle)) => Some(Owned {
            row: PasskeyRow::of(shared, own),
            user,
            handle,
        }),
        _ => None,
    })
}

/// A credential id as it is looked up by: ids reach 1,023 bytes, which no index takes.
pub(crate) fn hash_of(credential_id: &[u8]) -> String {
    digest(&data_encoding::BASE64URL_NOPAD.encode(credential_id))
}

/// The name under which authenticators know an account, if it has one.
pub(crate) fn handle_of(conn: &mut Conn, user: &UserId) -> Result<Option<String>, StoreError> {
    Ok(handles::table
        .find(user)
        .select(handles::handle)
        .get_result(conn)
        .optional()?)
}

/// Gives an account its name for authenticators, unless it has one; answers the one it has.
pub(crate) fn take_handle(conn: &mut Conn, user: &UserId, new: &str) -> Result<String, StoreError> {
    if let Some(handle) = handle_of(conn, user)? {
        return Ok(handle);
    }
    diesel::insert_into(handles::table)
        .values((handles::user_id.eq(user), handles::handle.eq(new)))
        .execute(conn)?;
    Ok(new.to_string())
}

/// Notes what an assertion said beside its counter.
pub(crate) fn note(
    conn: &mut Conn,
    id: &str,
    credential: &str,
    backed_up: bool,
) -> Result<(), StoreError> {
    diesel::update(passkeys::table.find(id))
        .set((
            passkeys::credential.eq(credential),
            passkeys::backed_up.eq(backed_up),
        ))
        .execute(conn)?;
    Ok(())
}

/// Notes a use with its signature counter, which must be higher than any before; one that was always 0 may
/// stay so. One conditional UPDATE: of the same counter at once exactly one gets true.
pub(crate) fn count(
    conn: &mut Conn,
    id: &str,
    counter: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if counter > 0 {
        return super::factors::advance(conn, id, counter, now);
    }
    let never = factors::table.find(id).filter(factors::last_step.eq(0));
    Ok(diesel::update(never)
        .set(factors::last_used_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Marks a passkey whose counter went back; true the first time.
pub(crate) fn suspect(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let trusted = passkeys::table
        .find(id)
        .filter(passkeys::suspect_at.is_null());
    Ok(diesel::update(trusted)
        .set(passkeys::suspect_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Gives a passkey of an account another name; false if it is not there.
pub(crate) fn rename(
    conn: &mut Conn,
    user: &UserId,
    id: &str,
    name: &str,
) -> Result<bool, StoreError> {
    let row = factors::table
        .find(id)
        .filter(factors::user_id.eq(user))
        .filter(factors::kind.eq(KIND));
    Ok(diesel::update(row)
        .set(factors::name.eq(name))
        .execute(conn)?
        == 1)
}

/// Deletes a passkey of an account; false if it is not there.
pub(crate) fn delete(conn: &mut Conn, user: &UserId, id: &str) -> Result<bool, StoreError> {
    let row = factors::table
        .find(id)
        .filter(factors::user_id.eq(user))
        .filter(factors::kind.eq(KIND));
    Ok(diesel::delete(row).execute(conn)? == 1)
}

/// What the owner calls a passkey; `None` if the account has none of that id.
pub(crate) fn name_of(
    conn: &mut Conn,
    user: &UserId,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let found = of_user(conn, user)?.into_iter().find(|row| row.id == id);
    Ok(found.map(|row| row.name))
}

/// Deletes every passkey of an account, and the name under which authenticators know it; answers their names.
pub(crate) fn delete_all(conn: &mut Conn, user: &UserId) -> Result<Vec<String>, StoreError> {
    let names = of_user(conn, user)?.into_iter().map(|row| row.name);
    let names = names.collect();
    let all = factors::table
        .filter(factors::user_id.eq(user))
        .filter(factors::kind.eq(KIND));
    diesel::delete(all).execute(conn)?;
    diesel::delete(handles::table.find(user)).execute(conn)?;
    Ok(names)
}

/// Takes back that a passkey is suspect; its counter goes on from where it is. Answers its name, or `None` if it was
/// not suspect.
pub(crate) fn trust(
    conn: &mut Conn,
    user: &UserId,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let suspect = of_user(conn, user)?
        .into_iter()
        .find(|row| row.id == id && row.suspect_at.is_some());
    let Some(suspect) = suspect else {
        return Ok(None);
    };
    let none: Option<Timestamp> = None;
    diesel::update(passkeys::table.find(id))
        .set(passkeys::suspect_at.eq(none))
        .execute(conn)?;
    Ok(Some(suspect.name))
}

/// The public operations on passkeys.
impl Store {
    /// The passkeys and security keys of an account, the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn passkeys_of(&self, user: &UserId) -> Result<Vec<PasskeyInfo>, StoreError> {
        let user = user.clone();
        let rows = self.read(move |conn| of_user(conn, &user)).await?;
        Ok(rows.into_iter().map(PasskeyInfo::from).collect())
    }

    /// The account that a credential belongs to, by the id that its authenticator gave it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn find_user_by_passkey(
        &self,
        credential_id: &[u8],
    ) -> Result<Option<(User, PasskeyInfo)>, StoreError> {
        let id = credential_id.to_vec();
        let owned = self.read(move |conn| by_credential(conn, &id)).await?;
        Ok(owned.map(|owned| (owned.user, owned.row.into())))
    }

    /// The account that authenticators know under this name, which is random and says nothing of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn find_user_by_passkey_handle(
        &self,
        handle: &uuid::Uuid,
    ) -> Result<Option<User>, StoreError> {
        let handle = handle.to_string();
        self.read(move |conn| {
            let user: Option<UserId> = handles::table
                .filter(handles::handle.eq(handle))
                .select(handles::user_id)
                .get_result(conn)
                .optional()?;
            match user {
                Some(user) => users::by_id(conn, &user),
                None => Ok(None),
            }
        })
        .await
    }
}
