//! Which addresses are one mailbox, and which may have an account: what a person types is helped, what a program
//! says is taken letter for letter, and what no mail can be sent to gets no account.

use rocket::{post, routes};
use rocket_security::{EmailAddress, Error, Invalid, Invitation, prelude::*};
use serde_json::json;

use crate::{
    app::{PASSWORD, Plan, for_each_database},
    smtp_server::SmtpServer,
    with_smtp::mailed::link_in,
    with_social::provider::{Person, Provider},
    with_social::social::{START, accounts, app_of, led},
};

/// Addresses that stand for another by Unicode's normalisation or by full case folding, and that other.
const LIKE: [(&str, &str); 12] = [
    ("ｖictim@example.com", "victim@example.com"),
    ("ﬁsher@example.com", "fisher@example.com"),
    ("ſam@example.com", "sam@example.com"),
    ("\u{212A}elvin@example.com", "kelvin@example.com"),
    ("ªda@example.com", "ada@example.com"),
    ("bob²@example.com", "bob2@example.com"),
    ("𝐞ve@example.com", "eve@example.com"),
    ("ⓔmma@example.com", "emma@example.com"),
    ("ⅷ@example.com", "viii@example.com"),
    ("a․b@example.com", "a.b@example.com"),
    ("straße@example.com", "strasse@example.com"),
    ("mıke@example.com", "mike@example.com"),
];

/// Those that no mail can be sent to, or by no server that takes ASCII alone.
const ODD: [&str; 22] = [
    "संपर्क@example.com",
    "josé@example.com",
    "用户@example.com",
    "ada@",
    "@example.com",
    "ada",
    "ada@localhost",
    "ada@127.0.0.1",
    "ada@[127.0.0.1]",
    "\"ada\"@example.com",
    "\"a b\"@example.com",
    "ada@example..com",
    "ada@-example.com",
    "ada@ex_ample.com",
    "ada.@example.com",
    ".ada@example.com",
    "a..da@example.com",
    "ada@eve@example.com",
    "ada@example.com,eve@example.com",
    "Ada <ada@example.com>",
    "ada@example.com\u{0}",
    "ada@example.com\r\nBcc: eve@example.com",
];

#[derive(serde::Deserialize)]
struct Guest {
    email: String,
}

#[post("/team", data = "<guest>")]
async fn team(_who: Public, auth: Auth<'_>, guest: Input<Guest>) -> Result<String, Error> {
    let email =
        EmailAddress::parse(&guest.email).map_err(|message| Invalid::field("email", message))?;
    Ok(auth.invite(&Invitation::new(email)).await?.email)
}

#[rocket::async_test]
async fn a_provider_enters_no_account_whose_address_is_written_otherwise() {
    for international in [false, true] {
        for_each_database(|plan| async move {
            let provider = Provider::start();
            let plan = plan
                .set("emails.international", international)
                .set("social.match_email", ["example"]);
            let app = app_of(plan, &provider).await;
            for (_, plain) in LIKE {
                app.user(plain).await;
            }
            for (n, (written, plain)) in LIKE.into_iter().enumerate() {
                provider.signed_in(Person::new(&n.to_string(), written));
                let browser = app.browser();
                let back = provider.consent(&led(&browser, START).await).await;
                browser.get(&back).await;
                assert_ne!(browser.get("/me").await.text(), plain, "{written}");
            }
            // Case and the names of domains are no letters of another mailbox.
            let before = accounts(&app).await;
            provider.signed_in(Person::new("case", "VICTIM@Example.COM"));
            let browser = app.browser();
            let back = provider.consent(&led(&browser, START).await).await;
            browser.get(&back).await;
            assert_eq!(browser.get("/me").await.text(), "victim@example.com");
            assert_eq!(accounts(&app).await, before + 1);
        })
        .await;
    }
}

