//! What waits for the second step: the ticket, what it carries, and how a browser or a program shows it.

use serde::{Deserialize, Serialize};

use crate::{
    core::Core,
    error::Error,
    factors::Setup,
    http::{browser::Browser, cookies::Kind},
    identity::target::Target,
    secrets::digest,
    signin::{
        second_factors::{factors_of, remaining_factors},
        ticket::{self, Presented, Presenter, Purpose, ValidTicket},
    },
    store::{
        endings::{self, Ending},
        factors::FactorRow,
        sign_in::SignIn,
        tickets,
    },
    types::{FactorKind, Methods, SessionId, Timestamp},
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
    pub(super) methods: i64,
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
    pub(super) fn new(methods: Methods, wish: Resume) -> Self {
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
pub(crate) struct Resume {
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

/// What waits in this browser, if anything does.
pub(crate) async fn held(
    browser: &Browser,
    core: &Core,
    presenter: &Presenter,
) -> Result<Option<ValidTicket<SecondStep>>, Error> {
    let by_header = of_program(browser);
    let (secret, presenter) = match (browser.cookie(Kind::Pending), &by_header) {
        (Some(cookie), _) => (cookie, presenter),
        (None, Some((secret, presenter))) => (*secret, presenter),
        (None, None) => return Ok(None),
    };
    let held = ticket::present::<SecondStep>(core, Presented::Link(secret), presenter).await?;
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
fn of_program(browser: &Browser) -> Option<(&str, Presenter)> {
    let (secret, visitor) = browser.second_step_token()?.split_once('.')?;
    let presenter = Presenter {
        user: None,
        browser: Some(visitor.to_string()),
    };
    Some((secret, presenter))
}

/// Those of them with which a second step can be answered.
pub(crate) async fn ways_of(
    core: &Core,
    held: &ValidTicket<SecondStep>,
) -> Result<Vec<FactorRow>, Error> {
    let mut factors = factors_of(core, &held.user).await?;
    factors.retain(|way| held.payload.shown.as_ref() != Some(&way.id));
    Ok(remaining_factors(factors, held.payload.methods()))
}
