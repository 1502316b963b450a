//! A forgotten password: `/reset`.
//!
//! A mailed link or code sets a new one. That ends every session, remembered device, token and open
//! ticket of the account, and lets nobody in: whoever has a second factor is asked for it at the next
//! sign-in as ever.

use std::time::Duration;

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Submitted, Web,
    mailed::{self, AskForm, Mailing},
    new_password::{self, NewPassword},
};
use crate::{
    accounts::recovery::{MAIL, Proof, Reset},
    error::{Denied, Error, Invalid},
    events::EventKind,
    identity::target::Target,
    notify::notices,
    secrets::{Password, Verdict},
    signin::{
        NextStep,
        admit::{Challenge, admit},
        limits::{Buckets, PerAddress, count_per_address},
        outdated,
        remember::Remember,
        session::SessionOptions,
        ticket::{self, CodeSubject, TicketOptions, ValidTicket},
    },
    store::{
        StoreError, User, failures,
        users::{self, EarlierPassword},
    },
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Method, Methods, Path, PathTo},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        page,
        reply::{Answer, Reply, or_again},
        site::Site,
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "recover",
    is_on: |settings, _| settings.recover.enabled,
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
            name: "recover",
            path: Path::Reset,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "recover_code",
            path: Path::ResetCode,
            menu: MenuFor::Nobody,
        },
    ],
};

const ASK: Template = template!("recover/recover.html");
const CODE: Template = template!("recover/code.html");
const LINK: Template = template!("recover/link.html");

/// How long somebody who signed in may take to choose the new password that is asked for.
const FORCED: Duration = Duration::from_mins(10);

// Forms.

#[derive(Debug, Default, Deserialize)]
struct Code {
    #[serde(default)]
    email: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    password_confirm: String,
}

fn email_field(email: &str) -> Field {
    Field::email("email", "field.email")
        .value(email)
        .autocomplete("username")
}

fn ask_page(web: &Web<'_>, form: &AskForm) -> Reply {
    let fields = [email_field(&form.email).autofocus()];
    let action = web.site.path(Path::Reset);
    Reply::page(ASK).form(FormView::new("recover", action, fields))
}

impl Code {
    fn view(&self, web: &Web<'_>) -> FormView {
        let mut fields = vec![email_field(&self.email), mailed::code_field().autofocus()];
        fields.extend(new_password::fields(web, new_password::PASSWORD));
        FormView::new("recover_code", web.site.path(Path::ResetCode), fields)
    }
}

/// `is_owed`: whether the password is chosen on the way in, and not by a mailed link.
fn link_view(web: &Web<'_>, token: &str, email: &str, is_owed: bool) -> Reply {
    let fields = new_password::fields(web, new_password::PASSWORD);
    let action = web.site.path_to(PathTo::Reset, [token]);
    Reply::page(LINK)
        .with("is_owed", is_owed)
        .with("account", json!({"email": email}))
        .form(FormView::new("recover_link", action, fields))
}

// Routes.

#[get("/reset")]
fn show(web: Web<'_>) -> Answer {
    Ok(ask_page(&web, &AskForm::of_caller(&web)))
}

#[post("/reset", data = "<form>")]
async fn ask(web: Web<'_>, form: Submitted<AskForm>) -> Answer {
    let form = web.sent(form, |form| ask_page(&web, form))?;
    let done = send(&web, &form.email).await.map(|()| {
        let code = Code {
            email: form.email.clone(),
            ..Code::default()
        };
        Reply::page(CODE).with("sent", true).form(code.view(&web))
    });
    or_again(done, || ask_page(&web, &form))
}

#[get("/reset/code")]
fn show_code(web: Web<'_>) -> Answer {
    let form = Code::default().view(&web);
    Ok(Reply::page(CODE).with("sent", false).form(form))
}

#[post("/reset/code?<include_auth_token>", data = "<form>")]
async fn by_code(web: Web<'_>, include_auth_token: Option<&str>, form: Submitted<Code>) -> Answer {
    let with_token = include_auth_token.is_some();
    let form = web.sent(form, |form| form.view(&web))?;
    count_per_address(web.site, PerAddress::Mail, &web.client).await?;
    // What is wrong with the password is said before an attempt at the code is used up.
    let new = NewPassword {
        password: form.password.clone(),
        password_confirm: form.password_confirm.clone(),
    };
    let done = match new_password::checked(&web, &new, &form.email, None).await {
        Ok(_) => match mailed::by_code::<Reset>(&web, &form.email, &form.code).await {
            Ok((held, _)) => reset(&web, held, &new, with_token).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    or_again(done, || {
        Reply::page(CODE).with("sent", false).form(form.view(&web))
    })
}

#[get("/reset/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    mailed::link_page::<Reset>(&web, token, Path::Reset, |held| {
        let is_owed = matches!(held.payload, Proof::SignIn { .. });
        link_view(&web, token, &held.user.email, is_owed)
    })
    .await
}

#[post("/reset/<token>?<include_auth_token>", data = "<form>")]
async fn by_link(
    web: Web<'_>,
    token: &str,
    include_auth_token: Option<&str>,
    form: Submitted<NewPassword>,
) -> Answer {
    let with_token = include_auth_token.is_some();
    let form = web.sent(form, |_| link_view(&web, token, "", false));
    mailed::use_link::<Reset, _>(&web, token, Path::Reset, form, async |held, form| {
        let email = held.user.email.clone();
        let is_owed = matches!(held.payload, Proof::SignIn { .. });
        match reset(&web, held, &form, with_token).await {
            Err(Error::Invalid(invalid)) => {
                Ok(link_view(&web, token, &email, is_owed).invalid(invalid))
            }
            done => done,
        }
    })
    .await
}

