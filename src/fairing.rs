//! The fairing: settings checked, tables migrated, routes mounted, refusals caught; all by one attach.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rocket::{
    Build, Orbit, Request, Response, Rocket,
    fairing::{self, Fairing, Info, Kind},
    figment::Figment,
    tokio,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tera::Tera;
use validator::Validate;

use crate::{
    clock::{Clock, SharedClock},
    config::{ConfigError, ReportLevel, Settings, Strictness},
    guards::report,
    http::{
        catchers,
        cookies::Names,
        fields::{ExtraFields, Form},
        page,
        redirect::RedirectRules,
        reply,
        views::{Extend, Views},
    },
    identity::{EmailPolicy, StandardEmailPolicy, StandardUsernamePolicy, UsernamePolicy},
    notify::{
        events::{Event, Events, Subscriber},
        mail::{BuiltIn, Mailbox, Mailer},
    },
    secrets::{Hasher, Keys, PasswordPolicy, Secret, StandardPolicy},
    signin::session::Touches,
    site::Site,
    store::{
        Conn, Dialect, Store, StoreError, Timestamp, User, failures, remember, sessions, tickets,
        tokens,
    },
};

type OnRegister =
    Arc<dyn Fn(&mut Conn, &User, &Map<String, Value>) -> Result<(), StoreError> + Send + Sync>;
type Decide = Arc<dyn Fn(&Request<'_>) -> Option<String> + Send + Sync>;
type TokenExpiry = Arc<dyn Fn(&User) -> Option<Timestamp> + Send + Sync>;
type UserPayload = Arc<dyn Fn(&User) -> Value + Send + Sync>;
type Judge = Arc<dyn Fn(&Request<'_>) -> bool + Send + Sync>;
type Envelope = Arc<dyn Fn(u16, Value) -> Value + Send + Sync>;
type AddContext = Arc<dyn Fn(&str) -> Value + Send + Sync>;

/// The application's own behaviour, where it has any.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_register: Option<OnRegister>,
    pub(crate) fields: HashMap<&'static str, ExtraFields>,
    pub(crate) token_expiry: Option<TokenExpiry>,
    pub(crate) user_payload: Option<UserPayload>,
    pub(crate) wants_json: Option<Judge>,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) unauthenticated: Option<Decide>,
    pub(crate) forbidden: Option<Decide>,
    pub(crate) reauthenticate: Option<Decide>,
    /// Values for one page, or for all.
    pub(crate) contexts: Vec<(Option<String>, AddContext)>,
    pub(crate) mail_contexts: Vec<AddContext>,
}

/// Authentication and authorisation for a Rocket application, by one attach.
///
/// Settings come from `[default.security]` in Rocket.toml (see [`config::Settings`](crate::config::Settings));
/// behaviour is given here.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_security::prelude::*;
///
/// #[launch]
/// fn rocket() -> _ {
///     rocket::build().attach(Security::default())
/// }
/// ```
#[must_use = "a fairing does nothing until it is attached"]
pub struct Security {
    /// Taken at ignition: Rocket hands a fairing out by reference only.
    parts: Mutex<Option<Parts>>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            parts: Mutex::new(Some(Parts::default())),
        }
    }
}

#[derive(Default)]
struct Parts {
    hooks: Hooks,
    subscribers: Vec<Subscriber>,
    mailer: Option<Arc<dyn Mailer>>,
    mailbox: Option<Mailbox>,
    clock: Option<SharedClock>,
    store: Option<Store>,
    passwords: Option<Arc<dyn PasswordPolicy>>,
    emails: Option<Arc<dyn EmailPolicy>>,
    usernames: Option<Arc<dyn UsernamePolicy>>,
    engines: Vec<Extend>,
    messages: Vec<(String, String, String)>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Security")
    }
}

