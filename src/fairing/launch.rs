//! From settings and the application's parts to the running state, or to the sentence that says why not.

use std::sync::Arc;

use rocket::{Build, Rocket, tokio::sync::Semaphore};

use super::{
    ForCommand, Parts,
    database::{connect, fits, migrate, obstacle, pending},
    environment::{base_url, secrets, strictness, template_dir},
    gate, methods,
};
use crate::{
    core::{Core, Registering},
    events::Events,
    factors::{
        context::FactorContext, phone, policy, recovery::StandardRecoveryCodes, totp::StandardTotp,
    },
    fairing::report,
    features,
    guards::routes::Routes,
    http::{context::HttpContext, cookies::CookieNames, pattern::Mounted},
    identity::{StandardEmailPolicy, StandardUsernamePolicy, sender},
    notify::{
        context::{Courier, NotifyContext, objects},
        mail,
        mailbox::Mailbox,
        sms, transport,
    },
    secrets::{Hasher, Keys, StandardPolicy},
    settings::{Base, ConfigError, RedirectRules, ReportLevel, Settings, SignInMethod, Strictness},
    store::{
        Dialect,
        touches::{KeyUses, Touches},
    },
    templates::views::Views,
    types::FactorKind,
    web::{
        catchers,
        feature::{Feature, sample_mail},
        own_paths::OwnPaths,
        page,
        site::Site,
    },
};

/// Tells a developer where things are.
pub(super) fn introduce(site: &Site, has_commands: bool) {
    let features: Vec<&str> = site.features().map(|feature| feature.name).collect();
    log::info!("security is on: {}", features.join(", "));
    log::info!("the site is at {}", site.base_url);
    if site.store.dialect() == Dialect::Sqlite {
        log::info!("the data is in {}", site.settings.database.url.expose());
    }
    if site.notify.mailbox.is_some() {
        log::info!("mails are shown at {}", site.absolute("/dev/mail"));
    }
    if has_commands {
        log::info!(
            "to make an administrator, run `cargo run -- roles create admin` and `cargo run -- roles add <email> admin`"
        );
    }
}

