//! Who asks.

use serde::Serialize;

use super::scope::Scope;
use crate::{
    store::{
        User,
        sign_in::{Begun, WhichSession},
    },
    types::{Methods, ProvenAt, SessionId, Timestamp},
};

/// What the request itself showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mechanism {
    /// A session cookie.
    Session,
    /// An authentication token.
    Token,
    /// HTTP Basic.
    Basic,
    /// An API key.
    #[serde(rename = "api_key")]
    ApiKey,
}

/// Somebody who is who they say, for this request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) mechanism: Mechanism,
    pub(crate) methods: Methods,
    pub(crate) authenticated_at: ProvenAt,
    pub(crate) grace_until: Timestamp,
    pub(crate) session: Option<SessionId>,
    /// The digest of the authentication token, if it is one.
    pub(crate) token: Option<String>,
    /// Which API key, if it is one, and what that was given.
    pub(crate) key: Option<Scope>,
}

impl Caller {
    /// Where something is begun that this caller asks for.
    pub(crate) fn begun(&self) -> Begun {
        match (&self.session, &self.token) {
            (Some(session), _) => {
                Begun::InSession(self.user.id.clone(), WhichSession::Id(session.clone()))
            }
            (None, Some(token)) => Begun::ByToken(token.clone()),
            (None, None) => Begun::ByProof,
        }
    }
}
