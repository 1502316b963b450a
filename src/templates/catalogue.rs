//! Words for messages: the built-in English, other languages and the application's own wording over it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use crate::{settings::ConfigError, types::Message};

pub(crate) const ENGLISH: &str = include_str!("../../templates/security/messages/en.toml");
/// The language that every key has.
pub(crate) const FALLBACK: &str = "en";

/// All texts by language and key.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    languages: BTreeMap<String, HashMap<String, String>>,
}

impl Catalogue {
    /// The built-in texts, those of `<folder>/<language>.toml` over them, and `own` over all.
    pub(crate) fn load(
        folder: &Path,
        own: &[(String, String, String)],
    ) -> Result<Self, ConfigError> {
        let mut catalogue = Self {
            languages: BTreeMap::new(),
        };
        catalogue.add(FALLBACK, ENGLISH, "the built-in messages")?;
        if let Ok(entries) = std::fs::read_dir(folder) {
            for entry in entries.flatten() {
                let path = entry.path();
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
                let Some(language) = path.file_stem().and_then(|stem| stem.to_str()) else {
                    continue;
                };
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    ConfigError(format!("the messages {shown} cannot be read: {error}"))
                })?;
                catalogue.add(language, &text, &shown)?;
            }
        }
        for (language, key, text) in own {
            catalogue
                .languages
                .entry(language.clone())
                .or_default()
                .insert(key.clone(), text.clone());
        }
        Ok(catalogue)
    }

    fn add(&mut self, language: &str, text: &str, place: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError(format!("{place} is not valid TOML: {error}"))
        })?;
        let english = self.languages.get(FALLBACK).cloned();
        let texts = self.languages.entry(language.to_string()).or_default();
        let mut flat = Vec::new();
        flatten(String::new(), &table, &mut flat);
        for (key, text) in flat {
            if let Some(english) = &english
                && !english.contains_key(&key)
            {
                let hint = crate::settings::nearest(&key, english.keys().map(String::as_str));
                let hint = hint
                    .map(|meant| format!("; did you mean `{meant}`?"))
                    .unwrap_or_default();
                // An application may add messages of its own; a slip of the pen is likelier.
                log::warn!("{place} has a message `{key}` that nothing asks for{hint}");
            }
            texts.insert(key, text);
        }
        Ok(())
    }

    /// The languages there are texts for.
    pub(crate) fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.keys().map(String::as_str)
    }

    /// Whether `key` has words.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.languages
            .get(FALLBACK)
            .is_some_and(|texts| texts.contains_key(key))
    }

    /// The text of `key`, placeholders filled by `fill`; the key itself where nobody wrote one.
    pub(crate) fn text(
        &self,
        language: &str,
        key: &str,
        fill: &mut dyn FnMut(&str) -> Option<String>,
    ) -> String {
        let found = self
            .languages
            .get(language)
            .and_then(|texts| texts.get(key))
            .or_else(|| {
                self.languages
                    .get(FALLBACK)
                    .and_then(|texts| texts.get(key))
            });
        let Some(mut rest) = found.map(String::as_str) else {
            return key.to_string();
        };
        let mut text = String::with_capacity(rest.len());
        // One pass, so that a value with braces in it is never filled in turn.
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            match after
                .split_once('}')
                .and_then(|(name, after)| Some((fill(name)?, after)))
            {
                Some((value, after)) => {
                    text.push_str(&value);
                    rest = after;
                }
                None => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        text
    }

    /// A message in words.
    pub(crate) fn say(&self, language: &str, message: &Message) -> String {
        self.text(language, message.key(), &mut |name| {
            message
                .arguments()
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        })
    }

    /// The first language of an `Accept-Language` header (RFC 9110, 12.5.4) that there are texts for.
    pub(crate) fn choose(&self, accept: Option<&str>) -> &str {
        let wishes = accept.unwrap_or_default().split(',').take(20);
        let mut wishes: Vec<(&str, f32)> = wishes.filter_map(wish).collect();
        wishes.sort_by(|one, other| other.1.total_cmp(&one.1));
        wishes
            .into_iter()
            .find_map(|(tag, _)| self.look_up(tag))
            .unwrap_or(FALLBACK)
    }

    /// The language that suits a tag best (RFC 4647, 3.4): `zh-Hant-TW` takes `zh-Hant`, `zh-TW` or `zh`.
    fn look_up(&self, tag: &str) -> Option<&str> {
        let known = |wanted: &str| {
            let same = |known: &&str| known.replace('_', "-").eq_ignore_ascii_case(wanted);
            self.languages().find(same)
        };
        let parts: Vec<&str> = tag.split('-').collect();
        let (primary, rest) = parts.split_first()?;
        let is_script = |part: &&&str| part.len() == 4 && !part.starts_with(char::is_numeric);
        let script = rest.first().filter(is_script).copied();
        let region = rest.iter().find(|part| part.len() == 2).copied();
        let longer = (1..=rest.len()).rev();
        let mut wanted: Vec<String> = longer.map(|count| parts[..=count].join("-")).collect();
        if let (Some(_), Some(region)) = (script, region) {
            wanted.push(format!("{primary}-{region}"));
        }
        if let (None, Some(region)) = (script, region)
            && primary.eq_ignore_ascii_case("zh")
        {
            let traditional = ["TW", "HK", "MO"].iter();
            let is_traditional = traditional
                .clone()
                .any(|one| region.eq_ignore_ascii_case(one));
            wanted.push(if is_traditional { "zh-Hant" } else { "zh-Hans" }.into());
        }
        wanted.push((*primary).to_string());
        let found = wanted.iter().find_map(|wanted| known(wanted));
        // Who asks for a language as such takes any sort of it.
        found.or_else(|| {
            let mut languages = self.languages();
            languages.find(|known| {
                let of_known = known.split(['-', '_']).next().unwrap_or(known);
                rest.is_empty() && of_known.eq_ignore_ascii_case(primary)
            })
        })
    }
}

/// One language of an `Accept-Language` header with its quality; none that is not wanted.
fn wish(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| !tag.is_empty())?;
    let mut quality = 1.0;
    for parameter in parts {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("q") {
            quality = value.trim().parse().ok()?;
        }
    }
    (quality > 0.0).then_some((tag, quality))
}

fn flatten(prefix: String, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(table) => flatten(key, table, into),
            toml::Value::String(text) => into.push((key, text.clone())),
            other => into.push((key, other.to_string())),
        }
    }
}
