//! Everything that an application can give to `Security` does something.

use rocket_security::{
    EmailAddress, EmailPolicy, Error, Mail, MailError, Mailer, Message, PasswordCheck,
    PasswordPolicy, PolicyError, StandardUsernamePolicy, Store, StoreError, Unique, Username,
    UsernamePolicy, prelude::*,
};
use serde_json::json;

use crate::app::{App, PASSWORD, Plan, for_each_database};

/// Each method of the builder, and the test that fails where it does nothing: its file and its name.
const TESTED: &[(&str, &str, &str)] = &[
    ("mailer", "hooks", "a_mailer_carries_the_mails"),
    ("sms", "two_factor", "security.sms(Phones::default())"),
    (
        "phone_parser",
        "hooks_factors",
        "a_phone_parser_reads_the_numbers",
    ),
    ("totp", "hooks_factors", "a_totp_provider_judges_the_codes"),
    (
        "recovery_codes",
        "hooks_factors",
        "recovery_codes_are_made_by_the_application",
    ),
    (
        "mfa_policy",
        "second_step",
        "security.mfa_policy(Outsiders)",
    ),
    (
        "webauthn_policy",
        "passkeys",
        "security.webauthn_policy(OurKeys)",
    ),
    ("social", "social", "an_application_brings_its_own_provider"),
    ("on", "app/plan", ".on(move |event|"),
    (
        "on_register",
        "hooks",
        "what_on_register_finds_taken_is_said_as_such_at_every_door",
    ),
    (
        "fields",
        "register",
        "an_application_fills_its_own_columns_in_the_same_transaction",
    ),
    ("seed", "choices", "security.seed(|accounts, hasher|"),
    ("token_expiry", "tokens", "security.token_expiry("),
    ("user_payload", "negotiation", ".user_payload("),
    ("wants_json", "negotiation", ".wants_json("),
    ("envelope", "negotiation", ".envelope("),
    (
        "unauthenticated",
        "hooks",
        "people_are_sent_where_the_application_says_on_hosts_that_are_allowed",
    ),
    (
        "forbidden",
        "hooks",
        "people_are_sent_where_the_application_says_on_hosts_that_are_allowed",
    ),
    (
        "reauthenticate",
        "hooks",
        "people_are_sent_where_the_application_says_on_hosts_that_are_allowed",
    ),
    (
        "context",
        "overrides",
        "texts_values_and_languages_are_the_applications_to_set",
    ),
    (
        "mail_context",
        "hooks",
        "a_mail_knows_the_applications_own_values",
    ),
    (
        "configure_tera",
        "overrides",
        "texts_values_and_languages_are_the_applications_to_set",
    ),
    (
        "message",
        "overrides",
        "texts_values_and_languages_are_the_applications_to_set",
    ),
    ("clock", "app/plan", ".clock(clock.clone())"),
    (
        "store",
        "hooks",
        "everything_is_kept_in_the_store_that_the_application_made",
    ),
    (
        "password_policy",
        "hooks",
        "the_applications_policies_judge_instead_of_ours",
    ),
    (
        "email_policy",
        "hooks",
        "the_applications_policies_judge_instead_of_ours",
    ),
    (
        "username_policy",
        "hooks",
        "the_applications_policies_judge_instead_of_ours",
    ),
    ("mailbox", "app/plan", ".mailbox(mails.clone())"),
];

#[test]
fn every_method_of_the_builder_has_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut found = Vec::new();
    // What a feature adds to the builder stands with the feature.
    let mut open = vec![root.join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let inside = std::fs::read_dir(path).unwrap();
            open.extend(inside.map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        let blocks = source.split("impl Security {").skip(1);
        for block in blocks {
            let block = block.split("\n}\n").next().unwrap();
            let methods = block.split("\n    pub fn ").skip(1);
            found.extend(methods.map(|rest| rest.split(['(', '<']).next().unwrap().to_string()));
        }
    }
    assert!(found.len() >= TESTED.len(), "{found:?}");
    for method in &found {
        let row = TESTED.iter().find(|(name, ..)| method == name);
        let Some((_, file, words)) = row else {
            panic!("`Security::{method}` has no test: write one and name it here");
        };
        assert!(
            read(&format!("tests/it/{file}.rs")).contains(words),
            "{method}: {file}: {words}"
        );
    }
    for (name, ..) in TESTED {
        assert!(
            found.iter().any(|method| method == name),
            "`Security::{name}` is gone"
        );
    }
}

