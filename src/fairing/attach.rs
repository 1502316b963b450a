//! What Rocket calls.

use std::sync::Arc;

use rocket::{
    Build, Data, Orbit, Request, Response, Rocket,
    fairing::{self, Fairing, Info, Kind},
    tokio,
};

use super::{
    housekeeping::housekeeping,
    launch::{ignite, introduce},
    marks::HasCommands,
    methods,
    mount::mount,
};
use crate::{
    notify::delivery::deliver,
    settings::{ConfigError, Strictness},
    web::{finish::finish, security::Security, site::Site},
};

#[rocket::async_trait]
impl Fairing for Security {
    fn info(&self) -> Info {
        Info {
            name: "Security",
            kind: Kind::Ignite
                | Kind::Liftoff
                | Kind::Request
                | Kind::Response
                | Kind::Shutdown
                | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let Some(parts) = self.take() else {
            log::error!("`Security` was ignited twice; attach a new one to each Rocket");
            return Err(rocket);
        };
        let ignited = ignite(parts, &rocket).await;
        match ignited.map_err(ConfigError::without_users) {
            Ok((site, routes)) => Ok(mount(rocket, Arc::new(site), routes)),
            Err(error) => {
                log::error!("{error}");
                Err(rocket)
            }
        }
    }

    async fn on_liftoff(&self, rocket: &Rocket<Orbit>) {
        if let Some(site) = rocket.state::<Arc<Site>>() {
            tokio::spawn(housekeeping(Arc::downgrade(site)));
            tokio::spawn(deliver(Arc::downgrade(&site.notify)));
            site.social.prepare();
            if site.strictness == Strictness::Development {
                introduce(site, rocket.state::<HasCommands>().is_some());
            }
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _data: &mut Data<'_>) {
        methods::redirect_to_methods(request);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        methods::finish(request, response).await;
        finish(request, response);
    }

    async fn on_shutdown(&self, rocket: &Rocket<Orbit>) {
        let Some(site) = rocket.state::<Arc<Site>>() else {
            return;
        };
        if let Err(error) = site.touches.flush(&site.store).await {
            log::warn!("the last uses of sessions were not written: {error}");
        }
        if let Err(error) = site.key_uses.flush(&site.store).await {
            log::warn!("the last uses of API keys were not written: {error}");
        }
    }
}
