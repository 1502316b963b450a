//! The second step of a sign-in: what waits while a further factor is owed.
//!
//! It is a ticket, bound to account and browser, good for a while (`two_factor.pending`) and a few guesses. Nothing is
//! opened, remembered or handed out before it is answered.

use serde::{Deserialize, Serialize};

use super::{
    admit::Owing,
    limits::{Buckets, PerAddress, count, count_per_address, count_per_user, locked, tell_failure},
    ticket::{self, Bearer, Handle, Held, Presented, Purpose, Terms},
};
use crate::{
    core::Core,
    error::{Denied, Error, Invalid},
    events::EventKind,
    factors::{self, Setup},
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    identity::target::Target,
    notify::{
        mail::{Addressee, Scribe},
        notices,
        outbox::{self, Letter, Postage, Posted},
        sms::Sms,
    },
    secrets::{Purpose as Key, digest},
    signin::caller::Caller,
    store::{
        Conn, StoreError, User,
        endings::{self, Ending},
        factors::{self as rows, FactorRow},
        failures,
        sign_in::{Begun, SignIn},
        tickets, users,
    },
    types::{
        FactorKind, Message, Method, Methods, SessionId, Timestamp, Uniquifier, Usages, UserId,
    },
};

/// The ticket of a second step.
pub(crate) enum SecondStep {}

impl Purpose for SecondStep {
    const NAME: &'static str = tickets::SECOND_STEP;
    type Payload = Pending;
}

/// What waits for the second step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    methods: i64,
    /// Whether the browser is to be remembered.
    pub(crate) remember: bool,
    /// Where to go afterwards.
    pub(crate) next: Option<Target>,
    /// The session that shows a second factor later than it was opened, if it is one.
    pub(crate) session: Option<SessionId>,
    /// What the answer is to come from.
    pub(crate) chosen: Option<Chosen>,
    /// Until when the code that was sent is good.
    pub(crate) code_until: Option<Timestamp>,
    /// Whether a factor is to be set up, since one is required and there was none.
    pub(crate) sets_up: bool,
    /// The one that is being set up.
    pub(crate) setup: Option<Setup>,
    /// The factor that was shown as the first, and is not to be shown again.
    #[serde(default)]
    pub(crate) shown: Option<String>,
}

impl Pending {
    fn new(methods: Methods, wish: Wish) -> Self {
        Self {
            methods: methods.bits(),
            remember: wish.remember,
            next: wish.next,
            session: wish.session,
            chosen: None,
            code_until: None,
            sets_up: false,
            setup: None,
            shown: None,
        }
    }

    pub(crate) fn methods(&self) -> Methods {
        Methods::from_bits(self.methods)
    }
}

/// What an answer is to come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Chosen {
    /// A factor of the account.
    Factor(String),
    /// A code mailed to whoever has lost them.
    Rescue,
}

/// What a sign-in that goes into its second step had asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) remember: bool,
    pub(crate) next: Option<Target>,
    pub(crate) session: Option<SessionId>,
}

/// How a second step goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A code can be typed.
    Ready(FactorKind),
    /// One of several must be chosen.
    Select,
    /// One must be set up first.
    Setup,
}

/// Begins a second step in this browser.
pub(crate) async fn begin(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    owing: Owing,
    wish: Wish,
) -> Result<State, Error> {
    let pending = Pending {
        sets_up: owing.ways.is_empty(),
        shown: owing.shown,
        ..Pending::new(owing.methods, wish)
    };
    count_per_address(core, PerAddress::SecondStep, client).await?;
    let held = open(browser, core, &owing.user, Begun::ByVisitor, pending).await?;
    match owing.ways.as_slice() {
        [] => Ok(State::Setup),
        // The browser asks for whichever of them is there.
        ways if are_passkeys(ways) => Ok(State::Ready(FactorKind::Passkey)),
        [way] => choose(core, client, held, way).await,
        _ => Ok(State::Select),
    }
}

