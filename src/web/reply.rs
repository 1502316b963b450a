//! The one answer for browsers and programs alike: a handler says what came of it, and here is decided
//! whether that becomes a page, a redirect or the JSON envelope.

use std::{borrow::Cow, io::Cursor};

use rocket::{
    Request, Response,
    http::{ContentType, Header, MediaType, Method, Status},
    response::{Responder, Result as Responded},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    error::{Denied, Error, Invalid},
    guards::identity,
    http::{cookies, csrf, headers, language, refusal},
    identity::{
        IdentityKind,
        target::{Target, next_of},
    },
    settings::Strictness,
    templates::{form::FormView, rendered::Key},
    types::Message,
    web::{
        input,
        own_paths::OwnPaths,
        page,
        site::{Site, path_and_query},
        stale,
    },
};

/// What a handler of ours answers.
pub(crate) type Answer = Result<Reply, Error>;

/// What came of a request.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    page: Option<&'static str>,
    redirect: Option<Target>,
    flash: Option<(&'static str, Cow<'static, str>)>,
    /// Whether the redirect is for programs too.
    leaves: bool,
    form: Option<FormView>,
    /// Further forms, by the names that the page has for them.
    forms: Vec<(&'static str, FormView)>,
    invalid: Invalid,
    json: Map<String, Value>,
    /// What programs are told beside what is wrong.
    json_with_errors: Map<String, Value>,
    context: Map<String, Value>,
    csrf: bool,
    /// Whether the page is one person's, and is never kept.
    own: bool,
    spa: Option<(&'static str, String)>,
}

impl Reply {
    /// A page; for programs, a payload.
    pub(crate) fn page(name: &'static str) -> Self {
        Self {
            page: Some(name),
            csrf: true,
            ..Self::default()
        }
    }

    /// Done: a browser goes on to `target`, a program gets a payload.
    pub(crate) fn done(target: Target) -> Self {
        Self {
            redirect: Some(target),
            ..Self::default()
        }
    }

    /// Leads everybody on to another path of ours, programs too.
    pub(crate) fn moved(target: Target) -> Self {
        Self {
            redirect: Some(target),
            leaves: true,
            ..Self::default()
        }
    }

    /// Leads whoever asks to a provider: a program too, which has a browser to send there.
    #[cfg(feature = "social")]
    pub(crate) fn leave(target: crate::identity::target::Outward) -> Self {
        Self::moved(target.into_target())
    }

    /// Adds to the payload for programs.
    pub(crate) fn json(mut self, key: &str, value: impl Serialize) -> Self {
        self.json
            .insert(key.into(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Tells a program that signed in where a browser would go from here.
    #[cfg(feature = "passkeys")]
    pub(crate) fn telling_target(self) -> Self {
        let is_in = self.json.contains_key("user");
        match self.redirect.as_ref().map(ToString::to_string) {
            Some(target) if is_in => self.json("post_login_url", target),
            _ => self,
        }
    }

    /// Adds to the payload for programs where something is wrong.
    pub(crate) fn json_with_errors(mut self, key: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.json_with_errors.insert(key.into(), value);
        self
    }

    /// Adds to the payload for programs where it is so.
    pub(crate) fn json_if(self, is_so: bool, key: &str, value: impl Serialize) -> Self {
        match is_so {
            true => self.json(key, value),
            false => self,
        }
    }

    /// Adds to the page's context.
    pub(crate) fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.context
            .insert(key.into(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// The form on the page, with what is wrong with it.
    pub(crate) fn form(mut self, form: FormView) -> Self {
        self.form = Some(form);
        self
    }

    /// Returns the form on the page.
    pub(crate) fn into_form(self) -> Option<FormView> {
        self.form
    }

    /// Says that the page is one person's.
    pub(crate) fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// A further form on the page.
    pub(crate) fn and_form(mut self, name: &'static str, form: FormView) -> Self {
        self.forms.push((name, form));
        self
    }

    /// What was wrong: the page again (200) or, for programs, 400.
    pub(crate) fn invalid(mut self, invalid: Invalid) -> Self {
        self.invalid = invalid;
        self
    }

    /// A message for the next page, by key.
    pub(crate) fn flash(mut self, kind: &'static str, key: impl Into<Cow<'static, str>>) -> Self {
        self.flash = Some((kind, key.into()));
        self
    }

    /// Gives programs a CSRF token too.
    pub(crate) fn csrf(mut self) -> Self {
        self.csrf = true;
        self
    }

    /// What the view of a single-page application is told in the query.
    pub(crate) fn spa(mut self, key: &'static str, identity: &str) -> Self {
        self.spa = Some((key, identity.to_string()));
        self
    }

    fn respond(self, request: &Request<'_>, site: &Site) -> Responded<'static> {
        headers::mark(request);
        let language = language::of(request, &site.http);
        if wants_json(request, site) && !self.leaves {
            if !self.invalid.is_empty() {
                let mut payload = invalid_payload(site, &language, &self.invalid);
                if let Value::Object(payload) = &mut payload {
                    payload.extend(self.json_with_errors);
                }
                return Ok(envelope(site, Status::BadRequest, payload));
            }
            let mut payload = self.json;
            if self.csrf {
                payload.insert("csrf_token".into(), token(request, site).into());
            }
            return Ok(envelope(site, Status::Ok, Value::Object(payload)));
        }
        if let Some((kind, key)) = self.flash {
            page::leave_message(request, site, kind, &key);
        }
        if let Some(mut target) = self.redirect {
            if site.settings.spa.enabled
                && let Some((key, identity)) = &self.spa
            {
                target = target.with_query(&[
                    ("success", key),
                    ("email", identity),
                    ("identity", identity),
                ]);
            }
            return Ok(redirect(&target));
        }
        if self.csrf && site.settings.csrf.cookie.is_some() {
            token(request, site);
        }
        let name = self.page.unwrap_or("security/error.html");
        let mut form = self.form;
        // A page that a link filled in is not kept: there is no end of such links.
        let filled = form.as_mut().is_some_and(|form| form.fill_in(request));
        let with_form = |form: Option<&FormView>, mut context: Map<String, Value>| {
            if let Some(form) = form {
                add_form(request, site, &mut context, form, &self.invalid);
            }
            context
        };
        if self.invalid.is_empty()
            && self.forms.is_empty()
            && !self.own
            && !filled
            && page::is_for_anybody(request, site)
            && let Some(rendered) = site.views.rendered()
        {
            let path = request.uri().path().to_string();
            let key = Key {
                language: language.clone(),
                name,
                path,
                form,
                own: self.context,
            };
            let html = rendered.page(key, &csrf::token(request, &site.http), |key, token| {
                let own = with_form(key.form.as_ref(), key.own.clone());
                let mut context = page::context(request, site, &language, name, own);
                context.insert("csrf_token".into(), token.into());
                to_html(site, &language, name, &context)
            });
            return html.map(|html| html_response(Status::Ok, html, language));
        }
        let mut context = with_form(form.as_ref(), self.context);
        let (catalogue, nothing) = (site.views.catalogue(), Invalid::new());
        for (name, form) in &self.forms {
            let view = form.view(site, &catalogue, &language, &nothing);
            context.insert((*name).into(), view);
        }
        render(request, site, Status::Ok, name, context)
    }
}

/// Adds the form of a page to its context.
fn add_form(
    request: &Request<'_>,
    site: &Site,
    context: &mut Map<String, Value>,
    form: &FormView,
    invalid: &Invalid,
) {
    let (language, catalogue) = (language::of(request, &site.http), site.views.catalogue());
    let mut view = form.view(site, &catalogue, &language, invalid);
    if form.lacks_identity()
        && let Some(account) = account_of(request, site, context)
    {
        view["account"] = account.into();
    }
    context.insert("form".into(), view);
}

/// Whose password a form asks for, as a password manager knows the account: that of a mailed link, else whoever
/// is signed in.
fn account_of(request: &Request<'_>, site: &Site, context: &Map<String, Value>) -> Option<String> {
    let linked = context
        .get("account")
        .and_then(|account| account["email"].as_str());
    if let Some(email) = linked {
        return Some(email.to_string());
    }
    let user = &identity::known(request)?.user;
    let by_address = site.settings.identities.0.contains(&IdentityKind::Email);
    match &user.username {
        Some(username) if !by_address => Some(username.clone()),
        _ => Some(user.email.clone()),
    }
}

/// The form again if something was wrong with it, else what was done.
pub(crate) fn or_again(done: Answer, again: impl FnOnce() -> Reply) -> Answer {
    match done {
        Err(Error::Invalid(invalid)) => Ok(again().invalid(invalid)),
        done => done,
    }
}

fn token(request: &Request<'_>, site: &Site) -> String {
    let token = csrf::token(request, &site.http);
    csrf::send_readable(request, &site.http, &token);
    token
}

impl<'r> Responder<'r, 'static> for Reply {
    fn respond_to(self, request: &'r Request<'_>) -> Responded<'static> {
        match Site::of(request) {
            Ok(site) => self.respond(request, site),
            Err(_) => Err(Status::InternalServerError),
        }
    }
}

impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, request: &'r Request<'_>) -> Responded<'static> {
        refusal::remember(request, &self);
        match Site::of(request) {
            Ok(site) => Ok(refuse(request, site, &self)),
            Err(_) => Err(refusal::status_of(&self)),
        }
    }
}

/// Whether the answer is to be JSON: the body is, or `Accept` prefers it to everything else.
pub(crate) fn wants_json(request: &Request<'_>, site: &Site) -> bool {
    if let Some(decide) = &site.hooks.wants_json {
        return decide(request);
    }
    if request.content_type().is_some_and(input::is_json) {
        return true;
    }
    request.accept().is_some_and(|accept| {
        let best = accept.preferred().media_type();
        *best == MediaType::JSON
            || best.top() == "application" && best.sub().as_str().ends_with("+json")
    })
}

/// The envelope that every JSON answer has.
fn envelope(site: &Site, status: Status, payload: Value) -> Response<'static> {
    let body = match &site.hooks.envelope {
        Some(wrap) => wrap(status.code, payload),
        None => json!({"meta": {"code": status.code}, "response": payload}),
    };
    let text = body.to_string();
    Response::build()
        .status(status)
        .header(ContentType::JSON)
        .sized_body(text.len(), Cursor::new(text))
        .finalize()
}

fn redirect(target: &Target) -> Response<'static> {
    Response::build()
        .status(Status::Found)
        .header(Header::new("Location", target.to_string()))
        .finalize()
}

