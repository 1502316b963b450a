//! Passwords made of what is known about their owner.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Shorter words turn up by chance.
const SHORTEST: usize = 4;

/// Whether a password holds one of the words, forwards or backwards, or is a part of one.
pub(super) fn is_similar(password: &str, about: &[&str]) -> bool {
    let password = Zeroizing::new(password.to_lowercase());
    let long_enough = |text: &str| text.chars().count() >= SHORTEST;
    about
        .iter()
        .flat_map(|text| words(text))
        .filter(|word| long_enough(word))
        .any(|word| {
            let backwards: String = word.chars().rev().collect();
            [word, backwards].iter().any(|word| {
                password.contains(word.as_str())
                    || (long_enough(&password) && word.contains(password.as_str()))
            })
        })
}

/// The text itself and, of an e-mail address, what stands before the `@` and before a `+` there.
fn words(text: &str) -> Vec<String> {
    let text = text.trim().nfkc().collect::<String>().to_lowercase();
    let mut words = Vec::new();
    if let Some((local, _)) = text.rsplit_once('@') {
        words.push(local.to_owned());
        if let Some((name, _)) = local.split_once('+') {
            words.push(name.to_owned());
        }
    }
    words.push(text);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: [&str; 3] = ["Ann.Arbor+news@example.com", "bo", "Gardenclub"];

    #[test]
    fn the_identity_is_found_in_any_case_and_direction() {
        for password in [
            "ann.arbor+news@example.com",
            "ANN.ARBOR2024",
            "robra.nna!!",
            "my gardenclub login",
            "bulcnedrag",
            "gardencl",
            "ann.arbor+news",
        ] {
            assert!(is_similar(password, &ABOUT), "{password}");
        }
    }

    #[test]
    fn short_words_and_strangers_are_not() {
        for password in ["bobsled rides", "quiet river stone", "bo", "gar"] {
            assert!(!is_similar(password, &ABOUT), "{password}");
        }
        assert!(!is_similar("quiet river", &["", " ", "@", "+@"]));
    }
}
