//! Proving it is you by an account elsewhere: only the very one that is linked will do.

use std::time::Duration;

use rocket::{
    Route,
    form::{Errors, Form},
    get, post, routes,
};
use serde::{Deserialize, Serialize};

use super::{
    super::{Submitted, UserAnswer, Web, verify::in_session},
    Back, FormPost, Return, event_rejected, key_of, mark, or_back, passed_on, profile, provider,
    redirect_to_provider, rejected, returned,
};
use crate::{
    error::Error,
    features::factor_setup::session_of,
    identity::target::Target,
    signin::{
        NextStep,
        admit::{Admission, admit},
        caller::Caller,
        limits::{Buckets, refuse_if_locked},
        session,
        ticket::Purpose,
    },
    social::SocialProvider,
    store::social,
    templates::form::{Field, FormView},
    types::{Method, Methods, PathTo, Timestamp},
    web::{
        json::wants_json,
        reply::{Answer, Reply},
    },
};

pub(super) fn routes() -> Vec<Route> {
    routes![start, response, posted]
}

/// The ticket of somebody who went to prove it again.
pub(super) enum OauthVerify {}

/// What goes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    provider: String,
    next: Option<Target>,
    at: Timestamp,
}

impl Purpose for OauthVerify {
    const NAME: &'static str = "oauth_verify";
    type Payload = Asked;
}

/// How far the clock of a provider may be behind.
const LEEWAY: Duration = Duration::from_secs(60);

// Form.

#[derive(Debug, Default, Deserialize)]
struct Start {
    #[serde(default)]
    next: Option<String>,
}

impl Start {
    fn view(&self, web: &Web<'_>, provider: &str) -> FormView {
        let next = self.next.as_ref().map(|next| Field::hidden("next", next));
        let action = web.site.path_to(PathTo::OauthVerifyStart, [provider]);
        FormView::new("oauth_verify", action, next)
    }
}

// Routes.

#[post("/login/oauth-verify-start/<name>?<next>", data = "<form>")]
async fn start(web: Web<'_>, name: &str, next: Option<&str>, form: Submitted<Start>) -> Answer {
    let form = web.sent(form, |form| form.view(&web, name))?;
    let provider = provider(&web, name)?;
    let caller = in_session(&web)?;
    if !web.site.settings.social.verify {
        return Err(Error::NotFound);
    }
    let next = form.next.as_deref().or(next);
    let asked = Asked {
        provider: provider.name().into(),
        next: web.judged(next),
        at: web.site.now(),
    };
    let (session, caller) = (session_of(caller)?, Some(caller));
    let done = redirect_to_provider::<OauthVerify>(
        &web,
        provider,
        Return::Verify,
        session,
        caller,
        &asked,
    )
    .await;
    or_back(
        &web,
        provider.name(),
        done,
        &web.site.verify_path(),
        asked.next.as_deref(),
    )
}

#[get("/login/oauth-verify-response/<name>?<back..>")]
async fn response(web: Web<'_>, name: &str, back: Back<'_>) -> Answer {
    mark(web.request);
    let provider = provider(&web, name)?;
    let mut next = None;
    let done = match in_session(&web) {
        Ok(caller) => again(&web, caller, provider, &back, &mut next).await,
        Err(error) => Err(error),
    };
    or_back(
        &web,
        provider.name(),
        done,
        &web.site.verify_path(),
        next.as_deref(),
    )
}

#[post("/login/oauth-verify-response/<name>", data = "<form>")]
async fn posted(web: Web<'_>, name: &str, form: Result<Form<FormPost<'_>>, Errors<'_>>) -> Answer {
    passed_on(&web, name, Return::Verify, form)
}

// Service.

async fn again(
    web: &Web<'_>,
    caller: &Caller,
    provider: &dyn SocialProvider,
    back: &Back<'_>,
    next: &mut Option<Target>,
) -> Answer {
    let (site, user) = (web.site, &caller.user);
    let session = session_of(caller)?;
    let asked = returned::<OauthVerify>(web, back, Some(&session))
        .await?
        .filter(|spent| spent.user.as_ref() == Some(&user.id))
        .map(|spent| spent.payload)
        .filter(|asked| asked.provider == provider.name())
        .ok_or_else(|| rejected("social.expired"))?;
    *next = asked.next;
    let came = profile(web, provider, back, Return::Verify).await?;
    let key = key_of(provider, &came);
    let owner = site
        .store
        .read(move |conn| social::owner_of(conn, &key))
        .await?;
    if owner.is_none_or(|(_, owner)| owner.id != user.id) {
        event_rejected(web, Some(user.id.clone()));
        return Err(rejected("social.not_yours"));
    }
    // Where the provider says when it last asked, it must have been for this.
    let asked_there = came.authenticated_at;
    if asked_there.is_some_and(|at| at < asked.at.before(LEEWAY)) {
        event_rejected(web, Some(user.id.clone()));
        return Err(rejected("social.not_again"));
    }
    let buckets = Buckets::of_user(site, user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let methods = caller.methods.union(Methods::of(Method::Oauth));
    let admitted = match admit(site, user.clone(), methods).await? {
        Admission::In(admitted) => admitted,
        Admission::Challenge(challenge)
            if challenge.step == NextStep::NewPassword && !wants_json(web.request, site) =>
        {
            let mut way = Target::local(&site.login_path());
            if let Some(next) = next.as_deref() {
                way = way.with_query(&[("next", next)]);
            }
            return Ok(Reply::done(way));
        }
        Admission::Challenge(challenge) => {
            return web.owes(caller, &challenge, next.as_deref()).await;
        }
    };
    session::renew(
        web.browser,
        site,
        &web.client,
        &admitted,
        caller.methods,
        &buckets,
    )
    .await?;
    let account = web.user_payload(&admitted, false).await?;
    let target = web.next(next.as_deref(), &site.settings.after.verify);
    Ok(Reply::done(target)
        .answer(UserAnswer { user: account })
        .csrf()
        .flash("success", "social.verified")
        .spa("verify", &user.email))
}
