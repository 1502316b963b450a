//! Settings from the environment: `ROCKET_SECURITY__<TABLE>__<KEY>`, and `.._FILE` for what stands in a file.

use std::ffi::OsString;

use figment::{
    Figment,
    error::{Actual, Error, Kind},
    value::Value,
};

use super::{ConfigError, Settings, nearest};

/// Prefix of environment variables; `__` leads into tables.
const PREFIX: &str = "ROCKET_SECURITY__";
/// What Rocket reads by itself, into keys that nobody asks for.
const ONE_UNDERSCORE: &str = "ROCKET_SECURITY_";
/// Behind the name of a setting: the file that holds its text.
const FILE: &str = "_file";

/// One variable that is a setting.
pub(super) struct Entry {
    name: String,
    path: Vec<String>,
    text: String,
    /// Whether the text is taken as it is, and not for a number or a list.
    verbatim: bool,
    /// Whether the other reading was tried too.
    tried: bool,
}

impl Entry {
    fn value(&self) -> Value {
        match (self.verbatim, self.text.parse()) {
            (false, Ok(value)) => value,
            _ => Value::from(self.text.clone()),
        }
    }

    /// Reads the text the other way, if there is one that was not tried.
    fn turn(&mut self) -> bool {
        let is_text = self
            .text
            .parse::<Value>()
            .is_ok_and(|value| value.as_str().is_some());
        let turns = !self.tried && !is_text;
        if turns {
            self.verbatim = !self.verbatim;
            self.tried = true;
        }
        turns
    }

    /// Whether an error at `path`, where a table is and should not be, is about this.
    fn is_below(&self, path: &[&str]) -> bool {
        let own = self.path.iter().map(String::as_str);
        own.take(path.len()).eq(path.iter().copied())
    }

    /// Whether an error at `path` is about this.
    fn is_at(&self, path: &[&str]) -> bool {
        let own = self.path.iter().map(String::as_str);
        own.clone().eq(path.iter().copied().take(self.path.len()))
    }
}

/// What the environment sets.
pub(super) fn entries(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Entry>, ConfigError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let upper = name.to_ascii_uppercase();
        if let Some(rest) = upper.strip_prefix(PREFIX) {
            let Some(text) = value.to_str() else {
                return Err(ConfigError(format!(
                    "the environment variable `{name}` is not UTF-8; write it so"
                )));
            };
            let path = rest.to_ascii_lowercase();
            let path = path.split("__").map(String::from).collect();
            entries.push(entry(name, path, text)?);
        } else if name.starts_with(ONE_UNDERSCORE) {
            one_underscore(name, &value.to_string_lossy())?;
        }
    }
    for (place, entry) in entries.iter().enumerate() {
        let other = entries[..place]
            .iter()
            .find(|other| other.path == entry.path);
        if let Some(other) = other {
            return Err(ConfigError(format!(
                "the environment variables `{}` and `{}` set the same; write one of them",
                other.name, entry.name
            )));
        }
    }
    Ok(entries)
}

fn entry(name: &str, mut path: Vec<String>, text: &str) -> Result<Entry, ConfigError> {
    let stem = path.last().and_then(|last| last.strip_suffix(FILE));
    if let Some(stem) = stem.map(String::from)
        && !is_setting(&path)
    {
        let mut meant = path.clone();
        meant.pop();
        meant.push(stem);
        if is_setting(&meant) {
            path = meant;
            return Ok(Entry {
                name: name.into(),
                path,
                text: content(name, text)?,
                verbatim: true,
                tried: false,
            });
        }
    }
    Ok(Entry {
        name: name.into(),
        path,
        text: text.into(),
        verbatim: false,
        tried: false,
    })
}

/// The text of the file that a variable names, without the line's end that editors leave.
fn content(name: &str, file: &str) -> Result<String, ConfigError> {
    let wrong = |why: String| {
        ConfigError(format!(
            "the environment variable `{name}` names the file {file}, {why}"
        ))
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("which cannot be read: {error}")))?;
    let text = text.trim_end_matches(['\n', '\r']);
    match text.is_empty() {
        true => Err(wrong("which is empty; write the secret into it".into())),
        false => Ok(text.into()),
    }
}

