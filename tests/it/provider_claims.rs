//! What providers in the field write beside the standard: each signs people in, whatever its other claims are, and
//! what security rests on is judged strictly all the same.

use std::time::Duration;

use p256::{ecdsa::SigningKey, elliptic_curve::Generate, pkcs8::EncodePrivateKey};
use serde_json::{Value, json};

use crate::{
    app::{App, Plan, for_each_database, on_sqlite},
    with_social::provider::{
        AUTHORIZE, CLIENT_ID, Deviation, GITHUB_EMAILS, GITHUB_TOKEN, GITHUB_USER, METADATA,
        Person, Provider, TOKEN, USERINFO,
    },
    with_social::social::{
        LINK, START, VERIFY, accounts, app_of, knowing, led, link, said, there_and_back,
    },
};

const ADA: &str = "ada@example.com";

/// A provider by its name, and how it answers otherwise than the plain one.
struct Like {
    name: &'static str,
    /// Whether it says that the address is proven, so that a new account is made.
    proven: bool,
    answers: Vec<Deviation>,
}

fn claims(claims: Value) -> Vec<Deviation> {
    let Value::Object(claims) = claims else {
        panic!("{claims}");
    };
    claims
        .into_iter()
        .map(|(name, value)| Deviation::Claim(name.leak(), value))
        .collect()
}

/// As each documents its ID token, user info, token answer, discovery document and key set.
fn field() -> Vec<Like> {
    let like = |name, proven, own: Value, more: Vec<Deviation>| Like {
        name,
        proven,
        answers: claims(own).into_iter().chain(more).collect(),
    };
    let member = Deviation::Member;
    let project = "211486849293320193@example";
    vec![
        like(
            "Google",
            true,
            json!({
                "azp": CLIENT_ID, "aud": CLIENT_ID, "hd": "example.com", "picture": "https://x/y",
                "given_name": "Ada", "family_name": "Lovelace", "locale": "en", "email_verified": true,
            }),
            vec![member(TOKEN, "expires_in", json!(3599))],
        ),
        like(
            "Microsoft Entra",
            false,
            json!({
                "aud": CLIENT_ID, "ver": "2.0", "tid": "9188040d-6c67-4c5b-b112-36a304b66dad",
                "oid": "00000000-0000-0000-66f3-3332eca7ea81", "rh": "0.AX0A", "uti": "x", "idp": "live.com",
                "preferred_username": "ada@contoso.example", "email_verified": null, "groups": ["a"],
                "wids": [], "nbf": 1_795_451_696, "xms_edov": "1", "at_hash": null,
            }),
            vec![
                member(TOKEN, "ext_expires_in", json!(3599)),
                member(USERINFO, "email_verified", json!(null)),
                Deviation::Metadata(
                    "authorization_response_iss_parameter_supported",
                    json!(null),
                ),
                Deviation::Metadata("tenant_region_scope", json!(null)),
                Deviation::Metadata("frontchannel_logout_supported", json!("yes")),
                Deviation::NoAnswerIssuer,
                Deviation::MoreKeys(vec![json!({
                    "kty": "RSA", "use": "sig", "kid": "other", "x5t": 7, "x5c": "none", "n": "sXch", "e": "AQAB",
                    "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
                })]),
            ],
        ),
        like(
            "Auth0",
            true,
            json!({
                "aud": CLIENT_ID, "nickname": "ada", "updated_at": "2026-11-27T19:00:00.000Z",
                "picture": null, "sid": "x", "https://example.com/roles": ["admin"],
            }),
            vec![
                member(USERINFO, "updated_at", json!("2026-11-27T19:00:00.000Z")),
                member(TOKEN, "expires_in", json!("86400")),
            ],
        ),
        like(
            "Okta",
            true,
            json!({
                "aud": CLIENT_ID, "ver": 1, "jti": "ID.x", "amr": ["pwd", "mfa"], "idp": "00o",
                "auth_time": 1_795_451_696, "preferred_username": "ada@example.com", "zoneinfo": 1,
                "address": {"locality": "x"}, "updated_at": 1_311_280_970,
            }),
            vec![],
        ),
        like(
            "Keycloak",
            true,
            json!({
                "aud": [CLIENT_ID, "account"], "azp": CLIENT_ID, "typ": "ID", "acr": 1,
                "session_state": "x", "sid": "x", "address": "formatted", "birthdate": 19_100_101,
                "phone_number_verified": "no",
            }),
            vec![
                member(TOKEN, "not-before-policy", json!(0)),
                member(TOKEN, "refresh_expires_in", json!(1800)),
            ],
        ),
        like(
            "Zitadel",
            true,
            json!({
                "aud": [CLIENT_ID, project], "azp": CLIENT_ID, "amr": "pwd", "updated_at": 1_795_451_696,
                "client_id": CLIENT_ID, "urn:zitadel:iam:org:project:roles": {"admin": {"1": "example.com"}},
                "locale": null, "gender": 3,
            }),
            vec![member(USERINFO, "locale", json!(["en"]))],
        ),
        like(
            "GitLab",
            true,
            json!({
                "aud": CLIENT_ID, "sub_legacy": "3f4d", "groups_direct": ["a/b"], "profile": 5,
                "picture": {"url": "https://x/y"}, "website": "", "nickname": "ada",
            }),
            vec![
                member(TOKEN, "created_at", json!(1_795_451_696)),
                member(TOKEN, "scope", json!(null)),
            ],
        ),
        like(
            "Apple",
            true,
            json!({
                "aud": CLIENT_ID, "email_verified": "true", "is_private_email": "true",
                "nonce_supported": true, "real_user_status": 2, "name": null, "c_hash": 1,
            }),
            vec![
                Deviation::Metadata("userinfo_endpoint", json!(null)),
                Deviation::NoAnswerIssuer,
                Deviation::Metadata(
                    "authorization_response_iss_parameter_supported",
                    json!(null),
                ),
            ],
        ),
        like(
            "Twitch",
            true,
            json!({
                "aud": CLIENT_ID, "azp": CLIENT_ID, "preferred_username": "ada",
                "updated_at": "2026-11-27T19:00:00.123456Z",
            }),
            vec![
                member(TOKEN, "scope", json!(["openid", "user:read:email"])),
                member(TOKEN, "expires_in", json!(14_124.5)),
                member(USERINFO, "aud", json!(CLIENT_ID)),
            ],
        ),
        like(
            "ORCID",
            false,
            json!({
                "aud": CLIENT_ID, "amr": "mca", "at_hash": "x", "email": null, "email_verified": null,
                "given_name": ["Ada"], "family_name": null,
            }),
            vec![
                member(TOKEN, "orcid", json!("0000-0001-2345-6789")),
                member(TOKEN, "expires_in", json!(631_138_518)),
                member(TOKEN, "token_type", json!(null)),
                member(USERINFO, "email", json!(null)),
                Deviation::ClientAuth("client_secret_post"),
            ],
        ),
    ]
}

