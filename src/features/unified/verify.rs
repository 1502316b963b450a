//! Proving it is you by any passcode: `/us-verify`.

use rocket::{Route, get, post, routes};
use serde::Deserialize;

use super::{
    super::{
        Others, Submitted, UserAnswer, Web,
        verify::{in_session, proven_again_by},
    },
    Sent,
    answer::CodeMethodsAnswer,
    code_methods,
    codes::{accept_authenticator, code_of, of_authenticator},
    method_field, passcode_field,
    passcodes::takes_passwords,
    sending::{Reached, phone_of, prepare},
    with_methods,
};
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    factors,
    features::factor_setup::session_of,
    notify::outbox::MailLimit,
    secrets::{Password, Verdict},
    signin::{
        admit::{Admission, admit},
        caller::Caller,
        limits::{Buckets, refuse_if_locked},
        outdated,
        password::{Attempt, Proof, check_verdict},
        second::refuse_unproven,
        session,
        ticket::{self, CodeSubject, Presented, Presenter, Purpose},
        ticket_mail,
    },
    store::users,
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{FactorKind, Message, Method, Methods, Path},
    web::reply::{Answer, Reply, or_again},
};

/// The ticket of a code that proves it again, good in the session that asked for it and nowhere else.
pub(super) enum Again {}

impl Purpose for Again {
    const NAME: &'static str = "verify_code";
    type Payload = Sent;
}

pub(super) const VERIFY: Template = template!("unified/verify.html");

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
    fn view(&self, web: &Web<'_>, kinds: &[FactorKind]) -> FormView {
        let mut fields = vec![passcode_field().autofocus()];
        fields.extend(method_field(kinds, &self.chosen_method));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        FormView::new("us_verify", web.site.path(Path::UsVerify), fields)
    }

    async fn page(
        &self,
        web: &Web<'_>,
        caller: &Caller,
        sent: bool,
        others: &Others,
    ) -> Result<Reply, Error> {
        // Only what the account has.
        let phone = phone_of(web, Some(&caller.user)).await?;
        let mut kinds = code_methods(web);
        kinds.retain(|kind| factors::of(*kind).destination(phone.as_deref()).is_some());
        let form = self.view(web, &kinds);
        let page = proven_again_by(web, others, Reply::page(VERIFY)).with("sent", sent);
        let page = match sent {
            true => page.with("method", &self.chosen_method),
            false => page,
        };
        let code_methods = kinds.iter().map(|kind| kind.name()).collect();
        let reply = with_methods(web, page).answer(CodeMethodsAnswer { code_methods });
        Ok(web.naming(reply, &caller.user).form(form))
    }
}

#[get("/us-verify?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    let caller = in_session(&web)?;
    let others = web.own_others(&caller.user, next).await?;
    let next = next.and_then(|next| web.site.http.redirects.allowed(next));
    let form = Verify {
        next: next.map(String::from),
        ..Verify::default()
    };
    form.page(&web, caller, false, &others).await
}

#[post("/us-verify?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Verify>,
) -> Answer {
    let form = web.sent(form, |form| form.view(&web, &code_methods(&web)))?;
    let caller = in_session(&web)?;
    let target = web.next(
        form.next.as_deref().or(next),
        &web.site.settings.after.verify,
    );
    let others = web
        .own_others(&caller.user, form.next.as_deref().or(next))
        .await?;
    let done = match verify(&web, caller, &form.passcode).await {
        Ok((admission, buckets)) => match admission {
            Admission::In(admitted) => {
                session::renew(
                    web.browser,
                    web.site,
                    &web.client,
                    &admitted,
                    caller.methods,
                    &buckets,
                )
                .await?;
                let with_token = include_auth_token.is_some();
                let user = web.user_payload(&admitted, with_token).await?;
                Ok(Reply::done(target)
                    .answer(UserAnswer { user })
                    .csrf()
                    .flash("success", "verify.done"))
            }
            Admission::Challenge(challenge) => {
                let next = form.next.as_deref().or(next);
                return web.owes(caller, &challenge, next).await;
            }
        },
        Err(error) => Err(error),
    };
    let again = form.page(&web, caller, false, &others).await?;
    or_again(done, || again)
}

#[post("/us-verify/send-code", data = "<form>")]
async fn send_code(web: Web<'_>, form: Submitted<Verify>) -> Answer {
    let form = web.sent(form, |form| {
        let form = form.view(&web, &code_methods(&web));
        form.without("passcode").submit("us_verify_send.submit")
    })?;
    let caller = in_session(&web)?;
    let others = web.own_others(&caller.user, form.next.as_deref()).await?;
    let done = send(&web, caller, &form).await;
    let page = form.page(&web, caller, done.is_ok(), &others).await?;
    match done {
        Ok(()) => Ok(page),
        Err(error) => or_again(Err(error), || page),
    }
}

