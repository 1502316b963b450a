//! "Did you mean ...?" for a setting, feature or role that does not exist.

/// The longest word worth comparing; the comparison takes the product of the lengths.
const LONGEST: usize = 100;

/// The known word most like `word`, if one is near enough to be what was meant.
///
/// Near enough is one slip (a letter too many, missing, wrong, or two changed about) for each
/// three letters begun. Case and the choice between `-` and `_` are no slips. Of two equally near
/// the first wins.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let length = word.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    // Fewer slips than letters: else everything would be near a word of one letter.
    let slips = length.div_ceil(3).min(length - 1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &plain(name)), name))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "login",
        "logout",
        "password",
        "two_factor",
        "webauthn",
        "token",
    ];

    #[test]
    fn slips_are_forgiven() {
        for (word, meant) in [
            ("lgoin", "login"),
            ("logn", "login"),
            ("logon", "login"),
            ("log_out", "logout"),
            ("pasword", "password"),
            ("Two-Factor", "two_factor"),
            ("twofactor", "two_factor"),
            ("web_authn", "webauthn"),
            ("tokens", "token"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn strangers_have_no_neighbour() {
        for word in [
            "",
            "x",
            "banana",
            "session",
            "colour",
            &"a".repeat(1_000_000),
        ] {
            assert_eq!(nearest(word, KNOWN), None);
        }
    }

    #[test]
    fn the_nearest_wins_and_then_the_first() {
        assert_eq!(nearest("mins", ["mix", "min"]), Some("min"));
        assert_eq!(nearest("mab", ["max", "mat"]), Some("max"));
        assert_eq!(nearest("mab", []), None);
    }
}