/// Begins a second step in the session of somebody who is signed in already.
pub(crate) async fn begin_step_up(
    browser: &Browser,
    core: &Core,
    caller: &Caller,
    wish: Wish,
) -> Result<Held<SecondStep>, Error> {
    let pending = Pending::new(caller.methods, wish);
    open(browser, core, &caller.user, caller.begun(), pending).await
}

/// Whether all of these are passkeys, and there are some.
pub(crate) fn are_passkeys(ways: &[FactorRow]) -> bool {
    let is_passkey = |way: &FactorRow| way.kind() == Some(FactorKind::Passkey);
    !ways.is_empty() && ways.iter().all(is_passkey)
}

async fn open(
    browser: &Browser,
    core: &Core,
    user: &User,
    begun: Begun,
    pending: Pending,
) -> Result<Held<SecondStep>, Error> {
    let visitor = browser.visitor()?;
    let terms = Terms {
        life: core.settings.two_factor.pending.get(),
        user: Some(user.id.clone()),
        bound_to: Some(visitor.clone()),
    };
    let handle = Handle::of_user(&user.id);
    let draft = ticket::draft::<SecondStep>(core, terms, begun, &handle, &pending)?.without_code();
    let secret = draft.secret.clone();
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let written = core
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            ticket::put_beside(conn, &draft)
        })
        .await;
    match written {
        Err(StoreError::Missing) => return Err(Denied::BadCredential.into()),
        written => written?,
    }
    browser.send(Kind::Pending, secret.expose().clone());
    let bearer = Bearer {
        user: None,
        browser: Some(visitor),
    };
    let presented = Presented::Link(secret.expose());
    let held = ticket::present::<SecondStep>(core, presented, &bearer).await?;
    held.map_err(|_| Denied::BadCredential.into())
}

/// What waits in this browser, if anything does.
pub(crate) async fn held(
    browser: &Browser,
    core: &Core,
    bearer: &Bearer,
) -> Result<Option<Held<SecondStep>>, Error> {
    let by_header = of_program(browser);
    let (secret, bearer) = match (browser.cookie(Kind::Pending), &by_header) {
        (Some(cookie), _) => (cookie, bearer),
        (None, Some((secret, bearer))) => (*secret, bearer),
        (None, None) => return Ok(None),
    };
    let held = ticket::present::<SecondStep>(core, Presented::Link(secret), bearer).await?;
    Ok(held.ok())
}

/// What this browser or program shows of a second step that waits, whether it is good or not.
pub(crate) fn shown(browser: &Browser) -> Option<&str> {
    let cookie = browser.cookie(Kind::Pending);
    cookie.or_else(|| of_program(browser).map(|(secret, _)| secret))
}

/// Ends what waits in this browser, where somebody begins to sign in anew.
pub(crate) async fn abandon(browser: &Browser, core: &Core) -> Result<(), Error> {
    let Some(pending) = shown(browser).map(digest) else {
        return Ok(());
    };
    let over = Ending::SignOut(SignIn {
        pending: Some(pending),
        ..SignIn::default()
    });
    core.store
        .write(move |conn| endings::end(conn, &over))
        .await?;
    browser.forget(Kind::Pending);
    Ok(())
}

/// What a program is told that keeps no cookies, to show it in a header; `None` to all others.
pub(crate) fn token_for_program(browser: &Browser) -> Option<String> {
    if browser.has_cookies() {
        return None;
    }
    let secret = browser.going(Kind::Pending)?;
    let visitor = browser.going(Kind::Visitor)?;
    Some(format!("{secret}.{visitor}"))
}

/// What such a program shows. With cookies a request is judged by these.
fn of_program(browser: &Browser) -> Option<(&str, Bearer)> {
    let (secret, visitor) = browser.second_step_token()?.split_once('.')?;
    let bearer = Bearer {
        user: None,
        browser: Some(visitor.to_string()),
    };
    Some((secret, bearer))
}

