//! How many mails and messages may go to one address, from all requests together.

use std::time::Duration;

use super::context::NotifyContext;
use crate::{
    identity::EmailAddress,
    store::{
        Conn, StoreError,
        failures::{self, Allowance, Counted},
    },
    types::{Timestamp, span::days},
};

/// The counters of mails of one kind to one address, however it is written.
#[derive(Clone, Debug)]
pub(crate) struct MailCounters([(String, Allowance); 2]);

impl MailCounters {
    pub(crate) fn of(context: &NotifyContext, kind: &str, address: &str) -> Self {
        let settings = &context.settings.mail;
        let key = EmailAddress::typed(address)
            .map_or_else(|_| address.into(), |email| email.key().to_string());
        let counter = |name, mails, time| {
            let allowance = Allowance {
                failures: mails,
                window: time,
                lock: time,
            };
            (context.keys.bucket([name, kind, &key]), allowance)
        };
        Self([
            counter("mail", 1, settings.throttle),
            counter("mail a day", settings.per_day.get(), days(1)),
        ])
    }

    /// Those of codes for a user who has already shown one factor: a few at once, since a person may
    /// begin again.
    pub(crate) fn of_steps(context: &NotifyContext, kind: &str, whose: &str) -> Self {
        let counter = |name, codes, time| {
            let allowance = Allowance {
                failures: codes,
                window: time,
                lock: time,
            };
            (context.keys.bucket([name, kind, whose]), allowance)
        };
        Self([
            counter("codes", 5, Duration::from_mins(10)),
            counter("codes a day", 50, days(1)),
        ])
    }
}

/// Whether one more mail may go now; it then counts. The same counters as for failures: the last that
/// is allowed shuts the door for the next.
pub(crate) fn may_mail(
    conn: &mut Conn,
    counters: &MailCounters,
    now: Timestamp,
) -> Result<bool, StoreError> {
    for (bucket, allowance) in &counters.0 {
        if let Counted::WasShut(_) = failures::count(conn, bucket, *allowance, now)? {
            return Ok(false);
        }
    }
    Ok(true)
}
