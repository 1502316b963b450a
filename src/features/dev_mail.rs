//! The development mailbox, `/dev/mail`: what would have been mailed.
//!
//! Mounted in debug builds that listen on this machine only, and answered under the machine's own names only:
//! anywhere else the path is unknown.

use rocket::{
    get,
    http::Header,
    response::{Responder, content::RawHtml},
    routes,
};

const LIST: Template = template!("dev_mail/list.html");
const MESSAGE: Template = template!("dev_mail/message.html");
use serde::Serialize;
use serde_json::json;

use super::Web;
use crate::{
    error::Error,
    http::address::is_at_this_machine,
    notify::{mailbox::Mailbox, mailer::Mail},
    settings::Strictness,
    templates::{Template, template},
    types::Path,
    web::{
        feature::{Feature, Link, MenuFor},
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "dev_mail",
    is_on: |settings, strictness| {
        settings.dev_mail.enabled && strictness == Strictness::Development
    },
    routes: || routes![list, message, html],
    templates: &[LIST, MESSAGE],
    samples: || {
        let mail = json!({
            "id": 1, "to": "a@example.com", "from": "b@example.com", "subject": "Subject", "text": "Text",
            "has_html": true, "at": "today", "at_iso": "2026-01-01T00:00:00Z",
        });
        vec![
            (LIST, json!({"mails": [mail]})),
            (
                MESSAGE,
                json!({"mail": mail, "links": ["https://example.com/"]}),
            ),
        ]
    },
    mails: &[],
    links: &[Link {
        name: "dev_mail",
        path: Path::DevMail,
        menu: MenuFor::Everybody,
    }],
};

// Answers.

/// The mails and text messages that were caught.
#[derive(Serialize)]
struct MailsAnswer {
    /// All of them, the latest first.
    mails: Vec<MailAnswer>,
}

/// One mail or text message.
#[derive(Serialize)]
struct MessageAnswer {
    /// The message.
    mail: MailAnswer,
}

/// A mail or text message, for programs and the page.
#[derive(Serialize)]
struct MailAnswer {
    /// Its number.
    id: u64,
    /// The address or telephone number that it is for.
    to: String,
    /// Whether it is a text message.
    is_sms: bool,
    /// The sender; empty for a text message.
    from: String,
    /// The subject; empty for a text message.
    subject: String,
    /// Its text.
    text: String,
    /// Whether it has an HTML part.
    has_html: bool,
    /// When it was sent, as text.
    at: String,
    /// When it was sent.
    at_iso: String,
}

// Routes.

#[get("/dev/mail")]
fn list(web: Web<'_>) -> Answer {
    let mails: Vec<_> = mailbox(&web)?
        .all()
        .into_iter()
        .rev()
        .map(|(id, mail)| view(id, mail))
        .collect();
    Ok(Reply::page(LIST)
        .with("mails", &mails)
        .answer(MailsAnswer { mails }))
}

#[get("/dev/mail/<id>")]
fn message(web: Web<'_>, id: u64) -> Answer {
    let mail = find(&web, id)?;
    let links: Vec<&str> = mail
        .text
        .split_whitespace()
        .filter(|word| is_link(word))
        .collect();
    let page = Reply::page(MESSAGE).with("links", links);
    let mail = view(id, mail);
    Ok(page.with("mail", &mail).answer(MessageAnswer { mail }))
}

/// The HTML part alone, for a frame in which nothing runs. A link in it opens a tab of its own: our pages refuse
/// to be framed.
#[derive(Responder)]
struct Part {
    html: RawHtml<String>,
    policy: Header<'static>,
    cache: Header<'static>,
}

#[get("/dev/mail/<id>/html")]
fn html(web: Web<'_>, id: u64) -> Result<Part, Error> {
    Ok(Part {
        html: RawHtml(with_tabs(&find(&web, id)?.html)),
        policy: Header::new(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; \
             sandbox allow-popups allow-popups-to-escape-sandbox",
        ),
        cache: Header::new("Cache-Control", "private, no-store"),
    })
}

/// Makes the links of an HTML part open a tab of their own.
fn with_tabs(html: &str) -> String {
    const BASE: &str = "<base target=\"_blank\">";
    match html.split_once("<head>") {
        Some((before, after)) => format!("{before}<head>{BASE}{after}"),
        None => format!("{BASE}{html}"),
    }
}

fn find(web: &Web<'_>, id: u64) -> Result<Mail, Error> {
    mailbox(web)?.get(id).ok_or(Error::NotFound)
}

/// The mailbox, for whoever sits at this machine.
fn mailbox<'a>(web: &'a Web<'_>) -> Result<&'a Mailbox, Error> {
    let mailbox = web.site.notify.mailbox.as_ref();
    mailbox
        .filter(|_| is_at_this_machine(web.request))
        .ok_or(Error::NotFound)
}

fn is_link(word: &str) -> bool {
    word.starts_with("http://") || word.starts_with("https://")
}

fn view(id: u64, mail: Mail) -> MailAnswer {
    MailAnswer {
        id,
        to: mail.to,
        // A text message has neither sender nor subject.
        is_sms: mail.from.is_empty(),
        from: mail.from,
        subject: mail.subject,
        text: mail.text,
        has_html: !mail.html.is_empty(),
        at: mail.at.to_text(),
        at_iso: mail.at.rfc3339(),
    }
}
