//! Checks the code that is typed in a second step.

use super::pending::{Chosen, Pending, SecondStep, ways_of};
use crate::{
    core::{
        Core,
        change::{By, Change},
    },
    error::{Error, Invalid},
    events::EventKind,
    factors::{self, RESCUE, Right, Setup},
    http::client::ClientInfo,
    notify::{notices, outbox::OutgoingMail},
    signin::{
        limits::{Buckets, count, locked, tell_failure},
        second_factors::Passed,
        ticket::{ValidTicket, challenge::TicketId},
    },
    store::{StoreError, User, factors as rows, failures, users},
    types::{FactorKind, Message, Method, Methods, Usages},
};

/// Checks a code. A right one is used up together with the ticket, a wrong one counts as a guess.
pub(crate) async fn answer(
    core: &Core,
    client: &ClientInfo,
    held: &ValidTicket<SecondStep>,
    typed: &str,
) -> Result<Passed, Error> {
    let typed = Typed::read(core, client, held, typed).await?;
    let wrong = (typed.kind.method(), "factor.code_wrong");
    let (ticket_id, keys, now) = (held.ticket_id(), core.keys.clone(), core.now());
    let check = move |change: &mut Change<'_>| {
        let Some((pending, tag)) = ticket_id.attempt::<SecondStep>(change, now)? else {
            return Ok(Checked::Dead);
        };
        let is_sent = pending.code_until.is_some_and(|until| until > now)
            && ticket_id.is_code::<SecondStep>(&keys, &tag, &typed.code);
        typed.check(change, &ticket_id, &pending, is_sent)
    };
    checked(core, client, &held.user, check, wrong).await
}

/// A code as it was typed, and what it answers.
struct Typed {
    user: User,
    code: String,
    asked: Asked,
    /// The kind of the factor that is asked for.
    kind: FactorKind,
    /// That the factor made the code, if it makes its own.
    right: Option<Right>,
}

/// What a code answers.
enum Asked {
    /// A factor of the account, by its id.
    Factor(String),
    /// A code by mail, for a user who has lost every factor.
    Rescue,
    /// A factor that is being set up.
    Setup(Box<Addition>),
}

/// A factor that is being set up, and the mail that reports it.
struct Addition {
    setup: Setup,
    notice: OutgoingMail,
}

impl Typed {
    async fn read(
        core: &Core,
        client: &ClientInfo,
        held: &ValidTicket<SecondStep>,
        typed: &str,
    ) -> Result<Self, Error> {
        let (code, user) = (factors::digits(typed), held.user.clone());
        let check = |kind, stored| factors::of(kind).check(&core.factors, stored, &code);
        let (asked, kind, right) = match (&held.payload.setup, &held.payload.chosen) {
            (Some(setup), _) => {
                let composer = client.composer(&core.notify);
                let addition = Addition {
                    notice: notices::factor_added(&composer, &user, setup.kind, &setup.name)?,
                    setup: setup.clone(),
                };
                let right = check(setup.kind, setup.into());
                (Asked::Setup(Box::new(addition)), setup.kind, right)
            }
            (None, Some(Chosen::Rescue)) => (Asked::Rescue, RESCUE, None),
            (None, Some(Chosen::Factor(id))) => {
                let factors = ways_of(core, held).await?;
                let row = factors.iter().find(|row| row.id == *id);
                let row = row.ok_or(Error::NothingPending)?;
                let kind = row.kind().ok_or(Error::NothingPending)?;
                (Asked::Factor(id.clone()), kind, check(kind, row.into()))
            }
            // Nothing is asked for before the user has chosen, and the code costs no attempt.
            (None, None) => return Err(Invalid::form(Message::new("tf.choose_first")).into()),
        };
        Ok(Self {
            user,
            code,
            asked,
            kind,
            right,
        })
    }

    /// Checks the code against what the ticket asks for now, and uses both up if it is right. `is_sent` says whether
    /// it is the code that was sent.
    fn check(
        &self,
        change: &mut Change<'_>,
        ticket_id: &TicketId,
        pending: &Pending,
        is_sent: bool,
    ) -> Result<Checked, StoreError> {
        let (now, right) = (change.now(), self.right.as_ref());
        let factor = factors::of(self.kind);
        let step = match (&self.asked, &pending.setup, &pending.chosen) {
            (Asked::Setup(addition), Some(setup), _) if addition.setup.id == setup.id => {
                // The account has a factor by now, which is to be shown.
                if !rows::serving(change, &self.user.id, Usages::SECOND)?.is_empty() {
                    return Ok(Checked::Dead);
                }
                factor.step(right, is_sent)
            }
            (Asked::Factor(id), None, Some(Chosen::Factor(chosen))) if id == chosen => {
                factor.accept(change, id, right, is_sent, now)?.then_some(0)
            }
            (Asked::Rescue, None, Some(Chosen::Rescue)) => is_sent.then_some(0),
            // Another tab has begun another set-up, or has chosen something else.
            (Asked::Setup(..), ..) => return Ok(Checked::Dead),
            _ => None,
        };
        let Some(step) = step else {
            return Ok(Checked::Wrong);
        };
        if !ticket_id.consume(change, now)? {
            return Ok(Checked::Dead);
        }
        if let Asked::Setup(addition) = &self.asked {
            let user = self.user.id.clone();
            rows::insert(
                change,
                &factors::row(&addition.setup, &self.user, step, now),
            )?;
            // From now on a session takes more than the others have shown.
            users::end_sessions(change, &user, true)?;
            change.mail(&addition.notice)?;
            change.event(EventKind::FactorAdded {
                user,
                method: self.kind,
            });
        }
        let methods = pending.methods().and(self.kind.method());
        Ok(Checked::Right(methods))
    }
}

/// What an answer came to.
pub(super) enum Checked {
    /// What was shown by now.
    Right(Methods),
    Wrong,
    /// No attempt is left, or another request was faster.
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
) -> Result<Passed, Error> {
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
            Ok(Ok((checked, tally, user)))
        })
        .await;
    let (checked, tally, now_user) = match checked {
        Ok(Ok(checked)) => checked,
        Ok(Err(until)) => return Err(locked(until, now)),
        Err(StoreError::Missing) => return Err(Error::NothingPending),
        Err(error) => return Err(error.into()),
    };
    if let Some(tally) = tally {
        let methods = Methods::of(tried);
        tell_failure(core, &buckets, tally, Some(user), methods, client).await?;
    }
    match checked {
        Checked::Right(methods) => Ok(Passed {
            user: now_user,
            methods,
            buckets,
        }),
        Checked::Wrong => Err(Invalid::field("code", Message::new(wrong)).into()),
        Checked::Dead => Err(Error::NothingPending),
    }
}
