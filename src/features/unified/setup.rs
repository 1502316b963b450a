//! Further ways to sign in: `/us-setup`.

use rocket::{Route, get, post, routes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{Submitted, Web},
    Passcode,
    answer::{AuthenticatorAnswer, ConfirmAnswer, MethodAddedAnswer, SetupAnswer, StateAnswer},
    factors_of, sign_in_methods,
    verify::Again,
};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::{self, Setup, Wanted, by_browser},
    features::factor_setup,
    guards::strong::Strong,
    identity::target::Target,
    notify::notices,
    settings::SignInMethod,
    signin::{limits::count_per_user, outdated, sign_in_methods::SignInMethods, ticket::Purpose},
    store::{
        StoreError, User,
        factors::{self as rows, FactorRow},
        tickets, users,
    },
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{FactorKind, Message, Path, PathTo, Usages},
    web::{
        input::Empty,
        page,
        reply::{Answer, Reply, or_again},
    },
};

pub(super) const SETUP: Template = template!("unified/setup.html");
pub(super) const CONFIRM: Template = template!("unified/confirm.html");

pub(super) fn routes() -> Vec<Route> {
    routes![show, submit, confirm, remove]
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct UsSetup {
    #[serde(default)]
    chosen_method: String,
    #[serde(default)]
    delete_method: String,
    #[serde(default)]
    phone: String,
}

#[derive(Debug, Default, Deserialize)]
struct Confirm {
    #[serde(default)]
    passcode: String,
}

/// What has to be set up before it signs in: a mailbox is there already.
fn available(web: &Web<'_>) -> Vec<FactorKind> {
    let mut kinds = factors_of(web);
    kinds.retain(|kind| !factors::of(*kind).is_mailbox());
    kinds
}

fn setup_form(web: &Web<'_>, typed: &UsSetup) -> FormView {
    let kinds = available(web);
    let options = kinds
        .iter()
        .map(|kind| (kind.name().to_string(), kind.label()))
        .collect();
    let mut fields = vec![
        Field::choice("chosen_method", "field.chosen_method", options).value(&typed.chosen_method),
    ];
    if factors::takes_phone(&kinds) {
        fields.push(
            Field::phone("phone", "field.phone_sms")
                .value(&typed.phone)
                .conditional()
                .hint(Message::new("field.phone_hint")),
        );
    }
    FormView::new("us_setup", web.site.path(Path::UsSetup), fields)
}

async fn page(web: &Web<'_>, caller: &Strong, typed: &UsSetup) -> Result<Reply, Error> {
    let site = web.site;
    let rows = sign_in_methods(web, Some(&caller.user)).await?;
    let kinds = available(web);
    let active: Vec<Value> = rows
        .iter()
        .filter_map(|row| {
            // Passkeys have a page of their own.
            let described = factors::described(row).filter(|_| !by_browser(row))?;
            Some(json!({
                "id": row.id,
                "kind": described.kind.name(),
                "name": described.name,
                "detail": described.detail,
                "remove_url": site.path_to(PathTo::UsSetupRemove, [&row.id]),
            }))
        })
        .collect();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let mut active_names: Vec<&str> = rows
        .iter()
        .filter_map(FactorRow::kind)
        .map(|kind| kind.name())
        .collect();
    let methods = &site.settings.unified.methods;
    if methods.contains(&SignInMethod::Email) {
        active_names.push("email");
    }
    let id = caller.user.id.clone();
    let has_password = move |conn: &mut _| Ok(users::password_of(conn, &id)?.is_some());
    if methods.contains(&SignInMethod::Password) && site.store.read(has_password).await? {
        active_names.push("password");
    }
    let phone = rows.iter().find_map(|row| row.phone.clone());
    let reply = Reply::page(SETUP)
        .with("active", active)
        .with("available", &names)
        .answer(SetupAnswer {
            active_methods: active_names,
            setup_methods: &names,
            phone,
        })
        .form(setup_form(web, typed));
    Ok(super::with_methods(web, reply))
}

fn confirm_page(web: &Web<'_>, user: &User, setup: &Setup, action: String) -> Answer {
    let (kind, factor) = (setup.kind.name(), factors::of(setup.kind));
    let mut reply = Reply::page(CONFIRM)
        .own()
        .with("method", kind)
        .answer(ConfirmAnswer {
            chosen_method: kind,
            phone: setup.phone.as_deref(),
        });
    if let Some(shown) = factor.shown(&web.site.factors, setup, user)? {
        reply = reply
            .answer(AuthenticatorAnswer::of(&shown))
            .with("qr", shown.qr)
            .with("key", shown.grouped)
            .with("uri", shown.uri)
            .with("issuer", shown.issuer)
            .with("username", shown.username);
    }
    if let Some(phone) = &setup.phone {
        reply = reply.with("destination", factor.describe(&user.email, Some(phone)));
    }
    Ok(reply.form(confirm_form(action)))
}

fn confirm_form(action: String) -> FormView {
    let fields = [Field::code("passcode").autofocus()];
    FormView::new("us_confirm", action, fields)
}

// Routes.

#[get("/us-setup")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.strong().await?;
    page(&web, &caller, &UsSetup::default()).await
}