fn render(
    request: &Request<'_>,
    site: &Site,
    status: Status,
    name: &str,
    own: Map<String, Value>,
) -> Responded<'static> {
    let language = language::of(request, &site.http);
    let context = page::context(request, site, &language, name, own);
    let html = to_html(site, &language, name, &context)?;
    Ok(html_response(status, html, language))
}

fn to_html(
    site: &Site,
    language: &str,
    name: &str,
    context: &Map<String, Value>,
) -> Result<String, Status> {
    site.views.render(language, name, context).map_err(|error| {
        log::error!("the page {name} cannot be rendered: {error}");
        Status::InternalServerError
    })
}

fn html_response(status: Status, html: String, language: String) -> Response<'static> {
    let mut response = Response::build()
        .status(status)
        .header(ContentType::HTML)
        .sized_body(html.len(), Cursor::new(html))
        .finalize();
    response.set_header(Header::new("Content-Language", language));
    response
}

/// Errors as programs get them: a flat list, and by field.
fn invalid_payload(site: &Site, language: &str, invalid: &Invalid) -> Value {
    let catalogue = site.views.catalogue();
    let say = |message: &Message| Value::from(catalogue.say(language, message));
    let fields: Map<String, Value> = invalid
        .fields()
        .map(|(field, messages)| {
            (
                field.to_string(),
                messages.iter().map(say).collect::<Vec<_>>().into(),
            )
        })
        .collect();
    let flat: Vec<Value> = invalid
        .fields()
        .flat_map(|(_, messages)| messages)
        .map(say)
        .collect();
    let codes: Vec<&str> = invalid
        .fields()
        .flat_map(|(_, messages)| messages)
        .map(Message::key)
        .collect();
    json!({"errors": flat, "field_errors": fields, "error_codes": codes})
}

