//! Who somebody says they are: what was typed into the one field of the sign-in form.

pub(crate) mod email;
mod email_policy;
mod recognise;
pub(crate) mod sender;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod username;

pub(crate) use self::recognise::Identity;
pub use self::recognise::IdentityKind;
pub use email::EmailAddress;
pub use email_policy::{EmailPolicy, StandardEmailPolicy};
pub use username::{StandardUsernamePolicy, Username, UsernamePolicy, UsernameSettings};
