//! The second step of sign-in: `/tf-validate`, `/tf-select`, `/tf-rescue`; setting factors up at
//! `/tf-setup`, and the browsers that are trusted at `/tf-devices`.

mod answer;
mod code;
mod devices;
mod finish;
mod rescue;
pub(in crate::features) mod setup;

use self::answer::{ChoiceAnswer, SecondStepAnswer, SelectAnswer, StepTokenAnswer};
pub(crate) use self::code::Code;
pub(in crate::features) use self::finish::finish;
use rocket::{get, post, routes};
use serde::Deserialize;
use serde_json::json;

use super::{Submitted, Web, recover};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::{self, RESCUE},
    identity::target::Target,
    signin::{
        admit::Challenge,
        limits::count_per_user,
        second::{self, Chosen, Resume, SecondStep, State},
        ticket::ValidTicket,
    },
    store::factors::FactorRow,
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
        page,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "two_factor",
    is_on: |settings, _| settings.two_factor.enabled,
    routes: || {
        let mut routes = routes![show, validate, show_select, select];
        routes.extend(routes![rescue::show_rescue, rescue::rescue]);
        routes.extend(setup::routes());
        routes.extend(devices::routes());
        routes
    },
    templates: &[
        setup::SETUP,
        setup::CONFIRM,
        VALIDATE,
        SELECT,
        rescue::RESCUE,
        devices::DEVICES,
    ],
    samples: || {
        let page = json!({
            "form": sample_form(), "disable_form": sample_form(), "resend_form": sample_form(),
            "method": "authenticator", "destination": "a***@example.com", "can_select": true,
            "methods": ["authenticator"],
            "from_login": false, "required": true, "sent": true, "ways": ["help"], "qr": "data:image/svg+xml;base64,",
            "key": "ABCD EFGH", "uri": "otpauth://totp/x", "issuer": "Site", "username": "ada",
            "factors": [{
                "id": "1", "kind": "authenticator", "name": "Phone", "created": "today",
                "created_iso": "2026-01-01T00:00:00Z", "last_used": "now",
                "last_used_iso": "2026-01-01T00:00:00Z", "remove_url": "/",
            }],
            "devices": [{
                "id": "1", "current": true, "agent": "Browser", "address": "::1", "created": "today",
                "created_iso": "2026-01-01T00:00:00Z", "last_used": "now",
                "last_used_iso": "2026-01-01T00:00:00Z", "revoke_url": "/",
            }],
        });
        let pages = [
            setup::SETUP,
            setup::CONFIRM,
            VALIDATE,
            SELECT,
            rescue::RESCUE,
            devices::DEVICES,
        ];
        pages.into_iter().map(|one| (one, page.clone())).collect()
    },
    mails: &[second::CODE, second::RESCUE, rescue::HELP],
    links: &[
        Link {
            name: "two_factor",
            path: Path::TfSetup,
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "trusted_devices",
            path: Path::TfDevices,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "tf_validate",
            path: Path::TfValidate,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "tf_select",
            path: Path::TfSelect,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "tf_rescue",
            path: Path::TfRescue,
            menu: MenuFor::Nobody,
        },
    ],
};

const VALIDATE: Template = template!("two_factor/validate.html");
const SELECT: Template = template!("two_factor/select.html");

// Forms.

#[derive(Debug, Default, Deserialize)]
struct Validate {
    #[serde(default)]
    code: Code,
    #[serde(default)]
    remember_device: Option<Checkbox>,
}

#[derive(Debug, Default, Deserialize)]
struct Select {
    #[serde(default)]
    which: String,
    #[serde(default)]
    next: Option<String>,
}

impl Select {
    /// The form with the choice made: what else there is to choose depends on the account.
    fn chosen(&self, web: &Web<'_>) -> FormView {
        let mut fields = vec![Field::hidden("which", &self.which)];
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        FormView::new("tf_select", web.site.path(Path::TfSelect), fields)
    }
}

