//! What somebody tries with passkeys that are not theirs, or not right: refused with 4xx, without a cookie
//! that opens anything, and without a word of success.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use rocket::tokio::join;
use rocket_security::EventKind;
use serde_json::{Value, json};

use crate::{
    app::{Actor, Answer, App, Plan, for_each_database, on_sqlite},
    with_factors::factors::REMEMBER,
    with_passkeys::authenticators::{Key, options, state},
    with_smtp::mailed::{SESSION, assert_refused},
};

const ADA: &str = "ada@example.com";
const MALLORY: &str = "mallory@example.com";

/// Nothing came of it: no cookie, nobody admitted beyond those before.
async fn assert_shut(actor: &Actor<'_>, answer: &Answer, before: usize, what: &str) {
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    for cookie in [SESSION, REMEMBER] {
        assert!(answer.cookie(cookie).is_none(), "{what} sets {cookie}");
    }
    assert!(!actor.is_signed_in().await, "{what}");
    assert_eq!(actor.app.admitted().await, before, "{what}");
}

type Lie = (&'static str, fn(&mut Key));

/// What an authenticator or a browser may say that is not so.
const LIES: &[Lie] = &[
    ("another site", |key| key.origin = "https://evil.com".into()),
    ("a site below", |key| {
        key.origin = "http://localhost.evil.com:8000".into()
    }),
    ("a subdomain", |key| {
        key.origin = "http://evil.localhost:8000".into()
    }),
    ("another scheme", |key| {
        key.origin = "https://localhost:8000".into()
    }),
    ("another port", |key| {
        key.origin = "http://localhost:8001".into()
    }),
    ("no port", |key| key.origin = "http://localhost".into()),
    ("no site", |key| key.origin = "null".into()),
    ("a frame of another site", |key| {
        key.cross_origin = Some(true)
    }),
    ("another relying party", |key| key.rp_id = "evil.com".into()),
    ("nobody there", |key| key.up = false),
    ("nobody verified", |key| key.uv = false),
    ("another challenge", |key| {
        key.challenge = Some(BASE64URL_NOPAD.encode(&[7; 32]))
    }),
    ("no challenge", |key| key.challenge = Some(String::new())),
    ("backed up without being able to", |key| key.bs = true),
];

#[rocket::async_test]
async fn every_lie_is_found_out_at_sign_in() {
    on_sqlite(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let before = app.admitted().await;
        let more: [Lie; 5] = [
            ("the ceremony of making one", |key| {
                key.ceremony = Some("webauthn.create")
            }),
            ("another user's handle", |key| {
                key.handle = Some(vec![9; 16])
            }),
            ("an empty handle", |key| key.handle = Some(Vec::new())),
            ("no handle", |key| key.handle = None),
            ("synced all of a sudden", |key| key.be = true),
        ];
        for (what, lie) in LIES.iter().chain(&more) {
            let browser = app.browser().in_json();
            let mut liar = key.clone();
            lie(&mut liar);
            let answer = browser.show("/wan-signin", &mut liar).await;
            assert_refused(&answer, 400, "passkey.refused");
            assert_shut(&browser, &answer, before, what).await;
            // On the pages too.
            let asked = browser.challenge("/wan-signin").await;
            let shown = liar.get(&options(&asked)).to_string();
            let path = format!("/wan-signin/{}", state(&asked));
            let pages = browser.of_pages();
            let answer = pages.post_form(&path, &[("credential", &shown)]).await;
            assert_eq!(answer.location(), Some("/wan-signin"), "{what}");
            assert!(!pages.is_signed_in().await, "{what}");
        }
        // Another key under the same id.
        let browser = app.browser().in_json();
        let mut forged = Key {
            id: key.id.clone(),
            handle: key.handle.clone(),
            ..Key::new()
        };
        let answer = browser.show("/wan-signin", &mut forged).await;
        assert_shut(&browser, &answer, before, "a forged signature").await;
        let answer = browser
            .show(
                "/wan-signin",
                &mut Key {
                    handle: key.handle.clone(),
                    ..Key::new()
                },
            )
            .await;
        assert_shut(&browser, &answer, before, "an unknown key").await;
        // All that has told nobody, and shut nobody out.
        assert_eq!(
            app.browser()
                .in_json()
                .show("/wan-signin", &mut key)
                .await
                .status,
            200
        );
    })
    .await;
}

