//! What a launch insists on outside of development: a secret, and where the site is reached.

use std::path::PathBuf;

use rocket::figment::Figment;

use crate::{
    secrets::{
        Secret,
        known::{self, DEVELOPMENT_SECRET},
    },
    settings::{ConfigError, Settings, Strictness},
};

/// Debug build, a loopback address, no proxy before it and no address elsewhere: a developer at work.
/// Anything else is taken for real.
pub(super) fn strictness(settings: &Settings, figment: &Figment) -> Strictness {
    let address: std::net::IpAddr = figment
        .extract_inner("address")
        .unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
    let base = settings.base_url.as_deref().map(url::Url::parse);
    let elsewhere = base.is_some_and(|url| !url.is_ok_and(|url| is_local(&url)));
    let at_work = cfg!(debug_assertions)
        && address.is_loopback()
        && settings.trusted_proxies.is_empty()
        && !elsewhere;
    if at_work {
        Strictness::Development
    } else {
        Strictness::Production
    }
}

pub(super) fn is_local(url: &url::Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

pub(super) fn secrets(
    settings: &Settings,
    figment: &Figment,
    strictness: Strictness,
) -> Result<Vec<Secret<Vec<u8>>>, ConfigError> {
    let own = settings
        .secret
        .as_ref()
        .map(|secrets| secrets.0.as_slice())
        .unwrap_or_default();
    for secret in own {
        let text = secret.expose();
        if text.len() < 32
            || text
                .chars()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                < 8
        {
            return Err(ConfigError(
                "`security.secret` is too short or too regular to be one; write at least 32 random characters, for example from `openssl rand -base64 32`".into(),
            ));
        }
        unknown("security.secret", text.as_bytes(), strictness)?;
    }
    for pepper in &settings.hashing.peppers {
        unknown(
            "security.hashing.peppers",
            pepper.expose().as_bytes(),
            strictness,
        )?;
    }
    if !own.is_empty() {
        return Ok(own
            .iter()
            .map(|secret| Secret::new(secret.expose().as_bytes().to_vec()))
            .collect());
    }
    if let Some(key) = rocket_key(figment) {
        unknown("secret_key", key.expose(), strictness)?;
        return Ok(vec![key]);
    }
    match strictness {
        Strictness::Development => Ok(vec![Secret::new(DEVELOPMENT_SECRET.as_bytes().to_vec())]),
        Strictness::Production => Err(ConfigError(
            "`security.secret` is missing; outside of development write at least 32 random characters, for example from `openssl rand -base64 32`, into ROCKET_SECURITY__SECRET".into(),
        )),
    }
}

/// Refuses a secret that others know or can guess, wherever others can reach the site.
fn unknown(key: &str, secret: &[u8], strictness: Strictness) -> Result<(), ConfigError> {
    match known::problem(secret) {
        Some(problem) if strictness == Strictness::Production => Err(ConfigError(format!(
            "`{key}` {problem}; write random characters, for example from `openssl rand -base64 32`"
        ))),
        _ => Ok(()),
    }
}

/// Rocket's own `secret_key`, which its `Config` does not give back: text from TOML or environment, bytes
/// from code; not one that is all zeros, as Rocket's debug default is.
pub(crate) fn rocket_key(figment: &Figment) -> Option<Secret<Vec<u8>>> {
    let text = figment
        .extract_inner::<String>("secret_key")
        .ok()
        .map(String::into_bytes);
    let bytes = text.or_else(|| figment.extract_inner::<Vec<u8>>("secret_key").ok())?;
    let varied = bytes
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
        >= 8;
    (bytes.len() >= 32 && varied).then(|| Secret::new(bytes))
}

pub(super) fn base_url(
    settings: &Settings,
    figment: &Figment,
    strictness: Strictness,
) -> Result<url::Url, ConfigError> {
    let text = match (&settings.base_url, strictness) {
        (Some(text), _) => text.clone(),
        (None, Strictness::Development) => {
            let port: u16 = figment.extract_inner("port").unwrap_or(8000);
            format!("http://localhost:{port}")
        }
        (None, Strictness::Production) => {
            return Err(ConfigError(
                "`security.base_url` is missing; outside of development write where the site is reached, such as \"https://example.com\"".into(),
            ));
        }
    };
    let url = url::Url::parse(&text).map_err(|error| {
        ConfigError(format!(
            "`security.base_url` is `{text}`, which is not a URL: {error}"
        ))
    })?;
    let local = is_local(&url);
    if url.scheme() == "http" && !local && strictness == Strictness::Production {
        return Err(ConfigError(format!(
            "`security.base_url` is `{text}`, over which cookies can be read on the way; write \"https://..\""
        )));
    }
    Ok(url)
}

pub(crate) fn template_dir(figment: &Figment) -> PathBuf {
    use rocket::figment::value::magic::RelativePathBuf;
    figment
        .extract_inner::<RelativePathBuf>("template_dir")
        .map(|path| path.relative())
        .unwrap_or_else(|_| PathBuf::from("templates"))
}