// Routes.

/// What waits in this browser; without it there is no second step.
pub(in crate::features) async fn pending(web: &Web<'_>) -> Result<ValidTicket<SecondStep>, Error> {
    let held = second::held(web.browser, web.site, &web.presenter()).await?;
    held.ok_or(Error::NothingPending)
}

/// Without anything that waits a browser begins again, and a program gets 400.
pub(in crate::features) fn without_pending(web: &Web<'_>, answer: Answer) -> Answer {
    match answer {
        Err(Error::NothingPending) if !wants_json(web.request, web.site) => {
            let login = web.site.login_path();
            let settings = &web.site.settings;
            let view = settings.after.tf_error.as_deref();
            let target = page::after(web.site, view.unwrap_or(&login));
            Ok(match view.filter(|_| settings.spa.enabled) {
                Some(_) => Reply::done(target.with_query(&[("error", "tf.no_pending")])),
                None => Reply::done(target).flash("error", "tf.no_pending"),
            })
        }
        answer => answer,
    }
}

#[get("/tf-validate")]
async fn show(web: Web<'_>) -> Answer {
    let page = match pending(&web).await {
        Ok(held) => validate_page(&web, &held).await,
        Err(error) => Err(error),
    };
    without_pending(&web, page)
}

#[post("/tf-validate?<include_auth_token>", data = "<form>")]
async fn validate(
    web: Web<'_>,
    include_auth_token: Option<&str>,
    form: Submitted<Validate>,
) -> Answer {
    let form = web.sent(form, |_| validate_form(&web, web.caller.is_none()))?;
    let held = match pending(&web).await {
        Ok(held) => held,
        Err(error) => return without_pending(&web, Err(error)),
    };
    let done = match second::answer(web.site, &web.client, &held, &form.code.0).await {
        Ok(passed) => {
            let ticked = form.remember_device.is_some_and(|tick| tick.0);
            // What stands for a lost factor makes no browser a trusted one.
            let trust = ticked && held.payload.chosen != Some(Chosen::Rescue);
            finish(&web, held, passed, trust, include_auth_token.is_some()).await
        }
        Err(Error::Invalid(invalid)) => validate_page(&web, &held)
            .await
            .map(|page| page.invalid(invalid)),
        Err(error) => Err(error),
    };
    without_pending(&web, done)
}

/// `is_sign_in`: whether the code completes a sign-in, after which the browser can be trusted.
fn validate_form(web: &Web<'_>, is_sign_in: bool) -> FormView {
    let (site, settings) = (web.site, &web.site.settings.two_factor);
    let mut fields = vec![Field::code("code").autofocus()];
    if settings.trust_devices && is_sign_in {
        let until = site.now().after(settings.trust.get()).to_text();
        let hint = Message::new("field.remember_device_hint").with("until", until);
        let tick = Field::tick("remember_device", "field.remember_device", false);
        fields.push(tick.hint(hint));
    }
    FormView::new("tf_validate", site.path(Path::TfValidate), fields)
}

