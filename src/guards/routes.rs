//! What is known of every mounted route.

use std::collections::HashSet;

use rocket::{
    Route,
    http::{MediaType, Method},
};

use crate::http::pattern::Pattern;

/// What was found on each route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub(crate) with_input: HashSet<Key>,
    /// Routes that take `Input` inside of another type, such as `Option<Input<..>>`.
    pub(crate) wrapped: Vec<Pattern>,
    /// The name of each route that carries neither guard nor mark.
    pub(crate) unguarded: Vec<String>,
    /// The name of each route that writes and checks nothing.
    pub(crate) unchecked: Vec<String>,
}

/// Everything that tells routes of one application apart. Rocket lets no two routes be alike in all of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    method: Method,
    uri: String,
    rank: isize,
    format: Option<MediaType>,
    handler: Option<String>,
}

impl Key {
    pub(crate) fn of(route: &Route) -> Self {
        Self {
            method: route.method,
            uri: route.uri.to_string(),
            rank: route.rank,
            format: route.format.clone(),
            handler: route.name.as_deref().map(String::from),
        }
    }
}

impl Routes {
    /// Whether the handler of `route` takes its body through `Input`, where CSRF is checked.
    pub(crate) fn takes_input(&self, route: &Route) -> bool {
        self.with_input.contains(&Key::of(route))
    }

    /// What is known of these routes and `others`.
    pub(crate) fn joined(mut self, others: Self) -> Self {
        self.with_input.extend(others.with_input);
        self
    }
}
