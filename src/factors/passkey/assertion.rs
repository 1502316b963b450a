//! Asking for a passkey: what a browser is asked, and how what it answers is judged.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{AuthenticationResult, DiscoverableAuthentication, WebauthnError};

use super::{
    answered::Answered,
    ceremonies::Ceremonies,
    credential::{broken, credential_of, descriptor, id_of, in_a_frame},
};
use crate::{
    error::Error,
    store::passkeys::{self, Owned, PasskeyRow},
};

/// Why an answer is not taken. Who asked is told as little as possible; the log says it.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is not good.
    Refused(&'static str),
    /// Its counter went back: the signature is right, and somebody has a copy.
    Copied,
}

/// What an assertion has begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asserting {
    state: DiscoverableAuthentication,
    /// The hashes of the credentials in `allowCredentials`. `None` allows every credential of this site.
    allowed: Option<Vec<String>>,
}

impl Asserting {
    /// Allows only the credentials with these ids, which the browser was told.
    pub(crate) fn only<'a>(mut self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        let bytes = |id: &str| BASE64URL_NOPAD.decode(id.as_bytes()).unwrap_or_default();
        let hashes = ids.into_iter().map(|id| passkeys::hash_of(&bytes(id)));
        self.allowed = Some(hashes.collect());
        self
    }

    /// Whether an answer by this credential is one that was asked for.
    fn allows(&self, credential_id: &[u8]) -> bool {
        let hash = passkeys::hash_of(credential_id);
        self.allowed
            .as_ref()
            .is_none_or(|allowed| allowed.contains(&hash))
    }
}

/// An assertion, judged and found good; whether its counter is new the transaction says.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) owned: Owned,
    /// Whether the authenticator has checked its owner.
    pub(crate) verified: bool,
    pub(crate) counter: i64,
    /// The credential with what the assertion changed.
    pub(crate) credential: String,
    pub(crate) backed_up: bool,
}

impl Ceremonies {
    /// Begins to ask for a passkey, of which nobody knows whose it is.
    pub(crate) fn begin_discoverable(&self) -> Result<(Value, Asserting), Error> {
        let begun = self.webauthn.start_discoverable_authentication();
        let (options, state) = begun.map_err(broken)?;
        let mut options = json!(options.public_key);
        if let Some(options) = options.as_object_mut() {
            options.remove("extensions");
            options.entry("allowCredentials").or_insert(json!([]));
        }
        let begun = Asserting {
            state,
            allowed: None,
        };
        Ok((options, begun))
    }

    /// Begins to ask for one of these; each verifies its owner if it did so when it was made.
    pub(crate) fn begin_known(&self, rows: &[PasskeyRow]) -> Result<(Value, Asserting), Error> {
        let begun = self.webauthn.start_securitykey_authentication(&[]);
        let (options, state) = begun.map_err(broken)?;
        let mut options = json!(options.public_key);
        options["allowCredentials"] = rows.iter().filter_map(descriptor).collect();
        options["hints"] = json!([]);
        // Both begin alike; in the end the credential is given as it is then, and not as it was now.
        let state = serde_json::to_value(state)
            .and_then(serde_json::from_value)
            .map_err(|error| Error::Broken(error.to_string()))?;
        let begun = Asserting {
            state,
            allowed: None,
        };
        let ids: Vec<String> = rows.iter().filter_map(id_of).collect();
        Ok((options, begun.only(ids.iter().map(String::as_str))))
    }

    /// The id of the credential that an answer names.
    pub(crate) fn credential_id(answered: &Answered) -> Option<Vec<u8>> {
        Some(answered.as_assertion()?.raw_id)
    }

    /// Judges an assertion of `owned`.
    ///
    /// A browser that was told of no credential must say whose it is: nothing else does.
    pub(crate) fn verify(
        &self,
        begun: &Asserting,
        answered: &Answered,
        owned: Owned,
    ) -> Result<Shown, Unfit> {
        let answer = answered
            .as_assertion()
            .ok_or(Unfit::Refused("it cannot be read"))?;
        if answer.type_ != "public-key" || answer.id != BASE64URL_NOPAD.encode(&answer.raw_id) {
            return Err(Unfit::Refused("its id or type is not right"));
        }
        // webauthn-rs cannot know: it was asked for a discoverable credential.
        if !begun.allows(&answer.raw_id) {
            return Err(Unfit::Refused("it was not in `allowCredentials`"));
        }
        if owned.row.suspect_at.is_some() {
            return Err(Unfit::Refused("it is suspect"));
        }
        let handle = Uuid::parse_str(&owned.handle).unwrap_or_default();
        match answer.get_user_unique_id() {
            Some(said) if said == handle.as_bytes() => {}
            Some(_) => return Err(Unfit::Refused("it is another user's")),
            None if begun.allowed.is_none() => {
                return Err(Unfit::Refused("it does not say whose it is"));
            }
            None => {}
        }
        if in_a_frame(&answer.response.client_data_json) {
            return Err(Unfit::Refused("it was given in another site's frame"));
        }
        let mut credential = credential_of(&owned.row)
            .ok_or(Unfit::Refused("its stored credential cannot be read"))?;
        // The counter that counts is the factor's.
        credential.counter = u32::try_from(owned.row.counter).unwrap_or(u32::MAX);
        let judged = self.webauthn.finish_discoverable_authentication_v2(
            &answer,
            begun.state.clone(),
            &credential,
        );
        let result: AuthenticationResult = match judged {
            Ok(result) => result,
            Err(WebauthnError::CredentialPossibleCompromise) => return Err(Unfit::Copied),
            Err(error) => {
                log::debug!("a passkey was refused: {error}");
                return Err(Unfit::Refused("webauthn-rs refuses it"));
            }
        };
        credential.backup_state = result.backup_state();
        credential.counter = result.counter();
        Ok(Shown {
            verified: result.user_verified(),
            counter: i64::from(result.counter()),
            backed_up: result.backup_state(),
            credential: serde_json::to_string(&credential)
                .map_err(|_| Unfit::Refused("it cannot be written"))?,
            owned,
        })
    }
}