impl Security {
    fn with(self, change: impl FnOnce(&mut Parts)) -> Self {
        if let Some(parts) = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            change(parts);
        }
        self
    }

    /// Sends mails by the application's own means.
    pub fn mailer(self, mailer: impl Mailer) -> Self {
        self.with(|parts| parts.mailer = Some(Arc::new(mailer)))
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

    /// Runs inside the transaction that makes an account: fills the application's own columns, or refuses
    /// the whole registration by an error. `extra` holds what [`fields`](Self::fields) let in.
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
    pub fn unauthenticated(
        self,
        hook: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.unauthenticated = Some(Arc::new(hook)))
    }

    /// Sends a browser that lacks a role or permission elsewhere; `None` is our page for 403.
    pub fn forbidden(
        self,
        hook: impl Fn(&Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|parts| parts.hooks.forbidden = Some(Arc::new(hook)))
    }

    /// Sends a browser that must prove itself again elsewhere; `None` is our page for that.
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
    pub fn engines(self, extend: impl Fn(&mut Tera) + Send + Sync + 'static) -> Self {
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

    /// Keeps a copy of every mail where the application's tests can look.
    #[cfg(any(test, feature = "testing"))]
    pub fn mailbox(self, mailbox: Mailbox) -> Self {
        self.with(|parts| parts.mailbox = Some(mailbox))
    }
}

/// Marks a Rocket that is ignited for a command, not for serving: no migration and no report by itself.
pub(crate) struct ForCommand;

