//! A person with a passkey: headless Chromium, with authenticators that exist in it alone, at the pages and
//! the script of the demonstration site.
//!
//! Wants what [`crate::with_cli::browser`] wants.

use std::{io::Write, process::Stdio};

use fantoccini::{Client, Locator, wd::WebDriverCompatibleCommand};
use hyper::Method;
use rocket::tokio;
use serde_json::{Value, json};

#[cfg(feature = "smtp")]
use crate::smtp_server::SmtpServer;
use crate::{
    app::PASSWORD,
    with_cli::browser::{
        Process, arrives, browser, command, fill, free_port, shows, submit, until_it_answers, wait,
    },
};

const ADA: &str = "ada@example.com";

/// Something to say to the browser that the crate has no words for.
#[derive(Debug)]
struct Raw {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/webauthn/{}", self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (
            self.method.clone(),
            self.body.as_ref().map(Value::to_string),
        )
    }
}

/// An authenticator that the browser makes believe it has.
struct Authenticator {
    browser: Client,
    id: String,
}

impl Authenticator {
    async fn ask(browser: &Client, method: Method, path: String, body: Option<Value>) -> Value {
        let raw = Raw { method, path, body };
        browser.issue_cmd(raw).await.expect("an authenticator")
    }

    /// In the device itself, or a passkey on a key: it knows its owner and needs no name.
    async fn that_verifies(browser: &Client, transport: &str) -> Self {
        Self::add(browser, "ctap2", transport, true).await
    }

    /// A key that somebody touches, and that is all.
    async fn that_is_touched(browser: &Client, protocol: &str) -> Self {
        Self::add(browser, protocol, "usb", false).await
    }

    async fn add(browser: &Client, protocol: &str, transport: &str, verifies: bool) -> Self {
        let body = json!({
            "protocol": protocol, "transport": transport,
            "hasResidentKey": verifies, "hasUserVerification": verifies, "isUserVerified": verifies,
            "isUserConsenting": true,
        });
        let id = Self::ask(browser, Method::POST, "authenticator".into(), Some(body)).await;
        let (browser, id) = (browser.clone(), id.as_str().expect("an id").to_string());
        Self { browser, id }
    }

    /// Its owner is somebody else now, or has forgotten the PIN.
    async fn verify(&self, verified: bool) {
        let path = format!("authenticator/{}/uv", self.id);
        let body = json!({"isUserVerified": verified});
        Self::ask(&self.browser, Method::POST, path, Some(body)).await;
    }

    /// How many keys it keeps.
    async fn keys(&self) -> usize {
        let path = format!("authenticator/{}/credentials", self.id);
        let keys = Self::ask(&self.browser, Method::GET, path, None).await;
        keys.as_array().map_or(0, Vec::len)
    }

    async fn pull_out(self) {
        let path = format!("authenticator/{}", self.id);
        Self::ask(&self.browser, Method::DELETE, path, None).await;
    }
}

/// Somebody at the site.
struct Person {
    browser: Client,
    port: u16,
    _processes: [Process; 2],
    _folder: tempfile::TempDir,
}

impl Person {
    /// Opens the browser, at a site with these settings where Ada has an account.
    async fn arrive(settings: &[(&str, String)]) -> Option<Self> {
        let (driver, browser) = browser().await?;
        let folder = tempfile::tempdir().unwrap();
        let (database, port) = (folder.path().join("site.db"), free_port());
        let mut create = command(&database, port)
            .args(["users", "create", ADA, "--active", "--confirmed"])
            .arg("--password-stdin")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut typed = create.stdin.take().unwrap();
        writeln!(typed, "{PASSWORD}").unwrap();
        drop(typed);
        assert!(create.wait().unwrap().success());
        let mut site = command(&database, port);
        for (name, value) in settings {
            site.env(format!("ROCKET_SECURITY__{name}"), value);
        }
        let site = Process(site.spawn().unwrap());
        until_it_answers(port).await;
        Some(Self {
            browser,
            port,
            _processes: [driver, site],
            _folder: folder,
        })
    }

    async fn open(&self, path: &str) {
        let url = format!("http://localhost:{}{path}", self.port);
        self.browser.goto(&url).await.unwrap();
    }

    async fn reads(&self, text: &str) {
        shows(&self.browser, text).await;
    }

    async fn is_at(&self, path: &str) {
        arrives(&self.browser, path).await;
    }

    async fn press(&self, button: &str) {
        let there = async || {
            let found = self.browser.find(Locator::Css(button)).await;
            match found {
                Ok(found) => found.is_displayed().await.unwrap_or(false),
                Err(_) => false,
            }
        };
        wait(button, there).await;
        let found = self.browser.find(Locator::Css(button)).await.unwrap();
        found.click().await.unwrap();
    }

    async fn press_passkey(&self) {
        self.press("[data-passkey-button]").await;
    }

    /// Takes from the browser what older ones do not have.
    async fn grow_older(&self) {
        let script = "delete PublicKeyCredential.parseCreationOptionsFromJSON;
            delete PublicKeyCredential.parseRequestOptionsFromJSON;
            delete PublicKeyCredential.prototype.toJSON;";
        self.browser.execute(script, vec![]).await.unwrap();
    }

