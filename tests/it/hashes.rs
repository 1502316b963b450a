//! Hashes brought from elsewhere sign in once and are ours from then on.

use rocket_security::Password;
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, WRONG, for_each_database};

async fn stored(app: &App, like: &str) -> i64 {
    app.number(&format!(
        "SELECT COUNT(*) AS n FROM users WHERE password_hash LIKE '{like}'"
    ))
    .await
}

#[cfg(feature = "imports")]
#[rocket::async_test]
async fn imported_hashes_sign_in_once_and_become_argon2id() {
    use data_encoding::{BASE64, BASE64_NOPAD};
    let salt = b"salt of sixteen!";
    let mut derived = [0u8; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(PASSWORD.as_bytes(), salt, 1_000, &mut derived);
    let django = format!(
        "pbkdf2_sha256$1000${}${}",
        "salt of sixteen!",
        BASE64.encode(&derived)
    );
    let passlib = format!(
        "$pbkdf2-sha256$1000${}${}",
        BASE64_NOPAD.encode(salt).replace('+', "."),
        BASE64_NOPAD.encode(&derived).replace('+', ".")
    );
    let mut scrypted = [0u8; 32];
    let params = scrypt::Params::new(10, 8, 1).unwrap();
    scrypt::scrypt(PASSWORD.as_bytes(), salt, &params, &mut scrypted).unwrap();
    let scrypted = format!(
        "$scrypt$ln=10,r=8,p=1${}${}",
        BASE64_NOPAD.encode(salt),
        BASE64_NOPAD.encode(&scrypted)
    );
    let bcrypted = bcrypt::hash(PASSWORD, 4).unwrap();
    let all = [bcrypted, django, passlib, scrypted];
    for_each_database(|plan| {
        let all = all.clone();
        async move {
            let app = plan.without_limits().start().await;
            for (n, hash) in all.iter().enumerate() {
                let email = format!("user{n}@example.com");
                app.user_with_hash(&email, hash).await;
                let login = |password: &str| json!({"email": email, "password": password});
                assert_eq!(
                    app.program().post_json("/login", login(WRONG)).await.status,
                    400,
                    "{hash}"
                );
                assert_eq!(
                    stored(&app, "$argon2id$%").await,
                    n as i64,
                    "a wrong password changes nothing"
                );
                assert_eq!(
                    app.program()
                        .post_json("/login", login(PASSWORD))
                        .await
                        .status,
                    200,
                    "{hash}"
                );
                assert_eq!(stored(&app, "$argon2id$%").await, n as i64 + 1, "{hash}");
                assert_eq!(
                    app.program()
                        .post_json("/login", login(PASSWORD))
                        .await
                        .status,
                    200
                );
                assert_eq!(
                    app.program().post_json("/login", login(WRONG)).await.status,
                    400
                );
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_hash_of_an_hmac_signs_in_once_and_is_replaced() {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha512>::new_from_slice(b"the salt of the old system").unwrap();
    mac.update(PASSWORD.as_bytes());
    let keyed = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    let old = crate::app::hash_of(&keyed).as_stored().to_string();
    for_each_database(|plan| {
        let old = old.clone();
        async move {
            let app = plan
                .set("hashing.hmac_salts", ["the salt of the old system"])
                .start()
                .await;
            app.user_with_hash("ada@example.com", &old).await;
            let browser = app.browser();
            browser.login("ada@example.com", PASSWORD).await;
            assert!(browser.is_signed_in().await);
            assert_eq!(
                app.number(&format!(
                    "SELECT COUNT(*) AS n FROM users WHERE password_hash = '{old}'"
                ))
                .await,
                0
            );
            // Neither form of the old one opens anything now but the password itself.
            let other = app.browser();
            other.login("ada@example.com", &keyed_again()).await;
            assert!(!other.is_signed_in().await);
            other.login("ada@example.com", PASSWORD).await;
            assert!(other.is_signed_in().await);
        }
    })
    .await;

    fn keyed_again() -> String {
        let mut mac = Hmac::<sha2::Sha512>::new_from_slice(b"the salt of the old system").unwrap();
        mac.update(PASSWORD.as_bytes());
        data_encoding::BASE64.encode(&mac.finalize().into_bytes())
    }
}

#[rocket::async_test]
async fn a_hash_of_weaker_parameters_is_renewed_at_sign_in() {
    let app = Plan::new().set("hashing.iterations", 2).start().await;
    app.user("ada@example.com").await;
    assert_eq!(stored(&app, "%t=1,%").await, 1);
    app.browser().login("ada@example.com", WRONG).await;
    assert_eq!(stored(&app, "%t=1,%").await, 1);
    app.browser().login("ada@example.com", PASSWORD).await;
    assert_eq!(
        (stored(&app, "%t=1,%").await, stored(&app, "%t=2,%").await),
        (0, 1)
    );
    assert!(Password::parse(PASSWORD).is_ok());
}

#[rocket::async_test]
async fn a_pepper_is_rotated_without_anybody_noticing() {
    let old = Plan::new()
        .set("hashing.peppers", ["pepper of last year"])
        .start()
        .await;
    let body =
        json!({"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    old.program().post_json("/register", body).await;
    let file = old.dir.path().join("security.db").display().to_string();
    let new = Plan::new()
        .set("database.url", &file)
        .set(
            "hashing.peppers",
            ["pepper of this year", "pepper of last year"],
        )
        .start()
        .await;
    let login = || json!({"email": "ada@example.com", "password": PASSWORD});
    assert_eq!(new.program().post_json("/login", login()).await.status, 200);
    // Renewed: the old one is no longer needed, and without any nothing opens.
    let last = Plan::new()
        .set("database.url", &file)
        .set("hashing.peppers", ["pepper of this year"])
        .start()
        .await;
    assert_eq!(
        last.program().post_json("/login", login()).await.status,
        200
    );
    let none = Plan::new().set("database.url", &file).start().await;
    assert_eq!(
        none.program().post_json("/login", login()).await.status,
        400
    );
}
