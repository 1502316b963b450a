//! Making an account: `/register`.
//!
//! With generic answers a taken address is answered like a free one, in the same time, and its owner is
//! told by mail. Nobody is signed in then, since that would be the answer.

mod taken;

use self::taken::{collision, taken, told_taken};
use rocket::{get, post, routes};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::features::{
    Submitted, UserAnswer, Web,
    confirm::{self, Confirm},
};
use crate::{
    accounts::password::judge_password,
    error::{Denied, Error, Invalid},
    events::EventKind,
    identity::{EmailAddress, Username},
    notify::{
        mail::Recipient,
        outbox::{MailLimit, OutgoingMail},
    },
    secrets::Password,
    settings::Usernames,
    signin::{
        admit::admit,
        limits::{PerAddress, count_per_address},
        remember::Remember,
        session::SessionOptions,
        ticket::{self, CodeSubject, Draft, TicketOptions},
        ticket_mail,
    },
    store::{NewUser, StoreError, User},
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{Message, Method, Methods, Path, PathTo},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::{self, Checkbox},
        json::wants_json,
        page,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "register",
    is_on: |settings, _| settings.register.enabled,
    routes: || routes![show, submit],
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form()}))],
    mails: &[WELCOME, EXISTING, USERNAME_TAKEN],
    links: &[Link {
        name: "register",
        path: Path::Register,
        menu: MenuFor::Visitors,
    }],
};

const PAGE: Template = template!("register/register.html");
const WELCOME: MailTemplate = mail!("register", "welcome");
const EXISTING: MailTemplate = mail!("register", "existing");
const USERNAME_TAKEN: MailTemplate = mail!("register", "username_taken");

// Form.

#[derive(Debug, Default, Deserialize)]
struct Register {
    #[serde(default)]
    email: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    password_confirm: String,
    #[serde(default)]
    remember: Option<Checkbox>,
    /// Whether the page that sends it showed the box.
    #[serde(default)]
    remember_box: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
    /// The application's own fields.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Register {
    fn has_password(&self) -> bool {
        !self.password.is_empty() || !self.password_confirm.is_empty()
    }

    fn page(&self, web: &Web<'_>) -> Reply {
        web.others(self.next.as_deref())
            .on(Reply::page(PAGE))
            .form(self.view(web))
    }

    fn view(&self, web: &Web<'_>) -> FormView {
        let settings = &web.site.settings;
        let (min, max) = (settings.passwords.min_length, settings.passwords.max_length);
        let new_password = |name, label| Field::password(name, label).autocomplete("new-password");
        let mut fields = vec![
            Field::email("email", "field.email")
                .value(&self.email)
                // Where there is no other name, it is what the password is kept under.
                .autocomplete(match settings.register.username {
                    Usernames::Off => "username",
                    _ => "email",
                })
                .autofocus(),
        ];
        if settings.register.username != Usernames::Off {
            let field = Field::text("username", "field.username")
                .value(&self.username)
                .autocomplete("username");
            let required = settings.register.username == Usernames::Required;
            fields.push(if required { field } else { field.optional() });
        }
        let required = settings.passwords.required;
        let optional = |field: Field| if required { field } else { field.optional() };
        fields.push(optional(
            new_password("password", "field.password")
                .lengths(Some(min as u64), Some(max as u64))
                .hint(Message::new("register.password_hint").with("min", min)),
        ));
        if settings.register.confirm_password {
            let again = new_password("password_confirm", "field.password_confirm");
            fields.push(optional(again));
        }
        // With generic answers nobody is signed in here.
        if !web.site.settings.generic_answers {
            let keep = input::choice_where_shown(web.request, self.remember, self.remember_box);
            let keep = web.keep_field(keep.map(Checkbox));
            if keep.is_some() {
                fields.extend(keep);
                fields.push(Field::hidden("remember_box", "true"));
            }
        }
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        FormView::new("register", web.site.path(Path::Register), fields).extra(&self.extra)
    }
}

/// A form whose every value was found good.
struct Checked {
    email: EmailAddress,
    username: Option<Username>,
    /// None where one is not required and none was chosen.
    password: Option<Password>,
    extra: Map<String, Value>,
}

// Routes.

#[get("/register?<next>")]
fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    web.visitors_only()?;
    let next = next
        .and_then(|next| web.site.http.redirects.allowed(next))
        .map(String::from);
    let form = Register {
        next,
        ..Register::default()
    };
    Ok(form.page(&web))
}

#[post("/register?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Register>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| form.view(&web))?;
    let generic = web.site.settings.generic_answers;
    let user = match register(&web, &form).await {
        Ok(user) => user,
        Err(Error::Invalid(invalid)) => {
            return Ok(form.page(&web).invalid(invalid));
        }
        Err(error) => return Err(error),
    };
    let Some(user) = user.filter(|_| !generic) else {
        return Ok(registered(&web));
    };
    let methods = match form.has_password() {
        true => Methods::of(Method::Password).and(Method::Register),
        false => Methods::of(Method::Register),
    };
    let admission = match admit(web.site, user, methods).await {
        // The account is there, and its address must be confirmed before it can be used.
        Err(Error::Denied(Denied::Unconfirmed)) => return Ok(registered(&web)),
        admission => admission?,
    };
    let after = web.site.settings.after.register.as_deref();
    let target = web.next(form.next.as_deref().or(next), after.unwrap_or("/"));
    let keep = input::choice_where_shown(web.request, form.remember, form.remember_box);
    let opening = SessionOptions::remembering(Remember::chosen(web.site, keep));
    let with_token = include_auth_token.is_some();
    web.enter(admission, opening, target, with_token, "register")
        .await
}