/// What the message for an error is.
fn message_of(error: &Error) -> Message {
    match error {
        Error::Invalid(_) => Message::new("input.invalid"),
        Error::Denied(denied) => denied.message(),
        Error::Unavailable { .. } => Message::new("error.unavailable"),
        Error::NotFound => Message::new("error.not_found"),
        Error::Unreadable(_, message) => message.clone(),
        Error::Broken(_) => Message::new("error.broken"),
    }
}

/// The answer to whoever is refused, by handler or by catcher.
pub(crate) fn refuse(request: &Request<'_>, site: &Site, error: &Error) -> Response<'static> {
    headers::mark(request);
    let status = refusal::status_of(error);
    // Who shows a token is a program, whatever it accepts; unless the application decides otherwise.
    let by_token = site.hooks.wants_json.is_none() && identity::shows_token(request, site);
    let is_program = by_token || wants_json(request, site);
    let mut response = match is_program {
        true => refuse_program(request, site, error, status),
        false => refuse_browser(request, site, error, status),
    };
    if let Some(seconds) = refusal::retry_after(error) {
        response.set_header(Header::new("Retry-After", seconds.to_string()));
    }
    // A program that did not show Basic is not challenged: browsers would ask over a script's head.
    let challenged =
        identity::has_basic(request) || identity::asks_by_basic(request) && !is_program;
    if status == Status::Unauthorized && challenged {
        let challenge = format!(
            "Basic realm=\"{}\", charset=\"UTF-8\"",
            site.settings.basic.realm
        );
        response.set_header(Header::new("WWW-Authenticate", challenge));
    }
    response
}

fn refuse_program(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Response<'static> {
    let language = language::of(request, &site.http);
    let catalogue = site.views.catalogue();
    if let Error::Invalid(invalid) = error {
        return envelope(site, status, invalid_payload(site, &language, invalid));
    }
    let message = message_of(error);
    let told = match error {
        Error::Denied(Denied::Csrf) => Message::new("denied.csrf_program"),
        _ => message.clone(),
    };
    let mut payload = json!({
        "errors": [catalogue.say(&language, &told)],
        "error_codes": [message.key()],
    });
    if let Error::Denied(Denied::Stale | Denied::SecondFactor) = error
        && let Value::Object(payload) = &mut payload
    {
        payload.insert("reauth_required".into(), true.into());
        let unified = site.settings.unified.enabled;
        payload.insert("unified_signin_enabled".into(), unified.into());
        let by_passkey = refusal::ByPasskey::recall(request);
        payload.insert("has_webauthn_verify_credential".into(), by_passkey.into());
        let providers = site.social_to_verify();
        payload.insert("oauth_enabled".into(), (!providers.is_empty()).into());
        payload.insert("oauth_providers".into(), providers.into());
    }
    envelope(site, status, payload)
}

fn refuse_browser(
    request: &Request<'_>,
    site: &Site,
    error: &Error,
    status: Status,
) -> Response<'static> {
    let hooks = &site.hooks;
    let (name, hook) = match error {
        Error::Denied(Denied::Forbidden) => ("forbidden", hooks.forbidden.as_ref()),
        Error::Denied(Denied::Stale | Denied::SecondFactor) => {
            ("reauthenticate", hooks.reauthenticate.as_ref())
        }
        Error::Denied(_) if status == Status::Unauthorized => {
            ("unauthenticated", hooks.unauthenticated.as_ref())
        }
        _ => ("", None),
    };
    if let Some(asked) = hook.and_then(|decide| decide(request)) {
        match site.http.redirects.judge(&asked) {
            Some(target) => return redirect(&target),
            None => log::error!(
                "`Security::{name}` returned an address that is neither a path of this site nor a host that `security.redirects` allows, so the browser gets the built-in answer"
            ),
        }
    }
    // Where Basic is the way in, the browser asks by itself.
    let asks_by_basic = identity::asks_by_basic(request);
    match error {
        Error::Denied(Denied::SignedIn) => {
            return redirect(&page::after(site, &site.settings.after.login));
        }
        Error::Denied(Denied::SecondFactor) if site.settings.two_factor.enabled => {
            let way = site.path("/tf-select");
            let back = way_back(request, site);
            return redirect(&with_next(site, &way, back, "denied.second_factor"));
        }
        Error::Denied(Denied::Stale | Denied::SecondFactor) => {
            let way = if site.settings.verify.enabled && site.settings.freshness.within.0.is_some()
            {
                site.verify_path()
            } else {
                site.login_path()
            };
            return redirect(&with_next(
                site,
                &way,
                way_back(request, site),
                "denied.stale",
            ));
        }
        Error::Denied(denied) if status == Status::Unauthorized && !asks_by_basic => {
            // Both come only after a right credential.
            let key = match denied {
                Denied::NewPassword => "denied.new_password",
                Denied::Unconfirmed => "denied.unconfirmed",
                _ => "denied.unauthenticated",
            };
            page::leave_message(request, site, "info", key);
            let back = asked_page(request);
            return redirect(&with_next(site, &site.login_path(), back, key));
        }
        _ => {}
    }
    let language = language::of(request, &site.http);
    let catalogue = site.views.catalogue();
    let mut context = Map::new();
    let again = match error {
        Error::Denied(Denied::Csrf) => stale::form(request, site),
        _ => None,
    };
    let text = match error {
        Error::Denied(Denied::Csrf) if stale::lacks_cookies(request, site) => {
            catalogue.say(&language, &Message::new("stale.cookies"))
        }
        Error::Denied(Denied::Csrf) if again.is_some() => {
            let lead = again.as_ref().map_or("denied.csrf", stale::lead);
            catalogue.say(&language, &Message::new(lead))
        }
        // How long it takes is said below it.
        Error::Denied(Denied::Locked { .. }) if may_be_unlocked(request, site) => {
            catalogue.say(&language, &Message::new("status.429.text_unlock"))
        }
        // Without the names of the fields: whoever sent them chose them, and this page speaks for us.
        Error::Invalid(invalid) => {
            let messages = invalid.fields().flat_map(|(_, messages)| messages);
            let texts: Vec<String> = messages
                .map(|message| catalogue.say(&language, message))
                .collect();
            texts.join(" ")
        }
        error => {
            let own = Message::new(format!("status.{}.text", status.code));
            let message = match tells_no_more(error, status) && catalogue.has(own.key()) {
                true => own,
                false => message_of(error),
            };
            catalogue.say(&language, &message)
        }
    };
    let title = match again {
        Some(form) => {
            add_form(request, site, &mut context, &form, &Invalid::new());
            let back = way_back(request, site).unwrap_or_else(|| "/".into());
            context.insert("cancel_url".into(), back.into());
            // The address may hold a secret, as that of a mailed link does.
            headers::hide_address(request);
            Message::new(match form.is_visible() {
                true => "stale.title",
                false => "stale.title_button",
            })
        }
        None => Message::new(format!("status.{}.title", status.code)),
    };
    let title = match catalogue.has(title.key()) {
        true => title,
        false => Message::new("error.title"),
    };
    if OwnPaths::methods(request).is_some_and(|own| own.contains(&Method::Get)) {
        context.insert("retry_url".into(), path_and_query(request.uri()).into());
    }
    if status == Status::MethodNotAllowed
        && let Some(page) = OwnPaths::page_above(request)
    {
        context.insert("page_url".into(), page.into());
    }
    context.insert(
        "status".into(),
        json!({
            "code": status.code,
            "title": catalogue.say(&language, &title),
            "text": text,
            "retry_after": refusal::retry_after(error),
        }),
    );
    let asked = render(request, site, status, "security/error.html", context);
    asked.unwrap_or_else(|status| Response::build().status(status).finalize())
}

