//! What must not let anybody in through a provider: forged, replayed and mixed-up answers, tokens of every
//! wrong sort, and addresses that are not whose they seem.

use std::time::Duration;

use rocket_security::EventKind;
use serde_json::json;

use crate::{
    app::{Actor, App, PASSWORD, Plan, for_each_database, on_sqlite},
    with_social::provider::{Deviation, Person, Provider, REFUSAL},
    with_social::social::{
        LINK, START, UNLINK, VERIFY, accounts, app_of, knowing, led, link, said, there_and_back,
    },
};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";

/// Comes back by `path`, and gets nothing for it.
async fn is_refused(browser: &Actor<'_>, path: &str, why: &str) {
    let before = browser.app.admitted().await;
    for _ in 0..2 {
        let program = browser.copy().in_json();
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 302, "{why}: {}", answer.text());
        let location = answer.location().unwrap();
        assert!(location.starts_with("/login"), "{why}: {location}");
        assert!(answer.cookie("security_session").is_none(), "{why}");
        // Once more, as a program asks.
        let answer = program.get(path).await;
        assert!(
            (400..404).contains(&answer.status),
            "{why}: {}",
            answer.status
        );
        assert!(answer.is_envelope(), "{why}: {}", answer.text());
        assert!(answer.cookie("security_session").is_none(), "{why}");
    }
    assert!(!browser.is_signed_in().await, "{why}");
    assert_eq!(browser.app.admitted().await, before, "{why}");
}

#[rocket::async_test]
async fn an_answer_belongs_to_one_question_of_one_browser() {
    on_sqlite(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("1", EVE));
        let (eve, ada) = (app.browser(), app.browser());
        let back = provider.consent(&led(&eve, START).await).await;
        let without = |name: &str| {
            let (path, query) = back.split_once('?').unwrap();
            let kept: Vec<&str> = query
                .split('&')
                .filter(|pair| !pair.starts_with(&format!("{name}=")))
                .collect();
            format!("{path}?{}", kept.join("&"))
        };
        // Hers, opened by somebody else, who never asked or asked for another.
        is_refused(&ada, &back, "no cookie").await;
        led(&ada, START).await;
        is_refused(&ada, &back, "another browser").await;
        is_refused(&eve, &without("state"), "no state").await;
        let other = back.replace("/example?", "/github?");
        is_refused(&eve, &other, "another provider").await;
        // That was its use.
        is_refused(&eve, &back, "spent at another provider").await;

        let back = provider.consent(&led(&eve, START).await).await;
        let verify = back.replace("oauthresponse", "oauth-verify-response");
        assert_eq!(eve.copy().in_json().get(&verify).await.status, 401);
        let of_ada = provider.consent(&led(&ada, START).await).await;
        let state = |path: &str| {
            let url = url::Url::parse(&format!("http://x{path}")).unwrap();
            let mut pairs = url.query_pairs().into_owned();
            pairs.find(|(name, _)| name == "state").unwrap().1
        };
        let mixed = back.replace(&state(&back), &state(&of_ada));
        is_refused(&eve, &mixed, "a state of somebody else").await;
        for state in ["", "x", &"x".repeat(43), &"x".repeat(9_000), "%00", "%ff"] {
            let path = format!("/login/oauthresponse/example?code=x&state={state}");
            is_refused(&eve, &path, "a made-up state").await;
        }
        // A code under a state that was for another: the verifier is that state's.
        let first = provider.consent(&led(&eve, START).await).await;
        let second = provider.consent(&led(&eve, START).await).await;
        let swapped = first.replace(&state(&first), &state(&second));
        is_refused(&eve, &swapped, "a code of another question").await;
        is_refused(&eve, &second, "a state that was used").await;
        eve.get(&back).await;
        assert_eq!(eve.get("/me").await.text(), EVE);
        eve.logout().await;
        is_refused(&eve, &back, "used").await;

        let late = provider.consent(&led(&eve, START).await).await;
        app.later(Duration::from_mins(10));
        is_refused(&eve, &late, "late").await;
    })
    .await;
}