/// The answer that signs nobody in.
fn registered(web: &Web<'_>) -> Reply {
    let settings = &web.site.settings;
    let done = match settings.confirm.enabled {
        true => "register.done_confirm",
        false => "register.done",
    };
    let login = web.site.login_path();
    let after = settings.after.register.as_deref().unwrap_or(&login);
    Reply::done(page::after(web.site, after))
        .answer(UserAnswer::default())
        .csrf()
        .flash("success", done)
}

// Service.

/// Makes the account; `None` if it was taken and answers are generic: then its owner is told instead.
async fn register(web: &Web<'_>, form: &Register) -> Result<Option<User>, Error> {
    let site = web.site;
    let checked = check(web, form).await?;
    count_per_address(site, PerAddress::Registration, &web.client).await?;
    // Registrations have a lane of their own before the hashing queue, so that they cannot fill it.
    let _lane = site
        .registering
        .try_acquire()
        .map_err(|_| Error::Unavailable {
            retry_after: 10,
            why: "too many registrations at once".into(),
        })?;
    // Hashed before it is known whether it is needed: the time must not tell.
    let hash = match &checked.password {
        Some(password) => Some(site.hasher.hash(password).await?),
        None => None,
    };
    if let Some(taken) = taken(web, &checked).await? {
        collision(web, &checked, taken).await?;
        return Ok(None);
    }
    let mut new = NewUser::new(checked.email.clone());
    new.extra = checked.extra.clone();
    if let Some(hash) = hash {
        new = new.password(hash);
    }
    if let Some(username) = checked.username.clone() {
        new = new.username(username);
    }
    let welcome = welcome(web, &new)?;
    let made = web
        .change(move |change| {
            let user = change.register_user(&new)?;
            if let Some((outgoing, ticket)) = &welcome {
                change.mail(outgoing)?;
                if let Some(ticket) = ticket {
                    ticket::insert(change, ticket)?;
                    let user = user.id.clone();
                    change.event(EventKind::ConfirmInstructionsSent { user });
                }
            }
            Ok(user)
        })
        .await;
    match made {
        Ok(user) => Ok(Some(user)),
        // Somebody was faster.
        Err(error @ StoreError::Taken(_)) => match taken(web, &checked).await? {
            Some(taken) => {
                collision(web, &checked, taken).await?;
                Ok(None)
            }
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// A mail and, where the address is to be confirmed, its ticket.
type Welcome = (OutgoingMail, Option<Draft<Confirm>>);

/// The first mail to a new account: the one by which its address is confirmed, or a mere welcome.
fn welcome(web: &Web<'_>, new: &NewUser) -> Result<Option<Welcome>, Error> {
    let settings = &web.site.settings;
    let to = Recipient {
        email: new.email.address(),
        display: new
            .username
            .as_ref()
            .map_or(new.email.address(), Username::name),
        decoy: false,
    };
    if settings.confirm.enabled {
        let terms = TicketOptions {
            life: settings.confirm.life.get(),
            user: Some(new.id.clone()),
            bound_to: None,
        };
        let draft = ticket::draft::<Confirm>(
            web.site,
            terms,
            ticket::Begun::ByVisitor,
            &CodeSubject::of_user(&new.id),
            &(),
        )?;
        let own = ticket_mail::context(web.site, PathTo::Confirm, &draft);
        let outgoing = web
            .composer()
            .compose(&to, confirm::MAIL, MailLimit::Free, own)?;
        return Ok(Some((outgoing, Some(draft))));
    }
    if settings.register.welcome_mail {
        let outgoing = web
            .composer()
            .compose(&to, WELCOME, MailLimit::Limited, json!({}))?;
        return Ok(Some((outgoing, None)));
    }
    Ok(None)
}

/// Looks at every value, and at the password only where the rest of the form does not already fail.
async fn check(web: &Web<'_>, form: &Register) -> Result<Checked, Error> {
    let (site, settings) = (web.site, &web.site.settings.register);
    let mut invalid = Invalid::new();
    let email = EmailAddress::typed(&form.email)
        .and_then(|email| site.accept_email(&email).map(|()| email));
    let email = invalid.take("email", email);
    let username = match (settings.username, form.username.trim().is_empty()) {
        (Usernames::Off, _) | (Usernames::Optional, true) => None,
        _ => invalid.take("username", site.usernames.parse(&form.username)),
    };
    let chosen = form.has_password() || site.settings.passwords.required;
    let password = chosen
        .then(|| invalid.take("password", Password::parse(&form.password)))
        .flatten();
    if let Some(password) = &password {
        let (email, username) = (email.as_ref(), username.as_ref());
        let (email, username) = (
            email.map(EmailAddress::address),
            username.map(Username::name),
        );
        for message in judge_password(site, password, email, username).await? {
            invalid.add("password", message);
        }
        if settings.confirm_password && form.password != form.password_confirm {
            let is_left_out = form.password_confirm.is_empty() && wants_json(web.request, site);
            let key = match is_left_out {
                true => "password.confirm_required",
                false => "password.mismatch",
            };
            invalid.add("password_confirm", Message::new(key));
        }
    }
    for (field, key) in told_taken(web, email.as_ref(), username.as_ref()).await? {
        invalid.add(field, Message::new(key));
    }
    let mut extra = Map::new();
    if let Some(fields) = site.hooks.fields.get("register") {
        extra = fields.check(&form.extra, &mut invalid);
    }
    match email {
        Some(email) if invalid.is_empty() => Ok(Checked {
            email,
            username,
            password,
            extra,
        }),
        _ => Err(invalid.into()),
    }
}
