//! Passkeys, where the Cargo feature is off: pages offer none.

use serde_json::Value;

use crate::web::site::Site;

pub(crate) fn offer(_: &Site, _: &str, _: &str) -> Value {
    Value::Null
}

pub(crate) fn autofills(_: &Site) -> bool {
    false
}
