//! Telling mode: every form says what is wrong, at the right field, and everything at once.

use rocket_security::{MailError, Sms, SmsSender};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD, Plan, WRONG, for_each_database, on_sqlite},
    with_smtp::mailed::{NEW, credentials},
};

const ADA: &str = "ada@example.com";
const NOBODY: &str = "nobody@example.com";

/// Sends nothing; the mailbox of the harness has a copy.
struct Nowhere;

#[rocket::async_trait]
impl SmsSender for Nowhere {
    async fn send(&self, _: &Sms) -> Result<(), MailError> {
        Ok(())
    }
}

/// The fields that an answer finds fault with.
fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let errors = answer.json()["response"]["field_errors"].clone();
    errors.as_object().unwrap().keys().cloned().collect()
}

async fn ada(app: &App) {
    let name = rocket_security::UsernamePolicy::parse(
        &rocket_security::StandardUsernamePolicy::default(),
        "lovelace",
    );
    app.user_with(ADA, |new| new.username(name.unwrap())).await;
}

fn registration(email: &str, username: &str, password: &str) -> Value {
    json!({
        "email": email, "username": username, "password": password, "password_confirm": password,
    })
}

#[rocket::async_test]
async fn registration_names_everything_that_is_wrong_at_once() {
    on_sqlite(|plan| async move {
        let plan = plan.telling().set("identities", ["email", "username"]);
        let app = plan.set("register.username", "optional").start().await;
        ada(&app).await;
        for (email, username, password, wrong) in [
            (ADA, "", "short", vec!["email", "password"]),
            (
                ADA,
                "lovelace",
                "short",
                vec!["email", "password", "username"],
            ),
            (
                "not an address",
                "lovelace",
                PASSWORD,
                vec!["email", "username"],
            ),
            (NOBODY, "lovelace", PASSWORD, vec!["username"]),
            (ADA, "", PASSWORD, vec!["email"]),
        ] {
            let body = registration(email, username, password);
            let answer = app.post("/register", body).await;
            assert_eq!(fields(&answer), wrong, "{email} {username} {password}");
        }
        let body = json!({"email": ADA, "password": PASSWORD, "password_confirm": WRONG});
        let answer = app.post("/register", body).await;
        assert_eq!(fields(&answer), ["email", "password_confirm"]);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn an_account_that_must_be_confirmed_first_is_made_and_not_refused() {
    on_sqlite(|plan| async move {
        let app = plan.telling().set("confirm.grace", 0).start().await;
        let answer = app.post("/register", registration(ADA, "", PASSWORD)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["user"], json!({}));
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 1);
        let browser = app.browser();
        let form = [
            ("email", NOBODY),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        let answer = browser.post_form("/register", &form).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/login")));
        assert!(!browser.is_signed_in().await);
        let told = app.post("/login", credentials(NOBODY, PASSWORD)).await;
        assert_eq!(fields(&told), ["email"]);
        assert_eq!(told.codes(), ["login.unconfirmed"]);
    })
    .await;
}

#[rocket::async_test]
async fn sign_in_says_which_of_the_two_is_wrong() {
    on_sqlite(|plan| async move {
        let plan = plan.telling().set("identities", ["email", "username"]);
        let app = plan.start().await;
        ada(&app).await;
        let bob = app.user("bob@example.com").await;
        app.accounts().deactivate_user(&bob.id).await.unwrap();
        app.sql("UPDATE users SET password_hash = NULL WHERE email = 'bob@example.com'")
            .await;
        let cases = [
            (credentials(NOBODY, PASSWORD), "email", "login.unknown"),
            (credentials(ADA, WRONG), "password", "login.wrong_password"),
            (
                credentials("bob@example.com", WRONG),
                "password",
                "login.no_password",
            ),
            (
                json!({"username": "nobody", "password": PASSWORD}),
                "username",
                "login.unknown",
            ),
            (
                json!({"username": "lovelace", "password": WRONG}),
                "password",
                "login.wrong_password",
            ),
        ];
        for (body, field, key) in cases {
            let answer = app.post("/login", body.clone()).await;
            assert_eq!(fields(&answer), [field], "{body}");
            assert_eq!(answer.codes(), [key], "{body}");
        }
        // The page says it as well.
        let page = app.browser().login(NOBODY, PASSWORD).await;
        assert!(page.text().contains("There is no account with this name."));
        let page = app.browser().login(ADA, WRONG).await;
        assert!(page.text().contains("The password is not right."));
    })
    .await;
}

#[rocket::async_test]
async fn sites_that_do_not_tell_have_one_answer() {
    let app = Plan::new().without_limits().start().await;
    app.user(ADA).await;
    let unknown = app.post("/login", credentials(NOBODY, PASSWORD)).await;
    let wrong = app.post("/login", credentials(ADA, WRONG)).await;
    assert_eq!(unknown.json(), wrong.json());
    assert_eq!(fields(&wrong), [""]);
}

#[rocket::async_test]
async fn with_address_and_username_the_address_wins() {
    for replaces in [false, true] {
        let app = Plan::new()
            .telling()
            .set("identities", ["email", "username"])
            .set("unified.enabled", replaces)
            .set("unified.replaces_login", replaces)
            .start()
            .await;
        ada(&app).await;
        app.user("bob@example.com").await;
        let both = json!({"email": ADA, "username": "nobody", "password": PASSWORD});
        let browser = app.browser().in_json();
        let answer = browser.post_json("/login", both).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(browser.get("/me").await.text(), ADA);
        let other = json!({"email": NOBODY, "username": "lovelace", "password": PASSWORD});
        let answer = app.post("/login", other).await;
        assert_eq!(answer.codes(), ["login.unknown"]);
        let only = json!({"username": "lovelace", "password": PASSWORD});
        assert_eq!(app.post("/login", only).await.status, 200);
    }
}

#[rocket::async_test]
async fn unified_sign_in_says_what_is_wrong_and_where() {
    on_sqlite(|plan| async move {
        let app = plan
            .telling()
            .set("unified.enabled", true)
            .set("unified.methods", ["password", "email", "sms"])
            .security(|security| security.sms(Nowhere))
            .start()
            .await;
        let user = app.user(ADA).await;
        let sign_in = async |identity: &str, passcode: &str| {
            let body = json!({"identity": identity, "passcode": passcode});
            app.post("/us-signin", body).await
        };
        let answer = sign_in(NOBODY, PASSWORD).await;
        assert_eq!(
            (fields(&answer), answer.codes()),
            (vec!["identity".into()], vec!["login.unknown".into()])
        );
        let answer = sign_in(ADA, WRONG).await;
        assert_eq!(
            (fields(&answer), answer.codes()),
            (vec!["passcode".into()], vec!["us.wrong_passcode".into()])
        );
        let ask = async |identity: &str, method: &str| {
            let body = json!({"identity": identity, "chosen_method": method});
            app.post("/us-signin/send-code", body).await
        };
        // An account without a phone is an account.
        let answer = ask(ADA, "sms").await;
        assert_eq!(
            (fields(&answer), answer.codes()),
            (vec!["chosen_method".into()], vec!["us.not_set_up".into()])
        );
        let answer = ask(NOBODY, "sms").await;
        assert_eq!(fields(&answer), ["identity"]);
        assert_eq!(
            fields(&ask("", "pigeon").await),
            ["chosen_method", "identity"]
        );
        app.accounts().deactivate_user(&user.id).await.unwrap();
        let answer = sign_in(ADA, PASSWORD).await;
        assert_eq!(
            (fields(&answer), answer.codes()),
            (vec!["identity".into()], vec!["login.inactive".into()])
        );
        let answer = ask(ADA, "email").await;
        assert_eq!(
            (fields(&answer), answer.codes()),
            (vec!["identity".into()], vec!["login.inactive".into()])
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_code_for_nobody_is_told_from_a_wrong_code() {
    let app = Plan::new()
        .telling()
        .set("passwordless.enabled", true)
        .start()
        .await;
    app.user(ADA).await;
    for path in ["/login/code", "/confirm/code"] {
        let nobody = app
            .post(path, json!({"email": NOBODY, "code": "123456"}))
            .await;
        assert_eq!(nobody.codes(), ["email.unknown"], "{path}");
        let wrong = app
            .post(path, json!({"email": ADA, "code": "123456"}))
            .await;
        assert_eq!(wrong.codes(), ["code.invalid"], "{path}");
    }
}

#[rocket::async_test]
async fn a_new_password_and_a_wrong_present_one_are_told_together() {
    let app = App::new().await;
    let user = app.user(ADA).await;
    let browser = app.signed_in(&user).await.in_json();
    let body = json!({"password": WRONG, "new_password": "short", "new_password_confirm": NEW});
    let answer = browser.post_json("/change", body).await;
    assert_eq!(
        fields(&answer),
        ["new_password", "new_password_confirm", "password"]
    );
}

#[rocket::async_test]
async fn a_link_to_an_address_that_was_taken_meanwhile_says_why() {
    for telling in [true, false] {
        for_each_database(|plan| async move {
            let app = plan.set("generic_answers", !telling).start().await;
            let user = app.user(ADA).await;
            let browser = app.signed_in(&user).await;
            let form = [("email", "new@example.com")];
            let answer = browser.post_form("/change-email", &form).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let link = app.link_to("new@example.com", "change_email");
            app.user("new@example.com").await;
            let answer = browser.post_form(&link, &[]).await;
            assert_eq!(
                (answer.status, answer.location()),
                (302, Some("/change-email"))
            );
            let page = browser.get("/change-email").await.text();
            assert!(page.contains("has an account already"), "{page}");
            // A program is told the field.
            let answer = browser.in_json().post_json(&link, json!({})).await;
            assert_eq!(fields(&answer), ["email"]);
        })
        .await;
    }
}
