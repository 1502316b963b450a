//! The language of an answer.

use rocket::Request;

use crate::web::site::Site;

/// The language of the answer: what the browser prefers among those that there are texts for.
pub(crate) fn language(request: &Request<'_>, site: &Site) -> String {
    site.views
        .catalogue()
        .choose(request.headers().get_one("accept-language"))
        .to_string()
}
