//! Another e-mail address: `/change-email`, for somebody whose sign-in is fresh.
//!
//! The new address proves itself by a mailed link or code; until then nothing changes. The ticket
//! carries the address that it was mailed to, so no other can ever be confirmed by it. Afterwards the
//! old address gets a notice with a link, `/undo/<token>`, that takes everything back.

mod undo;

use self::undo::{Undo, notice};
use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    error::{Error, Invalid},
    events::EventKind,
    guards::strong::Strong,
    identity::{EmailAddress, Identity},
    notify::{mail::Recipient, outbox::MailLimit},
    signin::{
        limits::{Buckets, PerAddress, count_per_address, count_per_user},
        outdated,
        ticket::{self, CodeSubject, Purpose, TicketOptions, ValidTicket},
        ticket_mail,
    },
    store::{StoreError, Unique, tickets, users},
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{Message, Path, PathTo},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::Empty,
        page,
        reply::{Answer, Reply, or_again},
    },
};
use crate::{
    features::{
        Submitted, Web,
        mailed::{self, AskForm, CodeForm},
    },
    identity::text::masked,
};

pub(crate) const FEATURE: Feature = Feature {
    name: "change_email",
    is_on: |settings, _| settings.change_email.enabled,
    routes: || {
        routes![
            show,
            ask,
            show_code,
            by_code,
            link,
            by_link,
            undo::undo_link,
            undo::undo_by_link
        ]
    },
    templates: &[ASK, CODE, LINK, UNDO],
    samples: || {
        let page = json!({
            "form": sample_form(), "sent": true, "account": {"email": "ada@example.com"},
            "current_email": "ada@example.com", "new_email": "ada@example.org",
        });
        vec![
            (ASK, page.clone()),
            (CODE, page.clone()),
            (LINK, page.clone()),
            (UNDO, page),
        ]
    },
    mails: &[CHANGE_EMAIL, CHANGED, TAKEN],
    links: &[
        Link {
            name: "change_email",
            path: Path::ChangeEmail,
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "change_email_code",
            path: Path::ChangeEmailCode,
            menu: MenuFor::Nobody,
        },
    ],
};

const ASK: Template = template!("change_email/change_email.html");
const CODE: Template = template!("change_email/code.html");
const LINK: Template = template!("change_email/link.html");
const UNDO: Template = template!("change_email/undo.html");
const CHANGE_EMAIL: MailTemplate = mail!("change_email", "change_email");
const CHANGED: MailTemplate = mail!("change_email", "changed");
const TAKEN: MailTemplate = mail!("change_email", "taken");

/// The ticket by which a new address proves itself.
pub(crate) enum ChangeEmail {}

/// From which address to which.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    old_key: String,
    new: String,
}

impl Purpose for ChangeEmail {
    const NAME: &'static str = "change_email";
    type Payload = Change;
}

// Forms.

fn email_field(email: &str) -> Field {
    Field::email("email", "field.email_new")
        .value(email)
        .autocomplete("email")
}

fn ask_form(web: &Web<'_>, form: &AskForm) -> FormView {
    let fields = [email_field(&form.email).autofocus()];
    FormView::new("change_email", web.site.path(Path::ChangeEmail), fields)
}

/// What programs are told on the way to another address, beside the account.
#[derive(Serialize)]
struct CurrentEmail<'a> {
    /// The address that the account has until the new one is confirmed.
    current_email: &'a str,
}

fn ask_page(web: &Web<'_>, form: &AskForm, caller: &Strong) -> Reply {
    let current_email = &caller.user.email;
    web.naming(Reply::page(ASK), &caller.user)
        .with("current_email", current_email)
        .answer(CurrentEmail { current_email })
        .answer_with_errors(CurrentEmail { current_email })
        .form(ask_form(web, form))
}

fn code_page(web: &Web<'_>, form: &CodeForm, sent: bool) -> Reply {
    let fields = [email_field(&form.email), mailed::code_field().autofocus()];
    let action = web.site.path(Path::ChangeEmailCode);
    let page = Reply::page(CODE).with("sent", sent);
    let page = match sent {
        true => page.with("new_email", &form.email),
        false => page,
    };
    page.form(FormView::new("change_email_code", action, fields))
}

// Routes.

#[get("/change-email")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.strong_by_any().await?;
    Ok(ask_page(&web, &AskForm::default(), &caller))
}

