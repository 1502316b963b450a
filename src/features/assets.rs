//! The stylesheet and the icon, from the binary.

use rocket::{get, http::Header, response::Responder, routes};

use crate::web::feature::Feature;

const SVG: &str = include_str!("../../static/security/icon.svg");

const CSS: &str = include_str!("../../static/security/security.css");

pub(crate) const FEATURE: Feature = Feature {
    name: "assets",
    is_on: |_, _| true,
    routes: || routes![stylesheet, icon],
    templates: &[],
    samples: Vec::new,
    mails: &[],
    links: &[],
};

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

#[derive(Responder)]
#[response(content_type = "image/svg+xml")]
struct Image {
    text: &'static str,
    cache: Header<'static>,
}

#[get("/security-assets/icon.svg")]
fn icon(_public: crate::guards::Public) -> Image {
    Image {
        text: SVG,
        cache: Header::new("Cache-Control", "public, max-age=86400"),
    }
}