#[rocket::async_test]
async fn one_answer_at_many_doors_at_once_opens_one() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        browser.logout().await;
        let before = app.admitted().await;
        let back = provider.consent(&led(&browser, START).await).await;
        let copies: Vec<_> = (0..6).map(|_| browser.copy()).collect();
        let gets = copies.iter().map(|copy| copy.get(&back));
        rocket::futures::future::join_all(gets).await;
        assert_eq!(app.admitted().await, before + 1);
        // The provider was asked once.
        assert_eq!(provider.forms().len(), 2);
    })
    .await;
}

#[rocket::async_test]
async fn only_a_token_of_the_provider_for_this_site_and_question_is_believed() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    browser.logout().await;
    let another = || vec!["another-client".to_string()];
    let both = || {
        vec![
            provider.client_id().to_string(),
            "another-client".to_string(),
        ]
    };
    for how in [
        Deviation::AlgNone,
        Deviation::Hs256WithPublicKey,
        Deviation::Hs256WithPublicDer,
        Deviation::Hs256WithClientSecret,
        Deviation::UnknownKid,
        Deviation::SignedByStranger,
        Deviation::NoIdToken,
        Deviation::Issuer("https://evil.example".into()),
        Deviation::Issuer(format!("{}/", provider.issuer())),
        Deviation::Audience(another()),
        Deviation::Audience(both()),
        Deviation::Audience(vec![]),
        Deviation::AuthorizedParty("another-client".into()),
        Deviation::Expired,
        Deviation::IssuedInFuture,
        Deviation::NoNonce,
        Deviation::Nonce("another".into()),
        Deviation::EmptySubject,
        Deviation::SubjectTooLong,
        Deviation::Claim("sub", json!(null)),
        Deviation::Claim("sub", json!("a b\u{e9}")),
        Deviation::Claim("exp", json!(null)),
        Deviation::Claim("aud", json!(null)),
        Deviation::Status("/token", 400),
        Deviation::Status("/token", 401),
        Deviation::Body("/token", b"{}".to_vec()),
        Deviation::Body("/token", b"\xff\xfe".to_vec()),
        Deviation::Body(
            "/token",
            b"{\"access_token\":\"x\",\"token_type\":\"bearer\",\"id_token\":\"a.b.c\"}".to_vec(),
        ),
        Deviation::HugeBody("/token"),
        Deviation::RedirectFrom("/token", format!("{}/token", provider.issuer())),
        Deviation::AnswerIssuer("https://evil.example".into()),
        Deviation::NoAnswerIssuer,
    ] {
        let there = led(&browser, START).await;
        provider.deviate(how.clone());
        let back = provider.consent(&there).await;
        let refused = app
            .count(|event| matches!(event, EventKind::AuthenticationFailed { .. }))
            .await;
        is_refused(&browser, &back, &format!("{how:?}")).await;
        let now = app
            .count(|event| matches!(event, EventKind::AuthenticationFailed { .. }))
            .await;
        assert_eq!(now, refused + 1, "{how:?}");
        provider.deviate(Deviation::None);
    }
    // Two keys without a name, or one: the signature decides.
    provider.deviate(Deviation::NoKid);
    there_and_back(&browser, &provider, START).await;
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn keys_that_cannot_be_had_let_nobody_in() {
    for how in [
        Deviation::Down("/jwks"),
        Deviation::Status("/jwks", 404),
        Deviation::Body("/jwks", b"{\"keys\":[]}".to_vec()),
        Deviation::Body("/jwks", b"<html>".to_vec()),
        Deviation::HugeBody("/jwks"),
        Deviation::Slow("/jwks", Duration::from_secs(3)),
    ] {
        let provider = Provider::start();
        let app = app_of(Plan::new().set("social.timeout", "1 s"), &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let browser = app.browser();
        // Known by now, with the keys of that time.
        let there = led(&browser, START).await;
        provider.rotate_keys(false);
        provider.deviate(how.clone());
        let back = provider.consent(&there).await;
        let answer = browser.get(&back).await;
        assert!(
            said(&browser, &answer).await.contains("role=\"alert\""),
            "{how:?}"
        );
        assert!(!browser.is_signed_in().await, "{how:?}");
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 0);
    }
}