/// Makes the state, or says in one sentence why not.
pub(super) async fn ignite(
    mut parts: Parts,
    rocket: &Rocket<Build>,
) -> Result<(Site, Routes), ConfigError> {
    let seeds = std::mem::take(&mut parts.seeds);
    let figment = rocket.figment();
    #[cfg_attr(not(feature = "social"), allow(unused_mut))]
    let mut settings = Settings::from_figment(figment)?;
    let strictness = strictness(&settings, figment);
    let secrets = secrets(&settings, figment, strictness)?;
    let base_url = base_url(&settings, figment, strictness)?;
    let clock = parts.clock.unwrap_or_default();
    let store = match parts.store {
        Some(store) => store,
        None => connect(&settings, clock.clone()).await?,
    };
    fits(&store).await?;
    let for_command = rocket.state::<ForCommand>().is_some();
    match (settings.database.migrate, for_command) {
        (_, true) => {}
        (true, false) => {
            for name in migrate(&store).await? {
                log::info!("migration applied: {name}");
            }
        }
        (false, false) => {
            let pending = pending(&store).await.map_err(|error| {
                ConfigError(format!("the migrations cannot be listed: {error}"))
            })?;
            if !pending.is_empty() {
                if let Ok(Some(problem)) = obstacle(&store).await {
                    return Err(ConfigError(problem));
                }
                return Err(ConfigError(format!(
                    "the database lacks {}; run the command `migrate`, or set `security.database.migrate` to true",
                    pending.join(", ")
                )));
            }
        }
    }
    let folder = settings
        .template_dir
        .clone()
        .unwrap_or_else(|| template_dir(figment));
    let views = Views::load(folder, features::built_in(), parts.engines, parts.messages)?;
    let hasher = Hasher::new(&settings.hashing).map_err(ConfigError)?;
    let passwords = match parts.passwords {
        Some(policy) => policy,
        None => Arc::new(StandardPolicy::new(settings.passwords.clone()).map_err(ConfigError)?),
    };
    let emails = parts.emails.unwrap_or_else(|| {
        let (allow_domains, deny_domains) = (
            settings.emails.allow_domains.clone(),
            settings.emails.deny_domains.clone(),
        );
        Arc::new(StandardEmailPolicy {
            allow_domains,
            deny_domains,
        })
    });
    let usernames = parts
        .usernames
        .unwrap_or_else(|| Arc::new(StandardUsernamePolicy::new(&settings.usernames)));
    let transport = parts.mailer.is_none().then_some(settings.mail.transport);
    let mailer = parts.mailer.unwrap_or_else(|| {
        let (host, international) = (sender::ehlo_of(&base_url), settings.emails.international);
        transport::mailer(&settings.mail, host, international)
    });
    let development = strictness == Strictness::Development && settings.dev_mail.enabled;
    let mailbox = parts.mailbox.or_else(|| development.then(Mailbox::default));
    let sms = parts.sms.or_else(|| sms::sender(&settings.sms));
    let (two_factor, unified) = (&settings.two_factor, &settings.unified);
    let wants_sms = two_factor.enabled && two_factor.methods.contains(&FactorKind::Sms)
        || unified.enabled && unified.methods.contains(&SignInMethod::Sms);
    if wants_sms && sms.is_none() {
        return Err(ConfigError(
            "`security.two_factor.methods` or `security.unified.methods` lists \"sms\", and nothing sends text messages; write `security.sms.transport`, or give a sender by `Security::sms`".into(),
        ));
    }
    let phones = match parts.phones {
        Some(phones) => phones,
        None => phone::standard(&settings.sms.region)
            .map_err(|why| ConfigError(format!("`security.sms.region`: {why}")))?,
    };
    for role in &settings.two_factor.required_roles {
        if matches!(store.find_role(role).await, Ok(None)) {
            log::warn!(
                "`security.two_factor.required_roles` names `{role}`, and there is no such role yet"
            );
        }
    }
    let sender = match &settings.mail.from {
        Some(from) => from.clone(),
        None => sender::sender_of(&base_url),
    };
    #[cfg(feature = "passkeys")]
    let passkeys = crate::factors::passkey::Ceremonies::new(
        &settings.passkeys,
        &base_url,
        &settings.site_name.0,
        parts.webauthn_policy,
    )?;
    #[cfg(feature = "social")]
    let social = {
        settings.social.given = !parts.social.is_empty();
        let providers = crate::social::Providers::new(&settings.social, parts.social)?;
        if settings.social.sign_up == Some(true)
            && settings.register.username == crate::settings::Usernames::Required
        {
            return Err(ConfigError(
                "`security.social.sign_up` is true and `security.register.username` is \"required\", which no provider knows; make the username \"optional\", or leave `sign_up` out".into(),
            ));
        }
        providers
    };
    let features: Vec<&'static Feature> = features::ALL
        .iter()
        .filter(|feature| (feature.is_on)(&settings, strictness))
        .copied()
        .collect();
    let links = features.iter().flat_map(|feature| feature.links);
    let links = links.map(|link| (link.name, link.path)).collect();
    let views = Arc::new(views);
    let base = Arc::new(Base {
        settings,
        base_url,
        keys: Keys::new(&secrets),
        clock,
    });
    let (settings, base_url) = (&base.settings, &base.base_url);
    #[cfg(feature = "social")]
    let social = Arc::new(social);
    let http = HttpContext {
        redirects: RedirectRules::new(&settings.redirects, Some(base_url)),
        cookies: CookieNames::new(base_url.scheme() == "https", &settings.session.cookie),
        base: base.clone(),
        views: views.clone(),
        #[cfg(feature = "social")]
        provider_origins: {
            let social = social.clone();
            Box::new(move || social.origins())
        },
        #[cfg(not(feature = "social"))]
        provider_origins: Box::new(Vec::new),
    };
    let factors = FactorContext {
        base: base.clone(),
        totp: parts.totp.unwrap_or_else(|| Arc::new(StandardTotp)),
        recovery_codes: parts
            .recovery_codes
            .unwrap_or_else(|| Arc::new(StandardRecoveryCodes)),
        phones,
        mfa_policy: policy::of(&settings.two_factor, parts.mfa_policy),
    };
    let mut hooks = parts.hooks;
    let notify = Arc::new(NotifyContext {
        base: base.clone(),
        store: store.clone(),
        views: views.clone(),
        events: Events::start(parts.subscribers),
        mailer,
        sender,
        mailbox,
        courier: Courier::default(),
        sms,
        mail_values: std::mem::take(&mut hooks.mail_contexts),
        links,
    });
    let core = Core {
        on_register: Registering(hooks.on_register.take()),
        token_expiry: hooks.token_expiry.take(),
        http,
        factors,
        notify,
        touches: Touches::default(),
        key_uses: KeyUses::default(),
        registering: Semaphore::new((settings.hashing.queue / 2).max(1)),
        strictness,
        store,
        hasher,
        passwords,
        emails,
        usernames,
        transport,
        #[cfg(feature = "passkeys")]
        passkeys,
        #[cfg(feature = "social")]
        social,
        views,
        base: base.clone(),
    };
    let site = Site {
        core: Arc::new(core),
        hooks,
        features,
    };
    try_pages(&site)?;
    if !for_command {
        if strictness == Strictness::Production
            && let Some(name) = site.dead_end()
        {
            log::warn!(
                "mails reach nobody: `security.mail.transport` is \"{name}\"; write \"smtp\""
            );
        }
        let routes = report_routes(&site, rocket).await?;
        for seed in seeds {
            seed(site.store.clone(), site.hasher.clone())
                .await
                .map_err(|why| ConfigError(format!("the hook `Security::seed` failed: {why}")))?;
        }
        return Ok((site, routes));
    }
    Ok((site, Routes::default()))
}