#[rocket::async_trait]
impl Fairing for Security {
    fn info(&self) -> Info {
        Info {
            name: "Security",
            kind: Kind::Ignite | Kind::Liftoff | Kind::Response | Kind::Shutdown | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let parts = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(parts) = parts else {
            log::error!("`Security` was ignited twice; attach a new one to each Rocket");
            return Err(rocket);
        };
        match ignite(parts, &rocket).await {
            Ok(site) => Ok(mount(rocket, Arc::new(site))),
            Err(error) => {
                log::error!("{error}");
                Err(rocket)
            }
        }
    }

    async fn on_liftoff(&self, rocket: &Rocket<Orbit>) {
        if let Some(site) = rocket.state::<Arc<Site>>() {
            tokio::spawn(housekeeping(Arc::downgrade(site)));
            if site.strictness == Strictness::Development {
                introduce(site);
            }
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        reply::finish(request, response);
    }

    async fn on_shutdown(&self, rocket: &Rocket<Orbit>) {
        if let Some(site) = rocket.state::<Arc<Site>>()
            && let Err(error) = site.touches.flush(site).await
        {
            log::warn!("the last uses of sessions were not written: {error}");
        }
    }
}

/// Tells a developer where things are.
fn introduce(site: &Site) {
    let features: Vec<&str> = site.features().map(|feature| feature.name).collect();
    log::info!("security is on: {}", features.join(", "));
    log::info!("the site is at {}", site.base_url);
    if site.store.dialect() == Dialect::Sqlite {
        log::info!("the data is in {}", site.settings.database.url.expose());
    }
    if site.mailbox.is_some() {
        log::info!("mails are shown at {}", site.absolute("/dev/mail"));
    }
    log::info!(
        "an administrator is made by the commands `roles create admin` and `roles add <email> admin`"
    );
}

/// Makes the state, or says in one sentence why not.
async fn ignite(parts: Parts, rocket: &Rocket<Build>) -> Result<Site, ConfigError> {
    let figment = rocket.figment();
    let settings = Settings::from_figment(figment)?;
    let strictness = strictness(&settings, figment);
    let secrets = secrets(&settings, figment, strictness)?;
    let base_url = base_url(&settings, figment, strictness)?;
    let clock = parts.clock.unwrap_or_default();
    let store = match parts.store {
        Some(store) => store,
        None => connect(&settings, clock.clone()).await?,
    };
    let for_command = rocket.state::<ForCommand>().is_some();
    match (settings.database.migrate, for_command) {
        (_, true) => {}
        (true, false) => {
            for name in migrate(&store).await? {
                log::info!("migration applied: {name}");
            }
        }
        (false, false) => {
            let pending = pending(&store).await.map_err(|error| {
                ConfigError(format!("the migrations cannot be listed: {error}"))
            })?;
            if !pending.is_empty() {
                return Err(ConfigError(format!(
                    "the database lacks {}; run the command `migrate`, or set `security.database.migrate` to true",
                    pending.join(", ")
                )));
            }
        }
    }
    let folder = settings
        .template_dir
        .clone()
        .unwrap_or_else(|| template_dir(figment));
    let views = Views::load(folder, parts.engines, parts.messages)?;
    let hasher = Hasher::new(&settings.hashing).map_err(ConfigError)?;
    let passwords = match parts.passwords {
        Some(policy) => policy,
        None => Arc::new(StandardPolicy::new(settings.passwords.clone()).map_err(ConfigError)?),
    };
    let emails = parts.emails.unwrap_or_else(|| {
        let (allow_domains, deny_domains) = (
            settings.emails.allow_domains.clone(),
            settings.emails.deny_domains.clone(),
        );
        Arc::new(StandardEmailPolicy {
            allow_domains,
            deny_domains,
        })
    });
    let usernames = parts
        .usernames
        .unwrap_or_else(|| Arc::new(StandardUsernamePolicy::new(&settings.usernames)));
    let mailer = parts.mailer.unwrap_or_else(|| {
        Arc::new(BuiltIn {
            settings: settings.mail.clone(),
        })
    });
    let development = strictness == Strictness::Development && settings.dev_mail.enabled;
    let mailbox = parts.mailbox.or_else(|| development.then(Mailbox::default));
    let site = Site {
        redirects: RedirectRules::new(&settings.redirects, Some(&base_url)),
        cookies: Names::new(base_url.scheme() == "https", &settings.session.cookie),
        keys: Keys::new(&secrets),
        events: Events::start(parts.subscribers),
        touches: Touches::default(),
        registering: tokio::sync::Semaphore::new((settings.hashing.queue / 2).max(1)),
        hooks: parts.hooks,
        routes: report::Routes::default(),
        strictness,
        base_url,
        store,
        hasher,
        passwords,
        emails,
        usernames,
        clock,
        mailer,
        mailbox,
        views,
        settings,
    };
    try_pages(&site)?;
    if !for_command {
        return report_routes(site, rocket).await;
    }
    Ok(site)
}

/// Debug build, a loopback address, no proxy before it and no address elsewhere: a developer at work.
/// Anything else is taken for real.
fn strictness(settings: &Settings, figment: &Figment) -> Strictness {
    let address: std::net::IpAddr = figment
        .extract_inner("address")
        .unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
    let base = settings.base_url.as_deref().map(url::Url::parse);
    let elsewhere = base.is_some_and(|url| !url.is_ok_and(|url| is_local(&url)));
    let at_work = cfg!(debug_assertions)
        && address.is_loopback()
        && settings.trusted_proxies.is_empty()
        && !elsewhere;
    if at_work {
        Strictness::Development
    } else {
        Strictness::Production
    }
}

fn is_local(url: &url::Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Known to everybody who can read this; good for a developer's own machine only.
pub(crate) const DEVELOPMENT_SECRET: &str =
    "rocket_security: this key is public and for development only";

fn secrets(
    settings: &Settings,
    figment: &Figment,
    strictness: Strictness,
) -> Result<Vec<Secret<Vec<u8>>>, ConfigError> {
    let own = settings
        .secret
        .as_ref()
        .map(|secrets| secrets.0.as_slice())
        .unwrap_or_default();
    for secret in own {
        let text = secret.expose();
        if text.len() < 32
            || text
                .chars()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                < 8
        {
            return Err(ConfigError(
                "`security.secret` is too short or too regular to be one; write at least 32 random characters, for example from `openssl rand -base64 32`".into(),
            ));
        }
        if strictness == Strictness::Production && text == DEVELOPMENT_SECRET {
            return Err(ConfigError("`security.secret` is the one for development, which everybody knows; write your own".into()));
        }
    }
    if !own.is_empty() {
        return Ok(own
            .iter()
            .map(|secret| Secret::new(secret.expose().as_bytes().to_vec()))
            .collect());
    }
    if let Some(key) = rocket_key(figment) {
        return Ok(vec![key]);
    }
    match strictness {
        Strictness::Development => Ok(vec![Secret::new(DEVELOPMENT_SECRET.as_bytes().to_vec())]),
        Strictness::Production => Err(ConfigError(
            "`security.secret` is missing; outside of development write at least 32 random characters, for example from `openssl rand -base64 32`, into ROCKET_SECURITY__SECRET".into(),
        )),
    }
}

/// Rocket's own `secret_key`, which its `Config` does not give back: text from TOML or environment, bytes
/// from code; not one that is all zeros, as Rocket's debug default is.
pub(crate) fn rocket_key(figment: &Figment) -> Option<Secret<Vec<u8>>> {
    let text = figment
        .extract_inner::<String>("secret_key")
        .ok()
        .map(String::into_bytes);
    let bytes = text.or_else(|| figment.extract_inner::<Vec<u8>>("secret_key").ok())?;
    let varied = bytes
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
        >= 8;
    (bytes.len() >= 32 && varied).then(|| Secret::new(bytes))
}

fn base_url(
    settings: &Settings,
    figment: &Figment,
    strictness: Strictness,
) -> Result<url::Url, ConfigError> {
    let text = match (&settings.base_url, strictness) {
        (Some(text), _) => text.clone(),
        (None, Strictness::Development) => {
            let port: u16 = figment.extract_inner("port").unwrap_or(8000);
            format!("http://localhost:{port}")
        }
        (None, Strictness::Production) => {
            return Err(ConfigError(
                "`security.base_url` is missing; outside of development write where the site is reached, such as \"https://example.com\"".into(),
            ));
        }
    };
    let url = url::Url::parse(&text).map_err(|error| {
        ConfigError(format!(
            "`security.base_url` is `{text}`, which is not a URL: {error}"
        ))
    })?;
    let local = is_local(&url);
    if url.scheme() == "http" && !local && strictness == Strictness::Production {
        return Err(ConfigError(format!(
            "`security.base_url` is `{text}`, over which cookies can be read on the way; write \"https://..\""
        )));
    }
    Ok(url)
}

pub(crate) fn template_dir(figment: &Figment) -> PathBuf {
    use rocket::figment::value::magic::RelativePathBuf;
    figment
        .extract_inner::<RelativePathBuf>("template_dir")
        .map(|path| path.relative())
        .unwrap_or_else(|_| PathBuf::from("templates"))
}

/// Connects by the settings; for SQLite, makes the folder of its file.
pub(crate) async fn connect(settings: &Settings, clock: SharedClock) -> Result<Store, ConfigError> {
    let url = settings.database.url.expose().clone();
    if Dialect::of(&url) == Dialect::Sqlite
        && let Some(folder) = std::path::Path::new(url.trim_start_matches("sqlite://")).parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder).map_err(|error| {
            ConfigError(format!(
                "`security.database.url`: the folder {} cannot be made: {error}",
                folder.display()
            ))
        })?;
    }
    let url = url.trim_start_matches("sqlite://").to_string();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let size = settings
        .database
        .connections
        .unwrap_or((cores * 2).max(4) as u32);
    let patience = settings.database.patience.as_duration();
    tokio::task::spawn_blocking(move || Store::connect(&url, size, patience, clock))
        .await
        .map_err(|error| ConfigError(error.to_string()))?
        .map_err(|error| ConfigError(format!("`security.database.url`: {error}")))
}

/// Applies what is pending and names it. Of two servers that start at once one is faster; the other
/// waits until it is done.
pub(crate) async fn migrate(store: &Store) -> Result<Vec<String>, ConfigError> {
    let mut tries = 5;
    loop {
        let outcome = store
            .read(|conn| {
                conn.migrate()
                    .map_err(|error| StoreError::Refused(error.to_string()))
            })
            .await;
        match outcome {
            Ok(applied) => return Ok(applied),
            Err(_) if tries > 0 && matches!(pending(store).await.as_deref(), Ok([])) => {
                return Ok(Vec::new());
            }
            Err(_) if tries > 0 => {
                tries -= 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                return Err(ConfigError(format!(
                    "the migrations cannot be applied: {error}"
                )));
            }
        }
    }
}

/// Names of the migrations that the database lacks.
pub(crate) async fn pending(store: &Store) -> Result<Vec<String>, StoreError> {
    store
        .read(|conn| {
            conn.pending_migrations()
                .map_err(|error| StoreError::Broken(error.to_string()))
        })
        .await
}

/// Renders every template once, so that a broken override is found now and not by a visitor.
fn try_pages(site: &Site) -> Result<(), ConfigError> {
    let shared = page::shared(site, "en", "/", None);
    for (name, own) in crate::http::views::samples(site.features()) {
        let mut context = shared.clone();
        for (key, value) in [
            ("csrf_token", "token".into()),
            (
                "messages",
                serde_json::json!([{"kind": "info", "text": "A message"}]),
            ),
            ("page", serde_json::json!({"name": name})),
            (
                "user",
                serde_json::json!({"id": "1", "email": "a@example.com", "username": null, "display": "a"}),
            ),
        ] {
            context.insert(key.into(), value);
        }
        for (page, add) in &site.hooks.contexts {
            if page.as_deref().is_none_or(|page| page == name)
                && let Value::Object(values) = add(name)
            {
                context.extend(values);
            }
        }
        if let Value::Object(own) = own {
            context.extend(own);
        }
        site.views.try_render(name, &context).map_err(|error| {
            let path = site.views.path_of(name);
            let place = if path.exists() {
                path.display().to_string()
            } else {
                name.to_string()
            };
            ConfigError(format!("the template {place} cannot be rendered: {error}"))
        })?;
    }
    Ok(())
}

async fn report_routes(mut site: Site, rocket: &Rocket<Build>) -> Result<Site, ConfigError> {
    let ours = ours(&site);
    let own = report::inspect(rocket.routes(), &site.settings.report.public).await;
    let theirs = report::inspect(ours.iter(), &[]).await;
    let level = site.settings.report.unguarded;
    let mut sentences = Vec::new();
    if !own.unguarded.is_empty() {
        sentences.push(format!(
            "these routes carry no guard: {}; add `SignedIn`, `Require<..>` or `Public`, or list them in `security.report.public`",
            own.unguarded.join(", ")
        ));
    }
    if !own.unchecked.is_empty() {
        sentences.push(format!(
            "these routes write without a CSRF check: {}; take the body as `Input<..>`",
            own.unchecked.join(", ")
        ));
    }
    match level {
        ReportLevel::Off => {}
        ReportLevel::Warn => sentences
            .iter()
            .for_each(|sentence| log::warn!("{sentence}")),
        ReportLevel::Error if sentences.is_empty() => {}
        ReportLevel::Error => {
            return Err(ConfigError(format!(
                "`security.report.unguarded` is \"error\": {}",
                sentences.join("; ")
            )));
        }
    }
    site.routes = own.joined(theirs);
    Ok(site)
}

/// Our routes as they will be mounted.
fn ours(site: &Site) -> Vec<rocket::Route> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    let rocket = rocket::custom(rocket::Config {
        log_level: rocket::config::LogLevel::Off,
        ..Default::default()
    });
    let level = log::max_level();
    let rocket = site.features().fold(rocket, |rocket, feature| {
        rocket.mount(base.to_string(), (feature.routes)())
    });
    log::set_max_level(level);
    rocket.routes().cloned().collect()
}

