//! What an application's own handlers do with accounts, by the same doors as ours.

use std::sync::Arc;

use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};

use crate::{
    accounts::{Accounts, invitation::Invitation},
    core::change::By,
    error::{Denied, Error, Invalid},
    guards::{Policy, SignedIn, authorize, identity},
    http::{browser::Browser, client::ClientInfo, csrf, refusal},
    identity::{Identity, target::Target},
    secrets::{Password, PasswordHash},
    signin::{
        NextStep,
        admit::{Admission, admit},
        password::{Proof, prove},
        remember::Remember,
        second::{self, Resume},
        session::{self, SessionOptions},
        token::{self, IssuedToken, Strength},
    },
    store::{Store, User, users},
    types::{Method, Methods, UserId},
    web::{feature::Link, site::Site},
};

/// Signing in and out, passwords, identities and URLs, for the application's own handlers.
///
/// It always succeeds; who is signed in is asked by [`SignedIn`].
///
/// Calls that change something return [`Denied::Csrf`] in a request that a page of another site may have sent. Take the
/// body as [`Input`](crate::Input) to have that checked; without it such a call needs an `Origin` or `Sec-Fetch-Site`
/// header of this site, or a CSRF token in a header, unless the request carries no cookie of ours or is a `GET`.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::{Error, SignIn, prelude::*};
///
/// #[post("/guest", data = "<_body>")]
/// async fn guest(auth: Auth<'_>, _body: Input<Empty>) -> Result<&'static str, Error> {
///     let guest = auth.find_user("guest@example.com").await?.ok_or(Error::NotFound)?;
///     match auth.sign_in(&guest).await? {
///         SignIn::Done(_) => Ok("Welcome"),
///         SignIn::Next(_) => Ok("One more step"),
///     }
/// }
/// # fn main() {}
/// ```
pub struct Auth<'r> {
    request: &'r Request<'r>,
    site: &'r Arc<Site>,
    browser: &'r Browser,
    client: ClientInfo,
}

impl std::fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

/// What [`Auth::sign_in`] came to.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_enums,
    reason = "the two things that a sign-in can come to"
)]
pub enum SignIn {
    /// Signed in; the cookie goes out with the answer.
    Done(SignedIn),
    /// Something more is owed first. A second factor is asked for at the page `tf_validate` (or
    /// `tf_select`, `tf_setup`), where this browser goes on: `auth.url("tf_validate")`.
    Next(NextStep),
}

