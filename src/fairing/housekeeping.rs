//! What goes on beside requests: writing down uses of sessions, deleting what has run out.

use std::time::Duration;

use rocket::tokio;

use crate::{
    store::{
        StoreError, api_keys, devices, failures, families, outbox, remember, sessions, tickets,
        tokens,
    },
    types::span::days,
    web::site::Site,
};

/// Seconds between writing down uses of sessions.
const FLUSH: Duration = Duration::from_secs(5);
/// Rounds of flushing between two rounds of deleting what has run out: ten minutes.
const SWEEP: u32 = 120;

/// Writes down uses of sessions, and deletes what has run out, as long as the site lives.
pub(super) async fn housekeeping(site: std::sync::Weak<Site>) {
    let mut round: u32 = 0;
    loop {
        tokio::time::sleep(FLUSH).await;
        let Some(site) = site.upgrade() else { return };
        if let Err(error) = site.touches.flush(&site.store).await {
            log::warn!("uses of sessions were not written: {error}");
        }
        if let Err(error) = site.key_uses.flush(&site.store).await {
            log::warn!("uses of API keys were not written: {error}");
        }
        if round.is_multiple_of(SWEEP)
            && let Err(error) = sweep(&site).await
        {
            log::warn!("what has run out was not deleted: {error}");
        }
        round = round.wrapping_add(1);
    }
}

/// Deletes sessions, devices, tokens, keys, tickets, counters and mails that have run out.
pub(crate) async fn sweep(site: &Site) -> Result<(), StoreError> {
    let (now, settings) = (site.now(), &site.settings);
    let (idle, window) = (
        now.before(settings.session.idle.get()),
        // The longest time over which anything is counted is that of mails a day.
        now.before(settings.limits.window.get().max(days(1))),
    );
    site.store
        .write(move |conn| {
            sessions::delete_expired(conn, now, idle)?;
            remember::delete_expired(conn, now)?;
            tokens::delete_expired(conn, now)?;
            families::delete_expired(conn, now)?;
            api_keys::delete_expired(conn, now)?;
            tickets::delete_expired(conn, now)?;
            outbox::delete_old(conn, now)?;
            devices::delete_expired(conn, now)?;
            failures::delete_expired(conn, window, now)
        })
        .await
}
