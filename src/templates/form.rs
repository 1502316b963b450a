//! Forms as templates draw them.

use serde_json::{Map, Value};

use crate::types::Message;

/// A form to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FormView {
    pub(crate) id: &'static str,
    pub(crate) action: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) extra: Map<String, Value>,
    /// The message on the button, if not the form's own.
    pub(crate) submit: Option<&'static str>,
}

/// A field to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) checked: bool,
    pub(crate) required: bool,
    /// Whether the label says that it may stay empty.
    pub(crate) marked: bool,
    pub(crate) autofocus: bool,
    pub(crate) autocomplete: Option<&'static str>,
    pub(crate) lengths: (Option<u64>, Option<u64>),
    pub(crate) hint: Option<Message>,
    pub(crate) inputmode: Option<&'static str>,
    /// Of a choice: values, and the messages that say them.
    pub(crate) options: Vec<(String, Message)>,
}
