//! The language of an answer.

use rocket::Request;

use crate::core::Core;

/// The language of the answer: what the browser prefers among those that there are texts for.
pub(crate) fn language(request: &Request<'_>, core: &Core) -> String {
    core.views
        .catalogue()
        .choose(request.headers().get_one("accept-language"))
        .to_string()
}