struct Elsewhere(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

#[rocket::async_trait]
impl Mailer for Elsewhere {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.to.clone());
        Ok(())
    }
}

async fn register(app: &App, email: &str) -> crate::app::Answer {
    app.program()
        .post_json(
            "/register",
            json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD}),
        )
        .await
}

#[rocket::async_test]
async fn a_mailer_carries_the_mails() {
    let carried: std::sync::Arc<std::sync::Mutex<Vec<String>>> = Default::default();
    let mailer = Elsewhere(carried.clone());
    let app = Plan::new()
        .security(|security| security.mailer(mailer))
        .start()
        .await;
    register(&app, "ada@example.com").await;
    app.deliver().await;
    assert_eq!(*carried.lock().unwrap(), ["ada@example.com"]);
}

#[rocket::async_test]
async fn a_mail_knows_the_applications_own_values() {
    let text = "Come to {{ company }}: {{ url }} ({{ which }})";
    let plan = || {
        Plan::new()
            .template("security/confirm/confirm.mail.txt", text)
            .template(
                "security/confirm/confirm.mail.html",
                "<p>{{ company }} {{ url }}</p>",
            )
    };
    let app = plan()
        .security(|security| {
            security
                .mail_context(|_| json!({"company": "Acme & Sons"}))
                .mail_context(|which| json!({"which": which}))
        })
        .start()
        .await;
    register(&app, "ada@example.com").await;
    let mail = app.mails_to("ada@example.com").remove(0);
    assert!(
        mail.text.starts_with("Come to Acme & Sons: http"),
        "{}",
        mail.text
    );
    assert!(
        mail.text.ends_with(&format!("({})", mail.kind)),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("Acme &amp; Sons"), "{}", mail.html);
    // A value that mails do not have stops the launch, even if pages have it.
    assert!(plan().try_start().await.is_err());
    let of_pages = plan().security(|security| {
        security.context(None, |_| json!({"company": "Acme", "which": "page"}))
    });
    assert!(of_pages.try_start().await.is_err());
}

#[rocket::async_test]
async fn people_are_sent_where_the_application_says_on_hosts_that_are_allowed() {
    let plan = || {
        Plan::new()
            .set("base_url", "https://example.com")
            .security(|security| {
                security
                    .unauthenticated(|_| Some("https://accounts.example.com/sign-in".into()))
                    .forbidden(|_| Some("https://help.example.com/roles".into()))
                    .reauthenticate(|_| Some("https://accounts.example.com/again".into()))
            })
    };
    let app = plan()
        .set("redirects.allow_subdomains", true)
        .set("redirects.base_domain", "example.com")
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let answer = app.browser().get("/me").await;
    assert_eq!(
        answer.location(),
        Some("https://accounts.example.com/sign-in")
    );
    let browser = app.signed_in(&ada).await;
    let answer = browser.get("/g/admin").await;
    assert_eq!(answer.location(), Some("https://help.example.com/roles"));
    let answer = browser.get("/g/mfa").await;
    assert_eq!(
        answer.location(),
        Some("https://accounts.example.com/again")
    );
    // Where the settings do not allow it, people stay here.
    let app = plan().start().await;
    assert_eq!(
        app.browser().get("/me").await.location(),
        Some("/login?next=%2Fme")
    );
}