/// A name with one underscore where settings have two: a slip that would go unnoticed, or somebody else's.
fn one_underscore(name: &str, value: &str) -> Result<(), ConfigError> {
    let rest = name[ONE_UNDERSCORE.len()..].to_ascii_lowercase();
    let tables = rest.match_indices('_').map(|(at, _)| {
        let (table, key) = (&rest[..at], &rest[at + 1..]);
        vec![table.to_string(), key.to_string()]
    });
    let mut readings = std::iter::once(vec![rest.clone()]).chain(tables);
    // Kubernetes gives every container the addresses of all services, such as `ROCKET_SECURITY_PORT`.
    let of_kubernetes = value.starts_with("tcp://") || value.starts_with("udp://");
    match readings.find(|path| !of_kubernetes && is_setting(path)) {
        Some(path) => Err(ConfigError(format!(
            "the environment variable `{name}` is not read; write `{PREFIX}{}`, with two underscores before each key",
            path.join("__").to_ascii_uppercase()
        ))),
        None => {
            log::warn!(
                "the environment variable `{name}` is no setting of rocket_security and is not read"
            );
            Ok(())
        }
    }
}

/// Whether there is a setting of this path.
fn is_setting(path: &[String]) -> bool {
    let figment = Figment::new().merge((path.join("."), "x"));
    match figment.extract::<Settings>() {
        Ok(_) => true,
        Err(error) => match &error.kind {
            Kind::UnknownField(..) => false,
            // A table itself.
            Kind::InvalidType(_, expected) => {
                let expected = expected.to_string();
                !expected.starts_with("struct ") && expected != "a map"
            }
            _ => true,
        },
    }
}

/// Reads the settings. Where the environment has a number, a truth value or a list for what is a text, it is the
/// text as it was written.
pub(super) fn extract(figment: &Figment, mut entries: Vec<Entry>) -> Result<Settings, ConfigError> {
    loop {
        let merge =
            |figment: Figment, entry: &Entry| figment.merge((entry.path.join("."), entry.value()));
        let error = match entries.iter().fold(figment.clone(), merge).extract() {
            Ok(settings) => return Ok(settings),
            Err(error) => error,
        };
        // The last of several is the first that was found.
        let Some(error) = error.into_iter().last() else {
            return Err(ConfigError("`security` cannot be read".into()));
        };
        let path = path_of(&error);
        let at = entries.iter().position(|entry| entry.is_at(&path));
        // A number out of its bounds is a number.
        let may_be_text = !matches!(error.kind, Kind::InvalidValue(..));
        if may_be_text && at.is_some_and(|at| entries[at].turn()) {
            continue;
        }
        let a_table = matches!(error.kind, Kind::InvalidType(..));
        let below = || entries.iter().position(|entry| entry.is_below(&path));
        let name = at
            .or_else(|| below().filter(|_| a_table))
            .map(|at| entries[at].name.as_str());
        return Err(sentence(&error, name));
    }
}

/// The keys that lead to what an error is about, without `security`.
fn path_of(error: &Error) -> Vec<&str> {
    let parts = error.path.iter().map(String::as_str);
    let mut path: Vec<&str> = parts.filter(|part| *part != "security").collect();
    if let Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(&field.as_str())
    {
        path.push(field);
    }
    path
}

