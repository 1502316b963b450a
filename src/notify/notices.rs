//! Notices: mails that tell the owner of an account what was changed in it, when and from where.
//!
//! They belong to the transaction of the change, and nothing holds them back.

use serde_json::json;

use super::{
    mail::{MailComposer, Recipient},
    outbox::{MailLimit, OutgoingMail},
};
use crate::{error::Error, store::User, types::FactorKind};

/// Templates of notices that several features send.
pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    crate::templates::template!("notices/password_changed.mail.html"),
    crate::templates::template!("notices/password_changed.mail.txt"),
    crate::templates::template!("notices/password_removed.mail.html"),
    crate::templates::template!("notices/password_removed.mail.txt"),
    crate::templates::template!("notices/factor_added.mail.html"),
    crate::templates::template!("notices/factor_added.mail.txt"),
    crate::templates::template!("notices/factor_removed.mail.html"),
    crate::templates::template!("notices/factor_removed.mail.txt"),
    #[cfg(feature = "passkeys")]
    crate::templates::template!("notices/passkey_suspect.mail.html"),
    #[cfg(feature = "passkeys")]
    crate::templates::template!("notices/passkey_suspect.mail.txt"),
    crate::templates::template!("notices/two_factor_off.mail.html"),
    crate::templates::template!("notices/two_factor_off.mail.txt"),
    crate::templates::template!("notices/recovery_codes_new.mail.html"),
    crate::templates::template!("notices/recovery_codes_new.mail.txt"),
    crate::templates::template!("notices/recovery_code_used.mail.html"),
    crate::templates::template!("notices/recovery_code_used.mail.txt"),
    crate::templates::template!("notices/device_trusted.mail.html"),
    crate::templates::template!("notices/device_trusted.mail.txt"),
    crate::templates::template!("notices/username_changed.mail.html"),
    crate::templates::template!("notices/username_changed.mail.txt"),
    crate::templates::template!("notices/refresh_reuse.mail.html"),
    crate::templates::template!("notices/refresh_reuse.mail.txt"),
    crate::templates::template!("notices/remember_copied.mail.html"),
    crate::templates::template!("notices/remember_copied.mail.txt"),
    crate::templates::template!("notices/new_device.mail.html"),
    crate::templates::template!("notices/new_device.mail.txt"),
    crate::templates::template!("notices/api_key_created.mail.html"),
    crate::templates::template!("notices/api_key_created.mail.txt"),
    crate::templates::template!("notices/api_key_revoked.mail.html"),
    crate::templates::template!("notices/api_key_revoked.mail.txt"),
];

/// The password was set or changed.
pub(crate) fn password_changed(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "password_changed", json!({}))
}

/// The password was removed, since the address was proven by another way than by whoever chose it.
pub(crate) fn password_removed(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "password_removed", json!({}))
}

/// A factor was set up.
pub(crate) fn factor_added(
    composer: &MailComposer<'_>,
    user: &User,
    kind: FactorKind,
    name: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": label(composer, kind), "name": name});
    notice(composer, user, "factor_added", own)
}

/// A factor was removed.
pub(crate) fn factor_removed(
    composer: &MailComposer<'_>,
    user: &User,
    kind: FactorKind,
    name: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"method": label(composer, kind), "name": name});
    notice(composer, user, "factor_removed", own)
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
    notice(composer, user, "passkey_suspect", own)
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
    notice(composer, user, "factor_added", own)
}

/// An account elsewhere opens this one no more.
#[cfg(feature = "social")]
pub(crate) fn social_unlinked(
    composer: &MailComposer<'_>,
    user: &User,
    provider: &str,
) -> Result<OutgoingMail, Error> {
    notice(
        composer,
        user,
        "factor_removed",
        json!({"method": provider}),
    )
}

/// The second factor is asked for no more.
pub(crate) fn two_factor_off(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "two_factor_off", json!({}))
}

/// There are new recovery codes, and the former are void.
pub(crate) fn recovery_codes_new(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "recovery_codes_new", json!({}))
}

/// A recovery code was used, and so many are left.
pub(crate) fn recovery_code_used(
    composer: &MailComposer<'_>,
    user: &User,
    left: usize,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "recovery_code_used", json!({"left": left}))
}

/// A browser is not asked for the second factor for a while.
pub(crate) fn device_trusted(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "device_trusted", json!({}))
}

/// The username was changed; `user` is as before.
pub(crate) fn username_changed(
    composer: &MailComposer<'_>,
    user: &User,
    new: &str,
) -> Result<OutgoingMail, Error> {
    let own = json!({"username": new, "previous": user.username});
    notice(composer, user, "username_changed", own)
}

/// An old copy of a refresh token came back, and its sign-in has ended.
pub(crate) fn refresh_reuse(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "refresh_reuse", json!({}))
}

/// An old copy of a remembered browser's cookie came back, and its sign-in has ended.
pub(crate) fn remember_copied(
    composer: &MailComposer<'_>,
    user: &User,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "remember_copied", json!({}))
}

/// The account was signed in to in a browser that it does not know; `own` has the link that ends the session.
pub(crate) fn new_device(
    composer: &MailComposer<'_>,
    user: &User,
    own: serde_json::Value,
) -> Result<OutgoingMail, Error> {
    // Limited, unlike other notices: a program that keeps no cookies signs in often, and each time anew.
    let mail = ("notices", "new_device");
    composer.compose(&Recipient::from(user), mail, MailLimit::Limited, own)
}

/// An API key was made.
pub(crate) fn api_key_created(
    composer: &MailComposer<'_>,
    user: &User,
    name: &str,
    permissions: &[String],
) -> Result<OutgoingMail, Error> {
    let own = json!({"name": name, "permissions": permissions});
    notice(composer, user, "api_key_created", own)
}

/// An API key was ended.
pub(crate) fn api_key_revoked(
    composer: &MailComposer<'_>,
    user: &User,
    name: &str,
) -> Result<OutgoingMail, Error> {
    notice(composer, user, "api_key_revoked", json!({"name": name}))
}

fn notice(
    composer: &MailComposer<'_>,
    user: &User,
    which: &str,
    own: serde_json::Value,
) -> Result<OutgoingMail, Error> {
    // An address that nobody proved may be a stranger's.
    let proven = user.confirmed_at.is_some() || !composer.context.settings.confirm.enabled;
    let mail_limit = match proven {
        true => MailLimit::Free,
        false => MailLimit::Limited,
    };
    composer.compose(&Recipient::from(user), ("notices", which), mail_limit, own)
}
