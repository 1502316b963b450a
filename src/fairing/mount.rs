//! The routes, catchers and state that Rocket gets.

use std::sync::Arc;

use rocket::{Build, Rocket};

use super::{gate, methods, report};
use crate::{
    accounts::Accounts,
    core::change::By,
    features::root_routes,
    guards::routes::Routes,
    http::pattern::Mounted,
    settings::{ConfigError, ReportLevel},
    web::{catchers, own_paths::OwnPaths, site::Site},
};

/// Reports routes without a guard or a CSRF check, and answers what is known of all routes.
pub(super) async fn report_routes(
    site: &Site,
    rocket: &Rocket<Build>,
) -> Result<Routes, ConfigError> {
    let ours = ours(site);
    let own = report::inspect(rocket.routes(), &site.settings.report.public).await;
    let theirs = report::inspect(ours.iter(), &[]).await;
    let level = site.settings.report.unguarded;
    let mut sentences = Vec::new();
    if !own.unguarded.is_empty() {
        sentences.push(format!(
            "these routes carry no guard: {}; add `SignedIn`, `Require<..>` or `Public`, or list them in `security.report.public`",
            own.unguarded.join(", ")
        ));
    }
    if !own.unchecked.is_empty() {
        sentences.push(format!(
            "these routes write without a CSRF check: {}; take the body as `Input<..>`",
            own.unchecked.join(", ")
        ));
    }
    match level {
        ReportLevel::Off => {}
        ReportLevel::Warn => sentences
            .iter()
            .for_each(|sentence| log::warn!("{sentence}")),
        ReportLevel::Error if sentences.is_empty() => {}
        ReportLevel::Error => {
            return Err(ConfigError(format!(
                "`security.report.unguarded` is \"error\": {}",
                sentences.join("; ")
            )));
        }
    }
    Ok(own.joined(theirs))
}

/// Our routes as they will be mounted.
fn ours(site: &Site) -> Vec<rocket::Route> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    let rocket = rocket::custom(rocket::Config {
        log_level: rocket::config::LogLevel::Off,
        ..Default::default()
    });
    let level = log::max_level();
    let rocket = site.features().fold(rocket, |rocket, feature| {
        rocket.mount(base.to_string(), (feature.routes)())
    });
    let rocket = rocket.mount("/", root_routes(site));
    log::set_max_level(level);
    rocket.routes().cloned().collect()
}

/// Mounts all of it.
pub(super) fn mount(mut rocket: Rocket<Build>, site: Arc<Site>, routes: Routes) -> Rocket<Build> {
    let base = if site.settings.url_prefix.is_empty() {
        "/"
    } else {
        site.settings.url_prefix.as_str()
    };
    for feature in site.features() {
        rocket = rocket.mount(base.to_string(), (feature.routes)());
    }
    rocket = rocket.mount("/", root_routes(&site));
    rocket = rocket.mount("/", gate::routes(&routes.wrapped));
    let own_paths = OwnPaths::of(&ours(&site));
    for (base, missing) in catchers::missing(rocket.catchers(), base) {
        rocket = rocket.register(base, missing);
    }
    rocket
        .mount("/", [methods::route()])
        .manage(own_paths)
        .manage(Mounted::default())
        .manage(site.store.clone())
        .manage(Accounts::new(site.core.clone(), By::application()))
        .manage(site.hasher.clone())
        .manage(site.http.cookies.clone())
        .manage(routes)
        .manage(site.core.clone())
        .manage(site)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{
        features,
        types::{Path, PathTo},
    };

    #[test]
    fn every_route_has_a_path_of_the_list_and_every_path_a_route() {
        let routes = features::ALL.iter().flat_map(|feature| (feature.routes)());
        let mounted: BTreeSet<String> = routes.map(|route| route.uri.path().to_string()).collect();
        let whole = Path::ALL.iter().map(|path| path.as_str());
        let filled = PathTo::ALL.iter().map(|path| path.as_str());
        let listed: BTreeSet<String> = whole.chain(filled).map(String::from).collect();
        let unlisted: Vec<_> = mounted.difference(&listed).collect();
        assert!(unlisted.is_empty(), "{unlisted:?}");
        // The list has the paths of optional features too.
        let is_compiled = |name: &str| features::ALL.iter().any(|feature| feature.name == name);
        if ["passkeys", "social", "testing"]
            .into_iter()
            .all(is_compiled)
        {
            let unmounted: Vec<_> = listed.difference(&mounted).collect();
            assert!(unmounted.is_empty(), "{unmounted:?}");
        }
    }
}
