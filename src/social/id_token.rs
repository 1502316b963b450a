//! ID tokens (OpenID Connect Core 1.0, sections 2 and 3.1.3.7).
//!
//! openidconnect's types read every claim that the standard knows, and refuse the token where one has another type,
//! so only its keys and signatures are used here. Strict are the things that security rests on: `alg`, signature,
//! `iss`, `aud`, `azp`, `exp`, `iat`, `nonce` and `sub`.

use data_encoding::BASE64URL_NOPAD;
use openidconnect::{
    JsonWebKey, SignatureVerificationError,
    core::{CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Value, json};

use super::{
    SocialError,
    lenient::{Object, object, text, texts},
};
use crate::types::Timestamp;

/// Signatures that only the provider can make: none that our own secret, or a public key, would do for.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// How far clocks may differ, in seconds.
const LEEWAY: f64 = 60.0;

/// The members of a key that are used. All else in it may be of any type.
const MEMBERS: [&str; 9] = ["kty", "use", "kid", "alg", "n", "e", "crv", "x", "y"];

/// The longest token that is looked at.
const LONGEST: usize = 64 << 10;

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    /// Who else may be named beside us in `aud`.
    pub(super) audiences: &'a [String],
    pub(super) nonce: &'a str,
    /// What the provider says that it signs with.
    pub(super) algorithms: &'a [String],
    pub(super) now: Timestamp,
}

/// Why a token is not believed.
pub(super) enum Doubt {
    /// No key of those that are known has signed it: the provider may sign by a new one.
    NoKey,
    Refused(String),
}

impl From<Doubt> for SocialError {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::NoKey => {
                Self::Refused("the ID token is signed by a key that it does not publish".into())
            }
            Doubt::Refused(why) => Self::Refused(format!("the ID token: {why}")),
        }
    }
}

fn refused(why: &str) -> Doubt {
    Doubt::Refused(why.into())
}

/// The keys of a key set that can be read; the others are of kinds that we do not know.
pub(super) fn keys(set: &Object) -> Vec<CoreJsonWebKey> {
    let Some(Value::Array(all)) = set.get("keys") else {
        return Vec::new();
    };
    all.iter()
        .filter_map(Value::as_object)
        .filter(|key| text(key, "use").is_none_or(|usage| usage == "sig"))
        .filter_map(|key| {
            let used = MEMBERS.iter().filter_map(|name| {
                let value = key.get(*name).filter(|value| value.is_string())?;
                Some((name.to_string(), value.clone()))
            });
            serde_json::from_value(Value::Object(used.collect())).ok()
        })
        .collect()
}

/// The claims of a token that is what we asked for.
pub(super) fn verified(
    token: &str,
    keys: &[CoreJsonWebKey],
    expected: &Expected<'_>,
) -> Result<Object, Doubt> {
    if token.len() > LONGEST {
        return Err(refused("it is too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err(refused("it is no signed token"));
    };
    let decoded = |part: &str| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
        bytes.map_err(|_| refused("it is no base64url"))
    };
    let object = |part: &str| {
        let bytes = decoded(part)?;
        object(&bytes, "a part").map_err(|_| refused("a part of it is no JSON object"))
    };
    signed(
        &object(header)?,
        token,
        &decoded(signature)?,
        keys,
        expected,
    )?;
    let claims = object(claims)?;
    judged(&claims, expected)?;
    Ok(claims)
}

/// Whether the provider signed it.
fn signed(
    header: &Object,
    token: &str,
    signature: &[u8],
    keys: &[CoreJsonWebKey],
    expected: &Expected<'_>,
) -> Result<(), Doubt> {
    let alg = text(header, "alg").ok_or_else(|| refused("it names no algorithm"))?;
    if !ALGORITHMS.contains(&alg) || !expected.algorithms.iter().any(|one| one == alg) {
        return Err(refused("it is signed by an algorithm that is not allowed"));
    }
    // What must be understood (RFC 7515, section 4.1.11) and is not.
    if header.contains_key("crit") {
        return Err(refused("its header wants what is not known here"));
    }
    if text(header, "typ").is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(refused("it is a token of another kind"));
    }
    let algorithm: CoreJwsSigningAlgorithm =
        serde_json::from_value(json!(alg)).map_err(|_| refused("its algorithm is not known"))?;
    let kid = match header.get("kid") {
        None | Some(Value::Null) => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(refused("its key has no name")),
    };
    let message = token.rsplit_once('.').map_or("", |(message, _)| message);
    let named = keys.iter().filter(|key| match kid {
        Some(kid) => key.key_id().is_some_and(|id| id.as_str() == kid),
        None => true,
    });
    let mut fitting = 0;
    for key in named {
        match key.verify_signature(&algorithm, message.as_bytes(), signature) {
            Ok(()) => return Ok(()),
            // A key of another kind is no key for this one.
            Err(SignatureVerificationError::InvalidKey(_)) => {}
            Err(_) => fitting += 1,
        }
    }
    match fitting {
        0 => Err(Doubt::NoKey),
        // Without a name it may be any key, and so a new one.
        _ if kid.is_none() => Err(Doubt::NoKey),
        _ => Err(refused("its signature is wrong")),
    }
}

/// Whether it was made by whom we asked, for us, for this sign-in, and just now.
fn judged(claims: &Object, expected: &Expected<'_>) -> Result<(), Doubt> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(refused("`iss` is another issuer"));
    }
    let audience = match claims.get("aud") {
        Some(Value::String(_)) => texts(claims, "aud"),
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => texts(claims, "aud"),
        _ => return Err(refused("`aud` is no audience")),
    };
    if !audience.contains(&expected.client) {
        return Err(refused("`aud` is another client"));
    }
    let known =
        |one: &&str| *one == expected.client || expected.audiences.iter().any(|of| of == one);
    if !audience.iter().all(known) {
        return Err(refused(
            "`aud` names others beside this client; list those that you trust in `audiences`",
        ));
    }
    match claims.get("azp") {
        None | Some(Value::Null) if audience.len() == 1 => {}
        Some(Value::String(party)) if party == expected.client => {}
        _ => return Err(refused("`azp` is another client, or none")),
    }
    let number = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_f64)
            .filter(|n| n.is_finite())
    };
    let now = expected.now.as_millis() as f64 / 1_000.0;
    match number("exp") {
        Some(expires) if now < expires + LEEWAY => {}
        Some(_) => return Err(refused("it has expired")),
        None => return Err(refused("`exp` is no time")),
    }
    match number("iat") {
        Some(issued) if issued <= now + LEEWAY => {}
        Some(_) => return Err(refused("it was issued in the future")),
        None => return Err(refused("`iat` is no time")),
    }
    if text(claims, "nonce") != Some(expected.nonce) {
        return Err(refused("`nonce` is of another sign-in"));
    }
    if text(claims, "sub").is_none() {
        return Err(refused("`sub` is no subject"));
    }
    Ok(())
}

/// When the provider last asked the person, if it says so. A time that cannot be read is long past: it lets
/// somebody sign in, and is no proof that they did just now.
pub(super) fn authenticated_at(claims: &Object) -> Option<Timestamp> {
    let at = claims.get("auth_time").filter(|at| !at.is_null())?;
    let seconds = at.as_f64().filter(|at| (0.0..1e12).contains(at));
    Some(Timestamp::from_millis(
        seconds.unwrap_or_default() as i64 * 1_000,
    ))
}