#[rocket::async_test]
async fn every_lie_is_found_out_when_a_passkey_is_made() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let more: [Lie; 3] = [
            ("the ceremony of showing one", |key| {
                key.ceremony = Some("webauthn.get")
            }),
            ("an algorithm that was not offered", |key| {
                key.algorithm = -47
            }),
            ("no id", |key| key.id = Vec::new()),
        ];
        for usage in ["first", "secondary"] {
            for (what, lie) in LIES.iter().chain(&more) {
                // A second factor need not verify anybody.
                if usage == "secondary" && *what == "nobody verified" {
                    continue;
                }
                let mut liar = Key::new();
                lie(&mut liar);
                let answer = browser.try_to_add(&mut liar, "Key", usage).await;
                assert_eq!(answer.status, 400, "{what}: {}", answer.text());
            }
        }
        assert!(app.passkeys(&ada).await.is_empty());
        let added = |kind: &EventKind| matches!(kind, EventKind::PasskeyAdded { .. });
        assert_eq!(
            (app.count(added).await, app.count_mails(ADA, "factor_added")),
            (0, 0)
        );
    })
    .await;
}

#[rocket::async_test]
async fn an_assertion_is_taken_once_and_in_its_own_browser() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        // Without a counter, so that nothing but the challenge is in the way.
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let before = app.admitted().await;
        let (owner, thief) = (app.browser().in_json(), app.browser().in_json());
        let asked = owner.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked));
        thief.challenge("/wan-signin").await;
        let answer = thief.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.expired");
        assert_shut(&thief, &answer, before, "another browser").await;
        let program = app.program().present("/wan-signin", &asked, &shown).await;
        assert_refused(&program, 400, "passkey.expired");
        assert_eq!(
            owner.present("/wan-signin", &asked, &shown).await.status,
            200
        );
        // With its cookies, and with another challenge.
        let copy = app.browser().in_json();
        let again = copy.present("/wan-signin", &asked, &shown).await;
        assert_shut(&copy, &again, before + 1, "a replay").await;
        let other = copy.challenge("/wan-signin").await;
        let answer = copy.present("/wan-signin", &other, &shown).await;
        assert_shut(
            &copy,
            &answer,
            before + 1,
            "an old answer to a new challenge",
        )
        .await;
        let suspects = "SELECT COUNT(*) AS n FROM security_passkeys WHERE suspect_at IS NOT NULL";
        assert_eq!(app.number(suspects).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn of_two_uses_of_a_challenge_at_once_one_succeeds() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        for key in [Key::new(), Key::counting()] {
            let mut key = app.with_passkey(&ada, key, "first").await;
            for _ in 0..3 {
                let before = app.admitted().await;
                let browser = app.browser().in_json();
                let asked = browser.challenge("/wan-signin").await;
                let shown = key.get(&options(&asked));
                let (one, two) = (browser.copy(), browser.copy());
                let (a, b) = join!(
                    one.present("/wan-signin", &asked, &shown),
                    two.present("/wan-signin", &asked, &shown),
                );
                let mut statuses = [a.status, b.status];
                statuses.sort_unstable();
                assert_eq!(statuses, [200, 400], "{} {}", a.text(), b.text());
                assert_eq!(app.admitted().await, before + 1);
            }
        }
        // What was merely sent twice is no copy.
        let suspects = "SELECT COUNT(*) AS n FROM security_passkeys WHERE suspect_at IS NOT NULL";
        assert_eq!(app.number(suspects).await, 0);
        // Neither when one is made.
        let browser = app.signed_in(&ada).await.in_json();
        let asked = browser.begin_passkey("Twice", "first").await;
        let made = Key::new().create(&options(&asked));
        let (one, two) = (browser.copy(), browser.copy());
        let (a, b) = join!(
            one.present("/wan-register", &asked, &made),
            two.present("/wan-register", &asked, &made),
        );
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", a.text(), b.text());
    })
    .await;
}

