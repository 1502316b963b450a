//! Making an account: what is refused, what nobody learns, and that there is only ever one.

use diesel::prelude::*;
use rocket::futures::future::join_all;
use rocket_security::{EventKind, Form, StoreError};
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, for_each_database};

fn form(email: &str) -> serde_json::Value {
    json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD})
}

#[rocket::async_test]
async fn twenty_registrations_of_one_address_make_one_account() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let spellings = [
            "ada@example.com",
            "ADA@example.com",
            " ada@EXAMPLE.com",
            "ada@example.com ",
        ];
        let asked = (0..20).map(|n| {
            let program = app.program();
            async move { program.post_json("/register", form(spellings[n % 4])).await }
        });
        for answer in join_all(asked).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!(app.store().count_users().await.unwrap(), 1);
        assert_eq!(
            app.count(|kind| matches!(kind, EventKind::Registered { .. }))
                .await,
            1
        );
        let collisions = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::RegistrationCollision {
                    existing_email: true,
                    ..
                }
            )
        };
        assert_eq!(app.count(collisions).await, 19);
    })
    .await;
}

#[rocket::async_test]
async fn twenty_registrations_on_a_telling_site_make_one_account() {
    for_each_database(|plan| async move {
        let app = plan.telling().start().await;
        let asked = (0..20).map(|_| {
            let program = app.program();
            async move {
                program
                    .post_json("/register", form("ada@example.com"))
                    .await
            }
        });
        let answers = join_all(asked).await;
        let count = |status: u16| {
            answers
                .iter()
                .filter(|answer| answer.status == status)
                .count()
        };
        assert_eq!((count(200), count(400)), (1, 19));
        assert_eq!(app.store().count_users().await.unwrap(), 1);
    })
    .await;
}

