//! Answers to refusals that no handler saw.

use rocket::{Catcher, Request, Response, http::Status, response::Responder};

use crate::{
    error::{Denied, Error, Unreadable},
    guards::identity,
    http::{refusal, status::status_of},
    types::Message,
    web::{refuse::refuse_as, site::Site},
};

/// Statuses that our guards and `Input` produce.
const STATUSES: [u16; 8] = [400, 401, 403, 413, 415, 422, 429, 503];
/// Further statuses of our own paths, which Rocket answers by itself.
const ON_OWN_PATHS: [u16; 3] = [404, 405, 500];

/// Answers a refusal of ours from the application's own catcher, as if it had none.
///
/// ```
/// # #[macro_use] extern crate rocket;
/// use rocket::{Request, http::Status};
/// use rocket_security::{CaughtReply, caught};
///
/// #[catch(403)]
/// async fn forbidden<'r>(request: &'r Request<'_>) -> CaughtReply {
///     caught(Status::Forbidden, request).await
/// }
/// # fn main() {}
/// ```
pub async fn caught(status: Status, request: &Request<'_>) -> CaughtReply {
    // The page of the answer knows who is signed in; a failure to find out was said where it happened.
    let _ = identity::resolve(request).await;
    let error = refusal::recall(request).filter(|error| status_of(error) == status);
    let error = error.unwrap_or_else(|| match status.code {
        // Somebody else's refusal, in our words.
        401 => Denied::Anonymous.into(),
        403 => Denied::Forbidden.into(),
        404 => Error::NotFound,
        405 => Error::Unreadable(Unreadable::WrongMethod, Message::new("error.method")),
        503 => Error::Unavailable {
            retry_after: 5,
            why: "said by the application".into(),
        },
        500 => Error::Broken("said by the application".into()),
        _ => Error::Unreadable(Unreadable::Unknown, Message::new("error.unreadable")),
    });
    CaughtReply { status, error }
}

/// The answer of [`caught`].
#[derive(Debug)]
pub struct CaughtReply {
    /// The status that was caught, which an error in our words may not have.
    status: Status,
    error: Error,
}

impl<'r> Responder<'r, 'static> for CaughtReply {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        match Site::of(request) {
            Ok(site) => {
                let mut response: Response<'static> =
                    refuse_as(request, site, &self.error, self.status);
                // A catcher's answer is not given the handler's cookies; the fairing adds ours.
                response.remove_header("Set-Cookie");
                Ok(response)
            }
            Err(_) => Err(self.status),
        }
    }
}

fn handle<'r>(status: Status, request: &'r Request<'_>) -> rocket::catcher::BoxFuture<'r> {
    Box::pin(async move { caught(status, request).await.respond_to(request) })
}

/// Our catchers with their bases: those of guards and `Input` at `/`, those of our own paths at `own`, where our
/// routes are. Statuses for which the application has its own catcher are left to it.
pub(crate) fn missing<'a>(
    existing: impl Iterator<Item = &'a Catcher>,
    own: &str,
) -> [(String, Vec<Catcher>); 2] {
    let theirs: Vec<&Catcher> = existing.collect();
    // A default catcher of the application answers for everything that is not about who it is.
    let is_left = |code: u16, base: &str| {
        theirs.iter().any(|catcher| {
            covers(catcher.base.path().as_str(), base)
                && match catcher.code {
                    Some(own) => own == code,
                    None => !matches!(code, 401 | 403 | 429),
                }
        })
    };
    let at = |base: &str, codes: &[u16]| {
        let missing = codes.iter().filter(|code| !is_left(**code, base));
        let catchers = missing.map(|code| Catcher::new(*code, handle)).collect();
        (base.to_string(), catchers)
    };
    [at("/", &STATUSES), at(own, &ON_OWN_PATHS)]
}

/// Whether a catcher at `base` answers for everything below `path`.
fn covers(base: &str, path: &str) -> bool {
    let rest = path.strip_prefix(base.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
