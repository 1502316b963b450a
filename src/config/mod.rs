//! Settings: `[default.security]` in Rocket.toml, a table per feature, and
//! `ROCKET_SECURITY__<TABLE>__<KEY>` in the environment, or with `_FILE` behind it the name of a file that holds
//! the text.
//!
//! Profiles work as in any Rocket application. An unknown key, a contradiction or a missing secret
//! stops the launch with one sentence that says which key it is and what to write instead.

mod environment;
mod nearest;

use std::{fmt, num::NonZeroU32, path::PathBuf};

use ipnet::IpNet;
use rocket::figment::Figment;
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "cli")]
pub(crate) use self::environment::told;
pub(crate) use self::nearest::nearest;
#[cfg(feature = "passkeys")]
pub use crate::features::passkeys::{PasskeySettings, PasskeyVerify};
#[cfg(feature = "social")]
pub use crate::features::social::{ProviderKind, ProviderSettings, ResponseMode, SocialSettings};
pub use crate::types::Life;
pub use crate::{
    factors::totp::TotpSettings,
    features::{
        api_keys::ApiKeySettings,
        change_email::ChangeEmailSettings,
        change_password::ChangePasswordSettings,
        change_username::ChangeUsernameSettings,
        confirm::ConfirmSettings,
        dev_mail::DevMailSettings,
        invite::InviteSettings,
        login::LoginSettings,
        logout::LogoutSettings,
        passwordless::PasswordlessSettings,
        recover::RecoverSettings,
        recover_username::RecoverUsernameSettings,
        recovery_codes::RecoveryCodesSettings,
        refresh_tokens::{RefreshMode, RefreshTokenSettings},
        register::RegisterSettings,
        sessions::SessionsSettings,
        two_factor::TwoFactorSettings,
        unified::UnifiedSettings,
        unlock::UnlockSettings,
        verify::VerifySettings,
    },
    http::{
        address::ForwardedHeader, csrf::CsrfSettings, headers::HeaderSettings,
        redirect::RedirectSettings,
    },
    identity::{IdentityKind, UsernameSettings},
    notify::{
        mail::{Encryption, MailParts, MailSettings, Transport},
        sms::{SmsSettings, SmsTransport},
    },
    secrets::{BreachCheck, HashingSettings, PolicySettings},
    signin::{limits::LimitSettings, remember::RememberSettings, session::SessionSettings},
};
use crate::{http::redirect::RedirectRules, secrets::Secret};

