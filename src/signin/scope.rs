//! What an API key may do.

use crate::store::{Grants, api_keys};

/// Which key a request showed, and what it was given.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) id: String,
    /// As the row has it: it is read only where a policy wants it.
    pub(super) permissions: String,
}

impl Scope {
    /// What is left of its owner's grants: the permissions that it was given, and no role.
    pub(crate) fn narrow(&self, mut of_owner: Grants) -> Grants {
        let given = api_keys::permissions(&self.permissions);
        of_owner.roles.clear();
        of_owner
            .permissions
            .retain(|permission| given.contains(permission));
        of_owner
    }
}
