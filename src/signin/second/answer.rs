//! What an answer to a second step comes to: a code, a passkey, or what stands in for them.

use std::slice;

use super::pending::{Chosen, SecondStep, no_pending, ways_of};
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::{Error, Invalid},
    events::EventKind,
    factors::{self, Right, Setup},
    http::client::ClientInfo,
    notify::{notices, outbox::OutgoingMail},
    signin::{
        limits::{Buckets, count, locked, tell_failure},
        second_factors::Passed,
        ticket::ValidTicket,
    },
    store::{
        Conn, StoreError, User,
        factors::{self as rows, FactorRow},
        failures, users,
    },
    types::{FactorKind, Message, Method, Methods, Timestamp, Usages},
};

/// Judges a code; right ones use the ticket up and are counted as used, wrong ones count as guesses.
/// Answers what is proven by now.
pub(crate) async fn answer(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
    typed: &str,
) -> Result<(Passed, Buckets), Error> {
    // Before a way is chosen there is nothing that a code could be of, and no attempt is lost.
    if held.payload.chosen.is_none() && held.payload.setup.is_none() {
        return Err(Invalid::form(Message::new("tf.choose_first")).into());
    }
    let typed = Typed::read(core, client, held, typed).await?;
    let wrong = (typed.method(), "factor.code_wrong");
    let (ticket_id, keys, now) = (held.ticket_id(), core.keys.clone(), core.now());
    let check = move |change: &mut Change<'_>| {
        let Some((pending, tag)) = ticket_id.attempt::<SecondStep>(change, now)? else {
            return Ok(Checked::Dead);
        };
        let mailed = pending.code_until.is_some_and(|until| until > now)
            && ticket_id.is_code::<SecondStep>(&keys, &tag, &typed.code);
        let (method, step) = match &pending.setup {
            Some(setup) => match typed.step_of(change, setup, mailed)? {
                Step::Right(step) => (setup.kind.method(), Some(step)),
                Step::Wrong => return Ok(Checked::Wrong),
                Step::Dead => return Ok(Checked::Dead),
            },
            None => match typed.shown(change, pending.chosen.as_ref(), mailed, now)? {
                Some(method) => (method, None),
                None => return Ok(Checked::Wrong),
            },
        };
        if !ticket_id.consume(change, now)? {
            return Ok(Checked::Dead);
        }
        if let (Some(setup), Some(step)) = (&pending.setup, step) {
            typed.add(change, setup, step)?;
        }
        Ok(Checked::Right(pending.methods().and(method)))
    };
    checked(core, client, &held.user, check, wrong).await
}

/// A code as it was typed, and what is known of it before its ticket is looked at again.
struct Typed {
    user: User,
    code: String,
    /// The factor that was chosen.
    way: Option<FactorRow>,
    /// That the code is right for it, if it makes its codes itself.
    right: Option<Right>,
    setup: Option<Proof>,
}

/// What is known of a code for a factor that is being set up.
struct Proof {
    setup: Setup,
    /// The time step of the code, if an authenticator made it.
    step: Option<i64>,
    /// The mail that tells of the factor.
    notice: OutgoingMail,
}

/// What a code for a factor that is being set up came to.
enum Step {
    Right(i64),
    Wrong,
    Dead,
}

impl Typed {
    async fn read(
        core: &Core,
        client: &ClientInfo,
        held: &ValidTicket<SecondStep>,
        typed: &str,
    ) -> Result<Self, Error> {
        let code = factors::digits(typed);
        let way = match &held.payload.chosen {
            Some(Chosen::Factor(id)) => {
                let factors = ways_of(core, held).await?;
                factors.into_iter().find(|way| way.id == *id)
            }
            _ => None,
        };
        let right = way
            .as_ref()
            .and_then(|way| factors::right_code(&core.factors, slice::from_ref(way), &code));
        let setup = held.payload.setup.clone().map(|setup| {
            let composer = client.composer(&core.notify);
            Ok::<_, Error>(Proof {
                step: factors::setup_step(&core.factors, &setup, &code),
                notice: notices::factor_added(&composer, &held.user, setup.kind, &setup.name)?,
                setup,
            })
        });
        Ok(Self {
            user: held.user.clone(),
            code,
            way,
            right,
            setup: setup.transpose()?,
        })
    }

    /// What was tried, as events tell of it.
    fn method(&self) -> Method {
        match (&self.setup, self.way.as_ref().and_then(FactorRow::kind)) {
            (Some(begun), _) => begun.setup.kind.method(),
            (None, Some(kind)) => kind.method(),
            (None, None) => Method::Email,
        }
    }

