//! The CSRF check for handlers that would run although `Input` refuses: those that take `Option<Input<..>>` or
//! `Result<Input<..>, _>`.
//!
//! Rocket calls such a handler whatever comes of `Input`. So a route before all others judges the request first,
//! by its headers and the first bytes of its body, and answers 400 or lets it go on.

use std::sync::Arc;

use rocket::{
    Data, Request, Route,
    http::{Method, Status},
    route::{Handler, Outcome},
};

use crate::{
    error::Denied,
    http::{csrf, pattern::Pattern, refusal},
    web::{input, site::Site},
};

/// As much of a body as Rocket shows without taking it.
const PEEKED: usize = 512;

#[derive(Clone)]
struct Gate {
    patterns: Arc<[Pattern]>,
}

/// Routes that judge what is meant for one of `patterns`; none if there are none.
pub(super) fn routes(patterns: &[Pattern]) -> Vec<Route> {
    let mut methods: Vec<Method> = patterns.iter().map(|pattern| pattern.method).collect();
    methods.sort_by_key(|method| method.as_str());
    methods.dedup();
    let gate = Gate {
        patterns: patterns.into(),
    };
    methods
        .into_iter()
        .map(|method| Route::ranked(isize::MIN, method, "/<path..>", gate.clone()))
        .collect()
}

#[rocket::async_trait]
impl Handler for Gate {
    async fn handle<'r>(&self, request: &'r Request<'_>, mut data: Data<'r>) -> Outcome<'r> {
        if self.patterns.iter().any(|pattern| pattern.matches(request)) {
            let Ok(site) = Site::of(request) else {
                return Outcome::Error(Status::InternalServerError);
            };
            let body = data.peek(PEEKED).await.to_vec();
            let body = data.peek_complete().then_some(body);
            let is_ours = input::is_known_as_ours(request, site, body.as_deref()).await;
            if !csrf::note(request, is_ours) {
                return Outcome::Error(refusal::remember(request, &Denied::Csrf.into()));
            }
        }
        Outcome::Forward((data, Status::NotFound))
    }
}
