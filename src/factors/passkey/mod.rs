//! Passkeys and security keys (WebAuthn): what authenticators are asked for, and how what they say is judged.
//!
//! The cryptography is webauthn-rs's. Here is what it leaves to its caller: the user handle is compared
//! with that of the credential's owner, an answer given inside another site's frame is refused, and of the
//! credential only what is needed later is kept. That a challenge is used once, and that a counter only
//! rises, is the business of the transaction in which an answer takes effect.
//!
//! A passkey always says that it has checked its owner, by PIN or finger. A key that cannot do that is
//! taken as a second factor only. Attestation is not asked for: the model that an authenticator names is
//! its own word, good for a label and no proof.

#[cfg(feature = "passkeys")]
mod answered;
#[cfg(feature = "passkeys")]
mod assertion;
#[cfg(feature = "passkeys")]
mod ceremonies;
#[cfg(feature = "passkeys")]
mod credential;
mod factor;
#[cfg(feature = "passkeys")]
mod policy;
#[cfg(feature = "passkeys")]
mod providers;
#[cfg(feature = "passkeys")]
mod registration;
#[cfg(feature = "passkeys")]
mod usable;
#[cfg(not(feature = "passkeys"))]
mod without;

pub(in crate::factors) use self::factor::PasskeyFactor;
#[cfg(feature = "passkeys")]
pub use self::policy::{Attachment, PasskeyHint, WebauthnPolicy};
#[cfg(not(feature = "passkeys"))]
pub(crate) use self::without::{Ceremonies, GivenPolicy, signs_in, to_verify, usable};
#[cfg(feature = "passkeys")]
pub(crate) use self::{
    answered::Answered,
    assertion::{Asserting, Shown, Unfit},
    ceremonies::Ceremonies,
    credential::{descriptor, id_of},
    factor::KIND,
    policy::GivenPolicy,
    providers::provider,
    registration::{Account, Made, Registering},
    usable::{signs_in, to_verify, usable},
};
