//! Second factors: setting them up, turning them off, browsers that are trusted, and what rests of
//! them. The second step itself is in `second_step.rs`.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use rocket::futures::future::join;
use rocket::tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use rocket_security::{Clock, EventKind, FactorKind, MailError, Sms, SmsSender, User};
use serde_json::{Value, json};

use crate::{
    app::{Actor, Answer, App, PASSWORD, Plan, SECRET, for_each_database, on_sqlite},
    smtp_server::{Behaviour, SmtpServer},
    with_factors::factors::{Authenticator, PENDING, Phones, REMEMBER, TRUSTED, six_digits},
    with_smtp::mailed::{NEW, SESSION, assert_refused, credentials},
};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const PHONE: &str = "+16502530000";

// Setting up.

#[rocket::async_test]
async fn an_authenticator_counts_from_its_first_code_on() {
    for_each_database(|plan| async move {
        let app = plan.set("site_name", "Open Sesame").start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let shown = browser.get("/tf-setup").await.json()["response"].clone();
        assert_eq!(
            shown["tf_available_methods"],
            json!(["authenticator", "email", "disable"])
        );
        assert_eq!(
            (&shown["tf_required"], &shown["tf_factors"]),
            (&json!(false), &json!([]))
        );
        let begun = browser
            .begin_setup(json!({"setup": "authenticator", "name": " My phone "}))
            .await;
        let phone = Authenticator::of(&begun);
        assert_eq!(phone.key.len(), 32);
        assert_eq!(
            begun["tf_authr_key"].as_str().unwrap().replace(' ', ""),
            phone.key
        );
        assert_eq!(begun["tf_authr_issuer"], "Open Sesame");
        assert_eq!(begun["tf_authr_username"], ADA);
        assert_eq!(begun["tf_method"], "authenticator");
        assert_eq!(begun["tf_primary_method"], "authenticator");
        assert!(begun["csrf_token"].is_string());
        let uri = url::Url::parse(begun["tf_authr_uri"].as_str().unwrap()).unwrap();
        assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")));
        let says = |name: &str| {
            uri.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        assert_eq!(says("secret").as_deref(), Some(phone.key.as_str()));
        assert_eq!(says("issuer").as_deref(), Some("Open Sesame"));

        // Nothing is there before the first code, and a wrong one changes nothing.
        let wrong = browser.type_first_code(&begun, &phone.wrong(&app)).await;
        assert_refused(&wrong, 400, "factor.code_wrong");
        assert_eq!(app.factors(&ada).await, 0);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_factors")
                .await,
            0
        );
        assert!(app.lets_in(ADA, PASSWORD).await);
        let answer = browser.type_first_code(&begun, &phone.code(&app)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["tf_method"], "authenticator");
        assert!(!answer.text().contains(&phone.key));
        let factors = app.store().factors_of(&ada.id).await.unwrap();
        assert_eq!(
            (factors[0].name.as_str(), factors[0].kind),
            ("My phone", FactorKind::Authenticator)
        );
        assert!(factors[0].second && !factors[0].first);
        assert!(!app.lets_in(ADA, PASSWORD).await);
        let added = |kind: &EventKind| matches!(kind, EventKind::FactorAdded { .. });
        assert_eq!(
            (app.count(added).await, app.count_mails(ADA, "factor_added")),
            (1, 1)
        );
        // The token is used up, and the key is shown no more.
        let again = browser.type_first_code(&begun, &phone.step(&app, 1)).await;
        assert_refused(&again, 400, "ticket.invalid");
        let shown = browser.get("/tf-setup").await.text();
        assert!(
            shown.contains("My phone") && !shown.contains(&phone.key),
            "{shown}"
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_person_sets_an_authenticator_up_by_the_pages() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let page = browser
            .submit("/tf-setup", &[("setup", "authenticator"), ("name", "")])
            .await;
        assert_eq!(page.status, 200);
        let text = page.text();
        assert!(
            text.contains("data:image&#x2F;svg+xml;base64,")
                || text.contains("data:image/svg+xml;base64,"),
            "{text}"
        );
        assert!(text.contains("otpauth:"), "{text}");
        assert!(text.contains("autocomplete=\"one-time-code\""), "{text}");
        let (_, key) = text.split_once("secret=").expect("a key");
        let phone = Authenticator {
            key: key[..32].into(),
        };
        let wrong = phone.wrong(&app);
        let page = browser.press(&page, &[("code", &wrong)]).await;
        assert!(
            page.status == 200 && page.text().contains("wrong or has expired"),
            "{}",
            page.text()
        );
        let code = phone.code(&app);
        let answer = browser.press(&page, &[("code", &code)]).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/tf-setup")));
        assert!(browser.reads(&answer, "The second factor is set up").await);
        assert!(browser.is_signed_in().await);
        let page = browser.get("/tf-setup").await.text();
        assert!(
            page.contains("Authenticator app") && !page.contains(&phone.key),
            "{page}"
        );
        let id = app.store().factors_of(&ada.id).await.unwrap()[0].id.clone();
        let answer = browser
            .post_form(&format!("/tf-setup/{id}/remove"), &[])
            .await;
        assert!(browser.reads(&answer, "removed").await);
        assert_eq!(app.factors(&ada).await, 0);
        assert!(app.lets_in(ADA, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn every_page_has_labels_and_names_its_code_field() {
    let plan = Plan::new()
        .set("two_factor.methods", ["authenticator", "email", "sms"])
        .set("two_factor.rescue_email", true)
        .set("two_factor.rescue_mail", "help@example.com")
        .security(|security| security.sms(Phones::default()));
    let app = plan.without_limits().start().await;
    let ada = app.user(ADA).await;
    let signed_in = app.signed_in(&ada).await;
    let mut pages = vec![signed_in.get("/tf-setup").await];
    for setup in ["authenticator", "email", "sms"] {
        let fields = [("setup", setup), ("phone", PHONE)];
        pages.push(signed_in.post_form("/tf-setup", &fields).await);
    }
    let phone = signed_in.in_json().add_authenticator().await;
    app.later(Duration::from_hours(1));
    let waiting = app.browser();
    waiting.login(ADA, PASSWORD).await;
    for path in ["/tf-validate", "/tf-select", "/tf-rescue", "/mf-recovery"] {
        pages.push(waiting.get(path).await);
    }
    let code = phone.code(&app);
    waiting
        .post_form(
            "/tf-validate",
            &[("code", &code), ("remember_device", "true")],
        )
        .await;
    for path in ["/tf-setup", "/tf-devices", "/mf-recovery-codes"] {
        pages.push(waiting.get(path).await);
    }
    pages.push(waiting.post_form("/mf-recovery-codes", &[]).await);
    let mut codes = 0;
    for page in pages {
        let text = page.text();
        assert_eq!(page.status, 200, "{text}");
        for input in text.split("<input ").chain(text.split("<select ")).skip(1) {
            let (input, _) = input.split_once('>').expect("its end");
            if input.contains("type=\"hidden\"") || !input.contains("name=\"") {
                continue;
            }
            let (_, id) = input.split_once("id=\"").expect("an id");
            let (id, _) = id.split_once('"').unwrap();
            assert!(text.contains(&format!("for=\"{id}\"")), "{id} in {text}");
            if input.contains("inputmode=\"numeric\"") {
                codes += 1;
                assert!(input.contains("autocomplete=\"one-time-code\""), "{input}");
            }
        }
        assert!(!text.contains("{{") && !text.contains("<script"), "{text}");
    }
    assert!(codes >= 4, "{codes}");
}

/// What a tool says, or nothing if it is not there and need not be.
fn tool(name: &str, args: &[&str], input: &[u8]) -> Option<String> {
    let spawned = Command::new(name)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let required = std::env::var("SECURITY_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.contains("factors"), "{name} is required: {error}");
            eprintln!("left out: {name} ({error})");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

#[rocket::async_test]
async fn codes_are_those_of_an_independent_implementation() {
    let app = Plan::new().without_limits().start().await;
    let ada = app.user(ADA).await;
    let phone = app.with_authenticator(&ada).await;
    for _ in 0..5 {
        app.later(Duration::from_secs(86_417));
        let now = rocket_security::Clock::now(&app.clock)
            .as_millis()
            .div_euclid(1_000);
        let at = format!("@{now}");
        let Some(code) = tool("oathtool", &["--totp", "-b", &phone.key, "--now", &at], b"") else {
            return;
        };
        assert_eq!(code, phone.code(&app));
        let waiting = app.waiting(ADA).await;
        let answer = waiting.validate(&code).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[rocket::async_test]
async fn the_picture_says_the_same_as_the_link() {
    let app = Plan::new()
        .set("site_name", "Ada & Söhne: Shop")
        .start()
        .await;
    let ada = app.user("ada+1@example.com").await;
    let browser = app.signed_in(&ada).await;
    let page = browser
        .post_form("/tf-setup", &[("setup", "authenticator")])
        .await
        .text();
    let decoded = page.replace("&#x2F;", "/").replace("&amp;", "&");
    let (_, picture) = decoded
        .split_once("data:image/svg+xml;base64,")
        .expect("a picture");
    let picture = picture.split('"').next().unwrap();
    let svg = data_encoding::BASE64
        .decode(picture.as_bytes())
        .expect("base64");
    let (_, uri) = decoded.split_once("href=\"otpauth:").expect("a link");
    let uri = format!("otpauth:{}", uri.split('"').next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("qr.svg"), folder.path().join("qr.png"));
    std::fs::write(&from, svg).unwrap();
    let screenshot = format!("--screenshot={}", to.display());
    let profile = format!("--user-data-dir={}", folder.path().display());
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=800,800",
        &profile,
        &screenshot,
        &format!("file://{}", from.display()),
    ];
    if tool("chromium", &args, b"").is_none() {
        return;
    }
    let Some(read) = tool("zbarimg", &["--raw", "-q", &to.display().to_string()], b"") else {
        return;
    };
    assert_eq!(read, uri);
}

#[rocket::async_test]
async fn only_what_is_offered_is_set_up_and_only_so_many() {
    on_sqlite(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        for setup in ["sms", "password", "AUTHENTICATOR", "", "recovery_code"] {
            let answer = browser
                .post_json("/tf-setup", json!({"setup": setup, "phone": PHONE}))
                .await;
            assert_refused(&answer, 400, "factor.unknown_method");
        }
        for n in 0..10 {
            browser.add_authenticator().await;
            assert_eq!(app.factors(&ada).await, n + 1);
            app.later(Duration::from_mins(2));
        }
        let answer = browser
            .post_json("/tf-setup", json!({"setup": "authenticator"}))
            .await;
        assert_refused(&answer, 400, "factor.too_many");
        let anonymous = app
            .program()
            .post_json("/tf-setup", json!({"setup": "email"}))
            .await;
        assert_refused(&anonymous, 400, "tf.no_pending");
    })
    .await;
}

#[rocket::async_test]
async fn whoever_has_not_confirmed_the_address_sets_no_factor_up() {
    for_each_database(|plan| async move {
        let app = plan.set("confirm.grace", "1 d").start().await;
        let eve = app.user_with(ADA, |new| new.confirmed(false)).await;
        let browser = app.signed_in(&eve).await.in_json();
        for setup in ["authenticator", "email"] {
            let answer = browser
                .post_json("/tf-setup", json!({"setup": setup}))
                .await;
            assert_refused(&answer, 400, "login.unconfirmed");
        }
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_tickets")
                .await,
            0
        );
    })
    .await;
}

// Whose set-up it is.

#[rocket::async_test]
async fn a_set_up_belongs_to_its_session_and_wants_a_fresh_one() {
    for_each_database(|plan| async move {
        let plan = plan
            .set("freshness.within", "30 min")
            .set("freshness.grace", 0);
        let app = plan
            .without_limits()
            .set("two_factor.pending", "5 h")
            .start()
            .await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let own = app.signed_in(&ada).await.in_json();
        let begun = own.begin_setup(json!({"setup": "authenticator"})).await;
        let phone = Authenticator::of(&begun);
        let others = [
            app.signed_in(&bob).await.in_json(),
            app.signed_in(&ada).await.in_json(),
        ];
        for other in &others {
            let answer = other.type_first_code(&begun, &phone.code(&app)).await;
            assert_refused(&answer, 400, "ticket.invalid");
        }
        let nobody = app.browser().in_json();
        let answer = nobody.type_first_code(&begun, &phone.code(&app)).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        let token = app.token(ADA).await;
        let program = app.program().token(&token);
        let answer = program.type_first_code(&begun, &phone.code(&app)).await;
        assert!(
            [400, 401, 403].contains(&answer.status),
            "{}",
            answer.text()
        );
        // By a stale session: not the first step, nor the second, nor turning off.
        app.later(Duration::from_mins(31));
        let answers = [
            own.type_first_code(&begun, &phone.code(&app)).await,
            own.post_json("/tf-setup", json!({"setup": "email"})).await,
            own.post_json("/tf-setup", json!({"setup": "disable"}))
                .await,
            own.post_json("/tf-setup/none/remove", json!({})).await,
            own.get("/tf-setup").await,
        ];
        for answer in answers {
            assert_eq!(answer.status, 401, "{}", answer.text());
            assert_eq!(answer.json()["response"]["reauth_required"], true);
        }
        assert_eq!((app.factors(&ada).await, app.factors(&bob).await), (0, 0));
        own.post_json("/verify", json!({"password": PASSWORD}))
            .await;
        own.finish_setup(&begun, &phone.code(&app)).await;
        assert_eq!((app.factors(&ada).await, app.factors(&bob).await), (1, 0));
        // A person is led back to the beginning.
        let browser = app.signed_in(&bob).await;
        let answer = browser
            .post_form("/tf-setup/AAAA", &[("code", "123456")])
            .await;
        assert_eq!((answer.status, answer.location()), (302, Some("/tf-setup")));
        assert!(browser.reads(&answer, "That took too long").await);
    })
    .await;
}

#[rocket::async_test]
async fn the_first_code_takes_few_guesses_and_a_new_set_up_ends_the_older() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let older = browser.begin_setup(json!({"setup": "authenticator"})).await;
        let begun = browser.begin_setup(json!({"setup": "email"})).await;
        let code = Authenticator::of(&older).code(&app);
        assert_refused(
            &browser.type_first_code(&older, &code).await,
            400,
            "ticket.invalid",
        );
        let right = app.code_to(ADA, "two_factor");
        let wrong = if right == "000000" {
            "000001"
        } else {
            "000000"
        };
        for _ in 0..5 {
            let answer = browser.type_first_code(&begun, wrong).await;
            assert_refused(&answer, 400, "factor.code_wrong");
        }
        assert_refused(
            &browser.type_first_code(&begun, &right).await,
            400,
            "ticket.invalid",
        );
        // And no longer than it waits.
        let begun = browser.begin_setup(json!({"setup": "authenticator"})).await;
        app.later(Duration::from_mins(10));
        let code = Authenticator::of(&begun).code(&app);
        assert_refused(
            &browser.type_first_code(&begun, &code).await,
            400,
            "ticket.invalid",
        );
        assert_eq!(app.factors(&ada).await, 0);
    })
    .await;
}

// What setting up and turning off ends.

#[rocket::async_test]
async fn the_first_factor_ends_every_other_session_and_goes_on_here() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user(ADA).await;
        let inside = app.inside(ADA).await;
        let own = app.browser();
        own.login_remembered(ADA, PASSWORD).await;
        let own = own.in_json();
        let phone = own.add_authenticator().await;
        assert_eq!(inside.still().await, [false; 3]);
        assert!(own.is_signed_in().await);
        own.forget_cookie(SESSION);
        assert!(own.is_signed_in().await, "it is remembered as before");
        // A session that came back by the cookie is not fresh, and has shown neither factor.
        let again = own.post_json("/verify", json!({"password": PASSWORD}));
        assert_eq!(again.await.codes(), ["denied.second_factor"]);
        let chosen = own.post_json("/tf-select", json!({"which": "authenticator"}));
        assert_eq!(chosen.await.status, 200);
        app.later(Duration::from_secs(30));
        assert_eq!(own.validate(&phone.code(&app)).await.status, 200);
        // A further one ends nobody's session.
        let other = own.copy();
        own.add_authenticator().await;
        assert!(own.is_signed_in().await && other.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn turning_off_tells_the_owner_and_leaves_nothing() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = app.waiting(ADA).await;
        let body = json!({"code": phone.code(&app), "remember_device": true});
        assert_eq!(browser.post_json("/tf-validate", body).await.status, 200);
        browser.post_json("/mf-recovery-codes", json!({})).await;
        assert_eq!(app.store().recovery_codes_left(&ada.id).await.unwrap(), 10);
        assert_eq!(
            app.store().trusted_devices_of(&ada.id).await.unwrap().len(),
            1
        );
        let begun = browser.begin_setup(json!({"setup": "authenticator"})).await;
        let answer = browser
            .post_json("/tf-setup", json!({"setup": "disable"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let code = Authenticator::of(&begun).code(&app);
        assert_refused(
            &browser.type_first_code(&begun, &code).await,
            400,
            "ticket.invalid",
        );
        assert_eq!(app.factors(&ada).await, 0);
        assert_eq!(app.store().recovery_codes_left(&ada.id).await.unwrap(), 0);
        assert_eq!(
            app.store().trusted_devices_of(&ada.id).await.unwrap().len(),
            0
        );
        let off = |kind: &EventKind| matches!(kind, EventKind::SecondFactorOff { .. });
        assert_eq!(
            (app.count(off).await, app.count_mails(ADA, "two_factor_off")),
            (1, 1)
        );
        assert!(app.lets_in(ADA, PASSWORD).await);
        // By the page.
        let phone = browser.add_authenticator().await;
        assert!(!phone.key.is_empty());
        let browser = browser.of_pages();
        let answer = browser
            .post_form("/tf-setup", &[("setup", "disable")])
            .await;
        assert_eq!((answer.status, answer.location()), (302, Some("/tf-setup")));
        assert!(browser.reads(&answer, "is off").await);
        assert_eq!(app.factors(&ada).await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn one_of_several_is_removed_and_nobody_elses() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        app.with_authenticator(&bob).await;
        let browser = app.signed_in(&ada).await.in_json();
        browser.add_authenticator().await;
        browser.add_authenticator().await;
        browser.post_json("/mf-recovery-codes", json!({})).await;
        let ids = |factors: Vec<rocket_security::FactorInfo>| -> Vec<String> {
            factors.into_iter().map(|factor| factor.id).collect()
        };
        let own = ids(app.store().factors_of(&ada.id).await.unwrap());
        let theirs = ids(app.store().factors_of(&bob.id).await.unwrap());
        let remove = |id: String| format!("/tf-setup/{id}/remove");
        for id in [
            theirs[0].clone(),
            "none".into(),
            rocket_security::SessionId::new().to_string(),
        ] {
            let answer = browser.post_json(&remove(id), json!({})).await;
            assert_eq!(answer.status, 404, "{}", answer.text());
        }
        assert_eq!(
            browser
                .post_json(&remove(own[0].clone()), json!({}))
                .await
                .status,
            200
        );
        assert_eq!((app.factors(&ada).await, app.factors(&bob).await), (1, 1));
        assert_eq!(app.store().recovery_codes_left(&ada.id).await.unwrap(), 10);
        assert_eq!(app.count_mails(ADA, "factor_removed"), 1);
        assert_eq!(
            browser
                .post_json(&remove(own[1].clone()), json!({}))
                .await
                .status,
            200
        );
        // With the last one goes what stood for it.
        assert_eq!(app.factors(&ada).await, 0);
        assert_eq!(app.store().recovery_codes_left(&ada.id).await.unwrap(), 0);
        assert!(app.lets_in(ADA, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn where_one_is_required_two_removals_at_once_leave_one() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("two_factor.required", true)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "").await;
        browser.add_authenticator().await;
        for _ in 0..3 {
            browser.add_authenticator().await;
            let factors = app.store().factors_of(&ada.id).await.unwrap();
            let paths: Vec<_> = factors
                .iter()
                .map(|factor| format!("/tf-setup/{}/remove", factor.id))
                .collect();
            let removals = paths.iter().map(|path| browser.post_json(path, json!({})));
            let answers = rocket::futures::future::join_all(removals).await;
            let done = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!((done, app.factors(&ada).await), (1, 1));
        }
    })
    .await;
}

// Trusted devices.

/// A browser in which an account is not asked.
async fn trusted<'a>(app: &'a App, phone: &Authenticator) -> Actor<'a> {
    let browser = app.waiting(ADA).await;
    let body = json!({"code": phone.code(app), "remember_device": true});
    let answer = browser.post_json("/tf-validate", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(browser.cookie(TRUSTED).is_some());
    browser.logout().await;
    app.later(Duration::from_mins(2));
    browser
}

/// Whether a password is enough in this browser.
async fn is_spared(browser: &Actor<'_>, password: &str) -> bool {
    let answer = browser
        .post_json("/login", credentials(ADA, password))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let spared = browser.is_signed_in().await;
    assert_eq!(answer.json()["response"]["tf_required"], !spared);
    spared
}

#[rocket::async_test]
async fn a_trusted_browser_is_not_asked_until_it_is_revoked() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = trusted(&app, &phone).await;
        let told = |kind: &EventKind| matches!(kind, EventKind::DeviceTrusted { .. });
        assert_eq!(
            (
                app.count(told).await,
                app.count_mails(ADA, "device_trusted")
            ),
            (1, 1)
        );
        let before = browser.cookie(TRUSTED);
        assert!(is_spared(&browser, PASSWORD).await);
        assert_ne!(browser.cookie(TRUSTED), before, "it changes at each use");
        // It is as if by one factor: what wants two wants the code still.
        assert_eq!(browser.get("/g/mfa").await.status, 401);
        // Elsewhere it is asked, and another account is asked here.
        app.waiting(ADA).await;
        let bob = app.user(BOB).await;
        app.with_authenticator(&bob).await;
        browser.logout().await;
        let answer = browser
            .post_json("/login", credentials(BOB, PASSWORD))
            .await;
        assert_eq!(answer.json()["response"]["tf_required"], true);
        assert!(!browser.is_signed_in().await);
        // Whose it is, sees it and ends it.
        let browser = trusted(&app, &phone).await;
        assert!(is_spared(&browser, PASSWORD).await);
        let devices = browser.get("/tf-devices").await.json()["response"]["devices"].clone();
        let list = devices.as_array().unwrap();
        assert_eq!(list.len(), 2, "{devices}");
        let here: Vec<&Value> = list
            .iter()
            .filter(|device| device["current"] == true)
            .collect();
        assert_eq!(here.len(), 1);
        let path = format!("/tf-devices/{}/revoke", here[0]["id"].as_str().unwrap());
        let other = app
            .signed_in(&app.user("eve@example.com").await)
            .await
            .in_json();
        assert_eq!(other.post_json(&path, json!({})).await.status, 404);
        // The trusted browser was spared the second factor, so it does not end one by itself.
        let spared = browser.post_json(&path, json!({})).await;
        assert_refused(&spared, 401, "denied.second_factor");
        app.later(Duration::from_mins(1));
        let strong = app.waiting(ADA).await;
        assert_eq!(strong.validate(&phone.code(&app)).await.status, 200);
        assert_eq!(strong.post_json(&path, json!({})).await.status, 200);
        let revoked = |kind: &EventKind| matches!(kind, EventKind::DeviceRevoked { .. });
        assert_eq!(app.count(revoked).await, 1);
        browser.logout().await;
        assert!(!is_spared(&browser, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn the_page_says_how_long_a_browser_would_be_trusted() {
    let app = Plan::new().set("two_factor.trust", "12h").start().await;
    let ada = app.user(ADA).await;
    app.with_authenticator(&ada).await;
    let browser = app.waiting(ADA).await.of_pages();
    let until = app.clock.now().after(Duration::from_hours(12)).to_text();
    let page = browser.get("/tf-validate").await.text();
    assert!(page.contains(&format!("Until {until}.")), "{page}");
}

#[rocket::async_test]
async fn whoever_shows_the_only_factor_later_is_not_told_of_several() {
    let app = App::new().await;
    let ada = app.user(ADA).await;
    let phone = app.with_authenticator(&ada).await;
    let owner = app.browser().in_json();
    owner.sign_in_as(&ada, "mfa=true").await;
    let made = owner.post_json("/mf-recovery-codes", json!({})).await;
    let recovery = made.json()["response"]["recovery_codes"][0].clone();
    let browser = trusted(&app, &phone).await;
    assert!(is_spared(&browser, PASSWORD).await);
    app.later(Duration::from_mins(2));
    let browser = browser.of_pages();
    let led = browser.get("/tf-setup").await;
    let page = browser.get(led.location().unwrap()).await;
    assert!(page.text().contains("Show your second factor"), "{led:?}");
    let id = app.store().factors_of(&ada.id).await.unwrap()[0].id.clone();
    browser.press(&page, &[("which", &id)]).await;
    // Whoever has lost it goes on from there, and not from before.
    assert!(!page.text().contains("tf-rescue"));
    assert!(
        browser
            .get("/tf-validate")
            .await
            .text()
            .contains("tf-rescue")
    );
    let lost = [("help_setup", "recovery_code")];
    let led = browser.submit("/tf-rescue", &lost).await;
    let code = [("code", recovery.as_str().unwrap())];
    let done = browser.submit(led.location().unwrap(), &code).await;
    assert_eq!(done.location(), Some("/tf-setup"));
    assert_eq!(browser.get("/tf-setup").await.status, 200);
}

#[rocket::async_test]
async fn trust_ends_with_its_time_a_new_password_a_changed_factor_and_an_old_copy() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = trusted(&app, &phone).await;
        app.later(Duration::from_hours(24 * 29));
        assert!(is_spared(&browser, PASSWORD).await);
        browser.logout().await;
        // Thirty days from the code, however often it is used.
        app.later(Duration::from_hours(24));
        assert!(!is_spared(&browser, PASSWORD).await);

        // An old copy opens nothing, and ends it for the newer one too.
        let browser = trusted(&app, &phone).await;
        let old = browser.cookie(TRUSTED).unwrap();
        assert!(is_spared(&browser, PASSWORD).await);
        browser.logout().await;
        let thief = app.browser().in_json();
        thief.set_cookie(TRUSTED, &old);
        assert!(!is_spared(&thief, PASSWORD).await);
        assert!(!is_spared(&browser, PASSWORD).await);

        // A further factor.
        let browser = trusted(&app, &phone).await;
        let owner = app.waiting(ADA).await;
        owner.validate(&phone.code(&app)).await;
        owner.add_authenticator().await;
        assert!(!is_spared(&browser, PASSWORD).await);
        app.later(Duration::from_mins(2));

        // One less.
        let browser = trusted_by_one_of_two(&app, &phone).await;
        let owner = browser.copy();
        assert!(is_spared(&owner, PASSWORD).await);
        let factors = app.store().factors_of(&ada.id).await.unwrap();
        let path = format!("/tf-setup/{}/remove", factors[1].id);
        // Being trusted is not enough for that.
        assert_eq!(owner.post_json(&path, json!({})).await.status, 401);
        let which = json!({"which": factors[0].id});
        owner.post_json("/tf-select", which).await;
        assert_eq!(owner.validate(&phone.code(&app)).await.status, 200);
        assert_eq!(owner.post_json(&path, json!({})).await.status, 200);
        owner.logout().await;
        assert!(!is_spared(&owner, PASSWORD).await);
        app.later(Duration::from_mins(2));

        // A new password.
        let browser = trusted(&app, &phone).await;
        let owner = app.waiting(ADA).await;
        owner.validate(&phone.code(&app)).await;
        let change =
            json!({"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW});
        assert_eq!(owner.post_json("/change", change).await.status, 200);
        assert!(!is_spared(&browser, NEW).await);
        assert_eq!(
            app.store().trusted_devices_of(&ada.id).await.unwrap().len(),
            0
        );
    })
    .await;
}

/// The same, where one of two factors is chosen first.
async fn trusted_by_one_of_two<'a>(app: &'a App, phone: &Authenticator) -> Actor<'a> {
    let browser = app.waiting(ADA).await;
    browser
        .post_json("/tf-select", json!({"which": "authenticator"}))
        .await;
    let body = json!({"code": phone.code(app), "remember_device": true});
    assert_eq!(browser.post_json("/tf-validate", body).await.status, 200);
    browser.logout().await;
    app.later(Duration::from_mins(2));
    browser
}

#[rocket::async_test]
async fn no_browser_is_trusted_where_that_is_off_or_the_factor_is_not_there_yet() {
    on_sqlite(|plan| async move {
        let app = plan
            .without_limits()
            .set("two_factor.trust_devices", false)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = app.waiting(ADA).await;
        assert!(
            !browser
                .get_with("/tf-validate", &[("Accept", "text/html")])
                .await
                .text()
                .contains("remember_device")
        );
        let body = json!({"code": phone.code(&app), "remember_device": true});
        assert_eq!(browser.post_json("/tf-validate", body).await.status, 200);
        assert_eq!(browser.cookie(TRUSTED), None);
        assert_eq!(browser.cookie(REMEMBER), None);
    })
    .await;
}

// Codes that are sent.

#[rocket::async_test]
async fn mailed_codes_are_good_once_for_a_while_and_the_newest_only() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("two_factor.pending", "1 h")
            .start()
            .await;
        let ada = app.user(ADA).await;
        app.with_mailed_codes(&ada).await;
        let id = app.store().factors_of(&ada.id).await.unwrap()[0].id.clone();
        let browser = app.waiting(ADA).await;
        let older = app.code_to(ADA, "two_factor");
        app.later(Duration::from_mins(1));
        let again = browser.post_json("/tf-select", json!({"which": id})).await;
        assert_eq!(again.status, 200, "{}", again.text());
        let newer = app.code_to(ADA, "two_factor");
        if older != newer {
            assert_refused(&browser.validate(&older).await, 400, "factor.code_wrong");
        }
        app.later(Duration::from_mins(15));
        assert_refused(&browser.validate(&newer).await, 400, "factor.code_wrong");
        browser
            .post_json("/tf-select", json!({"which": "email"}))
            .await;
        let code = app.code_to(ADA, "two_factor");
        let copy = browser.copy();
        assert_eq!(browser.validate(&code).await.status, 200);
        assert_refused(&copy.validate(&code).await, 400, "tf.no_pending");
        let sent = |kind: &EventKind| matches!(kind, EventKind::SecondFactorCodeSent { .. });
        assert_eq!(app.count(sent).await, 3);
        // A code of one sign-in is none of another.
        let (one, other) = (app.waiting(ADA).await, app.waiting(ADA).await);
        let code = app.code_to(ADA, "two_factor");
        if one.validate(&code).await.status == 200 {
            panic!("the code of another sign-in was taken");
        }
        assert_eq!(other.validate(&code).await.status, 200);
        // So many and no more, however often one begins.
        app.later(Duration::from_hours(1));
        let mut refused = 0;
        for _ in 0..8 {
            let answer = app.post("/login", credentials(ADA, PASSWORD)).await;
            refused += usize::from(answer.status != 200);
        }
        assert_eq!(refused, 3);
    })
    .await;
}

fn with_phones(plan: Plan, phones: &Phones) -> Plan {
    let phones = phones.clone();
    plan.set("two_factor.methods", ["authenticator", "sms"])
        .security(|security| security.sms(phones))
}

/// The code in the newest text message, of which there must be `count` by now.
async fn code_on(phones: &Phones, app: &App, count: usize) -> String {
    app.deliver().await;
    let received = phones.received();
    assert_eq!(received.len(), count, "{received:?}");
    assert_eq!(received[count - 1].phone, PHONE);
    six_digits(&received[count - 1].message)
}

#[rocket::async_test]
async fn a_number_with_its_country_is_kept_whatever_the_region() {
    for region in ["US", "DE", "FR"] {
        let phones = Phones::default();
        let plan = with_phones(Plan::new().set("sms.region", region), &phones);
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        for (count, typed) in [
            "+49 170 5551234",
            "+491705551234",
            "0049 170 555 12 34",
            "＋４９ １７０ ５５５１２３４",
        ]
        .into_iter()
        .enumerate()
        {
            let begun = browser
                .begin_setup(json!({"setup": "sms", "phone": typed}))
                .await;
            assert_eq!(begun["tf_phone"], "+491705551234", "{typed} in {region}");
            app.deliver().await;
            let received = phones.received();
            assert_eq!(received.len(), count + 1);
            assert_eq!(received[count].phone, "+491705551234");
            app.later(Duration::from_mins(2));
        }
    }
}

#[rocket::async_test]
async fn codes_go_to_a_phone() {
    on_sqlite(|plan| async move {
        let phones = Phones::default();
        let app = with_phones(plan, &phones).without_limits().start().await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let blank = json!({"setup": "sms", "phone": " "});
        let answer = browser.post_json("/tf-setup", blank).await;
        assert_refused(&answer, 400, "phone.required");
        for phone in [
            "1",
            "abc",
            "+4917",
            "+1650253000000000000",
            "650-253-0000 ext. 5",
            "+１６５０２５３００００x",
        ] {
            let body = json!({"setup": "sms", "phone": phone});
            let answer = browser.post_json("/tf-setup", body).await;
            assert_refused(&answer, 400, "phone.invalid");
            assert_eq!(answer.field_errors("phone").len(), 1);
        }
        let begun = browser
            .begin_setup(json!({"setup": "sms", "phone": "(650) 253-0000"}))
            .await;
        assert_eq!(begun["tf_phone"], PHONE);
        let code = code_on(&phones, &app, 1).await;
        // The code of another factor is none of this one.
        let authenticator = browser.begin_setup(json!({"setup": "authenticator"})).await;
        let code_of_app = Authenticator::of(&authenticator).code(&app);
        let begun = {
            assert_refused(
                &browser.type_first_code(&begun, &code).await,
                400,
                "ticket.invalid",
            );
            app.later(Duration::from_mins(1));
            browser
                .begin_setup(json!({"setup": "sms", "phone": PHONE}))
                .await
        };
        let code = code_on(&phones, &app, 2).await;
        if code != code_of_app {
            let answer = browser.type_first_code(&begun, &code_of_app).await;
            assert_refused(&answer, 400, "factor.code_wrong");
        }
        let answer = browser.type_first_code(&begun, &code).await;
        assert_eq!(
            answer.json()["response"]["tf_phone"],
            PHONE,
            "{}",
            answer.text()
        );
        app.later(Duration::from_mins(30));
        let waiting = app.waiting(ADA).await;
        let page = waiting
            .get_with("/tf-validate", &[("Accept", "text/html")])
            .await
            .text();
        assert!(page.contains("••••00") && !page.contains(PHONE), "{page}");
        let code = code_on(&phones, &app, 3).await;
        app.later(Duration::from_mins(5));
        assert_refused(&waiting.validate(&code).await, 400, "factor.code_wrong");
        waiting
            .post_json("/tf-select", json!({"which": "sms"}))
            .await;
        let code = code_on(&phones, &app, 4).await;
        assert_eq!(waiting.validate(&code).await.status, 200);
        assert!(waiting.is_signed_in().await);
        assert_eq!(
            app.mails_to(ADA)
                .iter()
                .filter(|mail| mail.kind == "two_factor")
                .count(),
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn without_a_sender_no_text_message_is_offered() {
    let refused = Plan::new()
        .set("two_factor.methods", ["sms"])
        .try_start()
        .await;
    assert!(refused.is_err());
}

/// Delivers the one text message that is due, to the local API, and answers what the request held.
async fn delivered_to(listener: &TcpListener, app: &App, status: &str) -> (String, String) {
    let (_, request) = join(app.deliver(), one_request(listener, status)).await;
    request
}

/// What one request to the local API held.
async fn one_request(listener: &TcpListener, status: &str) -> (String, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0u8; 4_096];
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length:")
                    .map(|n| n.trim().parse::<usize>().unwrap())
            })
            .unwrap_or(0);
        if body.len() >= length || read == 0 {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            return (head.to_string(), body.to_string());
        }
    }
}

#[rocket::async_test]
async fn the_api_of_twilio_is_asked_and_its_refusals_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let app = Plan::new()
        .set("two_factor.methods", ["sms"])
        .set("sms.transport", "twilio")
        .set("sms.url", &url)
        .set("sms.account", "AC123")
        .set("sms.token", "the token")
        .set("sms.from", "+15550100")
        .without_limits()
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let begin = async || {
        browser
            .begin_setup(json!({"setup": "sms", "phone": PHONE}))
            .await
    };
    let state = "SELECT COUNT(*) AS n FROM security_outbox WHERE state = 'waiting'";
    // Too many at once, and out of order: it waits for another try.
    for status in ["429 Too Many Requests", "500 Internal Server Error"] {
        begin().await;
        let (head, body) = delivered_to(&listener, &app, status).await;
        assert!(
            head.starts_with("POST /2010-04-01/Accounts/AC123/Messages.json "),
            "{head}"
        );
        let basic = data_encoding::BASE64.encode(b"AC123:the token");
        assert!(
            head.to_lowercase()
                .contains(&format!("authorization: basic {}", basic.to_lowercase())),
            "{head}"
        );
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["To", "From", "Body"]);
        assert_eq!(
            (fields[0].1.as_str(), fields[1].1.as_str()),
            (PHONE, "+15550100")
        );
        six_digits(&fields[2].1);
        assert_eq!(app.number(state).await, 1, "{status}");
        app.later(Duration::from_mins(1));
        let (_, again) = delivered_to(&listener, &app, "201 Created").await;
        assert_eq!(again, body, "the same message once more");
        assert_eq!(app.number(state).await, 0);
    }
    // A number that the API does not take is given up.
    let begun = begin().await;
    delivered_to(&listener, &app, "400 Bad Request").await;
    let lost = |kind: &EventKind| matches!(kind, EventKind::MailUndeliverable { .. });
    assert_eq!((app.count(lost).await, app.number(state).await), (1, 0));
    app.later(Duration::from_mins(1));
    let begun = {
        assert_eq!(begun["tf_phone"], PHONE);
        begin().await
    };
    let (_, body) = delivered_to(&listener, &app, "201 Created").await;
    let text = url::form_urlencoded::parse(body.as_bytes())
        .find(|(name, _)| name == "Body")
        .unwrap()
        .1
        .into_owned();
    browser.finish_setup(&begun, &six_digits(&text)).await;
    assert_eq!(app.factors(&ada).await, 1);
}

