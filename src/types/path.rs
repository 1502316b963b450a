//! The paths of our own routes, relative to the prefix of the settings.
//!
//! Attributes of routes need literals. A test compares each mounted route with these lists, both ways.

macro_rules! paths {
    ($(#[$doc:meta])* $list:ident { $($name:ident = $path:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[allow(dead_code, reason = "some paths are only in the attribute of their route")]
        pub(crate) enum $list {
            $(#[doc = concat!("`", $path, "`")] $name,)*
        }

        impl $list {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the path as the attribute of its route has it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }
        }
    };
}

paths! {
    /// A path of ours.
    Path {
        ApiKeys = "/api-keys",
        ChangeEmail = "/change-email",
        ChangeEmailCode = "/change-email/code",
        ChangePassword = "/change",
        ChangeUsername = "/change-username",
        Confirm = "/confirm",
        ConfirmCode = "/confirm/code",
        DevMail = "/dev/mail",
        Icon = "/security-assets/icon.svg",
        Login = "/login",
        LoginCode = "/login/code",
        LoginLink = "/login/link",
        Logout = "/logout",
        OauthLink = "/login/oauth-link",
        PasskeysScript = "/security-assets/passkeys.js",
        RecoverUsername = "/recover-username",
        RecoveryCodes = "/mf-recovery-codes",
        RecoveryCode = "/mf-recovery",
        RefreshToken = "/refresh-token",
        RefreshTokenEnd = "/refresh-token/end",
        Register = "/register",
        Reset = "/reset",
        ResetCode = "/reset/code",
        Sessions = "/sessions",
        SessionsRevokeOthers = "/sessions/revoke-others",
        Stylesheet = "/security-assets/security.css",
        TfDevices = "/tf-devices",
        TfRescue = "/tf-rescue",
        TfSelect = "/tf-select",
        TfSetup = "/tf-setup",
        TfValidate = "/tf-validate",
        UsSetup = "/us-setup",
        UsSignin = "/us-signin",
        UsSigninSendCode = "/us-signin/send-code",
        UsVerify = "/us-verify",
        UsVerifySendCode = "/us-verify/send-code",
        Verify = "/verify",
        WanDelete = "/wan-delete",
        WanRegister = "/wan-register",
        WanRename = "/wan-rename",
        WanSignin = "/wan-signin",
        WanSignup = "/wan-signup",
        WanVerify = "/wan-verify",
    }
}

paths! {
    /// A path of ours with places to be filled in, such as the token of a mailed link.
    PathTo {
        ApiKeyRevoke = "/api-keys/<id>/revoke",
        ChangeEmail = "/change-email/<token>",
        Confirm = "/confirm/<token>",
        DevMail = "/dev/mail/<id>",
        DevMailHtml = "/dev/mail/<id>/html",
        EndSession = "/end-session/<token>",
        Invite = "/invite/<token>",
        Login = "/login/<token>",
        OauthLink = "/login/oauth-link/<name>",
        OauthResponse = "/login/oauthresponse/<name>",
        OauthStart = "/login/oauthstart/<name>",
        OauthUnlink = "/login/oauth-unlink/<name>",
        OauthVerifyResponse = "/login/oauth-verify-response/<name>",
        OauthVerifyStart = "/login/oauth-verify-start/<name>",
        Reset = "/reset/<token>",
        SessionRevoke = "/sessions/<id>/revoke",
        Testing = "/testing/<said>/<user>/<methods>",
        TfDeviceRevoke = "/tf-devices/<id>/revoke",
        TfSetup = "/tf-setup/<token>",
        TfSetupRemove = "/tf-setup/<id>/remove",
        Undo = "/undo/<token>",
        Unlock = "/unlock/<token>",
        UsSetup = "/us-setup/<token>",
        UsSetupRemove = "/us-setup/<id>/remove",
        UsVerifyLink = "/us-verify-link/<token>",
        WanRegister = "/wan-register/<token>",
        WanSignin = "/wan-signin/<token>",
        WanSignup = "/wan-signup/<token>",
        WanSignupState = "/wan-signup/<token>/<state>",
        WanVerify = "/wan-verify/<token>",
    }
}

impl PathTo {
    /// Fills in the places, in their order.
    pub(crate) fn fill<V: AsRef<str>, const N: usize>(self, values: [V; N]) -> String {
        let mut values = values.iter().map(AsRef::as_ref);
        let mut filled = String::new();
        for segment in self.as_str().split('/').skip(1) {
            filled.push('/');
            filled.push_str(match segment.starts_with('<') {
                true => values.next().unwrap_or_default(),
                false => segment,
            });
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::PathTo;

    #[test]
    fn places_are_filled_in_their_order() {
        assert_eq!(PathTo::TfSetupRemove.fill(["a"]), "/tf-setup/a/remove");
        assert_eq!(PathTo::WanSignupState.fill(["a", "b"]), "/wan-signup/a/b");
    }
}
