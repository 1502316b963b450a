//! The application's own fields on our forms, from one type.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use validator::Validate;

use crate::{
    error::Invalid, identity::text::in_html, templates::catalogue::Catalogue, types::Message,
};

/// Forms that take the application's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// `/register`; what was filled in reaches `on_register`.
    Register,
}

impl Form {
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Register => "register",
        }
    }
}

type Check = fn(Map<String, Value>) -> Result<Map<String, Value>, Invalid>;

/// What is known of the application's type once it is forgotten.
pub(crate) struct ExtraFields {
    /// The fields and their defaults, which say of what kind they are.
    defaults: Map<String, Value>,
    check: Check,
}

impl ExtraFields {
    pub(crate) fn of<F>() -> Self
    where
        F: Default + Serialize + DeserializeOwned + Validate,
    {
        let defaults = match serde_json::to_value(F::default()) {
            Ok(Value::Object(defaults)) => defaults,
            _ => Map::new(),
        };
        Self {
            defaults,
            check: check::<F>,
        }
    }

    /// The fields that were sent, if they are good.
    pub(crate) fn check(
        &self,
        sent: &Map<String, Value>,
        invalid: &mut Invalid,
    ) -> Map<String, Value> {
        let mut own = Map::new();
        for (name, default) in &self.defaults {
            match (sent.get(name), default) {
                // A form sends text only, and nothing at all for a box that is not ticked.
                (Some(Value::String(text)), Value::Bool(_)) => {
                    own.insert(
                        name.clone(),
                        matches!(text.as_str(), "true" | "on" | "1" | "y" | "yes").into(),
                    );
                }
                (Some(Value::String(text)), Value::Number(_)) => {
                    let number = text.trim().parse::<serde_json::Number>();
                    own.insert(
                        name.clone(),
                        number.map_or_else(|_| text.clone().into(), Value::Number),
                    );
                }
                (Some(value), _) => {
                    own.insert(name.clone(), value.clone());
                }
                (None, Value::Bool(_) | Value::String(_) | Value::Null) => {
                    own.insert(name.clone(), default.clone());
                }
                (None, _) => {}
            }
        }
        match (self.check)(own) {
            Ok(own) => own,
            Err(wrong) => {
                for (field, messages) in wrong.fields() {
                    for message in messages {
                        invalid.add(field, message.clone());
                    }
                }
                Map::new()
            }
        }
    }

    /// The fields as the form macro renders them.
    pub(crate) fn view(
        &self,
        form: &str,
        catalogue: &Catalogue,
        language: &str,
        filled: &Map<String, Value>,
        errors: &dyn Fn(&str) -> Vec<String>,
    ) -> Vec<Value> {
        self.defaults
            .iter()
            .map(|(name, default)| {
                let key = format!("field.{name}");
                let label = match catalogue.has(&key) {
                    true => catalogue.say(language, &Message::new(key)),
                    false => in_words(name),
                };
                let value = match filled.get(name).unwrap_or(default) {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                let kind = match default {
                    Value::Bool(_) => "checkbox",
                    Value::Number(_) => "number",
                    _ => "text",
                };
                json!({
                    "name": name,
                    "id": format!("{form}-{name}"),
                    "kind": kind,
                    "label": label,
                    "checked": kind == "checkbox" && matches!(value.as_str(), "true" | "on"),
                    "value": if kind == "checkbox" { "true".into() } else { in_html(&value) },
                    "errors": errors(name),
                    "required": false,
                    "autofocus": false,
                })
            })
            .collect()
    }
}

fn check<F>(own: Map<String, Value>) -> Result<Map<String, Value>, Invalid>
where
    F: Serialize + DeserializeOwned + Validate,
{
    let form: F = serde_path_to_error::deserialize(Value::Object(own)).map_err(|error| {
        let path = error.path().to_string();
        Invalid::field(
            path.split(['.', '[']).next().unwrap_or_default(),
            Message::new("input.wrong_type"),
        )
    })?;
    form.validate()?;
    match serde_json::to_value(form) {
        Ok(Value::Object(own)) => Ok(own),
        _ => Ok(Map::new()),
    }
}

/// `given_name` as `Given name`.
fn in_words(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