/// Returns whether an error says no more than its status does, in the words of the page for that status.
fn tells_no_more(error: &Error, status: Status) -> bool {
    match error {
        Error::Denied(denied) => {
            matches!(
                denied.message().key(),
                "denied.unauthenticated" | "denied.forbidden"
            ) || matches!(denied, Denied::Locked { .. })
        }
        Error::Unreadable(_, message) => {
            status != Status::BadRequest || message.key() == "error.unreadable"
        }
        Error::NotFound | Error::Unavailable { .. } | Error::Broken(_) => true,
        Error::Invalid(_) => false,
    }
}

/// Returns whether a sign-in was refused for wrong attempts, so that its account may be one that a mail unlocks.
fn may_be_unlocked(request: &Request<'_>, site: &Site) -> bool {
    let path = request.uri().path();
    let is_sign_in = |own: &str| path.as_str() == site.path(own);
    site.settings.unlock.enabled && (is_sign_in("/login") || is_sign_in("/us-signin"))
}

/// The page that the browser asked for; `None` if it sent a form.
fn asked_page(request: &Request<'_>) -> Option<String> {
    let asked = path_and_query(request.uri());
    (request.method() == Method::Get && next_of(&asked).is_some()).then_some(asked)
}

/// The page to which a person returns after proving it again.
///
/// A form cannot be sent again by a redirect. So the browser returns to the page that had the form, or to the page of
/// ours at the form's path or above it.
fn way_back(request: &Request<'_>, site: &Site) -> Option<String> {
    if request.method() == Method::Get {
        return asked_page(request);
    }
    let said = request.headers().get_one("Referer");
    let from = said.and_then(|said| site.http.redirects.own_page(said));
    let is_page = |page: &String| OwnPaths::is_page(request, page);
    from.filter(is_page)
        .or_else(|| OwnPaths::page_above(request))
        .filter(|page| next_of(page).is_some())
}

