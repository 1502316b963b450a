//! Forms as pages show them: described once, rendered by one macro.

use rocket::{Request, http::Method};
use serde_json::{Map, Value, json};

use crate::{
    error::Invalid,
    identity::text::in_html,
    templates::{
        catalogue::Catalogue,
        form::{Field, FormView},
    },
    types::{Message, Path},
    web::site::Site,
};

impl Field {
    fn new(name: &'static str, kind: &'static str, label: &'static str) -> Self {
        Self {
            name,
            kind,
            label,
            value: String::new(),
            checked: false,
            required: kind != "checkbox" && kind != "hidden",
            marked: true,
            autofocus: false,
            autocomplete: None,
            lengths: (None, None),
            hint: None,
            inputmode: None,
            options: Vec::new(),
        }
    }

    /// A line of text.
    pub(crate) fn text(name: &'static str, label: &'static str) -> Self {
        Self::new(name, "text", label)
    }

    /// An e-mail address.
    pub(crate) fn email(name: &'static str, label: &'static str) -> Self {
        Self::new(name, "email", label)
    }

    /// A phone number.
    pub(crate) fn phone(name: &'static str, label: &'static str) -> Self {
        Self::new(name, "tel", label).autocomplete("tel")
    }

    /// One of several.
    pub(crate) fn choice(
        name: &'static str,
        label: &'static str,
        options: Vec<(String, Message)>,
    ) -> Self {
        Self {
            options,
            ..Self::new(name, "select", label)
        }
    }

    /// A password; what was typed is never shown again.
    pub(crate) fn password(name: &'static str, label: &'static str) -> Self {
        Self::new(name, "password", label)
    }

    /// A code that came by mail or message; what was typed is not shown again.
    pub(crate) fn code(name: &'static str) -> Self {
        Self {
            inputmode: Some("numeric"),
            ..Self::new(name, "text", "field.code")
        }
        .autocomplete("one-time-code")
    }

    /// A box to tick.
    pub(crate) fn tick(name: &'static str, label: &'static str, checked: bool) -> Self {
        Self {
            checked,
            value: "true".into(),
            ..Self::new(name, "checkbox", label)
        }
    }

    /// A value that the page carries along.
    pub(crate) fn hidden(name: &'static str, value: &str) -> Self {
        Self {
            value: value.into(),
            ..Self::new(name, "hidden", "")
        }
    }

    pub(crate) fn value(mut self, value: &str) -> Self {
        self.value = value.chars().take(1_000).collect();
        self
    }

    pub(crate) fn autofocus(mut self) -> Self {
        self.autofocus = true;
        self
    }

    pub(crate) fn autocomplete(mut self, hint: &'static str) -> Self {
        self.autocomplete = Some(hint);
        self
    }

    pub(crate) fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// Needed or not, by what else is chosen: the browser does not ask for it, and the label does not call it
    /// optional.
    pub(crate) fn conditional(mut self) -> Self {
        self.marked = false;
        self.optional()
    }

    pub(crate) fn lengths(mut self, min: Option<u64>, max: Option<u64>) -> Self {
        self.lengths = (min, max);
        self
    }

    pub(crate) fn hint(mut self, hint: Message) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What the template is given of a field of the form `id`.
    fn view(
        &self,
        id: &str,
        focused: bool,
        say: &impl Fn(&Message) -> String,
        invalid: &Invalid,
    ) -> Value {
        let label = match self.label.is_empty() {
            true => String::new(),
            false => say(&Message::new(self.label)),
        };
        let mut view = json!({
            "name": self.name,
            "id": format!("{id}-{}", self.name),
            "kind": self.kind,
            "label": label,
            "value": if self.kind == "password" { "".into() } else { in_html(&self.value) },
            "errors": self.errors(&label, say, invalid),
            "required": self.required,
            "autofocus": focused,
            "checked": self.checked,
        });
        // A password that is pasted must not be cut without a word.
        let longest = self.lengths.1.filter(|_| self.kind != "password");
        let options = (self.kind == "select").then(|| {
            let options = self.options.iter();
            options
                .map(|(value, label)| json!({"value": value, "label": say(label)}))
                .collect()
        });
        let optional = [
            ("autocomplete", self.autocomplete.map(Value::from)),
            ("minlength", self.lengths.0.map(Value::from)),
            ("maxlength", longest.map(Value::from)),
            ("inputmode", self.inputmode.map(Value::from)),
            ("options", options),
            ("hint", self.hint.as_ref().map(|hint| say(hint).into())),
            ("conditional", (!self.marked).then_some(true.into())),
        ];
        if let Value::Object(view) = &mut view {
            let given = optional.into_iter();
            view.extend(given.filter_map(|(key, value)| Some((key.to_string(), value?))));
        }
        view
    }

