//! Composes mails from templates.

use serde_json::{Map, Value, json};

use super::{
    context::NotifyContext,
    mailer::Mail,
    outbox::{MailLimit, OutgoingMail},
};
use crate::{
    error::Error,
    events::Client,
    identity::text::is_hidden,
    settings::MailParts,
    store::{User, cut},
    templates::{MailTemplate, Template},
    types::Message,
};

/// Whom a mail is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'a> {
    pub(crate) email: &'a str,
    /// What to call them.
    pub(crate) display: &'a str,
    /// Nobody: the mail is written like any other, and goes nowhere.
    pub(crate) decoy: bool,
}

impl<'a> Recipient<'a> {
    /// An address of which no more is known.
    pub(crate) fn at(email: &'a str) -> Self {
        Self {
            email,
            display: email,
            decoy: false,
        }
    }
}

impl<'a> From<&'a User> for Recipient<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            email: &user.email,
            display: user.display(),
            decoy: false,
        }
    }
}

/// The name of the mail that a template is part of, if it is one: `welcome` of
/// `security/register/welcome.mail.txt`.
pub(crate) fn name_of(template: &str) -> Option<&str> {
    let (path, _) = template.split_once(".mail.")?;
    path.rsplit('/').next()
}

/// Writes mails: in which language, and on whose behalf.
#[derive(Clone, Copy)]
pub(crate) struct MailComposer<'a> {
    pub(crate) context: &'a NotifyContext,
    /// Who asks; nobody for commands and jobs.
    pub(crate) client: Option<&'a Client>,
    pub(crate) language: &'a str,
}

impl<'a> MailComposer<'a> {
    /// On behalf of whoever asks.
    pub(crate) fn on_behalf(
        context: &'a NotifyContext,
        client: &'a Client,
        language: &'a str,
    ) -> Self {
        Self {
            context,
            client: Some(client),
            language,
        }
    }

    /// Composes a mail from its templates, with `own` beside what every mail's context has.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if a template of the application's cannot be rendered.
    pub(crate) fn compose(
        &self,
        to: &Recipient<'_>,
        template: MailTemplate,
        mail_limit: MailLimit,
        own: Value,
    ) -> Result<OutgoingMail, Error> {
        let mail = self.render(to, template, own).map_err(|error| {
            Error::Broken(format!(
                "the mail {} cannot be composed: {error}",
                template.name
            ))
        })?;
        OutgoingMail::new(self.context, mail, mail_limit, to.decoy)
    }

    fn render(
        &self,
        to: &Recipient<'_>,
        template: MailTemplate,
        own: Value,
    ) -> Result<Mail, String> {
        let (context, now) = (self.context, self.context.now());
        let which = template.name;
        let mut given = Map::new();
        let shared = json!({
            "lang": self.language,
            "user": {"email": to.email, "display": to.display},
            "site": {"name": context.settings.site_name, "home": context.base_url.as_str()},
            "at": now.to_text(),
            "address": self.client.map(|client| client.address.as_str()),
            "agent": self.client.map(|client| client.agent.as_str()),
        });
        for values in [shared, Value::Object(self.links()), own] {
            if let Value::Object(values) = values {
                given.extend(values);
            }
        }
        given.extend(context.mail_values(which));
        let subject =
            Message::new(format!("mail.{which}.subject")).with("site", &context.settings.site_name);
        // A subject is one line, whatever the name of the site.
        let subject: String = cut(&context.views.catalogue().say(self.language, &subject), 200)
            .chars()
            .filter(|c| !is_hidden(*c) && !matches!(c, '\u{2028}' | '\u{2029}'))
            .collect();
        let parts = context.settings.mail.parts;
        let part = |part: Template, left_out: MailParts| match parts == left_out {
            true => Ok(String::new()),
            false => context.views.render(self.language, part.name, &given),
        };
        let host = context.base_url.host_str().unwrap_or("localhost");
        Ok(Mail {
            kind: which.into(),
            to: to.email.into(),
            from: context.sender.clone(),
            reply_to: context.settings.mail.reply_to.clone(),
            subject,
            text: part(template.text, MailParts::Html)?,
            html: part(template.html, MailParts::Text)?,
            at: now,
            message_id: format!("{}@{host}", uuid::Uuid::new_v4()),
        })
    }

    /// Pages that mails link to, as `url_<name>`, where their features are on.
    fn links(&self) -> Map<String, Value> {
        let mut links = Map::new();
        for (name, path) in &self.context.links {
            if matches!(*name, "login" | "register" | "recover") {
                links.insert(format!("url_{name}"), self.context.absolute(*path).into());
            }
        }
        links
    }
}
