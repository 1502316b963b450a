//! What a service needs: settings, clock, keys, the store, and the means to notify people. It knows no request.

use std::{fmt, ops::Deref, sync::Arc};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{
    factors::{
        self,
        context::FactorContext,
        passkey::{self, Ceremonies},
    },
    http::context::HttpContext,
    identity::{EmailAddress, EmailPolicy, UsernamePolicy},
    notify::context::NotifyContext,
    secrets::{Hasher, PasswordPolicy},
    settings::{Base, Strictness, Transport},
    social::Providers,
    store::{
        Conn, Store, StoreError, User,
        factors::FactorRow,
        touches::{KeyUses, Touches},
        users::EndsWithPassword,
    },
    templates::views::Views,
    types::{Message, Path, Timestamp, UserId},
};

/// What the application does inside the transaction that makes an account.
pub(crate) type OnRegister =
    Arc<dyn Fn(&mut Conn, &User, &Map<String, Value>) -> Result<(), StoreError> + Send + Sync>;

/// When a token for an account runs out, as the application has it.
pub(crate) type TokenExpiry = Arc<dyn Fn(&User) -> Option<Timestamp> + Send + Sync>;

/// What signing in and everything about accounts needs, made once at launch.
pub(crate) struct Core {
    pub(crate) base: Arc<Base>,
    /// What requests and answers need of it.
    pub(crate) http: HttpContext,
    pub(crate) factors: FactorContext,
    pub(crate) notify: Arc<NotifyContext>,
    pub(crate) strictness: Strictness,
    pub(crate) store: Store,
    pub(crate) hasher: Hasher,
    /// How many registrations may wait for a hash at once: a part of the queue, the rest is for sign-in.
    pub(crate) registering: Semaphore,
    pub(crate) passwords: Arc<dyn PasswordPolicy>,
    pub(crate) emails: Arc<dyn EmailPolicy>,
    pub(crate) usernames: Arc<dyn UsernamePolicy>,
    /// The transport behind the mailer; none if the application brought a mailer of its own.
    pub(crate) transport: Option<Transport>,
    /// What is done with authenticators, where passkeys are on.
    pub(crate) passkeys: Option<Ceremonies>,
    /// Where accounts elsewhere are, that open ours.
    pub(crate) social: Arc<Providers>,
    pub(crate) views: Arc<Views>,
    pub(crate) touches: Touches,
    pub(crate) key_uses: KeyUses,
    /// What runs inside the transaction that makes an account.
    pub(crate) on_register: Registering,
    /// When tokens of an account run out, if the application says so.
    pub(crate) token_expiry: Option<TokenExpiry>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Deref for Core {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}

impl Core {
    /// Judges an address that an account is to get, at whatever route or command: it must be one that mails can
    /// be sent to, and the application's [`EmailPolicy`] must allow it.
    pub(crate) fn accept_email(&self, email: &EmailAddress) -> Result<(), Message> {
        if email.is_international() && !self.settings.emails.international {
            return Err(Message::new("email.international"));
        }
        self.emails.check(email)
    }

    /// What else ends with a password that its owner changes.
    pub(crate) fn ends_with_password(&self) -> EndsWithPassword {
        EndsWithPassword {
            tokens: self.settings.tokens.end_with_password,
            api_keys: self.settings.api_keys.end_with_password,
        }
    }

    /// The name of a transport by which mails reach nobody, if it is the one that is set.
    pub(crate) fn dead_end(&self) -> Option<&'static str> {
        match self.transport? {
            Transport::Console => Some("console"),
            Transport::None => Some("none"),
            Transport::Smtp | Transport::File => None,
        }
    }

    /// Whether passkeys are there.
    pub(crate) fn has_passkeys(&self) -> bool {
        self.passkeys.is_some()
    }

    /// Whether passkeys are there that sign in without anything else.
    pub(crate) fn passkeys_sign_in(&self) -> bool {
        self.passkeys.is_some() && passkey::signs_in(&self.settings)
    }

    /// Whether an account has a passkey with which it could prove it again.
    pub(crate) async fn has_usable_passkey(&self, user: &UserId) -> Result<bool, StoreError> {
        let usages = passkey::to_verify(&self.settings).filter(|_| self.has_passkeys());
        let Some(usages) = usages else {
            return Ok(false);
        };
        let user = user.clone();
        let usable = move |conn: &mut _| passkey::usable(conn, &user, usages);
        Ok(!self.store.read(usable).await?.is_empty())
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
        self.social.names()
    }

    /// What people call the provider of this name, if there is one.
    pub(crate) fn social_label(&self, name: &str) -> Option<String> {
        self.social.label(name)
    }

    /// The providers by which somebody may prove it again.
    pub(crate) fn social_to_verify(&self) -> Vec<String> {
        self.social.to_verify()
    }

    /// Where people sign in.
    pub(crate) fn login_path(&self) -> String {
        let unified = &self.settings.unified;
        self.path(match unified.enabled && unified.replaces_login {
            true => Path::UsSignin,
            false => Path::Login,
        })
    }

    /// Where people prove it is them.
    pub(crate) fn verify_path(&self) -> String {
        self.path(match self.settings.unified.enabled {
            true => Path::UsVerify,
            false => Path::Verify,
        })
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
        factors::of_row(way).is_some_and(|factor| match factor.takes_code() {
            true => self.codes,
            false => self.passkeys,
        })
    }
}

/// The application's part in making an account, if it has one.
#[derive(Clone)]
pub(crate) struct Registering(pub(crate) Option<OnRegister>);

impl Registering {
    /// Runs it. What it finds taken is of the application's own, whatever its constraints are called.
    pub(crate) fn run(
        &self,
        conn: &mut Conn,
        user: &User,
        extra: &Map<String, Value>,
    ) -> Result<(), StoreError> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(conn, user, extra).map_err(|error| match error {
                StoreError::Taken(_) => StoreError::TakenByApplication,
                error => error,
            }),
        }
    }
}