/// The second factors one of which goes on from `methods`: what was shown already is none, unless there is
/// nothing else.
pub(crate) fn further(mut ways: Vec<FactorRow>, methods: Methods) -> Vec<FactorRow> {
    // A further passkey is another thing that is held; the one that was shown is known by its id.
    let unshown =
        |way: &FactorRow| way.kind() == Some(FactorKind::Passkey) || !way.is_shown_by(methods);
    if ways.iter().any(unshown) {
        ways.retain(unshown);
    }
    ways
}

/// The second factors of an account.
pub(crate) async fn ways(core: &Core, user: &User) -> Result<Vec<FactorRow>, Error> {
    let (id, counts) = (user.id.clone(), core.counted_factors());
    Ok(core
        .store
        .read(move |conn| {
            let mut ways = rows::serving(conn, &id, Usages::SECOND)?;
            ways.retain(|way| counts.contains(way));
            Ok(ways)
        })
        .await?)
}

/// Those of them with which a second step can be answered.
pub(crate) async fn ways_of(core: &Core, held: &Held<SecondStep>) -> Result<Vec<FactorRow>, Error> {
    let mut ways = ways(core, &held.user).await?;
    ways.retain(|way| held.payload.shown.as_ref() != Some(&way.id));
    Ok(further(ways, held.payload.methods()))
}

/// Chooses one of the account's factors, and sends its code if it has one.
pub(crate) async fn choose(
    core: &Core,
    client: &ClientInfo,
    held: Held<SecondStep>,
    way: &FactorRow,
) -> Result<State, Error> {
    let kind = way
        .kind()
        .ok_or_else(|| Error::Broken("a factor of an unknown kind".into()))?;
    let chosen = Some(Chosen::Factor(way.id.clone()));
    let pending = Pending {
        chosen,
        setup: None,
        ..held.payload.clone()
    };
    let to = Destination::of(kind, way.phone.as_deref());
    carry(core, client, &held, pending, to, CODE).await?;
    Ok(State::Ready(kind))
}

/// Chooses a code by mail, for whoever has lost every factor.
pub(crate) async fn rescue(
    core: &Core,
    client: &ClientInfo,
    held: Held<SecondStep>,
) -> Result<(), Error> {
    // Whoever has to set one up first has lost none.
    if held.payload.sets_up {
        return Err(no_pending());
    }
    let pending = Pending {
        chosen: Some(Chosen::Rescue),
        setup: None,
        ..held.payload.clone()
    };
    carry(
        core,
        client,
        &held,
        pending,
        Some(Destination::Mailbox),
        "rescue",
    )
    .await
}

/// Sets a factor up in the middle of a sign-in that wants one.
pub(crate) async fn begin_setup(
    core: &Core,
    client: &ClientInfo,
    held: &Held<SecondStep>,
    setup: Setup,
) -> Result<(), Error> {
    refuse_unproven(core, &held.user)?;
    let id = held.user.id.clone();
    let known = core
        .store
        .read(move |conn| rows::of_user(conn, &id))
        .await?;
    refuse_more(&known, &setup)?;
    count_per_user(core, "factor_setup", &held.user.id).await?;
    let phone = setup.phone.clone();
    let to = Destination::of(setup.kind, phone.as_deref());
    let pending = Pending {
        setup: Some(setup.clone()),
        chosen: None,
        ..held.payload.clone()
    };
    carry(core, client, held, pending, to, CODE).await
}

/// Nobody sets a factor up who has not proven the address: it would lock the address's owner out.
pub(crate) fn refuse_unproven(core: &Core, user: &User) -> Result<(), Error> {
    match core.settings.confirm.enabled && user.confirmed_at.is_none() {
        true => Err(Invalid::form(Message::new("login.unconfirmed")).into()),
        false => Ok(()),
    }
}

/// The most factors that an account has.
pub(crate) const MOST: usize = 10;

