//! Passkeys and security keys (WebAuthn): what authenticators are asked for, and how what they say is judged.
//!
//! The cryptography is webauthn-rs's. Here is what it leaves to its caller: the user handle is compared
//! with that of the credential's owner, an answer given inside another site's frame is refused, and of the
//! credential only what is needed later is kept. That a challenge is used once, and that a counter only
//! rises, is the business of the transaction in which an answer takes effect.
//!
//! A passkey always says that it has checked its owner, by PIN or finger. A key that cannot do that is
//! taken as a second factor only. Attestation is not asked for: the model that an authenticator names is
//! its own word, good for a label and no proof.

mod answered;
mod providers;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, Credential, DiscoverableAuthentication, PasskeyRegistration,
    RegisterPublicKeyCredential, SecurityKeyRegistration, Webauthn, WebauthnBuilder, WebauthnError,
};

pub(crate) use self::{answered::Answered, providers::provider};
use crate::{
    error::{Error, Invalid},
    identity::text::{self, NotAName},
    settings::{ConfigError, PasskeySettings},
    store::passkeys::{self, NewPasskey, Owned, PasskeyRow},
    types::{Message, PasskeyUsage},
};

/// Where an authenticator is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Attachment {
    /// In the device at which the person sits.
    Platform,
    /// Apart from it, such as a key or a phone.
    CrossPlatform,
}

/// What browsers are told of the authenticator that is likely, so that they offer it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PasskeyHint {
    /// A key.
    SecurityKey,
    /// The device at which the person sits.
    ClientDevice,
    /// A phone, over the air.
    Hybrid,
}

/// What an application chooses about passkeys; every choice has a default.
///
/// ```
/// use rocket_security::{PasskeyUsage, Security, WebauthnPolicy};
/// struct OurKeys;
/// impl WebauthnPolicy for OurKeys {
///     fn account_name(&self, email: &str, _username: Option<&str>) -> String {
///         format!("{email} (staff)")
///     }
///     fn allows(&self, aaguid: uuid::Uuid, usage: PasskeyUsage) -> bool {
///         usage == PasskeyUsage::Secondary || !aaguid.is_nil()
///     }
/// }
/// let security = Security::default().webauthn_policy(OurKeys);
/// ```
pub trait WebauthnPolicy: Send + Sync + 'static {
    /// What authenticators show to tell one account here from another. _Default:_ the address.
    fn account_name(&self, email: &str, username: Option<&str>) -> String {
        let _ = username;
        email.to_string()
    }

    /// What authenticators call the person. _Default:_ the username, else the address.
    fn display_name(&self, email: &str, username: Option<&str>) -> String {
        username.unwrap_or(email).to_string()
    }

    /// Where a new authenticator must be. _Default:_ anywhere.
    fn attachment(&self, usage: PasskeyUsage) -> Option<Attachment> {
        let _ = usage;
        None
    }

    /// What browsers offer first. _Default:_ they choose.
    fn hints(&self, usage: PasskeyUsage) -> Vec<PasskeyHint> {
        let _ = usage;
        Vec::new()
    }

    /// Whether a model may be added. The authenticator names it itself, so this keeps out whom one does
    /// not want by mistake, and nobody who lies. _Default:_ any.
    fn allows(&self, aaguid: Uuid, usage: PasskeyUsage) -> bool {
        let _ = (aaguid, usage);
        true
    }

    /// Judges the name that somebody gives a passkey, and answers it as it is kept: at most 64 characters.
    /// _Default:_ any text of 1 to 64 characters that can be seen.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_name(&self, name: &str) -> Result<String, Message> {
        check_name(name)
    }
}

/// The choices of nobody: every default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StandardPolicy;

impl WebauthnPolicy for StandardPolicy {}

/// Characters of a passkey's name, as the table holds them.
const NAME: usize = 64;

