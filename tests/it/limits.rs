//! Limits of guessing: counted exactly, dodged by nothing, and no way to keep the owner out.

use std::time::Duration;

use rocket::futures::future::join_all;
use rocket_security::EventKind;
use serde_json::json;

use crate::app::{Actor, App, PASSWORD, Plan, WRONG, for_each_database};

async fn guess(actor: &Actor<'_>, identity: &str) -> u16 {
    let body = json!({"email": identity, "password": WRONG});
    actor.post_json("/login", body).await.status
}

async fn lock(app: &App, identity: &str) {
    let program = app.program();
    for n in 0..10 {
        assert_eq!(guess(&program, identity).await, 400, "guess {n}");
    }
    assert_eq!(guess(&program, identity).await, 429);
}

#[rocket::async_test]
async fn a_hundred_wrong_passwords_at_once_count_a_hundred() {
    for_each_database(|plan| async move {
        let app = plan
            .set("limits.per_account", 1_000)
            .set("limits.per_address", 1_000)
            .start()
            .await;
        app.user("ada@example.com").await;
        for email in ["ada@example.com", "nobody@example.com"] {
            app.sql("DELETE FROM security_failures").await;
            let spellings = [email.to_uppercase(), format!(" {email}"), email.to_string()];
            let asked = (0..100).map(|n| {
                let (program, identity) = (app.program(), spellings[n % 3].clone());
                async move { guess(&program, &identity).await }
            });
            let statuses = join_all(asked).await;
            assert!(statuses.iter().all(|status| *status == 400), "{statuses:?}");
            // The name and the address at least, each of them exactly.
            let counters = app
                .number("SELECT COUNT(*) AS n FROM security_failures")
                .await;
            assert!(counters >= 2, "{email}");
            let query = "SELECT COUNT(*) AS n FROM security_failures WHERE failures = 100";
            assert_eq!(app.number(query).await, counters, "{email}");
        }
        let failed = |kind: &EventKind| matches!(kind, EventKind::AuthenticationFailed { .. });
        assert_eq!(app.count(failed).await, 200);
        assert_eq!(app.admitted().await, 0);
    })
    .await;
}

#[rocket::async_test]
async fn after_too_many_failures_the_right_password_is_refused_until_the_lock_ends() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        for identity in ["ada@example.com", "nobody@example.com"] {
            lock(&app, identity).await;
            let answer = app
                .program()
                .post_json("/login", json!({"email": identity, "password": PASSWORD}))
                .await;
            assert_eq!(answer.status, 429);
            assert!(answer.is_envelope());
            assert_eq!(answer.header("Retry-After"), Some("900"));
            assert!(!answer.text().contains(identity), "{}", answer.text());
        }
        let stranger = app.browser();
        let page = stranger.login("ada@example.com", PASSWORD).await;
        assert_eq!(
            (page.status, page.header("Retry-After")),
            (429, Some("900"))
        );
        assert!(!stranger.is_signed_in().await);

        // Whoever keeps failing does not keep it shut.
        app.later(Duration::from_mins(14));
        for _ in 0..20 {
            assert_eq!(guess(&app.program(), "ada@example.com").await, 429);
        }
        app.later(Duration::from_secs(59));
        stranger.login("ada@example.com", PASSWORD).await;
        assert!(!stranger.is_signed_in().await, "a second too soon");
        app.later(Duration::from_secs(1));
        stranger.login("ada@example.com", PASSWORD).await;
        assert!(stranger.is_signed_in().await);
        let locked = |kind: &EventKind| matches!(kind, EventKind::Locked { user: Some(_), .. });
        assert_eq!(app.count(locked).await, 1, "told once");
    })
    .await;
}