#[rocket::async_test]
async fn everything_is_kept_in_the_store_that_the_application_made() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        app.user("ada@example.com").await;
        let url = app.database_url().to_string();
        let store = Store::connect(
            &url,
            2,
            std::time::Duration::from_secs(5),
            Default::default(),
        )
        .unwrap();
        // The settings name another database, which is not there.
        let other = app
            .beside(|plan| {
                plan.set("database.url", "/proc/nothing/security.db")
                    .security(|security| security.store(store))
            })
            .await;
        assert_eq!(other.store().count_users().await.unwrap(), 1);
    })
    .await;
}

struct Picky;

#[rocket::async_trait]
impl PasswordPolicy for Picky {
    async fn check(&self, _: &PasswordCheck<'_>) -> Result<Vec<Message>, PolicyError> {
        Ok(vec![Message::new("input.invalid")])
    }
}

impl EmailPolicy for Picky {
    fn check(&self, _: &EmailAddress) -> Result<(), Message> {
        Err(Message::new("input.invalid"))
    }
}

impl UsernamePolicy for Picky {
    fn parse(&self, raw: &str) -> Result<Username, Message> {
        match raw {
            "countess" => StandardUsernamePolicy::default().parse(raw),
            _ => Err(Message::new("input.invalid")),
        }
    }
}

#[rocket::async_test]
async fn the_applications_policies_judge_instead_of_ours() {
    type Change = fn(Security) -> Security;
    let policies: [(&str, Change); 3] = [
        ("password", |security| security.password_policy(Picky)),
        ("email", |security| security.email_policy(Picky)),
        ("username", |security| security.username_policy(Picky)),
    ];
    for (field, change) in policies {
        let app = Plan::new()
            .telling()
            .set("identities", ["email", "username"])
            .set("register.username", "optional")
            .security(change)
            .start()
            .await;
        let body = json!({
            "email": "ada@example.com", "username": "lovelace", "password": PASSWORD, "password_confirm": PASSWORD,
        });
        let answer = app.program().post_json("/register", body).await;
        assert_eq!(answer.status, 400, "{field}");
        assert_eq!(answer.field_errors(field).len(), 1, "{}", answer.text());
    }
}

#[rocket::async_test]
async fn what_on_register_finds_taken_is_said_as_such_at_every_door() {
    for_each_database(|plan| async move {
        let app = plan
            .telling()
            .security(|security| {
                security.on_register(|_, user, _| match user.email.as_str() {
                    // As if a constraint of the application's own were called `tenants_email_key`.
                    "ada@example.com" => Err(StoreError::Taken(Unique::Email)),
                    "bob@example.com" => Err(StoreError::Taken(Unique::Username)),
                    "eve@example.com" => Err(StoreError::Taken(Unique::Other)),
                    _ => Ok(()),
                })
            })
            .mount(rocket::routes![invite])
            .start()
            .await;
        for email in ["ada@example.com", "bob@example.com", "eve@example.com"] {
            let answer = register(&app, email).await;
            assert_eq!(
                (answer.status, answer.codes()),
                (400, vec!["input.taken".into()]),
                "{}",
                answer.text()
            );
            let path = format!("/invite-somebody/{email}");
            let answer = app.program().post_json(&path, json!({})).await;
            assert_eq!(
                (answer.status, answer.codes()),
                (400, vec!["input.taken".into()]),
                "{}",
                answer.text()
            );
            assert!(app.mails_to(email).is_empty());
        }
        assert_eq!(app.store().count_users().await.unwrap(), 0);
        assert_eq!(register(&app, "grace@example.com").await.status, 200);
    })
    .await;
}

#[rocket::post("/invite-somebody/<email>", data = "<_body>")]
async fn invite(auth: Auth<'_>, email: &str, _body: Input<Empty>) -> Result<&'static str, Error> {
    let email = EmailAddress::parse(email)
        .map_err(|message| rocket_security::Invalid::field("email", message))?;
    auth.invite(&rocket_security::Invitation::new(email))
        .await?;
    Ok("invited")
}
