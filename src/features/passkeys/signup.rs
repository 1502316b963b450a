//! An account that has a passkey and no password: `/wan-signup` asks for an address, the mailed link makes
//! the passkey, and with it the account.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{Submitted, Web, mailed},
    Finish, asked, ceremonies, expired, keep_challenge, offer, or_back_with_reason, proven,
    register, rows,
};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::passkey::{Account, Registering},
    http::{headers, language},
    identity::{EmailAddress, Identity, target::Target},
    notify::{mail::Recipient, outbox::MailLimit},
    signin::{
        admit::admit,
        limits::{PerAddress, count_per_address},
        outdated,
        session::SessionOptions,
        ticket::{
            self, CodeSubject, Purpose, TicketOptions,
            challenge::{self, Found},
        },
        ticket_mail,
    },
    store::{NewUser, StoreError, Unique, factors, tickets, users},
    templates::form::{Field, FormView},
    templates::{MailTemplate, Template, mail, template},
    types::{Message, Method, PasskeyUsage, Path, PathTo},
    web::{
        input::Empty,
        json::wants_json,
        reply::{Answer, Reply, or_again},
    },
};

pub(super) const SIGNUP: Template = template!("passkeys/signup.html");
pub(super) const CREATE: Template = template!("passkeys/create.html");
pub(super) const MAIL: MailTemplate = mail!("passkeys", "signup");
pub(super) const EXISTING: MailTemplate = mail!("passkeys", "existing");

pub(super) fn routes() -> Vec<Route> {
    routes![show, submit, link, ask, finish]
}

/// The ticket of a mailed link.
pub(crate) enum WanSignup {}

/// Who it is for. Nobody's yet: there is no account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    email: String,
    handle: Uuid,
}

impl Purpose for WanSignup {
    const NAME: &'static str = "wan_signup";
    type Payload = Wanted;
}

/// The ticket of the challenge with which the passkey is made.
pub(crate) enum WanCreate {}

/// What it is answered by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    begun: Registering,
    handle: Uuid,
}

impl Purpose for WanCreate {
    const NAME: &'static str = "wan_create";
    type Payload = Challenge;
}

// Form.

#[derive(Debug, Default, Deserialize)]
struct SignUp {
    #[serde(default)]
    email: String,
}

impl SignUp {
    fn page(&self, web: &Web<'_>) -> Reply {
        let email = Field::email("email", "field.email")
            .value(&self.email)
            .autocomplete("email")
            .autofocus();
        let form = FormView::new("wan_signup", web.site.path(Path::WanSignup), [email]);
        Reply::page(SIGNUP).form(form)
    }
}

// Routes.

#[get("/wan-signup")]
fn show(web: Web<'_>) -> Answer {
    web.visitors_only()?;
    Ok(SignUp::default().page(&web))
}

#[post("/wan-signup", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<SignUp>) -> Answer {
    let form = web.sent(form, |form| form.page(&web))?;
    web.visitors_only()?;
    let done = send(&web, &form).await.map(|()| {
        let target = Target::local(&web.site.path(Path::WanSignup));
        Reply::done(target)
            .csrf()
            .flash("success", "wan_signup.sent")
    });
    or_again(done, || form.page(&web))
}

#[get("/wan-signup/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    headers::hide_address(web.request);
    web.visitors_only()?;
    let found = challenge::find::<WanSignup>(web.site, token, None).await?;
    let spa = &web.site.settings.spa;
    if spa.enabled && !wants_json(web.request, web.site) {
        let (key, value) = match &found {
            Some(_) => ("token", token),
            None => ("error", "ticket.invalid"),
        };
        let query = [("purpose", WanSignup::NAME), (key, value)];
        let view = Target::local(&spa.link_view).with_query(&query);
        return Ok(Reply::done(view));
    }
    match found {
        Some(found) => Ok(create_page(&web, token, &found)),
        None => gone(&web),
    }
}

