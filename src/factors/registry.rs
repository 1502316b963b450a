//! The factors, by kind.

use super::{
    authenticator::Authenticator,
    context::FactorContext,
    factor::{Factor, Right},
    mailbox::Mailbox,
    passkey::PasskeyFactor,
    sms::TextMessage,
};
use crate::{store::factors::FactorRow, types::FactorKind};

/// Returns the factor of a kind.
pub(crate) fn of(kind: FactorKind) -> &'static dyn Factor {
    match kind {
        FactorKind::Authenticator => &Authenticator,
        FactorKind::Email => &Mailbox,
        FactorKind::Sms => &TextMessage,
        FactorKind::Passkey => &PasskeyFactor,
    }
}

/// The factor that reaches an account which has lost its own.
pub(crate) const RESCUE: FactorKind = FactorKind::Email;

/// Returns the factor of a row; `None` if this version does not know its kind.
pub(crate) fn of_row(row: &FactorRow) -> Option<&'static dyn Factor> {
    row.kind().map(of)
}

/// Returns whether the browser asks for this factor, so that no code is typed.
pub(crate) fn by_browser(row: &FactorRow) -> bool {
    of_row(row).is_some_and(|factor| !factor.takes_code())
}

/// Returns whether the set-up of one of these asks for a phone number.
pub(crate) fn takes_phone(kinds: &[FactorKind]) -> bool {
    kinds.iter().any(|kind| of(*kind).takes_phone())
}

/// Returns what `code` is, if one of `rows` made it.
pub(crate) fn right_code(means: &FactorContext, rows: &[FactorRow], code: &str) -> Option<Right> {
    rows.iter()
        .find_map(|row| of_row(row)?.check(means, row.into(), code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_that_sends_codes_says_where() {
        for kind in FactorKind::ALL {
            let factor = of(kind);
            let is_sent = factor.destination(Some("+491715551234")).is_some();
            assert_eq!(is_sent, kind.sends(), "{kind:?}");
            assert_eq!(
                factor
                    .describe("ada@example.com", Some("+491715551234"))
                    .is_some(),
                is_sent,
                "{kind:?}"
            );
            // No factor takes a code that is neither its own nor the one that was sent.
            assert_eq!(factor.step(None, false), None, "{kind:?}");
        }
    }
}