/// `[security]`: everything that can be set without code.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The application's secret, at least 32 characters, or a list of them: the first signs, the others
    /// still verify while keys are being changed. All keys are derived from it. Absent, Rocket's own
    /// `secret_key` is used. _Default:_ none; required outside debug builds.
    pub secret: Option<Secrets>,
    /// Where the site is reached, such as `"https://example.com"`. Mailed links, cookies and redirects
    /// follow it and never the request. _Default:_ `http://localhost:<port>` in debug; required outside.
    pub base_url: Option<String>,
    /// The name of the site in pages and mails. _Default:_ `"Rocket"`.
    pub site_name: SiteName,
    /// A prefix for all our routes, such as `"/account"`. _Default:_ `""`.
    pub url_prefix: String,
    /// What people may sign in with, in order of recognition: `"email"`, `"username"`.
    /// _Default:_ `["email"]`.
    pub identities: Identities,
    /// Whether answers hide who has an account: equal bodies in equal time. `false` tells people more,
    /// attackers too. _Default:_ `true`.
    pub generic_answers: On,
    /// Proxies whose forwarded header is believed, as addresses or networks: `["127.0.0.1", "10.0.0.0/8"]`.
    /// _Default:_ none.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name the client: `"x-forwarded-for"`, `"forwarded"` or
    /// `"x-real-ip"`. _Default:_ `"x-forwarded-for"`.
    pub forwarded_header: ForwardedHeader,
    /// The folder with the application's templates. _Default:_ Rocket's `template_dir`, `"templates"`.
    pub template_dir: Option<PathBuf>,
    /// `[security.database]`.
    pub database: DatabaseSettings,
    /// `[security.session]`.
    pub session: SessionSettings,
    /// `[security.remember]`.
    pub remember: RememberSettings,
    /// `[security.freshness]`.
    pub freshness: FreshnessSettings,
    /// `[security.limits]`.
    pub limits: LimitSettings,
    /// `[security.tokens]`.
    pub tokens: TokenSettings,
    /// `[security.basic]`.
    pub basic: BasicSettings,
    /// `[security.csrf]`.
    pub csrf: CsrfSettings,
    /// `[security.redirects]`.
    pub redirects: RedirectSettings,
    /// `[security.after]`.
    pub after: AfterSettings,
    /// `[security.spa]`.
    pub spa: SpaSettings,
    /// `[security.headers]`.
    pub headers: HeaderSettings,
    /// `[security.hashing]`.
    pub hashing: HashingSettings,
    /// `[security.passwords]`.
    pub passwords: PolicySettings,
    /// `[security.usernames]`.
    pub usernames: UsernameSettings,
    /// `[security.emails]`.
    pub emails: EmailSettings,
    /// `[security.mail]`.
    pub mail: MailSettings,
    /// `[security.report]`.
    pub report: ReportSettings,
    /// `[security.login]`.
    pub login: LoginSettings,
    /// `[security.logout]`.
    pub logout: LogoutSettings,
    /// `[security.register]`.
    pub register: RegisterSettings,
    /// `[security.verify]`.
    pub verify: VerifySettings,
    /// `[security.sessions]`.
    pub sessions: SessionsSettings,
    /// `[security.confirm]`.
    pub confirm: ConfirmSettings,
    /// `[security.recover]`.
    pub recover: RecoverSettings,
    /// `[security.recover_username]`.
    pub recover_username: RecoverUsernameSettings,
    /// `[security.change_password]`.
    pub change_password: ChangePasswordSettings,
    /// `[security.change_email]`.
    pub change_email: ChangeEmailSettings,
    /// `[security.change_username]`.
    pub change_username: ChangeUsernameSettings,
    /// `[security.passwordless]`.
    pub passwordless: PasswordlessSettings,
    /// `[security.unlock]`.
    pub unlock: UnlockSettings,
    /// `[security.invite]`.
    pub invite: InviteSettings,
    /// `[security.two_factor]`.
    pub two_factor: TwoFactorSettings,
    /// `[security.recovery_codes]`.
    pub recovery_codes: RecoveryCodesSettings,
    /// `[security.unified]`.
    pub unified: UnifiedSettings,
    /// `[security.passkeys]`.
    #[cfg(feature = "passkeys")]
    pub passkeys: PasskeySettings,
    /// `[security.social]`.
    #[cfg(feature = "social")]
    pub social: SocialSettings,
    /// `[security.refresh_tokens]`.
    pub refresh_tokens: RefreshTokenSettings,
    /// `[security.api_keys]`.
    pub api_keys: ApiKeySettings,
    /// `[security.totp]`.
    pub totp: TotpSettings,
    /// `[security.sms]`.
    pub sms: SmsSettings,
    /// `[security.dev_mail]`.
    pub dev_mail: DevMailSettings,
}

/// Networks, of which one address is the smallest; one alone needs no list.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "write a list of addresses or networks, such as [\"127.0.0.1\", \"10.0.0.0/8\"]"
    )]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let written = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => text.split(',').map(String::from).collect(),
        OneOrMany::Many(texts) => texts,
    };
    let network = |text: &String| {
        let text = text.trim();
        let network = text.parse::<IpNet>().ok();
        let alone = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        network.or_else(alone).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is neither an address nor a network; write for example \"127.0.0.1\" or \"10.0.0.0/8\""
            ))
        })
    };
    written.iter().map(network).collect()
}