    /// Types a name in place of what stands in the field.
    async fn call_it(&self, field: &str, name: &str) {
        let found = self.browser.find(Locator::Css(field)).await.unwrap();
        found.clear().await.unwrap();
        found.send_keys(name).await.unwrap();
    }

    async fn sign_in(&self) {
        self.open("/login").await;
        fill(&self.browser, "login-email", ADA).await;
        fill(&self.browser, "login-password", PASSWORD).await;
        submit(&self.browser).await;
    }

    async fn sign_out(&self) {
        self.press("form[action='/logout'] button").await;
        self.reads("You are signed out").await;
    }

    async fn is_signed_in(&self) {
        self.open("/profile").await;
        self.is_at("/profile").await;
        self.reads(ADA).await;
    }

    /// Fills in the form at `/wan-register` and presses its button.
    async fn ask_to_add(&self, name: &str, usage: &str) {
        self.open("/wan-register").await;
        self.call_it("#wan_register-name", name).await;
        let usages = self.browser.find(Locator::Id("wan_register-usage")).await;
        usages.unwrap().select_by_value(usage).await.unwrap();
        self.press_passkey().await;
    }

    async fn add(&self, name: &str, usage: &str) {
        self.ask_to_add(name, usage).await;
        self.reads("Your passkey is ready").await;
        self.reads(name).await;
    }

    async fn leave(self) {
        self.browser.close().await.unwrap();
    }
}

