//! Recovery codes: made at `/mf-recovery-codes`, used at `/mf-recovery` in the place of a second factor.

use data_encoding::BASE64URL_NOPAD;
use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Submitted, Web,
    two_factor::{self, Code},
};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    guards::strong::Strong,
    notify::notices,
    secrets::{Purpose, Secret},
    signin::{limits::count_per_user, outdated, second},
    store::{
        factors::{self, NewCode},
        users,
    },
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Path, Usages},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::Empty,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "recovery_codes",
    is_on: |settings, _| settings.two_factor.enabled && settings.recovery_codes.enabled,
    routes: || routes![show, generate, show_recover, recover],
    templates: &[MANAGE, RECOVER],
    samples: || {
        let page = json!({
            "form": sample_form(), "left": 3, "codes": ["ABCD-EFGH-JKMN"],
            "download": "data:text/plain;charset=utf-8,ABCD",
        });
        vec![(MANAGE, page.clone()), (RECOVER, page)]
    },
    mails: &[],
    links: &[
        Link {
            name: "recovery_codes",
            path: Path::RecoveryCodes,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "mf_recovery",
            path: Path::RecoveryCode,
            menu: MenuFor::Nobody,
        },
    ],
};

const MANAGE: Template = template!("recovery_codes/manage.html");
const RECOVER: Template = template!("recovery_codes/recover.html");

// Form.

#[derive(Debug, Default, Deserialize)]
struct Recover {
    #[serde(default)]
    code: Code,
}

/// The recovery codes of the account.
#[derive(Serialize)]
struct RecoveryCodesAnswer<'a> {
    /// How many are left.
    left: usize,
    /// The codes, when they are made; never again.
    recovery_codes: &'a [&'a str],
}

fn manage_page(web: &Web<'_>, left: usize) -> Reply {
    let action = web.site.path(Path::RecoveryCodes);
    // They are shown when they are made, and never again.
    Reply::page(MANAGE)
        .with("left", left)
        .answer(RecoveryCodesAnswer {
            left,
            recovery_codes: &[],
        })
        .form(FormView::new("mf_recovery_codes", action, []))
}

fn recover_page(web: &Web<'_>) -> Reply {
    let field = Field::text("code", "field.recovery_code")
        .autocomplete("off")
        .autofocus();
    let action = web.site.path(Path::RecoveryCode);
    Reply::page(RECOVER).form(FormView::new("mf_recovery", action, [field]))
}

// Routes.

#[get("/mf-recovery-codes")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.strong().await?;
    let left = second::recovery_codes_left(web.site, &caller.user.id).await?;
    Ok(manage_page(&web, left))
}

#[post("/mf-recovery-codes", data = "<form>")]
async fn generate(web: Web<'_>, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "mf_recovery_codes.submit")?;
    let caller = web.strong().await?;
    let codes = match make(&web, &caller).await {
        Ok(codes) => codes,
        Err(Error::Invalid(invalid)) => return Ok(manage_page(&web, 0).invalid(invalid)),
        Err(error) => return Err(error),
    };
    let shown: Vec<&str> = codes.iter().map(|code| code.expose().as_str()).collect();
    let text = shown.join("%0A");
    Ok(manage_page(&web, shown.len())
        .with("codes", &shown)
        .with(
            "download",
            format!("data:text/plain;charset=utf-8,{text}%0A"),
        )
        .answer(RecoveryCodesAnswer {
            left: shown.len(),
            recovery_codes: &shown,
        }))
}

#[get("/mf-recovery")]
async fn show_recover(web: Web<'_>) -> Answer {
    let page = two_factor::pending(&web).await.map(|_| recover_page(&web));
    two_factor::without_pending(&web, page)
}

#[post("/mf-recovery?<include_auth_token>", data = "<form>")]
async fn recover(
    web: Web<'_>,
    include_auth_token: Option<&str>,
    form: Submitted<Recover>,
) -> Answer {
    let form = web.sent(form, |_| recover_page(&web))?;
    let held = match two_factor::pending(&web).await {
        Ok(held) => held,
        Err(error) => return two_factor::without_pending(&web, Err(error)),
    };
    let (site, user) = (web.site, held.user.clone());
    let composer = web.composer();
    let notice = |left| notices::recovery_code_used(&composer, &user, left);
    let typed = form.code.0.as_str();
    let answer = second::answer_by_recovery_code(site, &web.client, &held, typed, notice).await;
    let done = match answer {
        Ok(passed) => {
            let left = second::recovery_codes_left(site, &user.id).await?;
            let used = EventKind::RecoveryCodeUsed {
                user: user.id.clone(),
                left,
            };
            site.event(&web.client.client, used);
            // A code that stands for what was lost makes no browser a trusted one.
            let with_token = include_auth_token.is_some();
            two_factor::finish(&web, held, passed, false, with_token).await
        }
        Err(error) => Err(error),
    };
    or_again(two_factor::without_pending(&web, done), || {
        recover_page(&web)
    })
}

// Service.

/// Makes new codes, which end the former ones.
async fn make(web: &Web<'_>, caller: &Strong) -> Result<Vec<Secret<String>>, Error> {
    let (site, user) = (web.site, &caller.user);
    count_per_user(site, "recovery_codes", &user.id).await?;
    let count = site.settings.recovery_codes.count;
    let codes = site
        .factors
        .recovery_codes
        .generate(count)
        .map_err(|error| Error::Broken(error.0))?;
    let now = site.now();
    let rows: Vec<NewCode> = codes
        .iter()
        .map(|code| {
            let plain = site.factors.recovery_codes.normalise(code.expose());
            let parts = second::recovery_parts(user, &plain);
            NewCode {
                id: uuid::Uuid::now_v7().to_string(),
                user_id: user.id.clone(),
                code_hash: BASE64URL_NOPAD.encode(&site.keys.mac(Purpose::Codes, &parts)),
                created_at: now,
            }
        })
        .collect();
    let notice = notices::recovery_codes_new(&web.composer(), user)?;
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let made = web
        .change(move |change| {
            users::hold(change, &id, &uniquifier)?;
            if factors::serving(change, &id, Usages::SECOND)?.is_empty() {
                return Ok(false);
            }
            factors::replace_codes(change, &id, &rows)?;
            change.mail(&notice)?;
            change.event(EventKind::RecoveryCodesGenerated { user: id.clone() });
            Ok(true)
        })
        .await
        .map_err(outdated)?;
    match made {
        true => Ok(codes),
        // There is nothing that they would stand for.
        false => Err(Invalid::form(Message::new("mf.none")).into()),
    }
}