    /// Whether the code proves the factor that is being set up, and at which time step.
    fn step_of(&self, conn: &mut Conn, setup: &Setup, mailed: bool) -> Result<Step, StoreError> {
        // Another was begun meanwhile, or the account has a factor by now, which is to be shown.
        let begun = self.setup.as_ref().filter(|one| one.setup.id == setup.id);
        let Some(begun) = begun else {
            return Ok(Step::Dead);
        };
        if !rows::serving(conn, &self.user.id, Usages::SECOND)?.is_empty() {
            return Ok(Step::Dead);
        }
        let step = match setup.kind {
            FactorKind::Authenticator => begun.step,
            _ => mailed.then_some(0),
        };
        Ok(step.map_or(Step::Wrong, Step::Right))
    }

    /// Adds the factor that was set up.
    fn add(&self, change: &mut Change<'_>, setup: &Setup, step: i64) -> Result<(), StoreError> {
        let row = factors::row(setup, &self.user, step, change.now());
        rows::insert(change, &row)?;
        // From now on nobody is in by less.
        users::end_sessions(change, &self.user.id, true)?;
        if let Some(begun) = &self.setup {
            change.mail(&begun.notice)?;
        }
        change.event(EventKind::FactorAdded {
            user: self.user.id.clone(),
            method: setup.kind,
        });
        Ok(())
    }

    /// What the code shows of what was chosen; `None` if it is wrong.
    fn shown(
        &self,
        conn: &mut Conn,
        chosen: Option<&Chosen>,
        mailed: bool,
        now: Timestamp,
    ) -> Result<Option<Method>, StoreError> {
        let way = match (chosen, &self.way) {
            (Some(Chosen::Rescue), _) => return Ok(mailed.then_some(Method::Email)),
            (Some(Chosen::Factor(id)), Some(way)) if *id == way.id => way,
            _ => return Ok(None),
        };
        let Some(kind) = way.kind() else {
            return Ok(None);
        };
        let is_right = match (kind, &self.right) {
            (FactorKind::Authenticator, Some(right)) => factors::accept(conn, right, now)?,
            (FactorKind::Authenticator, None) => false,
            _ => mailed && rows::touch(conn, &way.id, now)?,
        };
        Ok(is_right.then(|| kind.method()))
    }
}

/// What an answer came to.
pub(super) enum Checked {
    /// What is proven by now.
    Right(Methods),
    Wrong,
    /// No attempt is left, or somebody was faster.
    Dead,
}

/// Lets `check` decide, behind the account's lock, and counts what was wrong.
///
/// The answers for one account are checked one after the other, each with the failures before it counted:
/// of many guesses at once no more are checked than the limit allows.
pub(super) async fn checked(
    core: &Core,
    client: &ClientInfo,
    user: &User,
    mut check: impl FnMut(&mut Change<'_>) -> Result<Checked, StoreError> + Send + 'static,
    (tried, wrong): (Method, &'static str),
) -> Result<(Passed, Buckets), Error> {
    let (buckets, now) = (Buckets::of_factor(core, user, client), core.now());
    let (counting, id, uniquifier) = (buckets.clone(), user.id.clone(), user.uniquifier.clone());
    let checked = core
        .change(&By::route(client), move |change| {
            users::hold(change, &id, &uniquifier)?;
            if let Some(until) = failures::locked_until(change, &counting.all(), now)? {
                return Ok(Err(until));
            }
            let checked = check(change)?;
            let tally = match checked {
                Checked::Wrong => Some(count(change, &counting, now)?),
                Checked::Right(_) | Checked::Dead => None,
            };
            let user = users::by_id(change, &id)?.ok_or(StoreError::Missing)?;
            Ok(Ok((checked, tally, user.uniquifier)))
        })
        .await;
    let (checked, tally, uniquifier) = match checked {
        Ok(Ok(checked)) => checked,
        Ok(Err(until)) => return Err(locked(until, now)),
        Err(StoreError::Missing) => return Err(no_pending()),
        Err(error) => return Err(error.into()),
    };
    if let Some(tally) = tally {
        let methods = Methods::of(tried);
        tell_failure(core, &buckets, tally, Some(user), methods, client).await?;
    }
    match checked {
        Checked::Right(methods) => {
            let passed = Passed {
                methods,
                uniquifier,
            };
            Ok((passed, buckets))
        }
        Checked::Wrong => Err(Invalid::field("code", Message::new(wrong)).into()),
        Checked::Dead => Err(no_pending()),
    }
}
