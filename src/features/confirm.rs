//! Proving an e-mail address: `/confirm`.
//!
//! An account may be used for a while before; then its address must be proven by a mailed link or code.
//! Whatever somebody else planted under the address before its owner proves it ends then.

use rocket::{get, post, routes};
use serde_json::json;

use super::{
    Submitted, UserAnswer, Web,
    mailed::{self, AskForm, CodeForm, Mailing},
};
use crate::{
    error::Error,
    events::EventKind,
    notify::notices,
    signin::{
        admit::admit,
        caller::Mechanism,
        session::SessionOptions,
        ticket::{self, CodeSubject, Purpose, TicketOptions, ValidTicket},
    },
    store::{
        User, tickets,
        users::{self, Confirmed, EarlierPassword},
    },
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{Method, Methods, Path, PathTo, span::days},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::Empty,
        page,
        reply::{Answer, Reply, or_again},
        site::Site,
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "confirm",
    is_on: |settings, _| settings.confirm.enabled,
    routes: || routes![show, ask, show_code, by_code, link, by_link],
    templates: &[ASK, CODE, LINK],
    samples: || {
        vec![
            (ASK, json!({"form": sample_form()})),
            (CODE, json!({"form": sample_form(), "sent": true})),
            (
                LINK,
                json!({"form": sample_form(), "account": {"email": "ada@example.com"}}),
            ),
        ]
    },
    mails: &[MAIL],
    links: &[
        Link {
            name: "confirm",
            path: Path::Confirm,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "confirm_code",
            path: Path::ConfirmCode,
            menu: MenuFor::Nobody,
        },
    ],
};

const ASK: Template = template!("confirm/confirm.html");
const CODE: Template = template!("confirm/code.html");
const LINK: Template = template!("confirm/link.html");

/// The mail of this feature.
pub(crate) const MAIL: MailTemplate = mail!("confirm", "confirm");

/// The ticket of a confirmation.
pub(crate) enum Confirm {}

impl Purpose for Confirm {
    const NAME: &'static str = "confirm";
    type Payload = ();
}

/// The mark of an account for whose address somebody registered again before it was proven. Then nobody
/// knows whose the password is.
enum Contested {}

impl Purpose for Contested {
    const NAME: &'static str = "contested";
    type Payload = ();
}

// Forms.

fn email_field(email: &str) -> Field {
    Field::email("email", "field.email")
        .value(email)
        .autocomplete("email")
}

fn ask_page(web: &Web<'_>, form: &AskForm) -> Reply {
    let fields = [email_field(&form.email).autofocus()];
    let action = web.site.path(Path::Confirm);
    Reply::page(ASK).form(FormView::new("confirm", action, fields))
}

fn code_page(web: &Web<'_>, form: &CodeForm, sent: bool) -> Reply {
    let fields = [email_field(&form.email), mailed::code_field().autofocus()];
    let action = web.site.path(Path::ConfirmCode);
    Reply::page(CODE)
        .with("sent", sent)
        .form(FormView::new("confirm_code", action, fields))
}

// Routes.

#[get("/confirm")]
fn show(web: Web<'_>) -> Answer {
    Ok(ask_page(&web, &AskForm::of_caller(&web)))
}

#[post("/confirm", data = "<form>")]
async fn ask(web: Web<'_>, form: Submitted<AskForm>) -> Answer {
    let form = web.sent(form, |form| ask_page(&web, form))?;
    let done = send(&web, &form.email).await;
    or_again(
        done.map(|()| {
            code_page(&web, &CodeForm::after(&form.email), true).answer(UserAnswer::default())
        }),
        || ask_page(&web, &form),
    )
}

#[get("/confirm/code")]
fn show_code(web: Web<'_>) -> Answer {
    Ok(code_page(&web, &CodeForm::default(), false))
}

#[post("/confirm/code?<include_auth_token>", data = "<form>")]
async fn by_code(
    web: Web<'_>,
    include_auth_token: Option<&str>,
    form: Submitted<CodeForm>,
) -> Answer {
    let form = web.sent(form, |form| code_page(&web, form, false))?;
    let done = match mailed::by_code::<Confirm>(&web, &form.email, &form.code).await {
        Ok((held, _)) => confirm(&web, held, include_auth_token.is_some()).await,
        Err(error) => Err(error),
    };
    or_again(done, || code_page(&web, &form, false))
}

