//! Sign-in without a password: `/login/link` mails a link and a code, each good for one sign-in.

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Submitted, UserAnswer, Web,
    mailed::{self, CodeForm, Mailing},
};
use crate::{
    error::Error,
    events::EventKind,
    identity::{IdentityKind, target::Target},
    notify::notices,
    signin::{
        admit::admit,
        limits::{Buckets, refuse_if_locked},
        remember::Remember,
        session::SessionOptions,
        ticket::{Purpose, ValidTicket},
    },
    store::users::{self, EarlierPassword},
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{Method, Methods, Path, PathTo},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::{Checkbox, Empty},
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "passwordless",
    is_on: |settings, _| settings.passwordless.enabled,
    routes: || routes![show, ask, show_code, by_code, link, by_link],
    templates: &[ASK, CODE, LINK],
    samples: || {
        let page =
            json!({"form": sample_form(), "sent": true, "account": {"email": "ada@example.com"}});
        vec![(ASK, page.clone()), (CODE, page.clone()), (LINK, page)]
    },
    mails: &[MAIL],
    links: &[
        Link {
            name: "passwordless",
            path: Path::LoginLink,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "passwordless_code",
            path: Path::LoginCode,
            menu: MenuFor::Nobody,
        },
    ],
};

const ASK: Template = template!("passwordless/passwordless.html");
const CODE: Template = template!("passwordless/code.html");
const LINK: Template = template!("passwordless/link.html");
const MAIL: MailTemplate = mail!("passwordless", "passwordless");

/// The ticket of a sign-in.
pub(crate) enum SignInLink {}

/// What was chosen when the link was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Resume {
    remember: Option<bool>,
    next: Option<Target>,
}

impl Purpose for SignInLink {
    const NAME: &'static str = "login";
    type Payload = Resume;
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct Ask {
    #[serde(default)]
    email: String,
    #[serde(default)]
    remember: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
}

fn identity_field(web: &Web<'_>, typed: &str) -> Field {
    let field = match web.site.settings.identities.as_slice() {
        [IdentityKind::Email] => Field::email("email", "field.email"),
        _ => Field::text("email", "field.email_or_username"),
    };
    field.value(typed).autocomplete("username")
}

impl Ask {
    fn page(&self, web: &Web<'_>) -> Reply {
        let mut fields = vec![identity_field(web, &self.email).autofocus()];
        fields.extend(web.keep_field(self.remember));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        let action = web.site.path(Path::LoginLink);
        Reply::page(ASK).form(FormView::new("passwordless", action, fields))
    }
}

fn code_page(web: &Web<'_>, form: &CodeForm, sent: bool) -> Reply {
    let fields = [
        identity_field(web, &form.email),
        mailed::code_field().autofocus(),
    ];
    let action = web.site.path(Path::LoginCode);
    Reply::page(CODE)
        .with("sent", sent)
        .form(FormView::new("passwordless_code", action, fields))
}

// Routes.

#[get("/login/link?<next>")]
fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    web.visitors_only()?;
    let next = next.and_then(|next| web.site.http.redirects.allowed(next));
    let form = Ask {
        next: next.map(String::from),
        ..Ask::default()
    };
    Ok(form.page(&web))
}

#[post("/login/link?<next>", data = "<form>")]
async fn ask(web: Web<'_>, next: Option<&str>, form: Submitted<Ask>) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| form.page(&web))?;
    let done = send(&web, &form, form.next.as_deref().or(next))
        .await
        .map(|()| {
            code_page(&web, &CodeForm::after(&form.email), true).answer(UserAnswer::default())
        });
    or_again(done, || form.page(&web))
}

#[get("/login/code")]
fn show_code(web: Web<'_>) -> Answer {
    web.visitors_only()?;
    Ok(code_page(&web, &CodeForm::default(), false))
}

#[post("/login/code?<include_auth_token>", data = "<form>")]
async fn by_code(
    web: Web<'_>,
    include_auth_token: Option<&str>,
    form: Submitted<CodeForm>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| code_page(&web, form, false))?;
    let done = match mailed::by_code::<SignInLink>(&web, &form.email, &form.code).await {
        Ok((held, buckets)) => sign_in(&web, held, buckets, include_auth_token.is_some()).await,
        Err(error) => Err(error),
    };
    or_again(done, || code_page(&web, &form, false))
}

#[get("/login/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    web.visitors_only()?;
    mailed::link_page::<SignInLink>(&web, token, Path::LoginLink, |held| {
        let action = web.site.path_to(PathTo::Login, [token]);
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .form(FormView::new("passwordless_link", action, []))
    })
    .await
}

#[post("/login/<token>?<include_auth_token>", data = "<form>")]
async fn by_link(
    web: Web<'_>,
    token: &str,
    include_auth_token: Option<&str>,
    form: Submitted<Empty>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |_| {
        FormView::new("passwordless_link", String::new(), [])
    });
    mailed::use_link(
        &web,
        token,
        Path::LoginLink,
        form,
        async |held: ValidTicket<SignInLink>, _| {
            let buckets = Buckets::of_user(web.site, &held.user, &web.client);
            sign_in(&web, held, buckets, include_auth_token.is_some()).await
        },
    )
    .await
}

// Service.

async fn send(web: &Web<'_>, form: &Ask, next: Option<&str>) -> Result<(), Error> {
    let site = web.site;
    let asked = mailed::asked(web, &form.email, |_| None).await?;
    let bound_to = match site.settings.passwordless.same_browser {
        true => Some(web.browser.visitor()?),
        false => None,
    };
    let mailing = Mailing::<SignInLink> {
        mail: MAIL,
        path: PathTo::Login,
        life: site.settings.passwordless.life.get(),
        bound_to,
        payload: Resume {
            remember: web.keeps(form.remember),
            next: web.judged(next),
        },
    };
    let told = |user| EventKind::LoginInstructionsSent { user };
    mailed::mail_ticket(web, &asked, mailing, told).await
}

/// Uses the ticket up and brings its owner to the gate.
///
/// Whoever holds it reads the mail of the address, and so proves it. If nobody had before, the password
/// may be somebody else's, and goes.
async fn sign_in(
    web: &Web<'_>,
    held: ValidTicket<SignInLink>,
    buckets: Buckets,
    with_token: bool,
) -> Answer {
    let site = web.site;
    // A locked door is locked for every way in; the ticket stays good for afterwards.
    refuse_if_locked(site, &buckets).await?;
    let removed = notices::password_removed(&web.composer(), &held.user)?;
    let (ticket_id, id, now) = (held.ticket_id(), held.user.id.clone(), site.now());
    let done = web
        .change(move |change| {
            if !ticket_id.consume(change, now)? {
                return Ok(None);
            }
            change.prove_address(&id, EarlierPassword::Remove, Some(&removed))?;
            users::by_id(change, &id)
        })
        .await?;
    let user = done.ok_or(Error::Gone)?;
    let target = web.next(held.payload.next.as_deref(), &site.settings.after.login);
    let admission = admit(site, user, Methods::of(Method::Email)).await?;
    let opening = SessionOptions {
        remember: Remember::chosen(site, held.payload.remember),
        clears: Some(&buckets),
    };
    web.enter(admission, opening, target, with_token, "login")
        .await
}
