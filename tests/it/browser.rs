//! A person at a browser: headless Chromium clicks through the demonstration site.
//!
//! Wants `chromedriver` and Chromium; without them the test says so and passes, unless
//! `SECURITY_TEST_REQUIRE` lists `browser`.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator};
use rocket::tokio;

const PASSWORD: &str = "correct horse battery staple";

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn command(database: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rocket_security"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ROCKET_PORT", port.to_string())
        .env("ROCKET_LOG_LEVEL", "critical")
        .env("ROCKET_SECURITY__DATABASE__URL", database)
        .stdout(Stdio::null());
    command
}

async fn until_it_answers(port: u16) {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "nothing listens on {port}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[allow(clippy::print_stderr, reason = "whoever runs the tests wants to know")]
async fn browser() -> Option<(Process, Client)> {
    let port = free_port();
    let driver = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let driver = match driver {
        Ok(driver) => Process(driver),
        Err(error) => {
            let required = std::env::var("SECURITY_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.contains("browser"),
                "chromedriver is required: {error}"
            );
            eprintln!("left out: the browser (chromedriver: {error})");
            return None;
        }
    };
    until_it_answers(port).await;
    let profile = tempfile::tempdir().unwrap().keep();
    let options = serde_json::json!({"goog:chromeOptions": {"args": [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", format!("--user-data-dir={}", profile.display()),
    ]}});
    let serde_json::Value::Object(options) = options else {
        unreachable!()
    };
    let client = ClientBuilder::new(hyper_util_connector())
        .capabilities(options)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("Chromium starts");
    Some((driver, client))
}

fn hyper_util_connector() -> hyper_util::client::legacy::connect::HttpConnector {
    hyper_util::client::legacy::connect::HttpConnector::new()
}

async fn fill(browser: &Client, id: &str, text: &str) {
    browser
        .find(Locator::Id(id))
        .await
        .unwrap()
        .send_keys(text)
        .await
        .unwrap();
}

async fn submit(browser: &Client) {
    let button = browser
        .find(Locator::Css("main form button[type=submit]"))
        .await
        .unwrap();
    button.click().await.unwrap();
}

/// Waits until `found` says so: a page that a click leads to is there when it is there.
async fn wait(what: &str, found: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !found().await {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn arrives(browser: &Client, path: &str) {
    let at = async || {
        browser
            .current_url()
            .await
            .is_ok_and(|url| url.path() == path)
    };
    wait(path, at).await;
}

async fn shows(browser: &Client, text: &str) {
    let there = async || match browser.find(Locator::Css("body")).await {
        Ok(body) => body.text().await.is_ok_and(|shown| shown.contains(text)),
        Err(_) => false,
    };
    wait(text, there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_signs_in_is_let_in_by_role_and_signs_out() {
    let Some((_driver, browser)) = browser().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (database, port) = (folder.path().join("site.db"), free_port());
    let _site = Process(command(&database, port).spawn().unwrap());
    until_it_answers(port).await;
    let at = |path: &str| format!("http://localhost:{port}{path}");

    // The guarded page sends to sign-in; from there to register.
    browser.goto(&at("/profile")).await.unwrap();
    arrives(&browser, "/login").await;
    browser.goto(&at("/register")).await.unwrap();
    fill(&browser, "register-email", "ada@example.com").await;
    fill(&browser, "register-password", "short").await;
    fill(&browser, "register-password_confirm", "short").await;
    // The browser itself would stop a short password; the server must too.
    browser
        .execute(
            "document.querySelector('main form').noValidate = true",
            vec![],
        )
        .await
        .unwrap();
    submit(&browser).await;
    shows(&browser, "at least 8 characters").await;
    let error = browser
        .find(Locator::Css(
            "#register-password[aria-invalid=true][aria-describedby]",
        ))
        .await;
    assert!(error.is_ok(), "the error is tied to its field");
    fill(&browser, "register-password", PASSWORD).await;
    fill(&browser, "register-password_confirm", PASSWORD).await;
    submit(&browser).await;
    arrives(&browser, "/login").await;

    // A wrong password, then the right one.
    fill(&browser, "login-email", "Ada@Example.com").await;
    fill(&browser, "login-password", "not the password").await;
    submit(&browser).await;
    shows(&browser, "is not right").await;
    fill(&browser, "login-password", PASSWORD).await;
    submit(&browser).await;
    arrives(&browser, "/").await;
    browser.goto(&at("/profile")).await.unwrap();
    shows(&browser, "ada@example.com").await;

    // The page for administrators, before and after the role is given.
    browser.goto(&at("/admin")).await.unwrap();
    shows(&browser, "403").await;
    for arguments in [
        ["roles", "create", "admin", ""],
        ["roles", "add", "ada@example.com", "admin"],
    ] {
        let arguments = arguments.iter().filter(|argument| !argument.is_empty());
        let status = command(&database, port).args(arguments).status().unwrap();
        assert!(status.success());
    }
    browser.goto(&at("/admin")).await.unwrap();
    shows(&browser, "ada@example.com").await;

    // Sign out by the button in the menu; the old cookie is dead.
    let cookie = browser.get_named_cookie("security_session").await.unwrap();
    browser
        .find(Locator::Css("form[action='/logout'] button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    shows(&browser, "You are signed out").await;
    browser.goto(&at("/profile")).await.unwrap();
    arrives(&browser, "/login").await;
    browser.add_cookie(cookie).await.unwrap();
    browser.goto(&at("/profile")).await.unwrap();
    arrives(&browser, "/login").await;

    // The welcome is in the mailbox.
    browser.goto(&at("/dev/mail")).await.unwrap();
    shows(&browser, "Welcome to Rocket").await;
    browser.close().await.unwrap();
}
