//! The guards for those who are not signed in, and for everybody.

use super::signed_in::{missing, refuse};
use super::{
    identity::{self},
    probe::Probe,
};
use crate::error::{Denied, Error};
use rocket::{
    Request, Rocket, Sentinel,
    request::{FromRequest, Outcome},
};

/// A visitor: nobody is signed in. Whoever is, is sent to the page after sign-in, or gets 400 as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous(());

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Anonymous {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        match identity::resolve(request).await {
            Ok(_) => refuse(request, Denied::SignedIn.into()),
            Err(Error::Denied(_)) => Outcome::Success(Self(())),
            Err(error) => refuse(request, error.clone()),
        }
    }
}

impl Sentinel for Anonymous {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket) || missing(rocket)
    }
}

/// Lets everybody in and says so: the launch report leaves the route out.
#[derive(Clone, Copy, Debug)]
pub struct Public(());

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Public {
    type Error = std::convert::Infallible;

    async fn from_request(_: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        Outcome::Success(Self(()))
    }
}

impl Sentinel for Public {
    fn abort(rocket: &Rocket<rocket::Ignite>) -> bool {
        Probe::answers(rocket)
    }
}