#[rocket::async_test]
async fn a_challenge_is_for_one_ceremony() {
    on_sqlite(|plan| async move {
        let app = plan.set("passkeys.sign_up", true).start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "both").await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let waiting = app.waiting(ADA).await;
        let first = waiting.post_json("/wan-signin?first", json!({})).await;
        let shown = key.get(&options(&first));
        for path in ["/wan-verify", "/wan-register"] {
            let answer = browser.present(path, &first, &shown).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
        let verify = browser.challenge("/wan-verify").await;
        let register = browser.begin_passkey("New", "first").await;
        for asked in [&verify, &register] {
            let shown = key.get(&options(asked));
            let answer = waiting.present("/wan-signin", asked, &shown).await;
            assert_refused(&answer, 400, "passkey.expired");
        }
        let shown = key.get(&options(&register));
        let answer = browser.present("/wan-register", &register, &shown).await;
        assert_eq!(answer.status, 400, "an assertion makes no passkey");
        let made = Key::new()
            .create(&json!({"challenge": options(&verify)["challenge"], "user": {"id": "AAAA"}}));
        let answer = browser.present("/wan-verify", &verify, &made).await;
        assert_eq!(answer.status, 400, "a new passkey proves nothing");
        waiting.has_nothing().await;
    })
    .await;
}

#[rocket::async_test]
async fn a_counter_that_goes_back_shuts_the_passkey() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        for (n, back) in [0_u32, 1].into_iter().enumerate() {
            let mut key = app.with_passkey(&ada, Key::counting(), "first").await;
            for _ in 0..3 {
                let browser = app.browser().in_json();
                assert_eq!(browser.show("/wan-signin", &mut key).await.status, 200);
            }
            let before = app.admitted().await;
            // The last that was seen, or one before.
            let mut copy = Key {
                counter: key.counter - 1 - back,
                ..key.clone()
            };
            let browser = app.browser().in_json();
            let asked = browser.challenge("/wan-signin").await;
            let shown = copy.get(&options(&asked));
            let answer = browser.present("/wan-signin", &asked, &shown).await;
            assert_refused(&answer, 400, "passkey.refused");
            assert_shut(&browser, &answer, before, "a copy").await;
            let suspect = |kind: &EventKind| matches!(kind, EventKind::PasskeySuspect { .. });
            assert_eq!(app.count(suspect).await, n + 1);
            assert_eq!(app.count_mails(ADA, "passkey_suspect"), n + 1);
            let info = app
                .store()
                .passkeys_of(&ada.id)
                .await
                .unwrap()
                .pop()
                .unwrap();
            assert!(info.suspect_at.is_some());
            // From then on nobody comes in by it, whoever has the copy.
            let browser = app.browser().in_json();
            key.counter += 10;
            let answer = browser.show("/wan-signin", &mut key).await;
            assert_shut(&browser, &answer, before, "after a copy").await;
            assert_eq!(app.count(suspect).await, n + 1);
            // Unless the operator says that it is right.
            assert!(
                app.accounts()
                    .trust_passkey(&ada.id, &info.id)
                    .await
                    .unwrap()
            );
            let browser = app.browser().in_json();
            assert_eq!(browser.show("/wan-signin", &mut key).await.status, 200);
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_second_step_takes_a_second_factor_of_its_own_account_only() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, mallory) = (app.user(ADA).await, app.user(MALLORY).await);
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let (mut first, mut second) = (Key::new(), Key::plain());
        browser.add_passkey(&mut first, "First", "first").await;
        browser
            .add_passkey(&mut second, "Second", "secondary")
            .await;
        let mut theirs = app.with_passkey(&mallory, Key::new(), "both").await;
        let waiting = app.waiting(ADA).await;
        let before = app.admitted().await;
        for (what, key) in [
            ("another account's", &mut theirs),
            ("one for signing in", &mut first),
        ] {
            let answer = waiting.show("/wan-signin", key).await;
            assert_refused(&answer, 400, "passkey.refused");
            assert_shut(&waiting, &answer, before, what).await;
        }
        // The challenge of one's own second step does not answer another's.
        let own = app.waiting(MALLORY).await;
        let asked = own.challenge("/wan-signin").await;
        let shown = theirs.get(&options(&asked));
        let answer = waiting.present("/wan-signin", &asked, &shown).await;
        assert_shut(&waiting, &answer, before, "a challenge of another browser").await;
        // Without the sign-in that waits a second factor opens nothing.
        let asked = waiting.challenge("/wan-signin").await;
        let shown = second.get(&options(&asked));
        let copy = waiting.copy();
        copy.forget_cookie("security_pending");
        let answer = copy.present("/wan-signin", &asked, &shown).await;
        assert_shut(&copy, &answer, before, "no sign-in that waits").await;
        // Of two answers at once one passes.
        let (one, two) = (waiting.copy(), waiting.copy());
        let (a, b) = join!(
            one.present("/wan-signin", &asked, &shown),
            two.present("/wan-signin", &asked, &shown),
        );
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", a.text(), b.text());
        assert_eq!(app.admitted().await, before + 1);
        // The step is used up with it.
        let late = waiting.challenge("/wan-signin").await;
        if late.status == 200 {
            assert_eq!(late.json()["response"]["is_secondary"], false);
        }
    })
    .await;
}