/// One secret, or several of which the first is current.
#[derive(Clone, Debug)]
pub struct Secrets(pub(crate) Vec<Secret<String>>);

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a secret is a text, or a list of texts, in quotes"
        )]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => vec![Secret::new(one)],
            OneOrMany::Many(many) => many.into_iter().map(Secret::new).collect(),
        }))
    }
}

/// A setting whose default is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct On(pub bool);

impl Default for On {
    fn default() -> Self {
        Self(true)
    }
}

/// The name of the site.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SiteName(pub String);

impl Default for SiteName {
    fn default() -> Self {
        Self("Rocket".into())
    }
}

/// What people may sign in with.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Identities(pub Vec<IdentityKind>);

impl Default for Identities {
    fn default() -> Self {
        Self(vec![IdentityKind::Email])
    }
}

/// `[security.database]`: where everything is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// A file for SQLite, or `postgres://..`, or `mysql://..` and `mariadb://..`. An empty one and any other scheme
    /// stop the launch. _Default:_ `"data/security.db"`.
    pub url: Secret<String>,
    /// Connections kept. _Default:_ twice the cores, at least 4.
    pub connections: Option<u32>,
    /// How long a request waits for a connection before it gets 503. _Default:_ 5 s.
    pub patience: Life,
    /// Whether pending migrations are applied at launch; otherwise by `migrate`. _Default:_ `true`.
    pub migrate: bool,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("data/security.db".into()),
            connections: None,
            patience: Life::seconds(5),
            migrate: true,
        }
    }
}

/// `[security.freshness]`: how long a sign-in counts as fresh.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FreshnessSettings {
    /// How long after the last proof. `-1` turns all checks of freshness and `/verify` off.
    /// _Default:_ 24 h.
    pub within: FreshWithin,
    /// How much longer for somebody in the middle of it, at most twice in a row; 0 for none.
    /// _Default:_ 1 h.
    pub grace: Life,
    /// Whether an authentication token can be fresh. _Default:_ `true`.
    pub allow_tokens: bool,
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self {
            within: FreshWithin(Some(Life::hours(24))),
            grace: Life::hours(1),
            allow_tokens: true,
        }
    }
}

/// How long a sign-in counts as fresh, or `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshWithin(pub Option<Life>);

impl Serialize for FreshWithin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(life) => life.serialize(serializer),
            None => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for FreshWithin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "write a length of time such as \"24h\", or -1")]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(n) if n < 0 => Ok(Self(None)),
            Written::Number(0) => Err(serde::de::Error::custom(
                "nothing is fresh for 0 seconds; write how long, or -1 to turn the check off",
            )),
            Written::Number(n) => Ok(Self(Some(Life::seconds(n.unsigned_abs())))),
            Written::Text(text) => text
                .parse()
                .map(Some)
                .map(Self)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// `[security.tokens]`: authentication tokens for programs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// Whether sign-in gives one to whoever asks with `?include_auth_token`. _Default:_ `true`.
    pub enabled: bool,
    /// How long one lives. _Default:_ 15 min.
    pub life: Life,
    /// How many an account has at once; beyond it the oldest end. _Default:_ 100.
    pub most: NonZeroU32,
    /// Whether one may also come in the query, as `?auth_token=`; it then stands in logs and histories.
    /// _Default:_ `false`.
    pub in_query: bool,
    /// Whether a new password ends all tokens. What came with a refresh token ends with that in either case.
    /// _Default:_ `true`.
    pub end_with_password: bool,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            life: Life::minutes(15),
            most: AT_MOST,
            in_query: false,
            end_with_password: true,
        }
    }
}

/// How many sign-ins of one kind an account has where nobody says.
pub(crate) const AT_MOST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// `[security.basic]`: HTTP Basic authentication (RFC 7617).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicSettings {
    /// Whether every guard accepts Basic, not only those that ask by `Via<Basic>`. _Default:_ `false`.
    pub everywhere: bool,
    /// The realm that browsers show. _Default:_ `"Login Required"`.
    pub realm: String,
}

