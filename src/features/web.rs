//! What every handler of ours starts from.

use std::sync::Arc;

use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{AccountAnswer, UserAnswer};
use crate::{
    core::change::{By, Change},
    error::{Denied, Error},
    guards::{
        identity,
        strong::{Strong, strong},
    },
    http::{browser::Browser, client::ClientInfo, cookies::Kind, csrf, refusal},
    identity::target::Target,
    notify::mail::MailComposer,
    signin::{admit::Challenge, caller::Caller, remember, second, session, ticket::Presenter},
    store::{StoreError, User},
    templates::form::Field,
    types::{Methods, Path},
    web::{
        input::{self, Checkbox, Empty, Input},
        json::wants_json,
        page,
        reply::{Answer, Reply},
        site::Site,
        stale::{self, Drawn},
    },
};

/// The body of a handler: read after the handler has begun, so that it answers what is wrong with it.
pub(crate) type Submitted<F> = Result<Input<F>, Error>;

/// The request, the site, who asks and from where.
pub(crate) struct Web<'r> {
    pub(crate) request: &'r Request<'r>,
    pub(crate) site: &'r Arc<Site>,
    pub(crate) browser: &'r Browser,
    pub(crate) client: ClientInfo,
    pub(crate) caller: Option<Arc<Caller>>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Web<'r> {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        let refuse = |error: Error| Outcome::Error((refusal::remember(request, &error), error));
        let Some(site) = request.rocket().state::<Arc<Site>>() else {
            return refuse(Error::Broken("`Security` is not attached".into()));
        };
        // Where Basic is taken everywhere, it is taken by our own pages.
        let resolved = match site.settings.basic.everywhere {
            true => identity::resolve_with_basic(request).await,
            false => identity::resolve(request).await,
        };
        let caller = match resolved {
            Ok(caller) => Some(caller.clone()),
            Err(Error::Denied(_)) => None,
            Err(error) => return refuse(error.clone()),
        };
        Outcome::Success(Self {
            request,
            site,
            browser: Browser::of(request, &site.http),
            client: ClientInfo::of(request, &site.http),
            caller,
        })
    }
}

