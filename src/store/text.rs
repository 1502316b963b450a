//! Texts as columns hold them.

use crate::identity::text::is_hidden;

/// `VARCHAR(n)` counts characters, and only SQLite takes more: cut a value that merely informs, and leave out
/// what a reader would not see of it.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(most).collect()
}