fn without_autofill() -> Vec<(&'static str, String)> {
    vec![("PASSKEYS__AUTOFILL", "false".into())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_of_the_device_is_added_used_renamed_and_removed() {
    let Some(person) = Person::arrive(&without_autofill()).await else {
        return;
    };
    let device = Authenticator::that_verifies(&person.browser, "internal").await;
    person.sign_in().await;
    person.is_at("/").await;
    person.open("/wan-register").await;
    person.reads("You have no passkey yet").await;
    person.add("Laptop", "first").await;

    // What the site refuses stands at the field, what the device refuses above the form.
    person.ask_to_add("Laptop", "first").await;
    person
        .reads("You have a passkey of this name already")
        .await;
    let field = Locator::Css("#wan_register-name[aria-invalid][aria-describedby*=errors]");
    assert!(
        person.browser.find(field).await.is_ok(),
        "tied to its field"
    );
    person.call_it("#wan_register-name", "Once more").await;
    person.press_passkey().await;
    person
        .reads("holds a passkey of this account already")
        .await;
    assert_eq!(device.keys().await, 1);

    // Nothing is typed; what is ticked in the form beside goes along.
    person.sign_out().await;
    person.open("/login?next=/profile").await;
    person.press("#login-remember").await;
    person.press_passkey().await;
    person.is_at("/profile").await;
    person.reads(ADA).await;
    let remembered = person.browser.get_named_cookie("security_remember").await;
    assert!(remembered.is_ok(), "the device is remembered");
    let before = person.browser.get_named_cookie("security_session").await;

    // It proves again who it is, and a stranger's finger does not.
    person.open("/verify?next=/wan-register").await;
    device.verify(false).await;
    person.press_passkey().await;
    person.reads("That was cancelled").await;
    device.verify(true).await;
    person.press_passkey().await;
    person.is_at("/wan-register").await;
    person.reads("that is confirmed").await;
    let after = person.browser.get_named_cookie("security_session").await;
    let (before, after) = (before.unwrap(), after.unwrap());
    assert_ne!(before.value(), after.value(), "the session has another id");

    person.press(".sec-details__summary").await;
    person
        .call_it(".sec-details input[name=new_name]", "<b>")
        .await;
    person.press(".sec-details button").await;
    person.reads("cannot be used").await;
    person
        .call_it(".sec-details input[name=new_name]", "Old laptop")
        .await;
    person.press(".sec-details button").await;
    person.reads("has a new name").await;
    person.reads("Old laptop").await;

    person.press("form[action='/wan-delete'] button").await;
    person.reads("That passkey is removed here").await;
    person.reads("You have no passkey yet").await;
    person.sign_out().await;
    person.open("/wan-signin").await;
    person.press_passkey().await;
    person.reads("This passkey was not accepted").await;
    person.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_offered_where_the_browser_fills_in() {
    let Some(person) = Person::arrive(&[]).await else {
        return;
    };
    let device = Authenticator::that_verifies(&person.browser, "internal").await;
    person.sign_in().await;
    person.is_at("/").await;
    person.add("Laptop", "both").await;
    person.sign_out().await;

    // The page asks by itself, and the person of this browser always says yes.
    person.open("/login").await;
    person.is_at("/").await;
    person.is_signed_in().await;
    person.sign_out().await;

    // The button takes back what the page offers: a browser asks for one passkey at a time.
    device.pull_out().await;
    let other = Authenticator::that_verifies(&person.browser, "usb").await;
    person.open("/login").await;
    person.press_passkey().await;
    person.reads("there is no passkey for this site here").await;
    other.pull_out().await;

    // Who has none at hand is not kept from the password, nor told of anything.
    person.open("/login").await;
    let field = Locator::Css("#login-email[autocomplete~=webauthn]");
    assert!(person.browser.find(field).await.is_ok());
    let alerts = person.browser.find_all(Locator::Css("[role=alert]")).await;
    for alert in alerts.unwrap() {
        assert!(!alert.is_displayed().await.unwrap());
    }
    person.sign_in().await;
    person.is_at("/wan-signin").await;
    person.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_knows_nobody_is_a_second_factor_and_no_passkey() {
    for protocol in ["ctap2", "ctap1/u2f"] {
        let Some(person) = Person::arrive(&without_autofill()).await else {
            return;
        };
        let key = Authenticator::that_is_touched(&person.browser, protocol).await;
        person.sign_in().await;
        person.is_at("/").await;
        person.ask_to_add("Blue key", "first").await;
        let told = async || {
            let box_ = Locator::Css("[data-passkey-errors]:not([hidden])");
            person.browser.find(box_).await.is_ok()
        };
        wait("that it is no passkey", told).await;
        assert_eq!(key.keys().await, 0, "{protocol}");
        person.add("Blue key", "secondary").await;
        person.sign_out().await;

        // The password alone does not do; with the key it does.
        person.sign_in().await;
        person.is_at("/wan-signin").await;
        person.reads("One more step").await;
        person.open("/profile").await;
        person.is_at("/login").await;
        person.open("/wan-signin").await;
        person.press_passkey().await;
        person.is_at("/").await;
        person.is_signed_in().await;

        // It proves again who it is, and signs nobody in.
        person.open("/wan-verify?next=/profile").await;
        person.press_passkey().await;
        person.is_at("/profile").await;
        person.reads("that is confirmed").await;
        person.sign_out().await;
        person.open("/wan-signin").await;
        person.press_passkey().await;
        person.reads("there is no passkey for this site here").await;
        person.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_on_a_key_signs_in_at_any_device() {
    let Some(person) = Person::arrive(&without_autofill()).await else {
        return;
    };
    let key = Authenticator::that_verifies(&person.browser, "usb").await;
    person.sign_in().await;
    person.is_at("/").await;
    // Also in a browser that leaves it to the page what is sent.
    person.open("/wan-register").await;
    person.call_it("#wan_register-name", "Key ring").await;
    person.grow_older().await;
    person.press_passkey().await;
    person.reads("Your passkey is ready").await;
    assert_eq!(key.keys().await, 1);
    person.sign_out().await;
    person.open("/wan-signin").await;
    person.grow_older().await;
    person.press_passkey().await;
    person.is_at("/").await;
    person.is_signed_in().await;
    person.sign_out().await;

    // It asks for the PIN, whatever it is for.
    person.open("/wan-signin").await;
    key.verify(false).await;
    person.press_passkey().await;
    person.reads("That was cancelled").await;
    key.verify(true).await;
    person.press_passkey().await;
    person.is_at("/").await;
    person.is_signed_in().await;
    person.leave().await;
}

#[cfg(feature = "smtp")]
#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_makes_an_account_with_a_passkey() {
    const GRACE: &str = "grace@example.com";
    let mailbox = SmtpServer::start().await;
    let settings = [
        ("PASSKEYS__SIGN_UP", "true".to_string()),
        ("PASSKEYS__AUTOFILL", "false".to_string()),
        ("MAIL__TRANSPORT", "smtp".to_string()),
        ("MAIL__HOST", "127.0.0.1".to_string()),
        ("MAIL__PORT", mailbox.port().to_string()),
        ("MAIL__ENCRYPTION", "none".to_string()),
    ];
    let Some(person) = Person::arrive(&settings).await else {
        return;
    };
    let device = Authenticator::that_verifies(&person.browser, "internal").await;
    for address in [ADA, GRACE] {
        person.open("/wan-signup").await;
        fill(&person.browser, "wan_signup-email", address).await;
        submit(&person.browser).await;
        person.reads("we have sent a mail to it").await;
        let came = async || !mailbox.to(address).is_empty();
        wait(&format!("a mail to {address}"), came).await;
    }
    let known = mailbox.to(ADA).remove(0);
    assert!(known.subject.contains("already have an account"));
    let mail = mailbox.to(GRACE).remove(0);
    let link = mail.links().remove(0);
    person.browser.goto(&link).await.unwrap();
    person.reads("Press the button").await;
    person.reads(GRACE).await;
    assert_eq!(device.keys().await, 0);
    person.press_passkey().await;
    person.is_at("/").await;
    person.reads("Welcome").await;
    person.open("/profile").await;
    person.reads(GRACE).await;

    // There is no other way back in, so this one stays.
    person.open("/wan-register").await;
    person.press("form[action='/wan-delete'] button").await;
    person.reads("last way into your account").await;
    person.sign_out().await;
    person.browser.goto(&link).await.unwrap();
    person.reads("has expired or was already used").await;
    person.open("/login").await;
    person.press_passkey().await;
    person.is_at("/").await;
    person.open("/profile").await;
    person.reads(GRACE).await;
    person.leave().await;
}