// Rescue.

#[rocket::async_test]
async fn whoever_lost_it_gets_a_code_by_mail_only_where_that_is_allowed() {
    for_each_database(|plan| async move {
        let app = plan.set("two_factor.rescue_email", true).start().await;
        let ada = app.user(ADA).await;
        app.with_authenticator(&ada).await;
        let browser = app.waiting(ADA).await;
        let offered = browser.get("/tf-rescue").await.json()["response"]["options"].clone();
        assert_eq!(offered, json!(["email"]));
        for way in ["help", "sms", ""] {
            let answer = browser
                .post_json("/tf-rescue", json!({"help_setup": way}))
                .await;
            assert_refused(&answer, 400, "factor.unknown_method");
        }
        let answer = browser
            .post_json("/tf-rescue", json!({"help_setup": "email"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser.has_nothing().await;
        let code = app.code_to(ADA, "rescue");
        assert_eq!(browser.validate(&code).await.status, 200);
        assert!(browser.is_signed_in().await && browser.cookie(TRUSTED).is_none());
        assert_eq!(app.factors(&ada).await, 1);
        // By the page.
        let browser = app.browser();
        browser.login(ADA, PASSWORD).await;
        let page = browser
            .submit("/tf-rescue", &[("help_setup", "email")])
            .await;
        assert!(
            page.status == 200 && page.text().contains("We have sent a code"),
            "{}",
            page.text()
        );
        let code = app.code_to(ADA, "rescue");
        let answer = browser.submit("/tf-validate", &[("code", &code)]).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/")),
            "{}",
            answer.text()
        );
        assert!(browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn rescue_by_mail_is_refused_where_it_is_off() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let ada = app.user(ADA).await;
        app.with_authenticator(&ada).await;
        let browser = app.waiting(ADA).await;
        let offered = browser.get("/tf-rescue").await.json()["response"]["options"].clone();
        // Nobody is sent to codes that were never made.
        assert_eq!(offered, json!([]));
        for way in ["email", "help"] {
            let answer = browser
                .post_json("/tf-rescue", json!({"help_setup": way}))
                .await;
            assert_refused(&answer, 400, "factor.unknown_method");
        }
        assert_eq!(app.count_mails(ADA, "rescue"), 0);
        let page = browser.of_pages().get("/tf-rescue").await.text();
        assert!(page.contains("There is no other method"), "{page}");
    })
    .await;
}

#[rocket::async_test]
async fn an_administrator_is_asked_for_help_and_not_flooded() {
    for_each_database(|plan| async move {
        let app = plan
            .set("two_factor.rescue_mail", "help@example.com")
            .start()
            .await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        app.with_authenticator(&ada).await;
        app.with_authenticator(&bob).await;
        for _ in 0..5 {
            let browser = app.waiting(ADA).await;
            for _ in 0..5 {
                let answer = browser
                    .post_json("/tf-rescue", json!({"help_setup": "help"}))
                    .await;
                assert!(
                    [200, 400, 429].contains(&answer.status),
                    "{}",
                    answer.text()
                );
            }
        }
        let mails = app.count_mails("help@example.com", "help");
        assert_eq!(mails, 1, "{mails}");
        let mail = app.newest("help@example.com", "help");
        assert!(mail.text.contains(ADA) && mail.html.contains(ADA));
        // One person's questions do not use up another's.
        let browser = app.waiting(BOB).await;
        browser
            .post_json("/tf-rescue", json!({"help_setup": "help"}))
            .await;
        assert_eq!(app.count_mails("help@example.com", "help"), 2);
        let asked = |kind: &EventKind| matches!(kind, EventKind::SecondFactorHelp { .. });
        assert_eq!(app.count(asked).await, 2, "told once for each mail");
    })
    .await;
}

// What rests.

const NEW_SECRET: &str = "QW5vdGhlci1zZWNyZXQtYW5vdGhlci1zZWNyZXQtOTg3NjU0";

#[rocket::async_test]
async fn seeds_go_over_to_a_new_secret_as_they_are_used() {
    for_each_database(|plan| async move {
        let old = plan.without_limits().start().await;
        let (ada, bob) = (old.user(ADA).await, old.user(BOB).await);
        let (phone, bobs) = (
            old.with_authenticator(&ada).await,
            old.with_authenticator(&bob).await,
        );
        let browser = old.waiting(ADA).await;
        browser.validate(&phone.code(&old)).await;
        let made = browser
            .post_json("/mf-recovery-codes", json!({}))
            .await
            .json();
        let recovery = made["response"]["recovery_codes"][0]
            .as_str()
            .unwrap()
            .to_string();

        let both = old
            .beside(|plan| plan.set("secret", [NEW_SECRET, SECRET]).without_limits())
            .await;
        both.later(Duration::from_hours(3));
        let browser = both.waiting(ADA).await;
        assert_eq!(browser.validate(&phone.code(&both)).await.status, 200);
        // Tags are not rewritten: they are good as long as the old secret is there.
        both.later(Duration::from_mins(2));
        let browser = both.waiting(ADA).await;
        let answer = browser
            .post_json("/mf-recovery", json!({"code": recovery}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());

        let new = old
            .beside(|plan| plan.set("secret", NEW_SECRET).without_limits())
            .await;
        new.later(Duration::from_hours(5));
        let browser = new.waiting(ADA).await;
        assert_eq!(browser.validate(&phone.code(&new)).await.status, 200);
        // Whoever was away meanwhile cannot be let in by what nobody can read, and it is no fault of ours.
        let browser = new.waiting(BOB).await;
        let answer = browser.validate(&bobs.code(&new)).await;
        assert_refused(&answer, 400, "factor.code_wrong");
    })
    .await;
}

/// Sends nothing, so that all messages wait; the mailbox of the harness has a copy.
struct Later;

#[rocket::async_trait]
impl SmsSender for Later {
    async fn send(&self, _: &Sms) -> Result<(), MailError> {
        Err(MailError::later("not now"))
    }
}

/// Whether a text has a code in it that is not a part of something longer.
fn says(text: &str, code: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == code)
}

#[rocket::async_test]
async fn no_table_holds_a_seed_a_code_or_a_token_in_clear() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        server.answer(Behaviour::TryLater);
        let is_sqlite = plan.is_sqlite();
        let methods = ["password", "email", "authenticator", "sms"];
        let app = plan
            .smtp(&server)
            .security(|security| security.sms(Later))
            .set("two_factor.methods", &methods[1..])
            .set("unified.enabled", true)
            .set("unified.methods", methods)
            .without_limits()
            .start()
            .await;
        let texted = || six_digits(&app.mails_to(PHONE).pop().unwrap().text);
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await.in_json();
        let (mut secrets, mut keys, mut codes) = (Vec::new(), Vec::new(), Vec::new());

        // One of each kind, and one that is not done.
        for kind in ["authenticator", "email", "sms", "authenticator"] {
            let body = json!({"setup": kind, "phone": PHONE, "name": "Mine"});
            let begun = browser.begin_setup(body).await;
            secrets.push(begun["tf_state_token"].as_str().unwrap().to_string());
            let code = match kind {
                "email" => app.code_to(ADA, "two_factor"),
                "sms" => texted(),
                _ => Authenticator::of(&begun).code(&app),
            };
            if kind == "authenticator" {
                keys.push(Authenticator::of(&begun).key);
            }
            if keys.len() < 2 {
                browser.finish_setup(&begun, &code).await;
            }
            codes.push(code);
        }
        let body = json!({"chosen_method": "authenticator"});
        let begun = browser.post_json("/us-setup", body).await.json()["response"].clone();
        secrets.push(begun["state"].as_str().unwrap().to_string());
        keys.push(begun["authr_b32key"].as_str().unwrap().to_string());
        let made = browser.post_json("/mf-recovery-codes", json!({})).await;
        for code in made.json()["response"]["recovery_codes"]
            .as_array()
            .unwrap()
        {
            let code = code.as_str().unwrap();
            secrets.extend([code.to_string(), code.replace('-', "")]);
        }

        // A sign-in that waits for a code, one that is done and trusted and remembered, and one by mail.
        app.later(Duration::from_hours(1));
        let waiting = app.browser().in_json();
        let mut body = credentials(ADA, PASSWORD);
        body["remember"] = true.into();
        waiting.post_json("/login", body).await;
        for kind in ["sms", "email"] {
            let chosen = waiting
                .post_json("/tf-select", json!({"which": kind}))
                .await;
            assert_eq!(chosen.status, 200, "{}", chosen.text());
        }
        codes.extend([texted(), app.code_to(ADA, "two_factor")]);
        let other = app.waiting(ADA).await;
        secrets.extend([waiting.cookie(PENDING), other.cookie(PENDING)].map(Option::unwrap));
        let body = json!({"code": codes.last(), "remember_device": true});
        let path = "/tf-validate?include_auth_token";
        let done = waiting.post_json(path, body).await.json()["response"].clone();
        let token = done["user"]["authentication_token"].as_str().unwrap();
        secrets.push(token.to_string());
        for cookie in [SESSION, REMEMBER, TRUSTED] {
            let cookie = waiting.cookie(cookie).unwrap();
            secrets.extend(cookie.split('.').map(String::from));
        }
        for kind in ["email", "sms"] {
            let body = json!({"identity": ADA, "chosen_method": kind});
            app.program().post_json("/us-signin/send-code", body).await;
        }
        let link = app.link_to(ADA, "unified");
        secrets.push(link.rsplit('/').next().unwrap().to_string());
        codes.push(app.code_to(ADA, "unified"));

        for key in &keys {
            let seed = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).unwrap();
            secrets.extend([
                data_encoding::BASE64.encode(&seed),
                data_encoding::BASE64URL_NOPAD.encode(&seed),
                data_encoding::HEXLOWER.encode(&seed),
                key.clone(),
            ]);
        }
        secrets.push(PASSWORD.to_string());
        let dump = app.dump().await;
        assert!(dump.iter().any(|text| text == ADA), "a dump it is");
        let waits = "SELECT COUNT(*) AS n FROM security_outbox WHERE body IS NOT NULL";
        assert!(app.number(waits).await >= 7, "codes wait to be sent");
        let told = app.events().await;
        let told = told.iter().map(|event| format!("{event:?}"));
        for text in dump.into_iter().chain(told) {
            for secret in &secrets {
                assert!(secret.len() >= 12, "{secret}");
                assert!(!text.contains(secret.as_str()), "{secret} in {text}");
            }
            for code in &codes {
                assert!(!says(&text, code), "{code} in {text}");
            }
        }
        // Nor is anything left in what the file has of deleted rows.
        for entry in std::fs::read_dir(app.dir.path()).unwrap().flatten() {
            let name = entry.file_name();
            if !is_sqlite || !name.to_string_lossy().starts_with("security.db") {
                continue;
            }
            let file = std::fs::read(entry.path()).unwrap();
            let has = |needle: &[u8]| file.windows(needle.len()).any(|part| part == needle);
            for secret in &secrets {
                assert!(!has(secret.as_bytes()), "{secret} in {name:?}");
            }
            for key in &keys {
                let seed = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).unwrap();
                assert!(!has(&seed), "the bytes of {key} in {name:?}");
            }
        }
    })
    .await;
}

