//! What comes back.

use rocket::http::Cookie;
use serde_json::Value;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn location(&self) -> Option<&str> {
        self.header("Location")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.text()))
    }

    /// The cookies that it sets.
    pub fn cookies(&self) -> Vec<Cookie<'static>> {
        self.headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"))
            .map(|(_, value)| Cookie::parse_encoded(value.clone()).expect("a cookie"))
            .collect()
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.cookies()
            .into_iter()
            .find(|cookie| cookie.name() == name)
    }

    /// Whether it is the envelope of JSON answers, saying its own status.
    pub fn is_envelope(&self) -> bool {
        self.header("Content-Type")
            .is_some_and(|kind| kind.starts_with("application/json"))
            && serde_json::from_slice::<Value>(&self.body).is_ok_and(|json| {
                json["meta"]["code"] == self.status && json["response"].is_object()
            })
    }

    /// The errors of one field in JSON.
    pub fn field_errors(&self, field: &str) -> Vec<String> {
        let errors = self.json()["response"]["field_errors"][field].clone();
        serde_json::from_value(errors).unwrap_or_default()
    }

    /// The stable keys of the errors in JSON.
    pub fn codes(&self) -> Vec<String> {
        serde_json::from_value(self.json()["response"]["error_codes"].clone()).unwrap_or_default()
    }
}
