//! Authenticators of the tests: one that signs whatever it is told to, and one that somebody else wrote.

use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use p256::{
    PublicKey, SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer},
};
use passkey::{
    authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod},
    client::{Client, DefaultClientData},
    crypto::rust_crypto::RustCryptoBackend,
    types::{
        Passkey,
        ctap2::{Aaguid, Ctap2Error},
    },
};
use rocket_security::User;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::{Actor, Answer, App};

pub const ORIGIN: &str = "http://localhost:8000";

fn encoded(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The bytes that a text in JSON stands for.
pub fn decoded(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text");
    BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url")
}

/// The options that a first step answered.
pub fn options(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.json()["response"]["credential_options"].clone();
    serde_json::from_str(text.as_str().expect("a text")).expect("JSON")
}

/// The token that a first step answered.
pub fn state(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let state = answer.json()["response"]["wan_state"].clone();
    state.as_str().expect("a text").to_string()
}

/// A key that one person holds, and what it says.
#[derive(Clone, Debug)]
pub struct Key {
    pub secret: SigningKey,
    pub id: Vec<u8>,
    pub handle: Option<Vec<u8>>,
    /// What it says next; one that stays 0 has none.
    pub counter: u32,
    pub counts: bool,
    /// Whether somebody is there, whether it has checked who, and whether it may be and is synced.
    pub up: bool,
    pub uv: bool,
    pub be: bool,
    pub bs: bool,
    pub aaguid: [u8; 16],
    pub rp_id: String,
    pub origin: String,
    /// What the browser adds to the client's data.
    pub cross_origin: Option<bool>,
    /// What it says that it does, in the place of what is right.
    pub ceremony: Option<&'static str>,
    pub challenge: Option<String>,
    pub algorithm: i64,
}

impl Key {
    /// One that verifies its owner and has no counter, as most passkeys.
    pub fn new() -> Self {
        let mut bytes = uuid::Uuid::new_v4().as_bytes().to_vec();
        let id = bytes.clone();
        bytes.extend(uuid::Uuid::new_v4().as_bytes());
        // A random number above the order of the curve is as good as none.
        bytes[0] &= 0x7f;
        let secret = SecretKey::from_slice(&bytes).expect("a key");
        Self {
            secret: SigningKey::from(&secret),
            id,
            handle: None,
            counter: 0,
            counts: false,
            up: true,
            uv: true,
            be: false,
            bs: false,
            aaguid: [0; 16],
            rp_id: "localhost".into(),
            origin: ORIGIN.into(),
            cross_origin: None,
            ceremony: None,
            challenge: None,
            algorithm: -7,
        }
    }

    /// One with a counter, which begins at 1.
    pub fn counting() -> Self {
        Self {
            counter: 1,
            counts: true,
            ..Self::new()
        }
    }

    /// A security key that checks nobody.
    pub fn plain() -> Self {
        Self {
            uv: false,
            ..Self::counting()
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = match &self.challenge {
            Some(challenge) => challenge.clone(),
            None => options["challenge"].as_str().expect("a challenge").into(),
        };
        let mut data = json!({
            "type": self.ceremony.unwrap_or(kind),
            "challenge": challenge,
            "origin": self.origin,
        });
        if let Some(cross_origin) = self.cross_origin {
            data["crossOrigin"] = cross_origin.into();
        }
        data.to_string().into_bytes()
    }

    fn flags(&self, credential: bool) -> u8 {
        u8::from(self.up)
            | u8::from(self.uv) << 2
            | u8::from(self.be) << 3
            | u8::from(self.bs) << 4
            | u8::from(credential) << 6
    }

    fn head(&self, credential: bool) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        data.push(self.flags(credential));
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn tick(&mut self) {
        if self.counts {
            self.counter += 1;
        }
    }

    fn public_key(&self) -> Vec<u8> {
        let public = PublicKey::from(self.secret.verifying_key());
        let point = public.to_sec1_bytes();
        let number = |n: i64| Cbor::Integer(n.into());
        let key = Cbor::Map(vec![
            (number(1), number(2)),
            (number(3), number(self.algorithm)),
            (number(-1), number(1)),
            (number(-2), Cbor::Bytes(point[1..33].to_vec())),
            (number(-3), Cbor::Bytes(point[33..].to_vec())),
        ]);
        written(&key)
    }

    /// The data that a new credential is made of.
    pub fn attested(&self) -> Vec<u8> {
        let mut data = self.head(true);
        data.extend(self.aaguid);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.public_key());
        data
    }

    /// Makes the credential that is asked for.
    pub fn create(&mut self, options: &Value) -> Value {
        self.handle = Some(decoded(&options["user"]["id"]));
        let object = Cbor::Map(vec![
            (Cbor::Text("fmt".into()), Cbor::Text("none".into())),
            (Cbor::Text("attStmt".into()), Cbor::Map(Vec::new())),
            (Cbor::Text("authData".into()), Cbor::Bytes(self.attested())),
        ]);
        let discoverable = options["authenticatorSelection"]["residentKey"] == "required";
        let made = json!({
            "id": encoded(&self.id),
            "rawId": encoded(&self.id),
            "type": "public-key",
            "response": {
                "attestationObject": encoded(&written(&object)),
                "clientDataJSON": encoded(&self.client_data("webauthn.create", options)),
                "transports": ["internal"],
            },
            "clientExtensionResults": {"credProps": {"rk": discoverable}},
        });
        self.tick();
        made
    }

    /// Signs what is asked for.
    pub fn get(&mut self, options: &Value) -> Value {
        let (data, client) = (self.head(false), self.client_data("webauthn.get", options));
        let mut signed = data.clone();
        signed.extend(Sha256::digest(&client));
        let signature: Signature = self.secret.sign(&signed);
        let shown = json!({
            "id": encoded(&self.id),
            "rawId": encoded(&self.id),
            "type": "public-key",
            "response": {
                "authenticatorData": encoded(&data),
                "clientDataJSON": encoded(&client),
                "signature": encoded(signature.to_der().as_bytes()),
                "userHandle": self.handle.as_deref().map(encoded),
            },
            "clientExtensionResults": {},
        });
        self.tick();
        shown
    }
}

fn written(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("CBOR");
    bytes
}

impl App {
    /// An account with a passkey, which is used as it says.
    pub async fn with_passkey(&self, user: &User, mut key: Key, usage: &str) -> Key {
        let browser = self.signed_in(user).await.in_json();
        // One byte would be the same for two keys now and then.
        let name = format!("{usage} {:02x?}", &key.id[..4]);
        browser.add_passkey(&mut key, &name, usage).await;
        key
    }

    /// The names of an account's passkeys.
    pub async fn passkeys(&self, user: &User) -> Vec<String> {
        let passkeys = self.store().passkeys_of(&user.id).await.expect("passkeys");
        passkeys.into_iter().map(|passkey| passkey.name).collect()
    }
}

impl Actor<'_> {
    /// The first step of adding a passkey.
    pub async fn begin_passkey(&self, name: &str, usage: &str) -> Answer {
        self.post_json("/wan-register", json!({"name": name, "usage": usage}))
            .await
    }

    /// Presents what an authenticator made, or signed.
    pub async fn present(&self, path: &str, asked: &Answer, credential: &Value) -> Answer {
        let body = json!({"credential": credential});
        self.post_json(&format!("{path}/{}", state(asked)), body)
            .await
    }

    pub async fn try_to_add(&self, key: &mut Key, name: &str, usage: &str) -> Answer {
        let asked = self.begin_passkey(name, usage).await;
        let made = key.create(&options(&asked));
        self.present("/wan-register", &asked, &made).await
    }

    pub async fn add_passkey(&self, key: &mut Key, name: &str, usage: &str) {
        let answer = self.try_to_add(key, name, usage).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Asks for a challenge.
    pub async fn challenge(&self, path: &str) -> Answer {
        self.post_json(path, json!({})).await
    }

    /// Both steps with a key.
    pub async fn show(&self, path: &str, key: &mut Key) -> Answer {
        let asked = self.challenge(path).await;
        let shown = key.get(&options(&asked));
        self.present(path, &asked, &shown).await
    }
}

// Somebody else's.

/// Whoever sits before the independent authenticator, and does what is asked.
struct Person;

#[rocket::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// An authenticator with a browser around it, both of the crate `passkey`.
#[derive(Default)]
pub struct Independent(Option<Passkey>);

macro_rules! client {
    ($store:expr) => {
        Client::new(Authenticator::new(
            Aaguid::new_empty(),
            $store,
            Person,
            RustCryptoBackend,
        ))
        .allows_insecure_localhost(true)
    };
}

impl Independent {
    pub async fn create(&mut self, options: &Value) -> Value {
        let request = serde_json::from_value(json!({"publicKey": options})).expect("options");
        let origin = url::Url::parse(ORIGIN).unwrap();
        let mut client = client!(self.0.clone());
        let made = client.register(&origin, request, DefaultClientData).await;
        self.0 = client.authenticator().store().clone();
        serde_json::to_value(made.expect("a credential")).unwrap()
    }

    pub async fn get(&mut self, options: &Value) -> Value {
        let request = serde_json::from_value(json!({"publicKey": options})).expect("options");
        let origin = url::Url::parse(ORIGIN).unwrap();
        let mut client = client!(self.0.clone());
        let shown = client
            .authenticate(&origin, request, DefaultClientData)
            .await;
        self.0 = client.authenticator().store().clone();
        serde_json::to_value(shown.expect("an assertion")).unwrap()
    }
}
