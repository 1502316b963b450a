//! The mailbox of an account as a factor.

use super::{
    factor::{Factor, Right},
    sending::Destination,
};
use crate::{
    identity::text::masked,
    store::{Conn, StoreError, factors as rows},
    types::Timestamp,
};

/// A code by mail.
pub(super) struct Mailbox;

impl Factor for Mailbox {
    fn destination(&self, _: Option<&str>) -> Option<Destination> {
        Some(Destination::Mailbox)
    }

    fn describe(&self, email: &str, _: Option<&str>) -> Option<String> {
        Some(masked(email))
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

    fn is_mailbox(&self) -> bool {
        true
    }
}
