//! Making a passkey: what a browser is asked, and how what it answers is judged.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    Credential, ParsedAttestation, PasskeyRegistration, RegisterPublicKeyCredential,
    SecurityKeyRegistration, WebauthnError,
};

use super::{
    answered::Answered,
    ceremonies::Ceremonies,
    credential::{broken, credential_of, in_a_frame},
};
use crate::{
    error::{Error, Invalid},
    store::{
        cut,
        passkeys::{self, NewPasskey, PasskeyRow},
    },
    types::{Message, PasskeyUsage},
};

/// Who a passkey is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) handle: Uuid,
    pub(crate) email: &'a str,
    pub(crate) username: Option<&'a str>,
}

/// What a registration has begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Registering {
    /// A passkey, which verifies its owner.
    Passkey(PasskeyRegistration),
    /// Any key.
    Key(SecurityKeyRegistration),
}

/// A new credential, judged and found good.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    credential: Credential,
    aaguid: Uuid,
    transports: String,
}

impl Ceremonies {
    /// Begins to make a passkey: what the browser is asked, and what is kept of it.
    pub(crate) fn begin_registration(
        &self,
        account: Account<'_>,
        usage: PasskeyUsage,
        known: &[PasskeyRow],
    ) -> Result<(Value, Registering), Error> {
        let name = named(&self.policy.account_name(account.email, account.username));
        let display = named(&self.policy.display_name(account.email, account.username));
        let known: Vec<_> = known
            .iter()
            .filter_map(|row| Some(credential_of(row)?.cred_id))
            .collect();
        let (options, state) = if usage == PasskeyUsage::Secondary {
            let begun = self.webauthn.start_securitykey_registration(
                account.handle,
                &name,
                &display,
                Some(known),
                None,
                None,
            );
            let (options, state) = begun.map_err(broken)?;
            (json!(options.public_key), Registering::Key(state))
        } else {
            let begun = self.webauthn.start_passkey_registration(
                account.handle,
                &name,
                &display,
                Some(known),
            );
            let (options, state) = begun.map_err(broken)?;
            (json!(options.public_key), Registering::Passkey(state))
        };
        Ok((self.creation_options(options, usage), state))
    }

    /// What webauthn-rs asks for, and what it leaves out.
    fn creation_options(&self, mut options: Value, usage: PasskeyUsage) -> Value {
        let is_passkey = usage != PasskeyUsage::Secondary;
        options["timeout"] = self.register_timeout.into();
        let mut selection = json!({
            // Nobody types an identity with a passkey: it must be found by the site's name alone.
            "residentKey": if is_passkey { "required" } else { "discouraged" },
            "requireResidentKey": is_passkey,
            "userVerification": if is_passkey { "required" } else { "preferred" },
        });
        if let Some(attachment) = self.policy.attachment(usage) {
            selection["authenticatorAttachment"] = json!(attachment);
        }
        options["authenticatorSelection"] = selection;
        options["hints"] = json!(self.policy.hints(usage));
        // Scripts go through the list, also where nothing is in it.
        if !options["excludeCredentials"].is_array() {
            options["excludeCredentials"] = json!([]);
        }
        // A key without PIN would never answer again for a credential that insists on one.
        options["extensions"] = json!({"credProps": true});
        if is_passkey {
            options["extensions"]["credentialProtectionPolicy"] = json!("userVerificationRequired");
            options["extensions"]["enforceCredentialProtectionPolicy"] = json!(false);
        }
        options
    }

