//! What browsers and authenticators answer, in the shapes that the field sends.
//!
//! Only the members that the judgement needs are passed on, each in one spelling. All else may be there, be null or
//! be missing: extensions as JSON text, `authenticatorAttachment`, members of later levels of the standard. What is
//! signed is not touched, only how its bytes are written.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

/// What a browser answers: JSON text, as forms carry it, or the object itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered(Value);

impl<'de> Deserialize<'de> for Answered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(read(Value::deserialize(deserializer)?)))
    }
}

/// A value, or the value that a text holds. What cannot be read is wrong as what is missing is: the form says so.
fn read(value: Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        value => value,
    }
}

impl Answered {
    /// Whether nothing was answered yet.
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_null()
    }

    pub(super) fn as_assertion(&self) -> Option<PublicKeyCredential> {
        let mut credential = self.credential()?;
        let response = self.0.get("response")?.as_object()?;
        let mut kept = bytes(
            response,
            &["authenticatorData", "clientDataJSON", "signature"],
        )?;
        // A library leaves out what is not there, a browser says null, and a script makes an empty text of it.
        let handle = response.get("userHandle").and_then(base64url);
        let handle = handle.filter(|handle| !handle.is_empty());
        kept.insert("userHandle".into(), json!(handle));
        credential.insert("response".into(), Value::Object(kept));
        serde_json::from_value(Value::Object(credential)).ok()
    }

    pub(super) fn as_registration(&self) -> Option<RegisterPublicKeyCredential> {
        let mut credential = self.credential()?;
        let response = self.0.get("response")?.as_object()?;
        let mut kept = bytes(response, &["attestationObject", "clientDataJSON"])?;
        let transports = response.get("transports").or(self.0.get("transports"));
        if let Some(Value::Array(all)) = transports {
            let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            kept.insert("transports".into(), json!(texts));
        }
        credential.insert("response".into(), Value::Object(kept));
        if let Some(resident) = self.is_resident() {
            let found = json!({"credProps": {"rk": resident}});
            credential.insert("extensions".into(), found);
        }
        serde_json::from_value(Value::Object(credential)).ok()
    }

    /// What registrations and assertions have in common.
    fn credential(&self) -> Option<Map<String, Value>> {
        let said = self.0.as_object()?;
        let mut kept = bytes(said, &["id", "rawId"])?;
        kept.insert("type".into(), json!(said.get("type")?.as_str()?));
        Some(kept)
    }

    /// Whether the authenticator can find the passkey by itself, if the browser says so. The extensions have two
    /// names, and may be JSON text.
    fn is_resident(&self) -> Option<bool> {
        let said = ["clientExtensionResults", "extensions"];
        said.into_iter()
            .filter_map(|name| self.0.get(name))
            .map(|value| read(value.clone()))
            .find_map(|extensions| extensions.get("credProps")?.get("rk")?.as_bool())
    }
}

/// The bytes with these names, all of which must be there.
fn bytes(response: &Map<String, Value>, names: &[&str]) -> Option<Map<String, Value>> {
    let one = |name: &&str| Some((name.to_string(), json!(base64url(response.get(*name)?)?)));
    names.iter().map(one).collect()
}

/// Base64 in the one spelling that is read: for URLs, and without padding. Some write the plain alphabet, and some
/// pad.
fn base64url(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim_end_matches('=');
    Some(text.replace('+', "-").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(value: Value) -> Answered {
        serde_json::from_value(value).unwrap()
    }

    fn assertion() -> Value {
        json!({
            "id": "-_8", "rawId": "-_8", "type": "public-key",
            "response": {
                "authenticatorData": "AQI", "clientDataJSON": "e30", "signature": "-_-_", "userHandle": "AQ",
            },
            "clientExtensionResults": {},
        })
    }

    fn registration() -> Value {
        json!({
            "id": "-_8", "rawId": "-_8", "type": "public-key",
            "response": {"attestationObject": "AQI", "clientDataJSON": "e30", "transports": ["usb"]},
            "clientExtensionResults": {"credProps": {"rk": false}},
        })
    }

    /// Each with a change, and what the field sends as text too.
    fn changed(value: &Value, change: impl Fn(&mut Value)) -> [Answered; 2] {
        let mut value = value.clone();
        change(&mut value);
        [answered(json!(value.to_string())), answered(value)]
    }

    #[test]
    fn assertions_are_read_in_every_shape_of_the_field() {
        type Change = fn(&mut Value);
        let changes: [Change; 10] = [
            |_| {},
            |it| it["extensions"] = json!("{}"),
            |it| it["assertionClientExtensions"] = json!("{\"appid\":false}"),
            |it| it["clientExtensionResults"] = json!(null),
            |it| it["clientExtensionResults"] = json!({"appid": 5, "prf": {"results": {}}}),
            |it| it["authenticatorAttachment"] = json!(null),
            |it| it["authenticatorAttachment"] = json!("platform"),
            |it| it["rawId"] = json!("+/8="),
            |it| it["response"]["signature"] = json!("+/+/"),
            |it| it["response"]["unknown"] = json!({"a": 1}),
        ];
        for (n, change) in changes.iter().enumerate() {
            for answered in changed(&assertion(), change) {
                let read = answered.as_assertion().unwrap_or_else(|| panic!("{n}"));
                assert_eq!(read.raw_id, [0xfb, 0xff]);
                assert_eq!(read.response.signature, [0xfb, 0xff, 0xbf]);
                assert_eq!(read.response.user_handle, Some(vec![1]));
            }
        }
        for nobody in [json!(null), json!("")] {
            for answered in changed(&assertion(), |it| {
                it["response"]["userHandle"] = nobody.clone()
            }) {
                assert_eq!(answered.as_assertion().unwrap().response.user_handle, None);
            }
        }
    }

    #[test]
    fn registrations_are_read_in_every_shape_of_the_field() {
        type Change = fn(&mut Value);
        let changes: [(Change, bool); 7] = [
            (|_| {}, true),
            (|it| it["response"]["transports"] = json!(null), true),
            (
                |it| it["response"]["transports"] = json!(["usb", 7, "smart-card", "cable"]),
                true,
            ),
            (|it| it["authenticatorAttachment"] = json!(null), true),
            (
                |it| {
                    it["extensions"] = json!("{\"credProps\":{\"rk\":false}}");
                    it["clientExtensionResults"] = json!(null);
                },
                true,
            ),
            (
                |it| it["clientExtensionResults"] = json!({"credProps": null}),
                false,
            ),
            (|it| it["response"]["publicKeyAlgorithm"] = json!(-7), true),
        ];
        for (n, (change, told)) in changes.iter().enumerate() {
            for answered in changed(&registration(), change) {
                let read = answered.as_registration().unwrap_or_else(|| panic!("{n}"));
                assert_eq!(read.response.attestation_object, [1, 2]);
                let resident = read.extensions.cred_props.and_then(|props| props.rk);
                assert_eq!(resident, told.then_some(false), "{n}");
            }
        }
    }

    #[test]
    fn what_is_no_credential_is_none() {
        for value in [
            json!(null),
            json!(""),
            json!("x"),
            json!([]),
            json!({}),
            json!({"id": 1}),
            json!({"id": "AQ", "response": []}),
            json!({"id": "AQ", "type": 7, "response": {}}),
            json!({"id": "AQ", "response": {"clientDataJSON": "e30"}}),
        ] {
            let answered = answered(value.clone());
            assert!(answered.as_assertion().is_none(), "{value}");
            assert!(answered.as_registration().is_none(), "{value}");
        }
    }
}
