//! Which requests a route answers, decided as Rocket's router decides it.
//!
//! Rocket does not show its own matching. Fixed segments are compared as Rocket compares them: the route's
//! segment as it is written, the request's segment percent-decoded. A route written `/a%20b` therefore answers
//! `/a%2520b` and not `/a%20b`. A segment with an escape in it is rare, but a CSRF check must not miss it.

use std::sync::OnceLock;

use rocket::{
    Orbit, Request, Rocket, Route,
    http::{MediaType, Method, uri::Origin},
};

/// The method, path and format of a route.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) method: Method,
    segments: Vec<Segment>,
    format: Option<MediaType>,
}

#[derive(Clone, Debug)]
enum Segment {
    Fixed(String),
    /// `<name>`: one segment.
    Any,
    /// `<name..>`: all segments that are left, if any.
    Rest,
}

impl Pattern {
    pub(crate) fn of(route: &Route) -> Self {
        let segments = route.uri.path().split('/');
        let segments = segments.filter(|segment| !segment.is_empty());
        let segments =
            segments.map(
                |segment| match segment.starts_with('<') && segment.ends_with('>') {
                    true if segment.ends_with("..>") => Segment::Rest,
                    true => Segment::Any,
                    false => Segment::Fixed(segment.to_string()),
                },
            );
        Self {
            method: route.method,
            segments: segments.collect(),
            format: route.format.clone(),
        }
    }

    /// Returns whether the route answers at this path, by whatever method.
    pub(crate) fn is_at(&self, uri: &Origin<'_>) -> bool {
        let mut asked = uri.path().segments();
        for segment in &self.segments {
            match (segment, asked.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Any, Some(_)) => {}
                (Segment::Fixed(fixed), Some(asked)) if fixed == asked => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }

    /// Returns whether the route can answer the request. Its query is not looked at.
    pub(crate) fn matches(&self, request: &Request<'_>) -> bool {
        self.method == request.method()
            && self.is_at(request.uri())
            && self.takes_format_of(request)
    }

    /// Returns whether the route can answer the request, which is one by HEAD, as Rocket does where it has a route
    /// for GET.
    pub(crate) fn answers_head(&self, request: &Request<'_>) -> bool {
        self.method == Method::Get && self.is_at(request.uri()) && self.takes_format_of(request)
    }

    fn takes_format_of(&self, request: &Request<'_>) -> bool {
        let Some(own) = &self.format else {
            return true;
        };
        let has_body = self.method.supports_payload();
        match request.format() {
            None => !has_body,
            Some(asked) if has_body && asked.specificity() != 2 => false,
            Some(asked) => {
                same(own.top().as_str(), asked.top().as_str())
                    && same(own.sub().as_str(), asked.sub().as_str())
            }
        }
    }
}

/// The patterns of all routes, of ours and of the application, made once and at first need.
#[derive(Default)]
pub(crate) struct Mounted(OnceLock<Vec<Pattern>>);

impl Mounted {
    /// Returns the patterns of all routes but those of the gate before them, which answer nothing by themselves.
    pub(crate) fn of(rocket: &Rocket<Orbit>) -> &[Pattern] {
        let mounted = rocket.state::<Self>();
        mounted.map_or(&[], |Self(all)| {
            all.get_or_init(|| {
                let answering = rocket.routes().filter(|route| route.rank != isize::MIN);
                answering.map(Pattern::of).collect()
            })
        })
    }
}

fn same(one: &str, other: &str) -> bool {
    one == "*" || other == "*" || one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use rocket::{
        Data, Route, async_trait,
        http::{Accept, ContentType, MediaType, Method, Status},
        local::blocking::Client,
        request::Request,
        route::{Handler, Outcome},
    };

    use super::Pattern;

    #[derive(Clone)]
    struct Found;

    #[async_trait]
    impl Handler for Found {
        async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
            Outcome::from(request, "found")
        }
    }

    /// Asserts that the pattern and Rocket agree about the route and the request, and returns what they say.
    fn agree(
        route: &Route,
        path: &'static str,
        content: Option<ContentType>,
        accept: Option<Accept>,
    ) -> bool {
        let client = Client::debug(rocket::build().mount("/", [route.clone()])).unwrap();
        let mut request = client.req(route.method, path);
        request = content.into_iter().fold(request, |to, it| to.header(it));
        request = accept.into_iter().fold(request, |to, it| to.header(it));
        let ours = Pattern::of(route).matches(request.inner());
        let rockets = request.dispatch().status() == Status::Ok;
        assert_eq!(ours, rockets, "{route} at {path}");
        ours
    }

    #[test]
    fn paths_match_where_rocket_matches_them() {
        let answered =
            |route: &str, path| agree(&Route::new(Method::Get, route, Found), path, None, None);
        for (route, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "//a", true),
            ("/a", "/%61", true),
            ("/a", "/b", false),
            ("/a", "/a/b", false),
            ("/a/<b>", "/a", false),
            ("/a/<b>", "/a/b", true),
            ("/a/<b>", "/a/b/c", false),
            ("/a/<b..>", "/a", true),
            ("/a/<b..>", "/a/b/c", true),
            ("/a/<b..>", "/b", false),
            ("/<b..>", "/", true),
            // Rocket decodes the request's segment and not the route's.
            ("/a%20b", "/a%20b", false),
            ("/a%20b", "/a%2520b", true),
            ("/%C3%BC", "/%C3%BC", false),
            ("/%C3%BC", "/%25C3%25BC", true),
            ("/a", "/a%2Fb", false),
        ] {
            assert_eq!(answered(route, path), expected, "{route} at {path}");
        }
    }

    #[test]
    fn formats_match_where_rocket_matches_them() {
        let json = Some(ContentType::JSON);
        for (format, content, expected) in [
            (MediaType::JSON, json.clone(), true),
            (MediaType::JSON, Some(ContentType::Form), false),
            (
                MediaType::JSON,
                Some(ContentType::new("application", "*")),
                false,
            ),
            (MediaType::JSON, None, false),
            (MediaType::Any, json, true),
        ] {
            let mut route = Route::new(Method::Post, "/a", Found);
            route.format = Some(format);
            assert_eq!(agree(&route, "/a", content, None), expected, "{route}");
        }
        for (accept, expected) in [
            (None, true),
            (Some(Accept::JSON), true),
            (Some(Accept::Any), true),
            (Some(Accept::HTML), false),
        ] {
            let mut route = Route::new(Method::Get, "/a", Found);
            route.format = Some(MediaType::JSON);
            assert_eq!(agree(&route, "/a", None, accept), expected, "{route}");
        }
    }
}
