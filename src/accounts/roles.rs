//! Roles, their permissions, and who has them.

use super::Accounts;
use crate::{
    core::change::Change,
    events::EventKind,
    store::{Role, StoreError, roles},
    types::UserId,
};

impl Change<'_> {
    /// Creates a role.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of that name, [`StoreError::Refused`] if the name is unfit.
    pub fn create_role(
        &mut self,
        name: &str,
        description: Option<&str>,
    ) -> Result<Role, StoreError> {
        let now = self.now();
        roles::create(self, name, description, now)
    }

    /// Returns the role called `name`, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the name is unfit.
    pub fn find_or_create_role(&mut self, name: &str) -> Result<Role, StoreError> {
        let now = self.now();
        roles::find_or_create(self, name, now)
    }

    /// Deletes a role with its permissions, and takes it from everybody who has it; false if there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn delete_role(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.delete_role_of(name)?.is_some())
    }

    /// The same; returns how many accounts had the role, or `None` if there was none.
    pub(crate) fn delete_role_of(&mut self, name: &str) -> Result<Option<usize>, StoreError> {
        let Some(holders) = roles::delete(self, name)? else {
            return Ok(None);
        };
        let count = holders.len();
        for user in holders {
            let role = name.into();
            self.event(EventKind::RoleRemoved { user, role });
        }
        self.event(EventKind::PermissionsChanged { role: name.into() });
        Ok(Some(count))
    }

    /// Gives a role to an account; false if it had it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account or role.
    pub fn add_role_to_user(&mut self, id: &UserId, role: &str) -> Result<bool, StoreError> {
        let found = roles::find(self, role)?.ok_or(StoreError::Missing)?;
        let given = roles::give(self, id, &found)?;
        Ok(self.event_if(given, || EventKind::RoleAdded {
            user: id.clone(),
            role: found.name,
        }))
    }

    /// Takes a role from an account; false if it did not have it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role.
    pub fn remove_role_from_user(&mut self, id: &UserId, role: &str) -> Result<bool, StoreError> {
        let found = roles::find(self, role)?.ok_or(StoreError::Missing)?;
        let taken = roles::take(self, id, &found)?;
        Ok(self.event_if(taken, || EventKind::RoleRemoved {
            user: id.clone(),
            role: found.name,
        }))
    }

    /// Adds permissions to a role; returns how many were new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role, [`StoreError::Refused`] if a name is unfit.
    pub fn add_permissions_to_role(
        &mut self,
        role: &str,
        permissions: &[&str],
    ) -> Result<usize, StoreError> {
        let found = roles::find(self, role)?.ok_or(StoreError::Missing)?;
        let added = roles::permit(self, &found, &owned(permissions))?;
        self.event_if(added > 0, || EventKind::PermissionsChanged {
            role: found.name,
        });
        Ok(added)
    }

    /// Takes permissions from a role; returns how many of them it had.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role.
    pub fn remove_permissions_from_role(
        &mut self,
        role: &str,
        permissions: &[&str],
    ) -> Result<usize, StoreError> {
        let found = roles::find(self, role)?.ok_or(StoreError::Missing)?;
        let removed = roles::forbid(self, &found, &owned(permissions))?;
        self.event_if(removed > 0, || EventKind::PermissionsChanged {
            role: found.name,
        });
        Ok(removed)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

impl Accounts {
    /// Creates a role.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of that name, [`StoreError::Refused`] if the name is unfit.
    pub async fn create_role(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<Role, StoreError> {
        let (name, description) = (name.to_string(), description.map(String::from));
        self.change(move |change| change.create_role(&name, description.as_deref()))
            .await
    }

    /// Returns the role called `name`, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the name is unfit.
    pub async fn find_or_create_role(&self, name: &str) -> Result<Role, StoreError> {
        let name = name.to_string();
        self.change(move |change| change.find_or_create_role(&name))
            .await
    }

    /// Deletes a role with its permissions, and takes it from everybody who has it; false if there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn delete_role(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_string();
        self.change(move |change| change.delete_role(&name)).await
    }

    /// Gives a role to an account; false if it had it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such account or role.
    pub async fn add_role_to_user(&self, id: &UserId, role: &str) -> Result<bool, StoreError> {
        let (id, role) = (id.clone(), role.to_string());
        self.change(move |change| change.add_role_to_user(&id, &role))
            .await
    }

    /// Takes a role from an account; false if it did not have it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role.
    pub async fn remove_role_from_user(&self, id: &UserId, role: &str) -> Result<bool, StoreError> {
        let (id, role) = (id.clone(), role.to_string());
        self.change(move |change| change.remove_role_from_user(&id, &role))
            .await
    }

    /// Adds permissions to a role; returns how many were new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role, [`StoreError::Refused`] if a name is unfit.
    pub async fn add_permissions_to_role(
        &self,
        role: &str,
        permissions: &[&str],
    ) -> Result<usize, StoreError> {
        let (role, permissions) = (role.to_string(), owned(permissions));
        self.change(move |change| change.add_permissions_to_role(&role, &borrowed(&permissions)))
            .await
    }

    /// Takes permissions from a role; returns how many of them it had.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such role.
    pub async fn remove_permissions_from_role(
        &self,
        role: &str,
        permissions: &[&str],
    ) -> Result<usize, StoreError> {
        let (role, permissions) = (role.to_string(), owned(permissions));
        self.change(move |change| {
            change.remove_permissions_from_role(&role, &borrowed(&permissions))
        })
        .await
    }
}
