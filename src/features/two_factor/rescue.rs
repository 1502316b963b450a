//! Help for users who cannot use their second factor: `/tf-rescue`.

use super::{Submitted, Web};
use super::{answer::RescueAnswer, pending, without_pending};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    identity::target::Target,
    notify::{mail::Recipient, outbox::MailLimit},
    signin::{
        second::{self, SecondStep},
        ticket::ValidTicket,
    },
    templates::form::{Field, FormView},
    templates::{MailTemplate, Template, mail, template},
    types::{Message, Path},
    web::reply::{Answer, Reply, or_again},
};
use rocket::{get, post};
use serde::Deserialize;
use serde_json::json;

pub(super) const RESCUE: Template = template!("two_factor/rescue.html");
pub(super) const HELP: MailTemplate = mail!("two_factor", "help");

#[derive(Debug, Default, Deserialize)]
pub(super) struct Rescue {
    #[serde(default)]
    help_setup: String,
}

impl Rescue {
    /// The form with the choice made: what else there is to choose depends on the account.
    pub(super) fn chosen(&self, web: &Web<'_>) -> FormView {
        let fields = [Field::hidden("help_setup", &self.help_setup)];
        FormView::new("tf_rescue", web.site.path(Path::TfRescue), fields)
    }
}

#[get("/tf-rescue")]
pub(super) async fn show_rescue(web: Web<'_>) -> Answer {
    match pending(&web).await {
        Ok(held) => {
            let factors = rescue_ways(&web, &held).await?;
            Ok(rescue_page(&web, &factors, false))
        }
        Err(error) => without_pending(&web, Err(error)),
    }
}

/// What would help whoever cannot do the second step.
pub(super) async fn rescue_ways(
    web: &Web<'_>,
    held: &ValidTicket<SecondStep>,
) -> Result<Vec<&'static str>, Error> {
    let settings = &web.site.settings;
    let mut factors = Vec::new();
    // Whoever has to set a factor up first has lost none.
    if !held.payload.sets_up {
        let has_codes = settings.recovery_codes.enabled
            && second::recovery_codes_left(web.site, &held.user.id).await? > 0;
        if has_codes {
            factors.push("recovery_code");
        }
        if settings.two_factor.rescue_email {
            factors.push("email");
        }
    }
    if settings.two_factor.rescue_mail.is_some() {
        factors.push("help");
    }
    Ok(factors)
}

pub(super) fn rescue_page(web: &Web<'_>, factors: &[&str], sent: bool) -> Reply {
    let options = factors
        .iter()
        .map(|way| ((*way).to_string(), Message::new(format!("tf_rescue.{way}"))))
        .collect();
    let field = Field::choice("help_setup", "field.help_setup", options).autofocus();
    let action = web.site.path(Path::TfRescue);
    Reply::page(RESCUE)
        .with("sent", sent)
        .with("ways", factors)
        .answer(RescueAnswer { options: factors })
        .form(FormView::new("tf_rescue", action, [field]))
}

#[post("/tf-rescue", data = "<form>")]
pub(super) async fn rescue(web: Web<'_>, form: Submitted<Rescue>) -> Answer {
    let form = web.sent(form, |form| form.chosen(&web))?;
    let held = match pending(&web).await {
        Ok(held) => held,
        Err(error) => return without_pending(&web, Err(error)),
    };
    let factors = rescue_ways(&web, &held).await?;
    let way = form.help_setup.as_str();
    if !factors.contains(&way) {
        let wrong = Invalid::field("help_setup", Message::new("factor.unknown_method"));
        return Ok(rescue_page(&web, &factors, false).invalid(wrong));
    }
    let done = match way {
        "recovery_code" => {
            Ok(Reply::done(Target::local(&web.site.path(Path::RecoveryCode))).csrf())
        }
        "email" => second::rescue(web.site, &web.client, held)
            .await
            .map(|()| rescue_page(&web, &factors, true)),
        _ => help(&web, held).await.map(|()| {
            Reply::done(Target::local(&web.site.login_path()))
                .csrf()
                .flash("success", "tf.help_sent")
        }),
    };
    or_again(without_pending(&web, done), || {
        rescue_page(&web, &factors, false)
    })
}

/// Asks an administrator for help, by a mail that is limited like any that people can ask for.
pub(super) async fn help(web: &Web<'_>, held: ValidTicket<SecondStep>) -> Result<(), Error> {
    let site = web.site;
    let Some(to) = &site.settings.two_factor.rescue_mail else {
        return Err(Error::NotFound);
    };
    let user = &held.user;
    let own = json!({"account": {"email": user.email, "display": user.display()}});
    // Counted by who asks: one person's questions do not use up another's.
    let mail_limit = MailLimit::Device(user.id.to_string());
    let outgoing = web
        .composer()
        .compose(&Recipient::at(to), HELP, mail_limit, own)?;
    let id = user.id.clone();
    web.change(move |change| {
        // If it was asked a moment ago, that mail says it all.
        if change.mail(&outgoing)? {
            change.event(EventKind::SecondFactorHelp { user: id.clone() });
        }
        Ok(())
    })
    .await?;
    Ok(())
}
