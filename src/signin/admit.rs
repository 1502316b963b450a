//! The admission gate: the one place where proof becomes admission.
//!
//! Every way in calls [`admit`]; only it makes an [`Admitted`], and sessions and tokens are made from
//! nothing else. So a new way in cannot forget a check.

use super::Methods;
use crate::{
    error::{Denied, Error},
    notify::events::{Client, EventKind},
    site::Site,
    store::{SessionId, Timestamp, User},
};

/// Somebody who passed the gate. Nothing else makes one, and each is used once.
#[derive(Debug)]
pub struct Admitted {
    user: Box<User>,
    methods: Methods,
    at: Timestamp,
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

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
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
pub(crate) struct Owing {
    pub(crate) user: Box<User>,
    pub(crate) methods: Methods,
    pub(crate) step: NextStep,
}

/// What the gate answers.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Come in.
    In(Admitted),
    /// Not yet.
    Next(Owing),
}

/// Whether an account may be used at all: asked at the gate, and again whenever a session or token of
/// it is used.
pub(crate) fn standing(site: &Site, user: &User) -> Result<(), Denied> {
    if !user.active {
        return Err(Denied::Inactive);
    }
    let confirm = &site.settings.confirm;
    let in_time = user.created_at.after(confirm.grace) > site.now();
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
pub(crate) fn admit(site: &Site, user: User, methods: Methods) -> Result<Admission, Error> {
    standing(site, &user)?;
    let user = Box::new(user);
    if user.must_change_password {
        return Ok(Admission::Next(Owing {
            user,
            methods,
            step: NextStep::NewPassword,
        }));
    }
    Ok(Admission::In(Admitted {
        user,
        methods,
        at: site.now(),
    }))
}

/// Tells the world that somebody came in. Called where the admission takes effect.
pub(crate) fn announce(
    site: &Site,
    admitted: &Admitted,
    session: Option<SessionId>,
    client: &Client,
) {
    site.event(
        Some(client),
        EventKind::Authenticated {
            user: admitted.user.id.clone(),
            methods: admitted.methods,
            session,
        },
    );
}
