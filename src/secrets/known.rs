//! Secrets that others know or can guess, and so are none.

use data_encoding::BASE64_NOPAD;

/// Known to everybody who can read this; good for a developer's own machine only.
pub(crate) const DEVELOPMENT_SECRET: &str =
    "rocket_security: this key is public and for development only";

/// Keys that stand in public documentation and examples, where people copy them from.
const PUBLISHED: [&str; 13] = [
    DEVELOPMENT_SECRET,
    // Rocket's guide, its API documentation and its examples, of all versions.
    "hPRYyVRiMyxpw5sBB1XeCMN1kFsDCqKvBi2QJxBVHQk=",
    "hPrYyЭRiMyµ5sBB1π+CMæ1køFsåqKvBiQJxBVHQk=",
    "hPrYyЭRiMyµ5sBB1π+CMN1kFsqKvBiQJxBVHQk=",
    "itlYmFR2vYKrOmFhupMIn/hyB6lYCCTXz4yaQX89XVg=",
    "8Xui8SN4mI+7egV/9dlfYYLGQJeEx4+DwmSQLwDVXJg=",
    "jTyprDberFUiUFsJ3vcb1XKsYHWNBRvWAnXTlbTgGFU=",
    "TpUiXK2d/v5DFxJnWL12suJKPExKR8h9zd/o+E7SU+0=",
    "VheMwXIBygSmOlZAhuWl2B+zgvTN3WW5",
    // The quick start of Flask-Security.
    "pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",
    "146585145368132386173505678016728509634",
    // Our own tests of `doctor`.
    "x3v8Zk1pQw7Lr5Tn9Bc2Hd6Fj4Gm0YsA=",
    "5f2b9c03e7d1486aa0c97be3512d4f86",
];

/// Words of what people write until they have a secret: small letters and digits alone are compared. Each is so
/// long that no random text has it by chance.
const PLACEHOLDERS: [&str; 44] = [
    "changeme",
    "changethis",
    "changeit",
    "changebefore",
    "changein",
    "replace",
    "placeholder",
    "fillme",
    "fillin",
    "generate",
    "example",
    "insecure",
    "notasecret",
    "notsecret",
    "notsosecret",
    "yoursecret",
    "yourkey",
    "yourown",
    "bitsecret",
    "bytesecret",
    "mysecret",
    "topsecret",
    "supersecret",
    "verysecret",
    "testsecret",
    "defaultsecret",
    "samplesecret",
    "dummysecret",
    "stringsecret",
    "secretkey",
    "secrethere",
    "keyhere",
    "donotuse",
    "dontuse",
    "development",
    "notforproduction",
    "atleast32",
    "atleast256",
    "passphrase",
    "password",
    "letmein",
    "foobarbaz",
    "loremipsum",
    "correcthorse",
];

/// What placeholders begin with.
const BEGINNINGS: [&str; 5] = ["todo", "fixme", "your", "insert", "enter"];

/// Sentences that have every letter, which people type to fill a field.
const PANGRAMS: [&str; 10] = [
    "quickbrown",
    "brownfox",
    "lazydog",
    "packmybox",
    "liquorjugs",
    "boxingwizards",
    "blackquartz",
    "jackdaws",
    "vexingly",
    "waltzbad",
];

/// Rows of keys and of the alphabet.
const ROWS: [&str; 7] = [
    "1234567890",
    "0987654321",
    "abcdefghijklmnopqrstuvwxyz",
    "zyxwvutsrqponmlkjihgfedcba",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
];

/// Bits that a random text of this length has at least, however few characters it is written with.
fn least_bits(length: usize) -> u32 {
    (length.min(32) * 5 / 2) as u32
}

/// Why everybody could know or guess this secret, if so. The secret itself is never part of the answer.
pub(crate) fn problem(secret: &[u8]) -> Option<&'static str> {
    if is_published(secret) {
        return Some("is published in documentation, so everybody knows it");
    }
    let text = String::from_utf8_lossy(secret).to_lowercase();
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    if PLACEHOLDERS.iter().any(|word| plain.contains(word))
        || BEGINNINGS.iter().any(|word| plain.starts_with(word))
    {
        return Some("is a placeholder that was to be replaced");
    }
    if has_period(secret)
        || PANGRAMS.iter().any(|words| plain.contains(words))
        || mostly_rows(text.as_bytes())
        || entropy(secret) < least_bits(secret.len())
    {
        return Some("repeats itself or follows a pattern, so it can be guessed");
    }
    None
}

/// Whether the secret is published, whichever base64 it is written in, or is what such a text stands for.
fn is_published(secret: &[u8]) -> bool {
    let text = String::from_utf8_lossy(secret);
    PUBLISHED.iter().any(|published| {
        uniform(published) == uniform(&text)
            || BASE64_NOPAD
                .decode(uniform(published).as_bytes())
                .is_ok_and(|bytes| bytes == secret)
    })
}

