//! How a second step begins: at a sign-in that owes a factor, or in a session that shows one later.

use super::{
    pending::{Chosen, Pending, Resume, SecondStep, State},
    sending::{CODE, Sending, mail_limit},
};
use crate::{
    core::{Core, change::By},
    error::{Denied, Error, Invalid},
    factors,
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    notify::outbox::OutgoingMail,
    signin::{
        admit::Challenge,
        caller::Caller,
        limits::{PerAddress, count_per_address},
        second_factors::all_by_browser,
        ticket::{self, CodeSubject, Draft, TicketOptions, ValidTicket},
    },
    store::{StoreError, User, factors::FactorRow, sign_in::Begun, users},
    types::Message,
};

/// Begins a second step in this browser. If the account has one factor, that is chosen, and its code is sent.
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
    let user = &challenge.user;
    let draft = draft(browser, core, user, Begun::ByVisitor, &pending)?;
    let (state, chosen) = match challenge.factors.as_slice() {
        [] => (State::Setup, None),
        factors if let Some(kind) = all_by_browser(factors) => (State::Ready(kind), None),
        [only] => {
            let (state, chosen) = choose(core, client, user, &draft, pending, only)?;
            (state, Some(chosen))
        }
        _ => (State::Select, None),
    };
    let draft = draft.without_code();
    match write(browser, core, client, user, draft, chosen).await? {
        true => Ok(state),
        false => Err(Invalid::form(Message::new("factor.too_often")).into()),
    }
}

/// Begins a second step in the session of a user who is signed in already.
pub(crate) async fn begin_step_up(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    caller: &Caller,
    wish: Resume,
) -> Result<ValidTicket<SecondStep>, Error> {
    let (user, pending) = (&caller.user, Pending::new(caller.methods, wish));
    let draft = draft(browser, core, user, caller.begun(), &pending)?.without_code();
    let held = ValidTicket::written(&draft, user.clone(), pending);
    write(browser, core, client, user, draft, None).await?;
    Ok(held)
}

fn draft(
    browser: &Browser,
    core: &Core,
    user: &User,
    begun: Begun,
    pending: &Pending,
) -> Result<Draft<SecondStep>, Error> {
    let terms = TicketOptions {
        life: core.settings.two_factor.pending.get(),
        user: Some(user.id.clone()),
        bound_to: Some(browser.visitor()?),
    };
    let subject = CodeSubject::of_user(&user.id);
    ticket::draft::<SecondStep>(core, terms, begun, &subject, pending)
}

/// The ticket in which a factor is chosen, and its code on its way.
struct Choice {
    draft: Draft<SecondStep>,
    outgoing: Option<OutgoingMail>,
}

fn choose(
    core: &Core,
    client: &ClientInfo,
    user: &User,
    draft: &Draft<SecondStep>,
    mut pending: Pending,
    row: &FactorRow,
) -> Result<(State, Choice), Error> {
    let kind = row
        .kind()
        .ok_or_else(|| Error::Broken("a factor of an unknown kind".into()))?;
    pending.chosen = Some(Chosen::Factor(row.id.clone()));
    let Some(to) = factors::of(kind).destination(row.phone.as_deref()) else {
        let draft = draft.clone().without_code().carrying(&pending)?;
        let outgoing = None;
        return Ok((State::Ready(kind), Choice { draft, outgoing }));
    };
    let composer = client.composer(&core.notify);
    let sending = Sending {
        to: &to,
        limit: mail_limit(user),
        mail: CODE,
        ends: draft.until(),
    };
    pending.code_until = Some(sending.until(&composer));
    let outgoing = sending.compose(&composer, user, draft.code.expose())?;
    let choice = Choice {
        draft: draft.clone().by_secret().carrying(&pending)?,
        outgoing: Some(outgoing),
    };
    Ok((State::Ready(kind), choice))
}

/// Writes the ticket and gives it to the browser; false if the code was held back. Then nothing is chosen.
async fn write(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    user: &User,
    bare: Draft<SecondStep>,
    choice: Option<Choice>,
) -> Result<bool, Error> {
    let secret = bare.secret.expose().clone();
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let by = By::route(client);
    let written = core.change(&by, move |change| {
        users::hold(change, &id, &uniquifier)?;
        let is_sent = match choice.as_ref().and_then(|choice| choice.outgoing.as_ref()) {
            Some(outgoing) => change.mail(outgoing)?,
            None => true,
        };
        let chosen = choice.as_ref().filter(|_| is_sent);
        ticket::insert_beside(change, chosen.map_or(&bare, |choice| &choice.draft))?;
        Ok(is_sent)
    });
    let is_sent = match written.await {
        Err(StoreError::Missing) => return Err(Denied::BadCredential.into()),
        written => written?,
    };
    browser.send(Kind::Pending, secret);
    Ok(is_sent)
}
