//! The kinds of events.

use serde::Serialize;

use crate::types::{FactorKind, Methods, SessionId, Timestamp, UserId};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody passed the admission gate.
    Authenticated {
        /// Who.
        user: UserId,
        /// How it was proven.
        methods: Methods,
        /// The session that was opened, unless it was for one request.
        session: Option<SessionId>,
    },
    /// Somebody tried to sign in and failed.
    AuthenticationFailed {
        /// The account, if the identity names one.
        user: Option<UserId>,
        /// What was tried.
        methods: Methods,
    },
    /// A guard asked who it is and nobody could say.
    Unauthenticated {
        /// The path that was asked for, without its query.
        path: String,
    },
    /// Too many failures: a door was shut.
    Locked {
        /// The account, if one is meant.
        user: Option<UserId>,
        /// When it opens again.
        until: Timestamp,
    },
    /// A signed-in person proved it again.
    Reauthenticated {
        /// Who.
        user: UserId,
        /// How.
        methods: Methods,
    },
    /// Somebody signed out.
    LoggedOut {
        /// Who.
        user: UserId,
    },
    /// Sessions were ended: in the list, by the link of the mail about a new sign-in, or by the application.
    SessionRevoked {
        /// Whose.
        user: UserId,
        /// Which; absent if it was all, or all the others.
        session: Option<SessionId>,
    },
    /// An old copy of a remember cookie came back: its device is forgotten and its sessions are ended.
    RememberTheft {
        /// Whose.
        user: UserId,
    },
    /// An account was made.
    Registered {
        /// Whose.
        user: UserId,
    },
    /// Somebody tried to register what exists.
    RegistrationCollision {
        /// The account that exists.
        user: UserId,
        /// Whether the address is the same.
        existing_email: bool,
        /// Whether the username is the same.
        existing_username: bool,
    },
    /// A mail was sent with which an address can be confirmed.
    ConfirmInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// An e-mail address was proven.
    EmailConfirmed {
        /// Whose.
        user: UserId,
    },
    /// A mail was sent with which a new password can be set.
    ResetInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// A new password was set by a mailed ticket.
    PasswordReset {
        /// Whose.
        user: UserId,
    },
    /// A mail was sent with which somebody can sign in.
    LoginInstructionsSent {
        /// To whom.
        user: UserId,
    },
    /// A mail was sent that says a username.
    UsernameRecoverySent {
        /// To whom.
        user: UserId,
    },
    /// A mail was sent to a new address, with which it can be proven.
    ChangeEmailInstructionsSent {
        /// For whom.
        user: UserId,
    },
    /// An account has another e-mail address, which was proven.
    EmailChanged {
        /// Whose.
        user: UserId,
    },
    /// A change of address was undone from the old address: everybody is signed out, the password is gone.
    EmailChangeUndone {
        /// Whose.
        user: UserId,
    },
    /// An account has another username.
    UsernameChanged {
        /// Whose.
        user: UserId,
    },
    /// A locked account was opened by a mailed ticket.
    Unlocked {
        /// Whose.
        user: UserId,
    },
    /// Somebody was invited.
    Invited {
        /// Whom.
        user: UserId,
    },
    /// An invitation was accepted.
    InvitationAccepted {
        /// By whom.
        user: UserId,
    },
    /// The next sign-in must set a new password.
    PasswordChangeRequired {
        /// Whose.
        user: UserId,
    },
    /// A factor was set up.
    FactorAdded {
        /// Whose.
        user: UserId,
        /// Of which kind.
        method: FactorKind,
    },
    /// A factor was removed.
    FactorRemoved {
        /// Whose.
        user: UserId,
        /// Of which kind.
        method: FactorKind,
    },
    /// A passkey or security key was added.
    PasskeyAdded {
        /// Whose.
        user: UserId,
        /// What its owner calls it.
        name: String,
    },
    /// A passkey or security key was removed.
    PasskeyRemoved {
        /// Whose.
        user: UserId,
        /// What its owner called it.
        name: String,
    },
    /// The counter of a passkey went back: somebody may have a copy. It opens nothing any more.
    PasskeySuspect {
        /// Whose.
        user: UserId,
        /// What its owner calls it.
        name: String,
    },
    /// A passkey whose counter went back may be used again.
    PasskeyTrusted {
        /// The owner of the passkey.
        user: UserId,
        /// The name that the owner gave it.
        name: String,
    },
    /// A second factor was shown.
    SecondFactorPassed {
        /// By whom.
        user: UserId,
        /// All that was shown.
        methods: Methods,
    },
    /// An account asks for no second factor any more.
    SecondFactorOff {
        /// Whose.
        user: UserId,
    },
    /// A code was sent for a second step.
    SecondFactorCodeSent {
        /// To whom.
        user: UserId,
        /// By what.
        method: FactorKind,
    },
    /// A code was sent for unified sign-in.
    SigninCodeSent {
        /// To whom.
        user: UserId,
        /// By what.
        method: FactorKind,
    },
    /// A second factor is not asked for in a browser for a while.
    DeviceTrusted {
        /// Whose.
        user: UserId,
    },
    /// A browser is trusted no more.
    DeviceRevoked {
        /// Whose.
        user: UserId,
    },
    /// There are new recovery codes.
    RecoveryCodesGenerated {
        /// Whose.
        user: UserId,
    },
    /// A recovery code was used.
    RecoveryCodeUsed {
        /// Whose.
        user: UserId,
        /// How many are left.
        left: usize,
    },
    /// Somebody who lost every factor asks an administrator for help.
    SecondFactorHelp {
        /// Who.
        user: UserId,
    },
    /// A mail was given up; `mail list` says why.
    MailUndeliverable {
        /// Which, in the outbox.
        mail: String,
        /// What it is: the name of its template.
        kind: String,
    },
    /// A password was set or changed.
    PasswordChanged {
        /// Whose.
        user: UserId,
    },
    /// A token for programs was given out.
    TokenIssued {
        /// Whose.
        user: UserId,
    },
    /// Tokens for programs were revoked: all of an account, or one refresh token with what it gave.
    TokensRevoked {
        /// Whose tokens they were.
        user: UserId,
    },
    /// An old copy of a refresh token came back: it was in two hands, and nothing of its sign-in is good any more.
    RefreshReuse {
        /// Whose.
        user: UserId,
    },
    /// An account at a social login provider was linked, and opens this one.
    SocialLinked {
        /// Whose.
        user: UserId,
        /// The name of the provider.
        provider: String,
    },
    /// An account at a social login provider opens this one no more.
    SocialUnlinked {
        /// Whose.
        user: UserId,
        /// The name of the provider.
        provider: String,
    },
    /// An API key was made.
    ApiKeyCreated {
        /// Whose.
        user: UserId,
        /// Which.
        key: String,
        /// What its owner calls it.
        name: String,
    },
    /// An API key was ended by its owner.
    ApiKeyRevoked {
        /// Whose.
        user: UserId,
        /// Which.
        key: String,
        /// What its owner called it.
        name: String,
    },
    /// An account was let in again.
    Activated {
        /// Whose.
        user: UserId,
    },
    /// An account was shut out.
    Deactivated {
        /// Whose.
        user: UserId,
    },
    /// An account was deleted.
    Deleted {
        /// Whose.
        user: UserId,
    },
    /// Every way in but the password was ended.
    AccessReset {
        /// Whose.
        user: UserId,
    },
    /// A role was given.
    RoleAdded {
        /// To whom.
        user: UserId,
        /// Which.
        role: String,
    },
    /// A role was taken away.
    RoleRemoved {
        /// From whom.
        user: UserId,
        /// Which.
        role: String,
    },
    /// The permissions of a role changed.
    PermissionsChanged {
        /// Which role.
        role: String,
    },
}