/// Nobody has more than so many, nor one mailbox twice.
pub(crate) fn refuse_more(known: &[FactorRow], setup: &Setup) -> Result<(), Error> {
    let twice = |row: &FactorRow| row.kind() == Some(setup.kind) && row.serves(setup.usage);
    if known.len() >= MOST {
        return Err(Invalid::form(Message::new("factor.too_many")).into());
    }
    if setup.kind == FactorKind::Email && known.iter().any(twice) {
        return Err(Invalid::field("setup", Message::new("factor.held")).into());
    }
    Ok(())
}

/// Where a code goes.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Mailbox,
    Phone(String),
}

impl Destination {
    /// Where codes of a kind go; nowhere for one that makes its own.
    pub(crate) fn of(kind: FactorKind, phone: Option<&str>) -> Option<Self> {
        match kind {
            FactorKind::Authenticator | FactorKind::Passkey => None,
            FactorKind::Email => Some(Self::Mailbox),
            FactorKind::Sms => Some(Self::Phone(phone.unwrap_or_default().into())),
        }
    }

    /// How codes of a second step are counted: by account, so that whoever knows no more than the number
    /// uses up none of its owner's.
    fn postage(user: &User) -> Postage {
        Postage::Steps(user.id.to_string())
    }

    /// How those of a set-up are: by where they go, whoever asks, since it may be a stranger's.
    pub(crate) fn postage_of_setup(&self, user: &User) -> Postage {
        Postage::Steps(match self {
            Self::Mailbox => format!("set-up {}", user.email),
            Self::Phone(phone) => format!("set-up {phone}"),
        })
    }
}

/// The mail with a code.
pub(crate) const CODE: &str = "two_factor";

/// How a code is sent.
pub(crate) struct Sending<'a> {
    pub(crate) to: &'a Destination,
    pub(crate) postage: Postage,
    /// Which of the mails of this feature, where it is one.
    pub(crate) mail: &'static str,
    /// When the ticket ends that the code is for.
    pub(crate) ends: Timestamp,
}

/// The letter with a code, and until when that is good.
pub(crate) fn code_letter(
    scribe: &Scribe<'_>,
    user: &User,
    sending: Sending<'_>,
    code: &str,
) -> Result<(Letter, Timestamp), Error> {
    let (core, now) = (scribe.context, scribe.context.now());
    let Sending {
        to,
        postage,
        mail,
        ends,
    } = sending;
    match to {
        Destination::Mailbox => {
            let until = now
                .after(core.settings.two_factor.mail_life.get())
                .min(ends);
            let own = serde_json::json!({"code": code, "until": until.to_text()});
            let mail = ("two_factor", mail);
            let letter = scribe.letter(&Addressee::from(user), mail, postage, own)?;
            Ok((letter, until))
        }
        Destination::Phone(phone) => {
            let until = now.after(core.settings.sms.life).min(ends);
            let text = sms_text(scribe, code, until);
            let sms = Sms::new(phone, text, now, until);
            let letter = Letter::of_sms(core, "two_factor", sms, postage, false)?;
            Ok((letter, until))
        }
    }
}

/// What a text message with a code says.
pub(crate) fn sms_text(scribe: &Scribe<'_>, code: &str, until: Timestamp) -> String {
    let core = scribe.context;
    let message = Message::new("sms.code")
        .with("code", code)
        .with("site", &core.settings.site_name.0)
        .with("until", until.to_text());
    core.views.catalogue().say(scribe.language, &message)
}

