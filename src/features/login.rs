//! Sign-in by password: `/login`.

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccountAnswer, Submitted, Web};
use crate::{
    error::{Denied, Error, Invalid},
    identity::{Identity, IdentityKind},
    secrets::Password,
    signin::{
        admit::Admission,
        password::{Proof, Wrong, prove},
        remember::Remember,
        session::SessionOptions,
    },
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Path},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::Checkbox,
        json::wants_json,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "login",
    is_on: |settings, _| {
        let unified = &settings.unified;
        settings.login.enabled && !(unified.enabled && unified.replaces_login)
    },
    routes: || routes![show, submit],
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form()}))],
    mails: &[],
    links: &[Link {
        name: "login",
        path: Path::Login,
        menu: MenuFor::Visitors,
    }],
};

const PAGE: Template = template!("login/login.html");

// Form.

#[derive(Debug, Default, Deserialize)]
struct Login {
    #[serde(default)]
    email: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    remember: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
}

impl Login {
    /// What was typed as identity, and in which field: the address, which takes usernames too, wins.
    fn identity(&self) -> (&'static str, &str) {
        match self.email.trim().is_empty() && !self.username.is_empty() {
            true => ("username", &self.username),
            false => ("email", &self.email),
        }
    }

    fn view(&self, web: &Web<'_>) -> FormView {
        let settings = &web.site.settings;
        let identity = match settings.identities.as_slice() {
            [IdentityKind::Email] => {
                Field::email("email", "field.email").autocomplete(web.identity_hint())
            }
            [IdentityKind::Username] => {
                Field::text("email", "field.username").autocomplete(web.identity_hint())
            }
            _ => Field::text("email", "field.email_or_username").autocomplete(web.identity_hint()),
        };
        let mut fields = vec![
            identity.value(self.identity().1).autofocus(),
            Field::password("password", "field.password").autocomplete("current-password"),
        ];
        fields.extend(web.keep_field(self.remember));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        FormView::new("login", web.site.path(Path::Login), fields)
    }
}

// Answers.

/// What programs are told before a sign-in.
#[derive(Serialize)]
struct LoginAnswer {
    /// What identifies an account here: `email`, `username` or both.
    identity_attributes: Vec<&'static str>,
    /// The names of the providers that sign in.
    oauth_providers: Vec<String>,
}

/// What a program is told whose user is signed in already.
#[derive(Serialize)]
struct SignedInAnswer {
    /// The account.
    user: AccountAnswer,
    /// What identifies an account here: `email`, `username` or both.
    identity_attributes: Vec<&'static str>,
}

// Routes.

#[get("/login?<next>")]
async fn show(web: Web<'_>, next: Option<String>) -> Answer {
    web.begin_anew().await?;
    let identity_attributes: Vec<_> = web
        .site
        .settings
        .identities
        .iter()
        .map(IdentityKind::name)
        .collect();
    match &web.caller {
        // A single-page application asks here, after a reload, who is signed in.
        Some(caller) if wants_json(web.request, web.site) => {
            Ok(Reply::page(PAGE).answer(SignedInAnswer {
                user: web.account(&caller.user),
                identity_attributes,
            }))
        }
        Some(_) => Err(crate::error::Denied::SignedIn.into()),
        None => {
            let form = Login {
                next: web
                    .site
                    .http
                    .redirects
                    .allowed(next.as_deref().unwrap_or_default())
                    .map(String::from),
                ..Login::default()
            };
            let others = web.others(form.next.as_deref());
            Ok(others
                .on(Reply::page(PAGE))
                .answer(LoginAnswer {
                    identity_attributes,
                    oauth_providers: web.site.social_names(),
                })
                .form(form.view(&web)))
        }
    }
}

#[post("/login?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Login>,
) -> Answer {
    // Before the CSRF check: whoever is in already changes nothing here, and is told so.
    web.visitors_only()?;
    let form = web.sent(form, |form| form.view(&web))?;
    web.begin_anew().await?;
    let target = web.next(
        form.next.as_deref().or(next),
        &web.site.settings.after.login,
    );
    match sign_in(&web, &form).await {
        Ok((admission, buckets)) => {
            let opening = SessionOptions {
                remember: Remember::chosen(web.site, web.keeps(form.remember)),
                clears: Some(&buckets),
            };
            web.enter(
                admission,
                opening,
                target,
                include_auth_token.is_some(),
                "login",
            )
            .await
        }
        Err(Error::Invalid(invalid)) => Ok(web
            .others(form.next.as_deref().or(next))
            .on(Reply::page(PAGE))
            .form(form.view(&web))
            .invalid(invalid)),
        Err(error) => Err(error),
    }
}

// Service.

/// Brings whoever the form names to the gate.
async fn sign_in(
    web: &Web<'_>,
    form: &Login,
) -> Result<(Admission, crate::signin::limits::Buckets), Error> {
    let mut invalid = Invalid::new();
    let (field, typed) = form.identity();
    if typed.trim().is_empty() {
        invalid.add(field, Message::new("input.required"));
    }
    let password = invalid.take("password", Password::parse(&form.password));
    let Some(password) = password.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let identity = Identity::recognise(
        typed,
        &web.site.settings.identities,
        web.site.usernames.as_ref(),
    );
    let telling = !web.site.settings.generic_answers;
    match prove(web.site, identity, &password, &web.client).await {
        Ok(Proof::Right(admission, buckets)) => Ok((admission, buckets)),
        Ok(Proof::Wrong(why)) if telling => Err(told(field, why)),
        Ok(Proof::Wrong(_)) => Err(rejected(web)),
        // Only after a right password, and only where the site tells.
        Err(Error::Denied(denied @ (Denied::Inactive | Denied::Unconfirmed))) => {
            Err(match (telling, denied) {
                (true, Denied::Inactive) => {
                    Invalid::field(field, Message::new("login.inactive")).into()
                }
                (true, _) => Invalid::field(field, Message::new("login.unconfirmed")).into(),
                (false, _) => rejected(web),
            })
        }
        Err(error) => Err(error),
    }
}

/// Which of the two is wrong, at its field: for sites that tell.
fn told(field: &'static str, why: Wrong) -> Error {
    match why {
        Wrong::NoAccount => Invalid::field(field, Message::new("login.unknown")),
        Wrong::NoPassword => Invalid::field("password", Message::new("login.no_password")),
        Wrong::Password => Invalid::field("password", Message::new("login.wrong_password")),
    }
    .into()
}

/// One answer for a wrong password, an unknown name, a shut account and one that is not confirmed.
fn rejected(web: &Web<'_>) -> Error {
    let settings = &web.site.settings;
    let untold = settings.confirm.enabled && settings.generic_answers;
    Invalid::form(match untold {
        true => Message::new("login.wrong_or_unconfirmed"),
        false => Message::new("login.wrong"),
    })
    .into()
}
