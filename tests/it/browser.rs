//! A person at a browser: headless Chromium clicks through the demonstration site.
//!
//! Wants `chromedriver` and Chromium; without them the test says so and passes, unless
//! `SECURITY_TEST_REQUIRE` lists `browser`.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator};
use rocket::tokio;

use crate::app::eventually;
#[cfg(feature = "smtp")]
use crate::smtp_server::{Received, SmtpServer};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A process that ends with the test, however that ends.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn command(database: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rocket_security"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ROCKET_PORT", port.to_string())
        .env("ROCKET_LOG_LEVEL", "critical")
        .env("ROCKET_SECURITY__DATABASE__URL", database)
        .stdout(Stdio::null());
    command
}

pub(crate) async fn until_it_answers(port: u16) {
    let there = async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .ok()
    };
    eventually(&format!("a server on {port}"), there).await;
}

pub(crate) async fn browser() -> Option<(Process, Client)> {
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

pub(crate) async fn fill(browser: &Client, id: &str, text: &str) {
    browser
        .find(Locator::Id(id))
        .await
        .unwrap()
        .send_keys(text)
        .await
        .unwrap();
}

pub(crate) async fn submit(browser: &Client) {
    let button = browser
        .find(Locator::Css("main form button[type=submit]"))
        .await
        .unwrap();
    button.click().await.unwrap();
}

/// Waits until `found` says so: a page that a click leads to is there when it is there.
pub(crate) async fn wait(what: &str, found: impl AsyncFn() -> bool) {
    eventually(what, async || found().await.then_some(())).await;
}

pub(crate) async fn arrives(browser: &Client, path: &str) {
    let at = async || {
        browser
            .current_url()
            .await
            .is_ok_and(|url| url.path() == path)
    };
    wait(path, at).await;
}

pub(crate) async fn shows(browser: &Client, text: &str) {
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

    // The first mail is in the mailbox.
    browser.goto(&at("/dev/mail")).await.unwrap();
    shows(&browser, "Confirm your address at Rocket").await;

    // Its button opens the page of the link in a tab of its own.
    browser.goto(&at("/dev/mail/1")).await.unwrap();
    let frame = browser.find(Locator::Css("iframe")).await.unwrap();
    frame.enter_frame().await.unwrap();
    let button = browser.find(Locator::Css("a.button")).await.unwrap();
    button.click().await.unwrap();
    wait("a tab opens", async || {
        browser.windows().await.unwrap().len() == 2
    })
    .await;
    let tab = browser.windows().await.unwrap().remove(1);
    browser.switch_to_window(tab).await.unwrap();
    shows(
        &browser,
        "Press the button to confirm that this address is yours",
    )
    .await;
    browser.close().await.unwrap();
}

/// A person with a browser and a mailbox, at a site that sends its mails by SMTP.
#[cfg(feature = "smtp")]
pub(crate) struct Person {
    pub(crate) browser: Client,
    pub(crate) mailbox: SmtpServer,
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
    processes: Vec<Process>,
}

#[cfg(feature = "smtp")]
impl Person {
    /// At a site with these settings, by the names that the environment has for them.
    pub(crate) async fn arrive_at(settings: &[(&str, &str)]) -> Option<Self> {
        let mut person = Self::without_a_site().await?;
        let (mailbox, folder) = (&person.mailbox, &person.folder);
        let settings = settings
            .iter()
            .map(|(name, value)| (format!("ROCKET_SECURITY__{name}"), *value));
        let site = person
            .command()
            .env("ROCKET_SECURITY__MAIL__TRANSPORT", "smtp")
            .env("ROCKET_SECURITY__MAIL__HOST", "127.0.0.1")
            .env("ROCKET_SECURITY__MAIL__PORT", mailbox.port().to_string())
            .env("ROCKET_SECURITY__MAIL__ENCRYPTION", "none")
            .env(
                "ROCKET_SECURITY__SMS__FOLDER",
                folder.path().join("messages"),
            )
            .envs(settings)
            .spawn()
            .unwrap();
        person.processes.push(Process(site));
        until_it_answers(person.port).await;
        Some(person)
    }

    /// Before there is one at the port.
    pub(crate) async fn without_a_site() -> Option<Self> {
        let (driver, browser) = browser().await?;
        Some(Self {
            browser,
            mailbox: SmtpServer::start().await,
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            processes: vec![driver],
        })
    }

    async fn arrive() -> Option<Self> {
        Self::arrive_at(&[("PASSWORDLESS__ENABLED", "true")]).await
    }

    /// The command line, at the site's database.
    pub(crate) fn command(&self) -> Command {
        command(&self.folder.path().join("site.db"), self.port)
    }

    pub(crate) async fn open(&self, path: &str) {
        let url = format!("http://localhost:{}{path}", self.port);
        self.browser.goto(&url).await.unwrap();
    }

    /// Fills in a form of the page, whose fields are named `<form>-<name>`.
    pub(crate) async fn fill(&self, form: &str, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            let id = format!("{form}-{name}");
            wait(&id, async || {
                self.browser.find(Locator::Id(&id)).await.is_ok()
            })
            .await;
            fill(&self.browser, &id, text).await;
        }
    }

    /// Fills in the form of the page and presses its button.
    async fn send(&self, form: &str, fields: &[(&str, &str)]) {
        self.fill(form, fields).await;
        submit(&self.browser).await;
    }

    /// Presses what is there, or comes to be there.
    pub(crate) async fn press(&self, what: Locator<'_>) {
        wait(&format!("{what:?}"), async || {
            self.browser.find(what).await.is_ok()
        })
        .await;
        let found = self.browser.find(what).await.unwrap();
        found.click().await.unwrap();
    }

    pub(crate) async fn sign_out(&self) {
        self.press(Locator::Css("form[action='/logout'] button"))
            .await;
        self.reads("You are signed out").await;
    }

    pub(crate) async fn reads(&self, text: &str) {
        shows(&self.browser, text).await;
    }

    pub(crate) async fn is_at(&self, path: &str) {
        arrives(&self.browser, path).await;
    }

    /// The mail with this number to an address.
    pub(crate) async fn mail(&self, address: &str, number: usize) -> Received {
        let came = async || self.mailbox.to(address).len() >= number;
        wait(&format!("mail {number} to {address}"), came).await;
        self.mailbox.to(address).swap_remove(number - 1)
    }

    /// Opens the link of a mail and presses the button of its page.
    async fn follow(&self, mail: &Received, fields: &[(&str, &str)]) {
        let link = mail.links().remove(0);
        self.browser.goto(&link).await.unwrap();
        self.reads("close this page").await;
        self.send("recover_link", fields).await;
    }

    async fn register(&self) -> Received {
        self.open("/register").await;
        let fields = [
            ("email", ADA),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        self.send("register", &fields).await;
        self.is_at("/login").await;
        self.reads("Check your inbox and follow the link").await;
        self.mail(ADA, 1).await
    }

    async fn sign_in(&self, password: &str) {
        self.open("/login").await;
        self.send("login", &[("email", ADA), ("password", password)])
            .await;
        self.is_at("/").await;
        self.open("/profile").await;
        self.reads(ADA).await;
    }
}

#[cfg(feature = "smtp")]
pub(crate) const ADA: &str = "ada@example.com";
#[cfg(feature = "smtp")]
const NEW: &str = "seven purple monkeys juggle lamps";

#[cfg(feature = "smtp")]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_by_link_changes_the_address_and_takes_it_back() {
    let Some(person) = Person::arrive().await else {
        return;
    };
    let mail = person.register().await;
    person.follow(&mail, &[]).await;
    person.is_at("/login").await;
    person.reads("your address is confirmed").await;
    person.sign_in(PASSWORD).await;

    person.open("/change-email").await;
    let other = "countess@example.org";
    person.send("change_email", &[("email", other)]).await;
    person.reads("enter the code here").await;
    person.follow(&person.mail(other, 1).await, &[]).await;
    person.is_at("/").await;
    person.reads("Your email address is changed").await;
    person.open("/profile").await;
    person.reads(other).await;

    person.follow(&person.mail(ADA, 2).await, &[]).await;
    person.is_at("/login").await;
    person.reads("Your address is back").await;
    person.open("/profile").await;
    person.is_at("/login").await;
    let fields = [("password", NEW), ("password_confirm", NEW)];
    person.follow(&person.mail(ADA, 3).await, &fields).await;
    person.is_at("/login").await;
    person.reads("Your new password is set").await;
    person.sign_in(NEW).await;
    person.browser.clone().close().await.unwrap();
}