/// One sentence for an error of figment, with the key as somebody wrote it.
fn sentence(error: &Error, variable: Option<&str>) -> ConfigError {
    let path = path_of(error);
    let source = error
        .metadata
        .as_ref()
        .and_then(|data| data.source.as_ref());
    let place = match (variable, source) {
        (Some(name), _) => format!(" (in the environment variable {name})"),
        (None, Some(source)) => format!(" (in {source})"),
        (None, None) => String::new(),
    };
    let text = match &error.kind {
        Kind::UnknownField(field, known) => {
            let hint = match nearest(field, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            format!("`security.{}` is not a setting; {hint}", path.join("."))
        }
        kind => format!("`security.{}`: {}", path.join("."), told(kind)),
    };
    ConfigError(format!("{text}{place}"))
}

/// What is wrong with a value, without the value: it may be a secret, or a secret may stand beside it.
pub(crate) fn told(kind: &Kind) -> String {
    match kind {
        // A file that cannot be parsed is quoted in the lines that follow.
        Kind::Message(message) => message.lines().next().unwrap_or_default().into(),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let expected = expected.to_string();
            if matches!(found, Actual::Unsigned(0) | Actual::Signed(0))
                && expected.starts_with("a nonzero ")
            {
                return "this is 0, and should be 1 or more".into();
            }
            let expected = match expected.as_str() {
                text if text.starts_with("struct ") => "a table of settings",
                text if text.starts_with("a nonzero ") => "a number, 1 or more",
                text => text,
            };
            format!("this is {}, and should be {expected}", kind_of(found))
        }
        Kind::Unsupported(found) => format!("this is {}, which cannot be read", kind_of(found)),
        Kind::UnsupportedKey(found, expected) => {
            format!("a key is {}, and should be {expected}", kind_of(found))
        }
        other => other.to_string(),
    }
}

