//! The stylesheet, from the binary.

use rocket::{Route, get, http::Header, response::Responder, routes};

use super::Feature;

/// Where the stylesheet is; a name that no application's own folder has.
pub(crate) const STYLESHEET: &str = "/security-assets/security.css";

const CSS: &str = include_str!("../../static/security/security.css");

pub(crate) const FEATURE: Feature = Feature {
    name: "assets",
    is_on: |_, _| true,
    routes: all,
    templates: &[],
    samples: Vec::new,
    links: &[],
};

fn all() -> Vec<Route> {
    routes![stylesheet]
}

#[derive(Responder)]
#[response(content_type = "css")]
struct Asset {
    text: &'static str,
    cache: Header<'static>,
}

#[get("/security-assets/security.css")]
fn stylesheet(_public: crate::guards::Public) -> Asset {
    // Long enough for a visit, short enough for an update.
    Asset {
        text: CSS,
        cache: Header::new("Cache-Control", "public, max-age=3600"),
    }
}
