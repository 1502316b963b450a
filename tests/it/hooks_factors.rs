//! What an application brings for second factors takes the place of ours.

use std::time::Duration;

use rocket_security::{
    Message, Phone, PhoneParser, PlainPhoneParser, RecoveryCodes, RecoveryCodesError, Secret,
    StandardTotp, Timestamp, TotpError, TotpProvider, TotpSecret,
};
use serde_json::json;

use crate::app::Plan;

const ADA: &str = "ada@example.com";

struct OneNumber;

impl PhoneParser for OneNumber {
    fn parse(&self, typed: &str) -> Result<Phone, Message> {
        match typed {
            "our number" => PlainPhoneParser.parse("+493012345678"),
            _ => Err(Message::new("input.invalid")),
        }
    }
}

#[rocket::async_test]
async fn a_phone_parser_reads_the_numbers() {
    let app = Plan::new()
        .set("two_factor.methods", ["authenticator", "sms"])
        .set("sms.transport", "console")
        .security(|security| security.phone_parser(OneNumber))
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    for (typed, status) in [("+493012345678", 400), ("our number", 200)] {
        let body = json!({"setup": "sms", "phone": typed});
        let answer = browser.post_json("/tf-setup", body).await;
        assert_eq!(answer.status, status, "{typed}: {}", answer.text());
    }
}

struct AlwaysZero;

impl TotpProvider for AlwaysZero {
    fn generate(&self) -> Result<TotpSecret, TotpError> {
        StandardTotp.generate()
    }

    fn step_of(&self, _: &TotpSecret, code: &str, now: Timestamp) -> Option<i64> {
        (code == "000000").then(|| now.as_millis() / 30_000)
    }

    fn uri(&self, seed: &TotpSecret, _: &str, account: &str) -> Result<String, TotpError> {
        StandardTotp.uri(seed, "Its own", account)
    }
}

#[rocket::async_test]
async fn a_totp_provider_judges_the_codes() {
    let app = Plan::new()
        .security(|security| security.totp(AlwaysZero))
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    let begun = browser.begin_setup(json!({"setup": "authenticator"})).await;
    let answer = browser.type_first_code(&begun, "123456").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    browser.finish_setup(&begun, "000000").await;
    app.later(Duration::from_hours(1));
    let waiting = app.waiting(ADA).await;
    assert_eq!(waiting.validate("123456").await.status, 400);
    assert_eq!(waiting.validate("000000").await.status, 200);
}

struct Words;

impl RecoveryCodes for Words {
    fn generate(&self, count: u32) -> Result<Vec<Secret<String>>, RecoveryCodesError> {
        Ok((0..count)
            .map(|number| Secret::new(format!("word-{number}-of-our-own")))
            .collect())
    }

    fn normalise(&self, typed: &str) -> String {
        typed.trim().to_lowercase()
    }
}

#[rocket::async_test]
async fn recovery_codes_are_made_by_the_application() {
    let app = Plan::new()
        .security(|security| security.recovery_codes(Words))
        .start()
        .await;
    let ada = app.user(ADA).await;
    let browser = app.signed_in(&ada).await.in_json();
    browser.add_authenticator().await;
    let answer = browser.post_json("/mf-recovery-codes", json!({})).await;
    let codes = answer.json()["response"]["recovery_codes"].clone();
    assert_eq!(codes[3], "word-3-of-our-own", "{}", answer.text());
    app.later(Duration::from_hours(1));
    let waiting = app.waiting(ADA).await;
    let answer = waiting
        .post_json("/mf-recovery", json!({"code": " WORD-3-of-our-own "}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
