//! Settings: one file a table of `[security]`, each with its struct, its defaults and its checks.
//!
//! The tables of passwords and usernames stand with the rules that read them, below. Applications know this module as
//! `rocket_security::config`.

mod after;
mod api_keys;
mod base;
mod basic;
mod change_email;
mod change_password;
mod change_username;
mod confirm;
mod contradictions;
mod csrf;
mod database;
mod dev_mail;
mod emails;
mod environment;
mod error;
mod freshness;
mod hashing;
mod headers;
mod invite;
mod limits;
mod login;
mod logout;
mod mail;
mod nearest;
#[cfg(feature = "passkeys")]
mod passkeys;
mod passwordless;
mod passwords;
mod recover;
mod recover_username;
mod recovery_codes;
mod redirect_rules;
mod redirects;
mod refresh_tokens;
mod register;
mod remember;
mod report;
mod security;
mod session;
mod sessions;
mod sms;
#[cfg(feature = "social")]
mod social;
mod spa;
mod strictness;
mod table;
mod tokens;
mod totp;
mod two_factor;
mod unified;
mod unlock;
mod usernames;
mod values;
mod verify;

#[cfg(feature = "cli")]
pub(crate) use self::environment::told;
#[cfg(feature = "passkeys")]
pub use self::passkeys::{PasskeySettings, PasskeyVerify};
#[cfg(feature = "social")]
pub(crate) use self::social::is_provider_name;
#[cfg(feature = "social")]
pub use self::social::{ProviderKind, ProviderSettings, ResponseMode, SocialSettings};
pub use self::{
    after::AfterSettings,
    api_keys::ApiKeySettings,
    basic::BasicSettings,
    change_email::ChangeEmailSettings,
    change_password::ChangePasswordSettings,
    change_username::ChangeUsernameSettings,
    confirm::ConfirmSettings,
    csrf::CsrfSettings,
    database::DatabaseSettings,
    dev_mail::DevMailSettings,
    emails::EmailSettings,
    error::ConfigError,
    freshness::{FreshWithin, FreshnessSettings},
    headers::HeaderSettings,
    invite::InviteSettings,
    limits::LimitSettings,
    login::LoginSettings,
    logout::LogoutSettings,
    mail::{Encryption, MailParts, MailSettings, Transport},
    passwordless::PasswordlessSettings,
    recover::RecoverSettings,
    recover_username::RecoverUsernameSettings,
    recovery_codes::RecoveryCodesSettings,
    redirects::RedirectSettings,
    refresh_tokens::{RefreshMode, RefreshTokenSettings},
    register::{RegisterSettings, Usernames},
    remember::RememberSettings,
    report::{ReportLevel, ReportSettings},
    security::Settings,
    session::SessionSettings,
    sessions::SessionsSettings,
    sms::{SmsSettings, SmsTransport},
    spa::SpaSettings,
    tokens::TokenSettings,
    totp::TotpSettings,
    two_factor::TwoFactorSettings,
    unified::{SignInMethod, UnifiedSettings},
    unlock::UnlockSettings,
    values::{ForwardedHeader, Secrets},
    verify::VerifySettings,
};
pub(crate) use self::{
    base::Base, nearest::nearest, redirect_rules::RedirectRules, strictness::Strictness,
};
pub use crate::{
    identity::{IdentityKind, UsernameSettings},
    secrets::{BreachCheck, HashingSettings, PolicySettings},
    types::NonZeroDuration,
};
