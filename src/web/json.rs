//! Which requests bring JSON, and which want it.

use rocket::{
    Request,
    http::{ContentType, MediaType},
};

use super::site::Site;

/// `application/json` and what is written like it.
pub(crate) fn is_json(kind: &ContentType) -> bool {
    kind.is_json() || kind.top() == "application" && kind.sub().as_str().ends_with("+json")
}

/// Whether the answer is to be JSON: the body is, or `Accept` prefers it to everything else.
pub(crate) fn wants_json(request: &Request<'_>, site: &Site) -> bool {
    if let Some(decide) = &site.hooks.wants_json {
        return decide(request);
    }
    if request.content_type().is_some_and(is_json) {
        return true;
    }
    request.accept().is_some_and(|accept| {
        let best = accept.preferred().media_type();
        *best == MediaType::JSON
            || best.top() == "application" && best.sub().as_str().ends_with("+json")
    })
}