impl Default for BasicSettings {
    fn default() -> Self {
        Self {
            everywhere: false,
            realm: "Login Required".into(),
        }
    }
}

/// `[security.after]`: where a person goes when a form is done and no `next` says otherwise.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AfterSettings {
    /// After signing in. _Default:_ `"/"`.
    pub login: String,
    /// After signing out. _Default:_ `"/"`.
    pub logout: String,
    /// After registering. _Default:_ `"/"`, or with generic answers, which sign nobody in, our login page.
    pub register: Option<String>,
    /// After confirming the address. _Default:_ `"/"` where that signs in, else our login page.
    pub confirm: Option<String>,
    /// After setting a new password by mail. _Default:_ `"/"` where that signs in, else our login page.
    pub reset: Option<String>,
    /// After changing password, address or username. _Default:_ `"/"`.
    pub change: String,
    /// After changing the address, if not as `change` says. _Default:_ none.
    pub change_email: Option<String>,
    /// After changing the username, if not as `change` says. _Default:_ none.
    pub change_username: Option<String>,
    /// After proving it again. _Default:_ `"/"`.
    pub verify: String,
    /// After setting up or removing a second factor. _Default:_ our page of second factors.
    pub tf_setup: Option<String>,
    /// After setting up or removing a way to sign in. _Default:_ our page of these.
    pub us_setup: Option<String>,
    /// After adding a passkey. _Default:_ our page of passkeys.
    pub wan_register: Option<String>,
    /// Where a link that confirms an address leads if it opens nothing. _Default:_ `/confirm`, where another can
    /// be asked for. With `[security.spa]`, this and the four below are told the reason as `error`.
    pub confirm_error: Option<String>,
    /// The same for the link to a new address. _Default:_ `/change-email`.
    pub change_email_error: Option<String>,
    /// The same for the link to a new password. _Default:_ `/reset`.
    pub reset_error: Option<String>,
    /// The same for a link that signs in. _Default:_ the page that sends such links.
    pub login_error: Option<String>,
    /// Where a second step leads that belongs to no sign-in. _Default:_ our login page.
    pub tf_error: Option<String>,
}

impl AfterSettings {
    /// Where a mailed link leads that opens nothing, by the path at which another is asked for.
    pub(crate) fn error_of(&self, ask: &str) -> Option<&str> {
        match ask {
            "/confirm" => self.confirm_error.as_deref(),
            "/change-email" => self.change_email_error.as_deref(),
            "/reset" => self.reset_error.as_deref(),
            "/login/link" | "/us-signin" => self.login_error.as_deref(),
            _ => None,
        }
    }

    /// All that may be left out, with its name.
    fn optional(&self) -> [(&'static str, &Option<String>); 13] {
        [
            ("after.register", &self.register),
            ("after.confirm", &self.confirm),
            ("after.reset", &self.reset),
            ("after.change_email", &self.change_email),
            ("after.change_username", &self.change_username),
            ("after.tf_setup", &self.tf_setup),
            ("after.us_setup", &self.us_setup),
            ("after.wan_register", &self.wan_register),
            ("after.confirm_error", &self.confirm_error),
            ("after.change_email_error", &self.change_email_error),
            ("after.reset_error", &self.reset_error),
            ("after.login_error", &self.login_error),
            ("after.tf_error", &self.tf_error),
        ]
    }
}

impl Default for AfterSettings {
    fn default() -> Self {
        let home = || String::from("/");
        Self {
            login: home(),
            logout: home(),
            register: None,
            confirm: None,
            reset: None,
            change: home(),
            change_email: None,
            change_username: None,
            verify: home(),
            tf_setup: None,
            us_setup: None,
            wan_register: None,
            confirm_error: None,
            change_email_error: None,
            reset_error: None,
            login_error: None,
            tf_error: None,
        }
    }
}

/// `[security.spa]`: for an application that draws its own pages in the browser.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpaSettings {
    /// Whether redirects lead to the application's views with the outcome in the query: `success`,
    /// `email` and `identity`, or `error` alone. _Default:_ `false`.
    pub enabled: bool,
    /// The view to which somebody is sent who must sign in or prove it again. _Default:_ `"/login"`.
    pub login_view: String,
    /// The view to which mailed links lead, with `purpose` and `token` (or `error`) in the query; it posts
    /// the token back to the link's own path. _Default:_ `"/link"`.
    pub link_view: String,
}