/// The page on which a code is typed, for what was chosen or is being set up.
async fn validate_page(web: &Web<'_>, held: &ValidTicket<SecondStep>) -> Answer {
    let site = web.site;
    if let Some(setup) = &held.payload.setup {
        return setup::confirm_page(web, &held.user, setup, &site.path(Path::TfValidate));
    }
    let factors = second::ways_of(site, held).await?;
    let email = held.user.email.as_str();
    let (kind, destination) = match &held.payload.chosen {
        Some(Chosen::Rescue) => (RESCUE, factors::of(RESCUE).describe(email, None)),
        Some(Chosen::Factor(id)) => {
            let row = factors.iter().find(|row| row.id == *id);
            let row = row.ok_or(Error::NothingPending)?;
            let kind = row.kind().ok_or(Error::NothingPending)?;
            let factor = factors::of(kind);
            if !factor.takes_code() {
                return Ok(Reply::done(Target::local(&site.path(factor.page()))));
            }
            (kind, factor.describe(email, row.phone.as_deref()))
        }
        None => {
            let state = match (factors.is_empty(), second::all_by_browser(&factors)) {
                (true, _) => State::Setup,
                (false, Some(kind)) => State::Ready(kind),
                (false, None) => State::Select,
            };
            return Ok(resume(web, held.user.id.clone(), state));
        }
    };
    let form = validate_form(web, held.payload.session.is_none());
    let mut page = Reply::page(VALIDATE)
        .with("method", kind.name())
        .with("passkey", web.second_passkeys(&factors))
        .with("can_select", factors.len() > 1)
        .answer(SecondStepAnswer::by(kind.name()));
    if let Some(destination) = destination {
        page = page.with("destination", destination);
    }
    if let (true, Some(Chosen::Factor(id))) = (kind.sends(), &held.payload.chosen) {
        let again = [Field::hidden("which", id)];
        let resend = FormView::new("tf_resend", site.path(Path::TfSelect), again);
        page = page.and_form("resend_form", resend);
    }
    Ok(page.form(form))
}

#[get("/tf-select?<next>")]
async fn show_select(web: Web<'_>, next: Option<&str>) -> Answer {
    let (factors, waits) = match pending(&web).await {
        Ok(held) => (second::ways_of(web.site, &held).await?, true),
        Err(Error::NothingPending) => match &web.caller {
            Some(caller) if web.owes_first(caller) => return web.first_factor(next),
            // A user who is signed in shows a second factor later than the first.
            Some(caller) => {
                let factors = second::factors_of(web.site, &caller.user).await?;
                (second::remaining_factors(factors, caller.methods), false)
            }
            None => return without_pending(&web, Err(Error::NothingPending)),
        },
        Err(error) => return Err(error),
    };
    if factors.is_empty() {
        // There is none to choose yet.
        return Ok(Reply::done(Target::local(&web.site.path(Path::TfSetup))));
    }
    let page = select_page(&web, &factors, next);
    Ok(match waits {
        true => page,
        // What a passkey would answer is begun by choosing one.
        false => page.with("passkey", ()),
    })
}

fn select_page(web: &Web<'_>, factors: &[FactorRow], next: Option<&str>) -> Reply {
    let kinds = ways_in_words(factors);
    let mut options: Vec<(String, Message)> = Vec::new();
    for row in factors {
        let Some(described) = factors::described(row) else {
            continue;
        };
        let kind = described.kind;
        match factors::of(kind).takes_code() {
            true => options.push((row.id.clone(), described.label())),
            // The browser finds out which of them is there.
            false if options.iter().any(|(value, _)| value == kind.way()) => {}
            false => options.push((kind.way().to_string(), kind.label())),
        }
    }
    let mut fields = vec![Field::choice("which", "field.which", options).autofocus()];
    if let Some(next) = next.and_then(|next| web.site.http.redirects.allowed(next)) {
        fields.push(Field::hidden("next", next.as_str()));
    }
    Reply::page(SELECT)
        .with("methods", &kinds)
        .with("passkey", web.second_passkeys(factors))
        .answer(SelectAnswer {
            tf_required: true,
            tf_select: true,
            tf_setup_methods: &kinds,
        })
        .form(FormView::new(
            "tf_select",
            web.site.path(Path::TfSelect),
            fields,
        ))
}