fn mount(mut rocket: Rocket<Build>, site: Arc<Site>) -> Rocket<Build> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    for feature in site.features() {
        rocket = rocket.mount(base.to_string(), (feature.routes)());
    }
    let missing = catchers::missing(rocket.catchers());
    rocket
        .register("/", missing)
        .manage(site.store.clone())
        .manage(site)
}

/// Seconds between writing down uses of sessions.
const FLUSH: Duration = Duration::from_secs(5);
/// Rounds of flushing between two rounds of deleting what has run out: ten minutes.
const SWEEP: u32 = 120;

/// Writes down uses of sessions, and deletes what has run out, as long as the site lives.
async fn housekeeping(site: std::sync::Weak<Site>) {
    let mut round: u32 = 0;
    loop {
        tokio::time::sleep(FLUSH).await;
        let Some(site) = site.upgrade() else { return };
        if let Err(error) = site.touches.flush(&site).await {
            log::warn!("uses of sessions were not written: {error}");
        }
        if round.is_multiple_of(SWEEP)
            && let Err(error) = sweep(&site).await
        {
            log::warn!("what has run out was not deleted: {error}");
        }
        round = round.wrapping_add(1);
    }
}

/// Deletes sessions, devices, tokens, tickets and counters that have run out.
pub(crate) async fn sweep(site: &Site) -> Result<(), StoreError> {
    let (now, settings) = (site.now(), &site.settings);
    let (idle, window) = (
        now.before(settings.session.idle),
        now.before(settings.limits.window),
    );
    site.store
        .write(move |conn| {
            sessions::delete_expired(conn, now, idle)?;
            remember::delete_expired(conn, now)?;
            tokens::delete_expired(conn, now)?;
            tickets::delete_expired(conn, now)?;
            failures::delete_expired(conn, window, now)
        })
        .await
}