#[rocket::async_test]
async fn proving_it_again_takes_the_callers_own_passkey_in_the_callers_own_session() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, mallory) = (app.user(ADA).await, app.user(MALLORY).await);
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let mut theirs = app.with_passkey(&mallory, Key::new(), "first").await;
        let (browser, other) = (
            app.signed_in(&ada).await.in_json(),
            app.signed_in(&ada).await.in_json(),
        );
        let stranger = app.signed_in(&mallory).await.in_json();
        app.later(Duration::from_hours(11));
        let answer = browser.show("/wan-verify", &mut theirs).await;
        assert_refused(&answer, 400, "passkey.refused");
        let asked = browser.challenge("/wan-verify").await;
        let shown = key.get(&options(&asked));
        for actor in [&other, &stranger] {
            let answer = actor.present("/wan-verify", &asked, &shown).await;
            assert_refused(&answer, 400, "passkey.expired");
            assert_eq!(actor.get("/g/fresh-600").await.status, 401);
        }
        assert_eq!(
            browser.present("/wan-verify", &asked, &shown).await.status,
            200
        );
        let answer = browser.present("/wan-verify", &asked, &shown).await;
        assert_eq!(answer.status, 400, "a replay");
    })
    .await;
}

#[rocket::async_test]
async fn a_credential_belongs_to_one_account_and_stands_there_once() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, mallory) = (app.user(ADA).await, app.user(MALLORY).await);
        let key = app.with_passkey(&ada, Key::new(), "first").await;
        let browser = app.signed_in(&mallory).await.in_json();
        let answer = browser.try_to_add(&mut key.clone(), "Mine", "first").await;
        assert_refused(&answer, 400, "passkey.exists");
        let browser = app.signed_in(&ada).await.in_json();
        let answer = browser.try_to_add(&mut key.clone(), "Again", "first").await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(
            (
                app.passkeys(&ada).await.len(),
                app.passkeys(&mallory).await.len()
            ),
            (1, 0)
        );
        // Two at once, which find nothing when they begin.
        let (a, b) = (
            app.signed_in(&ada).await.in_json(),
            app.signed_in(&mallory).await.in_json(),
        );
        let (mut one, new) = (Key::new(), Key::new());
        one.id.clone_from(&new.id);
        let mut two = new;
        let (x, y) = (
            a.begin_passkey("x", "first").await,
            b.begin_passkey("y", "first").await,
        );
        let (made_x, made_y) = (one.create(&options(&x)), two.create(&options(&y)));
        let (x, y) = join!(
            a.present("/wan-register", &x, &made_x),
            b.present("/wan-register", &y, &made_y),
        );
        let mut statuses = [x.status, y.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", x.text(), y.text());
    })
    .await;
}