impl Web<'_> {
    /// Returns what was sent. If its CSRF token is no longer good, the page that says so offers the form again, as
    /// `draw` draws it from what was entered.
    pub(crate) fn sent<F: DeserializeOwned, D: Drawn>(
        &self,
        form: Submitted<F>,
        draw: impl FnOnce(&F) -> D,
    ) -> Submitted<F> {
        if let Err(Error::Denied(Denied::Csrf)) = &form {
            stale::offer(self.request, draw);
        }
        form
    }

    /// Refuses a form of one button whose CSRF token is no longer good. The page that says so offers the button
    /// again, with its message `submit`.
    pub(crate) fn pressed(
        &self,
        form: Submitted<Empty>,
        submit: &'static str,
    ) -> Result<(), Error> {
        if let Err(Error::Denied(Denied::Csrf)) = &form {
            stale::offer_button(self.request, submit);
        }
        form.map(|_| ())
    }

    /// Refuses whoever is signed in already. With a token in its header a request is judged by that, and
    /// must not replace the session of a browser on the way.
    pub(crate) fn visitors_only(&self) -> Result<(), Error> {
        let two_at_once = identity::has_token_header(self.request)
            && self.browser.cookie(Kind::Session).is_some();
        if self.caller.is_some() || two_at_once {
            return Err(Denied::SignedIn.into());
        }
        Ok(())
    }

    /// Whether the form wants the browser to be remembered; `None` leaves it to the setting.
    pub(crate) fn keeps(&self, ticked: Option<Checkbox>) -> Option<bool> {
        input::choice(self.request, ticked)
    }

    /// The box "Keep me signed in", where the settings have it, as it was sent or as it begins.
    pub(crate) fn keep_field(&self, ticked: Option<Checkbox>) -> Option<Field> {
        let settings = &self.site.settings.remember;
        let ticked = self.keeps(ticked).unwrap_or(settings.by_default);
        settings
            .enabled
            .then(|| Field::tick("remember", "field.remember", ticked))
    }

    /// Returns `next` if the settings allow a redirect to it, as a ticket keeps it.
    pub(crate) fn judged(&self, next: Option<&str>) -> Option<Target> {
        next.filter(|next| !next.is_empty())
            .and_then(|next| self.site.http.redirects.allowed(next))
    }

    /// Ends a second step that waits in this browser, where a visitor comes to sign in anew.
    ///
    /// A visitor who was sent here from a guarded page, and a program that wants a CSRF token, maybe for the second
    /// step itself, have not given it up.
    pub(crate) async fn begin_anew(&self) -> Result<(), Error> {
        let was_sent = || {
            let query = self.request.uri().query();
            query.is_some_and(|query| query.segments().any(|(name, _)| name == "next"))
        };
        let is_look = !csrf::writes(self.request.method())
            && (was_sent() || wants_json(self.request, self.site));
        match self.caller {
            None if !is_look => second::abandon(self.browser, self.site).await,
            _ => Ok(()),
        }
    }

    /// Where to go: `next` if it is a page of ours, else `otherwise`.
    pub(crate) fn next(&self, next: Option<&str>, otherwise: &str) -> Target {
        self.judged(next)
            .unwrap_or_else(|| page::after(self.site, otherwise))
    }

    /// The account as programs see it: nothing, unless the application says what.
    pub(crate) fn account(&self, user: &User) -> AccountAnswer {
        let own = match self
            .site
            .hooks
            .user_payload
            .as_ref()
            .map(|payload| payload(user))
        {
            Some(Value::Object(payload)) => payload,
            Some(other) => {
                log::error!("the hook user_payload must answer an object, not {other}");
                Map::new()
            }
            None => Map::new(),
        };
        AccountAnswer {
            own,
            ..AccountAnswer::default()
        }
    }

    /// Tells programs who is signed in.
    pub(crate) fn naming(&self, reply: Reply, user: &User) -> Reply {
        let user = self.account(user);
        reply.answer(UserAnswer { user })
    }

    /// Who makes a change in this request.
    pub(crate) fn by(&self) -> By {
        By::route(&self.client)
    }

    /// Makes a change: one transaction, then its mails and events.
    pub(crate) async fn change<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Change<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.site.change(&self.by(), work).await
    }

    /// Opens a new session after a change that ended all sessions of the account: as fresh as the last proof.
    pub(crate) async fn reopen(
        &self,
        caller: &Caller,
        user: User,
        methods: Methods,
    ) -> Result<(), Error> {
        let proven_at = caller.authenticated_at;
        session::reopen(
            self.browser,
            self.site,
            &self.client,
            user,
            methods,
            proven_at,
        )
        .await?;
        Ok(())
    }

    /// Who writes the mails that this request leads to.
    pub(crate) fn composer(&self) -> MailComposer<'_> {
        self.client.composer(&self.site.notify)
    }

    /// Who presents a ticket here.
    pub(crate) fn presenter(&self) -> Presenter {
        Presenter {
            user: self.caller.as_ref().map(|caller| caller.user.id.clone()),
            browser: self.browser.cookie(Kind::Visitor).map(String::from),
        }
    }

    /// Gives this browser guesses of its own, so that no guesser's lock reaches it. Where a second factor is
    /// owed it gets them when that was shown: who only reads the mail has no more guesses at it than others.
    pub(crate) async fn know_device(&self, user: &User) -> Result<(), Error> {
        if !second::factors_of(self.site, user).await?.is_empty() {
            return Ok(());
        }
        let device = &self.client.device;
        device.send_seal(self.browser, &self.site.http, user);
        Ok(())
    }

    /// What is wrong where no form shows it: a browser is told on the page at `path`, a program gets 400.
    pub(crate) fn or_back(&self, done: Answer, path: Path, key: &'static str) -> Answer {
        match done.map_err(Error::for_form) {
            Err(Error::Invalid(_)) if !wants_json(self.request, self.site) => {
                let target = Target::local(&self.site.path(path));
                Ok(Reply::done(target).flash("error", key))
            }
            done => done,
        }
    }

    /// Answers a new proof beside which more is owed: a browser is led to its second factor.
    pub(crate) async fn owes(
        &self,
        caller: &Caller,
        challenge: &Challenge,
        next: Option<&str>,
    ) -> Answer {
        let denied = remember::owes(self.site, caller, challenge).await?;
        if denied != Denied::SecondFactor || !self.site.settings.two_factor.enabled {
            return Err(denied.into());
        }
        self.led_to(&self.site.path(Path::TfSelect), next, denied)
    }

    /// Whether `caller` must show a first factor before the second: a remembered browser has shown none.
    pub(crate) fn owes_first(&self, caller: &Caller) -> bool {
        let freshness = &self.site.settings.freshness;
        caller.methods.is_only_remembered() && freshness.within.0.is_some()
    }

    /// Leads a browser to where it shows its first factor.
    pub(crate) fn first_factor(&self, next: Option<&str>) -> Answer {
        if !self.site.settings.verify.enabled {
            return Err(Denied::Stale.into());
        }
        self.led_to(&self.site.verify_path(), next, Denied::Stale)
    }

    /// Leads a browser to a page of ours, and refuses everything else.
    fn led_to(&self, path: &str, next: Option<&str>, denied: Denied) -> Answer {
        let is_decided = self.site.settings.spa.enabled || self.site.hooks.reauthenticate.is_some();
        if is_decided || wants_json(self.request, self.site) {
            return Err(denied.into());
        }
        let way = Target::local(path);
        Ok(Reply::done(match self.judged(next) {
            Some(next) => way.with_query(&[("next", next.as_str())]),
            None => way,
        }))
    }

    /// Who is signed in.
    pub(crate) fn signed_in(&self) -> Result<Arc<Caller>, Error> {
        self.caller.clone().ok_or_else(|| Denied::Anonymous.into())
    }

    /// Who is signed in by a session and may change the ways into the account. A handler that writes reads its body
    /// first, which checks the CSRF token.
    pub(crate) async fn strong(&self) -> Result<Strong, Error> {
        // A token cannot show more than it came from.
        if self.signed_in()?.session.is_none() {
            return Err(Denied::Mechanism.into());
        }
        self.strong_by_any().await
    }

    /// The same, by session or token.
    pub(crate) async fn strong_by_any(&self) -> Result<Strong, Error> {
        strong(self.request, self.site, self.signed_in()?).await
    }
}
