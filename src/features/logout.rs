//! Signing out: `POST /logout`, which really ends the session.

use rocket::{Route, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Feature, Link, MenuFor, Submitted, Web, refresh_tokens, template};
use crate::{
    error::{Denied, Error},
    guards::identity,
    http::{
        page,
        reply::{Answer, Reply, wants_json},
    },
    signin::session,
};

pub(crate) const FEATURE: Feature = Feature {
    name: "logout",
    is_on: |settings, _| settings.logout.enabled,
    routes: all,
    templates: &[template!("logout/logout.html")],
    samples: || vec![(PAGE, json!({}))],
    links: &[Link {
        name: "logout",
        path: "/logout",
        menu: MenuFor::SignedIn { post: true },
    }],
};

const PAGE: &str = "security/logout/logout.html";

// Settings.

/// `[security.logout]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogoutSettings {
    /// Whether `/logout` is there. _Default:_ `true`.
    pub enabled: bool,
    /// Whether signing out wants a CSRF token; without one a page asks. _Default:_ `true`.
    pub csrf: bool,
}

impl Default for LogoutSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            csrf: true,
        }
    }
}

// Form.

#[derive(Debug, Default, Deserialize)]
struct Logout {
    /// The refresh token of a program, which ends with it.
    #[serde(default)]
    refresh_token: Option<String>,
}

// Routes.

fn all() -> Vec<Route> {
    routes![submit]
}

#[post("/logout", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<Logout>) -> Answer {
    let form = match form {
        Ok(form) => form.into_inner(),
        Err(Error::Denied(Denied::Csrf)) if !web.site.settings.logout.csrf => Logout::default(),
        Err(Error::Denied(Denied::Csrf)) if !wants_json(web.request, web.site) => {
            return Ok(Reply::page(PAGE));
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
        session::close(web.request, web.site, &web.client).await?;
    }
    Ok(
        Reply::done(page::after(web.site, &web.site.settings.after.logout))
            .flash("success", "logout.done"),
    )
}