#[cfg(feature = "smtp")]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_signs_in_and_chooses_a_password_by_codes() {
    let Some(person) = Person::arrive().await else {
        return;
    };
    let code = person.register().await.code();
    person.open("/confirm/code").await;
    person
        .send("confirm_code", &[("email", ADA), ("code", &code)])
        .await;
    person.is_at("/login").await;
    person.reads("your address is confirmed").await;

    // From the sign-in page to the one that wants no password.
    let link = Locator::LinkText("Sign in by email instead");
    person.press(link).await;
    person.is_at("/login/link").await;
    person.send("passwordless", &[("email", ADA)]).await;
    person.reads("enter the code here").await;
    let code = person.mail(ADA, 2).await.code();
    person.send("passwordless_code", &[("code", &code)]).await;
    person.is_at("/").await;
    person.open("/profile").await;
    person.reads(ADA).await;
    person.sign_out().await;

    person.open("/reset").await;
    person.send("recover", &[("email", ADA)]).await;
    person.reads("enter the code here").await;
    let code = person.mail(ADA, 3).await.code();
    let fields = [
        ("code", code.as_str()),
        ("password", NEW),
        ("password_confirm", NEW),
    ];
    person.send("recover_code", &fields).await;
    person.is_at("/login").await;
    person.reads("Your new password is set").await;
    person.sign_in(NEW).await;
    person.mail(ADA, 4).await;
    person.browser.clone().close().await.unwrap();
}
