//! Methods on our own paths: HEAD where GET is answered, OPTIONS everywhere, and 405 with `Allow` for the rest.
//!
//! Rocket answers a method without a route by 404, and first writes the whole path into its log as an error, with
//! the token of a mailed link in it. A route for each method of each path would make the list of routes at launch
//! eight times as long. So the fairing looks at each request before it is routed: a request for one of our paths
//! by a method that neither we nor the application answer there is led to one route of ours.
//!
//! So is a request that no route answers at all, if something like one of our secrets stands in its path or query:
//! a mailed link with something behind it, in capitals or below another path. The application's catchers answer it
//! by 404.

use std::sync::OnceLock;

use rocket::{
    Data, Orbit, Request, Response, Rocket, Route,
    http::{Header, Method, Status, uri::Origin},
    route::{Handler, Outcome},
};

use crate::{
    error::{Error, Unreadable},
    guards::identity,
    http::{headers, pattern::Mounted},
    types::Message,
    web::{own_paths::OwnPaths, refuse::refuse, site::Site},
};

/// In the order of `Allow`.
const METHODS: [Method; 9] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Trace,
    Method::Connect,
];

/// No server of an application is ever asked by this method, so no route of an application answers it.
const UNUSED: Method = Method::Connect;

/// What was asked for, where the request was led elsewhere.
#[derive(Default)]
struct Led(OnceLock<Method>);

fn led(request: &Request<'_>) -> Option<Method> {
    request.local_cache(Led::default).0.get().copied()
}

/// Whether the application has a route of its own for this method and path.
fn is_the_applications(rocket: &Rocket<Orbit>, method: Method, uri: &Origin<'_>) -> bool {
    let mut mounted = Mounted::of(rocket).iter();
    mounted.any(|route| route.method == method && route.is_at(uri))
}

/// Whether some route may answer the request. Rocket answers HEAD by GET.
fn is_routed(request: &Request<'_>) -> bool {
    let asked = request.method();
    let mut mounted = Mounted::of(request.rocket()).iter();
    mounted.any(|own| own.matches(request) || asked == Method::Head && own.answers_head(request))
}

/// As many characters as a secret of ours has.
const SECRET: usize = 43;

/// Whether something that looks like a secret of ours stands in the address, however it is escaped.
fn shows_secret(uri: &Origin<'_>) -> bool {
    let has_secret = |part: &str| {
        // Decoding makes nothing longer, and this is asked of every request of the application.
        part.len() >= SECRET && {
            let mut run = 0;
            percent_encoding::percent_decode_str(part).any(|byte| {
                let is_part = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                run = if is_part { run + 1 } else { 0 };
                run >= SECRET
            })
        }
    };
    has_secret(uri.path().as_str()) || uri.query().is_some_and(|query| has_secret(query.as_str()))
}

/// Before routing: leads a request by another method than ours to where it is answered.
pub(super) fn redirect_to_methods(request: &mut Request<'_>) {
    let asked = request.method();
    let Some(own) = OwnPaths::methods(request) else {
        if shows_secret(request.uri()) && !is_routed(request) {
            let _ = request.local_cache(Led::default).0.set(asked);
            request.set_method(UNUSED);
        }
        return;
    };
    let is_routed = own.contains(&asked) && !matches!(asked, Method::Head | Method::Options);
    if is_routed || asked != UNUSED && is_the_applications(request.rocket(), asked, request.uri()) {
        return;
    }
    let _ = request.local_cache(Led::default).0.set(asked);
    // HEAD goes the way of GET, as it does in Rocket itself.
    request.set_method(match asked {
        Method::Head if own.contains(&Method::Get) => Method::Get,
        _ => UNUSED,
    });
}

/// After routing: 405 in place of a 404 of the application's catch-all routes, and no body for HEAD.
pub(super) async fn finish(request: &Request<'_>, response: &mut Response<'_>) {
    if response.status() == Status::NotFound
        && led(request).is_none()
        && let Some(own) = OwnPaths::methods(request)
        && !own.contains(&request.method())
        && let Ok(site) = Site::of(request)
    {
        *response = answer(request, site, request.method(), &own).await;
    }
    if led(request) == Some(Method::Head) {
        if let Some(size) = response.body_mut().size().await {
            response.set_raw_header("Content-Length", size.to_string());
        }
        response.set_streamed_body(rocket::tokio::io::empty());
    }
}

/// The route of all requests by other methods.
pub(super) fn route() -> Route {
    let mut route = Route::ranked(isize::MAX, UNUSED, "/<_..>", OtherMethods);
    route.name = Some("security: other methods on its own paths".into());
    route
}

#[derive(Clone)]
struct OtherMethods;

#[rocket::async_trait]
impl Handler for OtherMethods {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        match (led(request), OwnPaths::methods(request), Site::of(request)) {
            (Some(asked), Some(own), Ok(site)) => {
                Outcome::Success(answer(request, site, asked, &own).await)
            }
            // There is nothing at this path, and Rocket would log it.
            (Some(_), None, _) => Outcome::Error(Status::NotFound),
            _ => Outcome::forward(data, Status::NotFound),
        }
    }
}

async fn answer(
    request: &Request<'_>,
    site: &Site,
    asked: Method,
    own: &[Method],
) -> Response<'static> {
    let mut response = match asked {
        Method::Options => {
            headers::mark(request);
            Response::build().status(Status::NoContent).finalize()
        }
        _ => {
            if asked == Method::Get {
                // A page with a menu, which knows who is signed in.
                let _ = identity::resolve(request).await;
            }
            let message = Message::new("error.method");
            let error = Error::Unreadable(Unreadable::WrongMethod, message);
            refuse(request, site, &error)
        }
    };
    let allowed = METHODS.iter().filter(|method| own.contains(method));
    let allowed: Vec<&str> = allowed.map(|method| method.as_str()).collect();
    response.set_header(Header::new("Allow", allowed.join(", ")));
    response
}