// Taking the account back.

/// Changes the address of whoever is signed in; answers the path by which it is undone.
async fn change_address(browser: &Actor<'_>, from: &str, to: &str) -> String {
    let asked = browser
        .post_json("/change-email", json!({"email": to}))
        .await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let link = browser.app.link_to(to, "change_email");
    let done = browser.app.post(&link, json!({})).await;
    assert_eq!(done.status, 200, "{}", done.text());
    browser.app.link_to(from, "changed")
}

#[rocket::async_test]
async fn taking_an_address_back_removes_what_was_set_up_since() {
    for_each_database(|plan| async move {
        let app = plan
            .set("unified.enabled", true)
            .without_limits()
            .start()
            .await;
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let mut undo = Vec::new();
        let mut own = Vec::new();
        for user in [&ada, &bob] {
            own.push(app.with_authenticator(user).await);
            // Somebody else sits at the owner's open session.
            let thief = app.browser().in_json();
            thief.sign_in_as(user, "mfa=true").await;
            let made = thief.post_json("/mf-recovery-codes", json!({})).await;
            assert_eq!(made.status, 200, "{}", made.text());
        }
        app.later(Duration::from_hours(24 * 8));
        for (user, to) in [(&ada, "thief@example.org"), (&bob, "robber@example.org")] {
            let thief = app.browser().in_json();
            thief.sign_in_as(user, "mfa=true").await;
            // What is set up just before the change is as much theirs as what follows it.
            if user.id == ada.id {
                thief.add_authenticator().await;
            }
            app.later(Duration::from_mins(2));
            undo.push(change_address(&thief, &user.email, to).await);
        }
        app.later(Duration::from_mins(2));
        let thief = app.browser().in_json();
        thief.sign_in_as(&ada, "mfa=true").await;
        let theirs = thief.add_authenticator().await;
        let body = json!({"chosen_method": "authenticator"});
        let begun = thief.post_json("/us-setup", body).await.json()["response"].clone();
        let key = begun["authr_b32key"].as_str().unwrap().to_string();
        let passcode = Authenticator { key }.code(&app);
        let path = format!("/us-setup/{}", begun["state"].as_str().unwrap());
        let done = thief.post_json(&path, json!({"passcode": passcode})).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let made = thief.post_json("/mf-recovery-codes", json!({})).await;
        let code = made.json()["response"]["recovery_codes"][0].clone();
        app.later(Duration::from_hours(1));
        let waiting = app.waiting("thief@example.org").await;
        let body = json!({"which": app.store().factors_of(&ada.id).await.unwrap()[2].id});
        waiting.post_json("/tf-select", body).await;
        let body = json!({"code": theirs.code(&app), "remember_device": true});
        let done = waiting.post_json("/tf-validate", body).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let count = async |table: &str, user: &User| {
            let query = format!(
                "SELECT COUNT(*) AS n FROM {table} WHERE user_id = '{}'",
                user.id
            );
            app.number(&query).await
        };
        assert_eq!(count("security_factors", &ada).await, 4);
        assert_eq!(count("security_devices", &ada).await, 1);

        for (user, undo) in [&ada, &bob].into_iter().zip(&undo) {
            let answer = app.post(undo, json!({})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let recovery = app.link_to(&user.email, "recover");
            let new = crate::with_smtp::mailed::new_password(NEW);
            assert_eq!(app.post(&recovery, new).await.status, 200);
        }
        // Of hers, only what she had before is there; his recovery codes are older, and so good still.
        assert_eq!(count("security_factors", &ada).await, 1);
        assert_eq!(count("security_recovery_codes", &ada).await, 0);
        assert_eq!(count("security_devices", &ada).await, 0);
        assert_eq!(count("security_factors", &bob).await, 1);
        assert_eq!(app.store().recovery_codes_left(&bob.id).await.unwrap(), 10);
        app.later(Duration::from_hours(1));
        let browser = app.browser().in_json();
        browser.post_json("/login", credentials(ADA, NEW)).await;
        let wrong = browser.validate(&theirs.code(&app)).await;
        assert_refused(&wrong, 400, "factor.code_wrong");
        let wrong = browser
            .post_json("/mf-recovery", json!({"code": code}))
            .await;
        assert_refused(&wrong, 400, "mf.code_wrong");
        let right = browser.validate(&own[0].code(&app)).await;
        assert_eq!(right.status, 200, "{}", right.text());
    })
    .await;
}

#[rocket::async_test]
async fn a_browser_that_was_trusted_in_the_future_is_asked() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let browser = trusted(&app, &phone).await;
        let copy = browser.copy();
        // Clocks of two machines may differ by a minute; two have passed since it was trusted.
        app.clock.shift(-(120_000 + 59_000));
        assert!(is_spared(&browser, PASSWORD).await);
        browser.logout().await;
        app.clock.shift(-61_000);
        assert!(!is_spared(&browser, PASSWORD).await, "61 s ahead");
        // Ten days ahead the cookie of another browser does no more.
        app.clock.shift(-10 * 86_400_000);
        assert!(!is_spared(&copy, PASSWORD).await);
    })
    .await;
}