impl Auth<'_> {
    /// Signs `user` in through the gate, by whatever the application took as proof.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if the account is shut out.
    pub async fn sign_in(&self, user: &User) -> Result<SignIn, Error> {
        self.sign_in_by(user, Methods::of(Method::Application), false)
            .await
    }

    /// Signs `user` in through the gate, saying how it was proven, and remembers the device if asked.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if the account is shut out.
    pub async fn sign_in_by(
        &self,
        user: &User,
        methods: Methods,
        remember: bool,
    ) -> Result<SignIn, Error> {
        self.come_from_us().await?;
        // As it is now, not as the application may have kept it.
        let user = self
            .site
            .store
            .find_user(&user.id)
            .await?
            .ok_or(Error::NotFound)?;
        match admit(self.site, user, methods).await? {
            Admission::In(admitted) => {
                let opening = SessionOptions {
                    remember: Remember::chosen(self.site, Some(remember)),
                    clears: None,
                };
                let caller =
                    session::open(self.browser, self.site, &self.client, &admitted, opening)
                        .await?;
                Ok(SignIn::Done(SignedIn::of(Arc::new(caller))))
            }
            Admission::Challenge(challenge) => {
                let step = challenge.step.clone();
                if step == NextStep::SecondFactor {
                    let wish = Resume {
                        remember,
                        ..Resume::default()
                    };
                    second::begin(self.browser, self.site, &self.client, challenge, wish).await?;
                }
                Ok(SignIn::Next(step))
            }
        }
    }

    /// Signs out: the session of this request is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.come_from_us().await?;
        session::close(self.browser, self.site, &self.client).await
    }

    /// Ends all sessions, remembered devices and tokens of an account.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn sign_out_everywhere(&self, user: &UserId) -> Result<(), Error> {
        Ok(self.accounts().await?.sign_out_everywhere(user).await?)
    }

    /// Gives a token for programs to the account that is signed in, on the strength of that sign-in.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if `who` came by API key, which may do less than a token; [`Error::Unavailable`].
    pub async fn issue_token(&self, who: &SignedIn) -> Result<IssuedToken, Error> {
        self.come_from_us().await?;
        if who.api_key().is_some() {
            return Err(Denied::Mechanism.into());
        }
        let by = By::route(&self.client);
        token::issue(self.site, Strength::of_caller(who.caller()), &by).await
    }

    /// A CSRF token for this browser, such as a page's script sends back in the header `X-CSRF-Token`.
    ///
    /// A client of JSON that is signed in gets the same by `GET /login` with `Accept: application/json`, in
    /// `response.csrf_token`, beside who is signed in; so does every other page of the library that is asked for
    /// JSON.
    ///
    /// ```
    /// # #[macro_use] extern crate rocket;
    /// use rocket_security::prelude::*;
    ///
    /// #[get("/api/csrf")]
    /// fn token(_who: SignedIn, auth: Auth<'_>) -> String {
    ///     auth.csrf_token()
    /// }
    /// # fn main() {}
    /// ```
    pub fn csrf_token(&self) -> String {
        csrf::token(self.browser, &self.site.http)
    }

    /// Whether the caller of this request passes the policy `P`.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] with why not, [`Error::Unavailable`].
    pub async fn require<P: Policy>(&self) -> Result<SignedIn, Error> {
        authorize::<P>(self.request).await
    }

    /// Who is signed in.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]; never "nobody" because the database is down.
    pub async fn current_user(&self) -> Result<Option<SignedIn>, Error> {
        match identity::resolve(self.request).await {
            Ok(caller) => Ok(Some(SignedIn::of(caller.clone()))),
            Err(Error::Denied(_)) => Ok(None),
            Err(error) => Err(error.clone()),
        }
    }

    /// Returns the account with this e-mail address or username, in upper or lower case. The address may come
    /// from another program: it is compared letter for letter, and a full-width `ｖ` is no `v`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn find_user(&self, identity: &str) -> Result<Option<User>, Error> {
        let identity = Identity::exact(
            identity,
            &self.site.settings.identities,
            self.site.usernames.as_ref(),
        );
        Ok(self
            .site
            .store
            .read(move |conn| users::by_identity(conn, &identity))
            .await?)
    }

    fn recognise(&self, identity: &str) -> Identity {
        Identity::recognise(
            identity,
            &self.site.settings.identities,
            self.site.usernames.as_ref(),
        )
    }

    /// Whether this is the account's password; counted by the limits like every attempt.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] while the account is locked or if it is shut out.
    pub async fn verify_password(&self, identity: &str, password: &str) -> Result<bool, Error> {
        self.come_from_us().await?;
        let Ok(password) = Password::parse(password) else {
            return Ok(false);
        };
        match prove(self.site, self.recognise(identity), &password, &self.client).await? {
            Proof::Right(..) => Ok(true),
            Proof::Wrong(_) => Ok(false),
        }
    }

    /// Hashes a password, off Rocket's threads.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none, [`Error::Unavailable`] if too many wait.
    pub async fn hash_password(&self, password: &str) -> Result<PasswordHash, Error> {
        let password =
            Password::parse(password).map_err(|message| Invalid::field("password", message))?;
        Ok(self.site.hasher.hash(&password).await?)
    }

    /// Sets a password that the policy finds good, and ends the account's sessions.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with what the policy says, [`Error::NotFound`] if there is no such account.
    pub async fn set_password(&self, user: &UserId, password: &str) -> Result<(), Error> {
        self.accounts().await?.set_password(user, password).await
    }

    /// Refuses a change in a request that a page of another site may have sent: one that failed its CSRF check, or
    /// one that goes by cookies or HTTP Basic and had no check.
    async fn come_from_us(&self) -> Result<(), Error> {
        let (request, site) = (self.request, self.site.as_ref());
        let is_ours = match csrf::noted(request) {
            Some(is_ours) => is_ours,
            None => {
                !csrf::writes(request.method())
                    || !self.browser.has_cookies() && !identity::has_basic(request)
                    || csrf::is_shown_by_headers(request, &site.http)
                    || identity::shows_own_header(request, site).await
            }
        };
        match is_ours {
            true => Ok(()),
            false => Err(Denied::Csrf.into()),
        }
    }

    /// Returns what changes accounts and roles, for this request: its events name the account that is signed in as an
    /// administrator, or as the user where it changes itself.
    ///
    /// # Errors
    ///
    /// [`Denied::Csrf`] in a request that a page of another site may have sent; [`Error::Unavailable`].
    pub async fn accounts(&self) -> Result<Accounts, Error> {
        self.come_from_us().await?;
        let signed_in = self.current_user().await?.map(|who| who.id.clone());
        let by = By::handler(&self.client, signed_in);
        Ok(Accounts::new(self.site.core.clone(), by))
    }

    /// Lets nobody into an account who does not choose a new password first; its sessions end now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such account.
    pub async fn require_new_password(&self, user: &UserId) -> Result<(), Error> {
        Ok(self.accounts().await?.require_new_password(user).await?)
    }

    /// Mails an account what it needs to choose a new password.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such account or `[security.recover]` is off, [`Error::Denied`]
    /// if the account is inactive.
    pub async fn send_recovery(&self, user: &UserId) -> Result<(), Error> {
        self.accounts().await?.send_recovery(user).await
    }

    /// Makes an account for somebody who chooses the password by a mailed link. Whoever was invited and
    /// has not come yet is invited anew.
    ///
    /// ```
    /// # #[macro_use] extern crate rocket;
    /// use rocket_security::{EmailAddress, Error, Invitation, prelude::*};
    ///
    /// policies! { pub Admin = role("admin"); }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Invite { email: String }
    ///
    /// #[post("/team", data = "<body>")]
    /// async fn invite(who: Require<Admin>, auth: Auth<'_>, body: Input<Invite>) -> Result<String, Error> {
    ///     let email = EmailAddress::parse(&body.email)
    ///         .map_err(|message| rocket_security::Invalid::field("email", message))?;
    ///     let user = auth.invite(&Invitation::new(email).role("editor").from(who.display())).await?;
    ///     Ok(format!("{} was invited", user.email))
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the address has an account with a password or a proven address, or the
    /// username is another's; [`Error::Denied`] if whoever was invited before is inactive now;
    /// [`Error::NotFound`] if a role does not exist or `[security.invite]` is off.
    pub async fn invite(&self, invitation: &Invitation) -> Result<User, Error> {
        self.accounts().await?.invite(invitation).await
    }

    /// The path of one of our pages, under the prefix: `url("login")`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no page has that name or its feature is off.
    pub fn url(&self, page: &str) -> Result<String, Error> {
        self.link(page).map(|link| self.site.path(link.path))
    }

    /// The same as others must type it, from `base_url` and never from the request.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no page has that name or its feature is off.
    pub fn absolute_url(&self, page: &str) -> Result<String, Error> {
        self.link(page).map(|link| self.site.absolute(link.path))
    }

    fn link(&self, page: &str) -> Result<&'static Link, Error> {
        let mut links = self.site.features().flat_map(|feature| feature.links);
        links.find(|link| link.name == page).ok_or(Error::NotFound)
    }

    /// Where the site is reached, without a slash at the end.
    pub fn base_url(&self) -> &str {
        self.site.base_url.as_str().trim_end_matches('/')
    }

    /// `next` if it leads to a page of this site, else `otherwise`.
    pub fn safe_redirect(&self, next: Option<&str>, otherwise: &str) -> String {
        let asked = next.and_then(|next| self.site.http.redirects.allowed(next));
        asked.unwrap_or_else(|| Target::local(otherwise)).into()
    }

    /// The store, which reads accounts and roles.
    pub fn store(&self) -> &Store {
        &self.site.store
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Auth<'r> {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        match request.rocket().state::<Arc<Site>>() {
            Some(site) => Outcome::Success(Self {
                request,
                site,
                browser: Browser::of(request, &site.http),
                client: ClientInfo::of(request, &site.http),
            }),
            None => {
                let error = Error::Broken("`Security` is not attached".into());
                Outcome::Error((refusal::remember(request, &error), error))
            }
        }
    }
}

impl Sentinel for Auth<'_> {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        rocket.state::<Arc<Site>>().is_none()
    }
}
