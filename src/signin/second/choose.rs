//! What a second step is answered by: one of the account's factors, a code by mail, or a factor that is set up first.

use super::{
    pending::{Chosen, Pending, SecondStep, State},
    sending::{CODE, RESCUE, Sending, limit_of_setup, mail_limit},
};
use crate::{
    core::{Core, change::By},
    error::{Error, Invalid},
    factors::{self, Destination, Setup},
    http::client::ClientInfo,
    signin::{limits::count_per_user, ticket::ValidTicket},
    store::{
        StoreError, User,
        factors::{self as rows, FactorRow},
    },
    templates::MailTemplate,
    types::Message,
};

/// Chooses one of the account's factors, and sends its code if it has one.
pub(crate) async fn choose(
    core: &Core,
    client: &ClientInfo,
    held: ValidTicket<SecondStep>,
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
    let to = factors::of(kind).destination(way.phone.as_deref());
    carry(core, client, &held, pending, to, CODE).await?;
    Ok(State::Ready(kind))
}

/// Chooses a code by mail, for whoever has lost every factor.
pub(crate) async fn rescue(
    core: &Core,
    client: &ClientInfo,
    held: ValidTicket<SecondStep>,
) -> Result<(), Error> {
    // Whoever has to set one up first has lost none.
    if held.payload.sets_up {
        return Err(Error::NothingPending);
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
        RESCUE,
    )
    .await
}

/// Sets a factor up in the middle of a sign-in that wants one.
pub(crate) async fn begin_setup(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
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
    let to = factors::of(setup.kind).destination(setup.phone.as_deref());
    let pending = Pending {
        setup: Some(setup),
        chosen: None,
        ..held.payload.clone()
    };
    carry(core, client, held, pending, to, CODE).await
}

/// Nobody sets a factor up who has not proven the address: it would lock the address's owner out.
pub(crate) fn refuse_unproven(core: &Core, user: &User) -> Result<(), Error> {
    match core.settings.confirm.enabled && user.confirmed_at.is_none() {
        true => Err(Invalid::unconfirmed().into()),
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
    if factors::of(setup.kind).is_mailbox() && known.iter().any(twice) {
        return Err(Invalid::field("setup", Message::new("factor.held")).into());
    }
    Ok(())
}

/// Writes down what the ticket carries now; with a new code, which is sent, if there is somewhere to.
async fn carry(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
    mut pending: Pending,
    to: Option<Destination>,
    mail: MailTemplate,
) -> Result<(), Error> {
    let (ticket_id, now) = (held.ticket_id(), core.now());
    let mut sent = None;
    pending.code_until = None;
    if let Some(to) = to {
        let new = ticket_id.new_code::<SecondStep>(core)?;
        let composer = client.composer(&core.notify);
        let sending = Sending {
            to: &to,
            limit: match &pending.setup {
                Some(_) => limit_of_setup(&to, &held.user),
                None => mail_limit(&held.user),
            },
            mail,
            ends: held
                .created_at
                .after(core.settings.two_factor.pending.get()),
        };
        pending.code_until = Some(sending.until(&composer));
        let outgoing = sending.compose(&composer, &held.user, new.code.expose())?;
        sent = Some((new, outgoing));
    }
    let carried = core
        .change(&By::route(client), move |change| {
            // One that is held back leaves the code before as it is.
            if let Some((_, outgoing)) = &sent
                && !change.mail(outgoing)?
            {
                return Ok(false);
            }
            let code = sent.as_ref().map(|(code, _)| code);
            match ticket_id.carry::<SecondStep>(change, &pending, code, now)? {
                true => Ok(true),
                false => Err(StoreError::Missing),
            }
        })
        .await;
    match carried {
        Ok(true) => Ok(()),
        Ok(false) => Err(Invalid::form(Message::new("factor.too_often")).into()),
        Err(StoreError::Missing) => Err(Error::NothingPending),
        Err(error) => Err(error.into()),
    }
}
