//! What every response gets, whoever made it.

use rocket::{
    Request, Response,
    http::{Header, MediaType, Method, Status},
};

use super::site::{Site, path_and_query};
use crate::{
    http::{browser, headers},
    settings::Strictness,
};

/// Where a developer's browser should have gone: passkeys know the name of the site, which is `localhost`,
/// and not the address that it listens on.
fn way_to_localhost(request: &Request<'_>, site: &Site) -> Option<String> {
    let host = request.host()?;
    let by_address = matches!(host.domain().as_str(), "127.0.0.1" | "[::1]");
    let same_port = host.port() == site.base_url.port_or_known_default();
    let is_page = request
        .accept()
        .is_some_and(|accept| accept.media_types().any(MediaType::is_html));
    let lost = site.strictness == Strictness::Development
        && site.has_passkeys()
        && site.base_url.host_str() == Some("localhost")
        && request.method() == Method::Get
        && by_address
        && same_port
        && is_page;
    let base = site.base_url.as_str().trim_end_matches('/');
    lost.then(|| format!("{base}{}", path_and_query(request.uri())))
}

/// Adds what every answer needs, whoever made it: called by the fairing for each response.
pub(crate) fn finish<'r>(request: &'r Request<'_>, response: &mut Response<'r>) {
    if let Ok(site) = Site::of(request)
        && let Some(way) = way_to_localhost(request, site)
    {
        *response = Response::build()
            .status(Status::Found)
            .header(Header::new("Location", way))
            .finalize();
        return;
    }
    if let Ok(site) = Site::of(request) {
        browser::flush(request, response, &site.http);
        headers::finish(request, response, &site.http);
    }
}
