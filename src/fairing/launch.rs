//! From settings and the application's parts to the running state, or to the sentence that says why not.

use std::{mem::take, sync::Arc};

use rocket::{Build, Rocket, figment::Figment, tokio::sync::Semaphore};

use super::{
    database::{connect, fits, migrate, obstacle, pending},
    environment::{base_url, secrets, strictness, template_dir},
    marks::ForCommand,
    mount::report_routes,
};
use crate::{
    accounts::Accounts,
    core::{Core, Registering, change::By},
    events::Events,
    factors::{
        self, context::FactorContext, passkey::Ceremonies, phone, policy,
        recovery::StandardRecoveryCodes, totp::StandardTotp,
    },
    features,
    guards::routes::Routes,
    http::{context::HttpContext, cookies::CookieNames},
    identity::{StandardEmailPolicy, StandardUsernamePolicy, sender},
    notify::{
        context::{MailSignal, NotifyContext, objects},
        mail,
        mailbox::Mailbox,
        sms, transport,
    },
    secrets::{Hasher, Keys, StandardPolicy},
    settings::{Base, ConfigError, RedirectRules, Settings, Strictness},
    social::Providers,
    store::{
        Dialect, Store,
        touches::{KeyUses, Touches},
    },
    templates::views::Views,
    types::{FactorKind, Path, SharedClock},
    web::{
        feature::{Feature, sample_mail},
        page,
        security::Parts,
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
        log::info!("mails are shown at {}", site.absolute(Path::DevMail));
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
    let seeds = take(&mut parts.seeds);
    let figment = rocket.figment();
    let for_command = rocket.state::<ForCommand>().is_some();
    let mut settings = Settings::from_figment(figment)?;
    let strictness = strictness(&settings, figment);
    let secrets = secrets(&settings, figment, strictness)?;
    let base_url = base_url(&settings, figment, strictness)?;
    let clock = parts.clock.take().unwrap_or_default();
    let given = parts.store.take();
    let store = open(given, &settings, clock.clone(), for_command).await?;
    let views = views(&mut parts, &settings, figment)?;
    let social = Providers::new(&mut settings, take(&mut parts.social))?;
    let base = Arc::new(Base {
        settings,
        base_url,
        keys: Keys::new(&secrets),
        clock,
    });
    let site = site(parts, base, strictness, store, views, social)?;
    look_for_roles(&site).await;
    try_pages(&site)?;
    if for_command {
        return Ok((site, Routes::default()));
    }
    if strictness == Strictness::Production
        && let Some(name) = site.dead_end()
    {
        log::warn!("mails reach nobody: `security.mail.transport` is \"{name}\"; write \"smtp\"");
    }
    let routes = report_routes(&site, rocket).await?;
    let accounts = Accounts::new(site.core.clone(), By::application());
    for seed in seeds {
        seed(accounts.clone(), site.hasher.clone())
            .await
            .map_err(|why| ConfigError(format!("the hook `Security::seed` failed: {why}")))?;
    }
    Ok((site, routes))
}

/// The store, with tables as this version needs them. A command does without: one of them makes the tables.
async fn open(
    given: Option<Store>,
    settings: &Settings,
    clock: SharedClock,
    for_command: bool,
) -> Result<Store, ConfigError> {
    let store = match given {
        Some(store) => store,
        None => connect(settings, clock).await?,
    };
    fits(&store).await?;
    if for_command {
        return Ok(store);
    }
    if settings.database.migrate {
        for name in migrate(&store).await? {
            log::info!("migration applied: {name}");
        }
        return Ok(store);
    }
    let pending = pending(&store)
        .await
        .map_err(|error| ConfigError(format!("the migrations cannot be listed: {error}")))?;
    if pending.is_empty() {
        return Ok(store);
    }
    if let Ok(Some(problem)) = obstacle(&store).await {
        return Err(ConfigError(problem));
    }
    Err(ConfigError(format!(
        "the database lacks {}; run the command `migrate`, or set `security.database.migrate` to true",
        pending.join(", ")
    )))
}

fn views(
    parts: &mut Parts,
    settings: &Settings,
    figment: &Figment,
) -> Result<Arc<Views>, ConfigError> {
    let folder = settings.template_dir.clone();
    let folder = folder.unwrap_or_else(|| template_dir(figment));
    let (engines, messages) = (take(&mut parts.engines), take(&mut parts.messages));
    Views::load(folder, features::built_in(), engines, messages).map(Arc::new)
}

/// Puts the state together.
fn site(
    mut parts: Parts,
    base: Arc<Base>,
    strictness: Strictness,
    store: Store,
    views: Arc<Views>,
    social: Providers,
) -> Result<Site, ConfigError> {
    let (settings, base_url, social) = (&base.settings, &base.base_url, Arc::new(social));
    let features: Vec<&'static Feature> = features::ALL
        .iter()
        .filter(|feature| (feature.is_on)(settings, strictness))
        .copied()
        .collect();
    let passwords = match parts.passwords.take() {
        Some(policy) => policy,
        None => Arc::new(StandardPolicy::new(settings.passwords.clone()).map_err(ConfigError)?),
    };
    let emails = parts.emails.take().unwrap_or_else(|| {
        Arc::new(StandardEmailPolicy {
            allow_domains: settings.emails.allow_domains.clone(),
            deny_domains: settings.emails.deny_domains.clone(),
        })
    });
    let usernames = parts.usernames.take();
    let own_mailer = parts.mailer.is_some();
    let core = Core {
        http: http(&base, &views, &social),
        notify: Arc::new(notify(
            &mut parts, &base, strictness, &store, &views, &features,
        )?),
        factors: factors(&mut parts, &base)?,
        passkeys: Ceremonies::new(settings, base_url, parts.webauthn_policy.take())?,
        social,
        hasher: Hasher::new(&settings.hashing).map_err(ConfigError)?,
        registering: Semaphore::new((settings.hashing.queue / 2).max(1)),
        passwords,
        emails,
        usernames: usernames
            .unwrap_or_else(|| Arc::new(StandardUsernamePolicy::new(&settings.usernames))),
        transport: (!own_mailer).then_some(settings.mail.transport),
        touches: Touches::default(),
        key_uses: KeyUses::default(),
        on_register: Registering(parts.hooks.on_register.take()),
        token_expiry: parts.hooks.token_expiry.take(),
        strictness,
        store,
        views,
        base: base.clone(),
    };
    Ok(Site {
        core: Arc::new(core),
        hooks: parts.hooks,
        features,
    })
}

fn http(base: &Arc<Base>, views: &Arc<Views>, social: &Arc<Providers>) -> HttpContext {
    let (settings, base_url, social) = (&base.settings, &base.base_url, social.clone());
    HttpContext {
        redirects: RedirectRules::new(&settings.redirects, Some(base_url)),
        cookies: CookieNames::new(base_url.scheme() == "https", &settings.session.cookie),
        base: base.clone(),
        views: views.clone(),
        provider_origins: Box::new(move || social.origins()),
    }
}

fn factors(parts: &mut Parts, base: &Arc<Base>) -> Result<FactorContext, ConfigError> {
    let settings = &base.settings;
    Ok(FactorContext {
        base: base.clone(),
        totp: parts.totp.take().unwrap_or_else(|| Arc::new(StandardTotp)),
        recovery_codes: parts
            .recovery_codes
            .take()
            .unwrap_or_else(|| Arc::new(StandardRecoveryCodes)),
        phones: match parts.phones.take() {
            Some(phones) => phones,
            None => phone::standard(&settings.sms.region)
                .map_err(|why| ConfigError(format!("`security.sms.region`: {why}")))?,
        },
        mfa_policy: policy::of(&settings.two_factor, parts.mfa_policy.take()),
    })
}

fn notify(
    parts: &mut Parts,
    base: &Arc<Base>,
    strictness: Strictness,
    store: &Store,
    views: &Arc<Views>,
    features: &[&'static Feature],
) -> Result<NotifyContext, ConfigError> {
    let (settings, base_url) = (&base.settings, &base.base_url);
    let mailer = parts.mailer.take().unwrap_or_else(|| {
        let (host, international) = (sender::ehlo_of(base_url), settings.emails.international);
        transport::mailer(&settings.mail, host, international)
    });
    let sms = parts.sms.take().or_else(|| sms::sender(&settings.sms));
    let (two_factor, unified) = (&settings.two_factor, &settings.unified);
    let signs_in: Vec<FactorKind> = unified.methods.iter().filter_map(|m| m.factor()).collect();
    let wants_sms = two_factor.enabled && factors::takes_phone(&two_factor.methods)
        || unified.enabled && factors::takes_phone(&signs_in);
    if wants_sms && sms.is_none() {
        return Err(ConfigError(
            "`security.two_factor.methods` or `security.unified.methods` lists \"sms\", and nothing sends text messages; write `security.sms.transport`, or give a sender by `Security::sms`".into(),
        ));
    }
    let development = strictness == Strictness::Development && settings.dev_mail.enabled;
    let mailbox = parts.mailbox.take();
    let links = features.iter().flat_map(|feature| feature.links);
    Ok(NotifyContext {
        base: base.clone(),
        store: store.clone(),
        views: views.clone(),
        events: Events::start(take(&mut parts.subscribers)),
        mailer,
        sender: match &settings.mail.from {
            Some(from) => from.clone(),
            None => sender::sender_of(base_url),
        },
        mailbox: mailbox.or_else(|| development.then(Mailbox::default)),
        mail_signal: MailSignal::default(),
        sms,
        mail_values: take(&mut parts.hooks.mail_contexts),
        links: links.map(|link| (link.name, link.path)).collect(),
    })
}

/// Warns of roles that the settings name and that do not exist.
async fn look_for_roles(site: &Site) {
    for role in &site.settings.two_factor.required_roles {
        if matches!(site.store.find_role(role).await, Ok(None)) {
            log::warn!(
                "`security.two_factor.required_roles` names `{role}`, and there is no such role yet"
            );
        }
    }
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
    for (template, own) in features::samples(site.features()) {
        let name = template.name;
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