#[post("/us-setup", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<UsSetup>) -> Answer {
    let form = web.sent(form, |form| setup_form(&web, form))?;
    let caller = web.strong().await?;
    let again = page(&web, &caller, &form).await?;
    let done = match form.delete_method.trim() {
        "" => set_up(&web, &caller, &form).await,
        delete => take(&web, &caller, delete).await.map(|()| removed(&web)),
    };
    or_again(done, || again)
}

#[post("/us-setup/<token>", data = "<form>", rank = 2)]
async fn confirm(web: Web<'_>, token: &str, form: Submitted<Confirm>) -> Answer {
    let action = web.site.path_to(PathTo::UsSetup, [token]);
    let form = web.sent(form, |_| confirm_form(action.clone()))?;
    let caller = web.strong().await?;
    let held = match factor_setup::held(&web, &caller, Usages::FIRST, token).await {
        Ok(held) => held,
        Err(error) => return web.or_back(Err(error), Path::UsSetup, "factor.setup_over"),
    };
    let again = confirm_page(&web, &caller.user, &held.payload, action)?;
    let proven = factor_setup::prove(&web, &caller, held, &form.passcode, false).await;
    let done = proven.map_err(of_passcode).map(|proven| {
        let target = after_change(&web);
        Reply::done(target)
            .answer(MethodAddedAnswer {
                chosen_method: proven.kind.name(),
                phone: proven.phone.as_deref(),
            })
            .csrf()
            .flash("success", "us.setup_done")
    });
    or_again(done, || again)
}

#[post("/us-setup/<id>/remove", data = "<form>")]
async fn remove(web: Web<'_>, id: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "us_setup.remove")?;
    let caller = web.strong().await?;
    let done = take(&web, &caller, id).await.map(|()| removed(&web));
    web.or_back(done, Path::UsSetup, "us.last_one")
}

fn removed(web: &Web<'_>) -> Reply {
    let target = after_change(web);
    Reply::done(target).flash("success", "us.removed")
}

/// Where a change leads.
fn after_change(web: &Web<'_>) -> Target {
    let own = web.site.path(Path::UsSetup);
    let after = web.site.settings.after.us_setup.as_deref();
    page::after(web.site, after.unwrap_or(&own))
}

// Service.

/// What is wrong with the code, under the name that this form has for it.
fn of_passcode(error: Error) -> Error {
    match error {
        Error::Invalid(invalid) => invalid.renamed("code", "passcode").into(),
        error => error,
    }
}

async fn set_up(web: &Web<'_>, caller: &Strong, form: &UsSetup) -> Answer {
    let kind = factors::kind_of(&form.chosen_method, &available(web), "chosen_method")?;
    let wanted = Wanted {
        kind,
        usage: Usages::FIRST,
        name: "",
        phone: &form.phone,
    };
    let setup = factors::begin(&web.site.factors, wanted)?;
    let secret = factor_setup::begin(web, caller, &setup).await?;
    let action = web.site.path_to(PathTo::UsSetup, [secret.expose()]);
    Ok(
        confirm_page(web, &caller.user, &setup, action)?.answer(StateAnswer {
            state: secret.expose(),
        }),
    )
}

/// Removes a way to sign in, by its id or its kind, unless it is the last one.
async fn take(web: &Web<'_>, caller: &Strong, which: &str) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let factors = sign_in_methods(web, Some(user)).await?;
    let meant = factors.iter().find_map(|row| {
        let kind = row.kind().filter(|_| !by_browser(row))?;
        (row.id == which || kind.name() == which).then_some((row, kind))
    });
    let Some((way, kind)) = meant else {
        let unknown = Message::new("factor.unknown_method");
        return Err(Invalid::field("delete_method", unknown).into());
    };
    count_per_user(site, "factor_change", &user.id).await?;
    let notice = notices::factor_removed(&web.composer(), user, kind, &way.name)?;
    let (owner, uniquifier, id) = (user.id.clone(), user.uniquifier.clone(), way.id.clone());
    let sign_in_methods = SignInMethods::of(site);
    let removed = web
        .change(move |change| {
            // Of two removals at once the second finds what the first has left.
            users::hold(change, &owner, &uniquifier)?;
            if !sign_in_methods.without(change, &owner, &id)? {
                return Ok(false);
            }
            if rows::take_usage(change, &owner, &id, Usages::FIRST)?.is_none() {
                return Err(StoreError::Missing);
            }
            // A code on its way to that phone is none any more.
            tickets::end_of_purpose(change, &owner, Passcode::NAME)?;
            tickets::end_of_purpose(change, &owner, Again::NAME)?;
            change.mail(&notice)?;
            change.event(EventKind::FactorRemoved {
                user: owner.clone(),
                method: kind,
            });
            Ok(true)
        })
        .await
        .map_err(outdated)?;
    match removed {
        true => Ok(()),
        false => Err(Invalid::form(Message::new("us.last_one")).into()),
    }
}
