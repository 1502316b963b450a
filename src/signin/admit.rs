//! The admission gate: the one place where proof becomes admission.
//!
//! Every way in calls [`admit`]; only it makes an [`Admitted`], and sessions and tokens are made from
//! nothing else. So a new way in cannot forget a check.

use super::{
    second_factors::{Passed, remaining_factors},
    trusted::Trusted,
};
use crate::{
    core::Core,
    error::{Denied, Error},
    events::EventKind,
    settings::SignInMethod,
    store::{
        Grants, User,
        factors::{self, FactorRow},
        users,
    },
    types::{Method, Methods, ProvenAt, SessionId, Timestamp, Usages},
};

/// Somebody who passed the gate. Nothing else makes one, and each is used once.
#[derive(Debug)]
pub struct Admitted {
    user: Box<User>,
    methods: Methods,
    proven_at: ProvenAt,
    goes_on: bool,
}

impl Admitted {
    /// Who was admitted, as the account was when the proof was checked.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// How it was proven.
    pub fn methods(&self) -> Methods {
        self.methods
    }

    /// When it was proven; `None` if a remembered device was all that was shown.
    pub fn at(&self) -> Option<Timestamp> {
        self.proven_at.moment()
    }

    pub(crate) fn proven_at(&self) -> ProvenAt {
        self.proven_at
    }

    /// Whether it goes on with an earlier sign-in.
    pub(crate) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// The same admission, where a remembered browser goes on with an earlier sign-in: what was shown there lets it
    /// in, and nothing has been shown here.
    pub(crate) fn remembered(mut self) -> Self {
        self.methods = Methods::of(Method::Remembered);
        self.with_proof_at(ProvenAt::NEVER)
    }

    /// The same admission, where it goes on with an earlier sign-in, on the strength of the proof of that.
    pub(crate) fn with_proof_at(mut self, at: ProvenAt) -> Self {
        self.proven_at = at;
        self.goes_on = true;
        self
    }
}

/// What is still owed before somebody is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// A second factor.
    SecondFactor,
    /// A new password: the one that was shown is to be used no more.
    NewPassword,
}

/// Somebody who has shown enough to be asked for more, and no more than that.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) user: Box<User>,
    pub(crate) methods: Methods,
    pub(crate) step: NextStep,
    /// The second factors one of which is owed; none if one must be set up first.
    pub(crate) factors: Vec<FactorRow>,
    /// The factor that was shown already, which is not to be shown twice.
    pub(crate) shown: Option<String>,
}

impl Challenge {
    /// What is said where it cannot be asked for.
    pub(crate) fn denied(&self) -> Denied {
        match self.step {
            NextStep::SecondFactor => Denied::SecondFactor,
            NextStep::NewPassword => Denied::NewPassword,
        }
    }
}

/// What the gate answers.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Come in.
    In(Admitted),
    /// Not yet.
    Challenge(Challenge),
}

/// Whether an account may be used at all: asked at the gate, and again whenever a session or token of
/// it is used.
pub(crate) fn ensure_usable(core: &Core, user: &User) -> Result<(), Denied> {
    if !user.active {
        return Err(Denied::Inactive);
    }
    let confirm = &core.settings.confirm;
    let in_time = user.created_at.is_within(confirm.grace, core.now());
    if confirm.enabled && user.confirmed_at.is_none() && !in_time {
        return Err(Denied::Unconfirmed);
    }
    Ok(())
}

/// Weighs a proof: `user` showed `methods`.
///
/// The account is judged as it was read together with the credential, and carries the uniquifiers of
/// that moment: a password change or deactivation that commits meanwhile makes what is built on this
/// admission void.
pub(crate) async fn admit(core: &Core, user: User, methods: Methods) -> Result<Admission, Error> {
    admit_by_factor(core, user, methods, None).await
}

/// The same of somebody who may have shown one of the account's factors by its id: that is not asked for again.
pub(crate) async fn admit_by_factor(
    core: &Core,
    user: User,
    methods: Methods,
    shown: Option<&str>,
) -> Result<Admission, Error> {
    ensure_usable(core, &user)?;
    if let Some(factors) = second_factor_owed(core, &user, methods, shown).await? {
        return Ok(Admission::Challenge(Challenge {
            user: Box::new(user),
            methods,
            step: NextStep::SecondFactor,
            factors,
            shown: shown.map(String::from),
        }));
    }
    Ok(beyond_second_factor(core, Box::new(user), methods))
}

