//! Sending codes for unified sign-in.

use super::{Passcode, Sent, SignIn, code_methods, codes::sign_in_methods, passcodes::meant};
use crate::features::Web;
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors,
    identity::{EmailAddress, IdentityKind},
    notify::{
        mail::Recipient,
        outbox::{MailLimit, OutgoingMail},
        sms::Sms,
    },
    signin::{
        limits::{PerAddress, count_per_address},
        outdated,
        second::sms_text,
        ticket::{self, CodeSubject, Draft, Purpose, TicketOptions},
        ticket_mail,
    },
    store::User,
    types::{FactorKind, Message},
};
use serde_json::json;

/// Whom a code is for, and where.
pub(super) struct Reached<'a> {
    pub(super) user: Option<&'a User>,
    /// What was typed as their name.
    pub(super) typed: &'a str,
    pub(super) handle: &'a CodeSubject,
    pub(super) phone: Option<&'a str>,
    /// The session in which alone the code is good, if it is for one.
    pub(super) session: Option<String>,
    pub(super) begun: ticket::Begun,
    pub(super) mail_limit: MailLimit,
}

/// A code that is about to be sent: its ticket and its mail.
pub(super) fn prepare<P: Purpose<Payload = Sent>>(
    web: &Web<'_>,
    reached: Reached<'_>,
    sent: &Sent,
) -> Result<(Draft<P>, OutgoingMail), Error> {
    let Reached {
        user, typed, phone, ..
    } = reached;
    let (site, now) = (web.site, web.site.now());
    let life = match sent.kind {
        FactorKind::Sms => site.settings.sms.life.get(),
        _ => site.settings.unified.mail_life.get(),
    };
    let terms = TicketOptions {
        life,
        user: user.map(|user| user.id.clone()),
        bound_to: reached.session.clone(),
    };
    let draft = ticket::draft::<P>(site, terms, reached.begun, reached.handle, sent)?;
    let (composer, code) = (web.composer(), draft.code.expose());
    let outgoing = match sent.kind {
        FactorKind::Sms => {
            let text = sms_text(&composer, code, draft.until());
            let sms = Sms::new(phone.unwrap_or(typed), text, now, draft.until());
            let decoy = phone.is_none() || user.is_none();
            OutgoingMail::of_sms(&site.notify, "unified_sms", sms, reached.mail_limit, decoy)?
        }
        _ => {
            let to = match user {
                Some(user) => Recipient::from(user),
                None => Recipient {
                    decoy: true,
                    ..Recipient::at(typed)
                },
            };
            let own = match &reached.session {
                // A link signs in, which whoever has a session already has done.
                Some(_) => json!({"code": code, "until": draft.until().to_text()}),
                None => ticket_mail::context(site, "/us-verify-link", &draft),
            };
            composer.compose(&to, ("unified", "unified"), reached.mail_limit, own)?
        }
    };
    Ok((draft, outgoing))
}

/// Sends a code to whoever is meant, if there is such an account and it has that way; the same work and
/// answer else.
pub(super) async fn send(web: &Web<'_>, form: &SignIn, next: Option<&str>) -> Result<(), Error> {
    let site = web.site;
    let mut invalid = Invalid::new();
    let kind = factors::kind_of(&form.chosen_method, &code_methods(web), "chosen_method");
    let kind = invalid.absorb(kind)?;
    // That an address is none is told in either mode.
    let by_email = matches!(site.settings.identities.as_slice(), [IdentityKind::Email])
        && kind == Some(FactorKind::Email);
    if form.identity().is_empty() {
        invalid.add("identity", Message::new("input.required"));
    } else if by_email {
        invalid.take("identity", EmailAddress::typed(form.identity()));
    }
    let Some(kind) = kind.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let meant = meant(web, form.identity()).await?;
    count_per_address(site, PerAddress::Mail, &web.client).await?;
    let sent = Sent {
        kind,
        remember: web.keeps(form.remember),
        next: web.judged(next),
    };
    let why_not = match &meant.user {
        None => Some(("identity", "login.unknown")),
        Some(user) if !user.active => Some(("identity", "login.inactive")),
        Some(_) => None,
    };
    let user = meant.user.filter(|user| user.active);
    let phone = phone_of(web, user.as_ref()).await?;
    let reached = user.filter(|_| kind == FactorKind::Email || phone.is_some());
    if reached.is_none() && !site.settings.generic_answers {
        let (field, key) = why_not.unwrap_or(("chosen_method", "us.not_set_up"));
        return Err(Invalid::field(field, Message::new(key)).into());
    }
    let typed = crate::store::cut(form.identity().trim(), 254);
    // What is for nobody stands in nobody's way: an owner's code that is on its way stays good.
    let handle = match &reached {
        Some(_) => meant.handle,
        None => CodeSubject::of_identity(site, &meant.identity),
    };
    let to = Reached {
        user: reached.as_ref(),
        typed: &typed,
        handle: &handle,
        phone: phone.as_deref(),
        session: None,
        begun: ticket::Begun::ByVisitor,
        mail_limit: MailLimit::Limited,
    };
    let (draft, outgoing) = prepare::<Passcode>(web, to, &sent)?;
    let user = reached.map(|user| user.id);
    web.change(move |change| {
        if ticket_mail::enqueue(change, &outgoing, &draft)?
            && let Some(user) = user.clone()
        {
            change.event(EventKind::SigninCodeSent { user, method: kind });
        }
        Ok(())
    })
    .await
    .map_err(outdated)
}

/// The phone that an account signs in with; the same look-up for nobody.
pub(super) async fn phone_of(web: &Web<'_>, user: Option<&User>) -> Result<Option<String>, Error> {
    let factors = sign_in_methods(web, user).await?;
    Ok(factors.into_iter().find_map(|way| way.phone))
}
