//! The language of an answer.

use rocket::Request;

use crate::http::context::HttpContext;

/// The language of the answer: what the browser prefers among those that there are texts for.
pub(crate) fn of(request: &Request<'_>, context: &HttpContext) -> String {
    context
        .views
        .catalogue()
        .choose(request.headers().get_one("accept-language"))
        .to_string()
}
