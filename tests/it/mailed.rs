//! What the tests of mailed links and codes share: reading mails, following links, comparing answers.

use rocket::http::Method as Verb;
use serde_json::{Value, json};

use crate::{
    app::{Actor, Answer, App, PASSWORD, WRONG},
    smtp_server::{Received, SmtpServer},
};

/// As good as the usual password.
pub const NEW: &str = "seven purple monkeys juggle lamps";
/// The cookie of a session.
pub const SESSION: &str = "security_session";

/// What is asked for where a link leads.
pub fn path_of(link: &str) -> String {
    let url = url::Url::parse(link).expect("a URL");
    assert_eq!((url.host_str(), url.query()), (Some("localhost"), None));
    url.path().to_string()
}

/// The path of the first link in a mail.
pub fn link_in(mail: &Received) -> String {
    let links = mail.links();
    path_of(links.first().expect("a link"))
}

pub fn new_password(password: &str) -> Value {
    json!({"password": password, "password_confirm": password})
}

pub fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

impl App {
    /// Delivers what is due, and answers the newest mail to an address, of which there must be `count` by now.
    pub async fn delivered(&self, server: &SmtpServer, to: &str, count: usize) -> Received {
        self.deliver().await;
        let waiting = "SELECT COUNT(*) AS n FROM security_outbox WHERE state = 'waiting'";
        assert_eq!(self.number(waiting).await, 0, "mails wait");
        let mails = server.to(to);
        let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.clone()).collect();
        assert_eq!(mails.len(), count, "to {to}: {subjects:?}");
        // Mails that left together may have overtaken one another.
        let written = self.mails_to(to).pop().expect("a mail");
        let is_newest = |mail: &Received| mail.message_id == written.message_id;
        let newest = mails.into_iter().find(is_newest).expect("its delivery");
        assert_readable(&newest);
        newest
    }

    fn all_mails(&self, to: &str, kind: &str) -> Vec<Received> {
        let mails = self.mails_to(to).into_iter();
        mails
            .filter(|mail| mail.kind == kind)
            .map(|mail| Received {
                from: mail.from,
                recipients: vec![mail.to],
                raw: String::new(),
                subject: mail.subject,
                text: mail.text,
                html: mail.html,
                message_id: mail.message_id,
                headers: Vec::new(),
            })
            .collect()
    }

    /// The newest mail of a kind to an address, which need not be delivered yet.
    pub fn newest(&self, to: &str, kind: &str) -> Received {
        let newest = self.all_mails(to, kind).pop();
        newest.unwrap_or_else(|| panic!("no mail {kind} to {to}"))
    }

    pub fn count_mails(&self, to: &str, kind: &str) -> usize {
        self.all_mails(to, kind).len()
    }

    /// The path of the newest link of a kind.
    pub fn link_to(&self, to: &str, kind: &str) -> String {
        link_in(&self.newest(to, kind))
    }

    pub fn code_to(&self, to: &str, kind: &str) -> String {
        self.newest(to, kind).code()
    }

    /// Opens a link as those do who look through mails, by machine or out of curiosity.
    pub async fn look_at(&self, path: &str) {
        let before = self.footprint().await;
        for _ in 0..5 {
            for actor in [self.browser(), self.program()] {
                for verb in [Verb::Get, Verb::Head] {
                    let answer = actor.send(verb, path, &[], None).await;
                    assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
                }
            }
        }
        assert_eq!(
            self.footprint().await,
            before,
            "a look at {path} left marks"
        );
    }

    /// Numbers that any change to accounts shows in.
    pub async fn footprint(&self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for query in [
            "SELECT COUNT(*) AS n FROM users",
            "SELECT COALESCE(MAX(updated_at), 0) AS n FROM users",
            "SELECT COALESCE(MAX(sign_in_count), 0) AS n FROM users",
            "SELECT COUNT(*) AS n FROM users WHERE confirmed_at IS NULL",
            "SELECT COUNT(*) AS n FROM security_sessions",
            "SELECT COUNT(*) AS n FROM security_outbox",
            "SELECT COUNT(*) AS n FROM security_tickets WHERE used_at IS NULL",
            "SELECT COALESCE(MIN(attempts_left), 0) AS n FROM security_tickets",
        ] {
            numbers.push(self.number(query).await);
        }
        numbers
    }

    /// JSON from a program.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.program().post_json(path, body).await
    }

    /// Wrong passwords until the door shuts.
    pub async fn shut(&self, actor: &Actor<'_>, identity: &str) {
        for _ in 0..10 {
            let answer = actor
                .post_json("/login", credentials(identity, WRONG))
                .await;
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        let answer = actor
            .post_json("/login", credentials(identity, PASSWORD))
            .await;
        assert_eq!(answer.status, 429, "{}", answer.text());
    }

    /// Whether a password is taken by the form.
    pub async fn lets_in(&self, identity: &str, password: &str) -> bool {
        let browser = self.browser();
        browser.login(identity, password).await;
        browser.is_signed_in().await
    }

    /// Somebody in an account by every way there is.
    pub async fn inside(&self, email: &str) -> Inside<'_> {
        let (session, device) = (self.browser(), self.browser());
        session.login(email, PASSWORD).await;
        device.login_remembered(email, PASSWORD).await;
        let inside = Inside {
            token: self.token(email).await,
            session,
            device,
        };
        assert_eq!(inside.still().await, [true; 3]);
        inside
    }

    /// What somebody can tell from the answers to a form whose field `email` names an account.
    pub async fn told(&self, path: &str, fields: Value) -> Told {
        let before = self.hashes_done();
        let answer = self.program().post_json(path, fields.clone()).await;
        let mut json = answer.json();
        if let Some(response) = json["response"].as_object_mut() {
            response.remove("csrf_token");
        }
        let pairs: Vec<(&str, &str)> = fields
            .as_object()
            .expect("fields")
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
            .collect();
        let page = self.browser().post_form(path, &pairs).await;
        let identity = fields["email"].as_str().expect("an identity");
        Told {
            json: (answer.status, json),
            page: (
                page.status,
                page.location().map(String::from),
                without_tokens(&page.text()).replace(identity, "IDENTITY"),
            ),
            hashes: self.hashes_done() - before,
        }
    }
}

