//! Remembered devices: a cookie that opens a new session, with a token that changes at each use.
//!
//! An old copy that comes back means that the cookie was in two hands: the device is forgotten and its
//! sessions are ended. Requests that a browser sends at the same moment are told from that by a few
//! seconds of grace.

use super::{
    Admitted,
    admit::{Admission, Challenge, NextStep, admit},
    session::{self, SessionOptions},
};
use crate::{
    core::{Core, change::By},
    error::{Denied, Error},
    events::EventKind,
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    notify::notices,
    secrets::{Secret, digest, random_token},
    signin::caller::Caller,
    store::{
        User,
        endings::{self, Ending},
        remember::{self, NewSeries, SeriesRow},
        sessions,
        sign_in::SignIn,
    },
};

/// What opening a session has to do with remembering.
pub(crate) enum Remember {
    /// Nothing.
    No,
    /// A new device.
    Start,
    /// The device of this series.
    Continue(String),
}

impl Remember {
    /// Whether the browser is remembered from now on.
    pub(crate) const fn is_start(&self) -> bool {
        matches!(self, Self::Start)
    }

    /// What a choice comes to under the settings. Every way to sign in asks this.
    pub(crate) fn chosen(core: &Core, choice: Option<bool>) -> Self {
        let settings = &core.settings.remember;
        if settings.enabled && choice.unwrap_or(settings.by_default) {
            Self::Start
        } else {
            Self::No
        }
    }
}

/// A new series: the row, and the cookie that goes with it.
pub(crate) struct Prepared {
    pub(crate) row: NewSeries,
    pub(crate) cookie: Secret<String>,
}

pub(crate) fn prepare(core: &Core, admitted: &Admitted) -> Result<Prepared, Error> {
    let (series, token, now) = (random_token()?, random_token()?, core.now());
    let row = NewSeries {
        series: digest(series.expose()),
        user_id: admitted.user().id.clone(),
        user_uniquifier: admitted.user().uniquifier.clone(),
        token_hash: digest(token.expose()),
        rotated_at: now,
        created_at: now,
        expires_at: now.after(core.settings.remember.life.get()),
        authenticated_at: admitted.proven_at(),
        methods: admitted.methods(),
    };
    Ok(Prepared {
        row,
        cookie: Secret::new(format!("{}.{}", series.expose(), token.expose())),
    })
}

pub(crate) fn send_cookie(browser: &Browser, core: &Core, value: String) {
    browser.send_for(Kind::Remember, value, core.settings.remember.life.get());
}

fn split(cookie: &str) -> Option<(&str, &str)> {
    cookie
        .split_once('.')
        .filter(|(series, token)| series.len() == 43 && token.len() == 43)
}

/// The stored name of a cookie's series.
pub(crate) fn series_of(cookie: &str) -> Option<String> {
    split(cookie).map(|(series, _)| digest(series))
}

/// Opens a session for a remembered device; `None` if the cookie opens nothing (any more).
///
/// The session counts as never proven, and has shown no method: a copied cookie opens nothing that asks for a fresh
/// sign-in or a second factor.
pub(crate) async fn restore(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    cookie: &str,
) -> Result<Option<Caller>, Error> {
    let Some((series, token)) = split(cookie) else {
        return Ok(None);
    };
    let (name, presented) = (digest(series), digest(token));
    let Some(user) = owner(core, &name).await? else {
        browser.forget(Kind::Remember);
        return Ok(None);
    };
    let next = random_token()?;
    let (rotated, row) = rotate(core, &name, &presented, digest(next.expose())).await?;
    let Some(row) = row else { return Ok(None) };
    if !rotated && !is_of_same_moment(core, &row, &presented) {
        if end_copied(core, client, user, name).await? {
            browser.forget(Kind::Remember);
        }
        return Err(Denied::BadCredential.into());
    }
    let Admission::In(admitted) = admit(core, user, row.methods).await? else {
        // More is owed by now: the person signs in, and may be remembered anew.
        let over = Ending::SignOut(of_series(name));
        core.store
            .write(move |conn| endings::end(conn, &over))
            .await?;
        browser.forget(Kind::Remember);
        return Ok(None);
    };
    let opening = SessionOptions {
        remember: Remember::Continue(name),
        clears: None,
    };
    let caller = session::open(browser, core, client, &admitted.remembered(), opening).await?;
    if rotated {
        send_cookie(browser, core, format!("{series}.{}", next.expose()));
    }
    Ok(Some(caller))
}

fn of_series(name: String) -> SignIn {
    SignIn {
        series: Some(name),
        ..SignIn::default()
    }
}

/// The account whose device is remembered under `name`, as long as it may be.
async fn owner(core: &Core, name: &str) -> Result<Option<User>, Error> {
    let (name, now) = (name.to_string(), core.now());
    let found = core
        .store
        .read(move |conn| remember::find(conn, &name))
        .await?;
    let good = found.filter(|(row, user)| {
        row.expires_at > now
            && row.rotated_at.has_been(now)
            && row.user_uniquifier == user.uniquifier
            && core.settings.remember.enabled
    });
    Ok(good.map(|(_, user)| user))
}

/// Exchanges the token of a device for the next. Answers whether the one that was presented is the one that the
/// device has, and the row as it is now.
async fn rotate(
    core: &Core,
    name: &str,
    presented: &str,
    next: String,
) -> Result<(bool, Option<SeriesRow>), Error> {
    let (name, presented, now) = (name.to_string(), presented.to_string(), core.now());
    Ok(core
        .store
        .write(move |conn| {
            let rotated = remember::rotate(conn, &name, &presented, &next, now)?;
            Ok((rotated, remember::find(conn, &name)?.map(|(row, _)| row)))
        })
        .await?)
}

/// Whether a token was exchanged a moment ago, by another request of the same browser.
fn is_of_same_moment(core: &Core, row: &SeriesRow, presented: &str) -> bool {
    row.rotated_at
        .is_within(core.settings.remember.grace, core.now())
        && row.previous_hash.as_deref() == Some(presented)
}

/// Ends a device whose old token came back, with all that it opened, and tells its owner; false if another request
/// did so before.
async fn end_copied(
    core: &Core,
    client: &ClientInfo,
    user: User,
    name: String,
) -> Result<bool, Error> {
    let copied = Ending::CopiedRememberCookie(of_series(name.clone()));
    let notice = notices::remember_copied(&client.composer(&core.notify), &user)?;
    let user = user.id;
    let by = By::route(client);
    let ended = core.change(&by, move |change| {
        // Of two old copies at once one raises the alarm.
        let is_first = remember::hold(change, &name)?;
        if is_first {
            endings::end(change, &copied)?;
            change.mail(&notice)?;
            change.event(EventKind::RememberTheft { user: user.clone() });
        }
        Ok(is_first)
    });
    Ok(ended.await?)
}

/// Refuses a new proof beside which more is owed.
///
/// A session that a remembered browser opened notes what was shown as its first factor, so that the second can be
/// shown next. It is no fresher than before.
pub(crate) async fn owes(
    core: &Core,
    caller: &Caller,
    challenge: &Challenge,
) -> Result<Denied, Error> {
    if let (Some(session), NextStep::SecondFactor, true) = (
        &caller.session,
        &challenge.step,
        caller.methods.is_only_remembered(),
    ) {
        let (session, user, methods) = (session.clone(), caller.user.id.clone(), challenge.methods);
        core.store
            .write(move |conn| sessions::note_methods(conn, &user, &session, methods))
            .await?;
    }
    Ok(challenge.denied())
}
