//! Recovery codes: for whoever has lost everything else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secrets::Secret;

/// How recovery codes are made and read.
pub trait RecoveryCodes: Send + Sync + 'static {
    /// `count` new codes, as they are shown.
    ///
    /// # Errors
    ///
    /// [`RecoveryCodesError`] if the system gives no randomness.
    fn generate(&self, count: u32) -> Result<Vec<Secret<String>>, RecoveryCodesError>;

    /// What is compared of a code that somebody types: the same however it is written.
    fn normalise(&self, typed: &str) -> String;
}

/// Why there are no codes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryCodesError(
    /// For the log.
    pub String,
);

impl fmt::Display for RecoveryCodesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RecoveryCodesError {}

/// Twelve letters and digits in three groups, `XXXX-XXXX-XXXX`: 60 random bits without those that are
/// easily mistaken for one another.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "it has nothing to set")]
pub struct StandardRecoveryCodes;

/// Thirty-two of them: five bits each. Neither I, L, O nor U, like Crockford's base32.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 12;

impl RecoveryCodes for StandardRecoveryCodes {
    fn generate(&self, count: u32) -> Result<Vec<Secret<String>>, RecoveryCodesError> {
        let code = |_| {
            let mut bytes = [0u8; LENGTH];
            getrandom::fill(&mut bytes)
                .map_err(|error| RecoveryCodesError(format!("no randomness: {error}")))?;
            let mut code = String::with_capacity(LENGTH + 2);
            for (n, byte) in bytes.iter().enumerate() {
                if n > 0 && n % 4 == 0 {
                    code.push('-');
                }
                code.push(char::from(LETTERS[usize::from(byte % 32)]));
            }
            Ok(Secret::new(code))
        };
        (0..count).map(code).collect()
    }

    fn normalise(&self, typed: &str) -> String {
        let meant = |c: char| match c.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            c => c,
        };
        typed
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(meant)
            .take(64)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_read_however_they_are_typed() {
        let codes = StandardRecoveryCodes.generate(1_000).unwrap();
        let distinct: BTreeSet<&str> = codes.iter().map(|code| code.expose().as_str()).collect();
        assert_eq!(distinct.len(), 1_000);
        for code in &codes {
            let code = code.expose();
            assert_eq!(code.len(), 14);
            let plain = StandardRecoveryCodes.normalise(code);
            assert_eq!(plain.len(), 12);
            let lower = code.to_lowercase().replace('-', " ");
            let mistaken = plain.replace('1', "l").replace('0', "o");
            for typed in [
                code.as_str(),
                &plain,
                &lower,
                &mistaken,
                &format!(" {code}\n"),
            ] {
                assert_eq!(StandardRecoveryCodes.normalise(typed), plain);
            }
        }
        assert_eq!(
            StandardRecoveryCodes
                .normalise(&"x".repeat(1_000_000))
                .len(),
            64
        );
    }
}
