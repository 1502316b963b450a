//! Ways to prove that it is you, beside a password: authenticator app, mailed code, text message, passkey,
//! and recovery codes for when all else is lost.
//!
//! What each [`FactorKind`] is set up with, shows and takes as an answer is here; what asks for them is the
//! second step of a sign-in, unified sign-in and re-authentication.

pub(crate) mod context;
pub(crate) mod passkey;
pub(crate) mod phone;
pub(crate) mod policy;
pub(crate) mod recovery;
pub(crate) mod totp;

use serde::{Deserialize, Serialize};

use self::context::FactorContext;
use crate::{
    error::{Error, Invalid},
    identity::text::{self, NotAName},
    secrets::{Keys, Purpose},
    store::{
        Conn, Grants, StoreError, User,
        factors::{self, FactorRow, NewFactor},
    },
    types::{FactorKind, Message, Timestamp, Usages},
};

/// Who must have a second factor, beside those who want one.
///
/// ```
/// use rocket_security::{Grants, MfaPolicy, Security, User};
/// struct Staff;
/// impl MfaPolicy for Staff {
///     fn requires(&self, user: &User, grants: &Grants) -> bool {
///         grants.has_role("admin") || user.email.ends_with("@example.com")
///     }
/// }
/// let security = Security::default().mfa_policy(Staff);
/// ```
pub trait MfaPolicy: Send + Sync + 'static {
    /// Whether this account does not come in without a second factor.
    fn requires(&self, user: &User, grants: &Grants) -> bool;
}

/// A factor that is being set up: nothing counts until a code of it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) kind: FactorKind,
    pub(crate) usage: Usages,
    pub(crate) name: String,
    /// The encrypted seed, about the id that the factor will have.
    pub(crate) secret: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) id: String,
}

/// What a form says of a factor to be set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: FactorKind,
    pub(crate) usage: Usages,
    pub(crate) name: &'a str,
    pub(crate) phone: &'a str,
}

/// Characters of a factor's name.
const NAME: usize = 64;

/// Begins to set a factor up.
pub(crate) fn begin(means: &FactorContext, wanted: Wanted<'_>) -> Result<Setup, Error> {
    let id = uuid::Uuid::now_v7().to_string();
    let name = match text::name(wanted.name, NAME) {
        Ok(name) => name.to_string(),
        Err(NotAName::Empty) => String::new(),
        Err(NotAName::TooLong) => {
            let message = Message::new("factor.name_too_long").with("max", NAME);
            return Err(Invalid::field("name", message).into());
        }
        Err(NotAName::Hidden) => {
            return Err(Invalid::field("name", Message::new("factor.name_invalid")).into());
        }
    };
    let (mut secret, mut phone) = (None, None);
    match wanted.kind {
        FactorKind::Authenticator => {
            let seed = means
                .totp
                .generate()
                .map_err(|error| Error::Broken(error.0))?;
            secret = Some(means.keys.seal(Purpose::Totp, &id, seed.expose())?);
        }
        FactorKind::Sms => {
            if wanted.phone.trim().is_empty() {
                return Err(Invalid::field("phone", Message::new("phone.required")).into());
            }
            let parsed = means
                .phones
                .parse(wanted.phone)
                .map_err(|message| Invalid::field("phone", message))?;
            phone = Some(parsed.as_str().to_string());
        }
        FactorKind::Email | FactorKind::Passkey => {}
    }
    Ok(Setup {
        kind: wanted.kind,
        usage: wanted.usage,
        name,
        secret,
        phone,
        id,
    })
}

/// What an authenticator app is shown while it is set up.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) grouped: String,
    pub(crate) uri: String,
    pub(crate) issuer: String,
    pub(crate) username: String,
    /// The QR code, as an image that a page may hold.
    pub(crate) qr: String,
}

