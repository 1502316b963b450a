//! Proving it is you by any passcode: `/us-verify`.

use rocket::{Route, get, post, routes};
use serde::Deserialize;

use super::{
    super::{Submitted, Web, verify::in_session},
    Passcode, Sent, accept_authenticator, code_methods, mailed, method_field, passcode_field,
    phone_of, prepare, spend, with_methods,
};
use crate::{
    Message,
    error::{Error, Invalid},
    factors::{self, FactorKind},
    features::unified::SignInMethod,
    guards::identity::Caller,
    http::{
        form::{Field, FormView},
        reply::{Answer, Reply, or_again},
    },
    secrets::Password,
    signin::{
        Method, Methods,
        admit::{Admission, admit},
        limits::{Buckets, refuse_if_locked},
        password::{Proof, prove_again},
        session,
        ticket::{self, Handle, Presented},
    },
};

pub(super) const VERIFY: &str = "security/unified/verify.html";

pub(super) fn routes() -> Vec<Route> {
    routes![show, submit, send_code]
}

#[derive(Debug, Default, Deserialize)]
struct Verify {
    #[serde(default)]
    passcode: String,
    #[serde(default)]
    chosen_method: String,
    #[serde(default)]
    next: Option<String>,
}

impl Verify {
    fn page(&self, web: &Web<'_>, sent: bool, passkey: serde_json::Value) -> Reply {
        let mut fields = vec![passcode_field().autofocus()];
        fields.extend(method_field(web, &self.chosen_method));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        let form = FormView::new("us_verify", web.site.path("/us-verify"), fields);
        let page = Reply::page(VERIFY)
            .with("sent", sent)
            .json("has_webauthn_verify_credential", !passkey.is_null())
            .with("passkey", passkey)
            .json("oauth_enabled", false)
            .json("oauth_providers", [""; 0]);
        let page = match sent {
            true => page.with("method", &self.chosen_method),
            false => page,
        };
        with_methods(web, page).form(form)
    }
}

#[get("/us-verify?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    let caller = in_session(&web)?;
    let passkey = web.own_passkeys(&caller.user).await?;
    let next = next.and_then(|next| web.site.redirects.judge(next));
    let form = Verify {
        next: next.map(String::from),
        ..Verify::default()
    };
    Ok(form.page(&web, false, passkey))
}

#[post("/us-verify?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Verify>,
) -> Answer {
    let form = form?;
    let caller = in_session(&web)?;
    let target = web.next(
        form.next.as_deref().or(next),
        &web.site.settings.after.verify,
    );
    let passkey = web.own_passkeys(&caller.user).await?;
    let done = match verify(&web, caller, &form.passcode).await {
        Ok((admission, buckets)) => match admission {
            Admission::In(admitted) => {
                session::renew(
                    web.request,
                    web.site,
                    &web.client,
                    &admitted,
                    caller.methods,
                    &buckets,
                )
                .await?;
                let with_token = include_auth_token.is_some();
                let payload = web.user_payload(&admitted, with_token).await?;
                Ok(Reply::done(target)
                    .json("user", payload)
                    .csrf()
                    .flash("success", "verify.done"))
            }
            Admission::Next(owing) => Err(owing.denied().into()),
        },
        Err(error) => Err(error),
    };
    or_again(done, || form.page(&web, false, passkey))
}

#[post("/us-verify/send-code", data = "<form>")]
async fn send_code(web: Web<'_>, form: Submitted<Verify>) -> Answer {
    let form = form?;
    let caller = in_session(&web)?;
    let passkey = web.own_passkeys(&caller.user).await?;
    let done = send(&web, caller, &form).await;
    or_again(
        done.map(|()| form.page(&web, true, passkey.clone())),
        || form.page(&web, false, passkey.clone()),
    )
}

// Service.

async fn verify(
    web: &Web<'_>,
    caller: &Caller,
    typed: &str,
) -> Result<(Admission, Buckets), Error> {
    let (site, user) = (web.site, &caller.user);
    let methods = &site.settings.unified.methods;
    let buckets = Buckets::of_user(site, &user.id, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let code = factors::digits(typed);
    if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        let mut shown = None;
        if methods.contains(&SignInMethod::Authenticator)
            && accept_authenticator(web, user, &code).await?
        {
            shown = Some(Method::Authenticator);
        } else {
            let presented = Presented::Code(Handle::of_user(&user.id), &code);
            if let Ok(held) = ticket::present::<Passcode>(site, presented, &web.bearer()).await? {
                let kind = held.payload.kind;
                spend(web, held).await?;
                shown = Some(kind.method());
            }
        }
        if let Some(method) = shown {
            let methods = caller.methods.union(Methods::of(method));
            return Ok((admit(site, user.clone(), methods).await?, buckets));
        }
    }
    let wrong = |message| Error::from(Invalid::field("passcode", message));
    let password = Password::parse(typed).map_err(wrong)?;
    match prove_again(site, user, &password, caller.methods, &web.client).await? {
        Proof::Right(admission, buckets) if methods.contains(&SignInMethod::Password) => {
            Ok((admission, buckets))
        }
        _ => Err(wrong(Message::new("us.wrong"))),
    }
}

async fn send(web: &Web<'_>, caller: &Caller, form: &Verify) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let kind = factors::kind_of(&form.chosen_method, &code_methods(web), "chosen_method")?;
    let phone = match kind {
        FactorKind::Sms => phone_of(web, user).await?,
        _ => None,
    };
    if kind == FactorKind::Sms && phone.is_none() {
        let unknown = Message::new("factor.unknown_method");
        return Err(Invalid::field("chosen_method", unknown).into());
    }
    let sent = Sent {
        kind,
        remember: None,
        next: None,
    };
    let handle = Handle::of_user(&user.id);
    let (draft, letter) = prepare(web, Some(user), "", &handle, &sent, phone.as_deref())?;
    mailed::write(site, letter, draft).await?;
    Ok(())
}
