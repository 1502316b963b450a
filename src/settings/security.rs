//! `[security]`: all tables, and how they are read.

use std::path::PathBuf;

use figment::Figment;
use ipnet::IpNet;
use serde::Deserialize;

use super::{environment, table::check, values::networks, *};

/// `[security]`: everything that can be set without code.
#[derive(Clone, Debug, Deserialize)]
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
    pub site_name: String,
    /// A prefix for all our routes, such as `"/account"`. _Default:_ `""`.
    pub url_prefix: String,
    /// What people may sign in with, in order of recognition: `"email"`, `"username"`.
    /// _Default:_ `["email"]`.
    pub identities: Vec<IdentityKind>,
    /// Whether answers hide who has an account: equal bodies in equal time. `false` tells people more,
    /// attackers too. _Default:_ `true`.
    pub generic_answers: bool,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret: None,
            base_url: None,
            site_name: "Rocket".into(),
            url_prefix: String::new(),
            identities: vec![IdentityKind::Email],
            generic_answers: true,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            template_dir: None,
            database: DatabaseSettings::default(),
            session: SessionSettings::default(),
            remember: RememberSettings::default(),
            freshness: FreshnessSettings::default(),
            limits: LimitSettings::default(),
            tokens: TokenSettings::default(),
            basic: BasicSettings::default(),
            csrf: CsrfSettings::default(),
            redirects: RedirectSettings::default(),
            after: AfterSettings::default(),
            spa: SpaSettings::default(),
            headers: HeaderSettings::default(),
            hashing: HashingSettings::default(),
            passwords: PolicySettings::default(),
            usernames: UsernameSettings::default(),
            emails: EmailSettings::default(),
            mail: MailSettings::default(),
            report: ReportSettings::default(),
            login: LoginSettings::default(),
            logout: LogoutSettings::default(),
            register: RegisterSettings::default(),
            verify: VerifySettings::default(),
            sessions: SessionsSettings::default(),
            confirm: ConfirmSettings::default(),
            recover: RecoverSettings::default(),
            recover_username: RecoverUsernameSettings::default(),
            change_password: ChangePasswordSettings::default(),
            change_email: ChangeEmailSettings::default(),
            change_username: ChangeUsernameSettings::default(),
            passwordless: PasswordlessSettings::default(),
            unlock: UnlockSettings::default(),
            invite: InviteSettings::default(),
            two_factor: TwoFactorSettings::default(),
            recovery_codes: RecoveryCodesSettings::default(),
            unified: UnifiedSettings::default(),
            #[cfg(feature = "passkeys")]
            passkeys: PasskeySettings::default(),
            #[cfg(feature = "social")]
            social: SocialSettings::default(),
            refresh_tokens: RefreshTokenSettings::default(),
            api_keys: ApiKeySettings::default(),
            totp: TotpSettings::default(),
            sms: SmsSettings::default(),
            dev_mail: DevMailSettings::default(),
        }
    }
}

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

    /// Checks each table by itself, then the tables against each other.
    fn check(&self) -> Result<(), ConfigError> {
        self.check_own()?;
        self.check_tables()?;
        self.check_contradictions()
    }

    /// Checks the keys that stand in no table.
    fn check_own(&self) -> Result<(), ConfigError> {
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
        if self.identities.is_empty() {
            return wrong(
                "`security.identities` is empty; write [\"email\"] or [\"email\", \"username\"]"
                    .into(),
            );
        }
        Ok(())
    }

    /// Checks each table by itself.
    fn check_tables(&self) -> Result<(), ConfigError> {
        let checked = [
            check(&self.database),
            check(&self.session),
            check(&self.remember),
            check(&self.freshness),
            check(&self.limits),
            check(&self.tokens),
            check(&self.basic),
            check(&self.csrf),
            check(&self.redirects),
            check(&self.after),
            check(&self.spa),
            check(&self.headers),
            check(&self.hashing),
            check(&self.passwords),
            check(&self.usernames),
            check(&self.emails),
            check(&self.mail),
            check(&self.report),
            check(&self.login),
            check(&self.logout),
            check(&self.register),
            check(&self.verify),
            check(&self.sessions),
            check(&self.confirm),
            check(&self.recover),
            check(&self.recover_username),
            check(&self.change_password),
            check(&self.change_email),
            check(&self.change_username),
            check(&self.passwordless),
            check(&self.unlock),
            check(&self.invite),
            check(&self.two_factor),
            check(&self.recovery_codes),
            check(&self.unified),
            #[cfg(feature = "passkeys")]
            check(&self.passkeys),
            #[cfg(feature = "social")]
            check(&self.social),
            check(&self.refresh_tokens),
            check(&self.api_keys),
            check(&self.totp),
            check(&self.sms),
            check(&self.dev_mail),
        ];
        checked.into_iter().collect()
    }
}
