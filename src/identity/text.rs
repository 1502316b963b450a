//! Forms of a text by which two spellings are one: normalisation, folding, what cannot be seen.

use unicode_normalization::UnicodeNormalization;

/// NFKC and full case folding, repeated until nothing changes any more.
///
/// The standard library has no case folding. Lower, upper and lower case in turn fall together
/// for the same texts as the full foldings of Unicode's `CaseFolding.txt` (`ß` and `ẞ` with `ss`,
/// both small sigmas); the one letter where they would not, the dotless `ı`, is kept apart.
pub(crate) fn folded(text: &str) -> String {
    let mut before: String = text.nfkc().collect();
    // Folding can undo the normal form and the other way round; two rounds do in practice.
    for _ in 0..4 {
        let mut letters = String::with_capacity(before.len());
        for letter in before.chars() {
            fold_into(letter, &mut letters);
        }
        let after: String = letters.nfkc().collect();
        if after == before {
            break;
        }
        before = after;
    }
    before
}

fn fold_into(letter: char, out: &mut String) {
    // Its upper case is `I`: `mıke` would become `mike`, which is another mailbox.
    if letter == 'ı' {
        out.push(letter);
    } else {
        out.extend(
            letter
                .to_lowercase()
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase),
        );
    }
}

/// Whether a reader would not see this character, or not as what it is: controls, characters
/// ignored by default (Unicode's `Default_Ignorable_Code_Point`), direction overrides, line
/// separators, blanks that count as letters, private use and noncharacters.
pub(crate) fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || code & 0xFFFE == 0xFFFE
        || matches!(code,
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
            | 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF | 0xF0000..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_text_fold_together() {
        for (a, b) in [
            ("JOSÉ", "jose\u{301}"),
            ("straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("ΟΔΟΣ", "οδος"),
            ("οδος", "οδοσ"),
            ("ＡＢＣ", "abc"),
            ("\u{212A}elvin", "kelvin"),
            ("ﬁsh", "FISH"),
            ("ŉ", "\u{2BC}N"),
            ("ᾼ", "αι"),
            ("ſ", "S"),
        ] {
            assert_eq!(folded(a), folded(b), "{a} and {b}");
        }
    }

    #[test]
    fn different_letters_stay_apart() {
        for (a, b) in [("josé", "jose"), ("mıke", "mike"), ("İ", "i"), ("ø", "o")] {
            assert_ne!(folded(a), folded(b), "{a} and {b}");
        }
    }

    #[test]
    fn folding_is_stable_for_every_character() {
        for c in (0..0x30000).filter_map(char::from_u32) {
            let once = folded(&format!("a{c}b"));
            assert_eq!(folded(&once), once, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn hidden_characters_are_known() {
        for c in "\0\t\r\n\u{7F}\u{85}\u{AD}\u{200B}\u{200D}\u{202E}\u{2066}\u{2028}\u{FEFF}\u{FFFD}\u{FFFE}\u{FFFF}\u{1FFFE}\u{10FFFF}\u{E0041}\u{3164}\u{2800}\u{E000}\u{F0000}".chars() {
            assert!(is_hidden(c), "U+{:04X}", u32::from(c));
        }
        for c in "aé ñ我😀٣-._".chars() {
            assert!(!is_hidden(c), "{c}");
        }
    }
}
