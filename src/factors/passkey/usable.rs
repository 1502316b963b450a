//! The passkeys that an account can use, for what is asked of every account.

use crate::{
    settings::Settings,
    store::{Conn, StoreError, passkeys},
    types::{Usages, UserId},
};

/// Whether a passkey alone signs in, by the settings.
pub(crate) fn signs_in(settings: &Settings) -> bool {
    settings.passkeys.first_factor
}

/// What a passkey must be for with which somebody proves it again; `None` if none is taken.
pub(crate) fn to_verify(settings: &Settings) -> Option<Usages> {
    settings.passkeys.verify.usages()
}

/// The ids of those that an account can use for `usages`.
pub(crate) fn usable(
    conn: &mut Conn,
    user: &UserId,
    usages: Usages,
) -> Result<Vec<String>, StoreError> {
    let usable = passkeys::usable(conn, user, Some(usages))?;
    Ok(usable.into_iter().map(|row| row.id).collect())
}
