//! The paths of our own routes, known at launch.

use rocket::{
    Request, Route,
    http::{Method, uri::Origin},
};

/// Our paths with the methods that they answer.
pub(crate) struct OwnPaths(Vec<(Pattern, Method)>);

impl OwnPaths {
    pub(crate) fn of<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Self {
        let own = |route: &Route| (Pattern::of(route), route.method);
        Self(routes.into_iter().map(own).collect())
    }

    /// The methods that the path of this request answers; none if it is not ours.
    pub(crate) fn methods(request: &Request<'_>) -> Option<Vec<Method>> {
        let Self(own) = request.rocket().state::<Self>()?;
        let here = own.iter().filter(|(path, _)| path.is_at(request.uri()));
        let mut found: Vec<Method> = here.map(|(_, method)| *method).collect();
        if found.is_empty() {
            return None;
        }
        if found.contains(&Method::Get) {
            found.push(Method::Head);
        }
        found.push(Method::Options);
        Some(found)
    }

    /// Whether the path of this request is ours.
    pub(crate) fn contain(request: &Request<'_>) -> bool {
        let own = request.rocket().state::<Self>();
        own.is_some_and(|Self(own)| own.iter().any(|(path, _)| path.is_at(request.uri())))
    }
}

/// The path of a route.
pub(crate) struct Pattern(Vec<Segment>);

enum Segment {
    Fixed(String),
    Any,
    Rest,
}

impl Pattern {
    pub(crate) fn of(route: &Route) -> Self {
        let path = route.uri.path().split('/');
        let named = path.filter(|segment| !segment.is_empty());
        let segments = named.map(|segment| match segment.starts_with('<') {
            true if segment.ends_with("..>") => Segment::Rest,
            true => Segment::Any,
            false => Segment::Fixed(segment.to_string()),
        });
        Self(segments.collect())
    }

    /// Whether the route answers at this path, as Rocket sees it.
    pub(crate) fn is_at(&self, uri: &Origin<'_>) -> bool {
        let mut asked = uri.path().segments();
        for segment in &self.0 {
            match (segment, asked.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Any, Some(_)) => {}
                (Segment::Fixed(fixed), Some(asked)) if fixed == asked => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }
}
