//! The end of a second step.

use super::{Web, recover};
use crate::features::UserAnswer;
use crate::{
    error::{Denied, Error},
    events::EventKind,
    http::cookies::Kind,
    notify::notices,
    signin::{
        admit::{Admission, complete_second_factor},
        outdated,
        remember::Remember,
        second::{Passed, SecondStep},
        session::{self, SessionOptions},
        ticket::ValidTicket,
        trusted,
    },
    store::{User, devices as rows, users},
    web::reply::{Answer, Reply},
};

/// Completes a sign-in after its second step, or makes a session one of two factors. `trust` asks to trust this
/// browser.
pub(in crate::features) async fn finish(
    web: &Web<'_>,
    held: ValidTicket<SecondStep>,
    passed: Passed,
    trust: bool,
    with_token: bool,
) -> Answer {
    let (site, pending) = (web.site, &held.payload);
    web.browser.forget(Kind::Pending);
    // A factor that was shown in one session is none that was shown in another.
    let here = web
        .caller
        .as_ref()
        .and_then(|caller| caller.session.clone());
    if pending.session.is_some() && pending.session != here {
        return Err(Denied::BadCredential.into());
    }
    let (user, methods) = (passed.user().id.clone(), passed.methods());
    let kind = EventKind::SecondFactorPassed { user, methods };
    site.event(&web.client.client, kind);
    let next = web.next(pending.next.as_deref(), &site.settings.after.login);
    let admission = complete_second_factor(site, &passed)?;
    if pending.session.is_some() {
        let Admission::In(admitted) = admission else {
            return Err(Denied::SecondFactor.into());
        };
        session::renew(
            web.browser,
            site,
            &web.client,
            &admitted,
            methods,
            passed.buckets(),
        )
        .await?;
        let user = web.user_payload(&admitted, with_token).await?;
        return Ok(Reply::done(next).answer(UserAnswer { user }).csrf());
    }
    let admitted = match admission {
        Admission::In(admitted) => admitted,
        Admission::Challenge(challenge) => {
            return recover::next_step(web, challenge, pending.remember).await;
        }
    };
    // Where the second step showed no more than the first, trust would leave nothing to be shown.
    let further = methods != pending.methods();
    if trust && further && site.settings.two_factor.trust_devices {
        trust_browser(web, admitted.user()).await?;
    }
    let opening = SessionOptions {
        remember: Remember::chosen(site, Some(pending.remember)),
        clears: Some(passed.buckets()),
    };
    let admission = Admission::In(admitted);
    web.enter(admission, opening, next, with_token, "login")
        .await
}

/// Trusts this browser, in which the second factor was just given.
async fn trust_browser(web: &Web<'_>, user: &User) -> Result<(), Error> {
    let site = web.site;
    let device = trusted::prepare(site, &web.client, user)?;
    let notice = notices::device_trusted(&web.composer(), user)?;
    let (row, uniquifier) = (device.row.clone(), user.uniquifier.clone());
    let most = site.settings.two_factor.most_devices;
    web.change(move |change| {
        users::hold(change, &row.user_id, &uniquifier)?;
        rows::insert(change, &row, most)?;
        change.mail(&notice)?;
        let user = row.user_id.clone();
        change.event(EventKind::DeviceTrusted { user });
        Ok(())
    })
    .await
    .map_err(outdated)?;
    device.send(web.browser, site);
    Ok(())
}
