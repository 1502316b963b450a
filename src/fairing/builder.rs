//! What an application can give for all of it. What it gives for one feature stands with that feature.

use std::{future::Future, sync::Arc};

use rocket::Request;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tera::Tera;
use validator::Validate;

use crate::{
    accounts::Accounts,
    events::{Event, Subscriber},
    factors::{MfaPolicy, phone::PhoneParser, recovery::RecoveryCodes, totp::TotpProvider},
    identity::{EmailPolicy, UsernamePolicy},
    notify::{mailer::Mailer, sms::SmsSender},
    secrets::{Hasher, PasswordPolicy},
    store::{Conn, Store, StoreError, User},
    types::{Clock, SharedClock, Timestamp},
    web::{
        fields::{ExtraFields, Form},
        security::{Security, Seed},
    },
};

impl Security {
    /// Sends mails by the application's own means.
    pub fn mailer(self, mailer: impl Mailer) -> Self {
        self.with(|parts| parts.mailer = Some(Arc::new(mailer)))
    }

    /// Sends text messages by the application's own means.
    pub fn sms(self, sender: impl SmsSender) -> Self {
        self.with(|parts| parts.sms = Some(Arc::new(sender)))
    }

    /// Reads phone numbers by the application's own rules instead of `[security.sms]`'s region.
    pub fn phone_parser(self, parser: impl PhoneParser) -> Self {
        self.with(|parts| parts.phones = Some(Arc::new(parser)))
    }

    /// Makes and checks codes of authenticator apps otherwise.
    pub fn totp(self, provider: impl TotpProvider) -> Self {
        self.with(|parts| parts.totp = Some(Arc::new(provider)))
    }

    /// Makes and reads recovery codes otherwise.
    pub fn recovery_codes(self, codes: impl RecoveryCodes) -> Self {
        self.with(|parts| parts.recovery_codes = Some(Arc::new(codes)))
    }

    /// Decides who must have a second factor, beside what `[security.two_factor]` says.
    pub fn mfa_policy(self, policy: impl MfaPolicy) -> Self {
        self.with(|parts| parts.mfa_policy = Some(Arc::new(policy)))
    }

