//! The paths of our own routes, known at launch.

use rocket::{Request, Route, http::Method};

use super::pattern::Pattern;

/// Our paths with the methods that they answer.
pub(crate) struct OwnPaths(Vec<Pattern>);

impl OwnPaths {
    pub(crate) fn of<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Self {
        Self(routes.into_iter().map(Pattern::of).collect())
    }

    /// Returns the methods that the path of this request answers, or `None` if it is not ours.
    pub(crate) fn methods(request: &Request<'_>) -> Option<Vec<Method>> {
        let Self(own) = request.rocket().state::<Self>()?;
        let here = own.iter().filter(|own| own.is_at(request.uri()));
        let mut found: Vec<Method> = here.map(|own| own.method).collect();
        if found.is_empty() {
            return None;
        }
        if found.contains(&Method::Get) {
            found.push(Method::Head);
        }
        found.push(Method::Options);
        Some(found)
    }

    /// Returns whether the path of this request is ours.
    pub(crate) fn contain(request: &Request<'_>) -> bool {
        let own = request.rocket().state::<Self>();
        own.is_some_and(|Self(own)| own.iter().any(|own| own.is_at(request.uri())))
    }
}