#[rocket::async_test]
async fn a_taken_address_is_answered_like_a_free_one_and_its_owner_is_told() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("taken@example.com").await;
        let mut seen = Vec::new();
        for email in ["taken@example.com", "free@example.com"] {
            let before = app.hashes_done();
            let answer = app.program().post_json("/register", form(email)).await;
            let hashes = app.hashes_done() - before;
            let mut json = answer.json();
            json["response"]
                .as_object_mut()
                .unwrap()
                .remove("csrf_token");
            let browser = app.browser();
            let html = browser
                .post_form(
                    "/register",
                    &[
                        ("email", email),
                        ("password", PASSWORD),
                        ("password_confirm", PASSWORD),
                    ],
                )
                .await;
            assert!(!browser.is_signed_in().await, "that would be the answer");
            seen.push((
                answer.status,
                json,
                hashes,
                html.status,
                html.location().map(String::from),
            ));
        }
        assert_eq!(seen[0], seen[1]);
        let subjects = |to: &str| {
            app.mails_to(to)
                .iter()
                .map(|mail| mail.subject.clone())
                .collect::<Vec<_>>()
        };
        assert!(
            subjects("taken@example.com")
                .iter()
                .all(|subject| subject.contains("already"))
        );
        assert!(subjects("free@example.com")[0].starts_with("Confirm"));
        assert_eq!(app.admitted().await, 0);
        // The owner's account is as it was.
        let owner = app.browser();
        owner.login("taken@example.com", PASSWORD).await;
        assert!(owner.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn a_taken_username_is_told_to_whoever_holds_the_address_only() {
    for_each_database(|plan| async move {
        let app = plan
            .set("identities", ["email", "username"])
            .set("register.username", "required")
            .start()
            .await;
        let with_name = |email: &str, username: &str| {
            let mut body = form(email);
            body["username"] = username.into();
            body
        };
        let program = app.program();
        assert_eq!(
            program
                .post_json("/register", with_name("ada@example.com", "lovelace"))
                .await
                .status,
            200
        );
        let taken = program
            .post_json("/register", with_name("eve@example.com", "LOVELACE"))
            .await;
        assert_eq!(taken.status, 200);
        assert_eq!(app.store().count_users().await.unwrap(), 1);
        assert_eq!(app.mails_to("eve@example.com").len(), 1);
        assert!(
            app.mails_to("eve@example.com")[0]
                .subject
                .contains("another username")
        );
        assert_eq!(
            app.mails_to("ada@example.com").len(),
            1,
            "the welcome alone"
        );
        for (name, code) in [
            ("admin", "username.reserved"),
            ("root", "username.reserved"),
            ("login", "username.reserved"),
            ("a@b.de", "username.invalid"),
            ("12345", "username.invalid"),
        ] {
            let answer = program
                .post_json("/register", with_name("bob@example.com", name))
                .await;
            assert_eq!(
                (answer.status, answer.codes()),
                (400, vec![code.to_string()]),
                "{name}"
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_telling_site_signs_in_and_says_what_is_taken() {
    let app = Plan::new().telling().start().await;
    let browser = app.browser();
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let answer = browser.post_form("/register?next=/me", &fields).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/me")));
    assert!(browser.is_signed_in().await);
    let answer = app
        .program()
        .post_json("/register", form("Ada@Example.com"))
        .await;
    assert_eq!(
        (answer.status, answer.codes()),
        (400, vec!["email.taken".to_string()])
    );
    let answer = app
        .program()
        .post_json("/register?include_auth_token", form("bob@example.com"))
        .await;
    let token = answer.json()["response"]["user"]["authentication_token"]
        .as_str()
        .unwrap()
        .to_string();
    assert_eq!(
        app.program().token(&token).get("/me").await.text(),
        "bob@example.com"
    );
}

#[rocket::async_test]
async fn everything_wrong_is_said_at_once() {
    let app = App::new().await;
    let body = json!({"email": "nonsense", "password": "short", "password_confirm": "other"});
    let answer = app.program().post_json("/register", body).await;
    assert_eq!(answer.status, 400);
    for field in ["email", "password", "password_confirm"] {
        assert_eq!(
            answer.field_errors(field).len(),
            1,
            "{field}: {}",
            answer.text()
        );
    }
    assert_eq!(
        answer.json()["response"]["errors"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    // The same as a page: shown again with what was typed, but for the passwords.
    let browser = app.browser();
    let fields = [
        ("email", "nonsense"),
        ("password", "short-canary"),
        ("password_confirm", "other-canary"),
    ];
    let answer = browser.post_form("/register", &fields).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("nonsense") && !answer.text().contains("canary"));
    assert_eq!(app.store().count_users().await.unwrap(), 0);
}

#[rocket::async_test]
async fn poor_passwords_are_refused_with_the_reason() {
    let app = Plan::new()
        .set("site_name", "Wonderland Club")
        .start()
        .await;
    for (password, code) in [
        ("", "password.required"),
        ("short1!", "password.too_short"),
        ("password1", "password.common"),
        ("ada.lovelace@example.com", "password.similar"),
        ("Wonderland Club", "password.similar"),
    ] {
        let body = json!({"email": "ada.lovelace@example.com", "password": password, "password_confirm": password});
        let answer = app.program().post_json("/register", body).await;
        assert_eq!(
            (answer.status, answer.codes()),
            (400, vec![code.to_string()]),
            "{password:?}"
        );
    }
    let long = "correct horse ".repeat(10);
    let body = json!({"email": "ada@example.com", "password": long, "password_confirm": long});
    assert_eq!(
        app.program().post_json("/register", body).await.codes(),
        ["password.too_long"]
    );
}

#[rocket::async_test]
async fn a_password_is_taken_whole_and_however_it_is_typed() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let hundred = format!("{}tail-a", "pass phrase é ".repeat(6));
        for (n, (typed, again, right)) in [
            ("cafe\u{301} au lait", "caf\u{e9} au lait", true),
            ("  spaces stay  ", "spaces stay", false),
            (
                "\u{1f511}\u{1f40e}\u{1f50b} emoji",
                "\u{1f511}\u{1f40e}\u{1f50b} emoji",
                true,
            ),
            (hundred.as_str(), &hundred[..72.min(hundred.len())], false),
        ]
        .into_iter()
        .enumerate()
        {
            let email = format!("user{n}@example.com");
            let body = json!({"email": email, "password": typed, "password_confirm": typed});
            let answer = app.program().post_json("/register", body).await;
            assert_eq!(answer.status, 200, "{typed:?}: {}", answer.text());
            let login = |password: &str| json!({"email": email, "password": password});
            assert_eq!(
                app.program().post_json("/login", login(typed)).await.status,
                200,
                "{typed:?}"
            );
            let status = app.program().post_json("/login", login(again)).await.status;
            assert_eq!(status == 200, right, "{again:?}");
        }
    })
    .await;
}

diesel::table! {
    users (id) {
        id -> Text,
        nickname -> Nullable<Text>,
    }
}

#[derive(Default, serde::Serialize, serde::Deserialize, validator::Validate)]
struct Extra {
    #[validate(length(max = 10))]
    nickname: String,
    age: u8,
    newsletter: bool,
}

#[rocket::async_test]
async fn an_application_fills_its_own_columns_in_the_same_transaction() {
    for_each_database(|plan| async move {
        let app = plan
            .telling()
            .security(|security| {
                security
                    .fields::<Extra>(Form::Register)
                    .on_register(|conn, user, extra| {
                        let nickname = extra.get("nickname").and_then(|name| name.as_str());
                        diesel::update(users::table.find(user.id.as_str()))
                            .set(users::nickname.eq(nickname))
                            .execute(conn)?;
                        match nickname {
                            Some("refused") => Err(StoreError::Unavailable("not now".into())),
                            _ => Ok(()),
                        }
                    })
            })
            .start()
            .await;
        app.sql("ALTER TABLE users ADD COLUMN nickname VARCHAR(50)")
            .await;
        let page = app.browser().get("/register").await.text();
        for name in ["nickname", "age", "newsletter"] {
            assert!(page.contains(&format!("name=\"{name}\"")), "{name}");
        }
        let mut body = form("ada@example.com");
        body["nickname"] = "countess".into();
        body["age"] = 36.into();
        assert_eq!(app.program().post_json("/register", body).await.status, 200);
        let fields = [
            ("email", "bob@example.com"),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
            ("nickname", "bobby"),
            ("age", "7"),
            ("newsletter", "on"),
        ];
        assert_eq!(
            app.browser().post_form("/register", &fields).await.status,
            302
        );
        for name in ["countess", "bobby"] {
            let query = format!("SELECT COUNT(*) AS n FROM users WHERE nickname = '{name}'");
            assert_eq!(app.number(&query).await, 1);
        }
        // What does not fit is said of its field, and nothing is written.
        for (field, value) in [
            ("nickname", json!("much too long")),
            ("nickname", json!(5)),
            ("age", json!(-1)),
            ("age", json!("x")),
        ] {
            let mut body = form("eve@example.com");
            body["age"] = 1.into();
            body[field] = value.clone();
            let answer = app.program().post_json("/register", body).await;
            assert_eq!(answer.status, 400, "{field} {value}: {}", answer.text());
            assert_eq!(answer.field_errors(field).len(), 1, "{}", answer.text());
        }
        // The hook's failure takes the account with it.
        let mut body = form("eve@example.com");
        body["nickname"] = "refused".into();
        body["age"] = 1.into();
        assert_eq!(app.program().post_json("/register", body).await.status, 503);
        assert_eq!(app.store().count_users().await.unwrap(), 2);
    })
    .await;
}

#[rocket::async_test]
async fn nobody_gives_themselves_more_than_a_form_asks_for() {
    let app = Plan::new().telling().start().await;
    let mut body = form("ada@example.com");
    for (name, value) in [
        ("role", "admin"),
        ("roles", "admin"),
        ("is_admin", "true"),
        ("id", "1"),
        ("active", "false"),
    ] {
        body[name] = value.into();
    }
    let browser = app.browser();
    assert_eq!(browser.post_json("/register", body).await.status, 200);
    assert_eq!(browser.get("/g/admin").await.status, 403);
}

#[rocket::async_test]
async fn what_the_application_finds_taken_is_said_in_either_mode() {
    for generic in [true, false] {
        let app = Plan::new()
            .set("generic_answers", generic)
            .security(|security| {
                security
                    .on_register(|_, _, _| Err(StoreError::Taken(rocket_security::Unique::Other)))
            })
            .start()
            .await;
        let answer = app
            .program()
            .post_json("/register", form("ada@example.com"))
            .await;
        assert_eq!(
            (answer.status, answer.field_errors("").len()),
            (400, 1),
            "{}",
            answer.text()
        );
        assert_eq!(app.store().count_users().await.unwrap(), 0);
        assert!(app.mails_to("ada@example.com").is_empty());
    }
}