fn trusting(plan: Plan) -> Plan {
    plan.set(
        "social.providers.example.audiences",
        ["account", "211486849293320193@example"],
    )
}

#[rocket::async_test]
async fn every_provider_of_the_field_signs_its_people_in() {
    on_sqlite(|plan| async move {
        let provider = Provider::start();
        let app = app_of(trusting(plan), &provider).await;
        for (n, like) in field().into_iter().enumerate() {
            let name = like.name;
            let subject = format!("subject-{n}");
            let email = format!("person{n}@example.com");
            provider.signed_in(Person::new(&subject, &email));
            provider.deviate_all(like.answers.clone());
            // Discovery is kept for an hour.
            let app = app.beside(|plan| trusting(knowing(plan, &provider))).await;
            provider.keep_time_by(app.clock.clone());
            if like.proven {
                let new = app.browser();
                there_and_back(&new, &provider, START).await;
                assert_eq!(new.get("/me").await.text(), email, "{name}");
            } else {
                let user = app.user(&email).await;
                let new = app.browser();
                there_and_back(&new, &provider, START).await;
                assert!(!new.is_signed_in().await, "{name}");
                link(&app.signed_in(&user).await, &provider).await;
            }
            let again = app.browser();
            there_and_back(&again, &provider, START).await;
            assert_eq!(again.get("/me").await.text(), email, "{name}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn what_is_not_used_may_have_any_type() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let odd = [
        json!(1),
        json!(1.5),
        json!("x"),
        json!(true),
        json!([]),
        json!({}),
        json!([{"a": [1]}]),
    ];
    let unused = [
        "name",
        "given_name",
        "family_name",
        "nickname",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "phone_number",
        "phone_number_verified",
        "address",
        "updated_at",
        "acr",
        "amr",
        "at_hash",
        "c_hash",
        "preferred_username",
        "jti",
        "nbf",
        "sid",
    ];
    provider.signed_in(Person::new("1", ADA));
    there_and_back(&app.browser(), &provider, START).await;
    for value in odd {
        let mut how: Vec<_> = unused
            .iter()
            .flat_map(|name| {
                [
                    Deviation::Claim(name, value.clone()),
                    Deviation::Member(USERINFO, name, value.clone()),
                ]
            })
            .collect();
        for name in ["token_type", "expires_in", "scope", "refresh_token"] {
            how.push(Deviation::Member(TOKEN, name, value.clone()));
        }
        how.push(Deviation::Claim("email", value.clone()));
        how.push(Deviation::Claim("email_verified", value.clone()));
        how.push(Deviation::Claim("auth_time", value.clone()));
        provider.deviate_all(how);
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        assert_eq!(browser.get("/me").await.text(), ADA, "{value}");
    }
}

#[rocket::async_test]
async fn an_address_whose_proof_cannot_be_read_is_not_proven() {
    on_sqlite(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan.set("social.match_email", ["example"]), &provider).await;
        app.user(ADA).await;
        for value in [
            json!(1),
            json!("yes"),
            json!([true]),
            json!({}),
            json!("TRUE!"),
        ] {
            provider.signed_in(Person::new("666", ADA));
            provider.deviate(Deviation::Claim("email_verified", value.clone()));
            let browser = app.browser();
            let answer = there_and_back(&browser, &provider, START).await;
            let said = said(&browser, &answer).await;
            assert!(
                said.contains("Example &amp; Sons has not confirmed"),
                "{said}"
            );
            assert!(!browser.is_signed_in().await, "{value}");
            assert_eq!(accounts(&app).await, 0);
        }
    })
    .await;
}

#[rocket::async_test]
async fn what_security_rests_on_is_of_its_type_or_refused() {
    let provider = Provider::start();
    let app = app_of(trusting(Plan::new()), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    there_and_back(&app.browser(), &provider, START).await;
    let claim = Deviation::Claim;
    for how in [
        claim("sub", json!(1)),
        claim("sub", json!(["1"])),
        claim("sub", json!(null)),
        claim("iss", json!([provider.issuer()])),
        claim("iss", json!(format!("{}/", provider.issuer()))),
        claim("aud", json!(null)),
        claim("aud", json!({"a": CLIENT_ID})),
        claim("aud", json!([CLIENT_ID, 1])),
        claim("aud", json!(["account"])),
        claim("aud", json!([CLIENT_ID, "stranger"])),
        // Several audiences, and nobody named as the party.
        claim("aud", json!([CLIENT_ID, "account"])),
        claim("azp", json!("account")),
        claim("azp", json!([CLIENT_ID])),
        claim("azp", json!(1)),
        claim("exp", json!("4102444800")),
        claim("exp", json!(null)),
        claim("iat", json!("1")),
        claim("iat", json!(null)),
        claim("nonce", json!(1)),
        claim("nonce", json!(["x"])),
        Deviation::AlgNone,
        Deviation::Hs256WithClientSecret,
        Deviation::SignedByStranger,
    ] {
        provider.deviate(how.clone());
        let browser = app.browser();
        let answer = there_and_back(&browser, &provider, START).await;
        assert!(!browser.is_signed_in().await, "{how:?}");
        let said = said(&browser, &answer).await;
        assert!(said.contains("Example &amp; Sons"), "{how:?}: {said}");
    }
    provider.deviate_all(vec![
        claim("aud", json!([CLIENT_ID, "account"])),
        claim("azp", json!(CLIENT_ID)),
    ]);
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn a_key_set_may_hold_keys_of_unknown_kinds() {
    let provider = Provider::start();
    provider.deviate_all(vec![
        Deviation::MoreKeys(vec![
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "x", "y": "y", "kid": "1"}),
            json!({"kty": 1}),
            json!("no key"),
            json!(null),
            json!({"kty": "RSA", "use": "enc", "kid": "2", "n": "sXch", "e": "AQAB", "alg": "RSA-OAEP"}),
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "3"}),
        ]),
        Deviation::Member(METADATA, "claims_supported", json!(7)),
        Deviation::Member(METADATA, "scopes_supported", json!({"a": "b"})),
        Deviation::Member(METADATA, "response_types_supported", json!(null)),
        Deviation::Member(METADATA, "subject_types_supported", json!("public")),
        Deviation::Member(METADATA, "id_token_signing_alg_values_supported", json!(["RS256", 5, "XY1"])),
        Deviation::Member(METADATA, "service_documentation", json!(["https://x"])),
    ]);
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    assert_eq!(browser.get("/me").await.text(), ADA);
}

