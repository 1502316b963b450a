//! The one guard of what changes a way into an account.

use std::{ops::Deref, sync::Arc};

use rocket::Request;

use super::{Fresh, authorize_caller};
use crate::{
    core::Core,
    error::{Denied, Error},
    signin::{admit::second_factor_owed, caller::Caller},
    store::factors::FactorRow,
};

/// A caller who may change the ways into the account: add, change or remove a sign-in method, or end other
/// sessions, devices and keys.
///
/// The sign-in is fresh, and is as strong as one takes: where the account has second factors, one was shown in
/// this session (NIST SP 800-63B, 6.1.2.1; ASVS 5.0, 7.5.1 and 7.5.2). That a browser is trusted is not enough.
/// Nothing but [`strong`] makes one, and the services that do such things take nothing else.
#[derive(Clone)]
pub(crate) struct Strong(Arc<Caller>);

impl Deref for Strong {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

/// Whether `caller` may change the ways into the account. A handler that writes reads its body first, which checks
/// the CSRF token.
pub(crate) async fn strong(
    request: &Request<'_>,
    core: &Core,
    caller: Arc<Caller>,
) -> Result<Strong, Error> {
    authorize_caller::<Fresh>(request, core, &caller).await?;
    shown_what_it_takes(core, &caller).await?;
    Ok(Strong(caller))
}

/// Whether the session of `caller` has shown what a sign-in takes, however long ago; for what asks for a password
/// of its own, which is as fresh as can be.
pub(crate) async fn shown_what_it_takes(core: &Core, caller: &Caller) -> Result<(), Error> {
    let owed = second_factor_owed(core, &caller.user, caller.methods, None).await?;
    // What was shown as the first is asked for only where there is nothing else, and not again then.
    let unshown = |way: &FactorRow| !way.is_shown_by(caller.methods);
    match owed.is_some_and(|factors| factors.iter().any(unshown)) {
        true => Err(Denied::SecondFactor.into()),
        false => Ok(()),
    }
}
