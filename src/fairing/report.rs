//! The look at every mounted route at launch: which carry no guard, and which write without a CSRF check.
//!
//! Rocket keeps a route's guards to itself. But it asks each guard's sentinel, so each route is mounted
//! alone in a Rocket that is thrown away, and our sentinels answer there by refusing.

use std::any::type_name;

use rocket::{Config, Route, error::ErrorKind};

use crate::{
    guards::{
        Anonymous, Public, SignedIn,
        probe::Probe,
        routes::{Key, Routes},
    },
    http::{csrf, pattern::Pattern},
};

/// A route as people know it: method, path, and format if it has one.
fn name_of(route: &Route) -> String {
    let format = route.format.as_ref();
    let format = format.map_or(String::new(), |format| format!(" ({format})"));
    format!("{} {}{format}", route.method, route.uri)
}

/// Looks at all routes mounted so far. `public` lists those that are open on purpose.
pub(crate) async fn inspect<'a>(
    routes: impl Iterator<Item = &'a Route>,
    public: &[String],
) -> Routes {
    let mut found = Routes::default();
    // Igniting sets the log level of the process; it must be put back.
    let level = log::max_level();
    for route in routes {
        let types = guards_of(route).await;
        // Inside of another type, what refuses there is for the handler to see: it lets everybody in.
        let has = |wanted: &str| {
            let mut own = types.iter().filter(|(_, nested)| !nested);
            own.any(|(name, _)| prefix_of(name) == prefix_of(wanted))
        };
        let input = prefix_of(type_name::<crate::web::input::Input<()>>());
        let takes_input = has(input);
        let wraps_input = types
            .iter()
            .any(|(name, _)| name.contains(&format!("{input}<")));
        let refuses =
            has(type_name::<SignedIn>()) || has(type_name::<crate::guards::Require<()>>());
        let marked =
            has(type_name::<Public>()) || public.iter().any(|uri| route.uri.to_string() == *uri);
        if takes_input {
            found.with_input.insert(Key::of(route));
        } else if wraps_input {
            found.wrapped.push(Pattern::of(route));
        }
        if !refuses && !has(type_name::<Anonymous>()) && !marked {
            found.unguarded.push(name_of(route));
        }
        // A visitor's request can come from another site too, so `Anonymous` is no check.
        let checked = refuses || takes_input || wraps_input;
        if csrf::writes(route.method) && !checked && !marked {
            found.unchecked.push(name_of(route));
        }
    }
    log::set_max_level(level);
    found
}

fn prefix_of(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

/// Names of our types in the signature of a route's handler, and whether each stands inside of another type.
async fn guards_of(route: &Route) -> Vec<(&'static str, bool)> {
    let config = Config {
        log_level: rocket::config::LogLevel::Off,
        ..Config::default()
    };
    let alone = rocket::custom(config)
        .manage(Probe)
        .mount("/", [route.clone()]);
    match alone.ignite().await {
        Ok(_) => Vec::new(),
        Err(error) => match error.kind() {
            ErrorKind::SentinelAborts(sentries) => sentries
                .iter()
                .map(|sentry| (sentry.type_name, sentry.parent.is_some()))
                .collect(),
            _ => Vec::new(),
        },
    }
}