#[rocket::async_test]
async fn an_account_that_is_shut_stays_shut() {
    for_each_database(|plan| async move {
        let plan = plan
            .set("confirm.enabled", true)
            .set("confirm.grace", "0 s");
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let before = app.admitted().await;
        let try_it = async |key: &mut Key, what: &str, status: u16| {
            let browser = app.browser().in_json();
            let answer = browser.show("/wan-signin", key).await;
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            assert_shut(&browser, &answer, before, what).await;
            answer
        };
        app.accounts().deactivate_user(&ada.id).await.unwrap();
        let shut = try_it(&mut key, "inactive", 400).await;
        assert_refused(&shut, 400, "passkey.refused");
        app.accounts().activate_user(&ada.id).await.unwrap();
        app.sql("UPDATE users SET confirmed_at = NULL").await;
        let shut = try_it(&mut key, "unconfirmed", 400).await;
        assert_refused(&shut, 400, "passkey.refused");
        app.accounts().confirm_user(&ada.id).await.unwrap();
        app.shut(&app.program(), ADA).await;
        try_it(&mut key, "locked", 429).await;
        app.later(Duration::from_mins(16));
        let browser = app.browser().in_json();
        assert_eq!(browser.show("/wan-signin", &mut key).await.status, 200);
        // What was begun before does not outlive it.
        let browser = app.browser().in_json();
        let asked = browser.challenge("/wan-signin").await;
        let shown = key.get(&options(&asked));
        app.accounts().deactivate_user(&ada.id).await.unwrap();
        let answer = browser.present("/wan-signin", &asked, &shown).await;
        assert_refused(&answer, 400, "passkey.refused");
        assert!(!browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn others_passkeys_cannot_be_touched() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (ada, mallory) = (app.user(ADA).await, app.user(MALLORY).await);
        app.with_passkey(&ada, Key::new(), "both").await;
        let passkey = app.store().passkeys_of(&ada.id).await.unwrap().remove(0);
        let browser = app.signed_in(&mallory).await.in_json();
        for id in [passkey.id.as_str(), "no-such-id", ""] {
            let expected = if id.is_empty() { 400 } else { 404 };
            let answer = browser.post_json("/wan-delete", json!({"id": id})).await;
            assert_eq!(answer.status, expected, "{}", answer.text());
            let body = json!({"id": id, "new_name": "Mine"});
            let answer = browser.post_json("/wan-rename", body).await;
            assert_eq!(answer.status, expected, "{}", answer.text());
        }
        let pages = browser.of_pages();
        let answer = pages.post_form("/wan-delete", &[("id", &passkey.id)]).await;
        assert_eq!(answer.status, 404);
        for answer in [
            pages
                .post_form("/us-setup", &[("delete_method", &passkey.id)])
                .await,
            pages
                .post_form(&format!("/tf-setup/{}/remove", passkey.id), &[])
                .await,
        ] {
            assert_eq!(answer.status, 404);
        }
        assert_eq!(app.passkeys(&ada).await, [passkey.name]);
    })
    .await;
}

#[rocket::async_test]
async fn what_cannot_be_read_is_400_and_what_is_too_long_413() {
    on_sqlite(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let mut key = app.with_passkey(&ada, Key::new(), "first").await;
        let (browser, visitor) = (app.signed_in(&ada).await.in_json(), app.browser().in_json());
        let signin = visitor.challenge("/wan-signin").await;
        let good = key.get(&options(&signin));
        let register = browser.begin_passkey("Key", "first").await;
        let made = Key::new().create(&options(&register));
        let with = |credential: &Value, at: &str, value: Value| {
            let mut credential = credential.clone();
            *credential.pointer_mut(at).expect("a field") = value;
            credential
        };
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let junk = BASE64URL_NOPAD.encode(&[0xff; 300]);
        let nested = BASE64URL_NOPAD.encode(&[0x81; 20_000]);
        let long = BASE64URL_NOPAD.encode(&[0; 1_000_000]);
        let mut bad = vec![
            Value::Null,
            json!(1),
            json!(true),
            json!([]),
            json!({}),
            json!(""),
            json!("nonsense"),
            json!("{\"id\": "),
            json!("null"),
            deep,
        ];
        for (good, fields) in [
            (
                &good,
                ["authenticatorData", "clientDataJSON", "signature"].as_slice(),
            ),
            (&made, &["attestationObject", "clientDataJSON"]),
        ] {
            for at in ["/id", "/rawId", "/type", "/response"] {
                for value in [json!(null), json!(7), json!("x!"), json!({})] {
                    bad.push(with(good, at, value));
                }
            }
            for field in fields {
                let at = format!("/response/{field}");
                for value in [
                    json!(null),
                    json!(""),
                    json!("==="),
                    json!(junk),
                    json!(nested),
                    json!([1]),
                ] {
                    bad.push(with(good, &at, value));
                }
            }
        }
        for credential in &bad {
            for (actor, path, asked) in [
                (&visitor, "/wan-signin", &signin),
                (&browser, "/wan-register", &register),
            ] {
                let answer = actor.present(path, asked, credential).await;
                assert_eq!(answer.status, 400, "{path} {credential}: {}", answer.text());
            }
        }
        for (actor, path, asked, good, at) in [
            (
                &visitor,
                "/wan-signin",
                &signin,
                &good,
                "/response/authenticatorData",
            ),
            (
                &browser,
                "/wan-register",
                &register,
                &made,
                "/response/attestationObject",
            ),
        ] {
            let answer = actor
                .present(path, asked, &with(good, at, json!(long)))
                .await;
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
        }
        for token in [
            "x",
            "%00",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "a%2Fb",
        ] {
            for path in ["/wan-signin", "/wan-register", "/wan-verify"] {
                let actor = if path == "/wan-signin" {
                    &visitor
                } else {
                    &browser
                };
                let body = json!({"credential": good});
                let answer = actor.post_json(&format!("{path}/{token}"), body).await;
                assert!(
                    (400..500).contains(&answer.status),
                    "{path}/{token}: {}",
                    answer.text()
                );
            }
        }
        // None of it has used anything up. As text and as an object it is the same.
        let text = json!(made.to_string());
        assert_eq!(
            browser
                .present("/wan-register", &register, &text)
                .await
                .status,
            200
        );
        assert_eq!(
            visitor.present("/wan-signin", &signin, &good).await.status,
            200
        );
    })
    .await;
}