#[post("/change-email", data = "<form>")]
async fn ask(web: Web<'_>, form: Submitted<AskForm>) -> Answer {
    let form = web.sent(form, |form| ask_form(&web, form))?;
    let caller = web.strong_by_any().await?;
    let done = send(&web, &caller, &form.email).await.map(|()| {
        let page = code_page(&web, &CodeForm::after(&form.email), true);
        let current_email = &caller.user.email;
        web.naming(page, &caller.user)
            .answer(CurrentEmail { current_email })
    });
    or_again(done, || ask_page(&web, &form, &caller))
}

#[get("/change-email/code")]
fn show_code(web: Web<'_>) -> Answer {
    Ok(code_page(&web, &CodeForm::default(), false))
}

#[post("/change-email/code", data = "<form>")]
async fn by_code(web: Web<'_>, form: Submitted<CodeForm>) -> Answer {
    let form = web.sent(form, |form| code_page(&web, form, false))?;
    let done = match held_by_code(&web, &form).await {
        Ok(held) => change(&web, held).await,
        Err(error) => Err(error),
    };
    or_again(done, || code_page(&web, &form, false))
}

#[get("/change-email/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<ChangeEmail>(&web, token, Path::ChangeEmail, |held| {
        let action = web.site.path_to(PathTo::ChangeEmail, [token]);
        Reply::page(LINK)
            // Whoever reads the mail may be somebody else, by a slip of the pen.
            .with("account", json!({"email": masked(&held.user.email)}))
            .with("new_email", &held.payload.new)
            .form(FormView::new("change_email_link", action, []))
    })
    .await
}

#[post("/change-email/<token>", data = "<form>")]
async fn by_link(web: Web<'_>, token: &str, form: Submitted<Empty>) -> Answer {
    let form = web.sent(form, |_| {
        FormView::new("change_email_link", String::new(), [])
    });
    mailed::use_link(&web, token, Path::ChangeEmail, form, async |held, _| {
        change(&web, held).await
    })
    .await
}

// Service.

/// Sends a ticket to the new address; if that is somebody else's, its owner is told instead and the
/// answer is the same.
async fn send(web: &Web<'_>, caller: &Strong, typed: &str) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let wrong = |message| Error::from(Invalid::field("email", message));
    let new = EmailAddress::typed(typed)
        .and_then(|email| site.accept_email(&email).map(|()| email))
        .map_err(wrong)?;
    let old = EmailAddress::parse(&user.email).map_err(wrong)?;
    if new.key() == old.key() {
        return Err(wrong(Message::new("change_email.same")));
    }
    count_per_address(site, PerAddress::Mail, &web.client).await?;
    count_per_user(site, "change_email", &user.id).await?;
    let identity = Identity::Email(new.clone());
    let handle = CodeSubject::of_identity(site, &identity);
    let (owner, reserved) = {
        let (identity, handle, now) = (identity.clone(), handle.clone(), site.now());
        site.store
            .read(move |conn| {
                let reserved = tickets::open_under(conn, tickets::UNDO, handle.as_str(), now)?;
                Ok((users::by_identity(conn, &identity)?, reserved))
            })
            .await?
    };
    // An address that its owner can still take back is theirs alone.
    let is_reserved = reserved.is_some_and(|(of, _)| of != user.id);
    if (owner.is_some() || is_reserved) && !site.settings.generic_answers {
        return Err(wrong(Message::new("change_email.taken")));
    }
    let terms = TicketOptions {
        life: site.settings.change_email.life.get(),
        // Of nobody if the address is taken: written like any other, and opens nothing.
        user: (owner.is_none() && !is_reserved).then(|| user.id.clone()),
        bound_to: None,
    };
    let payload = Change {
        old_key: old.key().to_string(),
        new: new.address().to_string(),
    };
    // Whether the address is taken or not: an older ticket that went on would tell.
    let draft = ticket::draft::<ChangeEmail>(site, terms, caller.begun(), &handle, &payload)?
        .replacing(&user.id);
    let composer = web.composer();
    let outgoing = match &owner {
        Some(owner) => composer.compose(
            &Recipient::from(owner),
            TAKEN,
            MailLimit::Limited,
            json!({}),
        )?,
        None if is_reserved => composer.compose(
            &Recipient::at(new.address()),
            TAKEN,
            MailLimit::Limited,
            json!({}),
        )?,
        None => composer.compose(
            &Recipient::at(new.address()),
            CHANGE_EMAIL,
            MailLimit::Limited,
            ticket_mail::context(site, PathTo::ChangeEmail, &draft),
        )?,
    };
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let is_free = owner.is_none() && !is_reserved;
    web.change(move |change| {
        users::hold(change, &id, &uniquifier)?;
        if ticket_mail::enqueue(change, &outgoing, &draft)? && is_free {
            change.event(EventKind::ChangeEmailInstructionsSent { user: id.clone() });
        }
        Ok(())
    })
    .await
    .map_err(outdated)
}

