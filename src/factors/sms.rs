//! A phone that gets text messages, as a factor. `phone.rs` reads its number.

use super::{
    context::FactorContext,
    factor::{Begun, Factor, Right, Wanted},
    phone,
    sending::Destination,
};
use crate::{
    error::{Error, Invalid},
    store::{Conn, StoreError, factors as rows},
    types::{Message, Timestamp},
};

/// A code by text message.
pub(super) struct TextMessage;

impl Factor for TextMessage {
    fn begin(&self, means: &FactorContext, wanted: &Wanted<'_>, _: &str) -> Result<Begun, Error> {
        if wanted.phone.trim().is_empty() {
            return Err(Invalid::field("phone", Message::new("phone.required")).into());
        }
        let phone = means
            .phones
            .parse(wanted.phone)
            .map_err(|message| Invalid::field("phone", message))?;
        Ok(Begun {
            secret: None,
            phone: Some(phone.as_str().to_string()),
        })
    }

    fn destination(&self, phone: Option<&str>) -> Option<Destination> {
        phone.map(|phone| Destination::Phone(phone.to_string()))
    }

    fn describe(&self, _: &str, phone: Option<&str>) -> Option<String> {
        phone.map(phone::masked)
    }

    fn step(&self, _: Option<&Right>, is_sent: bool) -> Option<i64> {
        is_sent.then_some(0)
    }

    fn accept(
        &self,
        conn: &mut Conn,
        id: &str,
        _: Option<&Right>,
        is_sent: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(is_sent && rows::touch(conn, id, now)?)
    }

    fn takes_phone(&self) -> bool {
        true
    }
}
