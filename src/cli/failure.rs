//! Why a command did not do what was asked, as one sentence.

use std::collections::BTreeMap;

use rocket::error::ErrorKind;

use crate::{
    error::{Error, Invalid},
    settings::{nearest, told},
    store::StoreError,
    web::site::Site,
};

/// A sentence, and what is wrong with which value, where values are wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) fields: BTreeMap<String, Vec<String>>,
}

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            fields: BTreeMap::new(),
        }
    }

    /// There is no `name` of this `kind`; perhaps one of `known` was meant.
    pub(super) fn unknown<'a>(
        kind: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let hint = nearest(name, known).map(|meant| format!("; did you mean `{meant}`?"));
        Self::new(format!(
            "there is no {kind} `{name}`{}",
            hint.unwrap_or_default()
        ))
    }

    /// An error of a service, in words.
    pub(super) fn of(site: &Site, error: Error) -> Self {
        match error.for_form() {
            Error::Invalid(invalid) => Self::invalid(site, &invalid),
            Error::Unavailable { why, .. } => Self::new(format!("not now: {why}")),
            other => Self::new(other.to_string()),
        }
    }

    pub(super) fn invalid(site: &Site, invalid: &Invalid) -> Self {
        let catalogue = site.views.catalogue();
        let mut fields = BTreeMap::new();
        for (field, messages) in invalid.fields() {
            let texts: Vec<String> = messages
                .iter()
                .map(|message| catalogue.say("en", message))
                .collect();
            fields.insert(field.to_string(), texts);
        }
        let text = fields
            .iter()
            .map(|(field, texts)| match field.as_str() {
                "" => texts.join(" "),
                field => format!("{field}: {}", texts.join(" ")),
            })
            .collect::<Vec<_>>()
            .join(" ");
        Self { text, fields }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(error.to_string())
    }
}

/// Why Rocket does not ignite or launch. A fairing says it in the log only: `reasons`.
pub(super) fn launch(error: &rocket::Error, reasons: Vec<String>) -> Failure {
    let reasons: Vec<String> = reasons.iter().map(|reason| one_line(reason)).collect();
    Failure::new(match error.kind() {
        ErrorKind::FailedFairings(_) if !reasons.is_empty() => reasons.join("; "),
        ErrorKind::FailedFairings(fairings) => {
            let names: Vec<String> = fairings
                .iter()
                .map(|fairing| format!("`{}`", fairing.name))
                .collect();
            format!(
                "the fairing {} stopped the launch; the log says why",
                names.join(", ")
            )
        }
        ErrorKind::Config(error) => figment(error),
        ErrorKind::Bind(error) => format!("the server cannot listen: {error}"),
        ErrorKind::Io(error) => format!("the server failed: {error}"),
        ErrorKind::Collisions(_) => {
            "two routes or catchers of the application collide; `serve` lists them".into()
        }
        ErrorKind::SentinelAborts(sentries) => {
            let guards: Vec<&str> = sentries.iter().map(|sentry| sentry.type_name).collect();
            format!(
                "routes use what the application did not attach: {}",
                guards.join(", ")
            )
        }
        ErrorKind::InsecureSecretKey(profile) => {
            format!(
                "Rocket wants a `secret_key` in the profile `{profile}`; write one from `openssl rand -base64 32`"
            )
        }
        _ => one_line(&error.to_string()),
    })
}

/// A setting that Rocket itself cannot read.
pub(super) fn figment(error: &rocket::figment::Error) -> String {
    let source = error
        .metadata
        .as_ref()
        .and_then(|data| data.source.as_ref());
    let place = source.map_or(String::new(), |source| format!(" (in {source})"));
    let key = match error.path.is_empty() {
        true => String::new(),
        false => format!("`{}`: ", error.path.join(".")),
    };
    format!(
        "Rocket's settings cannot be read: {key}{}{place}",
        one_line(&told(&error.kind))
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
