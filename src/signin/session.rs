//! Sessions: opened from an admission, found by a cookie's hash, ended for good.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{
    Admitted,
    admit::{authenticated, ensure_usable, reissue},
    limits::Buckets,
    noticed::{self, Notice},
    remember::{self, Remember},
    second, trusted,
};
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::{Denied, Error},
    events::EventKind,
    http::{browser::Browser, client::ClientInfo, cookies::Kind, csrf},
    secrets::{Secret, digest, random_token},
    signin::caller::{Caller, Mechanism},
    store::{
        Conn, StoreError, User, devices,
        endings::{self, Ending},
        failures,
        remember::{self as series, NewSeries},
        sessions::{self, NewSession, SessionRow},
        sign_in::SignIn,
        users,
    },
    types::{Methods, ProvenAt, SessionId},
};

/// Uses of a session closer together than this are not written down: a twentieth of the idle limit, at
/// most five minutes. On a busy site these writes are the dearest part of a request.
fn touch_every(core: &Core) -> Duration {
    let twentieth = Duration::from_secs(core.settings.session.idle.get().as_secs() / 20);
    twentieth.clamp(Duration::from_secs(1), Duration::from_mins(5))
}

/// The grace is extended in steps of this.
const GRACE_STEP: Duration = Duration::from_mins(1);

/// What opening a session comes with.
pub(crate) struct SessionOptions<'a> {
    /// Whether the browser is to be remembered.
    pub(crate) remember: Remember,
    /// Counters that this success clears.
    pub(crate) clears: Option<&'a Buckets>,
}

impl SessionOptions<'_> {
    /// A sign-in that is remembered if the setting says so.
    pub(crate) fn by_default(core: &Core) -> Self {
        Self::remembering(Remember::chosen(core, None))
    }

    /// A sign-in without anything else.
    pub(crate) const fn remembering(remember: Remember) -> Self {
        Self {
            remember,
            clears: None,
        }
    }
}

/// The sign-in of this browser, by what its cookies hold.
fn of_browser(browser: &Browser) -> SignIn {
    SignIn {
        session: browser.cookie(Kind::Session).map(digest),
        series: browser.cookie(Kind::Remember).and_then(remember::series_of),
        refresh: None,
        pending: second::shown(browser).map(digest),
    }
}

/// Opens a session for somebody who passed the gate, under a new id, and sends its cookie.
///
/// The session that the browser had before, whosever it was, is ended: a planted one opens nothing.
pub(crate) async fn open(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    admitted: &Admitted,
    opening: SessionOptions<'_>,
) -> Result<Caller, Error> {
    let token = random_token()?;
    let user = admitted.user();
    let begins = match opening.remember {
        Remember::Start => Some(remember::prepare(core, admitted)?),
        Remember::Continue(_) | Remember::No => None,
    };
    let goes_on = match opening.remember {
        Remember::Continue(series) => Some(series),
        Remember::Start | Remember::No => None,
    };
    let series = begins.as_ref().map(|begins| begins.row.series.clone());
    let row = new_row(core, client, admitted, &token, goes_on.clone().or(series));
    let caller = caller_of(user.clone(), &row);
    // To come back to a sign-in, or to go on with it under a new session, is none.
    let is_sign_in = !admitted.goes_on();
    let is_told = is_sign_in || goes_on.is_some();
    let mut before = of_browser(browser);
    if goes_on.is_some() {
        before.series = None;
    }
    let forgets = before.series.is_some();
    let cleared = opening.clears.map(Buckets::cleared_by_success);
    let opened = Opened {
        row,
        is_sign_in,
        before,
        goes_on,
        begins: begins.as_ref().map(|begins| begins.row.clone()),
        device: trusted::series_of(browser),
        cleared: cleared.unwrap_or_default(),
        notice: match is_sign_in {
            true => noticed::prepare(core, client, user)?,
            false => None,
        },
        told: is_told.then(|| authenticated(admitted, caller.session.clone())),
        most: core.settings.session.most,
        most_remembered: core.settings.remember.most,
    };
    let by = By::route(client);
    match core.change(&by, move |change| opened.write(change)).await {
        Ok(()) => {}
        // The account or the remembered device was deleted between the proof and now.
        Err(StoreError::Missing) => return Err(Denied::BadCredential.into()),
        Err(error) => return Err(error.into()),
    }
    send_cookie(browser, core, &token);
    match begins {
        Some(begins) => remember::send_cookie(browser, core, begins.cookie.expose().clone()),
        None if forgets => browser.forget(Kind::Remember),
        None => {}
    }
    client.device.send_seal(browser, &core.http, user);
    Ok(caller)
}

