//! How a second step begins: at a sign-in that owes a factor, or in a session that shows one later.

use super::{
    choose::choose,
    pending::{Pending, SecondStep, State, Wish},
};
use crate::{
    core::Core,
    error::{Denied, Error},
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    signin::{
        admit::Owing,
        caller::Caller,
        limits::{PerAddress, count_per_address},
        second_factors::are_passkeys,
        ticket::{self, Bearer, Handle, Held, Presented, Terms},
    },
    store::{StoreError, User, sign_in::Begun, users},
    types::FactorKind,
};

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