fn kind_of(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        extract(&Figment::new(), entries(variables)?)
    }

    #[test]
    fn text_stays_text_however_it_looks() {
        for text in [
            "12345678",
            "true",
            "false",
            "[1]",
            "[1, 2]",
            "1.10",
            "007",
            "-5",
            "{a=b}",
            "1e400",
            " x ",
            "a,b",
            "'",
            "[",
            "99999999999999999999999999999999999999",
        ] {
            let settings = read(&[
                ("ROCKET_SECURITY__MAIL__USERNAME", text),
                ("ROCKET_SECURITY__MAIL__PASSWORD", text),
                ("ROCKET_SECURITY__SITE_NAME", text),
                ("ROCKET_SECURITY__SMS__TOKEN", text),
                ("ROCKET_SECURITY__DATABASE__URL", text),
                ("ROCKET_SECURITY__LIMITS__PER_ACCOUNT", "7"),
                ("ROCKET_SECURITY__GENERIC_ANSWERS", "false"),
                ("ROCKET_SECURITY__IDENTITIES", "[\"email\"]"),
                ("ROCKET_SECURITY__SESSION__IDLE", "900"),
            ])
            .unwrap();
            // Figment drops the spaces at the ends of a plain word.
            let wanted = text.trim();
            assert_eq!(settings.mail.password.unwrap().expose().trim(), wanted);
            assert_eq!(settings.mail.username.unwrap().trim(), wanted);
            assert_eq!(settings.site_name.trim(), wanted);
            assert_eq!(settings.sms.token.unwrap().expose().trim(), wanted);
            assert_eq!(settings.database.url.expose().trim(), wanted);
            assert_eq!(settings.limits.per_account.get(), 7);
            assert!(!settings.generic_answers);
        }
        let one = read(&[(
            "ROCKET_SECURITY__SECRET",
            "12345678901234567890123456789012345",
        )])
        .unwrap();
        assert_eq!(one.secret.unwrap().0.len(), 1);
        let two = read(&[("ROCKET_SECURITY__SECRET", "[\"one\", \"two\"]")]).unwrap();
        assert_eq!(two.secret.unwrap().0.len(), 2);
    }

    #[test]
    fn no_message_holds_a_value() {
        for (name, value) in [
            ("ROCKET_SECURITY__MAIL", "canary"),
            ("ROCKET_SECURITY__MAIL__PASWORD", "canary"),
            ("ROCKET_SECURITY__LIMITS__PER_ACCOUNT", "canary"),
            (
                "ROCKET_SECURITY__DATABASE",
                "postgres://user:canary@host/db",
            ),
            ("ROCKET_SECURITY__DATABASE__URL__X", "canary"),
            ("ROCKET_SECURITY__SMS__TOKEN__X", "canary"),
            ("ROCKET_SECURITY__SECRET", "{a=\"canary\"}x"),
            ("ROCKET_SECURITY__HASHING__PEPPERS", "canary"),
            ("ROCKET_SECURITY__GENERIC_ANSWERS", "canary"),
            ("ROCKET_SECURITY__CANARY", "canary"),
        ] {
            let Err(error) = read(&[(name, value)]) else {
                continue;
            };
            let said = error.to_string();
            assert!(
                !said.contains("canary") || name.contains("CANARY"),
                "{name}: {said}"
            );
            assert!(said.contains(name), "{name}: {said}");
        }
    }

    #[test]
    fn a_variable_of_somebody_elses_is_no_reason_to_stop() {
        for (name, value) in [
            ("ROCKET_SECURITY_SERVICE_HOST", "10.0.0.1"),
            ("ROCKET_SECURITY_SERVICE_PORT", "80"),
            ("ROCKET_SECURITY_SERVICE_PORT_HTTP", "80"),
            ("ROCKET_SECURITY_PORT", "tcp://10.0.0.1:80"),
            ("ROCKET_SECURITY_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("ROCKET_SECURITY_MAIL_PORT", "tcp://10.0.0.1:25"),
            ("ROCKET_SECURITY_MAIL_SERVICE_HOST", "10.0.0.1"),
        ] {
            assert!(read(&[(name, value)]).is_ok(), "{name}");
        }
        for (name, meant) in [
            ("ROCKET_SECURITY_BASE_URL", "`ROCKET_SECURITY__BASE_URL`"),
            ("ROCKET_SECURITY_MAIL_PORT", "`ROCKET_SECURITY__MAIL__PORT`"),
            (
                "ROCKET_SECURITY_TWO_FACTOR_REQUIRED",
                "`ROCKET_SECURITY__TWO_FACTOR__REQUIRED`",
            ),
        ] {
            let said = read(&[(name, "25")]).unwrap_err().to_string();
            assert!(said.contains(meant), "{said}");
        }
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_a_variable_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (password, secret, empty) = (
            file("p", "12345678\n"),
            file("s", "true\r\n"),
            file("e", "\n"),
        );
        let settings = read(&[
            ("ROCKET_SECURITY__MAIL__USERNAME", "me"),
            ("ROCKET_SECURITY__MAIL__PASSWORD_FILE", password.as_str()),
            ("ROCKET_SECURITY__SECRET_FILE", secret.as_str()),
            ("ROCKET_SECURITY__DATABASE__URL_FILE", secret.as_str()),
            #[cfg(feature = "social")]
            ("ROCKET_SECURITY__SOCIAL__PROVIDERS__GOOGLE__CLIENT_ID", "1"),
            #[cfg(feature = "social")]
            (
                "ROCKET_SECURITY__SOCIAL__PROVIDERS__GOOGLE__CLIENT_SECRET_FILE",
                &password,
            ),
        ])
        .unwrap();
        assert_eq!(settings.mail.password.unwrap().expose(), "12345678");
        assert_eq!(settings.secret.unwrap().0[0].expose(), "true");
        assert_eq!(settings.database.url.expose(), "true");
        // What is no text is read as a variable would be.
        let (list, number) = (file("l", "[\"sixteen characters\"]\n"), file("n", "465\n"));
        let read_too = read(&[
            ("ROCKET_SECURITY__HASHING__PEPPERS_FILE", list.as_str()),
            ("ROCKET_SECURITY__MAIL__PORT_FILE", number.as_str()),
        ])
        .unwrap();
        assert_eq!(read_too.hashing.peppers.len(), 1);
        assert_eq!(read_too.mail.port, Some(465));
        #[cfg(feature = "social")]
        assert_eq!(
            settings.social.providers["google"]
                .client_secret
                .as_ref()
                .unwrap()
                .expose(),
            "12345678"
        );
        for (variables, words) in [
            (
                &[("ROCKET_SECURITY__SECRET_FILE", "/nowhere/at/all")][..],
                "ROCKET_SECURITY__SECRET_FILE",
            ),
            (
                &[("ROCKET_SECURITY__SECRET_FILE", empty.as_str())],
                "is empty",
            ),
            (
                &[
                    ("ROCKET_SECURITY__SECRET_FILE", secret.as_str()),
                    ("ROCKET_SECURITY__SECRET", "canary"),
                ],
                "set the same",
            ),
            (
                &[("ROCKET_SECURITY__SECRTE_FILE", secret.as_str())],
                "secrte_file",
            ),
        ] {
            let said = read(variables).unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("canary"), "{said}");
        }
    }
}
