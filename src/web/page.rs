//! What every page is given, ours and the application's.

use std::sync::Arc;
use std::time::Duration;

use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};
use rocket_dyn_templates::Template;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    guards::identity,
    http::{browser::Browser, cookies::Kind, csrf, language, refusal},
    identity::target::Target,
    types::{Message, Path},
    web::{feature::MenuFor, site::Site},
};

/// Where to go after a form, by a setting that the launch has judged.
pub(crate) fn after(site: &Site, path: &str) -> Target {
    site.http
        .redirects
        .allowed(path)
        .unwrap_or_else(|| Target::local("/"))
}

/// Leaves a message for the next page: a kind and a key, so that nobody can put words into our mouth. What is said
/// of a provider has its name behind an `@`.
pub(crate) fn leave_message(request: &Request<'_>, site: &Site, kind: &str, key: &str) {
    let browser = Browser::of(request, &site.http);
    browser.send_for(Kind::Flash, format!("{kind}:{key}"), Duration::from_mins(5));
}

/// The messages that the page before left; showing them is forgetting them.
fn take_messages(browser: &Browser, site: &Site, language: &str) -> Vec<Value> {
    let Some(cookie) = browser.cookie(Kind::Flash) else {
        return Vec::new();
    };
    if browser.going(Kind::Flash).is_none() {
        browser.forget(Kind::Flash);
    }
    let catalogue = site.views.catalogue();
    let kinds = ["info", "success", "warning", "error"];
    let Some((kind, key)) = cookie.split_once(':') else {
        return Vec::new();
    };
    let (key, provider) = key.split_once('@').unwrap_or((key, ""));
    if !kinds.contains(&kind) || !catalogue.has(key) {
        return Vec::new();
    }
    let mut message = Message::new(key.to_string());
    if let Some(label) = site.social_label(provider) {
        message = message.with("provider", label);
    }
    let mut shown = json!({"kind": kind, "text": catalogue.say(language, &message)});
    if let Some((path, label)) = link_of(site, key) {
        let label = catalogue.say(language, &Message::new(label));
        shown["link"] = json!({"href": site.path(path), "label": label});
    }
    vec![shown]
}

/// Returns the page that a message advises to open, and the message that names it.
fn link_of(site: &Site, key: &str) -> Option<(Path, &'static str)> {
    match key {
        "end_session.done" if site.settings.recover.enabled => {
            Some((Path::Reset, "end_session.recover_link"))
        }
        "factor.added_first" if site.settings.recovery_codes.enabled => {
            Some((Path::RecoveryCodes, "mf_recovery_codes.title"))
        }
        _ => None,
    }
}

/// Whether a page is the same for everybody who asks for it as this request does, but for its token:
/// nobody is signed in, no message waits, and no hook of the application adds anything.
pub(crate) fn is_for_anybody(request: &Request<'_>, site: &Site) -> bool {
    request.method() == rocket::http::Method::Get
        && identity::known(request).is_none()
        && Browser::of(request, &site.http)
            .cookie(Kind::Flash)
            .is_none()
        && site.hooks.contexts.is_empty()
}

/// The whole context of a page: what all have, what hooks add, what is its own.
pub(crate) fn context(
    request: &Request<'_>,
    site: &Site,
    language: &str,
    name: &str,
    own: Map<String, Value>,
) -> Map<String, Value> {
    let caller = identity::known(request);
    let user = caller.map(|caller| &caller.user);
    let mut context = shared(site, language, request.uri().path().as_str(), user);
    let browser = Browser::of(request, &site.http);
    context.insert("csrf_token".into(), csrf::token(browser, &site.http).into());
    context.insert(
        "messages".into(),
        take_messages(browser, site, language).into(),
    );
    context.insert("page".into(), json!({"name": name}));
    context.extend(site.hooks.page_values(name));
    context.extend(own);
    context
}

/// What pages and their samples at launch have in common.
pub(crate) fn shared(
    site: &Site,
    language: &str,
    path: &str,
    user: Option<&crate::store::User>,
) -> Map<String, Value> {
    let catalogue = site.views.catalogue();
    let mut urls = Map::new();
    urls.insert("home".into(), "/".into());
    urls.insert("stylesheet".into(), site.path(Path::Stylesheet).into());
    urls.insert("icon".into(), site.path(Path::Icon).into());
    if site.has_passkeys() {
        let script = site.path(Path::PasskeysScript);
        urls.insert("passkeys_script".into(), script.into());
    }
    let mut menu = Vec::new();
    for link in site.features().flat_map(|feature| feature.links) {
        let href = site.path(link.path);
        urls.insert(link.name.into(), href.clone().into());
        let shown = match link.menu {
            MenuFor::Visitors => user.is_none(),
            MenuFor::SignedIn { .. } => user.is_some(),
            MenuFor::Everybody => true,
            MenuFor::Nobody => false,
        };
        if shown {
            menu.push(json!({
                "key": link.name,
                "label": catalogue.say(language, &Message::new(format!("menu.{}", link.name))),
                "href": href,
                "active": href == path,
                "post": matches!(link.menu, MenuFor::SignedIn { post: true }),
            }));
        }
    }
    let user = user.map(|user| {
        json!({"id": user.id, "email": user.email, "username": user.username, "display": user.display()})
    });
    // Moved, where `json!` would copy all that is in it.
    let mut shared = Map::new();
    shared.insert("lang".into(), language.into());
    shared.insert(
        "site".into(),
        json!({"name": site.settings.site_name, "home": "/"}),
    );
    shared.insert("user".into(), user.into());
    shared.insert("urls".into(), urls.into());
    shared.insert("menu".into(), menu.into());
    shared
}

/// Renders the application's own templates with what ours have: `user`, `menu`, `messages`, `urls`,
/// `csrf_token`, `site`, `lang`.
///
/// The template is the application's, rendered by `rocket_dyn_templates` as always; for our macros and
/// partials attach it as `Template::custom(rocket_security::tera_extensions)`.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket_dyn_templates::{Template, context};
/// use rocket_security::prelude::*;
///
/// #[get("/")]
/// fn home(page: Page) -> Template {
///     page.render("home", context! { title: "Welcome" })
/// }
/// # fn main() {}
/// ```
pub struct Page<'r> {
    request: &'r Request<'r>,
    site: &'r Site,
}

impl std::fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Page")
    }
}

impl Page<'_> {
    /// Renders the application's template `name` with `own` over our context.
    pub fn render(&self, name: &'static str, own: impl Serialize) -> Template {
        Template::render(name, self.context(name, own))
    }

    /// Our context with `own` over it, for another way of rendering.
    pub fn context(&self, name: &str, own: impl Serialize) -> Value {
        let own = match serde_json::to_value(own) {
            Ok(Value::Object(own)) => own,
            Ok(_) => Map::new(),
            Err(error) => {
                log::error!("the context of the template {name} cannot be serialised: {error}");
                Map::new()
            }
        };
        let language = language::of(self.request, &self.site.http);
        Value::Object(context(self.request, self.site, &language, name, own))
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Page<'r> {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        // So that the page knows who is signed in, whatever guards the handler has.
        match identity::resolve(request).await {
            Ok(_) | Err(Error::Denied(_)) => {}
            Err(error) => {
                return Outcome::Error((refusal::remember(request, error), error.clone()));
            }
        }
        match Site::of(request) {
            Ok(site) => Outcome::Success(Self { request, site }),
            Err(error) => Outcome::Error((refusal::remember(request, &error), error)),
        }
    }
}

impl Sentinel for Page<'_> {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        rocket.state::<Arc<Site>>().is_none()
    }
}