/// A text in base64 as RFC 4648, section 4 has it, without padding.
fn uniform(text: &str) -> String {
    let text = text.trim().trim_end_matches('=');
    text.replace('-', "+").replace('_', "/")
}

/// Whether the secret is something shorter, at least twice.
fn has_period(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|period| {
        secret
            .iter()
            .skip(period)
            .zip(secret)
            .all(|(later, earlier)| later == earlier)
    })
}

/// Whether two thirds of the text or more are rows of keys, of the alphabet or of one character.
fn mostly_rows(text: &[u8]) -> bool {
    let follows = |pair: &&[u8]| {
        pair[0] == pair[1]
            || ROWS
                .iter()
                .any(|row| row.as_bytes().windows(2).any(|two| two == *pair))
    };
    text.windows(2).filter(follows).count() * 3 >= text.len() * 2
}

/// Bits of a text if its characters were drawn at random as often as they occur (Shannon): at most what it
/// really has, for a text that is random.
pub(crate) fn entropy(bytes: &[u8]) -> u32 {
    let length = bytes.len() as f64;
    let mut counts = [0u32; 256];
    bytes
        .iter()
        .for_each(|byte| counts[usize::from(*byte)] += 1);
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| -f64::from(*count) * (f64::from(*count) / length).log2())
        .sum();
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::random_token;

    #[test]
    fn what_everybody_knows_or_can_guess_is_no_secret() {
        for known in PUBLISHED.into_iter().chain([
            " itlYmFR2vYKrOmFhupMIn/hyB6lYCCTXz4yaQX89XVg",
            "itlYmFR2vYKrOmFhupMIn_hyB6lYCCTXz4yaQX89XVg",
            "8Xui8SN4mI-7egV_9dlfYYLGQJeEx4-DwmSQLwDVXJg=",
            "changeme-changeme-changeme-changeme",
            "your-256-bit-secret-for-production",
            "your-256-bit-secretyour-256-bit-secret",
            "Your-512-bit-secret, with 1 more word",
            "a-string-secret-at-least-256-bits-long",
            "todo-generate-a-real-secret-for-prod",
            "TODO: ask operations for 32 bytes, 2027",
            "fill-me-in-with-thirty-two-random-bytes",
            "replace-me-by-openssl-rand-base64-32",
            "insert 32 random bytes at this place!",
            "an example of thirty-two bytes, or 40",
            "The quick brown fox jumps over the lazy dog",
            "the-quick-brown-fox-jumps-over-13-dogs",
            "Pack my box with five dozen liquor jugs",
            "Sphinx of black quartz, judge my vow 123",
            "please CHANGE ME before you go live, 2026!",
            "change_me_4f8a1c9b2e7d6035a1b2c3d4",
            "django-insecure-8#s!kd92hf_a0s9d8f7gkq2w",
            "your-secret-key-goes-here-32-characters",
            "super_secret_key_for_the_production_site",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghabcdefghabcdefghabcdefgh",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "qwertyuiopasdfghjklzxcvbnm1234567890",
            "12345678901234567890123456789012",
            "x7Kx7Kx7Kx7Kx7Kx7Kx7Kx7Kx7Kx7Kx7Kx7K",
            "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee",
            "0110100101101100011100100110100101110011",
        ]) {
            assert!(problem(known.as_bytes()).is_some(), "{known}");
        }
        // As bytes, which an application may give in code.
        let bytes = BASE64_NOPAD
            .decode(b"hPRYyVRiMyxpw5sBB1XeCMN1kFsDCqKvBi2QJxBVHQk")
            .unwrap();
        assert!(problem(&bytes).is_some());
        let counted: Vec<u8> = (0..8).cycle().take(64).collect();
        assert!(problem(&counted).is_some());
    }

    #[test]
    fn random_secrets_of_every_spelling_are_taken() {
        for _ in 0..500 {
            let token = random_token().unwrap();
            let token = token.expose();
            let bytes = data_encoding::BASE64URL_NOPAD
                .decode(token.as_bytes())
                .unwrap();
            for text in [
                token.clone().into_bytes(),
                data_encoding::HEXLOWER.encode(&bytes).into_bytes(),
                data_encoding::HEXLOWER.encode(&bytes[..16]).into_bytes(),
                data_encoding::BASE32.encode(&bytes).into_bytes(),
                bytes,
            ] {
                assert_eq!(problem(&text), None, "{}", String::from_utf8_lossy(&text));
            }
        }
        // A text that a person made up is not ours to forbid, unless its pattern is plain.
        assert_eq!(
            problem(b"seven grey horses, eleven apricots & 1 tuba"),
            None
        );
    }
}
