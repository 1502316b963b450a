//! Providers, where the Cargo feature is off: pages offer none.

use serde_json::Value;

use crate::{error::Error, features::Web, types::UserId, web::site::Site};

/// What a page offers providers for.
pub(crate) enum Offer<'a> {
    SignIn,
    Verify(&'a [String]),
}

pub(crate) fn offer(_: &Web<'_>, what: Offer<'_>, _: Option<&str>) -> Value {
    match what {
        Offer::SignIn => Value::Null,
        Offer::Verify(linked) => linked.first().map_or(Value::Null, |_| Value::Null),
    }
}

pub(crate) async fn linked(_: &Site, _: &UserId) -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}