fn check_name(typed: &str) -> Result<String, Message> {
    let name = text::name(typed, NAME).map_err(|why| match why {
        NotAName::Empty => Message::new("passkey.name_required"),
        NotAName::TooLong => Message::new("passkey.name_too_long").with("max", NAME),
        NotAName::Hidden => Message::new("passkey.name_invalid"),
    })?;
    // It could pose as markup.
    match name.contains(['<', '>']) {
        true => Err(Message::new("passkey.name_invalid")),
        false => Ok(name.to_string()),
    }
}

/// Why an answer is not taken. Who asked is told as little as possible; the log says it.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is not good.
    Refused(&'static str),
    /// Its counter went back: the signature is right, and somebody has a copy.
    Copied,
}

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

/// A new credential, judged and found good.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    credential: Credential,
    aaguid: Uuid,
    transports: String,
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

/// Everything that is done with authenticators.
pub(crate) struct Ceremonies {
    webauthn: Webauthn,
    /// What browsers are told of the time in which a passkey is to be made, in milliseconds.
    register_timeout: u64,
    pub(crate) policy: std::sync::Arc<dyn WebauthnPolicy>,
}

impl std::fmt::Debug for Ceremonies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceremonies").finish_non_exhaustive()
    }
}

impl Ceremonies {
    /// For this site; `None` where passkeys are off, or the site has an address for a name.
    pub(crate) fn new(
        settings: &PasskeySettings,
        base_url: &url::Url,
        site_name: &str,
        policy: Option<std::sync::Arc<dyn WebauthnPolicy>>,
    ) -> Result<Option<Self>, ConfigError> {
        if !settings.enabled {
            return Ok(None);
        }
        let Some(host) = base_url.domain() else {
            let host = base_url.host_str().unwrap_or_default();
            if settings.rp_id.is_some() || settings.sign_up || !settings.origins.is_empty() {
                return Err(ConfigError(format!(
                    "`security.passkeys` cannot work at the address {host}; give the site a name in `security.base_url`, such as \"http://localhost:8000\" or \"https://example.com\""
                )));
            }
            log::warn!(
                "passkeys are off: they need a name, and `security.base_url` has the address {host}; write for example \"http://localhost:8000\""
            );
            return Ok(None);
        };
        let said = settings.rp_id.as_deref().map(str::to_ascii_lowercase);
        let rp_id = said.as_deref().unwrap_or(host);
        // A name without a dot is nobody's: browsers take none above the site's own.
        let above = host.ends_with(&format!(".{rp_id}")) && rp_id.contains('.');
        if rp_id.is_empty() || !(host == rp_id || above) {
            return Err(ConfigError(format!(
                "`security.passkeys.rp_id` is `{rp_id}`, but must be `{host}`, the host of `security.base_url`, or a domain above it"
            )));
        }
        let wrong = |error: WebauthnError| {
            ConfigError(format!(
                "`security.passkeys.rp_id` is `{rp_id}`, which does not do: {error}"
            ))
        };
        let mut builder = WebauthnBuilder::new(rp_id, base_url)
            .map_err(wrong)?
            .rp_name(site_name)
            .timeout(std::time::Duration::from_secs(settings.challenge.as_secs()));
        for origin in settings.parsed_origins()? {
            builder = builder.append_allowed_origin(&origin);
        }
        Ok(Some(Self {
            webauthn: builder.build().map_err(wrong)?,
            register_timeout: settings.register_challenge.as_secs().saturating_mul(1_000),
            policy: policy.unwrap_or_else(|| std::sync::Arc::new(StandardPolicy)),
        }))
    }

