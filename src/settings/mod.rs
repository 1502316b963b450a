//! Settings: one file a table of `[security]`, each with its struct, its defaults and its checks.
//!
//! The tables that a feature or another part of the crate owns are still defined there and named here. Applications
//! know this module as `rocket_security::config`.

mod after;
mod basic;
mod contradictions;
mod database;
mod emails;
mod environment;
mod error;
mod freshness;
mod nearest;
mod report;
mod security;
mod spa;
mod strictness;
mod tokens;
mod values;
mod zero;

#[cfg(feature = "cli")]
pub(crate) use self::environment::told;
pub(crate) use self::nearest::nearest;
pub use self::{
    after::AfterSettings,
    basic::BasicSettings,
    database::DatabaseSettings,
    emails::EmailSettings,
    error::ConfigError,
    freshness::{FreshWithin, FreshnessSettings},
    report::{ReportLevel, ReportSettings},
    security::Settings,
    spa::SpaSettings,
    tokens::TokenSettings,
    values::{Identities, On, Secrets, SiteName},
};
pub(crate) use self::{strictness::Strictness, tokens::AT_MOST};
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