/// All that the answers to a form tell, but for what differs in every answer.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub json: (u16, Value),
    pub page: (u16, Option<String>, String),
    pub hashes: u64,
}

fn without_tokens(page: &str) -> String {
    let mut parts = page.split("name=\"csrf_token\" value=\"");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        text.push_str(part.split_once('"').expect("a value").1);
    }
    text
}

/// Both parts say the same, in words.
fn assert_readable(mail: &Received) {
    assert!(!mail.subject.is_empty() && !mail.subject.starts_with("mail."));
    assert!(mail.header("Message-ID").is_some(), "{}", mail.raw);
    let html = mail.html.replace("&#x2F;", "/");
    for part in [&mail.text, &html] {
        assert!(part.contains("Hello,"), "{part}");
        for rest in ["{{", "{%", "mail.greeting", "mail.footer"] {
            assert!(!part.contains(rest), "{part}");
        }
    }
    let links = mail.links();
    assert!(!links.is_empty(), "{}", mail.text);
    for link in links {
        assert!(
            html.contains(&format!("href=\"{link}\"")),
            "{link} in {html}"
        );
    }
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
    if let Some(code) = mail.text.lines().find(is_code) {
        assert!(html.contains(code), "{code} in {html}");
    }
}

/// A session, a token and a remembered device of one account.
pub struct Inside<'a> {
    pub session: Actor<'a>,
    pub token: String,
    pub device: Actor<'a>,
}

impl Inside<'_> {
    /// Which of the three are good still.
    pub async fn still(&self) -> [bool; 3] {
        let program = self.session.app.program().token(&self.token);
        self.device.forget_cookie(SESSION);
        [
            self.session.is_signed_in().await,
            program.is_signed_in().await,
            self.device.is_signed_in().await,
        ]
    }
}

impl Actor<'_> {
    /// Opens the page at `path`, fills in its form and presses the button.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {:?}", page.location());
        self.press(&page, fields).await
    }

    /// Fills in the form of a page that was answered and presses its button.
    pub async fn press(&self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let text = page.text();
        let (_, main) = text.split_once("<main").expect("a page of ours");
        let (_, form) = main.split_once("<form").expect("a form");
        let (form, _) = form.split_once("</form>").expect("its end");
        let until_quote = |rest: &str| {
            let (value, _) = rest.split_once('"').expect("a quote");
            value.replace("&#x2F;", "/").replace("&amp;", "&")
        };
        let (_, action) = form.split_once("action=\"").expect("an action");
        let hidden: Vec<(String, String)> = form
            .split("type=\"hidden\" name=\"")
            .skip(1)
            .map(|input| {
                let (_, value) = input.split_once("value=\"").expect("a value");
                (until_quote(input), until_quote(value))
            })
            .collect();
        let hidden = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = fields.iter().copied().chain(hidden).collect();
        self.post_raw_form(&until_quote(action), &all).await
    }

    /// Whether the page that an answer leads to says `text`.
    pub async fn reads(&self, answer: &Answer, text: &str) -> bool {
        let location = answer.location().expect("a redirect");
        self.get(location).await.text().contains(text)
    }
}

/// Checks that a program was refused, with this code.
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let codes = (answer.status, answer.codes());
    assert_eq!(codes, (status, vec![code.to_string()]), "{}", answer.text());
}
