//! Paths of ours that pages name.

/// Where the stylesheet is; a name that no application's own folder has.
pub(crate) const STYLESHEET: &str = "/security-assets/security.css";

/// Where the icon of our pages is.
pub(crate) const ICON: &str = "/security-assets/icon.svg";

/// Where the script is that asks browsers for passkeys.
pub(crate) const PASSKEYS: &str = "/security-assets/passkeys.js";
