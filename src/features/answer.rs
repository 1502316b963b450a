//! What several routes answer to programs.

use serde::Serialize;
use serde_json::{Map, Value};

/// The account as programs see it. Has no `Debug`: the tokens are secrets.
#[derive(Default, Serialize)]
pub(crate) struct AccountAnswer {
    /// What the application tells of its accounts.
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
    /// A token for the header of further requests, if this request asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authentication_token: Option<String>,
    /// The token that gets the next authentication token, unless a cookie carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
}

/// An account, or an empty object where the answer must not tell whether there is one.
#[derive(Default, Serialize)]
pub(crate) struct UserAnswer {
    /// The account.
    pub(crate) user: AccountAnswer,
}
