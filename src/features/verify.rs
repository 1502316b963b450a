//! Proving it again: `/verify`, for what wants a fresh sign-in.

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccountAnswer, Others, Submitted, UserAnswer, Web};
use crate::{
    error::{Denied, Error, Invalid},
    secrets::Password,
    signin::{
        admit::{Admission, Challenge},
        caller::{Caller, Mechanism},
        password::{Proof, prove_again},
        session,
    },
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Path},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "verify",
    is_on: |settings, _| settings.verify.enabled && settings.freshness.within.0.is_some(),
    routes: || routes![show, submit],
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form()}))],
    mails: &[],
    links: &[Link {
        name: "verify",
        path: Path::Verify,
        menu: MenuFor::Nobody,
    }],
};

const PAGE: Template = template!("verify/verify.html");

// Form.

#[derive(Debug, Default, Deserialize)]
struct Verify {
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: Option<String>,
}

impl Verify {
    fn view(&self, web: &Web<'_>) -> FormView {
        let mut fields = vec![
            Field::password("password", "field.password")
                .autocomplete("current-password")
                .autofocus(),
        ];
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        FormView::new("verify", web.site.path(Path::Verify), fields)
    }
}

// Routes.

/// Only a session can become fresh: a token or Basic proves itself anew with each request.
pub(crate) fn in_session<'a>(web: &'a Web<'_>) -> Result<&'a Caller, Error> {
    match web.caller.as_deref() {
        Some(caller) if caller.mechanism == Mechanism::Session => Ok(caller),
        Some(_) => Err(Denied::Mechanism.into()),
        None => Err(Denied::Anonymous.into()),
    }
}

#[get("/verify?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    let caller = in_session(&web)?;
    let others = web.own_others(&caller.user, next).await?;
    let next = next
        .and_then(|next| web.site.http.redirects.allowed(next))
        .map(String::from);
    let form = Verify {
        next,
        ..Verify::default()
    };
    Ok(proven_again_by(&web, &others, Reply::page(PAGE)).form(form.view(&web)))
}

/// By what else the user can confirm the sign-in.
#[derive(Serialize)]
struct ReauthenticationAnswer {
    /// Whether the account has a passkey that does.
    has_webauthn_verify_credential: bool,
    /// Whether there are providers that do.
    oauth_enabled: bool,
    /// The names of these providers.
    oauth_providers: Vec<String>,
}

/// The page with what else somebody can prove it by.
pub(crate) fn proven_again_by(web: &Web<'_>, others: &Others, page: Reply) -> Reply {
    let oauth_providers = web.site.social_to_verify();
    others.on(page).answer(ReauthenticationAnswer {
        has_webauthn_verify_credential: !others.passkey.is_null(),
        oauth_enabled: !oauth_providers.is_empty(),
        oauth_providers,
    })
}

#[post("/verify?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Verify>,
) -> Answer {
    let form = web.sent(form, |form| form.view(&web))?;
    let caller = in_session(&web)?;
    let target = web.next(
        form.next.as_deref().or(next),
        &web.site.settings.after.verify,
    );
    match verify(&web, caller, &form, include_auth_token.is_some()).await {
        Ok(Ok(user)) => Ok(Reply::done(target)
            .answer(UserAnswer { user })
            .csrf()
            .flash("success", "verify.done")),
        Ok(Err(challenge)) => {
            let next = form.next.as_deref().or(next);
            web.owes(caller, &challenge, next).await
        }
        Err(Error::Invalid(invalid)) => {
            let next = form.next.as_deref().or(next);
            let others = web.own_others(&caller.user, next).await?;
            Ok(others
                .on(Reply::page(PAGE))
                .form(form.view(&web))
                .invalid(invalid))
        }
        Err(error) => Err(error),
    }
}

// Service.

/// Makes the session fresh. Returns what is still required if the password is not enough.
async fn verify(
    web: &Web<'_>,
    caller: &Caller,
    form: &Verify,
    with_token: bool,
) -> Result<Result<AccountAnswer, Challenge>, Error> {
    let password =
        Password::parse(&form.password).map_err(|message| Invalid::field("password", message))?;
    match prove_again(
        web.site,
        &caller.user,
        &password,
        caller.methods,
        &web.client,
    )
    .await?
    {
        Proof::Right(Admission::In(admitted), buckets) => {
            session::renew(
                web.browser,
                web.site,
                &web.client,
                &admitted,
                caller.methods,
                &buckets,
            )
            .await?;
            web.user_payload(&admitted, with_token).await.map(Ok)
        }
        Proof::Right(Admission::Challenge(challenge), _) => Ok(Err(challenge)),
        Proof::Wrong(_) => Err(Invalid::field("password", Message::new("verify.wrong")).into()),
    }
}
