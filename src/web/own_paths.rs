//! The paths of our own routes, known at launch.

use rocket::{
    Request, Route,
    http::{Method, uri::Origin},
};

use crate::http::pattern::{Mounted, Pattern};

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

    /// Returns whether a route of ours or of the application answers GET at `path`.
    pub(crate) fn is_page(request: &Request<'_>, path: &str) -> bool {
        let Ok(uri) = Origin::parse(path) else {
            return false;
        };
        let mut mounted = Mounted::of(request.rocket()).iter();
        mounted.any(|route| route.method == Method::Get && route.is_at(&uri))
    }

    /// Returns the nearest page at or above the path of this request.
    ///
    /// For a path of ours that is any page of ours, for a path of the application only a page at the same path.
    pub(crate) fn page_above(request: &Request<'_>) -> Option<String> {
        let mut path = request.uri().path().as_str();
        if Self::is_page(request, path) {
            return Some(path.to_string());
        }
        let own = request.rocket().state::<Self>()?;
        if !Self::contain(request) {
            return None;
        }
        while let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            path = above;
            let uri = Origin::parse(path).ok()?;
            let is_page = |at: &Pattern| at.method == Method::Get && at.is_at(&uri);
            if own.0.iter().any(is_page) {
                return Some(path.to_string());
            }
        }
        None
    }

    /// Returns whether the path of this request is ours.
    pub(crate) fn contain(request: &Request<'_>) -> bool {
        let own = request.rocket().state::<Self>();
        own.is_some_and(|Self(own)| own.iter().any(|own| own.is_at(request.uri())))
    }
}