impl Default for SpaSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            login_view: "/login".into(),
            link_view: "/link".into(),
        }
    }
}

/// `[security.emails]`: which addresses may have an account.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailSettings {
    /// Only these domains; with a leading dot, subdomains too. _Default:_ any.
    pub allow_domains: Vec<String>,
    /// Not these domains. _Default:_ none.
    pub deny_domains: Vec<String>,
    /// Accepts addresses with letters beyond ASCII before the `@`, such as `josé@example.com`. Mails to them need
    /// an SMTP server that offers SMTPUTF8 (RFC 6531); `doctor` asks it. Domains beyond ASCII need nothing and
    /// are always accepted. _Default:_ `false`.
    pub international: bool,
}

/// `[security.report]`: the look at every mounted route at launch.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// What a route without a guard, or one that writes without a CSRF check, leads to: `"warn"`,
    /// `"error"` (no launch) or `"off"`. _Default:_ `"warn"`.
    pub unguarded: ReportLevel,
    /// Routes that are public on purpose, as mounted: `"/"`, `"/blog/<slug>"`, `"/static/<path..>"`.
    /// _Default:_ none.
    pub public: Vec<String>,
}

/// What a finding at launch leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportLevel {
    /// A line in the log.
    #[default]
    Warn,
    /// No launch.
    Error,
    /// Nothing.
    Off,
}

