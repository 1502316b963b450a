//! The checks of settings, templates, mail and hashing.

use std::time::{Duration, Instant};

use rocket::{Ignite, Rocket, tokio::time::timeout};

use super::finding::{Finding, fail, millis, ok, warn};
use crate::{
    cli::out::count,
    fairing::environment,
    features,
    secrets::{
        Password,
        known::{self, entropy},
    },
    settings::Strictness,
    web::site::Site,
};

pub(super) fn launch(rocket: &Rocket<Ignite>, site: &Site) -> Finding {
    let rules = match site.strictness {
        Strictness::Development => "by the rules for development",
        Strictness::Production => "by the rules for production",
    };
    let number = count(rocket.routes().count(), "route", "routes");
    ok(format!(
        "the settings of the profile `{}` are good, {rules}; {number}",
        rocket.figment().profile()
    ))
}

pub(super) fn secret(rocket: &Rocket<Ignite>, site: &Site) -> Finding {
    let own = site
        .settings
        .secret
        .as_ref()
        .map(|secrets| secrets.0.as_slice())
        .unwrap_or_default();
    let texts: Vec<&str> = own.iter().map(|secret| secret.expose().as_str()).collect();
    if texts.contains(&known::DEVELOPMENT_SECRET) {
        return warn(
            "`security.secret` is the public one for development; write your own before others can reach the site",
        );
    }
    let weakest = texts.iter().min_by_key(|text| entropy(text.as_bytes()));
    match (texts.len(), weakest) {
        (number @ 1.., Some(weakest)) => {
            let which = if number == 1 {
                "one secret".into()
            } else {
                format!("{number} secrets, of which the first signs")
            };
            let known = texts
                .iter()
                .find_map(|text| known::problem(text.as_bytes()));
            assess(
                known,
                entropy(weakest.as_bytes()),
                &format!("`security.secret`: {which}"),
            )
        }
        _ => match environment::rocket_key(rocket.figment()) {
            Some(key) => assess(
                known::problem(key.expose()),
                entropy(key.expose()),
                "Rocket's `secret_key`",
            ),
            None => warn(
                "no secret is set, so the public one for development serves; set ROCKET_SECURITY__SECRET before others can reach the site",
            ),
        },
    }
}

fn assess(known: Option<&str>, bits: u32, from: &str) -> Finding {
    match (known, bits) {
        (Some(problem), _) => warn(format!(
            "{from}, but one of it {problem}; make another by `openssl rand -base64 32`"
        )),
        // A random text of 32 hexadecimal digits has about 115 by this count.
        (None, 100..) => ok(format!("{from}, varied enough to be random")),
        (None, _) => warn(format!(
            "{from}, but it looks like no random text; make one by `openssl rand -base64 32`"
        )),
    }
}

pub(super) fn base_url(site: &Site) -> Finding {
    let url = site.base_url.as_str();
    match (site.http.cookies.is_secure(), site.strictness) {
        (true, _) => ok(format!("{url}, and cookies are Secure")),
        (false, Strictness::Development) => ok(format!(
            "{url}, so cookies are not Secure, as on a developer's machine"
        )),
        (false, Strictness::Production) => {
            warn(format!("{url} is not https, so cookies are not Secure"))
        }
    }
}

/// Ignition has rendered each of them.
pub(super) fn templates(site: &Site) -> Finding {
    let own = features::built_in().into_iter().filter(|one| {
        let name = one.name;
        site.views.path_of(name).is_file() || site.views.path_of(&format!("{name}.tera")).is_file()
    });
    ok(format!(
        "all render; {} of {} are files of the application",
        own.count(),
        features::built_in().len()
    ))
}

pub(super) async fn mail(site: &Site) -> Finding {
    const PATIENCE: Duration = Duration::from_secs(15);
    let detail = match timeout(PATIENCE, site.notify.mailer.check()).await {
        Err(_) => {
            return fail(format!(
                "the mailer did not answer within {} s",
                PATIENCE.as_secs()
            ));
        }
        Ok(Err(error)) => return fail(error),
        Ok(Ok(detail)) => detail,
    };
    if site.strictness == Strictness::Development || site.dead_end().is_none() {
        return ok(detail);
    }
    let so = match site.settings.confirm.enabled {
        true => "so nobody can confirm an address",
        false => "so they reach nobody",
    };
    warn(format!(
        "{detail}, {so}; write `security.mail.transport = \"smtp\"`"
    ))
}

pub(super) async fn hashing(site: &Site) -> Finding {
    let hash = async {
        let password = Password::parse("the doctor takes the time of this")
            .map_err(|message| message.key().to_string())?;
        // The first takes memory from the system, which later ones find there.
        site.hasher
            .hash(&password)
            .await
            .map_err(|error| error.to_string())?;
        let since = Instant::now();
        site.hasher
            .hash(&password)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(since.elapsed())
    };
    match hash.await {
        Err(error) => fail(error),
        // Cargo takes profiles from the application's own Cargo.toml alone, so we cannot bring these lines.
        Ok(time) if cfg!(debug_assertions) && time > Duration::from_millis(250) => warn(format!(
            "a password takes {} in this unoptimised build; write into Cargo.toml: \
             [profile.dev.package.argon2] opt-level = 3 [profile.dev.package.blake2] opt-level = 3",
            millis(time)
        )),
        Ok(time) if time > Duration::from_secs(1) => warn(format!(
            "a password takes {}; sign-ins will be slow",
            millis(time)
        )),
        Ok(time) if time < Duration::from_millis(5) => warn(format!(
            "a password takes {} only; raise `security.hashing`",
            millis(time)
        )),
        Ok(time) => ok(format!("a password takes {}", millis(time))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Status;

    #[test]
    fn a_text_that_repeats_is_no_secret() {
        for (text, status) in [
            ("abcdefghabcdefghabcdefghabcdefgh", Status::Warn),
            ("b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA", Status::Ok),
            ("9c1f7b04d2e86a3550b9e7c4f18d2a6b", Status::Ok),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(
                assess(known::problem(bytes), entropy(bytes), "it").0,
                status,
                "{text}"
            );
        }
    }
}
