//! Credentials in the shapes that scripts, libraries and applications in the field send, beside those of the
//! specification.

use data_encoding::{BASE64, BASE64URL};
use serde_json::{Value, json};

use crate::{
    app::{Plan, on_sqlite},
    with_passkeys::authenticators::{Key, ORIGIN, decoded, options, state},
};

const ADA: &str = "ada@example.com";
const ANDROID: &str = "android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

/// As Flask-Security's script posts a new credential.
fn theirs_new(made: &Value) -> Value {
    json!({
        "id": made["id"], "rawId": made["rawId"], "type": made["type"],
        "response": {
            "attestationObject": made["response"]["attestationObject"],
            "clientDataJSON": made["response"]["clientDataJSON"],
            "transports": null,
        },
        "extensions": made["clientExtensionResults"].to_string(),
    })
}

/// As Flask-Security's script posts an assertion: padded, and with an empty text for a handle that is not there.
fn theirs_shown(shown: &Value, handle: bool) -> Value {
    let padded = |name: &str| BASE64URL.encode(&decoded(&shown["response"][name]));
    json!({
        "id": shown["id"], "rawId": shown["rawId"], "type": shown["type"],
        "response": {
            "authenticatorData": padded("authenticatorData"),
            "clientDataJSON": padded("clientDataJSON"),
            "signature": padded("signature"),
            "userHandle": if handle { padded("userHandle") } else { String::new() },
        },
        "assertionClientExtensions": "{}",
    })
}

#[rocket::async_test]
async fn the_script_of_flask_security_adds_a_key_and_signs_in() {
    on_sqlite(|plan| async move {
        let app = plan.set("passkeys.hints", true).start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        for (n, usage) in ["first", "secondary"].into_iter().enumerate() {
            let mut key = Key::new();
            let asked = browser.begin_passkey(usage, usage).await;
            // It goes through both lists, whatever is in them.
            assert!(options(&asked)["excludeCredentials"].is_array());
            let made = theirs_new(&key.create(&options(&asked))).to_string();
            let path = format!("/wan-register/{}", state(&asked));
            let answer = browser.post_json(&path, json!({"credential": made})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(app.passkeys(&ada).await.len(), n + 1);
            if usage == "first" {
                let other = app.browser().in_json();
                let asked = other.challenge("/wan-signin").await;
                assert!(options(&asked)["allowCredentials"].is_array());
                let shown = theirs_shown(&key.get(&options(&asked)), true).to_string();
                let path = format!("/wan-signin/{}", state(&asked));
                let answer = other.post_json(&path, json!({"credential": shown})).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(other.is_signed_in().await);
            }
        }
        // A key that says not whose it is, for somebody who said who they are.
        let mut key = Key {
            be: true,
            ..Key::new()
        };
        browser.add_passkey(&mut key, "third", "first").await;
        let other = app.browser().in_json();
        let asked = other
            .post_json("/wan-signin", json!({"identity": ADA}))
            .await;
        let shown = theirs_shown(&key.get(&options(&asked)), false).to_string();
        let path = format!("/wan-signin/{}", state(&asked));
        let answer = other.post_json(&path, json!({"credential": shown})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    })
    .await;
}

#[rocket::async_test]
async fn what_stands_beside_the_specification_is_passed_over() {
    let app = Plan::new().without_limits().start().await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let beside = |mut value: Value| {
        value["authenticatorAttachment"] = json!(null);
        value["clientExtensionResults"] = json!(null);
        value["response"]["publicKey"] = json!(null);
        value["response"]["publicKeyAlgorithm"] = json!(-7);
        value["response"]["unknown"] = json!({"a": [1]});
        value["rawId"] = json!(BASE64.encode(&decoded(&value["rawId"])));
        value
    };
    let mut key = Key::new();
    let asked = browser.begin_passkey("one", "first").await;
    let made = beside(key.create(&options(&asked)));
    let answer = browser.present("/wan-register", &asked, &made).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let other = app.browser().in_json();
    let asked = other.challenge("/wan-signin").await;
    let shown = beside(key.get(&options(&asked)));
    let answer = other.present("/wan-signin", &asked, &shown).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(other.is_signed_in().await);
    // What is signed is judged as before.
    let third = app.browser().in_json();
    let asked = third.challenge("/wan-signin").await;
    let mut shown = beside(key.get(&options(&asked)));
    let mut signature = decoded(&shown["response"]["signature"]);
    *signature.last_mut().unwrap() ^= 1;
    shown["response"]["signature"] = json!(BASE64.encode(&signature));
    let answer = third.present("/wan-signin", &asked, &shown).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!third.is_signed_in().await);
}

#[rocket::async_test]
async fn an_android_application_of_the_settings_adds_keys_and_signs_in() {
    on_sqlite(|plan| async move {
        let app = plan.set("passkeys.origins", [ANDROID]).start().await;
        let ada = app.user(ADA).await;
        let mut key = Key {
            origin: ANDROID.into(),
            ..Key::new()
        };
        let browser = app.signed_in(&ada).await.in_json();
        browser.add_passkey(&mut key, "Phone", "first").await;
        let other = app.browser().in_json();
        assert_eq!(other.show("/wan-signin", &mut key).await.status, 200);
        assert!(other.is_signed_in().await);
        // Of the site too, but of no other application.
        key.origin = ORIGIN.into();
        let other = app.browser().in_json();
        assert_eq!(other.show("/wan-signin", &mut key).await.status, 200);
        for origin in [
            ANDROID.to_ascii_lowercase(),
            ANDROID.replace("47DE", "57DE"),
            format!("{ANDROID}/"),
            format!("{ANDROID}="),
            ANDROID.replace("android:", "ios:"),
        ] {
            key.origin = origin.clone();
            let other = app.browser().in_json();
            assert_eq!(
                other.show("/wan-signin", &mut key).await.status,
                400,
                "{origin}"
            );
            assert!(!other.is_signed_in().await, "{origin}");
        }
        // Browsers are told of sites alone.
        assert_eq!(app.browser().get("/.well-known/webauthn").await.status, 404);
    })
    .await;
    for wrong in [
        "android:apk-key-hash:",
        "android:apk-key-hash:abc",
        "android:apk-key-hash:AB:CD:EF",
        "android:other",
        "ios:bundle-id:example",
    ] {
        let plan = Plan::new().set("passkeys.origins", [wrong]);
        assert!(plan.try_start().await.is_err(), "{wrong}");
    }
}
