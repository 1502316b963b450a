//! Judging the codes of unified sign-in.

use super::{
    Passcode, Sent,
    passcodes::{Meant, rejected},
};
use crate::features::Web;
use crate::{
    error::Error,
    factors,
    notify::notices,
    settings::SignInMethod,
    signin::{
        limits::{Buckets, count, locked, refuse_if_locked, tell_failure},
        outdated,
        ticket::{self, Presented, ValidTicket},
    },
    store::{
        User,
        factors::{self as rows, FactorRow},
        failures,
        users::{self, EarlierPassword},
    },
    types::{Method, Methods, Usages, UserId},
};

/// What was typed, if it can be a code: ours have six digits, an application's own authenticators may have
/// up to ten.
pub(super) fn code_of(typed: &str) -> Option<String> {
    let code = factors::digits(typed);
    let is_code = (6..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then_some(code)
}

/// Judges a code: one that was sent, or one of the account's authenticators. A wrong code is counted.
///
/// # Errors
///
/// [`Denied::Locked`] if codes are refused now: then nothing was counted.
pub(super) async fn by_code(
    web: &Web<'_>,
    meant: &Meant,
    buckets: &Buckets,
    code: &str,
) -> Result<Option<(User, Methods, Option<Sent>)>, Error> {
    let site = web.site;
    refuse_if_locked(site, buckets).await?;
    let authenticator = of_authenticator(web, meant.user.as_ref(), code).await?;
    // A right code of an authenticator is no guess at the one that was sent.
    if authenticator.is_none() {
        let presented = Presented::Code(meant.handle.clone(), code);
        if let Ok(held) = ticket::present::<Passcode>(site, presented, &web.presenter()).await? {
            let sent = held.payload.clone();
            let user = spend(web, held).await?;
            // A right code that was answered after the door was shut comes too late.
            refuse_if_locked(site, buckets).await?;
            return Ok(Some((user, Methods::of(sent.kind.method()), Some(sent))));
        }
    }
    let right = accept_authenticator(web, meant.user.as_ref(), buckets, authenticator).await?;
    let user = meant.user.clone().filter(|_| right);
    Ok(user.map(|user| (user, Methods::of(Method::Authenticator), None)))
}

/// What `code` is for an authenticator that the account signs in with, if it is right; it is not used up yet.
/// Nobody's costs the same.
pub(super) async fn of_authenticator(
    web: &Web<'_>,
    user: Option<&User>,
    code: &str,
) -> Result<Option<factors::Right>, Error> {
    let methods = &web.site.settings.unified.methods;
    let mut factors = sign_in_methods(web, user).await?;
    if !methods.contains(&SignInMethod::Authenticator) {
        factors.clear();
    }
    Ok(factors::right_code(&web.site.factors, &factors, code))
}

/// Uses a right code of an authenticator up. `None` is a wrong code, which is counted in the transaction that
/// judges it: of many at once no more are judged than the limit allows.
pub(super) async fn accept_authenticator(
    web: &Web<'_>,
    user: Option<&User>,
    buckets: &Buckets,
    right: Option<factors::Right>,
) -> Result<bool, Error> {
    let (site, now) = (web.site, web.site.now());
    let (counting, holder) = (buckets.clone(), user.cloned());
    let judged = site
        .store
        .write(move |conn| {
            if let Some(user) = &holder {
                users::hold(conn, &user.id, &user.uniquifier)?;
            }
            if let Some(until) = failures::locked_until(conn, &counting.all(), now)? {
                return Ok(Err(until));
            }
            if let Some(right) = &right
                && right.accept(conn, now)?
            {
                return Ok(Ok(None));
            }
            count(conn, &counting, now).map(|tally| Ok(Some(tally)))
        })
        .await
        .map_err(outdated)?;
    match judged {
        Err(until) => Err(locked(until, now)),
        Ok(None) => Ok(true),
        Ok(Some(tally)) => {
            let methods = Methods::of(Method::Authenticator);
            tell_failure(site, buckets, tally, user, methods, &web.client).await?;
            Ok(false)
        }
    }
}

/// What an account signs in with beside password and mail; the same look-up for nobody.
pub(super) async fn sign_in_methods(
    web: &Web<'_>,
    user: Option<&User>,
) -> Result<Vec<FactorRow>, Error> {
    let id = user.map_or_else(UserId::new, |user| user.id.clone());
    Ok(web
        .site
        .store
        .read(move |conn| rows::serving(conn, &id, Usages::FIRST))
        .await?)
}

/// Uses a sent code up. One that came by mail proves the address, like a mailed link.
pub(super) async fn spend(web: &Web<'_>, held: ValidTicket<Passcode>) -> Result<User, Error> {
    let now = web.site.now();
    let by_mail = factors::of(held.payload.kind).is_mailbox();
    let removed = notices::password_removed(&web.composer(), &held.user)?;
    let (ticket_id, id) = (held.ticket_id(), held.user.id.clone());
    let spent = web
        .change(move |change| {
            // A phone that signs in no more makes nothing of a code that went there.
            let serves = by_mail
                || rows::serving(change, &id, Usages::FIRST)?
                    .iter()
                    .any(|way| way.phone.is_some());
            if !serves || !ticket_id.consume(change, now)? {
                return Ok(None);
            }
            if by_mail {
                change.prove_address(&id, EarlierPassword::Remove, Some(&removed))?;
            }
            users::by_id(change, &id)
        })
        .await?;
    spent.ok_or_else(rejected)
}
