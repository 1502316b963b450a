//! How this site proves to a provider that it is the client: by a secret that both know, or, as Apple has it, by a
//! short statement signed with a key of its own.

use data_encoding::BASE64URL_NOPAD;
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::DecodePrivateKey,
};
use serde_json::json;

use super::SocialError;
use crate::{secrets::Secret, settings::ProviderSettings, types::Timestamp};

/// How long a signed statement is good, in seconds: it is made anew for each exchange.
const LIFE: i64 = 300;

/// What proves the client.
pub(super) enum ClientSecret {
    /// Nothing: a public client.
    None,
    Shared(Secret<String>),
    Signed(Box<Signed>),
}

/// What the settings say that we prove ourselves by.
pub(super) fn secret_of(own: &ProviderSettings, issuer: &str) -> Result<ClientSecret, String> {
    let Some(key) = own.private_key()? else {
        return Ok(match &own.client_secret {
            Some(secret) => ClientSecret::Shared(secret.clone()),
            None => ClientSecret::None,
        });
    };
    let (team, key_id) = own.team_id.as_deref().zip(own.key_id.as_deref()).ok_or(
        "`private_key` needs `team_id` and `key_id`; the provider shows both where the key was made",
    )?;
    let signed = Signed::new(&key, key_id, team, &own.client_id, issuer)?;
    Ok(ClientSecret::Signed(Box::new(signed)))
}

/// A statement that is signed with ES256 (RFC 7518, section 3.4), for whoever made the key known to the provider.
pub(super) struct Signed {
    key: SigningKey,
    key_id: String,
    team: String,
    client: String,
    audience: String,
}

impl Signed {
    /// With the key of a `.p8` file.
    pub(super) fn new(
        pem: &Secret<String>,
        key_id: &str,
        team: &str,
        client: &str,
        audience: &str,
    ) -> Result<Self, String> {
        // An environment variable may hold it on one line.
        let pem = pem.expose().replace("\\n", "\n");
        let key = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| {
            "`private_key` is no key on the curve P-256 in PEM; write the text of the file with the ending .p8"
        })?;
        Ok(Self {
            key,
            key_id: key_id.into(),
            team: team.into(),
            client: client.into(),
            audience: audience.into(),
        })
    }

    fn at(&self, now: Timestamp) -> Secret<String> {
        let now = now.as_millis() / 1_000;
        let header = json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"});
        let claims = json!({
            "iss": self.team, "iat": now, "exp": now + LIFE, "aud": self.audience, "sub": self.client,
        });
        let encoded = |part: serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let said = format!("{}.{}", encoded(header), encoded(claims));
        let signature: Signature = self.key.sign(said.as_bytes());
        Secret::new(format!(
            "{said}.{}",
            BASE64URL_NOPAD.encode(&signature.to_bytes())
        ))
    }
}

impl ClientSecret {
    /// What is shown now.
    pub(super) fn at(&self, now: Timestamp) -> Result<Option<Secret<String>>, SocialError> {
        Ok(match self {
            Self::None => None,
            Self::Shared(secret) => Some(secret.clone()),
            Self::Signed(signed) => Some(signed.at(now)),
        })
    }
}