#[rocket::async_test]
async fn whoever_types_a_compatibility_form_means_the_stored_address() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let app = plan.smtp(&server).without_limits().start().await;
        for (written, plain) in LIKE.into_iter().take(10) {
            app.user(plain).await;
            let browser = app.browser();
            assert_eq!(browser.login(written, PASSWORD).await.status, 302, "{written}");
            let visitor = app.program();
            visitor
                .post_json("/reset", json!({"email": written}))
                .await;
            app.deliver().await;
            server.newest_to(plain);
            assert!(server.to(written).is_empty(), "{written}");
        }
        // A new account gets the plain address, and so does its mail.
        let answer = app
            .program()
            .post_json(
                "/register",
                json!({"email": "ｎew@example.com", "password": PASSWORD, "password_confirm": PASSWORD}),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        app.deliver().await;
        let mail = server.newest_to("new@example.com");
        assert!(!link_in(&mail).is_empty());
        let letters = "SELECT COUNT(*) AS n FROM users WHERE email = 'new@example.com'";
        assert_eq!(app.number(letters).await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn mails_go_to_the_address_that_is_stored_and_to_no_other_spelling() {
    for_each_database(|plan| async move {
        let server = SmtpServer::start().await;
        let plan = plan.smtp(&server).without_limits().mount(routes![team]);
        let app = plan.start().await;
        app.user("Ada@example.com").await;
        let register = json!({
            "email": "aDA@example.com", "password": PASSWORD, "password_confirm": PASSWORD
        });
        app.program().post_json("/register", register).await;
        app.program()
            .post_json("/reset", json!({"email": "ADA@example.com"}))
            .await;
        app.deliver().await;
        let mails = server.received();
        assert_eq!(mails.len(), 2);
        assert!(
            mails
                .iter()
                .all(|mail| mail.recipients == ["Ada@example.com"]),
            "{mails:?}"
        );
        for typed in ["Bob@example.com", "BOB@example.com"] {
            let answer = app
                .program()
                .post_json("/team", json!({"email": typed}))
                .await;
            assert_eq!(answer.text(), "Bob@example.com");
        }
        app.deliver().await;
        let mails = server.received().split_off(2);
        assert_eq!(mails.len(), 2);
        assert!(
            mails
                .iter()
                .all(|mail| mail.recipients == ["Bob@example.com"]),
            "{mails:?}"
        );
    })
    .await;
}

#[rocket::async_test]
async fn only_an_address_that_can_be_mailed_gets_an_account() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().mount(routes![team]).start().await;
        let user = app.user("first@example.com").await;
        let ada = app.signed_in(&user).await.in_json();
        for odd in ODD {
            let register = json!({
                "email": odd, "password": PASSWORD, "password_confirm": PASSWORD
            });
            let answer = app.program().post_json("/register", register).await;
            assert_eq!(answer.status, 400, "{odd:?}: {}", answer.text());
            assert_eq!(answer.field_errors("email").len(), 1, "{odd:?}");
            let answer = ada.post_json("/change-email", json!({"email": odd})).await;
            assert_eq!(answer.status, 400, "{odd:?}: {}", answer.text());
            assert_eq!(answer.field_errors("email").len(), 1, "{odd:?}");
            let answer = app
                .program()
                .post_json("/team", json!({"email": odd}))
                .await;
            assert_eq!(answer.status, 400, "{odd:?}: {}", answer.text());
        }
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 1);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM security_outbox")
                .await,
            0
        );
    })
    .await;
}

#[rocket::async_test]
async fn letters_beyond_ascii_are_mailed_where_the_setting_says_so() {
    let server = SmtpServer::start().await;
    let plan = Plan::new().smtp(&server).set("emails.international", true);
    let app = plan.without_limits().start().await;
    for email in ["संपर्क@example.com", "josé@example.com", "用户@例子.广告"] {
        let register = json!({
            "email": email, "password": PASSWORD, "password_confirm": PASSWORD
        });
        let answer = app.program().post_json("/register", register).await;
        assert_eq!(answer.status, 200, "{email}: {}", answer.text());
        let stored = EmailAddress::parse(email).unwrap();
        app.deliver().await;
        let mail = server.newest_to(stored.address());
        assert!(!link_in(&mail).is_empty());
    }
}

#[rocket::async_test]
async fn the_server_is_greeted_by_the_name_of_the_site() {
    for (ehlo, expected) in [
        (None, "localhost"),
        (Some("app.example.com"), "app.example.com"),
    ] {
        let server = SmtpServer::start().await;
        let plan = Plan::new()
            .smtp(&server)
            .set("base_url", "http://localhost:8000");
        let plan = match ehlo {
            Some(name) => plan.set("mail.ehlo", name),
            None => plan,
        };
        let app = plan
            .set(
                "mail.from",
                "\"Bücher, \\\"Ada\\\" & Co.\" <no-reply@example.com>",
            )
            .start()
            .await;
        app.user("ada@example.com").await;
        app.program()
            .post_json("/reset", json!({"email": "ada@example.com"}))
            .await;
        app.deliver().await;
        let mail = server.newest_to("ada@example.com");
        assert_eq!(
            server.greetings().last().map(String::as_str),
            Some(expected)
        );
        let (headers, _) = mailparse::parse_headers(mail.raw.as_bytes()).unwrap();
        let from = headers
            .iter()
            .find(|one| one.get_key_ref() == "From")
            .unwrap();
        let parsed = mailparse::addrparse_header(from).unwrap();
        let [mailparse::MailAddr::Single(single)] = parsed.as_slice() else {
            panic!("{parsed:?}");
        };
        assert_eq!(single.addr, "no-reply@example.com");
        assert_eq!(
            single.display_name.as_deref(),
            Some("Bücher, \"Ada\" & Co.")
        );
    }
    for wrong in ["", "my host", "a_b", "127.0.0.1", "x\r\ny"] {
        let plan = Plan::new().set("mail.ehlo", wrong);
        assert!(plan.try_start().await.is_err(), "{wrong:?}");
    }
}
