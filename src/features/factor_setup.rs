//! Setting a factor up while signed in: a ticket of the account and its session, which a first code of
//! the factor turns into the factor.

use std::time::Duration;

use crate::{
    core::change::Change,
    error::{Denied, Error, Invalid},
    events::EventKind,
    factors::{self, Right, Setup},
    features::Web,
    guards::strong::Strong,
    notify::{notices, outbox::OutgoingMail},
    secrets::{Keys, Secret},
    signin::{
        caller::Caller,
        limits::{Buckets, count_failure, count_per_user, refuse_if_locked},
        outdated,
        second::{CODE, MOST, Sending, limit_of_setup, refuse_more, refuse_unproven},
        ticket::{
            self, CodeSubject, Presented, Presenter, Purpose, Refusal, TicketOptions, ValidTicket,
        },
    },
    store::{StoreError, Unique, User, devices, factors as rows, users},
    types::{FactorKind, Message, Methods, Timestamp, Usages},
};

pub(crate) const NAME: &str = "factor_setup";

/// The ticket of a set-up.
pub(crate) enum FactorSetup {}

impl Purpose for FactorSetup {
    const NAME: &'static str = NAME;
    type Payload = Setup;
}

/// The session that a ticket of somebody who is signed in is bound to.
pub(crate) fn session_of(caller: &Caller) -> Result<String, Error> {
    // Without a session there is nothing to bind the ticket to.
    match &caller.session {
        Some(session) => Ok(session.to_string()),
        None => Err(Denied::Mechanism.into()),
    }
}

/// Begins: writes the ticket, and sends a code if the factor sends one.
pub(crate) async fn begin(
    web: &Web<'_>,
    caller: &Strong,
    setup: &Setup,
) -> Result<Secret<String>, Error> {
    let (site, user) = (web.site, &caller.user);
    refuse_unproven(site, user)?;
    let id = user.id.clone();
    let known = site
        .store
        .read(move |conn| rows::of_user(conn, &id))
        .await?;
    refuse_more(&known, setup)?;
    count_per_user(site, "factor_setup", &user.id).await?;
    let terms = TicketOptions {
        life: site.settings.two_factor.pending.get(),
        user: Some(user.id.clone()),
        bound_to: Some(session_of(caller)?),
    };
    let draft = ticket::draft::<FactorSetup>(
        site,
        terms,
        caller.begun(),
        &CodeSubject::of_user(&user.id),
        setup,
    )?;
    let secret = draft.secret.clone();
    let outgoing = match factors::of(setup.kind).destination(setup.phone.as_deref()) {
        Some(to) => {
            let sending = Sending {
                to: &to,
                limit: limit_of_setup(&to, user),
                mail: CODE,
                ends: draft.until(),
            };
            Some(sending.compose(&web.composer(), user, draft.code.expose())?)
        }
        None => None,
    };
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let begun = web
        .change(move |change| {
            users::hold(change, &id, &uniquifier)?;
            // One whose code is held back leaves the set-up before as it is.
            if let Some(outgoing) = &outgoing
                && !change.mail(outgoing)?
            {
                return Ok(false);
            }
            ticket::insert(change, &draft)?;
            Ok(true)
        })
        .await
        .map_err(outdated)?;
    match begun {
        true => Ok(secret),
        false => Err(Invalid::form(Message::new("factor.too_often")).into()),
    }
}

/// The set-up behind a token, if it is this session's and of this use.
pub(crate) async fn held(
    web: &Web<'_>,
    caller: &Strong,
    usage: Usages,
    token: &str,
) -> Result<ValidTicket<FactorSetup>, Error> {
    let presenter = Presenter {
        user: Some(caller.user.id.clone()),
        browser: Some(session_of(caller)?),
    };
    let held = ticket::present::<FactorSetup>(web.site, Presented::Link(token), &presenter).await?;
    let held = held.and_then(|held| match held.payload.usage == usage {
        true => Ok(held),
        false => Err(Refusal::Invalid),
    });
    held.map_err(|_| Error::Gone)
}

/// A factor that was set up.
pub(crate) struct Proven {
    pub(crate) kind: FactorKind,
    pub(crate) phone: Option<String>,
}