#[rocket::async_test]
async fn challenges_of_visitors_do_not_pile_up() {
    let open = "SELECT COUNT(*) AS n FROM security_tickets WHERE purpose = 'wan_signin'";
    let plan = Plan::new().set("limits.challenges_per_address", 20);
    let app = plan.start().await;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = app.browser().in_json().challenge("/wan-signin").await;
        match answer.status {
            200 => {}
            429 => {
                assert!(answer.header("Retry-After").is_some());
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!((refused, app.number(open).await), (20, 20));
    let elsewhere = app.browser().in_json().from("203.0.113.7");
    assert_eq!(elsewhere.challenge("/wan-signin").await.status, 200);

    for_each_database(|plan| async move {
        let plan = plan
            .set("passkeys.challenges", 10)
            .set("limits.challenges_per_address", 1_000);
        let app = plan.start().await;
        // One browser has one.
        let browser = app.browser().in_json();
        for _ in 0..15 {
            assert_eq!(browser.challenge("/wan-signin").await.status, 200);
        }
        assert_eq!(app.number(open).await, 1);
        let ada = app.user(ADA).await;
        app.with_passkey(&ada, Key::plain(), "secondary").await;
        let waiting = app.waiting(ADA).await;
        assert_eq!(waiting.challenge("/wan-signin").await.status, 200);
        for n in 1..30 {
            let answer = app.browser().in_json().challenge("/wan-signin").await;
            assert_eq!(answer.status, 200, "{n}: {}", answer.text());
        }
        // The newest visitors are kept, and whoever is known besides.
        assert_eq!(app.number(open).await, 11);
    })
    .await;
}

#[rocket::async_test]
async fn nobody_signs_up_for_somebody_elses_address() {
    on_sqlite(|plan| async move {
        let app: App = plan.set("passkeys.sign_up", true).start().await;
        let ada = app.user(ADA).await;
        let thief = app.browser().in_json();
        let asked = thief.post_json("/wan-signup", json!({"email": ADA})).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        assert_eq!(asked.json()["response"].get("wan_state"), None);
        // Only the mail has the link, and of an address that has an account not even the mail.
        assert_eq!(app.count_mails(ADA, "signup"), 0);
        let free = "free@example.com";
        thief.post_json("/wan-signup", json!({"email": free})).await;
        let link = app.link_to(free, "signup");
        let owner = app.browser().in_json();
        let challenge = owner.challenge(&link).await;
        let made = Key::new().create(&options(&challenge));
        // The challenge of one link and browser is good for no other.
        thief
            .post_json("/wan-signup", json!({"email": "other@example.com"}))
            .await;
        let other = app.link_to("other@example.com", "signup");
        let answer = thief.present(&other, &challenge, &made).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let answer = owner.present(&other, &challenge, &made).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        for lie in [
            |key: &mut Key| key.uv = false,
            |key: &mut Key| key.origin = "https://evil.com".into(),
        ] {
            let mut liar = Key::new();
            lie(&mut liar);
            let answer = owner
                .present(&link, &challenge, &liar.create(&options(&challenge)))
                .await;
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        let (one, two) = (owner.copy(), owner.copy());
        let (a, b) = join!(
            one.present(&link, &challenge, &made),
            two.present(&link, &challenge, &made),
        );
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", a.text(), b.text());
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 2);
        assert!(app.passkeys(&ada).await.is_empty());
    })
    .await;
}

#[rocket::async_test]
async fn a_key_that_was_not_asked_for_answers_no_challenge() {
    on_sqlite(|plan| async move {
        let app = plan
            .set("passkeys.hints", true)
            .without_limits()
            .start()
            .await;
        let (ada, mallory) = (app.user(ADA).await, app.user(MALLORY).await);
        let mut adas = app.with_passkey(&ada, Key::new(), "first").await;
        let mut other = app.with_passkey(&mallory, Key::new(), "first").await;
        let before = app.admitted().await;
        // What was asked for ada, or for nobody, is answered by another's key.
        for who in [ADA, "nobody@example.com"] {
            for handle in [other.handle.clone(), None] {
                let browser = app.browser().in_json();
                let asked = browser
                    .post_json("/wan-signin", json!({"identity": who}))
                    .await;
                let mut key = Key {
                    handle,
                    ..other.clone()
                };
                let shown = key.get(&options(&asked));
                let answer = browser.present("/wan-signin", &asked, &shown).await;
                assert_refused(&answer, 400, "passkey.refused");
                assert_shut(&browser, &answer, before, who).await;
            }
        }
        // The one that was asked for is good, and without a name any key is.
        let browser = app.browser().in_json();
        let asked = browser
            .post_json("/wan-signin", json!({"identity": ADA}))
            .await;
        let shown = adas.get(&options(&asked));
        assert_eq!(
            browser.present("/wan-signin", &asked, &shown).await.status,
            200
        );
        let browser = app.browser().in_json();
        assert_eq!(browser.show("/wan-signin", &mut other).await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_passkey_added_after_the_question_answers_no_second_step_and_no_proof() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let key = app.with_passkey(&ada, Key::new(), "both").await;
        let browser = app.browser().in_json();
        browser.login(ADA, crate::app::PASSWORD).await;
        let second = browser.challenge("/wan-signin").await;
        let signed_in = app.browser().in_json();
        signed_in.sign_in_as(&ada, "mfa=true").await;
        let proof = signed_in.challenge("/wan-verify").await;
        let mut newer = Key::new();
        signed_in.add_passkey(&mut newer, "Newer", "both").await;
        for (actor, path, asked) in [
            (&browser, "/wan-signin", &second),
            (&signed_in, "/wan-verify", &proof),
        ] {
            let shown = newer.get(&options(asked));
            let answer = actor.present(path, asked, &shown).await;
            assert_refused(&answer, 400, "passkey.refused");
            let shown = key.clone().get(&options(asked));
            let answer = actor.present(path, asked, &shown).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    })
    .await;
}
