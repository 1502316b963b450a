//! Trusted devices: browsers in which the second factor was given once and is not asked for again for a
//! while.
//!
//! A cookie names a row, with a token that changes at each use; an old copy that comes back ends the row.
//! A new password or a changed factor ends them all.

use crate::{
    core::Core,
    error::Error,
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    secrets::{Secret, digest, random_token},
    store::{
        User,
        devices::{self, NewDevice, Shown},
    },
};

/// The proof that a browser is trusted by an account. Nothing but [`check`] makes one.
#[derive(Debug)]
pub(crate) struct Trusted(());

/// The series and the token of a cookie.
fn split(cookie: &str) -> Option<(&str, &str)> {
    cookie
        .split_once('.')
        .filter(|(series, token)| series.len() == 43 && token.len() == 43)
}

/// The name under which the row of this browser is kept.
pub(crate) fn series_of(browser: &Browser) -> Option<String> {
    // The browser may have been trusted in this very request.
    let cookie = browser.current(Kind::Trusted)?;
    split(&cookie).map(|(series, _)| digest(series))
}

/// Whether the browser is trusted by `user`; its cookie is exchanged for the next.
pub(crate) async fn check(
    browser: &Browser,
    core: &Core,
    client: &ClientInfo,
    user: &User,
) -> Result<Option<Trusted>, Error> {
    let cookie = browser.cookie(Kind::Trusted).and_then(split);
    let Some((series, token)) = cookie.filter(|_| core.settings.two_factor.trust_devices) else {
        return Ok(None);
    };
    let (next, now) = (random_token()?, core.now());
    let shown = Shown {
        series: digest(series),
        token_hash: digest(token),
        address: client.client.address.clone(),
        agent: client.client.agent.clone(),
    };
    let (id, uniquifier, next_hash) = (
        user.id.clone(),
        user.uniquifier.clone(),
        digest(next.expose()),
    );
    let good = core
        .store
        .write(move |conn| {
            let good = devices::rotate(conn, &id, &uniquifier, &shown, &next_hash, now)?;
            if !good {
                // Only this account's: another's stays, whose owner may come back to this browser.
                devices::delete_series(conn, &id, &shown.series)?;
            }
            Ok(good)
        })
        .await?;
    if !good {
        return Ok(None);
    }
    send_cookie(browser, core, format!("{series}.{}", next.expose()));
    Ok(Some(Trusted(())))
}

/// A row to be written, and the cookie that goes with it.
pub(crate) struct Prepared {
    pub(crate) row: NewDevice,
    cookie: Secret<String>,
}

/// Prepares to trust the browser of `user`, who has just given a second factor in it.
pub(crate) fn prepare(core: &Core, client: &ClientInfo, user: &User) -> Result<Prepared, Error> {
    let (series, token, now) = (random_token()?, random_token()?, core.now());
    Ok(Prepared {
        row: NewDevice {
            series: digest(series.expose()),
            id: uuid::Uuid::now_v7().to_string(),
            user_id: user.id.clone(),
            user_uniquifier: user.uniquifier.clone(),
            token_hash: digest(token.expose()),
            created_at: now,
            last_used_at: now,
            expires_at: now.after(core.settings.two_factor.trust.get()),
            address: client.client.address.clone(),
            agent: client.client.agent.clone(),
        },
        cookie: Secret::new(format!("{}.{}", series.expose(), token.expose())),
    })
}

impl Prepared {
    /// Once the row is written.
    pub(crate) fn send(&self, browser: &Browser, core: &Core) {
        send_cookie(browser, core, self.cookie.expose().clone());
    }
}

fn send_cookie(browser: &Browser, core: &Core, value: String) {
    browser.send_for(Kind::Trusted, value, core.settings.two_factor.trust.get());
}
