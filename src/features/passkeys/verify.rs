//! Proving it is you by a passkey: `/wan-verify`.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};

use super::{
    super::{AccountAnswer, Submitted, UserAnswer, Web, verify::in_session},
    Expected, Finish, asked, ceremonies, expired, keep_challenge, offer, or_back, proven, refused,
    rows, settle, take_effect, verify_shown,
};
use crate::{
    error::{Error, Invalid},
    factors::passkey::{Asserting, descriptor},
    features::factor_setup::session_of,
    identity::target::Target,
    signin::{
        admit::{Admission, admit_by_factor},
        caller::Caller,
        limits::{Buckets, refuse_if_locked},
        outdated, session,
        ticket::{Purpose, challenge},
    },
    store::users,
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{Message, Path, Usages},
    web::reply::{Answer, Reply, or_again},
};

pub(super) const VERIFY: Template = template!("passkeys/verify.html");

pub(super) fn routes() -> Vec<Route> {
    routes![show, ask, finish]
}

/// The ticket of a challenge.
pub(crate) enum WanVerify {}

/// What it is answered by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    begun: Asserting,
    next: Option<Target>,
}

impl Purpose for WanVerify {
    const NAME: &'static str = "wan_verify";
    type Payload = Challenge;
}

// Form.

#[derive(Debug, Default, Deserialize)]
struct Ask {
    #[serde(default)]
    next: Option<String>,
}

impl Ask {
    fn page(&self, web: &Web<'_>) -> Reply {
        let next = self.next.as_ref().map(|next| Field::hidden("next", next));
        let form = FormView::new("wan_verify", web.site.path(Path::WanVerify), next);
        Reply::page(VERIFY)
            .with(
                "passkey",
                offer(web.site, &web.site.path(Path::WanVerify), ""),
            )
            .form(form)
    }
}

/// What programs are told before they ask for a passkey.
#[derive(Serialize)]
struct PasskeyVerifyAnswer {
    /// The account.
    user: AccountAnswer,
    /// Whether the account has a passkey that confirms the sign-in.
    has_webauthn_verify_credential: bool,
}

// Routes.

#[get("/wan-verify?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    let caller = in_session(&web)?;
    verifies(&web)?;
    let next = next.and_then(|next| web.site.http.redirects.allowed(next));
    let form = Ask {
        next: next.map(String::from),
    };
    let has_one = web.site.has_usable_passkey(&caller.user.id).await?;
    Ok(form.page(&web).answer(PasskeyVerifyAnswer {
        user: web.account(&caller.user),
        has_webauthn_verify_credential: has_one,
    }))
}

#[post("/wan-verify?<next>", data = "<form>")]
async fn ask(web: Web<'_>, next: Option<&str>, form: Submitted<Ask>) -> Answer {
    let form = web.sent(form, |form| form.page(&web))?;
    let caller = in_session(&web)?;
    verifies(&web)?;
    let done = begin(&web, caller, form.next.as_deref().or(next)).await;
    or_again(
        done.map(|(state, options)| asked(form.page(&web), &state, &options)),
        || form.page(&web),
    )
}

#[post("/wan-verify/<token>?<next>&<include_auth_token>", data = "<form>")]
async fn finish(
    web: Web<'_>,
    token: &str,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Finish>,
) -> Answer {
    let form = form?;
    let caller = in_session(&web)?;
    verifies(&web)?;
    let with_token = include_auth_token.is_some();
    let done = again(&web, caller, token, &form, next, with_token).await;
    let next = form.next.as_deref().or(next);
    or_back(&web, done, Path::WanVerify, next)
}

/// The uses of the passkeys that can prove it again; refuses where there are none.
fn verifies(web: &Web<'_>) -> Result<Usages, Error> {
    let usages = web.site.settings.passkeys.verify.usages();
    usages.ok_or(Error::NotFound)
}

// Service.

async fn begin(
    web: &Web<'_>,
    caller: &Caller,
    next: Option<&str>,
) -> Result<(String, serde_json::Value), Error> {
    let (site, user) = (web.site, caller.user.id.clone());
    let usages = verifies(web)?;
    let owner = user.clone();
    let mut known = site
        .store
        .read(move |conn| rows::usable(conn, &owner, Some(usages)))
        .await?;
    known.retain(|row| descriptor(row).is_some());
    if known.is_empty() {
        return Err(Invalid::form(Message::new("passkey.none")).into());
    }
    let (options, begun) = ceremonies(web)?.begin_known(&known)?;
    let challenge = Challenge {
        begun,
        next: web.judged(next),
    };
    let (life, bound_to) = (site.settings.passkeys.challenge, session_of(caller)?);
    let draft = challenge::begin::<WanVerify>(
        site,
        life.get(),
        (Some(user), caller.begun()),
        &bound_to,
        &challenge,
    )?;
    let state = draft.secret.expose().clone();
    keep_challenge(site, draft, false).await?;
    Ok((state, options))
}

async fn again(
    web: &Web<'_>,
    caller: &Caller,
    token: &str,
    form: &Finish,
    next: Option<&str>,
    with_token: bool,
) -> Answer {
    let (site, now) = (web.site, web.site.now());
    let bound_to = session_of(caller)?;
    let found = challenge::find::<WanVerify>(site, token, Some(&bound_to)).await?;
    let found = found
        .filter(|found| found.user.as_ref() == Some(&caller.user.id))
        .ok_or_else(expired)?;
    let expected = Expected {
        user: Some(&caller.user.id),
        usage: Some(verifies(web)?),
        not: None,
    };
    let begun = &found.payload.begun;
    let shown = verify_shown(web, &found, begun, &form.credential, expected).await?;
    let buckets = Buckets::of_user(site, &caller.user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let (id, uniquifier) = (caller.user.id.clone(), caller.user.uniquifier.clone());
    let (ticket_id, written) = (found.ticket_id(), shown.clone());
    let outcome = site
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            take_effect(conn, &ticket_id, &written, now)
        })
        .await
        .map_err(outdated)?;
    settle(web, outcome, &shown).await?;
    let methods = caller.methods.union(proven(site, shown.verified));
    let admission = admit_by_factor(
        site,
        caller.user.clone(),
        methods,
        Some(&shown.owned.row.id),
    );
    let Admission::In(admitted) = admission.await? else {
        return Err(refused());
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
    let user = web.user_payload(&admitted, with_token).await?;
    let wish = form.next.as_deref().or(next);
    let target = web.next(
        wish.or(found.payload.next.as_deref()),
        &site.settings.after.verify,
    );
    Ok(Reply::done(target)
        .answer(UserAnswer { user })
        .csrf()
        .flash("success", "passkey.verified"))
}
