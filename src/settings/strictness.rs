//! What a launch insists on.

/// What a launch in this build must insist on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// A debug build that listens on this machine only: everything has a default.
    Development,
    /// Anything else: a secret and a `base_url` are required.
    Production,
}