/// The way to a page of ours, with the way back if there is one.
fn with_next(site: &Site, way: &str, back: Option<String>, error: &'static str) -> Target {
    let way = if site.settings.spa.enabled {
        site.settings.spa.login_view.as_str()
    } else {
        way
    };
    let mut target = Target::local(way);
    if let Some(back) = back {
        target = target.with_query(&[("next", &back)]);
    }
    if site.settings.spa.enabled {
        target = target.with_query(&[("error", error)]);
    }
    target
}

/// Where a developer's browser should have gone: passkeys know the name of the site, which is `localhost`,
/// and not the address that it listens on.
fn way_to_localhost(request: &Request<'_>, site: &Site) -> Option<String> {
    let host = request.host()?;
    let by_address = matches!(host.domain().as_str(), "127.0.0.1" | "[::1]");
    let same_port = host.port() == site.base_url.port_or_known_default();
    let is_page = request
        .accept()
        .is_some_and(|accept| accept.media_types().any(MediaType::is_html));
    let lost = site.strictness == Strictness::Development
        && site.has_passkeys()
        && site.base_url.host_str() == Some("localhost")
        && request.method() == Method::Get
        && by_address
        && same_port
        && is_page;
    let base = site.base_url.as_str().trim_end_matches('/');
    lost.then(|| format!("{base}{}", path_and_query(request.uri())))
}

/// Adds what every answer needs, whoever made it: called by the fairing for each response.
pub(crate) fn finish<'r>(request: &'r Request<'_>, response: &mut Response<'r>) {
    if let Ok(site) = Site::of(request)
        && let Some(way) = way_to_localhost(request, site)
    {
        *response = Response::build()
            .status(Status::Found)
            .header(Header::new("Location", way))
            .finalize();
        return;
    }
    if let Ok(site) = Site::of(request) {
        cookies::flush(request, response, &site.http);
        headers::finish(request, response, &site.http);
    }
}
