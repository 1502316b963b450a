//! Setting second factors up, and turning them off: `/tf-setup`.

use rocket::{Route, get, post, routes};
use serde::Deserialize;

use super::{
    super::{Submitted, Web},
    Code,
    answer::{
        AuthenticatorAnswer, ConfirmAnswer, FactorAddedAnswer, FactorAnswer, SetupAnswer,
        SetupStateAnswer,
    },
    pending, without_pending,
};
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    factors::{self, Setup, Wanted},
    features::factor_setup::{self, Proven},
    guards::strong::Strong,
    identity::target::Target,
    notify::notices,
    signin::{limits::count_per_user, outdated, second},
    store::{
        StoreError, User, devices,
        factors::{self as rows, FactorRow},
        tickets, users,
    },
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{Message, Path, PathTo, Usages},
    web::{
        input::Empty,
        json::wants_json,
        page,
        reply::{Answer, Reply, or_again},
    },
};

pub(super) const SETUP: Template = template!("two_factor/setup.html");
pub(super) const CONFIRM: Template = template!("two_factor/confirm.html");

pub(super) fn routes() -> Vec<Route> {
    routes![show, submit, confirm, remove]
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct TfSetup {
    #[serde(default)]
    setup: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Confirm {
    #[serde(default)]
    code: Code,
}

fn setup_form(web: &Web<'_>, typed: &TfSetup) -> FormView {
    let methods = &web.site.settings.two_factor.methods;
    let options = methods
        .iter()
        .map(|kind| (kind.name().to_string(), kind.label()))
        .collect();
    let mut fields = vec![Field::choice("setup", "field.setup", options).value(&typed.setup)];
    if factors::takes_phone(methods) {
        fields.push(
            Field::phone("phone", "field.phone_sms")
                .value(&typed.phone)
                .conditional()
                .hint(Message::new("field.phone_hint")),
        );
    }
    fields.push(
        Field::text("name", "field.factor_name")
            .value(&typed.name)
            .optional()
            .hint(Message::new("field.factor_name_hint")),
    );
    FormView::new("tf_setup", web.site.path(Path::TfSetup), fields)
}

fn disable_form(web: &Web<'_>) -> FormView {
    let fields = [Field::hidden("setup", "disable")];
    FormView::new("tf_disable", web.site.path(Path::TfSetup), fields)
}

/// Returns the one of the two forms of `/tf-setup` that was sent.
fn again_form(web: &Web<'_>, typed: &TfSetup) -> FormView {
    match typed.setup.trim() {
        "disable" => disable_form(web),
        _ => setup_form(web, typed),
    }
}

/// The page for somebody who is signed in.
async fn own_page(web: &Web<'_>, caller: &Strong, typed: &TfSetup) -> Result<Reply, Error> {
    let site = web.site;
    let rows = second::factors_of(site, &caller.user).await?;
    let required = is_required(web, &caller.user).await?;
    let factors: Vec<FactorAnswer> = rows
        .iter()
        .filter_map(|row| {
            let described = factors::described(row)?;
            Some(FactorAnswer {
                id: row.id.clone(),
                kind: described.kind.name(),
                name: described.name.to_string(),
                detail: described.detail,
                created: row.created_at.to_text(),
                created_iso: row.created_at.rfc3339(),
                last_used: row.last_used_at.map(|at| at.to_text()),
                last_used_iso: row.last_used_at.map(|at| at.rfc3339()),
                remove_url: site.path_to(PathTo::TfSetupRemove, [&row.id]),
            })
        })
        .collect();
    let mut available: Vec<&str> = site
        .settings
        .two_factor
        .methods
        .iter()
        .map(|kind| kind.name())
        .collect();
    if !required {
        available.push("disable");
    }
    let first = rows.first().and_then(|row| row.kind());
    let first = first.map(|kind| kind.name());
    let phone = rows.iter().find_map(|row| row.phone.clone());
    let mut reply = Reply::page(SETUP)
        .with("from_login", false)
        .with("required", required)
        .with("factors", &factors)
        .answer(SetupAnswer {
            tf_required: required,
            tf_state: None,
            tf_available_methods: available,
            tf_method: first,
            tf_primary_method: first,
            tf_phone_number: phone,
            tf_factors: Some(&factors),
        })
        .form(setup_form(web, typed));
    if !required && !rows.is_empty() {
        reply = reply.and_form("disable_form", disable_form(web));
    }
    Ok(reply)
}

/// The page for somebody whose sign-in wants a factor that is not there yet.
fn login_page(web: &Web<'_>, typed: &TfSetup) -> Reply {
    let methods: Vec<&str> = web
        .site
        .settings
        .two_factor
        .methods
        .iter()
        .map(|kind| kind.name())
        .collect();
    Reply::page(SETUP)
        .with("from_login", true)
        .with("required", true)
        .with("factors", [""; 0])
        .answer(SetupAnswer {
            tf_required: true,
            tf_state: Some("setup_from_login"),
            tf_available_methods: methods,
            tf_method: None,
            tf_primary_method: None,
            tf_phone_number: None,
            tf_factors: None,
        })
        .form(setup_form(web, typed))
}

/// The page on which the first code of a factor is typed.
pub(super) fn confirm_page(web: &Web<'_>, user: &User, setup: &Setup, action: &str) -> Answer {
    let kind = setup.kind;
    let mut reply = Reply::page(CONFIRM)
        .own()
        .with("method", kind.name())
        .answer(ConfirmAnswer {
            tf_method: kind.name(),
            tf_primary_method: kind.name(),
            tf_phone: setup.phone.as_deref(),
        });
    let factor = factors::of(kind);
    if let Some(shown) = factor.shown(&web.site.factors, setup, user)? {
        reply = reply
            .answer(AuthenticatorAnswer::of(&shown))
            .with("qr", shown.qr)
            .with("key", shown.grouped)
            .with("uri", shown.uri)
            .with("issuer", shown.issuer)
            .with("username", shown.username);
    }
    if let Some(destination) = factor.describe(&user.email, setup.phone.as_deref()) {
        reply = reply.with("destination", destination);
    }
    Ok(reply.form(confirm_form(action)))
}

fn confirm_form(action: &str) -> FormView {
    let fields = [Field::code("code").autofocus()];
    FormView::new("tf_confirm", action.to_string(), fields)
}

// Routes.

#[get("/tf-setup")]
async fn show(web: Web<'_>) -> Answer {
    if web.caller.is_none() {
        let page = pending(&web).await.and_then(|held| only_setup(&web, held));
        return match page {
            // A browser that came by a link signs in, and comes back.
            Err(Error::NothingPending) if !wants_json(web.request, web.site) => {
                Err(Denied::Anonymous.into())
            }
            page => page,
        };
    }
    let caller = web.strong().await?;
    own_page(&web, &caller, &TfSetup::default()).await
}

fn only_setup(
    web: &Web<'_>,
    held: crate::signin::ticket::ValidTicket<second::SecondStep>,
) -> Answer {
    // Whoever has a factor shows it: no new one can be put in its place.
    match held.payload.sets_up {
        true => Ok(login_page(web, &TfSetup::default())),
        false => Err(Error::NothingPending),
    }
}

#[post("/tf-setup", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<TfSetup>) -> Answer {
    let form = web.sent(form, |form| again_form(&web, form))?;
    if web.caller.is_none() {
        let done = from_login(&web, &form).await;
        return or_again(without_pending(&web, done), || login_page(&web, &form));
    }
    let caller = web.strong().await?;
    let again = own_page(&web, &caller, &form).await?;
    let done = match form.setup.trim() {
        "disable" => turn_off(&web, &caller).await,
        _ => set_up(&web, &caller, &form).await,
    };
    or_again(done, || again)
}

#[post("/tf-setup/<token>", data = "<form>", rank = 2)]
async fn confirm(web: Web<'_>, token: &str, form: Submitted<Confirm>) -> Answer {
    let action = web.site.path_to(PathTo::TfSetup, [token]);
    let form = web.sent(form, |_| confirm_form(&action))?;
    let caller = web.strong().await?;
    let held = factor_setup::held(&web, &caller, Usages::SECOND, token).await;
    let held = match held {
        Ok(held) => held,
        Err(error) => return web.or_back(Err(error), Path::TfSetup, "factor.setup_over"),
    };
    let again = confirm_page(&web, &caller.user, &held.payload, &action)?;
    let first = second::factors_of(web.site, &caller.user).await?.is_empty();
    let done = match factor_setup::prove(&web, &caller, held, &form.code.0, first).await {
        Ok(proven) => Ok(added(&web, &proven, first)),
        Err(error) => Err(error),
    };
    or_again(done, || again)
}

fn added(web: &Web<'_>, proven: &Proven, first: bool) -> Reply {
    let target = after_change(web);
    let done = match first && web.site.settings.recovery_codes.enabled {
        true => "factor.added_first",
        false => "factor.added",
    };
    Reply::done(target)
        .answer(FactorAddedAnswer {
            tf_method: proven.kind.name(),
            tf_primary_method: proven.kind.name(),
            tf_phone: proven.phone.as_deref(),
        })
        .csrf()
        .flash("success", done)
}

#[post("/tf-setup/<id>/remove", data = "<form>")]
async fn remove(web: Web<'_>, id: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "tf_setup.remove")?;
    let caller = web.strong().await?;
    let done = remove_one(&web, &caller, id).await.map(|()| {
        let target = after_change(&web);
        Reply::done(target).flash("success", "factor.removed")
    });
    web.or_back(done, Path::TfSetup, "factor.last_one")
}

/// Where a change leads.
fn after_change(web: &Web<'_>) -> Target {
    let own = web.site.path(Path::TfSetup);
    let after = web.site.settings.after.tf_setup.as_deref();
    page::after(web.site, after.unwrap_or(&own))
}

// Service.

/// Whether the account does not come in without a second factor.
pub(in crate::features) async fn is_required(web: &Web<'_>, user: &User) -> Result<bool, Error> {
    let Some(policy) = &web.site.factors.mfa_policy else {
        return Ok(false);
    };
    let grants = web.site.store.grants(&user.id).await?;
    Ok(policy.requires(user, &grants))
}

async fn from_login(web: &Web<'_>, form: &TfSetup) -> Answer {
    let held = pending(web).await?;
    if !held.payload.sets_up {
        return Err(Error::NothingPending);
    }
    let setup = wanted(web, form)?;
    second::begin_setup(web.site, &web.client, &held, setup.clone()).await?;
    let action = web.site.path(Path::TfValidate);
    Ok(confirm_page(web, &held.user, &setup, &action)?
        .answer(SetupStateAnswer::awaiting_code(None)))
}

fn wanted(web: &Web<'_>, form: &TfSetup) -> Result<Setup, Error> {
    let enabled = &web.site.settings.two_factor.methods;
    let kind = factors::kind_of(&form.setup, enabled, "setup")?;
    factors::begin(
        &web.site.factors,
        Wanted {
            kind,
            usage: Usages::SECOND,
            name: &form.name,
            phone: &form.phone,
        },
    )
}

async fn set_up(web: &Web<'_>, caller: &Strong, form: &TfSetup) -> Answer {
    let setup = wanted(web, form)?;
    let secret = factor_setup::begin(web, caller, &setup).await?;
    let action = web.site.path_to(PathTo::TfSetup, [secret.expose()]);
    Ok(confirm_page(web, &caller.user, &setup, &action)?
        .answer(SetupStateAnswer::awaiting_code(Some(secret.expose()))))
}

/// Removes one factor from the second step, unless one is required and it is the last.
async fn remove_one(web: &Web<'_>, caller: &Strong, id: &str) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let factors = second::factors_of(site, user).await?;
    let row = factors.iter().find(|row| row.id == id);
    let row = row.ok_or(Error::NotFound)?;
    let kind = row.kind().ok_or(Error::NotFound)?;
    count_per_user(site, "factor_change", &user.id).await?;
    let required = is_required(web, user).await?;
    let notice = notices::factor_removed(&web.composer(), user, kind, &row.name)?;
    let (owner, uniquifier, id) = (user.id.clone(), user.uniquifier.clone(), id.to_string());
    let removed = web
        .change(move |change| {
            // Of two removals at once the second finds what the first has left.
            users::hold(change, &owner, &uniquifier)?;
            let last = rows::serving(change, &owner, Usages::SECOND)?.len() == 1;
            if last && required {
                return Ok(false);
            }
            if rows::take_usage(change, &owner, &id, Usages::SECOND)?.is_none() {
                return Err(StoreError::Missing);
            }
            devices::delete_all_of(change, &owner)?;
            tickets::end_of_purpose(change, &owner, factor_setup::NAME)?;
            if last {
                rows::replace_codes(change, &owner, &[])?;
            }
            change.mail(&notice)?;
            let user = owner.clone();
            change.event(EventKind::FactorRemoved { user, method: kind });
            if last {
                let user = owner.clone();
                change.event(EventKind::SecondFactorOff { user });
            }
            Ok(true)
        })
        .await
        .map_err(outdated)?;
    match removed {
        true => Ok(()),
        false => Err(Invalid::form(Message::new("factor.last_one")).into()),
    }
}

/// Removes every second factor, with recovery codes and trusted devices.
async fn turn_off(web: &Web<'_>, caller: &Strong) -> Answer {
    let (site, user) = (web.site, &caller.user);
    if is_required(web, user).await? {
        return Err(Invalid::field("setup", Message::new("factor.last_one")).into());
    }
    count_per_user(site, "factor_change", &user.id).await?;
    let notice = notices::two_factor_off(&web.composer(), user)?;
    let (owner, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let turned_off = web
        .change(move |change| {
            users::hold(change, &owner, &uniquifier)?;
            let removed = rows::serving(change, &owner, Usages::SECOND)?;
            if removed.is_empty() {
                return Ok(false);
            }
            for row in &removed {
                rows::take_usage(change, &owner, &row.id, Usages::SECOND)?;
            }
            rows::replace_codes(change, &owner, &[])?;
            devices::delete_all_of(change, &owner)?;
            tickets::end_of_purpose(change, &owner, factor_setup::NAME)?;
            change.mail(&notice)?;
            for method in removed.iter().filter_map(FactorRow::kind) {
                let user = owner.clone();
                change.event(EventKind::FactorRemoved { user, method });
            }
            let user = owner.clone();
            change.event(EventKind::SecondFactorOff { user });
            Ok(true)
        })
        .await
        .map_err(outdated)?;
    if !turned_off {
        return Err(Invalid::field("setup", Message::new("factor.none")).into());
    }
    let target = after_change(web);
    Ok(Reply::done(target).flash("success", "factor.off"))
}
