//! Ending sessions, devices, tokens, keys and passkeys of an account.

use super::Accounts;
use crate::{
    core::change::Change,
    events::EventKind,
    store::{StoreError, api_keys, devices, endings, families, passkeys, sessions, users},
    types::{RowId, SessionId, UserId},
};

impl Change<'_> {
    /// Ends every session, remembered device and refresh token of an account. Authentication tokens stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn end_sessions(&mut self, id: &UserId) -> Result<(), StoreError> {
        self.end_every_session(id, false)
    }

    /// Signs an account out everywhere: sessions, remembered devices and all tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn sign_out_everywhere(&mut self, id: &UserId) -> Result<(), StoreError> {
        self.end_every_session(id, true)
    }

    fn end_every_session(&mut self, id: &UserId, tokens_too: bool) -> Result<(), StoreError> {
        users::end_sessions(self, id, tokens_too)?;
        self.event(EventKind::SessionRevoked {
            user: id.clone(),
            session: None,
        });
        Ok(())
    }

    /// Ends every authentication token and every refresh token of an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn end_tokens(&mut self, id: &UserId) -> Result<(), StoreError> {
        endings::end_tokens(self, id)?;
        self.event(EventKind::TokensRevoked { user: id.clone() });
        Ok(())
    }

    /// Ends one session with its remembered and trusted device, its tokens and what was begun in it; false if the
    /// account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn revoke_session(
        &mut self,
        owner: &UserId,
        session: &SessionId,
    ) -> Result<bool, StoreError> {
        let ended = sessions::revoke(self, owner, session)?;
        Ok(self.event_if(ended, || EventKind::SessionRevoked {
            user: owner.clone(),
            session: Some(session.clone()),
        }))
    }

    /// Ends every sign-in of an account but that of the session `keep`; returns how many sessions it ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn revoke_other_sessions(
        &mut self,
        owner: &UserId,
        keep: &SessionId,
    ) -> Result<usize, StoreError> {
        let ended = sessions::revoke_others(self, owner, keep)?;
        self.event(EventKind::SessionRevoked {
            user: owner.clone(),
            session: None,
        });
        Ok(ended)
    }

    /// Stops trusting a device; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn revoke_trusted_device(&mut self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse::<RowId>() else {
            return Ok(false);
        };
        let revoked = devices::delete(self, owner, id.as_str())?;
        Ok(self.event_if(revoked, || EventKind::DeviceRevoked {
            user: owner.clone(),
        }))
    }

    /// Revokes an API key; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn revoke_api_key(&mut self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse::<RowId>() else {
            return Ok(false);
        };
        let Some(name) = api_keys::name_of(self, owner, id.as_str())? else {
            return Ok(false);
        };
        let revoked = api_keys::delete(self, owner, id.as_str())?;
        Ok(self.event_if(revoked, || EventKind::ApiKeyRevoked {
            user: owner.clone(),
            key: id.as_str().into(),
            name,
        }))
    }

    /// Revokes a refresh token with the authentication tokens that it gave; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn revoke_refresh_tokens(&mut self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse::<RowId>() else {
            return Ok(false);
        };
        let revoked = families::revoke(self, owner, id.as_str())?;
        Ok(self.event_if(revoked, || EventKind::TokensRevoked {
            user: owner.clone(),
        }))
    }

    /// Deletes a passkey, even the last way into the account; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn delete_passkey(&mut self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse::<RowId>() else {
            return Ok(false);
        };
        let Some(name) = passkeys::name_of(self, owner, id.as_str())? else {
            return Ok(false);
        };
        let deleted = passkeys::delete(self, owner, id.as_str())?;
        Ok(self.event_if(deleted, || EventKind::PasskeyRemoved {
            user: owner.clone(),
            name,
        }))
    }

    /// Deletes every passkey of an account, and the name under which authenticators know it; returns how many there
    /// were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn delete_passkeys(&mut self, owner: &UserId) -> Result<usize, StoreError> {
        let names = passkeys::delete_all(self, owner)?;
        let deleted = names.len();
        for name in names {
            let user = owner.clone();
            self.event(EventKind::PasskeyRemoved { user, name });
        }
        Ok(deleted)
    }

    /// Lets a passkey be used again whose counter went back, on the application's word; its counter goes on from where
    /// it is. False if it was not suspect.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub fn trust_passkey(&mut self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let Some(name) = passkeys::trust(self, owner, id)? else {
            return Ok(false);
        };
        let user = owner.clone();
        self.event(EventKind::PasskeyTrusted { user, name });
        Ok(true)
    }
}

impl Accounts {
    /// Ends every session, remembered device and refresh token of an account. Authentication tokens stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn end_sessions(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |change| change.end_sessions(&id)).await
    }

    /// Signs an account out everywhere: sessions, remembered devices and all tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn sign_out_everywhere(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |change| change.sign_out_everywhere(&id))
            .await
    }

    /// Ends every authentication token and every refresh token of an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn end_tokens(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |change| change.end_tokens(&id)).await
    }

    /// Ends one session with its remembered and trusted device, its tokens and what was begun in it; false if the
    /// account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_session(
        &self,
        owner: &UserId,
        session: &SessionId,
    ) -> Result<bool, StoreError> {
        let (owner, session) = (owner.clone(), session.clone());
        self.change(move |change| change.revoke_session(&owner, &session))
            .await
    }

    /// Ends every sign-in of an account but that of the session `keep`; returns how many sessions it ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_other_sessions(
        &self,
        owner: &UserId,
        keep: &SessionId,
    ) -> Result<usize, StoreError> {
        let (owner, keep) = (owner.clone(), keep.clone());
        self.change(move |change| change.revoke_other_sessions(&owner, &keep))
            .await
    }

    /// Stops trusting a device; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_trusted_device(
        &self,
        owner: &UserId,
        id: &str,
    ) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.change(move |change| change.revoke_trusted_device(&owner, &id))
            .await
    }

    /// Revokes an API key; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_api_key(&self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.change(move |change| change.revoke_api_key(&owner, &id))
            .await
    }

    /// Revokes a refresh token with the authentication tokens that it gave; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn revoke_refresh_tokens(
        &self,
        owner: &UserId,
        id: &str,
    ) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.change(move |change| change.revoke_refresh_tokens(&owner, &id))
            .await
    }

    /// Deletes a passkey, even the last way into the account; false if the account has none of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn delete_passkey(&self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.change(move |change| change.delete_passkey(&owner, &id))
            .await
    }

    /// Deletes every passkey of an account, and the name under which authenticators know it; returns how many there
    /// were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn delete_passkeys(&self, owner: &UserId) -> Result<usize, StoreError> {
        let owner = owner.clone();
        self.change(move |change| change.delete_passkeys(&owner))
            .await
    }

    /// Lets a passkey be used again whose counter went back, on the application's word; its counter goes on from where
    /// it is. False if it was not suspect.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn trust_passkey(&self, owner: &UserId, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_string());
        self.change(move |change| change.trust_passkey(&owner, &id))
            .await
    }
}