    /// Judges what came of it.
    pub(crate) fn finish_registration(
        &self,
        begun: &Registering,
        usage: PasskeyUsage,
        answered: &Answered,
    ) -> Result<Made, Invalid> {
        let refuse = |why: &str, key: &'static str| {
            log::debug!("a new passkey was refused: {why}");
            Invalid::field("credential", Message::new(key))
        };
        let refused = |why: &str| refuse(why, "passkey.not_added");
        let Some(answer) = answered.as_registration() else {
            return Err(refused("it cannot be read"));
        };
        if answer.type_ != "public-key" || answer.id != BASE64URL_NOPAD.encode(&answer.raw_id) {
            return Err(refused("its id or type is not right"));
        }
        if in_a_frame(&answer.response.client_data_json) {
            return Err(refused("it was made in another site's frame"));
        }
        let judged: Result<Credential, WebauthnError> = match begun {
            Registering::Passkey(state) => self
                .webauthn
                .finish_passkey_registration(&answer, state)
                .map(Credential::from),
            Registering::Key(state) => self
                .webauthn
                .finish_securitykey_registration(&answer, state)
                .map(Credential::from),
        };
        let mut credential = judged.map_err(|error| match error {
            WebauthnError::UserNotVerified => {
                refuse("its owner was not verified", "passkey.no_verification")
            }
            error => refused(&error.to_string()),
        })?;
        // WebAuthn, 4: an id has at most 1,023 bytes.
        let fits = (1..=1_023).contains(&credential.cred_id.len());
        if credential.cred_id != answer.raw_id || !fits {
            return Err(refused("its id is not that of the credential"));
        }
        let found = answer.extensions.cred_props.as_ref();
        let hidden = found.and_then(|props| props.rk) == Some(false);
        if usage != PasskeyUsage::Secondary && hidden {
            return Err(refused("it cannot be found without a name"));
        }
        let aaguid = aaguid_of(&answer.response.attestation_object).unwrap_or_default();
        if !self.policy.allows(aaguid, usage) {
            return Err(refuse("its model is not allowed", "passkey.not_allowed"));
        }
        // Nobody asked for it, and it tells more of its owner than we need to know.
        credential.attestation = ParsedAttestation::default();
        Ok(Made {
            credential,
            aaguid,
            transports: transports_of(&answer),
        })
    }
}

impl Made {
    /// Whether its authenticator has checked its owner.
    pub(crate) fn verifies(&self) -> bool {
        self.credential.user_verified
    }

    pub(crate) fn counter(&self) -> i64 {
        i64::from(self.credential.counter)
    }

    /// Its row, beside that of the factor.
    pub(crate) fn row(&self, factor_id: &str) -> Result<NewPasskey, Error> {
        let credential = serde_json::to_string(&self.credential)
            .map_err(|error| Error::Broken(error.to_string()))?;
        Ok(NewPasskey {
            factor_id: factor_id.to_string(),
            credential_hash: passkeys::hash_of(&self.credential.cred_id),
            credential,
            verifies: self.verifies(),
            aaguid: self.aaguid.to_string(),
            transports: self.transports.clone(),
            backup_eligible: self.credential.backup_eligible,
            backed_up: self.credential.backup_state,
        })
    }
}

/// A name that authenticators take: they may cut it at 64 bytes, and none may be empty.
fn named(name: &str) -> String {
    let name = cut(name, 254);
    match name.trim().is_empty() {
        true => "?".into(),
        false => name,
    }
}

/// The model of authenticator by its own word, from an attestation object that was judged before.
fn aaguid_of(attestation_object: &[u8]) -> Option<Uuid> {
    // WebAuthn, 6.1: hash, flags and counter, then the credential's data, which begins with the model.
    const AT: usize = 32 + 1 + 4;
    let object: serde_cbor_2::Value = serde_cbor_2::from_slice(attestation_object).ok()?;
    let serde_cbor_2::Value::Map(object) = object else {
        return None;
    };
    let data = object.get(&serde_cbor_2::Value::Text("authData".into()))?;
    let serde_cbor_2::Value::Bytes(data) = data else {
        return None;
    };
    Uuid::from_slice(data.get(AT..AT + 16)?).ok()
}

/// By what browsers say an authenticator is reached. webauthn-rs keeps it for some kinds of attestation only.
fn transports_of(answer: &RegisterPublicKeyCredential) -> String {
    let said = answer.response.transports.iter().flatten();
    let said: Vec<&str> = said.map(AsRef::as_ref).collect();
    cut(&said.join(","), 64)
}