#[get("/confirm/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Confirm>(&web, token, Path::Confirm, |held| {
        let action = web.site.path_to(PathTo::Confirm, [token]);
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .form(FormView::new("confirm_link", action, []))
    })
    .await
}

#[post("/confirm/<token>?<include_auth_token>", data = "<form>")]
async fn by_link(
    web: Web<'_>,
    token: &str,
    include_auth_token: Option<&str>,
    form: Submitted<Empty>,
) -> Answer {
    let form = web.sent(form, |_| FormView::new("confirm_link", String::new(), []));
    mailed::use_link(&web, token, Path::Confirm, form, async |held, _| {
        confirm(&web, held, include_auth_token.is_some()).await
    })
    .await
}

// Service.

fn unwanted(user: &User) -> Option<&'static str> {
    user.confirmed_at.map(|_| "confirm.already")
}

async fn send(web: &Web<'_>, email: &str) -> Result<(), Error> {
    let asked = mailed::asked(web, email, unwanted).await?;
    let mailing = Mailing::<Confirm> {
        mail: MAIL,
        path: PathTo::Confirm,
        life: web.site.settings.confirm.life.get(),
        bound_to: None,
        payload: (),
    };
    let told = |user| EventKind::ConfirmInstructionsSent { user };
    mailed::mail_ticket(web, &asked, mailing, told).await
}

/// Notes that somebody else wants the address of an account that has not proven it.
pub(crate) async fn contest(site: &Site, user: &User) -> Result<(), Error> {
    let terms = TicketOptions {
        life: days(365),
        user: Some(user.id.clone()),
        bound_to: None,
    };
    let mark = ticket::draft::<Contested>(
        site,
        terms,
        ticket::Begun::ByVisitor,
        &CodeSubject::of_user(&user.id),
        &(),
    )?;
    Ok(site
        .store
        .write(move |conn| ticket::insert(conn, &mark))
        .await?)
}

/// Uses the ticket up and marks the address as proven, or answers that somebody was faster.
async fn confirm(web: &Web<'_>, held: ValidTicket<Confirm>, with_token: bool) -> Answer {
    let (ticket_id, id, now) = (held.ticket_id(), held.user.id.clone(), web.site.now());
    let removed = notices::password_removed(&web.composer(), &held.user)?;
    // Whoever confirms in a session of the account has shown whose it is.
    let own = web.caller.is_some();
    let handle = CodeSubject::of_user(&id);
    let confirmed = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(None);
            }
            let mark = tickets::open_under(change, Contested::NAME, handle.as_str(), now)?;
            let password = match mark.is_some() && !own {
                true => EarlierPassword::Remove,
                false => EarlierPassword::Keep,
            };
            let confirmed = change.prove_address(&id, password, Some(&removed))?;
            Ok(users::by_id(change, &id)?.map(|user| (confirmed, user)))
        })
        .await?;
    let (confirmed, user) = confirmed.ok_or(Error::Gone)?;
    let first = confirmed != Confirmed::Before;
    let settings = &web.site.settings;
    let key = match confirmed {
        Confirmed::Before => "confirm.already",
        Confirmed::Now {
            password_removed: false,
        } => "confirm.done",
        Confirmed::Now {
            password_removed: true,
        } => "confirm.done_choose",
    };
    match web.caller.as_deref() {
        // All sessions have ended; that of the browser which confirmed goes on.
        Some(caller) if caller.mechanism == Mechanism::Session => {
            if first {
                web.reopen(caller, user, caller.methods).await?;
            }
            let target = page::after(web.site, settings.after.confirm.as_deref().unwrap_or("/"));
            Ok(Reply::done(target).csrf().flash("success", key))
        }
        _ if settings.confirm.sign_in => {
            let admission = admit(web.site, user, Methods::of(Method::Email)).await?;
            let target = page::after(web.site, settings.after.confirm.as_deref().unwrap_or("/"));
            web.enter(
                admission,
                SessionOptions::by_default(web.site),
                target,
                with_token,
                "confirm",
            )
            .await
        }
        _ => {
            let login = web.site.login_path();
            let target = page::after(
                web.site,
                settings.after.confirm.as_deref().unwrap_or(&login),
            );
            Ok(Reply::done(target)
                .flash("success", key)
                .spa("confirm", &user.email))
        }
    }
}