// Service.

async fn verify(
    web: &Web<'_>,
    caller: &Caller,
    typed: &str,
) -> Result<(Admission, Buckets), Error> {
    let (site, user) = (web.site, &caller.user);
    let buckets = Buckets::of_factor(site, user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let wrong = |message| Error::from(Invalid::field("passcode", message));
    // What can be neither is told before either is judged.
    let password = Password::parse(typed).map_err(wrong)?;
    // A password of digits only is no wrong code, and is compared first.
    let id = user.id.clone();
    let known = site
        .store
        .read(move |conn| Ok((users::by_id(conn, &id)?, users::password_of(conn, &id)?)));
    let (now_user, hash) = known.await?;
    let now_user = now_user.ok_or(Denied::BadCredential)?;
    let hash = hash.filter(|_| takes_passwords(web));
    let verdict = site.hasher.verify(&password, hash.as_ref()).await?;
    let is_password = matches!(verdict, Verdict::Match { .. });
    if let Some(code) = code_of(typed).filter(|_| !is_password) {
        let authenticator = of_authenticator(web, Some(user), &code).await?;
        let mut shown = None;
        // A right code of an authenticator is no guess at the one that was sent.
        if authenticator.is_none() {
            let sent = take_code(web, caller, &code).await?;
            shown = sent.map(|kind| kind.method());
        }
        if shown.is_none() && accept_authenticator(web, Some(user), &buckets, authenticator).await?
        {
            shown = Some(Method::Authenticator);
        }
        let method = shown.ok_or_else(|| wrong(Message::new("us.wrong")))?;
        refuse_if_locked(site, &buckets).await?;
        let methods = caller.methods.union(Methods::of(method));
        return Ok((admit(site, user.clone(), methods).await?, buckets));
    }
    let attempt = Attempt {
        buckets: Buckets::of_user(site, &now_user, &web.client),
        client: &web.client,
        before: caller.methods,
    };
    match check_verdict(site, Some(now_user), hash, verdict, attempt).await? {
        Proof::Right(admission, buckets) => Ok((admission, buckets)),
        Proof::Wrong(_) => Err(wrong(Message::new("us.wrong"))),
    }
}

/// Uses up the code that was sent for this session, if `code` is it; answers by which way it came.
async fn take_code(
    web: &Web<'_>,
    caller: &Caller,
    code: &str,
) -> Result<Option<FactorKind>, Error> {
    let (site, user) = (web.site, &caller.user);
    let presenter = Presenter {
        user: Some(user.id.clone()),
        browser: Some(session_of(caller)?),
    };
    let presented = Presented::Code(CodeSubject::of_user(&user.id), code);
    let Ok(held) = ticket::present::<Again>(site, presented, &presenter).await? else {
        return Ok(None);
    };
    let (ticket_id, kind, now) = (held.ticket_id(), held.payload.kind, site.now());
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let taken = site
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            ticket_id.consume(conn, now)
        })
        .await
        .map_err(outdated)?;
    Ok(taken.then_some(kind))
}

async fn send(web: &Web<'_>, caller: &Caller, form: &Verify) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let kind = factors::kind_of(&form.chosen_method, &code_methods(web), "chosen_method")?;
    let (factor, phone) = (factors::of(kind), phone_of(web, Some(user)).await?);
    let Some(to) = factor.destination(phone.as_deref()) else {
        let missing = Message::new("us.not_set_up");
        return Err(Invalid::field("chosen_method", missing).into());
    };
    if factor.is_mailbox() {
        // An address that is not proven is perhaps somebody else's.
        refuse_unproven(site, user)?;
    }
    let sent = Sent {
        kind,
        remember: None,
        next: None,
    };
    let to = Reached {
        user: Some(user),
        typed: "",
        handle: &CodeSubject::of_user(&user.id),
        to,
        session: Some(session_of(caller)?),
        begun: caller.begun(),
        // Apart from codes that anybody can ask for.
        mail_limit: MailLimit::Steps(format!("verify {}", user.id)),
    };
    let (draft, outgoing) = prepare::<Again>(web, to, &sent)?;
    let id = user.id.clone();
    let sent = web
        .change(move |change| {
            let sent = ticket_mail::enqueue(change, &outgoing, &draft)?;
            if sent {
                let user = id.clone();
                change.event(EventKind::SigninCodeSent { user, method: kind });
            }
            Ok(sent)
        })
        .await
        .map_err(outdated)?;
    match sent {
        true => Ok(()),
        false => Err(Invalid::form(Message::new("factor.too_often")).into()),
    }
}
