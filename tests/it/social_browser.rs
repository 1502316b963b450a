//! A person with accounts elsewhere, at a browser: headless Chromium goes from the demonstration site to a
//! provider that asks, and back.
//!
//! Wants what [`crate::with_cli::browser`] wants. Pages are looked over as in [`crate::browser_factors`].

use fantoccini::{Locator, wd::WebDriverCompatibleCommand};
use hyper::Method;
use rocket::tokio;
use serde_json::{Value, json};

use crate::{
    with_cli::browser::{ADA, Person, wait},
    with_social::provider::{self, Provider},
};

/// What the browser has to complain of.
#[derive(Debug)]
struct Complaints;

impl WebDriverCompatibleCommand for Complaints {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

impl Person {
    /// What pages wanted and their Content-Security-Policy did not let them, since this was last asked.
    async fn was_stopped(&self) -> Vec<String> {
        let said = self.browser.issue_cmd(Complaints).await.unwrap();
        let said: Vec<Value> = serde_json::from_value(said).unwrap();
        said.iter()
            .filter_map(|line| line["message"].as_str())
            .filter(|line| line.contains("Content Security Policy"))
            .map(String::from)
            .collect()
    }

    /// Presses the button that leads to a provider, and there another.
    async fn goes(&self, path: &str, provider: &Provider, answer: &str) {
        self.press(Locator::Css(&format!("form[action='{path}'] button")))
            .await;
        let there = format!(":{}/", provider.port());
        let at = async || {
            let url = self.browser.current_url().await;
            url.is_ok_and(|url| url.as_str().contains(&there))
        };
        wait("the provider's page", at).await;
        self.press(Locator::Id(answer)).await;
    }