#[rocket::async_test]
async fn a_lock_is_dodged_by_no_header_spelling_or_door() {
    for_each_database(|plan| async move {
        let app = plan.set("identities", ["email", "username"]).start().await;
        let ada = app
            .user_with("ada@example.com", |new| {
                new.username(rocket_security::Username::normalise("lovelace").unwrap())
            })
            .await;
        // A session that somebody stole, without the browser's other cookies.
        let thief = app.signed_in(&ada).await;
        thief.forget_cookie("security_device");
        lock(&app, "ada@example.com").await;
        for spelling in [
            "ADA@example.com",
            " ada@example.com",
            "ada@EXAMPLE.com\t",
            "ａda@example.com",
            "lovelace",
            "LoveLace ",
        ] {
            let answer = app
                .program()
                .post_json("/login", json!({"email": spelling, "password": PASSWORD}))
                .await;
            assert_eq!(answer.status, 429, "{spelling:?}");
        }
        for (name, value) in [
            ("X-Forwarded-For", "198.51.100.7"),
            ("X-Real-IP", "198.51.100.7"),
            ("Forwarded", "for=198.51.100.7"),
            ("User-Agent", "Another"),
        ] {
            let program = app.program().header(name, value).from("203.0.113.9");
            let answer = program
                .post_json(
                    "/login",
                    json!({"email": "ada@example.com", "password": PASSWORD}),
                )
                .await;
            assert_eq!(answer.status, 429, "{name}");
        }
        let basic = app.program().basic("ada@example.com", PASSWORD);
        assert_eq!(basic.get("/g/basic").await.status, 429);
        let answer = thief.post_form("/verify", &[("password", PASSWORD)]).await;
        assert_eq!(answer.status, 429);
    })
    .await;
}

#[rocket::async_test]
async fn every_door_counts() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let thief = app.signed_in(&ada).await;
    thief.forget_cookie("security_device");
    for _ in 0..5 {
        assert_eq!(
            thief
                .post_form("/verify", &[("password", WRONG)])
                .await
                .status,
            200
        );
        let basic = app.program().basic("ada@example.com", WRONG);
        assert_eq!(basic.get("/g/basic").await.status, 401);
    }
    assert_eq!(guess(&app.program(), "ada@example.com").await, 429);
}

#[rocket::async_test]
async fn the_owner_gets_in_by_a_known_device_while_others_are_locked_out() {
    for_each_database(|plan| async move {
        let app = plan.set("limits.per_address", 12).start().await;
        app.user("ada@example.com").await;
        app.user("eve@example.com").await;
        let owner = app.browser();
        owner.login("ada@example.com", PASSWORD).await;
        owner.logout().await;
        lock(&app, "ada@example.com").await;
        owner.login("ada@example.com", PASSWORD).await;
        assert!(owner.is_signed_in().await);
        owner.logout().await;
        // The lock stays for everybody else, whatever the owner does.
        assert_eq!(guess(&app.program(), "ada@example.com").await, 429);

        // A device known to one account is none to another.
        let eve = app.browser();
        eve.login("eve@example.com", PASSWORD).await;
        eve.logout().await;
        assert_eq!(eve.login("ada@example.com", PASSWORD).await.status, 429);
        // Nor is one with a mark that somebody made up, or one of junk.
        let device = owner.cookie("security_device").unwrap();
        let forged = format!("{}.{}", device.split('.').next().unwrap(), "A".repeat(22));
        for cookie in [
            forged.as_str(),
            "",
            ".",
            "junk",
            "\u{301}",
            "A".repeat(5_000).as_str(),
        ] {
            let forger = app.browser();
            forger.set_cookie("security_device", cookie);
            assert_eq!(forger.login("ada@example.com", PASSWORD).await.status, 429);
        }
        // A known device has a budget too.
        for _ in 0..10 {
            assert_eq!(owner.login("ada@example.com", WRONG).await.status, 200);
        }
        assert_eq!(owner.login("ada@example.com", PASSWORD).await.status, 429);
    })
    .await;
}