/// Renders every template once, so that a broken override is found now and not by a visitor.
fn try_pages(site: &Site) -> Result<(), ConfigError> {
    let mut of_page = page::shared(site, "en", "/", None);
    of_page.extend(objects([serde_json::json!({
        "csrf_token": "token",
        "messages": [{"kind": "info", "text": "A message"}],
        "user": {"id": "1", "email": "a@example.com", "username": null, "display": "a"},
    })]));
    let of_mail = objects([sample_mail()]);
    for (name, own) in crate::features::samples(site.features()) {
        // As in the answer or the mail itself, and nothing else: what renders here must render there.
        let context = match mail::name_of(name) {
            Some(which) => {
                let mut context = of_mail.clone();
                context.extend(objects([own]));
                context.extend(site.notify.mail_values(which));
                context
            }
            None => {
                let mut context = of_page.clone();
                context.insert("page".into(), serde_json::json!({"name": name}));
                context.extend(site.hooks.page_values(name));
                context.extend(objects([own]));
                context
            }
        };
        site.views.try_render(name, &context).map_err(|error| {
            let path = site.views.path_of(name);
            let place = if path.exists() {
                path.display().to_string()
            } else {
                name.to_string()
            };
            ConfigError(format!("the template {place} cannot be rendered: {error}"))
        })?;
    }
    Ok(())
}

async fn report_routes(site: &Site, rocket: &Rocket<Build>) -> Result<Routes, ConfigError> {
    let ours = ours(site);
    let own = report::inspect(rocket.routes(), &site.settings.report.public).await;
    let theirs = report::inspect(ours.iter(), &[]).await;
    let level = site.settings.report.unguarded;
    let mut sentences = Vec::new();
    if !own.unguarded.is_empty() {
        sentences.push(format!(
            "these routes carry no guard: {}; add `SignedIn`, `Require<..>` or `Public`, or list them in `security.report.public`",
            own.unguarded.join(", ")
        ));
    }
    if !own.unchecked.is_empty() {
        sentences.push(format!(
            "these routes write without a CSRF check: {}; take the body as `Input<..>`",
            own.unchecked.join(", ")
        ));
    }
    match level {
        ReportLevel::Off => {}
        ReportLevel::Warn => sentences
            .iter()
            .for_each(|sentence| log::warn!("{sentence}")),
        ReportLevel::Error if sentences.is_empty() => {}
        ReportLevel::Error => {
            return Err(ConfigError(format!(
                "`security.report.unguarded` is \"error\": {}",
                sentences.join("; ")
            )));
        }
    }
    Ok(own.joined(theirs))
}

/// Our routes as they will be mounted.
fn ours(site: &Site) -> Vec<rocket::Route> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    let rocket = rocket::custom(rocket::Config {
        log_level: rocket::config::LogLevel::Off,
        ..Default::default()
    });
    let level = log::max_level();
    let rocket = site.features().fold(rocket, |rocket, feature| {
        rocket.mount(base.to_string(), (feature.routes)())
    });
    let rocket = mount_root(rocket, site);
    log::set_max_level(level);
    rocket.routes().cloned().collect()
}

/// What stands at the site's root, whatever our prefix is.
fn mount_root(mut rocket: Rocket<Build>, site: &Site) -> Rocket<Build> {
    if site.settings.change_password.enabled {
        rocket = rocket.mount("/", crate::features::change_password::root_routes());
    }
    #[cfg(feature = "passkeys")]
    if !site.settings.passkeys.origins.is_empty() && site.has_passkeys() {
        return rocket.mount("/", crate::features::passkeys::root_routes());
    }
    let _ = site;
    rocket
}

pub(super) fn mount(mut rocket: Rocket<Build>, site: Arc<Site>, routes: Routes) -> Rocket<Build> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    for feature in site.features() {
        rocket = rocket.mount(base.to_string(), (feature.routes)());
    }
    rocket = mount_root(rocket, &site);
    rocket = rocket.mount("/", gate::routes(&routes.wrapped));
    let own_paths = OwnPaths::of(&ours(&site));
    for (base, missing) in catchers::missing(rocket.catchers(), base) {
        rocket = rocket.register(base, missing);
    }
    rocket
        .mount("/", [methods::route()])
        .manage(own_paths)
        .manage(Mounted::default())
        .manage(site.store.clone())
        .manage(site.hasher.clone())
        .manage(site.http.cookies.clone())
        .manage(routes)
        .manage(site.core.clone())
        .manage(site)
}