#[post("/tf-select", data = "<form>")]
async fn select(web: Web<'_>, form: Submitted<Select>) -> Answer {
    let form = web.sent(form, |form| form.chosen(&web))?;
    let again = |factors: &[FactorRow]| select_page(&web, factors, form.next.as_deref());
    let wrong = || Invalid::field("which", Message::new("factor.unknown_method"));
    let (held, factors) = match (pending(&web).await, web.caller.as_deref()) {
        (Ok(held), _) => {
            let factors = second::ways_of(web.site, &held).await?;
            (Some(held), factors)
        }
        (Err(Error::NothingPending), Some(caller)) if web.owes_first(caller) => {
            return web.first_factor(form.next.as_deref());
        }
        // A user who is signed in by a session shows a second factor later than the first.
        (Err(Error::NothingPending), Some(caller)) if caller.session.is_some() => {
            let factors = second::factors_of(web.site, &caller.user).await?;
            (None, second::remaining_factors(factors, caller.methods))
        }
        (Err(error), _) => return without_pending(&web, Err(error)),
    };
    // By id, or by kind as programs know it.
    let is_it = |row: &&FactorRow| {
        let named = row.kind().map(|kind| [kind.name(), kind.way()]);
        row.id == form.which || named.is_some_and(|names| names.contains(&form.which.as_str()))
    };
    let Some(way) = factors.iter().find(is_it) else {
        return Ok(again(&factors).invalid(wrong()));
    };
    let held = match held {
        Some(held) => held,
        None => step_up(&web, form.next.as_deref()).await?,
    };
    let user = held.user.id.clone();
    let done = match second::choose(web.site, &web.client, held, way).await {
        Ok(state) => Ok(resume(&web, user, state)),
        Err(error) => Err(error),
    };
    or_again(without_pending(&web, done), || again(&factors))
}

/// Begins a second step for somebody who is signed in by a session.
async fn step_up(web: &Web<'_>, next: Option<&str>) -> Result<ValidTicket<SecondStep>, Error> {
    let caller = web.signed_in()?;
    count_per_user(web.site, "step_up", &caller.user.id).await?;
    let wish = Resume {
        session: caller.session.clone(),
        next: web.judged(next),
        ..Resume::default()
    };
    second::begin_step_up(web.browser, web.site, &web.client, &caller, wish).await
}

/// What somebody is told whose sign-in goes into its second step.
pub(crate) async fn begin(web: &Web<'_>, challenge: Challenge, wish: Resume) -> Answer {
    let user = challenge.user.id.clone();
    let kinds = ways_in_words(&challenge.factors);
    let state = second::begin(web.browser, web.site, &web.client, challenge, wish).await?;
    let reply = resume(web, user, state);
    Ok(match state {
        State::Select => reply.answer(ChoiceAnswer {
            tf_setup_methods: &kinds,
        }),
        State::Ready(_) | State::Setup => reply,
    })
}

/// By what a second step can be answered, as programs know it: each kind once.
fn ways_in_words(factors: &[FactorRow]) -> Vec<&'static str> {
    let mut words: Vec<&str> = Vec::new();
    for kind in factors.iter().filter_map(FactorRow::kind) {
        if !words.contains(&kind.way()) {
            words.push(kind.way());
        }
    }
    words
}

fn resume(web: &Web<'_>, user: crate::types::UserId, state: State) -> Reply {
    let site = web.site;
    let to = |path: Path| Reply::done(Target::local(&site.path(path)));
    let reply = match state {
        State::Ready(kind) => {
            if kind.sends() {
                let sent = EventKind::SecondFactorCodeSent { user, method: kind };
                site.event(&web.client.client, sent);
            }
            let factor = factors::of(kind);
            let signin = (!factor.takes_code()).then(|| site.path(factor.page()));
            to(factor.page()).answer(SecondStepAnswer::by(kind.way()).at(signin))
        }
        State::Select => to(Path::TfSelect).answer(SecondStepAnswer::to_choose()),
        State::Setup => to(Path::TfSetup).answer(SecondStepAnswer::to_set_up()),
    };
    match second::token_for_program(web.browser) {
        Some(second_step_token) => reply.csrf().answer(StepTokenAnswer { second_step_token }),
        None => reply.csrf(),
    }
}