/// The ticket behind a code: of the new address, whoever is signed in.
async fn held_by_code(web: &Web<'_>, form: &CodeForm) -> Result<ValidTicket<ChangeEmail>, Error> {
    let mut invalid = Invalid::new();
    let email = invalid.take("email", EmailAddress::typed(&form.email));
    if form.code.trim().is_empty() {
        invalid.add("code", Message::new("input.required"));
    }
    let Some(email) = email.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let handle = CodeSubject::of_identity(web.site, &Identity::Email(email));
    let buckets = Buckets::of_code(web.site, &handle, &web.client);
    let caller = web.caller.as_ref().map(|caller| caller.user.clone());
    let (held, _) = mailed::by_code_of(web, buckets, caller, handle, &form.code).await?;
    Ok(held)
}

/// Uses the ticket up and gives the account its new address, in one transaction with the notice to the
/// old one.
async fn change(web: &Web<'_>, held: ValidTicket<ChangeEmail>) -> Answer {
    let (site, user, payload) = (web.site, &held.user, &held.payload);
    let new = EmailAddress::parse(&payload.new).map_err(|_| Error::Gone)?;
    // Back to an address that it had before, on the owner's own: no longer is there anything to undo.
    let handle = CodeSubject::of_identity(site, &Identity::Email(new.clone()));
    let before = {
        let (handle, now) = (handle.clone(), site.now());
        let open = move |conn: &mut _| tickets::open_under(conn, Undo::NAME, handle.as_str(), now);
        site.store.read(open).await?
    };
    let back = before
        .as_ref()
        .and_then(|(of, since)| (*of == user.id).then_some(*since));
    if before.is_some() && back.is_none() {
        return Err(Invalid::field("email", Message::new("change_email.taken")).into());
    }
    let notice = notice(web, user, new.address(), back.is_none())?;
    let (ticket_id, id, old_key, now) = (
        held.ticket_id(),
        user.id.clone(),
        payload.old_key.clone(),
        site.now(),
    );
    let was_unproven = user.confirmed_at.is_none();
    let outcome = web
        .change(move |change| {
            if !ticket_id.consume(change, now)?
                || !users::set_email(change, &id, &old_key, &new, now)?
            {
                return Err(StoreError::Missing);
            }
            // As it was when the notice was written; else somebody changed to it in between.
            let open = tickets::open_under(change, Undo::NAME, handle.as_str(), now)?;
            if open.map(|(_, since)| since) != back {
                return Err(StoreError::Missing);
            }
            if let Some(since) = back {
                tickets::end_since(change, &id, Undo::NAME, since)?;
            }
            if let Some((outgoing, undo)) = &notice {
                if let Some(undo) = undo {
                    ticket::insert_beside(change, undo)?;
                }
                change.mail(outgoing)?;
            }
            change.event(EventKind::EmailChanged { user: id.clone() });
            if was_unproven {
                change.event(EventKind::EmailConfirmed { user: id.clone() });
            }
            Ok(())
        })
        .await;
    match outcome {
        Ok(()) => {}
        // Used meanwhile, or the address it was to replace is another by now: nothing was changed.
        Err(StoreError::Missing) => return Err(Error::Gone),
        // Somebody registered it meanwhile. Whoever reads its mail may know.
        Err(StoreError::Taken(Unique::Email)) => {
            return Err(Invalid::field("email", Message::new("change_email.taken")).into());
        }
        Err(error) => return Err(error.into()),
    }
    let target = match &web.caller {
        Some(_) => {
            let after = &site.settings.after;
            page::after(site, after.change_email.as_deref().unwrap_or(&after.change))
        }
        None => page::after(site, &site.login_path()),
    };
    Ok(Reply::done(target)
        .flash("success", "change_email.done")
        .spa("change_email", &payload.new))
}