    /// The sites from which an answer may come. Applications are no sites, and browsers are told nothing of them.
    pub(crate) fn origins(&self) -> Vec<String> {
        let origins = self.webauthn.get_allowed_origins().iter();
        origins
            .filter(|origin| origin.origin().is_tuple())
            .map(|origin| origin.origin().ascii_serialization())
            .collect()
    }

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
        credential.attestation = webauthn_rs::prelude::ParsedAttestation::default();
        Ok(Made {
            credential,
            aaguid,
            transports: transports_of(&answer),
        })
    }

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
    pub(crate) fn judge(
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

/// What browsers are told of a credential that they may use.
pub(crate) fn descriptor(row: &PasskeyRow) -> Option<Value> {
    let mut descriptor = json!({"type": "public-key", "id": id_of(row)?});
    let transports: Vec<&str> = row
        .transports
        .split(',')
        .filter(|transport| !transport.is_empty() && *transport != "unknown")
        .collect();
    if !transports.is_empty() {
        descriptor["transports"] = json!(transports);
    }
    Some(descriptor)
}

/// The credential's id, as programs know it.
pub(crate) fn id_of(row: &PasskeyRow) -> Option<String> {
    Some(BASE64URL_NOPAD.encode(&credential_of(row)?.cred_id))
}

fn credential_of(row: &PasskeyRow) -> Option<Credential> {
    serde_json::from_str(&row.credential)
        .map_err(|error| {
            log::warn!(
                "the stored passkey {} cannot be read, and is not accepted: {error}",
                row.id
            )
        })
        .ok()
}

/// A name that authenticators take: they may cut it at 64 bytes, and none may be empty.
fn named(name: &str) -> String {
    let name = crate::store::cut(name, 254);
    match name.trim().is_empty() {
        true => "?".into(),
        false => name,
    }
}

/// Whether the browser says that the page was in a frame of another site.
fn in_a_frame(client_data: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientData {
        #[serde(default)]
        cross_origin: Option<bool>,
        #[serde(default)]
        top_origin: Option<Value>,
    }
    serde_json::from_slice::<ClientData>(client_data).map_or(true, |data| {
        data.cross_origin.unwrap_or(false) || data.top_origin.is_some()
    })
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
    crate::store::cut(&said.join(","), 64)
}

fn broken(error: WebauthnError) -> Error {
    Error::Broken(format!("a passkey cannot be asked for: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_texts_that_can_be_seen() {
        for (name, kept) in [
            ("my key-1", "my key-1"),
            ("  Blue key ", "Blue key"),
            ("Schlüssel", "Schlüssel"),
            ("鍵", "鍵"),
            ("👩‍💻 laptop", "👩‍💻 laptop"),
            ("a & b's \"key\"", "a & b's \"key\""),
        ] {
            assert_eq!(check_name(name).unwrap(), kept);
        }
        assert_eq!(check_name(&"x".repeat(64)).unwrap().len(), 64);
        for (name, key) in [
            ("", "passkey.name_required"),
            ("  ", "passkey.name_required"),
            ("<script>", "passkey.name_invalid"),
            ("key\u{202e}yek", "passkey.name_invalid"),
            ("\u{200b}", "passkey.name_invalid"),
            ("\u{200d}", "passkey.name_invalid"),
            ("\u{200d}\u{fe0f}", "passkey.name_invalid"),
            ("\u{3164}", "passkey.name_invalid"),
            ("a\nb", "passkey.name_invalid"),
            ("a\u{7}", "passkey.name_invalid"),
        ] {
            assert_eq!(check_name(name).unwrap_err().key(), key, "{name:?}");
        }
        let long = check_name(&"é".repeat(65)).unwrap_err();
        assert_eq!(long.key(), "passkey.name_too_long");
    }

    #[test]
    fn frames_of_others_are_seen() {
        let framed = |text: &str| in_a_frame(text.as_bytes());
        assert!(!framed(r#"{"type":"webauthn.get"}"#));
        assert!(!framed(r#"{"crossOrigin":false}"#));
        assert!(framed(r#"{"crossOrigin":true}"#));
        assert!(framed(
            r#"{"crossOrigin":false,"topOrigin":"https://evil.com"}"#
        ));
        assert!(framed("nonsense"));
    }
}