/// What is shown of a set-up, if its kind shows anything.
pub(crate) fn shown(
    means: &FactorContext,
    setup: &Setup,
    user: &User,
) -> Result<Option<Shown>, Error> {
    let Some(sealed) = &setup.secret else {
        return Ok(None);
    };
    let Some((seed, _)) = means.keys.unseal(Purpose::Totp, &setup.id, sealed) else {
        // The set-up was begun under a secret that the settings no longer have.
        log::warn!("the key of an authenticator that is being set up cannot be read");
        return Err(Invalid::form(Message::new("ticket.invalid")).into());
    };
    let broken = |error: totp::TotpError| Error::Broken(error.0);
    let issuer = match &means.settings.totp.issuer {
        Some(issuer) => issuer.clone(),
        None => means.settings.site_name.clone(),
    };
    let uri = means
        .totp
        .uri(&seed, &issuer, user.display())
        .map_err(broken)?;
    let svg = means.totp.qr(&uri).map_err(broken)?;
    let key = totp::key(&seed);
    Ok(Some(Shown {
        grouped: totp::grouped(&key),
        key,
        issuer,
        username: user.display().to_string(),
        qr: format!(
            "data:image/svg+xml;base64,{}",
            data_encoding::BASE64.encode(svg.as_bytes())
        ),
        uri,
    }))
}

/// A code as people type it, without what they put between its digits.
pub(crate) fn digits(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .take(64)
        .collect()
}

/// The time step of a right code of an authenticator that is being set up.
pub(crate) fn setup_step(means: &FactorContext, setup: &Setup, code: &str) -> Option<i64> {
    let sealed = setup.secret.as_deref()?;
    let (seed, _) = means.keys.unseal(Purpose::Totp, &setup.id, sealed)?;
    means.totp.step_of(&seed, code, means.now())
}

/// The row of a factor whose set-up was proven. The step of the code that proved it is used up.
pub(crate) fn row(setup: &Setup, user: &User, last_step: i64, now: Timestamp) -> NewFactor {
    let identity = setup.phone.clone().filter(|_| setup.usage == Usages::FIRST);
    let name = match setup.name.is_empty() {
        true => setup.kind.name().to_string(),
        false => setup.name.clone(),
    };
    NewFactor {
        id: setup.id.clone(),
        user_id: user.id.clone(),
        kind: setup.kind.name().into(),
        name,
        usages: setup.usage.bits(),
        secret: setup.secret.clone(),
        phone: setup.phone.clone(),
        identity,
        last_step,
        created_at: now,
    }
}

/// What a right code of an authenticator is, before it is used up by [`accept`].
#[derive(Clone, Debug)]
pub(crate) struct Right {
    id: String,
    step: i64,
    /// The seed under the current key, if it rests under a former.
    resealed: Option<(String, String)>,
}

/// Whether `code` is right for one of the authenticators among `rows`.
pub(crate) fn right_code(means: &FactorContext, rows: &[FactorRow], code: &str) -> Option<Right> {
    let (code, now) = (digits(code), means.now());
    rows.iter()
        .filter(|row| row.kind() == Some(FactorKind::Authenticator))
        .find_map(|row| {
            let sealed = row.secret.as_deref()?;
            let (seed, current) = means.keys.unseal(Purpose::Totp, &row.id, sealed)?;
            let step = means.totp.step_of(&seed, &code, now)?;
            let resealed = match current {
                true => None,
                false => reseal(&means.keys, &row.id, seed.expose(), sealed),
            };
            Some(Right {
                id: row.id.clone(),
                step,
                resealed,
            })
        })
}

fn reseal(keys: &Keys, id: &str, seed: &[u8], old: &str) -> Option<(String, String)> {
    let new = keys.seal(Purpose::Totp, id, seed).ok()?;
    Some((old.to_string(), new))
}

/// Uses a right code up; false if its step, or a later one, was used before.
pub(crate) fn accept(conn: &mut Conn, right: &Right, now: Timestamp) -> Result<bool, StoreError> {
    if !factors::advance(conn, &right.id, right.step, now)? {
        return Ok(false);
    }
    if let Some((old, new)) = &right.resealed {
        factors::reseal(conn, &right.id, old, new)?;
    }
    Ok(true)
}

/// A factor of the kind that a form names.
pub(crate) fn kind_of(
    typed: &str,
    enabled: &[FactorKind],
    field: &str,
) -> Result<FactorKind, Error> {
    FactorKind::of(typed.trim())
        .filter(|kind| enabled.contains(kind))
        .ok_or_else(|| Invalid::field(field, Message::new("factor.unknown_method")).into())
}