#[rocket::async_test]
async fn a_discovery_document_is_of_its_issuer_and_leads_to_web_pages() {
    let evil = || Deviation::MetadataIssuer("https://evil.example".into());
    let lead = |to: &str| Deviation::Metadata("authorization_endpoint", json!(to));
    let document = "/.well-known/openid-configuration";
    for how in [
        evil(),
        lead("javascript:alert(1)"),
        lead("data:text/html,x"),
        lead("ftp://evil.example/"),
        lead("/relative"),
        Deviation::Metadata("id_token_signing_alg_values_supported", json!(["none"])),
        Deviation::Metadata("token_endpoint", json!(null)),
        Deviation::Body(document, b"[]".to_vec()),
        Deviation::HugeBody(document),
        Deviation::RedirectFrom(document, "https://evil.example/".into()),
        Deviation::Status(document, 404),
    ] {
        let provider = Provider::start();
        provider.deviate(how.clone());
        let app = app_of(Plan::new(), &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let browser = app.browser();
        let answer = browser.post_form(START, &[]).await;
        assert_eq!(answer.status, 302, "{how:?}");
        let location = answer.location().unwrap().to_string();
        if location.starts_with("http") {
            let back = provider.consent(&location).await;
            browser.get(&back).await;
        } else {
            assert!(location.starts_with("/login"), "{how:?}: {location}");
        }
        assert!(!browser.is_signed_in().await, "{how:?}");
    }
}

#[rocket::async_test]
async fn nothing_on_this_machine_is_asked_unless_allowed() {
    let provider = Provider::start();
    let plan = knowing(Plan::new(), &provider).set("social.allow_private", false);
    assert!(plan.try_start().await.is_err());
    // Where the issuer is fine, and what it names is not.
    let plan = knowing(Plan::new(), &provider)
        .set("social.allow_private", false)
        .set(
            "social.providers.example.issuer",
            format!("https://127.0.0.1:{}", provider.port()),
        )
        .set("social.providers.github.issuer", "https://github.com");
    let app = plan.start().await;
    let answer = app.browser().in_json().post_form(START, &[]).await;
    assert_eq!(answer.status, 503);
    assert!(provider.requests().is_empty());
}

#[rocket::async_test]
async fn an_address_that_nobody_proved_is_nobodys() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan.set("social.match_email", ["example"]), &provider).await;
        app.user(ADA).await;
        for verified in [None, Some(false)] {
            for email in [ADA, "new@example.com"] {
                provider.signed_in(Person {
                    verified,
                    ..Person::new("666", email)
                });
                let browser = app.browser();
                let back = provider.consent(&led(&browser, START).await).await;
                is_refused(&browser, &back, &format!("{verified:?} {email}")).await;
                assert_eq!(accounts(&app).await, 0);
            }
        }
        // What another answer says of it is of the same person, or not believed.
        provider.signed_in(Person {
            email: None,
            ..Person::new("666", ADA)
        });
        let browser = app.browser();
        let back = provider.consent(&led(&browser, START).await).await;
        is_refused(&browser, &back, "no address").await;
        provider.signed_in(Person::new("666", ADA));
        provider.deviate_all(vec![
            Deviation::Claim("email_verified", json!(null)),
            Deviation::UserinfoSubject("1".into()),
        ]);
        let back = provider.consent(&led(&browser, START).await).await;
        is_refused(&browser, &back, "the user info of another").await;
        provider.deviate(Deviation::None);
        assert_eq!(accounts(&app).await, 0);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn an_address_alone_opens_no_account_that_is_not_linked() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        app.user(ADA).await;
        provider.signed_in(Person::new("666", ADA));
        let browser = app.browser();
        let answer = there_and_back(&browser, &provider, START).await;
        let page = said(&browser, &answer).await;
        assert!(
            page.contains("There is an account with this email address"),
            "{page}"
        );
        assert!(!browser.is_signed_in().await);
        assert_eq!(accounts(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn a_link_is_to_the_subject_whatever_address_it_has_later() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan.set("social.match_email", ["example"]), &provider).await;
        app.user(ADA).await;
        provider.signed_in(Person::new("666", EVE));
        let eve = app.browser();
        there_and_back(&eve, &provider, START).await;
        assert_eq!(eve.get("/me").await.text(), EVE);
        provider.signed_in(Person::new("666", ADA));
        let eve = app.browser();
        there_and_back(&eve, &provider, START).await;
        assert_eq!(eve.get("/me").await.text(), EVE);
        // Subjects differ by case, and by who speaks for them.
        provider.signed_in(Person::new("Subject", "one@example.com"));
        there_and_back(&app.browser(), &provider, START).await;
        provider.signed_in(Person::new("subject", "two@example.com"));
        let two = app.browser();
        there_and_back(&two, &provider, START).await;
        assert_eq!(two.get("/me").await.text(), "two@example.com");
    })
    .await;
}

