//! The browsers that are trusted: `/tf-devices`.

use rocket::{Route, get, post, routes};

use super::{
    super::{Submitted, Web},
    answer::{DeviceAnswer, DevicesAnswer},
};
use crate::{
    error::Error,
    identity::target::Target,
    signin::trusted,
    templates::{Template, template},
    types::{Path, PathTo},
    web::{
        input::Empty,
        reply::{Answer, Reply},
    },
};

pub(super) const DEVICES: Template = template!("two_factor/devices.html");

pub(super) fn routes() -> Vec<Route> {
    routes![list, revoke]
}

#[get("/tf-devices")]
async fn list(web: Web<'_>) -> Answer {
    let caller = web.signed_in()?;
    let here = trusted::series_of(web.browser);
    let rows = web.site.store.trusted_devices_of(&caller.user.id).await?;
    let devices: Vec<DeviceAnswer<'_>> = rows
        .iter()
        .map(|row| DeviceAnswer {
            id: &row.id,
            current: here.as_deref() == Some(row.series.as_str()),
            agent: &row.agent,
            address: &row.address,
            created: row.created_at.to_text(),
            created_iso: row.created_at.rfc3339(),
            last_used: row.last_used_at.to_text(),
            last_used_iso: row.last_used_at.rfc3339(),
            revoke_url: web.site.path_to(PathTo::TfDeviceRevoke, [&row.id]),
        })
        .collect();
    Ok(Reply::page(DEVICES)
        .with("devices", &devices)
        .answer(DevicesAnswer { devices: &devices }))
}

#[post("/tf-devices/<id>/revoke", data = "<form>")]
async fn revoke(web: Web<'_>, id: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "devices.revoke")?;
    let caller = web.strong_by_any().await?;
    // One that is none and one that is another's are answered alike.
    let (owner, id) = (caller.user.id.clone(), id.to_string());
    let revoked = web.change(move |change| change.revoke_trusted_device(&owner, &id));
    if !revoked.await? {
        return Err(Error::NotFound);
    }
    let target = Target::local(&web.site.path(Path::TfDevices));
    Ok(Reply::done(target).flash("success", "devices.revoked"))
}