fn new_row(
    core: &Core,
    client: &ClientInfo,
    admitted: &Admitted,
    token: &Secret<String>,
    series: Option<String>,
) -> NewSession {
    let (user, now) = (admitted.user(), core.now());
    NewSession {
        token_hash: digest(token.expose()),
        id: SessionId::new(),
        user_id: user.id.clone(),
        user_uniquifier: user.uniquifier.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at: now.after(core.settings.session.absolute.get()),
        authenticated_at: admitted.proven_at(),
        grace_until: now,
        methods: admitted.methods(),
        address: client.client.address.clone(),
        agent: client.client.agent.clone(),
        series,
    }
}

fn caller_of(user: User, row: &NewSession) -> Caller {
    Caller {
        user,
        mechanism: Mechanism::Session,
        methods: row.methods,
        authenticated_at: row.authenticated_at,
        grace_until: row.grace_until,
        session: Some(row.id.clone()),
        token: None,
        key: None,
    }
}

/// What is written where a session is opened.
struct Opened {
    row: NewSession,
    is_sign_in: bool,
    /// The sign-in that this browser had before, whosever it was: it makes way for the new one.
    before: SignIn,
    /// The remembered device that the session continues.
    goes_on: Option<String>,
    /// The device that is remembered from now on.
    begins: Option<NewSeries>,
    /// The trusted device that the browser is.
    device: Option<String>,
    /// The counters that this success clears.
    cleared: Vec<String>,
    /// The mail that tells of the sign-in.
    notice: Option<Notice>,
    /// The event that tells of it.
    told: Option<EventKind>,
    most: NonZeroU32,
    most_remembered: NonZeroU32,
}

impl Opened {
    fn write(&self, change: &mut Change<'_>) -> Result<(), StoreError> {
        let row = &self.row;
        users::hold(change, &row.user_id, &row.user_uniquifier)?;
        self.make_way(change)?;
        if let Some(series) = &self.begins {
            series::insert(change, series)?;
            series::end_beyond(change, series, self.most_remembered)?;
        }
        sessions::insert(change, row)?;
        sessions::end_beyond(change, row, self.most)?;
        if let Some(device) = &self.device {
            devices::used_in(change, row, device)?;
        }
        if self.is_sign_in {
            users::note_sign_in(change, &row.user_id, &row.address, row.created_at)?;
        }
        if !self.cleared.is_empty() {
            failures::clear(change, &self.cleared)?;
        }
        if let Some(notice) = &self.notice {
            noticed::enqueue(change, notice)?;
        }
        if let Some(told) = &self.told {
            change.event(told.clone());
        }
        Ok(())
    }

    /// Ends what the browser had before; a device that the session continues stays.
    fn make_way(&self, conn: &mut Conn) -> Result<(), StoreError> {
        // The device goes on where its session ran out.
        if let (Some(planted), Some(_)) = (&self.before.session, &self.goes_on) {
            sessions::replace_by_hash(conn, planted, &self.row)?;
        } else {
            endings::end(conn, &Ending::SignOut(self.before.clone()))?;
        }
        match &self.goes_on {
            Some(series) if !series::hold(conn, series)? => Err(StoreError::Missing),
            _ => Ok(()),
        }
    }
}

fn send_cookie(browser: &Browser, core: &Core, token: &Secret<String>) {
    browser.send(Kind::Session, token.expose().clone());
    if browser.cookie(Kind::Visitor).is_some() {
        browser.forget(Kind::Visitor);
    }
    if browser.cookie(Kind::Pending).is_some() {
        browser.forget(Kind::Pending);
    }
    if core.settings.csrf.cookie.is_some() {
        let token = csrf::token(browser, &core.http);
        csrf::send_readable(browser, &core.http, token);
    }
}

/// Whose session a cookie opens; `None` if it opens nothing (any more).
pub(crate) async fn resolve(core: &Core, cookie: &str) -> Result<Option<Caller>, Error> {
    if cookie.len() != 43 {
        return Ok(None);
    }
    let hash = digest(cookie);
    let Some((row, user)) = core
        .store
        .read(move |conn| sessions::find(conn, &hash))
        .await?
    else {
        return Ok(None);
    };
    valid_caller(core, row, user)
}

