//! `[security.after]`.

use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::types::Path;

/// `[security.after]`: where a person goes when a form is done and no `next` says otherwise.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AfterSettings {
    /// After signing in. _Default:_ `"/"`.
    pub login: String,
    /// After signing out. _Default:_ `"/"`.
    pub logout: String,
    /// After registering. _Default:_ `"/"`, or with generic answers, which sign nobody in, our login page.
    pub register: Option<String>,
    /// After confirming the address. _Default:_ `"/"` where that signs in, else our login page.
    pub confirm: Option<String>,
    /// After setting a new password by mail. _Default:_ `"/"` where that signs in, else our login page.
    pub reset: Option<String>,
    /// After changing password, address or username. _Default:_ `"/"`.
    pub change: String,
    /// After changing the address, if not as `change` says. _Default:_ none.
    pub change_email: Option<String>,
    /// After changing the username, if not as `change` says. _Default:_ none.
    pub change_username: Option<String>,
    /// After proving it again. _Default:_ `"/"`.
    pub verify: String,
    /// After setting up or removing a second factor. _Default:_ our page of second factors.
    pub tf_setup: Option<String>,
    /// After setting up or removing a way to sign in. _Default:_ our page of these.
    pub us_setup: Option<String>,
    /// After adding a passkey. _Default:_ our page of passkeys.
    pub wan_register: Option<String>,
    /// Where a link that confirms an address leads if it opens nothing. _Default:_ `/confirm`, where another can
    /// be asked for. With `[security.spa]`, this and the four below are told the reason as `error`.
    pub confirm_error: Option<String>,
    /// The same for the link to a new address. _Default:_ `/change-email`.
    pub change_email_error: Option<String>,
    /// The same for the link to a new password. _Default:_ `/reset`.
    pub reset_error: Option<String>,
    /// The same for a link that signs in. _Default:_ the page that sends such links.
    pub login_error: Option<String>,
    /// Where a second step leads that belongs to no sign-in. _Default:_ our login page.
    pub tf_error: Option<String>,
}

impl AfterSettings {
    /// Where a mailed link leads that opens nothing, by the path at which another is asked for.
    pub(crate) fn error_of(&self, ask: Path) -> Option<&str> {
        match ask {
            Path::Confirm => self.confirm_error.as_deref(),
            Path::ChangeEmail => self.change_email_error.as_deref(),
            Path::Reset => self.reset_error.as_deref(),
            Path::LoginLink | Path::UsSignin => self.login_error.as_deref(),
            _ => None,
        }
    }

    /// All that may be left out, with its name.
    pub(super) fn optional(&self) -> [(&'static str, &Option<String>); 13] {
        [
            ("after.register", &self.register),
            ("after.confirm", &self.confirm),
            ("after.reset", &self.reset),
            ("after.change_email", &self.change_email),
            ("after.change_username", &self.change_username),
            ("after.tf_setup", &self.tf_setup),
            ("after.us_setup", &self.us_setup),
            ("after.wan_register", &self.wan_register),
            ("after.confirm_error", &self.confirm_error),
            ("after.change_email_error", &self.change_email_error),
            ("after.reset_error", &self.reset_error),
            ("after.login_error", &self.login_error),
            ("after.tf_error", &self.tf_error),
        ]
    }
}

impl Default for AfterSettings {
    fn default() -> Self {
        let home = || String::from("/");
        Self {
            login: home(),
            logout: home(),
            register: None,
            confirm: None,
            reset: None,
            change: home(),
            change_email: None,
            change_username: None,
            verify: home(),
            tf_setup: None,
            us_setup: None,
            wan_register: None,
            confirm_error: None,
            change_email_error: None,
            reset_error: None,
            login_error: None,
            tf_error: None,
        }
    }
}

impl Table for AfterSettings {
    const NAME: &'static str = "after";
}
