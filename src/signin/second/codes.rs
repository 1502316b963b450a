//! Recovery codes: each stands in for a factor once.

use super::{
    answer::{Checked, checked},
    pending::SecondStep,
};
use crate::{
    core::{Core, change::Change},
    error::Error,
    http::client::ClientInfo,
    notify::outbox::OutgoingMail,
    secrets::Purpose as Key,
    signin::{second_factors::Passed, ticket::ValidTicket},
    store::{Conn, StoreError, User, factors as rows},
    types::{Method, Timestamp, UserId},
};

/// Recovery codes that were made up to then are good no more.
fn codes_since(core: &Core) -> Timestamp {
    match core.settings.recovery_codes.life {
        Some(life) => core.now().before(life),
        None => Timestamp::from_millis(i64::MIN),
    }
}

/// How many recovery codes an account can use.
pub(crate) async fn recovery_codes_left(core: &Core, user: &UserId) -> Result<usize, Error> {
    let (id, since) = (user.clone(), codes_since(core));
    let count = move |conn: &mut Conn| Ok(rows::codes_left(conn, &id, since)?.len());
    Ok(core.store.read(count).await?)
}

/// Judges a recovery code in the place of a factor.
pub(crate) async fn answer_by_recovery_code(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
    typed: &str,
    notice: impl Fn(usize) -> Result<OutgoingMail, Error>,
) -> Result<Passed, Error> {
    let plain = core.factors.recovery_codes.normalise(typed);
    let (id, since) = (held.user.id.clone(), codes_since(core));
    let left = core
        .store
        .read(move |conn| rows::codes_left(conn, &id, since))
        .await?;
    let notice = notice(left.len().saturating_sub(1))?;
    let found = left.into_iter().find(|(_, hash)| {
        let tag = data_encoding::BASE64URL_NOPAD.decode(hash.as_bytes());
        let parts = recovery_parts(&held.user, &plain);
        tag.is_ok_and(|tag| core.keys.verify_mac(Key::Codes, &parts, &tag))
    });
    let (ticket_id, now) = (held.ticket_id(), core.now());
    let check = move |change: &mut Change<'_>| {
        let Some((pending, _)) = ticket_id.attempt::<SecondStep>(change, now)? else {
            return Ok(Checked::Dead);
        };
        let Some((code, _)) = &found else {
            return Ok(Checked::Wrong);
        };
        if !rows::use_code(change, code, now)? {
            return Ok(Checked::Wrong);
        }
        if !ticket_id.consume(change, now)? {
            return Err(StoreError::Missing);
        }
        let methods = pending.methods().and(Method::RecoveryCode);
        change.mail(&notice)?;
        Ok(Checked::Right(methods))
    };
    let wrong = (Method::RecoveryCode, "mf.code_wrong");
    checked(core, client, &held.user, check, wrong).await
}

/// What the tag of a recovery code is made of.
pub(crate) fn recovery_parts<'a>(user: &'a User, plain: &'a str) -> [&'a [u8]; 3] {
    [
        b"recovery code",
        user.id.as_str().as_bytes(),
        plain.as_bytes(),
    ]
}