    async fn session(&self) -> String {
        let cookie = self.browser.get_named_cookie("security_session").await;
        cookie.unwrap().value().to_string()
    }
}

/// A provider that asks, and the settings of a site that knows it and its stand-in for GitHub.
fn provider() -> (Provider, Vec<(String, String)>) {
    let provider = Provider::start();
    provider.interactive(true);
    let mut settings = vec![
        ("SOCIAL__ALLOW_PRIVATE".to_string(), "true".to_string()),
        (
            "SOCIAL__PROVIDERS__EXAMPLE__LABEL".to_string(),
            "Example & Sons".to_string(),
        ),
    ];
    for name in ["EXAMPLE", "GITHUB"] {
        for (key, value) in [
            ("ISSUER", provider.issuer()),
            ("CLIENT_ID", provider.client_id().to_string()),
            ("CLIENT_SECRET", provider.client_secret().to_string()),
        ] {
            settings.push((format!("SOCIAL__PROVIDERS__{name}__{key}"), value));
        }
    }
    (provider, settings)
}

async fn arrive(settings: &[(String, String)]) -> Option<Person> {
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Person::arrive_at(&settings).await
}

const START: &str = "/login/oauthstart/example";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_up_signs_in_and_proves_it_again_at_a_provider() {
    let (provider, settings) = provider();
    let Some(ada) = arrive(&settings).await else {
        return;
    };
    provider.signed_in(provider::Person::new("248289", ADA));
    ada.open("/register").await;
    ada.sees("Continue with Example & Sons", "social-register")
        .await;
    ada.goes(START, &provider, "allow").await;
    ada.is_at("/").await;
    ada.reads("Your account is ready").await;
    ada.open("/profile").await;
    ada.reads(ADA).await;

    // Whoever says no there is where they were, and on the same way.
    ada.sign_out().await;
    ada.open("/login?next=/profile").await;
    ada.sees("Continue with GitHub", "social-login").await;
    ada.goes(START, &provider, "refuse").await;
    ada.is_at("/login").await;
    ada.sees("sent back without having signed in", "social-login-refused")
        .await;
    ada.tabs_to(&format!("form[action='{START}'] button")).await;
    ada.presses_enter().await;
    ada.press(Locator::Id("allow")).await;
    ada.is_at("/profile").await;
    ada.reads(ADA).await;

    // It is proven again by the account that is linked, and by no other.
    ada.open("/verify?next=/fresh").await;
    ada.sees("Confirm with Example & Sons", "social-verify")
        .await;
    let verify = "/login/oauth-verify-start/example";
    provider.signed_in(provider::Person::new("7", "eve@example.com"));
    ada.goes(verify, &provider, "allow").await;
    ada.is_at("/verify").await;
    ada.sees("not the account that is linked", "social-verify-wrong")
        .await;
    let before = ada.session().await;
    provider.signed_in(provider::Person::new("248289", ADA));
    ada.goes(verify, &provider, "allow").await;
    ada.is_at("/fresh").await;
    ada.reads("It really is you").await;
    assert_ne!(before, ada.session().await, "the session has another id");

    // The only way in stays, until there is another.
    ada.open("/login/oauth-link").await;
    ada.sees("Accounts elsewhere that open this one", "social-accounts")
        .await;
    let unlink = Locator::Css("form[action='/login/oauth-unlink/example'] button");
    ada.press(unlink).await;
    ada.sees("your only way to sign in", "social-accounts-last")
        .await;
    let before = ada.mails();
    ada.goes("/login/oauth-link/github", &provider, "allow")
        .await;
    ada.is_at("/login/oauth-link").await;
    ada.sees("That account is linked", "social-accounts-two")
        .await;
    ada.mail_about(before, "A sign-in method was added").await;
    let before = ada.mails();
    ada.press(unlink).await;
    ada.sees("Account unlinked", "social-accounts-unlinked")
        .await;
    ada.mail_about(before, "A sign-in method was removed").await;

    ada.sign_out().await;
    ada.open("/login").await;
    ada.goes("/login/oauthstart/github", &provider, "allow")
        .await;
    ada.is_at("/").await;
    ada.open("/profile").await;
    ada.reads(ADA).await;
    assert_eq!(ada.was_stopped().await, [""; 0]);
    ada.browser.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_password_links_an_account_and_unlinks_it() {
    let (provider, settings) = provider();
    let Some(ada) = arrive(&settings).await else {
        return;
    };
    ada.has_account(&[]).await;
    provider.signed_in(provider::Person::new("248289", ADA));

    // The same address is not enough.
    ada.open("/login").await;
    ada.goes(START, &provider, "allow").await;
    ada.is_at("/login").await;
    ada.sees("Sign in to it another way", "social-login-exists")
        .await;
    ada.signs_in_with_password().await;
    ada.is_at("/").await;
    ada.open("/verify").await;
    let button = Locator::Css("form[action*='oauth-verify-start']");
    assert!(ada.browser.find(button).await.is_err(), "by what?");
    ada.open("/login/oauth-link").await;
    ada.goes("/login/oauth-link/example", &provider, "allow")
        .await;
    ada.is_at("/login/oauth-link").await;
    ada.reads("That account is linked").await;

    ada.sign_out().await;
    ada.open("/login").await;
    ada.goes(START, &provider, "allow").await;
    ada.is_at("/").await;
    ada.open("/login/oauth-link").await;
    ada.tabs_to("form[action='/login/oauth-unlink/example'] button")
        .await;
    ada.presses_enter().await;
    ada.reads("Account unlinked").await;
    ada.sign_out().await;
    ada.open("/login").await;
    ada.goes(START, &provider, "allow").await;
    ada.is_at("/login").await;
    ada.reads("Sign in to it another way").await;
    assert_eq!(ada.was_stopped().await, [""; 0]);
    ada.browser.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_leads_to_a_provider_from_the_pages_that_have_one_only() {
    let (provider, settings) = provider();
    let Some(eve) = arrive(&settings).await else {
        return;
    };
    provider.signed_in(provider::Person::new("248289", ADA));
    eve.open("/reset").await;
    let script = "const form = document.querySelector('main form');
        form.noValidate = true;
        form.action = arguments[0];
        form.submit();";
    let form = eve.browser.execute(script, vec![START.into()]).await;
    form.unwrap();
    let stopped = async || {
        let said = eve.was_stopped().await;
        said.iter().any(|line| line.contains("form-action"))
    };
    wait("the policy", stopped).await;
    eve.is_at("/reset").await;
    assert!(provider.authorisations().is_empty());
    eve.browser.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_another_site_may_post_its_answer() {
    let (provider, mut settings) = provider();
    settings.push((
        "SOCIAL__PROVIDERS__EXAMPLE__RESPONSE_MODE".to_string(),
        "form_post".to_string(),
    ));
    let Some(ada) = arrive(&settings).await else {
        return;
    };
    provider.signed_in(provider::Person::new("248289", ADA));
    ada.open("/login?next=/profile").await;
    // The provider is at an address, and the site at a name: cookies of the one do not go with a form of the other.
    ada.goes(START, &provider, "allow").await;
    ada.is_at("/profile").await;
    ada.reads(ADA).await;
    ada.open("/verify?next=/fresh").await;
    ada.goes("/login/oauth-verify-start/example", &provider, "allow")
        .await;
    ada.is_at("/fresh").await;
    assert!(ada.was_stopped().await.is_empty());
}
