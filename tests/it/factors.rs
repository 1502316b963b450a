//! What the tests of factors share: authenticators, sign-ins that wait, and what came of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rocket_security::{Clock, MailError, Sms, SmsSender, User};
use serde_json::{Value, json};
use totp_rs::{Algorithm, Builder};

use crate::{
    app::{Actor, Answer, App, PASSWORD},
    with_smtp::mailed::{SESSION, credentials},
};

pub const REMEMBER: &str = "security_remember";
pub const PENDING: &str = "security_pending";
pub const TRUSTED: &str = "security_trusted";

/// An authenticator app that holds one key.
#[derive(Clone, Debug)]
pub struct Authenticator {
    pub key: String,
}

impl Authenticator {
    /// Of what the set-up answered.
    pub fn of(response: &Value) -> Self {
        let key = response["tf_authr_b32key"].as_str().expect("a key");
        Self { key: key.into() }
    }

    /// What it shows at a time, in seconds.
    pub fn shows(&self, seconds: u64) -> String {
        let seed = data_encoding::BASE32_NOPAD
            .decode(self.key.as_bytes())
            .expect("base32");
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(30)
            .with_secret(seed)
            .build()
            .expect("an authenticator")
            .generate(seconds)
            .to_string()
    }

    /// What it shows so many steps from now.
    pub fn step(&self, app: &App, steps: i64) -> String {
        let seconds = app.clock.now().as_millis().div_euclid(1_000) + 30 * steps;
        self.shows(u64::try_from(seconds).expect("a time after 1970"))
    }

    /// What it shows now.
    pub fn code(&self, app: &App) -> String {
        self.step(app, 0)
    }

    /// A code that it shows at no time near.
    pub fn wrong(&self, app: &App) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.step(app, steps)).collect();
        (0..)
            .map(|n| format!("{n:06}"))
            .find(|code| !near.contains(code))
            .expect("a code")
    }
}

impl App {
    /// Gives an account an authenticator, whose set-up code is an hour old afterwards.
    pub async fn with_authenticator(&self, user: &User) -> Authenticator {
        let browser = self.signed_in(user).await.in_json();
        let authenticator = browser.add_authenticator().await;
        self.later(Duration::from_hours(1));
        authenticator
    }

    /// Gives an account codes by mail as its second factor.
    pub async fn with_mailed_codes(&self, user: &User) {
        let browser = self.signed_in(user).await.in_json();
        let begun = browser.begin_setup(json!({"setup": "email"})).await;
        let code = self.code_to(&user.email, "two_factor");
        browser.finish_setup(&begun, &code).await;
        self.later(Duration::from_hours(1));
    }

    /// A browser whose sign-in by password waits for its second step.
    pub async fn waiting(&self, email: &str) -> Actor<'_> {
        let browser = self.browser().in_json();
        let answer = browser
            .post_json("/login", credentials(email, PASSWORD))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["response"]["tf_required"], true);
        assert!(!browser.is_signed_in().await);
        browser
    }

    /// How many second factors an account has.
    pub async fn factors(&self, user: &User) -> usize {
        let factors = self.store().factors_of(&user.id).await.expect("factors");
        factors.iter().filter(|factor| factor.second).count()
    }
}

impl Actor<'_> {
    /// Begins to set a factor up, signed in; answers what it said.
    pub async fn begin_setup(&self, body: Value) -> Value {
        let answer = self.post_json("/tf-setup", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let response = answer.json()["response"].clone();
        assert_eq!(response["tf_state"], "validating_profile");
        response
    }

    /// Types the first code of a factor, signed in or in the middle of a sign-in that wants one.
    pub async fn type_first_code(&self, begun: &Value, code: &str) -> Answer {
        let path = match begun["tf_state_token"].as_str() {
            Some(token) => format!("/tf-setup/{token}"),
            None => "/tf-validate".into(),
        };
        self.post_json(&path, json!({"code": code})).await
    }

    pub async fn finish_setup(&self, begun: &Value, code: &str) {
        let answer = self.type_first_code(begun, code).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub async fn add_authenticator(&self) -> Authenticator {
        let begun = self.begin_setup(json!({"setup": "authenticator"})).await;
        let authenticator = Authenticator::of(&begun);
        let code = authenticator.code(self.app);
        self.finish_setup(&begun, &code).await;
        authenticator
    }

    /// Types a code of the second step.
    pub async fn validate(&self, code: &str) -> Answer {
        self.post_json("/tf-validate", json!({"code": code})).await
    }

    /// Checks that nothing opens anything in this browser.
    pub async fn has_nothing(&self) {
        assert!(!self.is_signed_in().await);
        for cookie in [SESSION, REMEMBER, TRUSTED] {
            assert_eq!(self.cookie(cookie), None, "{cookie}");
        }
    }
}

/// Text messages that were sent.
#[derive(Clone, Debug, Default)]
pub struct Phones(Arc<Mutex<Vec<Sms>>>);

#[rocket::async_trait]
impl SmsSender for Phones {
    async fn send(&self, sms: &Sms) -> Result<(), MailError> {
        self.0.lock().unwrap().push(sms.clone());
        Ok(())
    }
}

impl Phones {
    pub fn received(&self) -> Vec<Sms> {
        self.0.lock().unwrap().clone()
    }
}

/// The six digits in a text.
pub fn six_digits(text: &str) -> String {
    text.split(|c: char| !c.is_ascii_digit())
        .find(|word| word.len() == 6)
        .unwrap_or_else(|| panic!("no code in {text}"))
        .to_string()
}
