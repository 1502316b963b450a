//! What programs are told of signing in by passkey.

use serde::Serialize;

use crate::features::AccountAnswer;

/// What programs are told before they ask for a passkey.
#[derive(Serialize)]
pub(super) struct PasskeySignInAnswer {
    /// Whether the passkey is the second factor of a sign-in that waits.
    pub(super) is_secondary: bool,
    /// Always empty: the passkeys of an account are told to its owner alone.
    pub(super) registered_credentials: [&'static str; 0],
}

/// What a program is told whose user is signed in already.
#[derive(Serialize)]
pub(super) struct SignedInAnswer {
    /// Always false: no sign-in waits for its second factor.
    pub(super) is_secondary: bool,
    /// The account.
    pub(super) user: Option<AccountAnswer>,
}

/// What is told with the options of a ceremony.
#[derive(Serialize)]
pub(super) struct RememberAnswer {
    /// Whether the browser will be remembered.
    pub(super) remember: bool,
}

/// What is told with the account after a sign-in by passkey.
#[derive(Serialize)]
pub(super) struct PostLoginAnswer {
    /// Where a browser would go from here.
    pub(super) post_login_url: String,
}
