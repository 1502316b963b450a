//! The script of passkeys, from the binary.

use rocket::{get, http::Header, response::Responder};

const SCRIPT: &str = include_str!("../../../static/security/passkeys.js");

#[derive(Responder)]
#[response(content_type = "js")]
pub(super) struct Script {
    text: &'static str,
    cache: Header<'static>,
}

#[get("/security-assets/passkeys.js")]
pub(super) fn passkeys(_public: crate::guards::Public) -> Script {
    Script {
        text: SCRIPT,
        cache: Header::new("Cache-Control", "public, max-age=3600"),
    }
}
