//! A forgotten username: `/recover-username` mails it to its owner.

use rocket::{get, post, routes};
use serde_json::json;

use super::{
    Submitted, Web,
    mailed::{self, AskForm},
};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    identity::IdentityKind,
    settings::Settings,
    templates::{
        MailTemplate, Template,
        form::{Field, FormView},
        mail, template,
    },
    types::{Message, Path},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "recover_username",
    is_on: |settings, _| settings.recover_username.enabled && has_usernames(settings),
    routes: || routes![show, ask],
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form(), "sent": true}))],
    mails: &[MAIL],
    links: &[Link {
        name: "recover_username",
        path: Path::RecoverUsername,
        menu: MenuFor::Nobody,
    }],
};

const PAGE: Template = template!("recover_username/recover_username.html");
const MAIL: MailTemplate = mail!("recover_username", "recover_username");

/// Whether accounts of this site can have usernames.
pub(crate) fn has_usernames(settings: &Settings) -> bool {
    settings.identities.contains(&IdentityKind::Username)
}

// Form.

fn page(web: &Web<'_>, form: &AskForm, sent: bool) -> Reply {
    let field = Field::email("email", "field.email")
        .value(&form.email)
        .autocomplete("email")
        .autofocus();
    let action = web.site.path(Path::RecoverUsername);
    Reply::page(PAGE)
        .with("sent", sent)
        .form(FormView::new("recover_username", action, [field]))
}

// Routes.

#[get("/recover-username")]
fn show(web: Web<'_>) -> Answer {
    Ok(page(&web, &AskForm::default(), false))
}

#[post("/recover-username", data = "<form>")]
async fn ask(web: Web<'_>, form: Submitted<AskForm>) -> Answer {
    let form = web.sent(form, |form| page(&web, form, false))?;
    let done = send(&web, &form.email).await;
    or_again(done.map(|()| page(&web, &form, true)), || {
        page(&web, &form, false)
    })
}

// Service.

async fn send(web: &Web<'_>, email: &str) -> Result<(), Error> {
    let asked = mailed::asked(web, email, |_| None).await?;
    let username = asked.user.as_ref().and_then(|user| user.username.clone());
    // Otherwise the mail says it, which only the owner reads.
    if asked.user.is_some() && username.is_none() && !web.site.settings.generic_answers {
        return Err(Invalid::field("email", Message::new("recover_username.none")).into());
    }
    let which = MAIL;
    let told = |user| EventKind::UsernameRecoverySent { user };
    mailed::mail(web, &asked, which, json!({"username": username}), told).await
}