    /// What is wrong with the field. What is wrong with any field alike is told with its label.
    fn errors(
        &self,
        label: &str,
        say: &impl Fn(&Message) -> String,
        invalid: &Invalid,
    ) -> Vec<String> {
        let named = |message: &Message| match message.key() {
            _ if label.is_empty() => say(message),
            "input.required" => say(&Message::new("input.required_named").with("label", label)),
            "input.wrong_type" | "input.repeated" | "input.nul" => {
                let named = Message::new("input.named").with("label", label);
                say(&named.with("text", say(message)))
            }
            _ => say(message),
        };
        invalid.of(self.name).iter().map(named).collect()
    }
}

impl FormView {
    pub(crate) fn new(
        id: &'static str,
        action: String,
        fields: impl IntoIterator<Item = Field>,
    ) -> Self {
        Self {
            id,
            action,
            fields: fields.into_iter().collect(),
            extra: Map::new(),
            submit: None,
        }
    }

    /// Sends the form to another path.
    pub(super) fn sent_to(mut self, action: String) -> Self {
        self.action = action;
        self
    }

    /// Puts another message on the button.
    pub(crate) fn submit(mut self, submit: &'static str) -> Self {
        self.submit = Some(submit);
        self
    }

    /// Leaves a field out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|field| field.name != name);
        self
    }

    /// Returns whether the form asks for a password.
    pub(super) fn has_password(&self) -> bool {
        self.fields.iter().any(|field| field.kind == "password")
    }

    /// Returns whether the form shows anything but its button.
    pub(super) fn is_visible(&self) -> bool {
        self.fields.iter().any(|field| field.kind != "hidden")
    }

    /// Fills the field for the address from the query of a link, such as `/confirm?email=ada@example.com`, if it
    /// is empty. Not where an address is changed: nobody else says to which.
    pub(crate) fn fill_in(&mut self, request: &Request<'_>) -> bool {
        if request.method() != Method::Get || self.id == "change_email" {
            return false;
        }
        let mut query = request.uri().query().into_iter();
        let mut given = query.find_map(|query| {
            let mut fields = query.segments();
            fields.find(|(name, _)| matches!(*name, "email" | "identity"))
        });
        let field = self
            .fields
            .iter_mut()
            .find(|field| matches!(field.name, "email" | "identity") && field.kind != "hidden");
        match (field, given.take()) {
            (Some(field), Some((_, value))) if field.value.is_empty() && !value.is_empty() => {
                let printable = value.chars().filter(|outgoing| !outgoing.is_control());
                field.value = printable.take(254).collect();
                true
            }
            _ => false,
        }
    }

    /// What the application's own fields were filled with.
    pub(crate) fn extra(mut self, extra: &Map<String, Value>) -> Self {
        self.extra = extra.clone();
        self
    }

    /// Whether a password manager needs to be told whose password this is.
    pub(crate) fn lacks_identity(&self) -> bool {
        let is_identity = |field: &Field| matches!(field.name, "email" | "username" | "identity");
        self.has_password() && !self.fields.iter().any(is_identity)
    }

    /// What the page's template is given: the fields with what is wrong at each, and what is wrong with the form.
    pub(crate) fn view(
        &self,
        site: &Site,
        catalogue: &Catalogue,
        language: &str,
        invalid: &Invalid,
    ) -> Value {
        let say = |message: &Message| catalogue.say(language, message);
        // The first field that is wrong is where the reader wants to be.
        let names = self.fields.iter().map(|field| field.name);
        let wrong = names.clone().find(|name| !invalid.of(name).is_empty());
        let fields = self.fields.iter();
        let mut fields: Vec<Value> = fields
            .map(|field| {
                let focused = wrong.map_or(field.autofocus, |wrong| wrong == field.name);
                field.view(self.id, focused, &say, invalid)
            })
            .collect();
        if let Some(extra) = site.hooks.fields.get(self.id) {
            let errors =
                |field: &str| -> Vec<String> { invalid.of(field).iter().map(say).collect() };
            let at = fields
                .iter()
                .position(|field| field["kind"] == "checkbox")
                .unwrap_or(fields.len());
            fields.splice(
                at..at,
                extra.view(self.id, catalogue, language, &self.extra, &errors),
            );
        }
        // What is wrong with a field that the page does not show belongs to the form.
        let shown: Vec<&str> = fields
            .iter()
            .filter_map(|field| field["name"].as_str())
            .collect();
        let unseen = invalid
            .fields()
            .filter(|(name, _)| name.is_empty() || !shown.contains(name));
        let errors: Vec<String> = unseen.flat_map(|(_, messages)| messages).map(say).collect();
        let mut view = Map::new();
        view.insert("is_wrong".into(), (!invalid.is_empty()).into());
        view.insert("id".into(), self.id.into());
        view.insert("action".into(), self.action.as_str().into());
        let submit = match self.submit {
            Some(key) => Message::new(key),
            None => Message::new(format!("{}.submit", self.id)),
        };
        view.insert("submit".into(), say(&submit).into());
        view.insert("errors".into(), errors.into());
        if invalid.is_unconfirmed() && site.settings.confirm.enabled {
            view.insert("confirm_url".into(), site.path(Path::Confirm).into());
        }
        // Moved, where `json!` would copy every field.
        view.insert("fields".into(), fields.into());
        view.into()
    }
}
