//! What the set-ups of all factors share.

use super::{
    context::FactorContext,
    factor::{Setup, Wanted},
    phone, registry,
};
use crate::{
    error::{Error, Invalid},
    identity::text::{self, NotAName},
    store::{
        User,
        factors::{FactorRow, NewFactor},
    },
    types::{FactorKind, Message, Timestamp, Usages},
};

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
    let begun = registry::of(wanted.kind).begin(means, &wanted, &id)?;
    Ok(Setup {
        kind: wanted.kind,
        usage: wanted.usage,
        name,
        secret: begun.secret,
        phone: begun.phone,
        id,
    })
}

/// Returns the row of a factor that its first code proved. `last_step` is the time step of that code, which is used
/// up.
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

/// Returns a code as users type it, without what they put between its digits.
pub(crate) fn digits(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .take(64)
        .collect()
}

/// Returns the kind that the field `field` of a form names, if it is one of `enabled`.
pub(crate) fn kind_of(
    typed: &str,
    enabled: &[FactorKind],
    field: &str,
) -> Result<FactorKind, Error> {
    FactorKind::of(typed.trim())
        .filter(|kind| enabled.contains(kind))
        .ok_or_else(|| Invalid::field(field, Message::new("factor.unknown_method")).into())
}

/// A factor of an account, as pages name it.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) kind: FactorKind,
    /// The name that its owner gave it, or nothing.
    pub(crate) name: &'a str,
    /// Its phone number, masked.
    pub(crate) detail: Option<String>,
}

/// Describes a factor; `None` if this version does not know its kind.
pub(crate) fn described(row: &FactorRow) -> Option<Described<'_>> {
    let kind = row.kind()?;
    let name = match row.name == kind.name() {
        true => "",
        false => row.name.as_str(),
    };
    Some(Described {
        kind,
        name,
        detail: row.phone.as_deref().map(phone::masked),
    })
}

impl Described<'_> {
    /// Returns what tells the factor apart from the account's others.
    pub(crate) fn label(&self) -> Message {
        match (self.name, &self.detail) {
            ("", Some(detail)) => Message::new("factor.sms_to").with("detail", detail),
            ("", None) => self.kind.label(),
            (name, Some(detail)) => Message::new("factor.named")
                .with("name", name)
                .with("detail", detail),
            (name, None) => Message::new("input.application").with("text", name),
        }
    }
}
