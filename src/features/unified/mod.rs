//! Unified sign-in: `/us-signin` takes any identity with any passcode that the account has: password,
//! mailed code or link, text message, authenticator app. `/us-setup` adds some, `/us-verify` asks again.

mod answer;
mod codes;
mod passcodes;
mod sending;
mod setup;
mod verify;

use self::{
    answer::MethodsAnswer,
    codes::{sign_in_methods, spend},
    passcodes::sign_in,
    sending::send,
};
use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Submitted, UserAnswer, Web, mailed, two_factor::Code};
use crate::{
    error::{Denied, Error},
    factors,
    identity::{IdentityKind, target::Target},
    settings::SignInMethod,
    signin::{
        admit::admit,
        limits::{Buckets, refuse_if_locked},
        remember::Remember,
        session::SessionOptions,
        ticket::{Purpose, ValidTicket},
    },
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{FactorKind, Message, Method, Methods, Path, PathTo},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::{Checkbox, Empty},
        json::wants_json,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "unified",
    is_on: |settings, _| settings.unified.enabled,
    routes: || {
        let mut routes = routes![show, submit, send_code, link, by_link];
        routes.extend(setup::routes());
        routes.extend(verify::routes());
        routes
    },
    templates: &[SIGNIN, LINK, setup::SETUP, setup::CONFIRM, verify::VERIFY],
    samples: || {
        let page = json!({
            "form": sample_form(), "sent": true, "method": "email", "destination": "a***@example.com",
            "account": {"email": "ada@example.com"}, "qr": "data:image/svg+xml;base64,",
            "key": "ABCD EFGH", "uri": "otpauth://totp/x", "issuer": "Site", "username": "ada",
            "active": [{"id": "1", "kind": "sms", "name": "Phone", "detail": "34", "remove_url": "/"}],
            "available": ["sms"],
        });
        let pages = [SIGNIN, LINK, setup::SETUP, setup::CONFIRM, verify::VERIFY];
        pages.into_iter().map(|one| (one, page.clone())).collect()
    },
    mails: &[MAIL],
    links: &[
        Link {
            name: "us_signin",
            path: Path::UsSignin,
            menu: MenuFor::Visitors,
        },
        Link {
            name: "us_send_code",
            path: Path::UsSigninSendCode,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "us_setup",
            path: Path::UsSetup,
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "us_verify",
            path: Path::UsVerify,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "us_verify_send",
            path: Path::UsVerifySendCode,
            menu: MenuFor::Nobody,
        },
    ],
};

/// What stands at `/login` where this replaces it.
pub(crate) const AT_LOGIN: Feature = Feature {
    name: "login",
    is_on: |settings, _| settings.unified.enabled && settings.unified.replaces_login,
    routes: || routes![show_at_login, submit_at_login],
    templates: &[],
    samples: Vec::new,
    mails: &[],
    links: &[],
};

const SIGNIN: Template = template!("unified/signin.html");
const LINK: Template = template!("unified/link.html");
const MAIL: MailTemplate = mail!("unified", "unified");

/// The ticket of a code, and of the link that goes with a mailed one.
pub(crate) enum Passcode {}

/// How it was sent, and what was chosen when it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    kind: FactorKind,
    remember: Option<bool>,
    next: Option<Target>,
}

impl Purpose for Passcode {
    const NAME: &'static str = "passcode";
    type Payload = Sent;
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct SignIn {
    #[serde(default)]
    identity: String,
    /// As other forms call it.
    #[serde(default)]
    email: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    passcode: Code,
    /// As other forms call it.
    #[serde(default)]
    password: Code,
    #[serde(default)]
    chosen_method: String,
    #[serde(default)]
    remember: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
}

impl SignIn {
    /// Whom the form means: the address wins over the username.
    fn identity(&self) -> &str {
        let names = [&self.identity, &self.email, &self.username];
        let given = names.into_iter().find(|name| !name.trim().is_empty());
        given.map_or("", String::as_str)
    }

