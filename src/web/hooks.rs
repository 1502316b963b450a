//! The application's own behaviour, where it has any.

use std::{collections::HashMap, sync::Arc};

use rocket::Request;
use serde_json::{Map, Value};

use super::fields::ExtraFields;
use crate::{
    core::{OnRegister, TokenExpiry},
    notify::context::{AddContext, objects},
    store::User,
};

pub(crate) type Decide = Arc<dyn Fn(&Request<'_>) -> Option<String> + Send + Sync>;
pub(crate) type UserPayload = Arc<dyn Fn(&User) -> Value + Send + Sync>;
pub(crate) type Judge = Arc<dyn Fn(&Request<'_>) -> bool + Send + Sync>;
pub(crate) type Envelope = Arc<dyn Fn(u16, Value) -> Value + Send + Sync>;

/// The application's own behaviour, where it has any.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_register: Option<OnRegister>,
    pub(crate) fields: HashMap<&'static str, ExtraFields>,
    pub(crate) token_expiry: Option<TokenExpiry>,
    pub(crate) user_payload: Option<UserPayload>,
    pub(crate) wants_json: Option<Judge>,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) unauthenticated: Option<Decide>,
    pub(crate) forbidden: Option<Decide>,
    pub(crate) reauthenticate: Option<Decide>,
    /// Values for one page, or for all.
    pub(crate) contexts: Vec<(Option<String>, AddContext)>,
    pub(crate) mail_contexts: Vec<AddContext>,
}

impl Hooks {
    /// The application's own values for a page.
    pub(crate) fn page_values(&self, page: &str) -> Map<String, Value> {
        let meant = self.contexts.iter().filter(|(of, _)| {
            let of = of.as_deref();
            of.is_none_or(|of| of == page)
        });
        objects(meant.map(|(_, add)| add(page)))
    }
}