#[rocket::async_test]
async fn a_provider_that_moved_opens_nothing_of_before() {
    let (before, after) = (Provider::start(), Provider::start());
    let app = app_of(Plan::new(), &before).await;
    before.signed_in(Person::new("1", ADA));
    there_and_back(&app.browser(), &before, START).await;
    let moved = app.beside(|plan| knowing(plan, &after)).await;
    after.keep_time_by(moved.clock.clone());
    after.signed_in(Person::new("1", "eve@example.net"));
    let eve = moved.browser();
    there_and_back(&eve, &after, START).await;
    assert_eq!(eve.get("/me").await.text(), "eve@example.net");
    // Nor does it keep anybody from linking anew, or count as a way in.
    after.signed_in(Person::new("2", ADA));
    let email = rocket_security::EmailAddress::parse(ADA).unwrap();
    let ada = moved
        .store()
        .find_user_by_email(&email)
        .await
        .unwrap()
        .unwrap();
    let browser = moved.signed_in(&ada).await;
    let page = browser.get("/login/oauth-link").await.text();
    assert!(!page.contains("is linked"), "{page}");
    link(&browser, &after).await;
    assert_eq!(accounts(&moved).await, 2);
    let answer = browser.post_form(UNLINK, &[]).await;
    assert!(
        said(&browser, &answer)
            .await
            .contains("only way to sign in")
    );
}

#[rocket::async_test]
async fn a_code_that_came_back_goes_no_further() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await;
    provider.signed_in(Person::new("1", ADA));
    link(&browser, &provider).await;
    let back = provider.consent(&led(&browser, VERIFY).await).await;
    browser.logout().await;
    let answer = browser.get(&back).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.location(), Some("/verify"));
    assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
    assert!(answer.header("Cache-Control").unwrap().contains("no-store"));
    app.accounts().deactivate_user(&ada.id).await.unwrap();
    let browser = app.browser();
    let answer = there_and_back(&browser, &provider, START).await;
    assert_eq!(answer.location(), Some("/login"));
    assert!(
        said(&browser, &answer)
            .await
            .contains("This account is not active")
    );
}

#[rocket::async_test]
async fn an_account_planted_under_an_address_is_emptied_before_its_owner_comes() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan.set("social.match_email", ["example"]), &provider).await;
        // Eve registers Ada's address, and stays signed in.
        let planted = app.user_with(ADA, |new| new.confirmed(false)).await;
        let eve = app.signed_in(&planted).await;
        provider.signed_in(Person::new("666", EVE));
        let answer = there_and_back(&eve, &provider, LINK).await;
        assert_eq!(answer.status, 302);
        provider.signed_in(Person::new("1", ADA));
        let ada = app.browser();
        there_and_back(&ada, &provider, START).await;
        assert_eq!(ada.get("/me").await.text(), ADA);
        assert!(!eve.is_signed_in().await);
        assert_eq!(app.browser().login(ADA, PASSWORD).await.status, 200);
        assert!(
            app.mails_to(ADA)
                .iter()
                .any(|mail| mail.kind.contains("password_removed"))
        );
    })
    .await;
}

