//! What features with mailed tickets share: asking for a mail, and presenting what it carried.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::{Submitted, Web};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    http::headers,
    identity::{EmailAddress, Identity, target::Target},
    notify::{mail::Recipient, outbox::MailLimit},
    signin::{
        limits::{Buckets, PerAddress, count_failure, count_per_address, refuse_if_locked},
        outdated,
        ticket::{self, CodeSubject, Presented, Purpose, Refusal, TicketOptions, ValidTicket},
        ticket_mail,
    },
    store::{
        User,
        users::{self},
    },
    templates::{MailTemplate, form::Field},
    types::{Message, Method, Methods, Path, PathTo, UserId},
    web::{
        json::wants_json,
        page,
        reply::{Answer, Reply},
    },
};

// Forms.

/// Asks for a mail.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AskForm {
    #[serde(default)]
    pub(crate) email: String,
}

impl AskForm {
    /// With the address of whoever is signed in.
    pub(crate) fn of_caller(web: &Web<'_>) -> Self {
        let email = web.caller.as_ref().map(|caller| caller.user.email.clone());
        Self {
            email: email.unwrap_or_default(),
        }
    }
}

/// Presents what a mail carried, typed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CodeForm {
    #[serde(default)]
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) code: String,
}

impl CodeForm {
    /// For the page that follows the asking.
    pub(crate) fn after(email: &str) -> Self {
        Self {
            email: email.into(),
            ..Self::default()
        }
    }
}

/// Whom somebody asks for by a form that anybody can fill in.
///
/// Whether there is such an account shows in nothing that follows: the same is read, composed, counted
/// and written for nobody, as a decoy.
pub(crate) struct Asked {
    /// The account, if the mail is for it.
    pub(crate) user: Option<User>,
    typed: String,
    handle: CodeSubject,
}

impl Asked {
    fn recipient(&self) -> Recipient<'_> {
        match &self.user {
            Some(user) => Recipient::from(user),
            None => Recipient {
                decoy: true,
                ..Recipient::at(&self.typed)
            },
        }
    }
}

/// Why no mail is for an account: told where the site tells.
pub(crate) type Unwanted = fn(&User) -> Option<&'static str>;

/// Finds out for whom a mail is asked, by the address or other identity in the field `email`.
pub(crate) async fn asked(web: &Web<'_>, typed: &str, unwanted: Unwanted) -> Result<Asked, Error> {
    let identity = recognise(web, typed)?;
    count_per_address(web.site, PerAddress::Mail, &web.client).await?;
    let found = {
        let identity = identity.clone();
        web.site
            .store
            .read(move |conn| users::by_identity(conn, &identity))
            .await?
    };
    let why_not = match &found {
        None => Some("email.unknown"),
        Some(user) if !user.active => Some("login.inactive"),
        Some(user) => unwanted(user),
    };
    if let Some(key) = why_not
        && !web.site.settings.generic_answers
    {
        return Err(Invalid::field("email", Message::new(key)).into());
    }
    Ok(Asked {
        handle: handle_of(web, &identity, found.as_ref()),
        user: found.filter(|_| why_not.is_none()),
        typed: crate::store::cut(typed.trim(), 254),
    })
}

/// What was typed, if it can be an identity here. That it cannot is told in either mode.
fn recognise(web: &Web<'_>, typed: &str) -> Result<Identity, Error> {
    let site = web.site;
    let kinds = &site.settings.identities;
    if typed.trim().is_empty() {
        return Err(Invalid::field("email", Message::new("input.required")).into());
    }
    if let [crate::identity::IdentityKind::Email] = kinds.as_slice() {
        EmailAddress::typed(typed).map_err(|message| Invalid::field("email", message))?;
    }
    // A mail is asked for by address, even where people sign in by username alone.
    if let Ok(email) = EmailAddress::typed(typed) {
        return Ok(Identity::Email(email));
    }
    Ok(Identity::recognise(typed, kinds, site.usernames.as_ref()))
}

fn handle_of(web: &Web<'_>, identity: &Identity, user: Option<&User>) -> CodeSubject {
    match user {
        Some(user) => CodeSubject::of_user(&user.id),
        None => CodeSubject::of_identity(web.site, identity),
    }
}

