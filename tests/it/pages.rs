//! Keeps every page that a test was answered, for the checkers of HTML and accessibility.
//!
//! `SECURITY_TEST_PAGES` names a folder. Each state of each page is written there once; two answers that
//! differ only in numbers, identifiers and secrets are one state. `.ci/pages` checks the folder.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::app::Answer;

/// Text in these runs of characters is an identifier or a secret if it is this long.
const SECRET_LENGTH: usize = 16;

fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = PathBuf::from(std::env::var_os("SECURITY_TEST_PAGES")?);
            std::fs::create_dir_all(&folder).expect("the folder of SECURITY_TEST_PAGES");
            Some(folder)
        })
        .as_deref()
}

/// Writes the page of this answer down, if it is one of ours and new.
pub fn record(path: &str, answer: &Answer) {
    let Some(folder) = folder() else { return };
    let is_html = answer
        .header("Content-Type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    let text = String::from_utf8_lossy(&answer.body);
    // Rocket's own pages and those of a test's application have another body.
    if !is_html || !text.contains(r#"<body class="sec-page"#) {
        return;
    }
    let mut hasher = DefaultHasher::new();
    state_of(&text).hash(&mut hasher);
    let hash = hasher.finish();
    static SEEN: OnceLock<Mutex<HashSet<u64>>> = OnceLock::new();
    let seen = SEEN.get_or_init(Mutex::default);
    if !seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(hash)
    {
        return;
    }
    let name = state_of(path.split('?').next().unwrap_or(path));
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(60)
        .collect();
    let file = format!(
        "{}-{}-{hash:016x}.html",
        name.trim_matches('-'),
        answer.status
    );
    std::fs::write(folder.join(file), &answer.body).expect("a page is written");
}

/// The page without what differs each time: numbers, identifiers, secrets, and what was entered.
fn state_of(text: &str) -> String {
    let mut parts = text.split(" value=\"");
    let mut bare = String::from(parts.next().unwrap_or_default());
    for part in parts {
        bare.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    let text = bare.as_str();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut state = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        match word.len() >= SECRET_LENGTH && has_digit {
            true => state.push('*'),
            false => state.extend(word.chars().filter(|c| !c.is_ascii_digit())),
        }
        state.push_str(&piece[word.len()..]);
    }
    state
}

#[test]
fn pages_that_differ_in_secrets_alone_are_one_state() {
    let page = |token: &str, error: &str| state_of(&format!("<p id=\"a\">{token}</p>{error}"));
    let first = page("Zk3f9_aaaaaaaaaaaaaaaaaaaaaa", "12 minutes");
    assert_eq!(
        first,
        page("019ac0de-7a1e-7000-8000-000000000000", "9 minutes")
    );
    assert_ne!(first, page("Zk3f9_aaaaaaaaaaaaaaaaaaaaaa", "12 hours"));
}
