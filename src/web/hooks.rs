//! The application's own behaviour, where it has any.

use std::{collections::HashMap, sync::Arc};

use rocket::Request;
use serde_json::{Map, Value};

use super::fields::ExtraFields;
use crate::{
    store::{Conn, StoreError, User},
    types::Timestamp,
};

pub(crate) type OnRegister =
    Arc<dyn Fn(&mut Conn, &User, &Map<String, Value>) -> Result<(), StoreError> + Send + Sync>;
pub(crate) type Decide = Arc<dyn Fn(&Request<'_>) -> Option<String> + Send + Sync>;
pub(crate) type TokenExpiry = Arc<dyn Fn(&User) -> Option<Timestamp> + Send + Sync>;
pub(crate) type UserPayload = Arc<dyn Fn(&User) -> Value + Send + Sync>;
pub(crate) type Judge = Arc<dyn Fn(&Request<'_>) -> bool + Send + Sync>;
pub(crate) type Envelope = Arc<dyn Fn(u16, Value) -> Value + Send + Sync>;
pub(crate) type AddContext = Arc<dyn Fn(&str) -> Value + Send + Sync>;

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

    /// The application's own values for a mail, by its name, such as `welcome`.
    pub(crate) fn mail_values(&self, which: &str) -> Map<String, Value> {
        objects(self.mail_contexts.iter().map(|add| add(which)))
    }

    /// What runs inside the transaction that makes an account.
    pub(crate) fn registering(&self) -> Registering {
        Registering(self.on_register.clone())
    }
}

/// The values of several objects, of which the last says what holds.
pub(crate) fn objects(values: impl IntoIterator<Item = Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for value in values {
        if let Value::Object(object) = value {
            all.extend(object);
        }
    }
    all
}

/// The application's part in making an account, if it has one.
#[derive(Clone)]
pub(crate) struct Registering(Option<OnRegister>);

impl Registering {
    /// Runs it. What it finds taken is of the application's own, whatever its constraints are called.
    pub(crate) fn run(
        &self,
        conn: &mut Conn,
        user: &User,
        extra: &Map<String, Value>,
    ) -> Result<(), StoreError> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(conn, user, extra).map_err(|error| match error {
                StoreError::Taken(_) => StoreError::TakenByApplication,
                error => error,
            }),
        }
    }
}