#[post("/wan-signup/<token>", data = "<form>")]
async fn ask(web: Web<'_>, token: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "wan_create.submit")?;
    headers::hide_address(web.request);
    web.visitors_only()?;
    let Some(found) = challenge::find::<WanSignup>(web.site, token, None).await? else {
        return gone(&web);
    };
    let (state, options) = begin(&web, &found.payload).await?;
    Ok(asked(create_page(&web, token, &found), &state, &options))
}

#[post("/wan-signup/<token>/<state>?<include_auth_token>", data = "<form>")]
async fn finish(
    web: Web<'_>,
    token: &str,
    state: &str,
    include_auth_token: Option<&str>,
    form: Submitted<Finish>,
) -> Answer {
    let form = form?;
    headers::hide_address(web.request);
    web.visitors_only()?;
    let Some(found) = challenge::find::<WanSignup>(web.site, token, None).await? else {
        return gone(&web);
    };
    let with_token = include_auth_token.is_some();
    let done = create(&web, found, state, &form, with_token).await;
    match done {
        Err(Error::Gone) => gone(&web),
        done => {
            let page = web.site.path_to(PathTo::WanSignup, [token]);
            or_back_with_reason(&web, done, &page, None)
        }
    }
}

fn gone(web: &Web<'_>) -> Answer {
    mailed::bad_link(web, WanSignup::NAME, "ticket.invalid", Path::WanSignup)
}

/// The page of the mailed link, which changes nothing.
fn create_page(web: &Web<'_>, token: &str, found: &Found<WanSignup>) -> Reply {
    let action = web.site.path_to(PathTo::WanSignup, [token]);
    Reply::page(CREATE)
        .own()
        .with("account", json!({"email": found.payload.email}))
        .with("passkey", offer(web.site, &action, ""))
        .form(FormView::new("wan_create", action, []))
}

// Service.

/// Mails the link; whoever has an account is told so instead, by the same work.
async fn send(web: &Web<'_>, form: &SignUp) -> Result<(), Error> {
    let site = web.site;
    let email = EmailAddress::typed(&form.email)
        .and_then(|email| site.accept_email(&email).map(|()| email))
        .map_err(|message| Invalid::field("email", message))?;
    count_per_address(site, PerAddress::Mail, &web.client).await?;
    let identity = Identity::Email(email.clone());
    let handle = CodeSubject::of_identity(site, &identity);
    let (asked, reserved, now) = (email.clone(), handle.clone(), site.now());
    let owner = site
        .store
        .read(move |conn| {
            if let Some((_, owner)) = users::owner_of(conn, &asked, None)? {
                let stored = owner.email.clone();
                return Ok(Some((owner, stored)));
            }
            // An address that its owner can still take back is theirs alone.
            match tickets::open_under(conn, tickets::UNDO, reserved.as_str(), now)? {
                Some((id, _)) => {
                    let typed = asked.address().to_string();
                    Ok(users::by_id(conn, &id)?.map(|owner| (owner, typed)))
                }
                None => Ok(None),
            }
        })
        .await?;
    if owner.is_some() && !site.settings.generic_answers {
        return Err(Invalid::field("email", Message::new("email.taken")).into());
    }
    let wanted = Wanted {
        email: email.address().into(),
        handle: Uuid::new_v4(),
    };
    let terms = TicketOptions {
        life: site.settings.passkeys.sign_up_life.get(),
        user: None,
        bound_to: None,
    };
    // For an address that has an account too, so that the work is the same; nobody is told its secret.
    let draft =
        ticket::draft::<WanSignup>(site, terms, ticket::Begun::ByVisitor, &handle, &wanted)?;
    let (mail, own) = match &owner {
        Some(_) => (EXISTING, json!({})),
        None => {
            let mut own = ticket_mail::context(site, PathTo::WanSignup, &draft);
            own["code"] = Value::Null;
            (MAIL, own)
        }
    };
    let to = Recipient::at(owner.as_ref().map_or(email.address(), |(_, to)| to));
    let outgoing = web.composer().compose(&to, mail, MailLimit::Limited, own)?;
    let owner = owner.map(|(owner, _)| owner.id);
    web.change(move |change| {
        ticket_mail::enqueue(change, &outgoing, &draft)?;
        if let Some(user) = owner.clone() {
            change.event(EventKind::RegistrationCollision {
                user,
                existing_email: true,
                existing_username: false,
            });
        }
        Ok(())
    })
    .await
    .map_err(outdated)
}