impl EventKind {
    /// The account that this is about, if it is about one.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Authenticated { user, .. }
            | Self::Reauthenticated { user, .. }
            | Self::LoggedOut { user, .. }
            | Self::SessionRevoked { user, .. }
            | Self::RememberTheft { user, .. }
            | Self::Registered { user, .. }
            | Self::RegistrationCollision { user, .. }
            | Self::ConfirmInstructionsSent { user, .. }
            | Self::EmailConfirmed { user, .. }
            | Self::ResetInstructionsSent { user, .. }
            | Self::PasswordReset { user, .. }
            | Self::LoginInstructionsSent { user, .. }
            | Self::UsernameRecoverySent { user, .. }
            | Self::ChangeEmailInstructionsSent { user, .. }
            | Self::EmailChanged { user, .. }
            | Self::EmailChangeUndone { user, .. }
            | Self::UsernameChanged { user, .. }
            | Self::Unlocked { user, .. }
            | Self::Invited { user, .. }
            | Self::InvitationAccepted { user, .. }
            | Self::PasswordChangeRequired { user, .. }
            | Self::FactorAdded { user, .. }
            | Self::FactorRemoved { user, .. }
            | Self::PasskeyAdded { user, .. }
            | Self::PasskeyRemoved { user, .. }
            | Self::PasskeySuspect { user, .. }
            | Self::PasskeyTrusted { user, .. }
            | Self::SecondFactorPassed { user, .. }
            | Self::SecondFactorOff { user, .. }
            | Self::SecondFactorCodeSent { user, .. }
            | Self::SigninCodeSent { user, .. }
            | Self::DeviceTrusted { user, .. }
            | Self::DeviceRevoked { user, .. }
            | Self::RecoveryCodesGenerated { user, .. }
            | Self::RecoveryCodeUsed { user, .. }
            | Self::SecondFactorHelp { user, .. }
            | Self::PasswordChanged { user, .. }
            | Self::TokenIssued { user, .. }
            | Self::TokensRevoked { user, .. }
            | Self::RefreshReuse { user, .. }
            | Self::SocialLinked { user, .. }
            | Self::SocialUnlinked { user, .. }
            | Self::ApiKeyCreated { user, .. }
            | Self::ApiKeyRevoked { user, .. }
            | Self::Activated { user, .. }
            | Self::Deactivated { user, .. }
            | Self::Deleted { user, .. }
            | Self::AccessReset { user, .. }
            | Self::RoleAdded { user, .. }
            | Self::RoleRemoved { user, .. } => Some(user),
            Self::AuthenticationFailed { user, .. } | Self::Locked { user, .. } => user.as_ref(),
            Self::Unauthenticated { .. }
            | Self::MailUndeliverable { .. }
            | Self::PermissionsChanged { .. } => None,
        }
    }

    /// Whether anybody can cause it, without having proven to be the account's owner.
    pub(crate) const fn is_by_visitor(&self) -> bool {
        matches!(
            self,
            Self::AuthenticationFailed { .. }
                | Self::Unauthenticated { .. }
                | Self::Locked { .. }
                | Self::RememberTheft { .. }
                | Self::RegistrationCollision { .. }
                | Self::ResetInstructionsSent { .. }
                | Self::LoginInstructionsSent { .. }
                | Self::UsernameRecoverySent { .. }
                | Self::ConfirmInstructionsSent { .. }
                | Self::SigninCodeSent { .. }
                | Self::PasskeySuspect { .. }
                | Self::RefreshReuse { .. }
        )
    }
}
