//! Social login against an OpenID provider that others wrote, as a process of its own: `oidc-provider-mock` of
//! PyPI. Without it the test says so, and fails if `SECURITY_TEST_REQUIRE` lists `provider`.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use crate::{
    app::{Actor, App, Plan, eventually},
    with_social::provider::{ask, led as led_back},
    with_social::social::{START, VERIFY, led, said},
};

/// Stopped when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The provider with two people, and where it is.
async fn start() -> Option<(Process, String)> {
    let name = std::env::var("SECURITY_TEST_PROVIDER");
    let name = name.unwrap_or_else(|_| "oidc-provider-mock".into());
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let person = |subject: &str, verified: bool| {
        let email = format!("{subject}@example.com");
        serde_json::json!({"sub": subject, "email": email, "email_verified": verified}).to_string()
    };
    let started = Command::new(&name)
        .args([
            "--port",
            &port.to_string(),
            "--user-claims",
            &person("ada", true),
        ])
        .args(["--user-claims", &person("eve", false)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let process = match started {
        Ok(child) => Process(child),
        Err(why) => {
            let required = std::env::var("SECURITY_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|one| one.trim() == "provider"),
                "SECURITY_TEST_REQUIRE wants what is left out: {name}: {why}"
            );
            eprintln!(
                "left out: {name} (install it, or set SECURITY_TEST_PROVIDER to where it is)"
            );
            return None;
        }
    };
    let there = async || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    eventually(&name, there).await;
    Some((process, format!("http://localhost:{port}")))
}

/// There as `subject`, and back.
async fn as_somebody(actor: &Actor<'_>, path: &str, subject: &str) -> crate::app::Answer {
    let there = led(actor, path).await;
    let told = ask("POST", &there, &[], &[("sub", subject)]).await;
    actor.get(&led_back(&told)).await
}

#[rocket::async_test]
async fn a_provider_of_others_lets_in_whom_it_may() {
    let Some((_process, issuer)) = start().await else {
        return;
    };
    let app: App = Plan::new()
        .set("social.allow_private", true)
        .set("social.providers.example.client_id", "client")
        .set("social.providers.example.client_secret", "secret")
        .set("social.providers.example.issuer", issuer)
        .start()
        .await;
    let browser = app.browser();
    let answer = as_somebody(&browser, START, "ada").await;
    assert_eq!(answer.location(), Some("/"));
    assert_eq!(browser.get("/me").await.text(), "ada@example.com");
    let before = browser.cookie("security_session");
    let answer = as_somebody(&browser, VERIFY, "ada").await;
    assert_eq!(answer.location(), Some("/"), "{}", answer.text());
    assert_ne!(browser.cookie("security_session"), before);
    let other = app.browser();
    let answer = as_somebody(&other, START, "eve").await;
    assert!(
        said(&other, &answer)
            .await
            .contains("has not confirmed your email address")
    );
    assert!(!other.is_signed_in().await);
}