async fn begin(web: &Web<'_>, wanted: &Wanted) -> Result<(String, Value), Error> {
    let site = web.site;
    count_per_address(site, PerAddress::Challenge, &web.client).await?;
    let account = Account {
        handle: wanted.handle,
        email: &wanted.email,
        username: None,
    };
    let usage = PasskeyUsage::First;
    let (options, begun) = ceremonies(web)?.begin_registration(account, usage, &[])?;
    let challenge = Challenge {
        begun,
        handle: wanted.handle,
    };
    let browser = web.browser.visitor()?;
    let life = site.settings.passkeys.register_challenge;
    let draft = challenge::begin::<WanCreate>(
        site,
        life.get(),
        (None, ticket::Begun::ByVisitor),
        &browser,
        &challenge,
    )?;
    let state = draft.secret.expose().clone();
    keep_challenge(site, draft, true).await?;
    Ok((state, options))
}

/// Makes the account with its passkey, and signs its owner in.
async fn create(
    web: &Web<'_>,
    link: Found<WanSignup>,
    state: &str,
    form: &Finish,
    with_token: bool,
) -> Answer {
    let (site, now) = (web.site, web.site.now());
    let browser = web.presenter().browser;
    let found = challenge::find::<WanCreate>(site, state, browser.as_deref()).await?;
    let handle = link.payload.handle;
    let found = found
        .filter(|found| found.payload.handle == handle)
        .ok_or_else(expired)?;
    let usage = PasskeyUsage::First;
    let made =
        ceremonies(web)?.finish_registration(&found.payload.begun, usage, &form.credential)?;
    let email = EmailAddress::parse(&link.payload.email).map_err(|_| Error::Gone)?;
    let new = NewUser::new(email).confirmed(true);
    let name = site.views.catalogue().say(
        language::of(web.request, &site.http).as_str(),
        &Message::new("factor.passkey"),
    );
    let factor = register::factor(&new.id, &name, usage, &made, now);
    let passkey = made.row(&factor.id)?;
    let (mailed_once, ticket_id) = (link.ticket_id(), found.ticket_id());
    let said = handle.to_string();
    let written = web
        .change(move |change| {
            if !mailed_once.consume(change, now)? || !ticket_id.consume(change, now)? {
                return Err(StoreError::Missing);
            }
            let user = change.register_user(&new)?;
            rows::take_handle(change, &user.id, &said)?;
            factors::insert(change, &factor)?;
            rows::insert(change, &passkey)?;
            change.event(EventKind::PasskeyAdded {
                user: user.id.clone(),
                name: name.clone(),
            });
            Ok(user)
        })
        .await;
    let user = match written {
        // Somebody was faster, or has an account by now.
        Err(StoreError::Missing | StoreError::Taken(Unique::Email | Unique::Username)) => {
            return Err(Error::Gone);
        }
        Err(StoreError::Taken(_)) => {
            return Err(Invalid::field("credential", Message::new("passkey.exists")).into());
        }
        written => written?,
    };
    let methods = proven(site, made.verifies()).and(Method::Register);
    let admission = admit(site, user, methods).await?;
    let after = site.settings.after.register.as_deref().unwrap_or("/");
    let target = web.next(None, after);
    let reply = web
        .enter(
            admission,
            SessionOptions::by_default(site),
            target,
            with_token,
            "register",
        )
        .await?;
    Ok(reply.flash("success", "wan_signup.done"))
}