/// Writes down what the ticket carries now; with a new code, which is sent, if there is somewhere to.
async fn carry(
    core: &Core,
    client: &ClientInfo,
    held: &Held<SecondStep>,
    mut pending: Pending,
    to: Option<Destination>,
    mail: &'static str,
) -> Result<(), Error> {
    let (once, now) = (held.once(), core.now());
    let mut sent = None;
    pending.code_until = None;
    if let Some(to) = to {
        let new = once.new_code::<SecondStep>(core)?;
        let scribe = client.scribe(&core.notify);
        let postage = match &pending.setup {
            Some(_) => to.postage_of_setup(&held.user),
            None => Destination::postage(&held.user),
        };
        let sending = Sending {
            to: &to,
            postage,
            mail,
            ends: held
                .created_at
                .after(core.settings.two_factor.pending.get()),
        };
        let (letter, until) = code_letter(&scribe, &held.user, sending, new.code.expose())?;
        pending.code_until = Some(until);
        sent = Some((new, letter));
    }
    let posted = core
        .store
        .write(move |conn| {
            let posted = match &sent {
                Some((_, letter)) => Some(outbox::put(conn, letter)?),
                None => None,
            };
            // One that is held back leaves the code before as it is.
            if posted.as_ref().is_some_and(|posted| !posted.is_put()) {
                return Ok(posted);
            }
            let code = sent.as_ref().map(|(code, _)| code);
            if !once.carry::<SecondStep>(conn, &pending, code, now)? {
                return Err(StoreError::Missing);
            }
            Ok(posted)
        })
        .await;
    match posted {
        Ok(None) => Ok(()),
        Ok(Some(posted)) if posted.is_put() => {
            core.posted(posted);
            Ok(())
        }
        Ok(Some(_)) => Err(Invalid::form(Message::new("factor.too_often")).into()),
        Err(StoreError::Missing) => Err(no_pending()),
        Err(error) => Err(error.into()),
    }
}

/// There is nothing that a code could be for.
pub(crate) fn no_pending() -> Error {
    Invalid::form(Message::new("tf.no_pending")).into()
}

/// The proof that a second step was answered. Nothing but a right answer makes one.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    methods: Methods,
    uniquifier: Uniquifier,
}

impl Passed {
    /// All that was shown.
    pub(crate) fn methods(&self) -> Methods {
        self.methods
    }

    /// Whether `user` is the account as it was when that was shown.
    pub(crate) fn is_of(&self, user: &User) -> bool {
        self.uniquifier == user.uniquifier
    }
}

/// What an answer came to.
enum Judged {
    /// What is proven by now, and the letter that tells of it.
    Right(Methods, Option<Box<Posted>>),
    Wrong,
    /// No attempt is left, or somebody was faster.
    Dead,
}