fn valid_caller(core: &Core, row: SessionRow, user: User) -> Result<Option<Caller>, Error> {
    let now = core.now();
    if row.expires_at <= now || !row.created_at.has_been(now) {
        return Ok(None);
    }
    let waiting = core.touches.waiting(&row.id);
    let seen = waiting.map_or(row.last_seen_at, |touch| touch.seen.max(row.last_seen_at));
    if !seen.is_within(core.settings.session.idle.get(), now) {
        return Ok(None);
    }
    ensure_usable(core, &user)?;
    if seen.after(touch_every(core)) <= now {
        core.touches.note(&row.id, now, None);
    }
    let grace = waiting
        .and_then(|touch| touch.grace_until)
        .unwrap_or(row.grace_until);
    Ok(Some(Caller {
        user,
        mechanism: Mechanism::Session,
        methods: row.methods,
        authenticated_at: row.authenticated_at,
        grace_until: grace.max(row.grace_until),
        session: Some(row.id),
        token: None,
        key: None,
    }))
}

/// Lets somebody in the middle of something go on for a while after freshness has ended.
///
/// Each use extends it, but never beyond twice the grace after the freshness itself.
pub(crate) fn extend_grace(core: &Core, caller: &Caller, within: Duration, grace: Duration) {
    let now = core.now();
    if let Some(id) = &caller.session
        && grace.as_secs() > 0
    {
        let Some(proven_at) = caller.authenticated_at.moment() else {
            return;
        };
        let cap = proven_at.after(within).after(grace).after(grace);
        let until = now.after(grace).min(cap);
        // To the minute is near enough, and spares a write at each request.
        if until > caller.grace_until.after(GRACE_STEP) {
            core.touches.note(id, now, Some(until));
        }
    }
}

/// After a new proof: the same session under a new id, fresh again.
pub(crate) async fn renew(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    admitted: &Admitted,
    before: Methods,
    clears: &Buckets,
) -> Result<(), Error> {
    // A remembered device may have opened the session in this very request.
    let current = browser.current(Kind::Session);
    let Some(old) = current.as_deref().map(digest) else {
        return Err(Denied::Anonymous.into());
    };
    let (token, now) = (random_token()?, core.now());
    let new = digest(token.expose());
    let methods = before.union(admitted.methods());
    let cleared = clears.cleared_by_success();
    let (user, shown) = (admitted.user().id.clone(), admitted.methods());
    let by = By::route(client);
    let renewed = core.change(&by, move |change| {
        failures::clear(change, &cleared)?;
        let renewed = sessions::renew(change, &user, &old, &new, methods, now)?;
        if renewed {
            change.event(EventKind::Reauthenticated {
                user: user.clone(),
                methods: shown,
            });
        }
        Ok(renewed)
    });
    if !renewed.await? {
        return Err(Denied::Anonymous.into());
    }
    send_cookie(browser, core, &token);
    client
        .device
        .send_seal(browser, &core.http, admitted.user());
    Ok(())
}

/// After a change that ended all sessions of an account: the browser that made it goes on, under a new
/// session that is remembered if the old one was, and as fresh as the last proof.
pub(crate) async fn reopen(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    user: User,
    methods: Methods,
    proven_at: ProvenAt,
) -> Result<Option<Admitted>, Error> {
    let Some(admitted) = reissue(core, user, methods)? else {
        return Ok(None);
    };
    let admitted = admitted.with_proof_at(proven_at);
    let remembered = browser.cookie(Kind::Remember).is_some();
    let opening = SessionOptions {
        remember: Remember::chosen(core, Some(remembered)),
        clears: None,
    };
    open(browser, core, client, &admitted, opening).await?;
    Ok(Some(admitted))
}

/// Signs out: the session, all that hangs on it and a second step that waits in this browser are gone, and the
/// browser is told to forget.
pub(crate) async fn close(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
) -> Result<(), Error> {
    let before = of_browser(browser);
    if before != SignIn::default() {
        core.change(&By::route(client), move |change| {
            let user = match &before.session {
                Some(hash) => sessions::owner(change, hash)?,
                None => None,
            };
            endings::end(change, &Ending::SignOut(before.clone()))?;
            if let Some(user) = user {
                change.event(EventKind::LoggedOut { user });
            }
            Ok(())
        })
        .await?;
    }
    forget_cookies(browser, core);
    Ok(())
}

/// Tells the browser to forget the cookie, where there is such a thing.
pub(crate) fn forget_refresh(browser: &Browser, core: &Core) {
    let settings = &core.settings.refresh_tokens;
    if settings.enabled && settings.mode == crate::settings::RefreshMode::Cookie {
        browser.forget(Kind::Refresh);
    }
}

/// Tells the browser to forget session, remembered device and what CSRF tokens hung on.
pub(crate) fn forget_cookies(browser: &Browser, core: &Core) {
    for kind in [Kind::Session, Kind::Remember, Kind::Visitor, Kind::Pending] {
        browser.forget(kind);
    }
    forget_refresh(browser, core);
    csrf::forget_readable(browser, &core.http);
}
