//! Notices: mails that tell the owner of an account what was changed in it, when and from where.
//!
//! They belong to the transaction of the change, and nothing holds them back.

use serde_json::json;

use super::{
    mail::{Addressee, Scribe},
    outbox::{Letter, Postage},
};
use crate::{error::Error, store::User};

/// Templates of notices that several features send.
pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    crate::features::template!("notices/password_changed.mail.html"),
    crate::features::template!("notices/password_changed.mail.txt"),
    crate::features::template!("notices/password_removed.mail.html"),
    crate::features::template!("notices/password_removed.mail.txt"),
    crate::features::template!("notices/username_changed.mail.html"),
    crate::features::template!("notices/username_changed.mail.txt"),
];

/// The password was set or changed.
pub(crate) fn password_changed(scribe: &Scribe<'_>, user: &User) -> Result<Letter, Error> {
    notice(scribe, user, "password_changed", json!({}))
}

/// The password was removed, since the address was proven by another way than by whoever chose it.
pub(crate) fn password_removed(scribe: &Scribe<'_>, user: &User) -> Result<Letter, Error> {
    notice(scribe, user, "password_removed", json!({}))
}

/// The username was changed; `user` is as before.
pub(crate) fn username_changed(
    scribe: &Scribe<'_>,
    user: &User,
    new: &str,
) -> Result<Letter, Error> {
    let own = json!({"username": new, "previous": user.username});
    notice(scribe, user, "username_changed", own)
}

fn notice(
    scribe: &Scribe<'_>,
    user: &User,
    which: &str,
    own: serde_json::Value,
) -> Result<Letter, Error> {
    // An address that nobody proved may be a stranger's.
    let proven = user.confirmed_at.is_some() || !scribe.site.settings.confirm.enabled;
    let postage = match proven {
        true => Postage::Free,
        false => Postage::Limited,
    };
    scribe.letter(&Addressee::from(user), ("notices", which), postage, own)
}