/// Judges a code; right ones use the ticket up and are counted as used, wrong ones count as guesses.
/// Answers what is proven by now.
pub(crate) async fn answer(
    core: &Core,
    client: &ClientInfo,
    held: &Held<SecondStep>,
    typed: &str,
) -> Result<(Passed, Buckets), Error> {
    // Before a way is chosen there is nothing that a code could be of, and no attempt is lost.
    if held.payload.chosen.is_none() && held.payload.setup.is_none() {
        return Err(Invalid::form(Message::new("tf.choose_first")).into());
    }
    let ways = ways_of(core, held).await?;
    let code = factors::digits(typed);
    let way = match &held.payload.chosen {
        Some(Chosen::Factor(id)) => ways.iter().find(|way| way.id == *id).cloned(),
        _ => None,
    };
    let right = way
        .as_ref()
        .and_then(|way| factors::right_code(&core.factors, std::slice::from_ref(way), &code));
    let sets_up = held.payload.setup.clone();
    let setup_step = sets_up
        .as_ref()
        .and_then(|setup| factors::setup_step(&core.factors, setup, &code));
    let tried = match (&sets_up, way.as_ref().and_then(FactorRow::kind)) {
        (Some(setup), _) => setup.kind.method(),
        (None, Some(kind)) => kind.method(),
        (None, None) => Method::Email,
    };
    let wrong = (tried, "factor.code_wrong");
    let scribe = client.scribe(&core.notify);
    let notice = sets_up
        .as_ref()
        .map(|setup| notices::factor_added(&scribe, &held.user, setup.kind, &setup.name))
        .transpose()?;
    let (once, keys, user, now) = (
        held.once(),
        core.keys.clone(),
        held.user.clone(),
        core.now(),
    );
    let judge = move |conn: &mut Conn| {
        let Some((pending, tag)) = once.attempt::<SecondStep>(conn, now)? else {
            return Ok(Judged::Dead);
        };
        let mailed = || {
            pending.code_until.is_some_and(|until| until > now)
                && once.is_code::<SecondStep>(&keys, &tag, &code)
        };
        let mut posted = None;
        let method = if let Some(setup) = &pending.setup {
            // Another was begun meanwhile, or the account has a factor by now, which is to be shown.
            if sets_up.as_ref().is_none_or(|begun| begun.id != setup.id)
                || !rows::serving(conn, &user.id, Usages::SECOND)?.is_empty()
            {
                return Ok(Judged::Dead);
            }
            let step = match setup.kind {
                FactorKind::Authenticator => setup_step,
                _ => mailed().then_some(0),
            };
            let Some(step) = step else {
                return Ok(Judged::Wrong);
            };
            if !once.consume(conn, now)? {
                return Ok(Judged::Dead);
            }
            rows::insert(conn, &factors::row(setup, &user, step, now))?;
            // From now on nobody is in by less.
            users::end_sessions(conn, &user.id, true)?;
            if let Some(notice) = &notice {
                posted = Some(Box::new(outbox::put(conn, notice)?));
            }
            setup.kind.method()
        } else {
            let method = match (&pending.chosen, &way) {
                (Some(Chosen::Rescue), _) if mailed() => Some(Method::Email),
                (Some(Chosen::Factor(id)), Some(way)) if *id == way.id => match way.kind() {
                    Some(FactorKind::Authenticator) => match &right {
                        Some(right) if factors::accept(conn, right, now)? => {
                            Some(Method::Authenticator)
                        }
                        _ => None,
                    },
                    Some(kind) if mailed() && rows::touch(conn, &way.id, now)? => {
                        Some(kind.method())
                    }
                    _ => None,
                },
                _ => None,
            };
            let Some(method) = method else {
                return Ok(Judged::Wrong);
            };
            if !once.consume(conn, now)? {
                return Ok(Judged::Dead);
            }
            method
        };
        Ok(Judged::Right(pending.methods().and(method), posted))
    };
    let answer = judged(core, client, &held.user, judge, wrong).await?;
    if let Some(setup) = &held.payload.setup {
        let added = EventKind::FactorAdded {
            user: held.user.id.clone(),
            method: setup.kind,
        };
        core.event(Some(&client.client), added);
    }
    Ok(answer)
}

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
    held: &Held<SecondStep>,
    typed: &str,
    notice: impl Fn(usize) -> Result<Letter, Error>,
) -> Result<(Passed, Buckets), Error> {
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
    let (once, now) = (held.once(), core.now());
    let judge = move |conn: &mut Conn| {
        let Some((pending, _)) = once.attempt::<SecondStep>(conn, now)? else {
            return Ok(Judged::Dead);
        };
        let Some((code, _)) = &found else {
            return Ok(Judged::Wrong);
        };
        if !rows::use_code(conn, code, now)? {
            return Ok(Judged::Wrong);
        }
        if !once.consume(conn, now)? {
            return Err(StoreError::Missing);
        }
        let methods = pending.methods().and(Method::RecoveryCode);
        let posted = Box::new(outbox::put(conn, &notice)?);
        Ok(Judged::Right(methods, Some(posted)))
    };
    let wrong = (Method::RecoveryCode, "mf.code_wrong");
    judged(core, client, &held.user, judge, wrong).await
}