/// How a ticket is mailed.
pub(crate) struct Mailing<P: Purpose> {
    pub(crate) mail: MailTemplate,
    /// The link's path.
    pub(crate) path: PathTo,
    pub(crate) life: Duration,
    /// The browser that must present it, if one must.
    pub(crate) bound_to: Option<String>,
    pub(crate) payload: P::Payload,
}

/// Mails a ticket to the account that it was asked for, and tells of it by the event `told`.
pub(crate) async fn mail_ticket<P: Purpose>(
    web: &Web<'_>,
    asked: &Asked,
    mailing: Mailing<P>,
    told: fn(UserId) -> EventKind,
) -> Result<(), Error> {
    let terms = TicketOptions {
        life: mailing.life,
        user: asked.user.as_ref().map(|user| user.id.clone()),
        bound_to: mailing.bound_to,
    };
    let draft = ticket::draft::<P>(
        web.site,
        terms,
        ticket::Begun::ByVisitor,
        &asked.handle,
        &mailing.payload,
    )?;
    let own = ticket_mail::context(web.site, mailing.path, &draft);
    let outgoing = web.composer().compose(
        &asked.recipient(),
        mailing.mail,
        mail_limit_for(web, asked),
        own,
    )?;
    let user = asked.user.as_ref().map(|user| user.id.clone());
    web.change(move |change| {
        if ticket_mail::enqueue(change, &outgoing, &draft)?
            && let Some(user) = &user
        {
            change.event(told(user.clone()));
        }
        Ok(())
    })
    .await
    .map_err(outdated)
}

/// What somebody asks for in a browser in which they signed in before is counted apart, so that nobody
/// else can use up their mails.
fn mail_limit_for(web: &Web<'_>, asked: &Asked) -> MailLimit {
    let device = asked
        .user
        .as_ref()
        .and_then(|user| web.client.device.known_device(&web.site.http, user));
    device.map_or(MailLimit::Limited, MailLimit::Device)
}

/// Mails something that carries no ticket to the account that it was asked for, and tells of it by the event `told`.
pub(crate) async fn mail(
    web: &Web<'_>,
    asked: &Asked,
    which: MailTemplate,
    own: serde_json::Value,
    told: fn(UserId) -> EventKind,
) -> Result<(), Error> {
    let outgoing =
        web.composer()
            .compose(&asked.recipient(), which, mail_limit_for(web, asked), own)?;
    let user = asked.user.as_ref().map(|user| user.id.clone());
    web.change(move |change| {
        if change.mail(&outgoing)?
            && let Some(user) = &user
        {
            change.event(told(user.clone()));
        }
        Ok(())
    })
    .await?;
    Ok(())
}

// Presenting.

/// What a mailed link holds, for its page and its form.
pub(crate) async fn by_link<P: Purpose>(
    web: &Web<'_>,
    token: &str,
) -> Result<Result<ValidTicket<P>, Refusal>, Error> {
    ticket::present(web.site, Presented::Link(token), &web.presenter()).await
}

/// What a typed code holds; a wrong one counts like a wrong password. What comes with it is cleared by
/// whoever lets somebody in.
pub(crate) async fn by_code<P: Purpose>(
    web: &Web<'_>,
    typed: &str,
    code: &str,
) -> Result<(ValidTicket<P>, Buckets), Error> {
    let mut invalid = Invalid::new();
    let identity = match recognise(web, typed) {
        Ok(identity) => Some(identity),
        Err(Error::Invalid(wrong)) => {
            invalid = wrong;
            None
        }
        Err(error) => return Err(error),
    };
    if code.trim().is_empty() {
        invalid.add("code", Message::new("input.required"));
    }
    let Some(identity) = identity.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let user = {
        let identity = identity.clone();
        web.site
            .store
            .read(move |conn| users::by_identity(conn, &identity))
            .await?
    };
    let handle = handle_of(web, &identity, user.as_ref());
    let buckets = Buckets::of_first_code(web.site, &identity, user.as_ref(), &web.client);
    let tells_of_nobody = user.is_none() && !web.site.settings.generic_answers;
    match by_code_of(web, buckets, user, handle, code).await {
        Err(Error::Invalid(_)) if tells_of_nobody => {
            Err(Invalid::field("email", Message::new("email.unknown")).into())
        }
        found => found,
    }
}

