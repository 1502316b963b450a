//! How a second step begins: at a sign-in that owes a factor, or in a session that shows one later.

use super::{
    choose::choose,
    pending::{Pending, Resume, SecondStep, State},
};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    signin::{
        admit::Challenge,
        caller::Caller,
        limits::{PerAddress, count_per_address},
        second_factors::are_passkeys,
        ticket::{self, CodeSubject, Presented, Presenter, TicketOptions, ValidTicket},
    },
    store::{StoreError, User, sign_in::Begun, users},
    types::FactorKind,
};

/// Begins a second step in this browser.
pub(crate) async fn begin(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    challenge: Challenge,
    wish: Resume,
) -> Result<State, Error> {
    let pending = Pending {
        sets_up: challenge.factors.is_empty(),
        shown: challenge.shown,
        ..Pending::new(challenge.methods, wish)
    };
    count_per_address(core, PerAddress::SecondStep, client).await?;
    let held = open(browser, core, &challenge.user, Begun::ByVisitor, pending).await?;
    match challenge.factors.as_slice() {
        [] => Ok(State::Setup),
        // The browser asks for whichever of them is there.
        factors if are_passkeys(factors) => Ok(State::Ready(FactorKind::Passkey)),
        [way] => choose(core, client, held, way).await,
        _ => Ok(State::Select),
    }
}

/// Begins a second step in the session of somebody who is signed in already.
pub(crate) async fn begin_step_up(
    browser: &Browser,
    core: &Core,
    caller: &Caller,
    wish: Resume,
) -> Result<ValidTicket<SecondStep>, Error> {
    let pending = Pending::new(caller.methods, wish);
    open(browser, core, &caller.user, caller.begun(), pending).await
}

async fn open(
    browser: &Browser,
    core: &Core,
    user: &User,
    begun: Begun,
    pending: Pending,
) -> Result<ValidTicket<SecondStep>, Error> {
    let visitor = browser.visitor()?;
    let terms = TicketOptions {
        life: core.settings.two_factor.pending.get(),
        user: Some(user.id.clone()),
        bound_to: Some(visitor.clone()),
    };
    let handle = CodeSubject::of_user(&user.id);
    let draft = ticket::draft::<SecondStep>(core, terms, begun, &handle, &pending)?.without_code();
    let secret = draft.secret.clone();
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let written = core
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            ticket::insert_beside(conn, &draft)
        })
        .await;
    match written {
        Err(StoreError::Missing) => return Err(Denied::BadCredential.into()),
        written => written?,
    }
    browser.send(Kind::Pending, secret.expose().clone());
    let presenter = Presenter {
        user: None,
        browser: Some(visitor),
    };
    let presented = Presented::Link(secret.expose());
    let held = ticket::present::<SecondStep>(core, presented, &presenter).await?;
    held.map_err(|_| Denied::BadCredential.into())
}
