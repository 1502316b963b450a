//! The one answer for browsers and programs alike: a handler says what came of it, and here is decided
//! whether that becomes a page, a redirect or the JSON envelope.

use std::borrow::Cow;

use rocket::{
    Request,
    http::Status,
    response::{Responder, Result as Responded},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    json::wants_json,
    page,
    response::{
        add_form, envelope, html_response, invalid_payload, redirect, render, to_html, token,
    },
    site::Site,
};
use crate::{
    error::{Error, Invalid},
    http::{browser::Browser, csrf, headers, language},
    identity::target::Target,
    templates::{Template, form::FormView, rendered::Key, views},
};

/// What a handler of ours answers.
pub(crate) type Answer = Result<Reply, Error>;

/// What came of a request.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    page: Option<Template>,
    pub(crate) redirect: Option<Target>,
    flash: Option<(&'static str, Cow<'static, str>)>,
    /// Whether the redirect is for programs too.
    leaves: bool,
    form: Option<FormView>,
    /// Further forms, by the names that the page has for them.
    forms: Vec<(&'static str, FormView)>,
    invalid: Invalid,
    pub(crate) json: Map<String, Value>,
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
    pub(crate) fn page(page: Template) -> Self {
        Self {
            page: Some(page),
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

    /// Leads everybody on, programs too: to another path of ours, or to a provider.
    pub(crate) fn moved(target: Target) -> Self {
        Self {
            redirect: Some(target),
            leaves: true,
            ..Self::default()
        }
    }

    /// Adds the fields of a struct to the payload for programs.
    pub(crate) fn answer(mut self, answer: impl Serialize) -> Self {
        self.json.extend(fields(answer));
        self
    }

    /// Adds the fields of a struct to the payload for programs where something is wrong.
    pub(crate) fn answer_with_errors(mut self, answer: impl Serialize) -> Self {
        self.json_with_errors.extend(fields(answer));
        self
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
        let name = self.page.unwrap_or(views::ERROR).name;
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
            let csrf_token = csrf::token(Browser::of(request, &site.http), &site.http);
            let html = rendered.page(key, &csrf_token, |key, token| {
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

/// The fields of an answer.
fn fields(answer: impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(answer) {
        Ok(Value::Object(fields)) => fields,
        other => {
            log::error!("an answer must be a struct that can be serialized, not {other:?}");
            Map::new()
        }
    }
}

/// The form again if something was wrong with it, else what was done.
pub(crate) fn or_again(done: Answer, again: impl FnOnce() -> Reply) -> Answer {
    match done.map_err(Error::for_form) {
        Err(Error::Invalid(invalid)) => Ok(again().invalid(invalid)),
        done => done,
    }
}

impl<'r> Responder<'r, 'static> for Reply {
    fn respond_to(self, request: &'r Request<'_>) -> Responded<'static> {
        match Site::of(request) {
            Ok(site) => self.respond(request, site),
            Err(_) => Err(Status::InternalServerError),
        }
    }
}