/// The same, counted elsewhere.
pub(crate) async fn by_code_of<P: Purpose>(
    web: &Web<'_>,
    buckets: Buckets,
    user: Option<User>,
    handle: CodeSubject,
    code: &str,
) -> Result<(ValidTicket<P>, Buckets), Error> {
    let site = web.site;
    refuse_if_locked(site, &buckets).await?;
    let found = ticket::present::<P>(site, Presented::Code(handle, code), &web.presenter()).await?;
    match found {
        Ok(held) => {
            // A right guess that was answered after the door was shut comes too late.
            refuse_if_locked(site, &buckets).await?;
            Ok((held, buckets))
        }
        Err(Refusal::Invalid) => {
            let methods = Methods::of(Method::Email);
            count_failure(site, &buckets, user.as_ref(), methods, &web.client).await?;
            Err(Invalid::field("code", Message::new("code.invalid")).into())
        }
        Err(refusal) => Err(Invalid::form(Message::new(key_of(refusal))).into()),
    }
}

/// The field for a mailed code.
pub(crate) fn code_field() -> Field {
    Field::code("code").hint(Message::new("field.code_hint"))
}

const GONE: &str = "ticket.invalid";

pub(crate) const fn key_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Invalid => GONE,
        Refusal::OtherAccount => "ticket.other_account",
        Refusal::OtherBrowser => "ticket.other_browser",
    }
}

/// The page of a link, which changes nothing; for an application in the browser its view.
pub(crate) async fn link_page<P: Purpose>(
    web: &Web<'_>,
    token: &str,
    ask: Path,
    page: impl FnOnce(ValidTicket<P>) -> Reply,
) -> Answer {
    headers::hide_address(web.request);
    let found = by_link::<P>(web, token).await?;
    let spa = &web.site.settings.spa;
    let has_view = found.is_err() && web.site.settings.after.error_of(ask).is_some();
    if spa.enabled && !has_view && !wants_json(web.request, web.site) {
        let view = Target::local(&spa.link_view);
        let (key, value) = match &found {
            Ok(_) => ("token", token),
            Err(refusal) => ("error", key_of(*refusal)),
        };
        return Ok(Reply::done(
            view.with_query(&[("purpose", P::NAME), (key, value)]),
        ));
    }
    match found {
        Ok(held) => Ok(page(held)),
        Err(refusal) => bad_link(web, P::NAME, key_of(refusal), ask),
    }
}

/// The form of a link's page: `done` does what the ticket is for.
pub(crate) async fn use_link<P: Purpose, F>(
    web: &Web<'_>,
    token: &str,
    ask: Path,
    form: Submitted<F>,
    done: impl AsyncFnOnce(ValidTicket<P>, F) -> Answer,
) -> Answer {
    headers::hide_address(web.request);
    let form = form?.into_inner();
    match by_link::<P>(web, token).await? {
        // Somebody was faster, it ran out in this moment, or what it is for cannot be done any more. The page of
        // a link has no field that could say so.
        Ok(held) => match done(held, form).await.map_err(Error::for_form) {
            Err(Error::Invalid(invalid)) if !wants_json(web.request, web.site) => {
                let mut messages = invalid.fields().flat_map(|(_, messages)| messages);
                let key = messages.next().map_or(GONE, Message::key);
                bad_link(web, P::NAME, key.to_string(), ask)
            }
            done => done,
        },
        Err(refusal) => bad_link(web, P::NAME, key_of(refusal), ask),
    }
}

/// A link that opens nothing: a browser is sent where another can be asked for, a program gets 400.
///
/// The page has words of its own for a link that may have done its work already, by the name of its purpose.
pub(crate) fn bad_link(
    web: &Web<'_>,
    purpose: &str,
    key: impl Into<Cow<'static, str>>,
    ask: Path,
) -> Answer {
    let key = key.into();
    if wants_json(web.request, web.site) {
        return Err(Invalid::form(Message::new(key)).into());
    }
    let settings = &web.site.settings;
    let target = match settings.after.error_of(ask) {
        Some(view) => page::after(web.site, view),
        None => Target::local(&web.site.path(ask)),
    };
    // An application in the browser reads the reason from its address.
    if settings.spa.enabled && settings.after.error_of(ask).is_some() {
        return Ok(Reply::done(target.with_query(&[("error", &*key)])));
    }
    let own = format!("{key}_{purpose}");
    let told = match web.site.views.catalogue().has(&own) {
        true => own.into(),
        false => key,
    };
    Ok(Reply::done(target).flash("error", told))
}