    fn passcode(&self) -> &str {
        match self.passcode.0.is_empty() {
            true => &self.password.0,
            false => &self.passcode.0,
        }
    }

    fn page(&self, web: &Web<'_>, sent: bool) -> Reply {
        let site = web.site;
        let by_phone = site.settings.unified.methods.contains(&SignInMethod::Sms);
        let identity = match site.settings.identities.as_slice() {
            _ if by_phone => Field::text("identity", "field.identity"),
            [IdentityKind::Email] => Field::email("identity", "field.email"),
            [IdentityKind::Username] => Field::text("identity", "field.username"),
            _ => Field::text("identity", "field.email_or_username"),
        };
        let identity = identity
            .value(self.identity())
            .autocomplete(web.identity_hint());
        let passcode = passcode_field();
        // Whoever has said who they are goes on with the passcode.
        let mut fields = match sent || !self.identity().is_empty() {
            true => vec![identity, passcode.autofocus()],
            false => vec![identity.autofocus(), passcode],
        };
        fields.extend(web.keep_field(self.remember));
        fields.extend(method_field(&code_methods(web), &self.chosen_method));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        let form = FormView::new("us_signin", site.path(Path::UsSignin), fields);
        let others = web.others(self.next.as_deref());
        let page = others.on(Reply::page(SIGNIN)).with("sent", sent);
        let page = match sent {
            true => page.with("method", &self.chosen_method),
            false => page,
        };
        with_methods(web, page).form(form)
    }
}

/// A password or a code: hidden like the one, and never shown again.
fn passcode_field() -> Field {
    Field::password("passcode", "field.passcode")
        .autocomplete("current-password")
        .hint(Message::new("field.passcode_hint"))
}

/// The ways by which a code is sent here.
fn code_methods(web: &Web<'_>) -> Vec<FactorKind> {
    let mut kinds = factors_of(web);
    kinds.retain(|kind| kind.sends());
    kinds
}

/// The factors that sign in here.
fn factors_of(web: &Web<'_>) -> Vec<FactorKind> {
    let methods = web.site.settings.unified.methods.iter();
    methods.filter_map(|method| method.factor()).collect()
}

fn method_field(kinds: &[FactorKind], chosen: &str) -> Option<Field> {
    match kinds {
        [] => None,
        [only] => Some(Field::hidden("chosen_method", only.name())),
        several => {
            let options = several
                .iter()
                .map(|kind| (kind.name().to_string(), kind.label()))
                .collect();
            Some(Field::choice("chosen_method", "field.chosen_method", options).value(chosen))
        }
    }
}

/// What programs are told of the ways in.
fn with_methods(web: &Web<'_>, reply: Reply) -> Reply {
    let settings = &web.site.settings;
    let available: Vec<&'static str> = settings.unified.methods.iter().map(|m| m.name()).collect();
    let codes: Vec<&'static str> = code_methods(web).iter().map(|kind| kind.name()).collect();
    let mut attributes: Vec<&str> = settings.identities.iter().map(IdentityKind::name).collect();
    // A phone that signs in names its owner too.
    if settings.unified.methods.contains(&SignInMethod::Sms) {
        attributes.push("phone");
    }
    reply.answer(MethodsAnswer {
        available_methods: available,
        code_methods: codes,
        identity_attributes: attributes,
    })
}

// Routes.

#[get("/us-signin?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    web.begin_anew().await?;
    match &web.caller {
        // A single-page application asks here, after a reload, who is signed in.
        Some(caller) if wants_json(web.request, web.site) => {
            let reply = web.naming(Reply::page(SIGNIN), &caller.user);
            Ok(with_methods(&web, reply))
        }
        Some(_) => Err(Denied::SignedIn.into()),
        None => {
            let next = next.and_then(|next| web.site.http.redirects.allowed(next));
            let form = SignIn {
                next: next.map(String::from),
                ..SignIn::default()
            };
            Ok(form.page(&web, false))
        }
    }
}

