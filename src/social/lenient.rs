//! Reading what providers answer: only what is used, each value by itself.
//!
//! A provider may write any other claim as it likes: a date where the standard has a number, a list where it has a
//! text. Such a claim is never looked at. A value that is used and has another type counts as not said, but where
//! security rests on it: there it is refused by whoever asks for it (see `id_token`).

use serde_json::{Map, Value};

use super::SocialError;

/// An object of JSON.
pub(super) type Object = Map<String, Value>;

/// The object in an answer.
pub(super) fn object(bytes: &[u8], what: &str) -> Result<Object, SocialError> {
    // Some write the mark of UTF-8 before it.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(SocialError::Refused(format!("{what} is no JSON object"))),
    }
}

/// A text that is not empty.
pub(super) fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The texts of a list, or the one that stands in its place.
pub(super) fn texts<'a>(object: &'a Object, name: &str) -> Vec<&'a str> {
    match object.get(name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A yes or no, which some write as a text. `None` if nothing is said; what cannot be read is a no.
pub(super) fn flag(object: &Object, name: &str) -> Option<bool> {
    match object.get(name)? {
        Value::Null => None,
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => Some(text.eq_ignore_ascii_case("true")),
        _ => Some(false),
    }
}

/// What a provider says is wrong, by the members of RFC 6749 (section 5.2), for the log: bounded, and with nothing
/// in it that a terminal would obey.
pub(super) fn complaint(object: &Object) -> String {
    let said = ["error", "error_description", "message"]
        .into_iter()
        .filter_map(|name| text(object, name))
        .map(quoted)
        .collect::<Vec<_>>();
    match said.is_empty() {
        true => "without a reason".into(),
        false => said.join(" "),
    }
}

/// A foreign text for the log.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flag_that_cannot_be_read_is_a_no() {
        for (value, read) in [
            (json!(true), Some(true)),
            (json!("true"), Some(true)),
            (json!("True"), Some(true)),
            (json!(false), Some(false)),
            (json!("false"), Some(false)),
            (json!(null), None),
            (json!(1), Some(false)),
            (json!("yes"), Some(false)),
            (json!([true]), Some(false)),
            (json!({"true": true}), Some(false)),
        ] {
            let object = object(json!({"flag": value}).to_string().as_bytes(), "it").unwrap();
            assert_eq!(flag(&object, "flag"), read, "{value}");
        }
    }

    #[test]
    fn foreign_texts_are_bounded_and_escaped() {
        let said = json!({"error": "a\n\u{1b}[31m", "error_description": "x".repeat(10_000)});
        let said = complaint(said.as_object().unwrap());
        assert!(
            said.len() < 500 && !said.contains(char::is_control),
            "{said}"
        );
    }
}