#[rocket::async_test]
async fn an_address_is_counted_over_all_accounts_and_a_network_of_ipv6_is_one() {
    let app = Plan::new().set("limits.per_address", 5).start().await;
    app.user("ada@example.com").await;
    for n in 0..5 {
        let program = app.program().from(&format!("2001:db8::{n:x}"));
        assert_eq!(guess(&program, &format!("user{n}@example.com")).await, 400);
    }
    let neighbour = app.program().from("2001:db8::ffff");
    assert_eq!(guess(&neighbour, "ada@example.com").await, 429);
    let elsewhere = app.program().from("2001:db8:0:1::1");
    assert_eq!(guess(&elsewhere, "ada@example.com").await, 400);
    // Signing in to an account of one's own washes nothing off the address.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(guess(&elsewhere, "ada@example.com").await);
    }
    assert_eq!(statuses, [400, 400, 400, 400]);
    let own = json!({"email": "ada@example.com", "password": PASSWORD});
    assert_eq!(elsewhere.post_json("/login", own).await.status, 429);
}

#[rocket::async_test]
async fn only_a_trusted_proxy_tells_who_the_client_is() {
    let app = Plan::new()
        .set("limits.per_address", 3)
        .set("trusted_proxies", ["10.0.0.0/8"])
        .set("base_url", "https://example.com")
        .start()
        .await;
    let by = |peer: &str, client: &str| app.program().from(peer).header("X-Forwarded-For", client);
    for n in 0..3 {
        assert_eq!(
            guess(
                &by("10.0.0.1", "6.6.6.6, 198.51.100.7"),
                &format!("a{n}@example.com")
            )
            .await,
            400
        );
    }
    // What stands left of the client may be written by anybody.
    assert_eq!(
        guess(&by("10.0.0.1", "9.9.9.9, 198.51.100.7"), "b@example.com").await,
        429
    );
    assert_eq!(
        guess(&by("10.0.0.1", "198.51.100.8"), "b@example.com").await,
        400
    );
    assert_eq!(
        guess(&by("198.51.100.7", "9.9.9.9"), "b@example.com").await,
        429
    );
}

#[rocket::async_test]
async fn a_success_forgives_what_came_before() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(guess(&app.program(), "ada@example.com").await, 400);
        }
        let right = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(app.program().post_json("/login", right).await.status, 200);
    }
    // And failures fade.
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(guess(&app.program(), "ada@example.com").await, 400);
        }
        app.later(Duration::from_mins(16));
    }
}

#[rocket::async_test]
async fn hostile_identities_are_counted_at_a_fixed_size() {
    let app = Plan::new().without_limits().start().await;
    for identity in [
        "x".repeat(50_000),
        "\u{202e}\u{200b}".repeat(100),
        "'; DROP TABLE users; --".into(),
        "\u{fdfa}".repeat(5_000),
    ] {
        assert_eq!(guess(&app.program(), &identity).await, 400);
    }
    let long = "SELECT COUNT(*) AS n FROM security_failures WHERE LENGTH(bucket) <> 43";
    assert_eq!(app.number(long).await, 0);
    assert!(
        app.number("SELECT COUNT(*) AS n FROM security_failures")
            .await
            >= 2
    );
}

#[rocket::async_test]
async fn the_page_of_a_lock_says_it_once_and_offers_the_way_on() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    lock(&app, "ada@example.com").await;
    let answer = app.browser().login("ada@example.com", PASSWORD).await;
    assert_eq!(answer.status, 429);
    let page = answer.text().replace("&#x2F;", "/");
    let main = page.split_once("<main").expect("the page").1;
    for (text, times) in [
        ("Too many attempts", 1),
        ("We limit how often", 0),
        ("we limit how often this can be tried", 0),
        ("we have sent its owner a link that unlocks it", 1),
        ("You can try again in about 15 minutes", 1),
        ("minutes", 1),
        ("seconds", 0),
    ] {
        assert_eq!(main.matches(text).count(), times, "{text}: {main}");
    }
    // The way on: the same page again, or a new password by mail.
    for (path, label) in [("/login", "Try again"), ("/reset", "password")] {
        let link = main.split_once(&format!("href=\"{path}\">"));
        let (_, rest) = link.unwrap_or_else(|| panic!("no link to {path}: {main}"));
        let (text, _) = rest.split_once("</a>").expect("its end");
        assert!(text.contains(label), "{path}: {text}");
        assert_eq!(app.browser().get(path).await.status, 200);
    }
}