/// Answers a second step by something that is judged elsewhere: a passkey. `effect` writes what came of it,
/// in the transaction that uses the step up; its answer is handed back, and only `true` passes.
#[cfg(feature = "passkeys")]
pub(crate) async fn answer_by_passkey<T: Send + 'static>(
    core: &Core,
    client: &ClientInfo,
    held: &Held<SecondStep>,
    mut effect: impl FnMut(&mut Conn) -> Result<(bool, T), StoreError> + Send + 'static,
) -> Result<(Option<(Passed, Buckets)>, T), Error> {
    let (buckets, now) = (Buckets::of_user(core, &held.user, client), core.now());
    let (counters, once) = (buckets.all(), held.once());
    let (id, uniquifier) = (held.user.id.clone(), held.user.uniquifier.clone());
    let judged = core
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            if let Some(until) = failures::locked_until(conn, &counters, now)? {
                return Ok(Err(until));
            }
            let (right, came) = effect(conn)?;
            // Two answers at once: the one that comes too late takes nothing with it.
            if right && !once.consume(conn, now)? {
                return Err(StoreError::Missing);
            }
            Ok(Ok((right, came)))
        })
        .await;
    match judged {
        Ok(Ok((right, came))) => {
            let mut methods = held.payload.methods().and(Method::Passkey);
            // Two passkeys are two things that are held, and each was shown.
            if held.payload.shown.is_some() {
                methods = methods.and_verified();
            }
            let passed = Passed {
                methods,
                uniquifier: held.user.uniquifier.clone(),
            };
            let passed = right.then_some((passed, buckets));
            Ok((passed, came))
        }
        Ok(Err(until)) => Err(locked(until, now)),
        Err(StoreError::Missing) => Err(no_pending()),
        Err(error) => Err(error.into()),
    }
}

/// What the tag of a recovery code is made of.
pub(crate) fn recovery_parts<'a>(user: &'a User, plain: &'a str) -> [&'a [u8]; 3] {
    [
        b"recovery code",
        user.id.as_str().as_bytes(),
        plain.as_bytes(),
    ]
}

/// Lets `judge` decide, behind the account's lock, and counts what was wrong.
///
/// The answers for one account are judged one after the other, each with the failures before it counted:
/// of many guesses at once no more are judged than the limit allows.
async fn judged(
    core: &Core,
    client: &ClientInfo,
    user: &User,
    mut judge: impl FnMut(&mut Conn) -> Result<Judged, StoreError> + Send + 'static,
    (tried, wrong): (Method, &'static str),
) -> Result<(Passed, Buckets), Error> {
    let (buckets, now) = (Buckets::of_factor(core, user, client), core.now());
    let (counting, id, uniquifier) = (buckets.clone(), user.id.clone(), user.uniquifier.clone());
    let judged = core
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            if let Some(until) = failures::locked_until(conn, &counting.all(), now)? {
                return Ok(Err(until));
            }
            let judged = judge(conn)?;
            let tally = match judged {
                Judged::Wrong => Some(count(conn, &counting, now)?),
                Judged::Right(..) | Judged::Dead => None,
            };
            let user = users::by_id(conn, &id)?.ok_or(StoreError::Missing)?;
            Ok(Ok((judged, tally, user.uniquifier)))
        })
        .await;
    let (judged, tally, uniquifier) = match judged {
        Ok(Ok(judged)) => judged,
        Ok(Err(until)) => return Err(locked(until, now)),
        Err(StoreError::Missing) => return Err(no_pending()),
        Err(error) => return Err(error.into()),
    };
    if let Some(tally) = tally {
        let methods = Methods::of(tried);
        tell_failure(core, &buckets, tally, Some(user), methods, client).await?;
    }
    match judged {
        Judged::Right(methods, posted) => {
            if let Some(posted) = posted {
                core.posted(*posted);
            }
            let passed = Passed {
                methods,
                uniquifier,
            };
            Ok((passed, buckets))
        }
        Judged::Wrong => Err(Invalid::field("code", Message::new(wrong)).into()),
        Judged::Dead => Err(no_pending()),
    }
}