#[rocket::async_test]
async fn an_account_that_is_shut_stays_shut() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let plan = plan.set("social.match_email", ["github"]);
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        browser.logout().await;
        // Locked.
        for _ in 0..10 {
            app.browser().login(ADA, "wrong horse battery staple").await;
        }
        let stranger = app.browser().in_json();
        let start = stranger.post_form(START, &[]).await;
        let back = provider.consent(start.location().unwrap()).await;
        assert_eq!(stranger.get(&back).await.status, 429);
        app.later(Duration::from_mins(16));
        // Deactivated.
        let email = rocket_security::EmailAddress::parse(ADA).unwrap();
        let ada = app
            .store()
            .find_user_by_email(&email)
            .await
            .unwrap()
            .unwrap();
        app.accounts().deactivate_user(&ada.id).await.unwrap();
        for start in [START, "/login/oauthstart/github"] {
            let program = app.browser().in_json();
            let there = program.post_form(start, &[]).await;
            let back = provider.consent(there.location().unwrap()).await;
            let answer = program.get(&back).await;
            assert!(
                [400, 401, 403].contains(&answer.status),
                "{}",
                answer.text()
            );
            assert!(!program.is_signed_in().await);
        }
        assert_eq!(accounts(&app).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn what_a_provider_says_of_an_error_is_not_repeated() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let browser = app.browser();
    let back = provider.refuse(&led(&browser, START).await).await;
    assert!(back.contains("error=access_denied"), "{back}");
    let answer = browser.get(&back).await;
    assert!(!answer.location().unwrap().contains("script"));
    let page = said(&browser, &answer).await;
    assert!(page.contains("without having signed in there"), "{page}");
    assert!(
        !page.contains(REFUSAL) && !page.contains("access_denied"),
        "{page}"
    );
    for error in ["%3Cscript%3E", "%00", "server_error", &"x".repeat(6_000)] {
        let there = url::Url::parse(&led(&browser, START).await).unwrap();
        let state = there
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1;
        let path = format!(
            "/login/oauthresponse/example?error={error}&error_description=%3Cscript%3E&state={state}"
        );
        is_refused(&browser, &path, "an error").await;
    }
    let path = "/login/oauthresponse/example?error=access_denied&error_description=%3Cscript%3E";
    is_refused(&browser, path, "an error of nobody").await;
}

#[rocket::async_test]
async fn proving_it_again_takes_the_very_account_and_a_new_answer() {
    on_sqlite(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        let (ada, eve) = (app.user(ADA).await, app.user(EVE).await);
        provider.signed_in(Person::new("666", EVE));
        let of_eve = app.signed_in(&eve).await;
        link(&of_eve, &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let browser = app.signed_in(&ada).await;
        link(&browser, &provider).await;
        app.later(Duration::from_hours(26));
        browser.get("/me").await;
        assert_eq!(browser.get("/g/fresh-600").await.status, 302);
        let stale = async |why: &str| {
            let answer = browser.copy().in_json().get("/g/fresh-600").await;
            assert_eq!(answer.status, 401, "{why}");
        };
        // Eve's account, with Ada's own, with that of nobody.
        for person in [Person::new("666", ADA), Person::new("777", ADA)] {
            provider.signed_in(person);
            let answer = there_and_back(&browser, &provider, VERIFY).await;
            assert!(
                said(&browser, &answer)
                    .await
                    .contains("not the account that is linked")
            );
            stale("another account").await;
        }
        provider.signed_in(Person::new("1", ADA));
        // The provider did not ask again.
        provider.deviate(Deviation::AuthTime(Some(-3_600)));
        let answer = there_and_back(&browser, &provider, VERIFY).await;
        assert!(
            said(&browser, &answer)
                .await
                .contains("did not ask you again")
        );
        provider.deviate(Deviation::None);
        stale("an old proof").await;
        // A question of somebody else, and one for another purpose.
        let of_another = app.signed_in(&ada).await;
        let back = provider.consent(&led(&of_another, VERIFY).await).await;
        let answer = browser.get(&back).await;
        assert!(said(&browser, &answer).await.contains("begun elsewhere"));
        let back = provider.consent(&led(&browser, VERIFY).await).await;
        let as_login = back.replace("oauth-verify-response", "oauthresponse");
        let answer = browser.get(&as_login).await;
        assert!(said_or_not(&answer.location()), "{:?}", answer.location());
        stale("as a link").await;
        browser.get(&back).await;
        assert_eq!(browser.get("/g/fresh-600").await.status, 200);
    })
    .await;
}