#[rocket::async_test]
async fn user_info_that_cannot_be_read_leaves_the_address_unproven() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let ada = app.user(ADA).await;
    provider.signed_in(Person::new("1", ADA));
    link(&app.signed_in(&ada).await, &provider).await;
    for how in [
        Deviation::Body(USERINFO, b"eyJhbGciOiJub25lIn0.e30.".to_vec()),
        Deviation::Body(USERINFO, b"[]".to_vec()),
        Deviation::Status(USERINFO, 403),
    ] {
        provider.deviate_all(vec![Deviation::Claim("email_verified", json!(null)), how]);
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        assert_eq!(browser.get("/me").await.text(), ADA);
    }
}

#[rocket::async_test]
async fn a_time_of_asking_that_cannot_be_read_proves_nothing() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let ada = app.user(ADA).await;
    provider.signed_in(Person::new("1", ADA));
    link(&app.signed_in(&ada).await, &provider).await;
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    app.later(Duration::from_hours(24));
    provider.deviate(Deviation::Claim("auth_time", json!("now")));
    there_and_back(&browser, &provider, VERIFY).await;
    assert_eq!(browser.in_json().get("/g/fresh").await.status, 401);
}

#[rocket::async_test]
async fn whoever_is_linked_at_github_comes_in_without_their_addresses() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("42", ADA));
        provider.github_emails(&[(ADA, true, true)]);
        let (start, linking) = ("/login/oauthstart/github", "/login/oauth-link/github");
        let new = app.browser();
        there_and_back(&new, &provider, start).await;
        assert_eq!(new.get("/me").await.text(), ADA);
        for how in [
            Deviation::Status(GITHUB_EMAILS, 403),
            Deviation::Status(GITHUB_EMAILS, 404),
            Deviation::Body(GITHUB_EMAILS, b"{}".to_vec()),
            Deviation::Body(
                GITHUB_EMAILS,
                b"[1, null, {\"email\": 5, \"primary\": true}]".to_vec(),
            ),
            Deviation::Member(GITHUB_USER, "login", json!(7)),
            Deviation::Member(GITHUB_TOKEN, "token_type", json!(null)),
            Deviation::Member(GITHUB_TOKEN, "scope", json!([])),
        ] {
            provider.deviate(how.clone());
            let browser = app.browser();
            there_and_back(&browser, &provider, start).await;
            assert_eq!(browser.get("/me").await.text(), ADA, "{how:?}");
        }
        // Somebody new is told that an address is missing, and by whom.
        provider.signed_in(Person::new("43", "new@example.com"));
        provider.deviate(Deviation::Status(GITHUB_EMAILS, 403));
        let browser = app.browser();
        let answer = there_and_back(&browser, &provider, start).await;
        let told = said(&browser, &answer).await;
        assert!(
            told.contains("GitHub did not tell your email address"),
            "{told}"
        );
        // Linking needs none.
        let eve = app.user("eve@example.com").await;
        let eve = app.signed_in(&eve).await;
        there_and_back(&eve, &provider, linking).await;
        assert_eq!(accounts(&app).await, 2);
        // An id that is no number is nobody.
        provider.deviate(Deviation::Member(GITHUB_USER, "id", json!("42")));
        let browser = app.browser();
        there_and_back(&browser, &provider, start).await;
        assert!(!browser.is_signed_in().await);
    })
    .await;
}

