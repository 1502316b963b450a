//! Signing out: `POST /logout` ends the session; `GET /logout` shows the button for it.

use rocket::{Route, get, post, routes};
use serde::Deserialize;
use serde_json::json;

use super::{Submitted, Web, refresh_tokens};
use crate::{
    error::{Denied, Error},
    guards::identity,
    signin::session,
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::Path,
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        json::wants_json,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "logout",
    is_on: |settings, _| settings.logout.enabled,
    routes: all,
    templates: &[PAGE],
    samples: || vec![(PAGE, json!({"form": sample_form()}))],
    mails: &[],
    links: &[Link {
        name: "logout",
        path: Path::Logout,
        menu: MenuFor::SignedIn { post: true },
    }],
};

const PAGE: Template = template!("logout/logout.html");

// Form.

#[derive(Debug, Default, Deserialize)]
struct Logout {
    /// The refresh token of a program, which ends with it.
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    next: Option<String>,
}

impl Logout {
    fn view(&self, web: &Web<'_>) -> FormView {
        let next = self.next.as_deref().unwrap_or_default();
        let next = web.site.http.redirects.allowed(next);
        let fields = next.map(|next| Field::hidden("next", next.as_str()));
        FormView::new("logout", web.site.path(Path::Logout), fields)
    }
}

/// The page that asks before signing out.
fn page(web: &Web<'_>, form: &Logout) -> Reply {
    Reply::page(PAGE).form(form.view(web)).own()
}

// Routes.

fn all() -> Vec<Route> {
    routes![show, submit]
}

/// A link cannot sign anybody out: it leads to the button.
#[get("/logout?<next>")]
fn show(web: Web<'_>, next: Option<String>) -> Reply {
    let form = Logout {
        next,
        ..Logout::default()
    };
    page(&web, &form)
}

#[post("/logout?<next>", data = "<form>")]
async fn submit(web: Web<'_>, next: Option<String>, form: Submitted<Logout>) -> Answer {
    let asked = Logout {
        next,
        ..Logout::default()
    };
    let form = match form {
        Ok(form) => form.into_inner(),
        Err(Error::Denied(Denied::Csrf)) if !web.site.settings.logout.csrf => Logout::default(),
        Err(Error::Denied(Denied::Csrf)) if !wants_json(web.request, web.site) => {
            return Ok(page(&web, &asked));
        }
        Err(error) => return Err(error),
    };
    if web.site.settings.refresh_tokens.enabled
        && let Some(shown) = &form.refresh_token
    {
        refresh_tokens::end(&web, shown).await?;
    }
    // A request by token has no session of its own; whatever cookies came along are not its business.
    if !identity::has_token_header(web.request) {
        session::close(web.browser, web.site, &web.client).await?;
    }
    let next = form.next.or(asked.next);
    let target = web.next(next.as_deref(), &web.site.settings.after.logout);
    Ok(Reply::done(target).flash("success", "logout.done"))
}
