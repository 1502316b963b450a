//! Passwords that everybody uses.
//!
//! `common.txt` is derived from the password list of zxcvbn (MIT; see NOTICE): its 10,000 most
//! frequent and all others of eight characters or more, in lower case, sorted by bytes.

use std::sync::LazyLock;

use zeroize::Zeroizing;

static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Whether a password is on the list, in any case of letters.
pub(super) fn contains(password: &str) -> bool {
    let lower = Zeroizing::new(password.to_lowercase());
    COMMON.binary_search(&lower.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(COMMON.len() > 10_000);
        assert!(COMMON.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(COMMON.iter().all(|one| **one == one.to_lowercase()));
    }

    #[test]
    fn look_ups_ignore_case_and_need_the_whole_password() {
        assert!(contains("password") && contains("PassWord") && contains("12345678"));
        assert!(!contains("") && !contains("password and more"));
    }
}
