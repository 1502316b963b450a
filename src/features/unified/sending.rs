//! Sending codes for unified sign-in.

use super::{MAIL, Passcode, Sent, SignIn, code_methods, codes::sign_in_methods, passcodes::meant};
use crate::features::Web;
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::{self, CodeMessage, Destination},
    identity::{EmailAddress, IdentityKind},
    notify::{
        mail::Recipient,
        outbox::{MailLimit, OutgoingMail},
    },
    signin::{
        limits::{PerAddress, count_per_address},
        outdated,
        ticket::{self, CodeSubject, Draft, Purpose, TicketOptions},
        ticket_mail,
    },
    store::User,
    types::{Message, PathTo},
};
use serde_json::json;

/// Whom a code is for, and where.
pub(super) struct Reached<'a> {
    pub(super) user: Option<&'a User>,
    /// What was typed as their name.
    pub(super) typed: &'a str,
    pub(super) handle: &'a CodeSubject,
    /// Where the code is sent, also if it is for nobody.
    pub(super) to: Destination,
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
        user, typed, to, ..
    } = reached;
    let site = web.site;
    let mailed = site.settings.unified.mail_life.get();
    let terms = TicketOptions {
        life: to.life(&site.settings, mailed),
        user: user.map(|user| user.id.clone()),
        bound_to: reached.session.clone(),
    };
    let draft = ticket::draft::<P>(site, terms, reached.begun, reached.handle, sent)?;
    let (code, until) = (draft.code.expose(), draft.until());
    let message = CodeMessage {
        recipient: match user {
            Some(user) => Recipient::from(user),
            None => Recipient {
                decoy: true,
                ..Recipient::at(typed)
            },
        },
        mail: MAIL,
        values: match &reached.session {
            // A link signs in, which whoever has a session already has done.
            Some(_) => json!({"code": code, "until": until.to_text()}),
            None => ticket_mail::context(site, PathTo::UsVerifyLink, &draft),
        },
        sms: "unified_sms",
        limit: reached.mail_limit,
        is_decoy: user.is_none(),
    };
    let outgoing = to.compose(&web.composer(), (code, until), message)?;
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
        && kind.is_some_and(|kind| factors::of(kind).is_mailbox());
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
    let to = factors::of(kind).destination(phone.as_deref());
    let reached = user.filter(|_| to.is_some());
    if reached.is_none() && !site.settings.generic_answers {
        let (field, key) = why_not.unwrap_or(("chosen_method", "us.not_set_up"));
        return Err(Invalid::field(field, Message::new(key)).into());
    }
    let typed = crate::store::cut(form.identity().trim(), 254);
    // A decoy goes where a code would: it costs the same.
    let to = to.or_else(|| factors::of(kind).destination(Some(&typed)));
    let to = to.ok_or_else(|| Error::Broken("a factor that sends no codes".into()))?;
    // What is for nobody stands in nobody's way: an owner's code that is on its way stays good.
    let handle = match &reached {
        Some(_) => meant.handle,
        None => CodeSubject::of_identity(site, &meant.identity),
    };
    let reached_at = Reached {
        user: reached.as_ref(),
        typed: &typed,
        handle: &handle,
        to,
        session: None,
        begun: ticket::Begun::ByVisitor,
        mail_limit: MailLimit::Limited,
    };
    let (draft, outgoing) = prepare::<Passcode>(web, reached_at, &sent)?;
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