    /// Hears of everything that happens. A subscriber runs on its own, delays nothing and harms nothing.
    ///
    /// ```
    /// use rocket_security::{EventKind, Security};
    /// let security = Security::default().on(|event| async move {
    ///     if let EventKind::Locked { user, .. } = &event.kind {
    ///         println!("locked: {user:?}");
    ///     }
    /// });
    /// ```
    pub fn on<F, T>(self, subscriber: F) -> Self
    where
        F: Fn(Event) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let subscriber: Subscriber = Arc::new(move |event| Box::pin(subscriber(event)));
        self.with(|parts| parts.subscribers.push(subscriber))
    }

    /// Runs once at each launch, when the tables are there and before the first request: for roles and accounts
    /// that must exist. It is not run by commands. An error stops the launch.
    ///
    /// An [`Accounts`], a [`Store`] and a [`Hasher`] are also managed by Rocket: `rocket.state::<Accounts>()` answers
    /// after ignition, and in a fairing that is attached after this one.
    ///
    /// ```
    /// use rocket_security::{EmailAddress, NewUser, Password, Security, StoreError};
    ///
    /// let security = Security::default().seed(|accounts, hasher| async move {
    ///     accounts.find_or_create_role("admin").await?;
    ///     let email = EmailAddress::parse("root@example.com").map_err(|_| StoreError::Missing)?;
    ///     if accounts.store().find_user_by_email(&email).await?.is_none() {
    ///         let password = Password::parse("correct horse battery staple")
    ///             .map_err(|_| StoreError::Missing)?;
    ///         let hash = hasher
    ///             .hash(&password)
    ///             .await
    ///             .map_err(|error| StoreError::Refused(error.to_string()))?;
    ///         let user = accounts
    ///             .create_user(NewUser::new(email).confirmed(true).password(hash))
    ///             .await?;
    ///         accounts.add_role_to_user(&user.id, "admin").await?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn seed<F, T>(self, hook: F) -> Self
    where
        F: FnOnce(Accounts, Hasher) -> T + Send + 'static,
        T: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let hook: Seed = Box::new(move |accounts, hasher| Box::pin(hook(accounts, hasher)));
        self.with(|parts| parts.seeds.push(hook))
    }

    /// Runs inside the transaction that makes an account: fills the application's own columns, or refuses
    /// the whole registration by an error. It runs for every new account: registration, sign-up by passkey or
    /// provider, invitation, and the command `users create`. `extra` holds what [`fields`](Self::fields) let in.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use rocket_security::Security;
    /// diesel::table! { users (id) { id -> Text, nickname -> Nullable<Text>, } }
    /// let security = Security::default().on_register(|conn, user, extra| {
    ///     let nickname = extra.get("nickname").and_then(|value| value.as_str());
    ///     diesel::update(users::table.find(user.id.as_str()))
    ///         .set(users::nickname.eq(nickname))
    ///         .execute(conn)?;
    ///     Ok(())
    /// });
    /// ```
    pub fn on_register<F>(self, hook: F) -> Self
    where
        F: Fn(&mut Conn, &User, &Map<String, Value>) -> Result<(), StoreError>
            + Send
            + Sync
            + 'static,
    {
        self.with(|parts| parts.hooks.on_register = Some(Arc::new(hook)))
    }

    /// Adds the fields of `F` to a form: shown, decoded from urlencoded and JSON, validated.
    ///
    /// The default of each field says how it is shown: text, number or box.
    ///
    /// ```
    /// use rocket_security::{Form, Security};
    /// use serde::{Deserialize, Serialize};
    /// use validator::Validate;
    ///
    /// #[derive(Default, Serialize, Deserialize, Validate)]
    /// struct Extra {
    ///     #[validate(length(max = 50))]
    ///     nickname: String,
    ///     newsletter: bool,
    /// }
    /// let security = Security::default().fields::<Extra>(Form::Register);
    /// ```
    pub fn fields<F>(self, form: Form) -> Self
    where
        F: Default + Serialize + DeserializeOwned + Validate + 'static,
    {
        self.with(|parts| {
            parts.hooks.fields.insert(form.id(), ExtraFields::of::<F>());
        })
    }

    /// When the token of an account ends at the latest; only ever sooner than the setting says.
    pub fn token_expiry(
        self,
        hook: impl Fn(&User) -> Option<Timestamp> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.token_expiry = Some(Arc::new(hook)))
    }

    /// What programs are told of an account, as a JSON object. _Default:_ nothing.
    pub fn user_payload(self, hook: impl Fn(&User) -> Value + Send + Sync + 'static) -> Self {
        self.with(|parts| parts.hooks.user_payload = Some(Arc::new(hook)))
    }

    /// Decides whether a request is answered in JSON. _Default:_ its body is JSON, or it prefers JSON.
    pub fn wants_json(self, hook: impl Fn(&Request<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|parts| parts.hooks.wants_json = Some(Arc::new(hook)))
    }

    /// Wraps each JSON answer. _Default:_ `{"meta": {"code": N}, "response": {..}}`.
    pub fn envelope(self, hook: impl Fn(u16, Value) -> Value + Send + Sync + 'static) -> Self {
        self.with(|parts| parts.hooks.envelope = Some(Arc::new(hook)))
    }

    /// Sends a browser that must sign in elsewhere; `None` is our login page.
    ///
    /// The address is a path of this site, or on a host that `[security.redirects]` allows. Any other is reported in the log and
    /// has no effect.
    pub fn unauthenticated(
        self,
        hook: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.unauthenticated = Some(Arc::new(hook)))
    }

    /// Sends a browser that lacks a role or permission elsewhere; `None` is our page for 403.
    ///
    /// The address is a path of this site, or on a host that `[security.redirects]` allows. Any other is reported in the log and
    /// has no effect.
    pub fn forbidden(
        self,
        hook: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.forbidden = Some(Arc::new(hook)))
    }

    /// Sends a browser that must prove itself again elsewhere; `None` is our page for that.
    ///
    /// The address is a path of this site, or on a host that `[security.redirects]` allows. Any other is reported in the log and
    /// has no effect.
    pub fn reauthenticate(
        self,
        hook: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.reauthenticate = Some(Arc::new(hook)))
    }

    /// Adds values to the context of one page, such as `"security/login/login.html"`, or with `None` of all.
    pub fn context(
        self,
        page: Option<&str>,
        values: impl Fn(&str) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| {
            parts
                .hooks
                .contexts
                .push((page.map(String::from), Arc::new(values)))
        })
    }

    /// Adds values to the context of every mail; the closure is given the mail's name, such as `"welcome"`.
    pub fn mail_context(self, values: impl Fn(&str) -> Value + Send + Sync + 'static) -> Self {
        self.with(|parts| parts.hooks.mail_contexts.push(Arc::new(values)))
    }

    /// Registers the application's own filters and functions for our pages.
    pub fn configure_tera(self, extend: impl Fn(&mut Tera) + Send + Sync + 'static) -> Self {
        self.with(|parts| parts.engines.push(Arc::new(extend)))
    }

    /// Words a message otherwise, in one language.
    ///
    /// ```
    /// let security = rocket_security::Security::default().message("en", "login.title", "Come in");
    /// ```
    pub fn message(self, language: &str, key: &str, text: &str) -> Self {
        self.with(|parts| {
            parts
                .messages
                .push((language.into(), key.into(), text.into()))
        })
    }

    /// Tells the time otherwise: for tests.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|parts| parts.clock = Some(SharedClock::new(clock)))
    }

    /// Keeps everything in a store that the application made, on a pool of its own.
    pub fn store(self, store: Store) -> Self {
        self.with(|parts| parts.store = Some(store))
    }

    /// Judges new passwords by the application's own rules instead of `[security.passwords]`.
    pub fn password_policy(self, policy: impl PasswordPolicy) -> Self {
        self.with(|parts| parts.passwords = Some(Arc::new(policy)))
    }

    /// Judges e-mail addresses by the application's own rules instead of `[security.emails]`.
    pub fn email_policy(self, policy: impl EmailPolicy) -> Self {
        self.with(|parts| parts.emails = Some(Arc::new(policy)))
    }

    /// Judges usernames by the application's own rules instead of `[security.usernames]`.
    pub fn username_policy(self, policy: impl UsernamePolicy) -> Self {
        self.with(|parts| parts.usernames = Some(Arc::new(policy)))
    }
}