enum Judged {
    Done(Box<crate::store::User>),
    Wrong,
    Gone,
    TooMany,
}

/// A first code, and what it takes to judge it.
struct Proving {
    ticket_id: ticket::challenge::TicketId,
    keys: Keys,
    /// How long a code is good that was sent; `None` if the factor makes its own.
    life: Option<Duration>,
    began: Timestamp,
    owner: User,
    setup: Setup,
    code: String,
    /// That the factor made the code, if it makes its own.
    right: Option<Right>,
    first: bool,
    notice: OutgoingMail,
}

impl Proving {
    fn apply(&self, change: &mut Change<'_>) -> Result<Judged, StoreError> {
        let (now, owner, setup) = (change.now(), &self.owner, &self.setup);
        let Some((_, tag)) = self.ticket_id.attempt::<FactorSetup>(change, now)? else {
            return Ok(Judged::Gone);
        };
        let in_time = self
            .life
            .is_some_and(|life| self.began.is_within(life, now));
        let ticket_id = &self.ticket_id;
        let is_sent = in_time && ticket_id.is_code::<FactorSetup>(&self.keys, &tag, &self.code);
        let step = factors::of(setup.kind).step(self.right.as_ref(), is_sent);
        let Some(step) = step else {
            return Ok(Judged::Wrong);
        };
        users::hold(change, &owner.id, &owner.uniquifier)?;
        if !self.ticket_id.consume(change, now)? {
            return Ok(Judged::Gone);
        }
        // Of two that are set up at once the later finds what the other has made.
        if rows::of_user(change, &owner.id)?.len() >= MOST {
            return Ok(Judged::TooMany);
        }
        rows::insert(change, &factors::row(setup, owner, step, now))?;
        devices::delete_all_of(change, &owner.id)?;
        if self.first {
            users::end_sessions(change, &owner.id, true)?;
        }
        change.mail(&self.notice)?;
        change.event(EventKind::FactorAdded {
            user: owner.id.clone(),
            method: setup.kind,
        });
        let user = users::by_id(change, &owner.id)?.ok_or(StoreError::Missing)?;
        Ok(Judged::Done(Box::new(user)))
    }
}

/// Proves a factor by its first code. `first` says that the account had none of this use: then every
/// other session ends.
pub(crate) async fn prove(
    web: &Web<'_>,
    caller: &Strong,
    held: ValidTicket<FactorSetup>,
    typed: &str,
    first: bool,
) -> Result<Proven, Error> {
    let (site, user, setup) = (web.site, &caller.user, held.payload.clone());
    let buckets = Buckets::of_factor(site, user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let code = factors::digits(typed);
    let factor = factors::of(setup.kind);
    let to = factor.destination(setup.phone.as_deref());
    let mailed = site.settings.two_factor.mail_life.get();
    let composer = web.composer();
    let notice = notices::factor_added(&composer, user, setup.kind, &setup.name)?;
    let proving = Proving {
        ticket_id: held.ticket_id(),
        keys: site.keys.clone(),
        life: to.map(|to| to.life(&site.settings, mailed)),
        began: held.created_at,
        owner: user.clone(),
        right: factor.check(&site.factors, (&setup).into(), &code),
        setup: setup.clone(),
        code,
        first,
        notice,
    };
    let judged = web.change(move |change| proving.apply(change)).await;
    let judged = match judged {
        // Somebody else signs in with that phone.
        Err(StoreError::Taken(Unique::Other)) => {
            return Err(Invalid::form(Message::new("factor.phone_taken")).into());
        }
        judged => judged.map_err(outdated)?,
    };
    let now_user = match judged {
        Judged::Done(done) => *done,
        Judged::Wrong => {
            let methods = Methods::of(setup.kind.method());
            count_failure(site, &buckets, Some(user), methods, &web.client).await?;
            return Err(Invalid::field("code", Message::new("factor.code_wrong")).into());
        }
        Judged::Gone => return Err(Error::Gone),
        Judged::TooMany => return Err(Invalid::form(Message::new("factor.too_many")).into()),
    };
    if first {
        let methods = caller.methods.and(setup.kind.method());
        web.reopen(caller, now_user, methods).await?;
    }
    Ok(Proven {
        kind: setup.kind,
        phone: setup.phone,
    })
}