#[post("/us-signin?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<SignIn>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| form.page(&web, false))?;
    web.begin_anew().await?;
    let done = match sign_in(&web, &form).await {
        Ok((admission, buckets, sent)) => {
            let wish = sent.as_ref();
            let next = form
                .next
                .as_deref()
                .or(next)
                .or(wish.and_then(|sent| sent.next.as_deref()));
            let remember = web
                .keeps(form.remember)
                .or(wish.and_then(|sent| sent.remember));
            let opening = SessionOptions {
                remember: Remember::chosen(web.site, remember),
                clears: Some(&buckets),
            };
            let target = web.next(next, &web.site.settings.after.login);
            let with_token = include_auth_token.is_some();
            web.enter(admission, opening, target, with_token, "login")
                .await
        }
        Err(error) => Err(error),
    };
    or_again(done, || form.page(&web, false))
}

/// Whoever comes to `/login` goes on to the form.
#[get("/login?<next>")]
async fn show_at_login(web: Web<'_>, next: Option<&str>) -> Answer {
    if web.caller.is_some() || wants_json(web.request, web.site) {
        return show(web, next).await;
    }
    let form = Target::local(&web.site.login_path());
    let next = next.and_then(|next| web.site.http.redirects.allowed(next));
    Ok(Reply::done(match &next {
        Some(next) => form.with_query(&[("next", next.as_str())]),
        None => form,
    }))
}

/// Programs that know `/login` sign in there with what they know: `email` or `username`, and `password`.
#[post("/login?<next>&<include_auth_token>", data = "<form>")]
async fn submit_at_login(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<SignIn>,
) -> Answer {
    submit(web, next, include_auth_token, form).await
}

#[post("/us-signin/send-code?<next>", data = "<form>")]
async fn send_code(web: Web<'_>, next: Option<&str>, form: Submitted<SignIn>) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| {
        let form = form.page(&web, false).into_form();
        form.map(|form| form.without("passcode").submit("us_send_code.submit"))
    })?;
    let done = send(&web, &form, form.next.as_deref().or(next)).await;
    // Whoever asks for a code is told nothing of the account.
    let sent = done.map(|()| form.page(&web, true).answer(UserAnswer::default()));
    or_again(sent, || form.page(&web, false))
}

#[get("/us-verify-link/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    web.visitors_only()?;
    mailed::link_page::<Passcode>(&web, token, Path::UsSignin, |held| {
        let action = web.site.path_to(PathTo::UsVerifyLink, [token]);
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .form(FormView::new("us_link", action, []))
    })
    .await
}

#[post("/us-verify-link/<token>?<include_auth_token>", data = "<form>")]
async fn by_link(
    web: Web<'_>,
    token: &str,
    include_auth_token: Option<&str>,
    form: Submitted<Empty>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |_| FormView::new("us_link", String::new(), []));
    mailed::use_link(
        &web,
        token,
        Path::UsSignin,
        form,
        async |held: ValidTicket<Passcode>, _| {
            // Only a mail has a link; what came by text message is typed.
            if !factors::of(held.payload.kind).is_mailbox() {
                return Err(Error::Gone);
            }
            let buckets = Buckets::of_user(web.site, &held.user, &web.client);
            refuse_if_locked(web.site, &buckets).await?;
            let sent = held.payload.clone();
            let user = spend(&web, held).await?;
            let admission = admit(web.site, user, Methods::of(Method::Email)).await?;
            let opening = SessionOptions {
                remember: Remember::chosen(web.site, sent.remember),
                clears: Some(&buckets),
            };
            let target = web.next(sent.next.as_deref(), &web.site.settings.after.login);
            let with_token = include_auth_token.is_some();
            web.enter(admission, opening, target, with_token, "login")
                .await
        },
    )
    .await
}
