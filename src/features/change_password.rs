//! Another password: `/change`, for somebody who knows the present one.
//!
//! The browser that changes it stays signed in; every other session, remembered device, token and open
//! ticket ends. An account without a password can get one here, from a fresh sign-in.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    AccountAnswer, Submitted, UserAnswer, Web,
    new_password::{self, Names, NewPassword},
};
use crate::{
    error::{Error, Invalid},
    guards::strong::shown_what_it_takes,
    identity::target::Target,
    notify::notices,
    secrets::Password,
    signin::{
        admit::{Admission, admit},
        caller::{Caller, Mechanism},
        limits::count_per_user,
        outdated,
        password::{Proof, prove_again},
        session,
    },
    store::{User, users},
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Method, Path, ProvenAt},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        page,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "change_password",
    is_on: |settings, _| settings.change_password.enabled,
    routes: || routes![show, submit],
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form(), "has_password": true}))],
    mails: &[],
    links: &[Link {
        name: "change_password",
        path: Path::ChangePassword,
        menu: MenuFor::SignedIn { post: false },
    }],
};

const PAGE: Template = template!("change_password/change_password.html");

/// The field `password` is the present one.
const NAMES: Names = Names {
    password: "new_password",
    again: "new_password_confirm",
    label: "field.password_new",
};

// Form.

#[derive(Debug, Default, Deserialize)]
struct ChangePassword {
    #[serde(default)]
    password: String,
    #[serde(default)]
    new_password: String,
    #[serde(default)]
    new_password_confirm: String,
}

/// What programs are told before a new password is set, beside the account.
#[derive(Serialize)]
struct PasswordAnswer {
    /// Whether the account has a password, which must be sent with the new one.
    active_password: bool,
}

fn form_page(web: &Web<'_>, has_password: bool) -> Reply {
    let mut fields = Vec::new();
    if has_password {
        fields.push(
            Field::password("password", "field.password_current")
                .autocomplete("current-password")
                .autofocus(),
        );
    }
    fields.extend(new_password::fields(web, NAMES));
    let action = web.site.path(Path::ChangePassword);
    Reply::page(PAGE)
        .with("has_password", has_password)
        .answer(PasswordAnswer {
            active_password: has_password,
        })
        .form(FormView::new("change_password", action, fields))
}

// Routes.

#[get("/change")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.signed_in()?;
    let has_password = has_password(&web, &caller).await?;
    Ok(web.naming(form_page(&web, has_password), &caller.user))
}

#[post("/change?<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    include_auth_token: Option<&str>,
    form: Submitted<ChangePassword>,
) -> Answer {
    let form = web.sent(form, |form| form_page(&web, !form.password.is_empty()))?;
    let caller = web.signed_in()?;
    let has_password = has_password(&web, &caller).await?;
    shown_what_it_takes(web.site, &caller).await?;
    let done = match change(&web, &caller, &form, has_password).await {
        Ok(user) => {
            let with_token = include_auth_token.is_some();
            done(&web, &caller, user, has_password, with_token).await
        }
        Err(error) => Err(error),
    };
    or_again(done, || form_page(&web, has_password))
}

// Routes at the site's root.

/// What is not below our prefix.
pub(crate) fn root_routes() -> Vec<Route> {
    routes![well_known]
}

/// Where password managers send people to change a password (W3C, A Well-Known URL for Changing Passwords).
#[get("/.well-known/change-password")]
fn well_known(web: Web<'_>) -> Reply {
    Reply::moved(Target::local(&web.site.path(Path::ChangePassword)))
}

// Service.

/// Whether there is a password to be shown first; without one the sign-in must be fresh instead.
async fn has_password(web: &Web<'_>, caller: &Caller) -> Result<bool, Error> {
    let id = caller.user.id.clone();
    let hash = web
        .site
        .store
        .read(move |conn| users::password_of(conn, &id))
        .await?;
    if hash.is_none() {
        web.strong_by_any().await?;
    }
    Ok(hash.is_some())
}

async fn change(
    web: &Web<'_>,
    caller: &Caller,
    form: &ChangePassword,
    has_password: bool,
) -> Result<User, Error> {
    let (site, user) = (web.site, &caller.user);
    count_per_user(site, "change_password", &user.id).await?;
    let mut invalid = Invalid::new();
    let present = match has_password {
        true => invalid.take("password", Password::parse(&form.password)),
        false => None,
    };
    let typed = NewPassword {
        password: form.new_password.clone(),
        password_confirm: form.new_password_confirm.clone(),
    };
    let (email, username) = (Some(user.email.as_str()), user.username.as_deref());
    let new = new_password::check(web, NAMES, &typed, email, username, &mut invalid).await?;
    if let (Some(present), Some(new)) = (&present, &new)
        && present.expose() == new.expose()
    {
        invalid.add("password", Message::new("change_password.same"));
    }
    // Whatever else is wrong: all of it is told at once.
    if let Some(present) = &present
        && let Proof::Wrong(_) =
            prove_again(site, user, present, caller.methods, &web.client).await?
    {
        invalid.add("password", Message::new("change_password.wrong"));
    }
    let Some(new) = new.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let hash = site.hasher.hash(&new).await?;
    let notice = notices::password_changed(&web.composer(), user)?;
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let ends = site.ends_with_password();
    web.change(move |change| {
        users::hold(change, &id, &uniquifier)?;
        let user = change.replace_password(&id, &hash, ends)?;
        change.mail(&notice)?;
        Ok(user)
    })
    .await
    .map_err(outdated)
}

/// All sessions have ended; whoever changed it goes on.
async fn done(
    web: &Web<'_>,
    caller: &Caller,
    user: User,
    has_password: bool,
    with_token: bool,
) -> Answer {
    // A present password proves it anew; without one the sign-in is as fresh as it was.
    let at = match has_password {
        true => ProvenAt::at(web.site.now()),
        false => caller.authenticated_at,
    };
    let methods = match has_password {
        true => caller.methods.and(Method::Password),
        false => caller.methods,
    };
    let admitted = match caller.mechanism {
        Mechanism::Session => {
            session::reopen(web.browser, web.site, &web.client, user, methods, at).await?
        }
        // A token or Basic has no session; but it may ask for a new token.
        _ => match admit(web.site, user, methods).await? {
            Admission::In(admitted) => Some(admitted.with_proof_at(at)),
            Admission::Challenge(_) => None,
        },
    };
    let user = match &admitted {
        Some(admitted) => web.user_payload(admitted, with_token).await?,
        None => AccountAnswer::default(),
    };
    Ok(
        Reply::done(page::after(web.site, &web.site.settings.after.change))
            .answer(UserAnswer { user })
            .csrf()
            .flash("success", "change_password.done"),
    )
}