// Service.

async fn send(web: &Web<'_>, email: &str) -> Result<(), Error> {
    let asked = mailed::asked(web, email, |_| None).await?;
    let mailing = Mailing::<Reset> {
        mail: MAIL,
        path: PathTo::Reset,
        life: web.site.settings.recover.life.get(),
        bound_to: None,
        payload: Proof::Mail,
    };
    let told = |user| EventKind::ResetInstructionsSent { user };
    mailed::mail_ticket(web, &asked, mailing, told).await
}

/// Uses the ticket up and sets the password, or answers what is wrong with it and leaves the ticket.
async fn reset(
    web: &Web<'_>,
    held: ValidTicket<Reset>,
    typed: &NewPassword,
    with_token: bool,
) -> Answer {
    let (site, user) = (web.site, &held.user);
    let username = user.username.as_deref();
    let password = new_password::checked(web, typed, &user.email, username).await?;
    if user.must_change_password && is_present(site, user, &password).await? {
        return Err(Invalid::field("password", Message::new("change_password.same")).into());
    }
    let hash = site.hasher.hash(&password).await?;
    let notice = notices::password_changed(&web.composer(), user)?;
    let (ticket_id, id, proof, now) = (held.ticket_id(), user.id.clone(), held.payload, site.now());
    let mut locks = Buckets::names_of_account(site, user);
    locks.extend(Buckets::of_user(site, user, &web.client).cleared_by_success());
    let changed = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(None);
            }
            let mut user =
                users::set_password(change, &id, &hash, users::EndsWithPassword::ALL, now)?;
            change.event(EventKind::PasswordReset { user: id.clone() });
            if proof == Proof::Mail {
                // The password is the owner's own by now.
                change.prove_address(&id, EarlierPassword::Keep, None)?;
                // Whoever reads the mail need not wait until a guesser's lock ends.
                failures::clear(change, &locks)?;
                user = users::by_id(change, &id)?.ok_or(StoreError::Missing)?;
            }
            change.mail(&notice)?;
            Ok(Some(user))
        })
        .await?;
    let user = changed.ok_or(Error::Gone)?;
    if proof == Proof::Mail {
        web.know_device(&user).await?;
    }
    let after = site.settings.after.reset.as_deref();
    if site.settings.recover.sign_in && web.caller.is_none() {
        let (methods, remember) = match proof {
            Proof::Mail => (Methods::of(Method::Email), None),
            Proof::SignIn { methods, remember } => (Methods::from_bits(methods), Some(remember)),
        };
        let opening = SessionOptions::remembering(Remember::chosen(site, remember));
        let admission = admit(site, user, methods).await?;
        let target = page::after(site, after.unwrap_or("/"));
        return web
            .enter(admission, opening, target, with_token, "reset")
            .await;
    }
    let login = site.login_path();
    let target = page::after(site, after.unwrap_or(&login));
    Ok(Reply::done(target)
        .flash("success", "recover.done")
        .spa("reset", &user.email))
}

/// Whether it is the password that the account has: one that is to be replaced must not come back.
async fn is_present(site: &Site, user: &User, password: &Password) -> Result<bool, Error> {
    let id = user.id.clone();
    let hash = site
        .store
        .read(move |conn| users::password_of(conn, &id))
        .await?;
    let verdict = site.hasher.verify(password, hash.as_ref()).await?;
    Ok(matches!(verdict, Verdict::Match { .. }))
}

/// The answer to a sign-in that needs a new password.
#[derive(Serialize)]
struct NewPasswordAnswer<'a> {
    /// Always true.
    new_password_required: bool,
    /// The token that ends the path at which the new password is set.
    state_token: &'a str,
    /// Whether a second factor is required first: never here.
    tf_required: bool,
}

/// Where somebody goes who has shown enough to be asked for more.
pub(crate) async fn next_step(web: &Web<'_>, challenge: Challenge, remember: bool) -> Answer {
    if challenge.step == NextStep::SecondFactor {
        return Err(Denied::SecondFactor.into());
    }
    let site = web.site;
    if !site.settings.recover.enabled {
        return Err(Denied::NewPassword.into());
    }
    let (user, uniquifier) = (challenge.user.id, challenge.user.uniquifier);
    let proof = Proof::SignIn {
        methods: challenge.methods.bits(),
        remember,
    };
    let terms = TicketOptions {
        life: FORCED,
        user: Some(user.clone()),
        bound_to: None,
    };
    let draft = ticket::draft::<Reset>(
        site,
        terms,
        ticket::Begun::ByVisitor,
        &CodeSubject::of_user(&user),
        &proof,
    )?;
    let secret = draft.secret.clone();
    site.store
        .write(move |conn| {
            users::hold(conn, &user, &uniquifier)?;
            ticket::insert(conn, &draft)
        })
        .await
        .map_err(outdated)?;
    let target = Target::local(&site.path_to(PathTo::Reset, [secret.expose()]));
    Ok(Reply::done(target)
        .answer(NewPasswordAnswer {
            new_password_required: true,
            state_token: secret.expose(),
            tf_required: false,
        })
        .csrf()
        .flash("info", "new_password.required"))
}
