//! Providers, where the Cargo feature is off: pages offer none.

use serde_json::Value;

use crate::{error::Error, features::Web, types::UserId, web::site::Site};

pub(crate) fn offer(_: &Web<'_>, _: Option<&[String]>, _: Option<&str>) -> Value {
    Value::Null
}

pub(crate) async fn linked(_: &Site, _: &UserId) -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}
