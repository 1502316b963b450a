//! The stored credential of a passkey, and what the standard says of all answers alike.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};
use webauthn_rs::prelude::{Credential, WebauthnError};

use crate::{error::Error, store::passkeys::PasskeyRow};

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

pub(super) fn credential_of(row: &PasskeyRow) -> Option<Credential> {
    serde_json::from_str(&row.credential)
        .map_err(|error| {
            log::warn!(
                "the stored passkey {} cannot be read, and is not accepted: {error}",
                row.id
            )
        })
        .ok()
}

/// Whether the browser says that the page was in a frame of another site.
pub(super) fn in_a_frame(client_data: &[u8]) -> bool {
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

pub(super) fn broken(error: WebauthnError) -> Error {
    Error::Broken(format!("a passkey cannot be asked for: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
