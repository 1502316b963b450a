//! Proving the address of an account.

use crate::{
    core::change::Change,
    events::EventKind,
    notify::outbox::OutgoingMail,
    store::{
        StoreError,
        users::{self, Confirmed, EarlierPassword},
    },
    types::UserId,
};

impl Change<'_> {
    /// Notes the proof of an address. If that takes a password away, `removed` tells the owner.
    pub(crate) fn prove_address(
        &mut self,
        id: &UserId,
        password: EarlierPassword,
        removed: Option<&OutgoingMail>,
    ) -> Result<Confirmed, StoreError> {
        let now = self.now();
        let confirmed = users::confirm(self, id, password, now)?;
        if let Confirmed::Now { password_removed } = confirmed {
            self.event(EventKind::EmailConfirmed { user: id.clone() });
            if let Some(removed) = removed.filter(|_| password_removed) {
                self.mail(removed)?;
            }
        }
        Ok(confirmed)
    }
}