/// Lets somebody go on who answered the second step: what was owed is shown, whatever kind it is of.
pub(crate) fn complete_second_factor(core: &Core, passed: &Passed) -> Result<Admission, Error> {
    ensure_usable(core, passed.user())?;
    let methods = two_with_passkey(passed.methods()).and_second();
    Ok(beyond_second_factor(
        core,
        Box::new(passed.user().clone()),
        methods,
    ))
}

/// A passkey that counted as one factor, and what was shown beside it, are two, even if both are held.
fn two_with_passkey(methods: Methods) -> Methods {
    let mut others = methods.iter().filter(|method| {
        !matches!(
            method,
            Method::Passkey | Method::Register | Method::Remembered
        )
    });
    match methods.contains(Method::Passkey) && others.next().is_some() {
        true => methods.and_verified(),
        false => methods,
    }
}

/// Lets somebody go on whose session was ended by their own change: what it had been admitted for stays.
pub(crate) fn reissue(
    core: &Core,
    user: User,
    methods: Methods,
) -> Result<Option<Admitted>, Error> {
    ensure_usable(core, &user)?;
    match beyond_second_factor(core, Box::new(user), methods) {
        Admission::In(admitted) => Ok(Some(admitted)),
        Admission::Challenge(_) => Ok(None),
    }
}

/// Spares somebody the second factor, in a browser in which it was given before and which is trusted.
pub(crate) fn skip_trusted(core: &Core, challenge: Challenge, _: Trusted) -> Admission {
    beyond_second_factor(core, challenge.user, challenge.methods)
}

fn beyond_second_factor(core: &Core, user: Box<User>, methods: Methods) -> Admission {
    if user.must_change_password {
        return Admission::Challenge(Challenge {
            user,
            methods,
            step: NextStep::NewPassword,
            factors: Vec::new(),
            shown: None,
        });
    }
    Admission::In(Admitted {
        user,
        methods,
        proven_at: ProvenAt::at(core.now()),
        goes_on: false,
    })
}

/// The factors one of which is owed; none of them if one must be set up first; `None` if nothing is owed.
pub(crate) async fn second_factor_owed(
    core: &Core,
    user: &User,
    methods: Methods,
    shown: Option<&str>,
) -> Result<Option<Vec<FactorRow>>, Error> {
    let settings = &core.settings;
    // A passkey as second factor asks for itself, even where there are no others.
    let asks = settings.two_factor.enabled || core.has_passkeys();
    if !asks || methods.is_two_step() {
        return Ok(None);
    }
    // Something held is as good as two by the setting: an authenticator or phone in unified sign-in.
    let owes = |method| settings.unified.mfa_required.contains(&method);
    let held = [
        (Method::Authenticator, SignInMethod::Authenticator),
        (Method::Sms, SignInMethod::Sms),
    ]
    .into_iter()
    .any(|(shown, method)| methods.contains(shown) && !owes(method));
    if held {
        return Ok(None);
    }
    let id = user.id.clone();
    let policy = core.factors.mfa_policy.is_some() && settings.two_factor.enabled;
    let (counts, shown) = (core.counted_factors(), shown.map(String::from));
    let found = core
        .store
        .read(move |conn| {
            let mut factors = factors::serving(conn, &id, Usages::SECOND)?;
            factors.retain(|way| counts.contains(way));
            // Two different factors are two steps if one is a second factor of the account: a password and a mailed
            // code are not those of one that has an authenticator app.
            let is_one = |way: &FactorRow| way.is_shown_by(methods);
            if methods.is_multi_factor() && (factors.is_empty() || factors.iter().any(is_one)) {
                return Ok(None);
            }
            factors.retain(|way| shown.as_ref() != Some(&way.id));
            let grants = match policy && factors.is_empty() {
                true => users::grants(conn, &id)?,
                false => Grants::default(),
            };
            Ok(Some((factors, grants)))
        })
        .await?;
    let Some((factors, grants)) = found else {
        return Ok(None);
    };
    let required = || {
        let policy = core.factors.mfa_policy.as_ref().filter(|_| policy);
        policy.is_some_and(|policy| policy.requires(user, &grants))
    };
    let owed = !factors.is_empty() || required();
    Ok(owed.then(|| remaining_factors(factors, methods)))
}

/// The event of a sign-in, for where the admission takes effect.
pub(crate) fn authenticated(admitted: &Admitted, session: Option<SessionId>) -> EventKind {
    EventKind::Authenticated {
        user: admitted.user.id.clone(),
        methods: admitted.methods,
        session,
    }
}
