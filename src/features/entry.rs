//! The one end of every way to sign in: what happens after a proof.
//!
//! Password, mailed code and link, passkey, provider, recovery code and registration all come here with what the
//! admission gate said: a second factor is asked for, a new password is, or the session is opened and the answer made.

use serde::Serialize;

use super::{AccountAnswer, Web, recover, refresh_tokens, two_factor};
use crate::{
    error::Error,
    http::cookies::Kind,
    identity::target::Target,
    secrets::digest,
    signin::{
        Admitted, NextStep,
        admit::{Admission, skip_trusted},
        second::Resume,
        session::{self, SessionOptions},
        token::{self, Strength},
        trusted,
    },
    store::sign_in::{Begun, WhichSession},
    web::{
        json::wants_json,
        reply::{Answer, Reply},
    },
};

/// The answer to a completed sign-in.
#[derive(Serialize)]
struct EnteredAnswer {
    /// The account.
    user: AccountAnswer,
    /// Whether a second factor is still required: never here.
    tf_required: bool,
}

impl Web<'_> {
    /// Completes a sign-in: opens the session, or asks for what the gate still requires.
    pub(crate) async fn enter(
        &self,
        admission: Admission,
        opening: SessionOptions<'_>,
        target: Target,
        with_token: bool,
        done: &'static str,
    ) -> Answer {
        let remember = opening.remember.is_start();
        let admitted = match self.spared(admission).await? {
            Admission::In(admitted) => admitted,
            Admission::Challenge(challenge) if challenge.step == NextStep::SecondFactor => {
                let wish = Resume {
                    remember,
                    next: Some(target),
                    session: None,
                };
                return two_factor::begin(self, challenge, wish).await;
            }
            Admission::Challenge(challenge) => {
                return recover::next_step(self, challenge, remember).await;
            }
        };
        session::open(self.browser, self.site, &self.client, &admitted, opening).await?;
        let user = self.user_payload(&admitted, with_token).await?;
        Ok(Reply::done(target)
            .answer(EnteredAnswer {
                user,
                tf_required: false,
            })
            .csrf()
            .spa(done, &admitted.user().email))
    }

    /// Skips the second factor if this browser is trusted.
    async fn spared(&self, admission: Admission) -> Result<Admission, Error> {
        let challenge = match admission {
            Admission::Challenge(challenge)
                if challenge.step == NextStep::SecondFactor && !challenge.factors.is_empty() =>
            {
                challenge
            }
            admission => return Ok(admission),
        };
        let trusted =
            trusted::check(self.browser, self.site, &self.client, &challenge.user).await?;
        Ok(match trusted {
            Some(trusted) => skip_trusted(self.site, challenge, trusted),
            None => Admission::Challenge(challenge),
        })
    }

    /// The account as programs see it, with a token if a program asked for one and passed the gate, and the
    /// token to get further ones where there is such a thing.
    pub(crate) async fn user_payload(
        &self,
        admitted: &Admitted,
        with_token: bool,
    ) -> Result<AccountAnswer, Error> {
        let mut account = self.account(admitted.user());
        // A browser is shown no payload, so it needs no token.
        let shown = wants_json(self.request, self.site);
        if with_token && shown && self.site.settings.tokens.enabled {
            let (issued, refresh) = match self.site.settings.refresh_tokens.enabled {
                true => refresh_tokens::issue(self, admitted).await?,
                false => {
                    let strength = Strength::of(admitted, self.given_in(admitted));
                    (token::issue(self.site, strength, &self.by()).await?, None)
                }
            };
            account.authentication_token = Some(issued.token.expose().clone());
            account.refresh_token = refresh.map(|refresh| refresh.expose().clone());
        }
        Ok(account)
    }

    /// Where something is given to `admitted`, who passed the gate in this request.
    pub(crate) fn given_in(&self, admitted: &Admitted) -> Begun {
        match self.session_hash() {
            Some(hash) => Begun::InSession(admitted.user().id.clone(), WhichSession::Hash(hash)),
            None => Begun::ByProof,
        }
    }

    /// The session that this request opened, or by which it is judged. A request by token is of none, whatever
    /// cookies came along.
    pub(crate) fn session_hash(&self) -> Option<String> {
        let by_session = self
            .caller
            .as_ref()
            .is_some_and(|caller| caller.session.is_some());
        let came = || self.browser.cookie(Kind::Session).map(String::from);
        self.browser
            .going(Kind::Session)
            .filter(|cookie| !cookie.is_empty())
            .or_else(|| came().filter(|_| by_session))
            .map(|cookie| digest(&cookie))
    }
}