#[rocket::async_test]
async fn a_text_message_looks_like_one_in_the_development_mailbox() {
    let app = Plan::new()
        .set("two_factor.methods", ["authenticator", "sms"])
        .security(|security| security.sms(Phones::default()))
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let phone = "+16502530000";
    browser
        .begin_setup(json!({"setup": "sms", "phone": phone}))
        .await;
    let sms = app.mails_to(phone).pop().expect("a text message");
    let code = six_digits(&sms.text);
    let host = [("Host", "localhost:8000")];
    let list = app.browser().get_with("/dev/mail", &host).await;
    assert_eq!(list.status, 200);
    let listed = app.browser().in_json().get_with("/dev/mail", &host).await;
    let listed = listed.json()["response"]["mails"][0].clone();
    assert_eq!(
        (&listed["is_sms"], &listed["to"], &listed["has_html"]),
        (&json!(true), &json!(phone), &json!(false))
    );
    let path = format!("/dev/mail/{}", listed["id"]);
    let page = app.browser().get_with(&path, &host).await;
    assert_eq!(page.status, 200);
    let main = |text: String| {
        text.split_once("<main")
            .expect("the page")
            .1
            .replace("&#x2F;", "/")
    };
    let (list, page) = (main(list.text()), main(page.text()));
    // It has its words and its number, and nothing of a mail.
    for page in [&list, &page] {
        for there in ["Text message", &code, phone] {
            assert!(page.contains(there), "{there}: {page}");
        }
        for missing in ["(no subject)", "<dt>From</dt>", "<iframe"] {
            assert!(!page.contains(missing), "{missing}: {page}");
        }
    }
    let link = list
        .split_once(&format!("href=\"{path}\">"))
        .expect("a link")
        .1;
    assert!(link.starts_with(&code), "the list shows its words: {link}");
}