/// Why the settings do not do: one sentence that names the key and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl ConfigError {
    /// The sentence without users and passwords of addresses, such as `https://***@example.com`.
    pub(crate) fn without_users(self) -> Self {
        let words = self
            .0
            .split_inclusive(|c: char| c.is_whitespace() || matches!(c, '`' | '"' | '(' | ')'));
        let told = words.map(|word| {
            let Some((before, after)) = word.rsplit_once('@') else {
                return word.to_string();
            };
            match (before.split_once("://"), before.contains(':')) {
                (Some((scheme, _)), _) => format!("{scheme}://***@{after}"),
                (None, true) => format!("***@{after}"),
                (None, false) => word.to_string(),
            }
        });
        Self(told.collect())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Reads the settings as a launch does, from Rocket's own figment and the environment.
    ///
    /// # Errors
    ///
    /// The sentence with which the launch would stop.
    ///
    /// ```
    /// use rocket_security::config::Settings;
    /// let figment = rocket::Config::figment().merge(("security.generic_answer", false));
    /// let sentence = Settings::from_figment(&figment).unwrap_err().to_string();
    /// assert!(sentence.contains("`security.generic_answer`"));
    /// assert!(sentence.contains("did you mean `generic_answers`"));
    /// ```
    pub fn from_figment(figment: &Figment) -> Result<Self, ConfigError> {
        let entries = environment::entries(std::env::vars_os())?;
        let read = environment::extract(&figment.focus("security"), entries);
        let settings = read.and_then(|settings| settings.check().map(|()| settings));
        settings.map_err(ConfigError::without_users)
    }

    /// Contradictions between keys that are each fine.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        if let Some(url) = &self.base_url {
            match url::Url::parse(url) {
                Ok(parsed)
                    if matches!(parsed.scheme(), "http" | "https") && parsed.host().is_some() =>
                {
                    if parsed.path() != "/"
                        || parsed.query().is_some()
                        || parsed.fragment().is_some()
                    {
                        return wrong(format!(
                            "`security.base_url` is `{url}`, but must end after the host and port, such as \"https://example.com\"; a path goes into `security.url_prefix`"
                        ));
                    }
                }
                _ => {
                    return wrong(format!(
                        "`security.base_url` is `{url}`, which is not a URL; write for example \"https://example.com\""
                    ));
                }
            }
        }
        let prefix = &self.url_prefix;
        let well_formed =
            prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains(['?', '#', '<']);
        if !prefix.is_empty() && !well_formed {
            return wrong(format!(
                "`security.url_prefix` is `{prefix}`, but must start with a slash and not end with one, such as \"/account\""
            ));
        }
        if self.identities.0.is_empty() {
            return wrong(
                "`security.identities` is empty; write [\"email\"] or [\"email\", \"username\"]"
                    .into(),
            );
        }
        if self.register.username != crate::features::register::Usernames::Off
            && !self.identities.0.contains(&IdentityKind::Username)
        {
            return wrong(
                "`security.register.username` asks for a username that `security.identities` does not list; add \"username\" there".into(),
            );
        }
        if self.session.idle > self.session.absolute {
            return wrong(format!(
                "`security.session.idle` ({}) is longer than `security.session.absolute` ({}); make it the shorter one",
                self.session.idle, self.session.absolute
            ));
        }
        let refresh = &self.refresh_tokens;
        if refresh.idle > refresh.absolute {
            return wrong(format!(
                "`security.refresh_tokens.idle` ({}) is longer than `security.refresh_tokens.absolute` ({}); make it the shorter one",
                refresh.idle, refresh.absolute
            ));
        }
        if refresh.enabled && !self.tokens.enabled {
            return wrong(
                "`security.refresh_tokens.enabled` is true and `security.tokens.enabled` is false, so there is nothing to refresh; turn both on, or the first off".into(),
            );
        }
        refresh
            .validate()
            .map_err(|why| ConfigError(format!("`security.refresh_tokens`: {why}")))?;
        self.api_keys
            .validate()
            .map_err(|why| ConfigError(format!("`security.api_keys`: {why}")))?;
        for (key, life) in [
            ("session.idle", self.session.idle),
            ("session.absolute", self.session.absolute),
            ("session.new_device_link", self.session.new_device_link),
            ("remember.life", self.remember.life),
            ("tokens.life", self.tokens.life),
            ("limits.window", self.limits.window),
            ("limits.lock", self.limits.lock),
            ("confirm.life", self.confirm.life),
            ("recover.life", self.recover.life),
            ("change_email.life", self.change_email.life),
            ("passwordless.life", self.passwordless.life),
            ("unlock.life", self.unlock.life),
            ("invite.life", self.invite.life),
            ("two_factor.pending", self.two_factor.pending),
            ("two_factor.mail_life", self.two_factor.mail_life),
            ("two_factor.trust", self.two_factor.trust),
            ("unified.mail_life", self.unified.mail_life),
            #[cfg(feature = "passkeys")]
            ("passkeys.challenge", self.passkeys.challenge),
            #[cfg(feature = "passkeys")]
            (
                "passkeys.register_challenge",
                self.passkeys.register_challenge,
            ),
            #[cfg(feature = "passkeys")]
            ("passkeys.sign_up_life", self.passkeys.sign_up_life),
            ("refresh_tokens.idle", self.refresh_tokens.idle),
            ("refresh_tokens.absolute", self.refresh_tokens.absolute),
            ("database.patience", self.database.patience),
        ] {
            if life.as_secs() == 0 {
                return wrong(format!(
                    "`security.{key}` is 0; write a length of time such as \"15 min\""
                ));
            }
        }
        for (key, number) in [
            ("limits.per_account", self.limits.per_account),
            ("limits.per_address", self.limits.per_address),
            ("limits.per_device", self.limits.per_device),
            ("limits.code_attempts", self.limits.code_attempts),
            ("limits.codes_per_day", self.limits.codes_per_day),
            ("limits.network_factor", self.limits.network_factor),
            ("limits.bytes_per_address", self.limits.bytes_per_address),
        ] {
            if number == 0 {
                return wrong(format!(
                    "`security.{key}` is 0, which would let nobody in; write 1 or more"
                ));
            }
        }
        for (table, problem) in [
            ("two_factor", self.two_factor.problem()),
            ("unified", self.unified.problem()),
            ("recovery_codes", self.recovery_codes.problem()),
            #[cfg(feature = "passkeys")]
            ("passkeys", self.passkeys.problem()),
            #[cfg(feature = "social")]
            ("social", self.social.problem()),
        ] {
            if let Some(problem) = problem {
                return wrong(format!("`security.{table}`: {problem}"));
            }
        }
        if self.database.connections == Some(0) {
            return wrong(
                "`security.database.connections` is 0; write 1 or more, or leave it out".into(),
            );
        }
        if self
            .basic
            .realm
            .chars()
            .any(|c| c.is_control() || c == '"' || c == '\\' || !c.is_ascii())
        {
            return wrong("`security.basic.realm` must be plain text without quotes, such as \"Login Required\"".into());
        }
        let cookie = &self.session.cookie;
        if cookie.is_empty()
            || !cookie
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return wrong(format!(
                "`security.session.cookie` is `{cookie}`, which is no name for a cookie; write for example \"security\""
            ));
        }
        self.csrf.check()?;
        let base = self
            .base_url
            .as_deref()
            .and_then(|url| url::Url::parse(url).ok());
        if let Some(problem) = self.redirects.problem(base.as_ref()) {
            return wrong(format!("`security.redirects`: {problem}"));
        }
        for (key, path) in [
            ("after.login", &self.after.login),
            ("after.logout", &self.after.logout),
            ("after.verify", &self.after.verify),
            ("after.change", &self.after.change),
            ("spa.login_view", &self.spa.login_view),
            ("spa.link_view", &self.spa.link_view),
        ]
        .into_iter()
        .chain(
            self.after
                .optional()
                .into_iter()
                .filter_map(|(key, path)| path.as_ref().map(|path| (key, path))),
        ) {
            if RedirectRules::new(&self.redirects, base.as_ref())
                .judge(path)
                .is_none()
            {
                return wrong(format!(
                    "`security.{key}` is `{path}`, which is not a page of this site; write a path such as \"/\""
                ));
            }
        }
        if self.usernames.min > self.usernames.max {
            return wrong(format!(
                "`security.usernames.min` ({}) is more than `security.usernames.max` ({})",
                self.usernames.min, self.usernames.max
            ));
        }
        if !self.passwords.required && !self.signs_in_without_password() {
            return wrong(
                "`security.passwords.required` is false, and nothing else lets anybody in; turn on `security.passwordless`, `security.recover`, `security.unified` with \"email\", or a provider in `security.social`".into(),
            );
        }
        self.hashing
            .validate()
            .map_err(|why| ConfigError(format!("`security.hashing`: {why}")))?;
        self.mail
            .validate()
            .map_err(|why| ConfigError(format!("`security.mail`: {why}")))?;
        self.sms
            .validate()
            .map_err(|why| ConfigError(format!("`security.sms`: {why}")))?;
        self.passwords
            .validate()
            .map_err(|why| ConfigError(format!("`security.passwords`: {why}")))?;
        Ok(())
    }
}

impl Settings {
    /// Whether an account without a password has a way to sign in, or to get a password.
    fn signs_in_without_password(&self) -> bool {
        let by_mail = self.unified.enabled
            && self
                .unified
                .methods
                .contains(&crate::features::unified::SignInMethod::Email);
        #[cfg(feature = "social")]
        if !self.social.providers.is_empty() {
            return true;
        }
        self.passwordless.enabled || self.recover.enabled || by_mail
    }
}

/// What a launch in this build must insist on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// A debug build that listens on this machine only: everything has a default.
    Development,
    /// Anything else: a secret and a `base_url` are required.
    Production,
}
