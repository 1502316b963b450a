//! The stylesheet, the icon and the script of passkeys, from the binary.

use rocket::{Route, get, http::Header, response::Responder, routes};

use crate::web::feature::Feature;

const SVG: &str = include_str!("../../static/security/icon.svg");

#[cfg(feature = "passkeys")]
const SCRIPT: &str = include_str!("../../static/security/passkeys.js");

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
    #[cfg(feature = "passkeys")]
    return routes![stylesheet, icon, passkeys];
    #[cfg(not(feature = "passkeys"))]
    routes![stylesheet, icon]
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

#[cfg(feature = "passkeys")]
#[derive(Responder)]
#[response(content_type = "js")]
struct Script {
    text: &'static str,
    cache: Header<'static>,
}

#[cfg(feature = "passkeys")]
#[get("/security-assets/passkeys.js")]
fn passkeys(_public: crate::guards::Public) -> Script {
    Script {
        text: SCRIPT,
        cache: Header::new("Cache-Control", "public, max-age=3600"),
    }
}