/// A site that knows the provider as Apple.
async fn with_apple(plan: Plan, provider: &Provider) -> App {
    let key = SigningKey::generate();
    let pem = key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap();
    provider.deviate_all(vec![
        Deviation::SignedSecret(Box::new(*key.verifying_key())),
        Deviation::ClientAuth("client_secret_post"),
        Deviation::Claim("email_verified", json!("true")),
        Deviation::Metadata("userinfo_endpoint", json!(null)),
    ]);
    let table = |key: &str| format!("social.providers.apple.{key}");
    let plan = plan
        .set(&table("client_id"), provider.client_id())
        .set(&table("issuer"), provider.issuer())
        .set(&table("team_id"), "TEAM123456")
        .set(&table("key_id"), "KEY1234567")
        .set(&table("private_key"), pem.as_str());
    app_of(plan, provider).await
}

#[rocket::async_test]
async fn apple_posts_its_answer_and_takes_a_signed_secret() {
    on_sqlite(|plan| async move {
        let provider = Provider::start();
        let app = with_apple(plan, &provider).await;
        provider.signed_in(Person::new("001122.abc.0011", ADA));
        // A second time half a year later: the secret is renewed by itself.
        for _ in 0..2 {
            let browser = app.browser();
            let there = led(&browser, "/login/oauthstart/apple").await;
            let back = provider.consent(&there).await;
            let asked = provider.asked(AUTHORIZE).pop().unwrap();
            assert_eq!(asked.queried("response_mode"), Some("form_post"));
            assert_eq!(asked.queried("scope"), Some("openid email name"));
            let (path, query) = back.split_once('?').unwrap();
            // As a browser sends a cross-site POST: without our cookies.
            let kind = "application/x-www-form-urlencoded";
            let body = format!("{query}&user=%7B%22name%22%3A%7B%7D%7D");
            let posted = app
                .browser()
                .of_pages()
                .post_body(path, kind, body.as_bytes())
                .await;
            assert_eq!(posted.status, 302, "{}", posted.text());
            assert!(posted.cookies().is_empty());
            let location = posted.location().unwrap().to_string();
            let location = &location[location.find("/login/").unwrap()..];
            assert!(
                location.starts_with(&format!("{path}?state=")),
                "{location}"
            );
            // Another browser has not asked, and gets nothing by it.
            let eve = app.browser();
            eve.get(location).await;
            assert!(!eve.is_signed_in().await);
            let back = led(&browser, "/login/oauthstart/apple").await;
            let back = provider.consent(&back).await;
            let (path, query) = back.split_once('?').unwrap();
            let posted = app
                .browser()
                .of_pages()
                .post_body(path, kind, query.as_bytes())
                .await;
            let location = posted.location().unwrap().to_string();
            let answer = browser
                .get(&location[location.find("/login/").unwrap()..])
                .await;
            let page = browser.get(answer.location().unwrap()).await.text();
            assert_eq!(browser.get("/me").await.text(), ADA, "{page}");
            app.later(Duration::from_hours(24 * 200));
        }
        assert_eq!(accounts(&app).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn only_a_provider_that_posts_may_post() {
    let provider = Provider::start();
    let app = with_apple(Plan::new(), &provider).await;
    let kind = "application/x-www-form-urlencoded";
    let visitor = app.browser().of_pages();
    let answer = visitor
        .post_body("/login/oauthresponse/example", kind, b"state=a&code=b")
        .await;
    assert_eq!(answer.status, 404);
    // What it posts leads to our own address only, and by a bounded header.
    for body in [
        "".to_string(),
        "error=access_denied&next=https://evil.example&host=evil".to_string(),
        format!("state=a&code={}", "b".repeat(20_000)),
        "code=%00%0d%0aLocation:%20https://evil.example".to_string(),
        "\u{0}\u{1}=%".to_string(),
    ] {
        let path = "/login/oauthresponse/apple";
        let answer = visitor.post_body(path, kind, body.as_bytes()).await;
        assert!(answer.status < 500, "{}", answer.text());
        if let Some(location) = answer.location() {
            assert!(location.contains(path), "{location}");
            assert!(!location.contains("evil.example&"), "{location}");
            let page = visitor
                .get(&location[location.find("/login/").unwrap()..])
                .await;
            assert_eq!(page.status, 302);
        }
    }
}

#[rocket::async_test]
async fn settings_of_a_signed_secret_are_looked_at() {
    let provider = Provider::start();
    let table = |key: &str| format!("social.providers.example.{key}");
    for (key, value) in [("private_key", "x"), ("parameters.state", "x")] {
        let plan = knowing(Plan::new(), &provider).set(&table(key), value);
        assert!(plan.try_start().await.is_err(), "{key}");
    }
    let apple = |key: &str| format!("social.providers.apple.{key}");
    let plan = || {
        Plan::new()
            .set(&apple("client_id"), "x")
            .set(&apple("team_id"), "T")
            .set(&apple("key_id"), "K")
    };
    for (key, value) in [
        ("private_key", "-----BEGIN x"),
        ("private_key_file", "/nowhere/x.p8"),
    ] {
        let plan = plan().set(&apple(key), value);
        assert!(plan.try_start().await.is_err(), "{key}");
    }
    // Parameters of the provider's own are sent.
    let plan = knowing(Plan::new(), &provider).set(&table("parameters.prompt"), "select_account");
    let app = plan.start().await;
    let there = led(&app.browser(), START).await;
    assert!(there.contains("prompt=select_account"), "{there}");
    assert!(app.browser().post_form(LINK, &[]).await.status < 500);
}