#[rocket::async_test]
async fn what_another_version_stored_of_a_factor_opens_nothing_and_breaks_nothing() {
    for_each_database(|plan| async move {
        let app = plan
            .without_limits()
            .set("unified.enabled", true)
            .start()
            .await;
        let ada = app.user(ADA).await;
        let phone = app.with_authenticator(&ada).await;
        let good = async |answer: Answer, what: &str| {
            assert!(answer.status < 500, "{what}: {}", answer.text());
            answer
        };
        // The ticket of a sign-in that waits, and of a set-up.
        let waiting = app.waiting(ADA).await;
        let browser = app.browser().in_json();
        browser.sign_in_as(&ada, "mfa=true").await;
        let begun = browser.begin_setup(json!({"setup": "authenticator"})).await;
        let set_up = format!("/tf-setup/{}", begun["tf_state_token"].as_str().unwrap());
        // A key that was sealed under a secret which is gone.
        app.sql(
            "UPDATE security_tickets SET payload = REPLACE(payload, '\"secret\":\"', '\"secret\":\"x')",
        )
        .await;
        for pages in [false, true] {
            let asker = match pages {
                true => browser.copy().of_pages(),
                false => browser.copy(),
            };
            let answer = asker.post_form(&set_up, &[("code", "123456")]).await;
            assert_eq!(good(answer, "its code").await.status, 400);
        }
        app.sql("UPDATE security_tickets SET payload = '{}'").await;
        for path in ["/tf-validate", "/tf-select", "/tf-rescue", "/mf-recovery"] {
            let answer = good(waiting.get(path).await, path).await;
            assert_eq!(answer.codes(), ["tf.no_pending"], "{path}");
        }
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(!waiting.is_signed_in().await);
        let answer = browser.post_json(&set_up, json!({"code": "123456"})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(app.factors(&ada).await, 1);
        // The seed of an authenticator.
        app.sql("UPDATE security_factors SET secret = 'of another version'")
            .await;
        let waiting = app.waiting(ADA).await;
        let answer = waiting.validate(&phone.code(&app)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        for path in ["/tf-setup", "/us-setup", "/us-verify", "/mf-recovery-codes"] {
            good(browser.get(path).await, path).await;
            good(browser.copy().of_pages().get(path).await, path).await;
        }
        // Its kind.
        app.sql("UPDATE security_factors SET kind = 'pigeon'").await;
        for path in ["/tf-setup", "/us-setup", "/us-verify", "/mf-recovery-codes"] {
            good(browser.get(path).await, path).await;
            good(browser.copy().of_pages().get(path).await, path).await;
        }
        let program = app.program();
        good(program.login(ADA, PASSWORD).await, "/login").await;
    })
    .await;
}
