//! Notices: mails that tell the owner of an account what was changed in it, when and from where.
//!
//! They belong to the transaction of the change, and nothing holds them back.

use serde_json::json;

use super::{
    mail::{MailComposer, Recipient},
    outbox::{MailLimit, OutgoingMail},
};
use crate::{
    error::Error,
    store::User,
    templates::{MailTemplate, mail},
    types::FactorKind,
};

const PASSWORD_CHANGED: MailTemplate = mail!("notices", "password_changed");
const PASSWORD_REMOVED: MailTemplate = mail!("notices", "password_removed");
const FACTOR_ADDED: MailTemplate = mail!("notices", "factor_added");
const FACTOR_REMOVED: MailTemplate = mail!("notices", "factor_removed");
#[cfg(feature = "passkeys")]
const PASSKEY_SUSPECT: MailTemplate = mail!("notices", "passkey_suspect");
const TWO_FACTOR_OFF: MailTemplate = mail!("notices", "two_factor_off");
const RECOVERY_CODES_NEW: MailTemplate = mail!("notices", "recovery_codes_new");
const RECOVERY_CODE_USED: MailTemplate = mail!("notices", "recovery_code_used");
const DEVICE_TRUSTED: MailTemplate = mail!("notices", "device_trusted");
const USERNAME_CHANGED: MailTemplate = mail!("notices", "username_changed");
const REFRESH_REUSE: MailTemplate = mail!("notices", "refresh_reuse");
const REMEMBER_COPIED: MailTemplate = mail!("notices", "remember_copied");
const NEW_DEVICE: MailTemplate = mail!("notices", "new_device");
const API_KEY_CREATED: MailTemplate = mail!("notices", "api_key_created");
const API_KEY_REVOKED: MailTemplate = mail!("notices", "api_key_revoked");

/// All notices.
pub(crate) const MAILS: &[MailTemplate] = &[
    PASSWORD_CHANGED,
    PASSWORD_REMOVED,
    FACTOR_ADDED,
    FACTOR_REMOVED,
    #[cfg(feature = "passkeys")]
    PASSKEY_SUSPECT,
    TWO_FACTOR_OFF,
    RECOVERY_CODES_NEW,
    RECOVERY_CODE_USED,
    DEVICE_TRUSTED,
    USERNAME_CHANGED,
    REFRESH_REUSE,
    REMEMBER_COPIED,
    NEW_DEVICE,
    API_KEY_CREATED,
    API_KEY_REVOKED,
];

/// The password was set or changed.
pub(crate) fn password_changed(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, PASSWORD_CHANGED, json!({}))
}

/// The password was removed, since the address was proven by another way than by whoever chose it.
pub(crate) fn password_removed(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, PASSWORD_REMOVED, json!({}))
}

/// A factor was set up.
pub(crate) fn factor_added(
    composer: &MailComposer<'_>,
    user: &User,
    kind: FactorKind,
    name: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": label(composer, kind), "name": name});
    notice(composer, user, FACTOR_ADDED, own)
}

/// A factor was removed.
pub(crate) fn factor_removed(
    composer: &MailComposer<'_>,
    user: &User,
    kind: FactorKind,
    name: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": label(composer, kind), "name": name});
    notice(composer, user, FACTOR_REMOVED, own)
}

/// The counter of a passkey went back, and it opens nothing any more.
#[cfg(feature = "passkeys")]
pub(crate) fn passkey_suspect(
    composer: &MailComposer<'_>,
    user: &User,
    kind: FactorKind,
    name: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": label(composer, kind), "name": name});
    notice(composer, user, PASSKEY_SUSPECT, own)
}

fn label(composer: &MailComposer<'_>, kind: FactorKind) -> String {
    let catalogue = composer.context.views.catalogue();
    catalogue.say(composer.language, &kind.label())
}

/// An account elsewhere was linked, and opens this one.
#[cfg(feature = "social")]
pub(crate) fn social_linked(
    composer: &MailComposer<'_>,
    user: &User,
    provider: &str,
    label: Option<&str>,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": provider, "name": label});
    notice(composer, user, FACTOR_ADDED, own)
}

/// An account elsewhere opens this one no more.
#[cfg(feature = "social")]
pub(crate) fn social_unlinked(
    composer: &MailComposer<'_>,
    user: &User,
    provider: &str,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, FACTOR_REMOVED, json!({"method": provider}))
}

/// The second factor is asked for no more.
pub(crate) fn two_factor_off(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, TWO_FACTOR_OFF, json!({}))
}

/// There are new recovery codes, and the former are void.
pub(crate) fn recovery_codes_new(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, RECOVERY_CODES_NEW, json!({}))
}

/// A recovery code was used, and so many are left.
pub(crate) fn recovery_code_used(
    composer: &MailComposer<'_>,
    user: &User,
    left: usize,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, RECOVERY_CODE_USED, json!({"left": left}))
}

/// A browser is not asked for the second factor for a while.
pub(crate) fn device_trusted(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, DEVICE_TRUSTED, json!({}))
}

/// The username was changed; `user` is as before.
pub(crate) fn username_changed(
    composer: &MailComposer<'_>,
    user: &User,
    new: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"username": new, "previous": user.username});
    notice(composer, user, USERNAME_CHANGED, own)
}

/// An old copy of a refresh token came back, and its sign-in has ended.
pub(crate) fn refresh_reuse(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, REFRESH_REUSE, json!({}))
}

/// An old copy of a remembered browser's cookie came back, and its sign-in has ended.
pub(crate) fn remember_copied(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, REMEMBER_COPIED, json!({}))
}

/// The account was signed in to in a browser that it does not know; `own` has the link that ends the session.
pub(crate) fn new_device(
    composer: &MailComposer<'_>,
    user: &User,
    own: serde_json::Value,
) -> Result<OutgoingMail, Error> {
    // Limited, unlike other notices: a program that keeps no cookies signs in often, and each time anew.
    composer.compose(&Recipient::from(user), NEW_DEVICE, MailLimit::Limited, own)
}

/// An API key was made.
pub(crate) fn api_key_created(
    composer: &MailComposer<'_>,
    user: &User,
    name: &str,
    permissions: &[String],
) -> Result<OutgoingMail, Error> {
    let own = json!({"name": name, "permissions": permissions});
    notice(composer, user, API_KEY_CREATED, own)
}

/// An API key was ended.
pub(crate) fn api_key_revoked(
    composer: &MailComposer<'_>,
    user: &User,
    name: &str,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, API_KEY_REVOKED, json!({"name": name}))
}

fn notice(
    composer: &MailComposer<'_>,
    user: &User,
    mail: MailTemplate,
    own: serde_json::Value,
) -> Result<OutgoingMail, Error> {
    // An address that nobody proved may be a stranger's.
    let proven = user.confirmed_at.is_some() || !composer.context.settings.confirm.enabled;
    let mail_limit = match proven {
        true => MailLimit::Free,
        false => MailLimit::Limited,
    };
    composer.compose(&Recipient::from(user), mail, mail_limit, own)
}