/// Back where accounts are linked, or where that is proven first.
fn said_or_not(location: &Option<&str>) -> bool {
    location
        .is_some_and(|path| path.starts_with("/login/oauth-link") || path.starts_with("/verify"))
}

#[rocket::async_test]
async fn nobody_links_an_account_to_that_of_another() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        let (ada, eve) = (app.user(ADA).await, app.user(EVE).await);
        let (of_ada, of_eve) = (app.signed_in(&ada).await, app.signed_in(&eve).await);
        // Eve begins, and has Ada's browser finish; and the same of a sign-in.
        provider.signed_in(Person::new("666", EVE));
        for start in [LINK, START] {
            let begun = match start {
                START => led(&app.browser(), START).await,
                _ => led(&of_eve, LINK).await,
            };
            let back = provider.consent(&begun).await;
            of_ada.get(&back).await;
            assert_eq!(accounts(&app).await, 0, "{start}");
        }
        link(&of_eve, &provider).await;
        // One account there opens one here.
        let answer = there_and_back(&of_ada, &provider, LINK).await;
        assert!(
            said(&of_ada, &answer)
                .await
                .contains("linked to another account here")
        );
        // And one here is opened by one there.
        provider.signed_in(Person::new("1", ADA));
        link(&of_ada, &provider).await;
        provider.signed_in(Person::new("2", ADA));
        let answer = there_and_back(&of_ada, &provider, LINK).await;
        assert!(said(&of_ada, &answer).await.contains("linked already"));
        assert_eq!(accounts(&app).await, 2);
        // A stale session links nothing, nor does a token.
        app.later(Duration::from_hours(26));
        let answer = of_ada.post_form(LINK, &[]).await;
        assert!(answer.location().unwrap().starts_with("/verify"));
        let token = app.token(ADA).await;
        let answer = app.program().token(&token).post_json(LINK, json!({})).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        // Nobody is led away without a token of ours.
        for path in [START, LINK, VERIFY] {
            let answer = of_ada.post_raw_form(path, &[]).await;
            assert_eq!(answer.status, 400, "{path}");
            assert_eq!(of_ada.get(path).await.status, 405, "{path}");
        }
    })
    .await;
}

#[rocket::async_test]
async fn links_made_by_whoever_took_an_account_end_with_what_they_did() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        provider.signed_in(Person::new("666", EVE));
        link(&browser, &provider).await;
        app.accounts().revoke_all(&ada.id).await.unwrap();
        assert_eq!(accounts(&app).await, 0);
        // Signing out everywhere while somebody is at the provider ends that too.
        let browser = app.signed_in(&ada).await;
        let back = provider.consent(&led(&browser, LINK).await).await;
        app.accounts().deactivate_user(&ada.id).await.unwrap();
        app.accounts().activate_user(&ada.id).await.unwrap();
        browser.get(&back).await;
        assert_eq!(accounts(&app).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn visitors_on_their_way_are_bounded() {
    let provider = Provider::start();
    let plan = Plan::new().set("limits.challenges_per_address", 5);
    let app = app_of(plan, &provider).await;
    let browser = app.browser().in_json();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(browser.post_form(START, &[]).await.status);
    }
    assert_eq!(statuses, [302, 302, 302, 302, 302, 429, 429]);
    let _: &App = &app;
}
