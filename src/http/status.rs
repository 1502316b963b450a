//! The HTTP status of each error.

use rocket::http::Status;

use crate::error::{Denied, Error, Unreadable};

/// Returns the status of an error.
pub(crate) fn status_of(error: &Error) -> Status {
    match error {
        Error::Invalid(_) | Error::Gone | Error::NothingPending => Status::BadRequest,
        Error::Denied(denied) => denied.status(),
        Error::Unavailable { .. } => Status::ServiceUnavailable,
        Error::NotFound => Status::NotFound,
        Error::Unreadable(why, _) => why.status(),
        Error::Broken(_) => Status::InternalServerError,
    }
}

impl Denied {
    /// Returns the HTTP status of this refusal.
    pub fn status(&self) -> Status {
        match self {
            Self::Anonymous
            | Self::BadCredential
            | Self::Inactive
            | Self::Unconfirmed
            | Self::NewPassword
            | Self::Mechanism
            | Self::SecondFactor
            | Self::Stale => Status::Unauthorized,
            Self::Forbidden => Status::Forbidden,
            Self::Csrf | Self::SignedIn => Status::BadRequest,
            Self::Locked { .. } => Status::TooManyRequests,
        }
    }
}

impl Unreadable {
    /// Returns the HTTP status of this refusal.
    pub fn status(self) -> Status {
        match self {
            Self::Malformed | Self::Unknown => Status::BadRequest,
            Self::WrongMethod => Status::MethodNotAllowed,
            Self::TooSlow => Status::RequestTimeout,
            Self::TooLarge => Status::PayloadTooLarge,
            Self::UnsupportedType => Status::UnsupportedMediaType,
        }
    }
}
