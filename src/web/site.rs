//! Everything a request needs, made once at launch.

use std::{fmt, sync::Arc};

use rocket::{Request, http::uri::Origin, tokio::sync::Semaphore};

#[cfg(feature = "passkeys")]
use crate::store::passkeys;
use crate::{
    error::Error,
    events::{Client, EventKind, Events},
    factors::{MfaPolicy, phone::PhoneParser, recovery::RecoveryCodes, totp::TotpProvider},
    features,
    http::cookies::CookieNames,
    identity::{EmailAddress, EmailPolicy, UsernamePolicy},
    notify::{
        mail::{Mailbox, Mailer},
        outbox::Courier,
        sms::SmsSender,
    },
    secrets::{Hasher, Keys, PasswordPolicy},
    settings::{RedirectRules, Settings, Strictness, Transport},
    store::{
        Store, StoreError,
        factors::FactorRow,
        touches::{KeyUses, Touches},
        users::EndsWithPassword,
    },
    templates::views::Views,
    types::{Clock, FactorKind, Message, SharedClock, Timestamp, UserId},
    web::{feature::Feature, hooks::Hooks, routes::Routes},
};

/// The running state behind the fairing.
pub(crate) struct Site {
    pub(crate) settings: Settings,
    pub(crate) strictness: Strictness,
    pub(crate) base_url: url::Url,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) hasher: Hasher,
    /// How many registrations may wait for a hash at once: a part of the queue, the rest is for sign-in.
    pub(crate) registering: Semaphore,
    pub(crate) passwords: Arc<dyn PasswordPolicy>,
    pub(crate) emails: Arc<dyn EmailPolicy>,
    pub(crate) usernames: Arc<dyn UsernamePolicy>,
    pub(crate) clock: SharedClock,
    pub(crate) events: Events,
    pub(crate) mailer: Arc<dyn Mailer>,
    /// The transport behind the mailer; none if the application brought a mailer of its own.
    pub(crate) transport: Option<Transport>,
    /// The sender of every mail.
    pub(crate) sender: String,
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) courier: Courier,
    pub(crate) sms: Option<Arc<dyn SmsSender>>,
    pub(crate) phones: Arc<dyn PhoneParser>,
    pub(crate) totp: Arc<dyn TotpProvider>,
    pub(crate) recovery_codes: Arc<dyn RecoveryCodes>,
    /// What is done with authenticators, where passkeys are on.
    #[cfg(feature = "passkeys")]
    pub(crate) passkeys: Option<crate::factors::passkey::Ceremonies>,
    /// Where accounts elsewhere are, that open ours.
    #[cfg(feature = "social")]
    pub(crate) social: crate::social::Providers,
    /// Who must have a second factor, where anybody must.
    pub(crate) mfa_policy: Option<Arc<dyn MfaPolicy>>,
    pub(crate) views: Views,
    pub(crate) redirects: RedirectRules,
    pub(crate) cookies: CookieNames,
    pub(crate) touches: Touches,
    pub(crate) key_uses: KeyUses,
    pub(crate) hooks: Hooks,
    pub(crate) routes: Routes,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Site {
    /// The site of this request.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> Result<&'r Self, Error> {
        let site = request.rocket().state::<Arc<Self>>().map(Arc::as_ref);
        site.ok_or_else(|| Error::Broken("`Security` is not attached".into()))
    }

    /// Judges an address that an account is to get, at whatever route or command: it must be one that mails can
    /// be sent to, and the application's [`EmailPolicy`] must allow it.
    pub(crate) fn accept_email(&self, email: &EmailAddress) -> Result<(), Message> {
        if email.is_international() && !self.settings.emails.international {
            return Err(Message::new("email.international"));
        }
        self.emails.check(email)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What else ends with a password that its owner changes.
    pub(crate) fn ends_with_password(&self) -> EndsWithPassword {
        EndsWithPassword {
            tokens: self.settings.tokens.end_with_password,
            api_keys: self.settings.api_keys.end_with_password,
        }
    }

    pub(crate) fn event(&self, client: Option<&Client>, kind: EventKind) {
        self.events.emit(self.now(), client.cloned(), kind);
    }

    /// The name of a transport by which mails reach nobody, if it is the one that is set.
    pub(crate) fn dead_end(&self) -> Option<&'static str> {
        match self.transport? {
            Transport::Console => Some("console"),
            Transport::None => Some("none"),
            Transport::Smtp | Transport::File => None,
        }
    }

    /// The features that are on.
    pub(crate) fn features(&self) -> impl Iterator<Item = &'static Feature> {
        features::ALL
            .iter()
            .filter(|feature| (feature.is_on)(&self.settings, self.strictness))
            .copied()
    }

    /// One of our own paths, under the prefix: `path("/login")`.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.settings.url_prefix)
    }

    /// Whether passkeys are there.
    pub(crate) fn has_passkeys(&self) -> bool {
        #[cfg(feature = "passkeys")]
        return self.passkeys.is_some();
        #[cfg(not(feature = "passkeys"))]
        false
    }

    /// Whether passkeys are there that sign in without anything else.
    #[cfg(feature = "passkeys")]
    pub(crate) fn passkeys_sign_in(&self) -> bool {
        self.passkeys.is_some() && self.settings.passkeys.first_factor
    }

    /// Whether an account has a passkey with which it could prove it again.
    pub(crate) async fn has_usable_passkey(&self, user: &UserId) -> Result<bool, StoreError> {
        #[cfg(feature = "passkeys")]
        if self.has_passkeys()
            && let Some(usages) = self.settings.passkeys.verify.usages()
        {
            let user = user.clone();
            let usable = move |conn: &mut _| passkeys::usable(conn, &user, Some(usages));
            return Ok(!self.store.read(usable).await?.is_empty());
        }
        let _ = user;
        Ok(false)
    }

    /// The kinds of second factors that are asked for.
    pub(crate) fn counted_factors(&self) -> Counted {
        Counted {
            codes: self.settings.two_factor.enabled,
            passkeys: self.has_passkeys(),
        }
    }

    /// The providers by which somebody may come in.
    pub(crate) fn social_names(&self) -> Vec<String> {
        #[cfg(feature = "social")]
        return self.social.names();
        #[cfg(not(feature = "social"))]
        Vec::new()
    }

    /// What people call the provider of this name, if there is one.
    pub(crate) fn social_label(&self, name: &str) -> Option<String> {
        #[cfg(feature = "social")]
        return self.social.get(name).map(|one| one.label().to_string());
        #[cfg(not(feature = "social"))]
        {
            let _ = name;
            None
        }
    }

    /// The providers by which somebody may prove it again.
    pub(crate) fn social_to_verify(&self) -> Vec<String> {
        #[cfg(feature = "social")]
        if self.settings.social.verify {
            return self.social.names();
        }
        Vec::new()
    }

    /// Where people sign in.
    pub(crate) fn login_path(&self) -> String {
        let unified = &self.settings.unified;
        self.path(match unified.enabled && unified.replaces_login {
            true => "/us-signin",
            false => "/login",
        })
    }

    /// Where people prove it is them.
    pub(crate) fn verify_path(&self) -> String {
        self.path(match self.settings.unified.enabled {
            true => "/us-verify",
            false => "/verify",
        })
    }

    /// The path as the rest of the world sees it, from `base_url` and never from a request.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let base = self.base_url.as_str().trim_end_matches('/');
        format!("{base}{}", self.path(path))
    }
}

/// Which kinds of second factors count here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    codes: bool,
    passkeys: bool,
}

impl Counted {
    pub(crate) fn contains(self, way: &FactorRow) -> bool {
        match way.kind() {
            Some(FactorKind::Passkey) => self.passkeys,
            Some(_) => self.codes,
            None => false,
        }
    }
}

/// The path and query of a request as one text.
pub(crate) fn path_and_query(origin: &Origin<'_>) -> String {
    match origin.query() {
        Some(query) => format!("{}?{query}", origin.path()),
        None => origin.path().to_string(),
    }
}
