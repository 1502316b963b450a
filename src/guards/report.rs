//! The look at every mounted route at launch: which carry no guard, and which write without a CSRF check.
//!
//! Rocket keeps a route's guards to itself. But it asks each guard's sentinel, so each route is mounted
//! alone in a Rocket that is thrown away, and our sentinels answer there by refusing.

use std::{any::type_name, collections::HashSet};

use rocket::{Config, Ignite, Rocket, Route, error::ErrorKind, http::Method};

use super::{Anonymous, Public, SignedIn};

/// Marks the Rocket in which sentinels are asked what stands in a signature.
pub(crate) struct Probe;

impl Probe {
    pub(crate) fn answers(rocket: &Rocket<Ignite>) -> bool {
        rocket.state::<Self>().is_some()
    }
}

/// What was found on each route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    with_input: HashSet<Key>,
    /// `METHOD /uri` of each route that carries neither guard nor mark.
    pub(crate) unguarded: Vec<String>,
    /// `METHOD /uri` of each route that writes and checks nothing.
    pub(crate) unchecked: Vec<String>,
}

type Key = (Method, String, isize);

fn key(route: &Route) -> Key {
    (route.method, route.uri.to_string(), route.rank)
}

impl Routes {
    /// Whether the handler of `route` takes its body through `Input`, where CSRF is checked.
    pub(crate) fn takes_input(&self, route: &Route) -> bool {
        self.with_input.contains(&key(route))
    }

    /// What is known of these routes and `others`.
    pub(crate) fn joined(mut self, others: Self) -> Self {
        self.with_input.extend(others.with_input);
        self
    }
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
        let has = |name: &str| types.contains(&name);
        let starts = |name: &str| types.iter().any(|found| found.starts_with(name));
        let input = starts(prefix_of(type_name::<crate::Input<()>>()));
        if input {
            found.with_input.insert(key(route));
        }
        let guarded = has(type_name::<SignedIn>())
            || starts(prefix_of(type_name::<super::Require<()>>()))
            || has(type_name::<Anonymous>());
        let name = format!("{} {}", route.method, route.uri);
        let marked =
            has(type_name::<Public>()) || public.iter().any(|uri| route.uri.to_string() == *uri);
        if !guarded && !marked {
            found.unguarded.push(name.clone());
        }
        let writes = !matches!(
            route.method,
            Method::Get | Method::Head | Method::Options | Method::Trace
        );
        if writes && !guarded && !input && !marked {
            found.unchecked.push(name);
        }
    }
    log::set_max_level(level);
    found
}

fn prefix_of(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

/// Names of our types in the signature of a route's handler.
async fn guards_of(route: &Route) -> Vec<&'static str> {
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
            ErrorKind::SentinelAborts(sentries) => {
                sentries.iter().map(|sentry| sentry.type_name).collect()
            }
            _ => Vec::new(),
        },
    }
}
