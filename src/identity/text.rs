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
            | 0xFFF0..=0xFFFD | 0x13430..=0x1343F | 0x13441..=0x13442 | 0x16FE4
            | 0x1BCA0..=0x1BCA3 | 0x1D159 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF | 0xF0000..)
}

/// Enough of an e-mail address for its owner to recognize it: the first character and the domain.
pub(crate) fn masked(address: &str) -> String {
    match address.split_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => "***".into(),
    }
}

/// A text as a page may hold it: without the characters that are an error in HTML even where they are escaped
/// (controls and noncharacters, HTML Living Standard, section 13.2.3.5).
pub(crate) fn in_html(text: &str) -> std::borrow::Cow<'_, str> {
    let is_error = |c: char| {
        let code = u32::from(c);
        c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}')
            || code & 0xFFFE == 0xFFFE
            || matches!(code, 0xFDD0..=0xFDEF)
    };
    match text.contains(is_error) {
        true => text.replace(is_error, "").into(),
        false => text.into(),
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAName {
    /// There is nothing in it.
    Empty,
    /// It has more characters than there is room for.
    TooLong,
    /// It has a character that a reader would not see, or that turns the text around.
    Hidden,
}

/// Judges the name that somebody gives something: a factor, a passkey, a key, a role, a permission. Answers it
/// without white space at its ends.
///
/// [`is_hidden`] is the one table of characters that no name has. The joiner and the selector of which emoji
/// are made are taken between and after emoji, and nowhere else.
pub(crate) fn name(typed: &str, most: usize) -> Result<&str, NotAName> {
    let name = typed.trim();
    if name.is_empty() {
        return Err(NotAName::Empty);
    }
    let (mut count, mut before, mut letters) = (0, None, name.chars().peekable());
    while let Some(c) = letters.next() {
        count += 1;
        if count > most {
            return Err(NotAName::TooLong);
        }
        let after = letters.peek().copied();
        let is_part_of_emoji = match c {
            '\u{FE0F}' => before.is_some_and(is_emoji),
            '\u{200D}' => {
                before.is_some_and(|before| is_emoji(before) || before == '\u{FE0F}')
                    && after.is_some_and(is_emoji)
            }
            _ => false,
        };
        if is_hidden(c) && !is_part_of_emoji {
            return Err(NotAName::Hidden);
        }
        before = Some(c);
    }
    Ok(name)
}

/// Whether a character is drawn as a picture: the blocks of symbols and of emoji.
fn is_emoji(c: char) -> bool {
    matches!(u32::from(c), 0x2190..=0x2BFF | 0x1F000..=0x1FAFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_no_character_that_is_an_error_in_html() {
        let odd = "a\u{0}\u{7f}\u{85}\u{fdd0}\u{fffe}\u{10ffff}b\tc\n";
        assert_eq!(in_html(odd), "ab\tc\n");
        assert_eq!(in_html("José \u{202e}"), "José \u{202e}");
    }

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
            let ticket_id = folded(&format!("a{c}b"));
            assert_eq!(folded(&ticket_id), ticket_id, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn names_have_no_hidden_character() {
        for (typed, kept) in [
            (" Blue key ", "Blue key"),
            ("👩\u{200D}💻 laptop", "👩\u{200D}💻 laptop"),
            ("🏳\u{FE0F}\u{200D}🌈", "🏳\u{FE0F}\u{200D}🌈"),
            ("❤\u{FE0F}", "❤\u{FE0F}"),
            ("مفتاح", "مفتاح"),
        ] {
            assert_eq!(name(typed, 64), Ok(kept));
        }
        for hidden in "\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}\u{200E}\u{200F}\u{61C}\u{200B}\u{200C}\u{200D}\u{2060}\u{FEFF}\u{AD}\u{34F}\u{180E}\u{FE0F}\u{E0101}\u{0}\u{7}\u{85}\u{2028}".chars() {
            for typed in [format!("a{hidden}b"), format!("{hidden}a"), format!("a{hidden}")] {
                let judged = name(&typed, 64);
                // White space at the ends goes.
                let trimmed = typed.trim() == "a";
                assert_eq!(judged, if trimmed { Ok("a") } else { Err(NotAName::Hidden) }, "{typed:?}");
            }
        }
        assert_eq!(name(" \u{3000}", 64), Err(NotAName::Empty));
        assert_eq!(name(&"é".repeat(65), 64), Err(NotAName::TooLong));
        assert_eq!(name("💻\u{200D}a", 64), Err(NotAName::Hidden));
    }

    #[test]
    fn what_is_ignored_by_default_or_drawn_as_nothing_is_hidden() {
        // `Default_Ignorable_Code_Point` of Unicode 16, and letters and symbols whose glyph is blank: of Hangul,
        // Braille, Khmer, Egyptian hieroglyphs, Khitan and musical notation.
        let ignored = [
            0xAD..=0xAD,
            0x34F..=0x34F,
            0x61C..=0x61C,
            0x115F..=0x1160,
            0x17B4..=0x17B5,
            0x180B..=0x180F,
            0x200B..=0x200F,
            0x202A..=0x202E,
            0x2060..=0x206F,
            0x3164..=0x3164,
            0xFE00..=0xFE0F,
            0xFEFF..=0xFEFF,
            0xFFA0..=0xFFA0,
            0xFFF0..=0xFFF8,
            0x1BCA0..=0x1BCA3,
            0x1D173..=0x1D17A,
            0xE0000..=0xE0FFF,
        ];
        let blank = [0x2800, 0x13441, 0x13442, 0x16FE4, 0x1D159];
        for code in ignored.into_iter().flatten().chain(blank) {
            let c = char::from_u32(code).unwrap();
            assert!(is_hidden(c), "U+{code:04X}");
            let (start, middle) = (format!("{c}a"), format!("a{c}b"));
            for typed in [start, middle] {
                assert_eq!(name(&typed, 64), Err(NotAName::Hidden), "U+{code:04X}");
            }
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
