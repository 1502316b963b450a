//! Ids as parts of a path: a part that is no id leads to no route, so it never reaches the database.

use rocket::request::FromParam;

use crate::types::{RoleId, RowId, SessionId, Uniquifier, UserId};

macro_rules! from_param {
    ($($id:ident)+) => {$(
        impl<'a> FromParam<'a> for $id {
            type Error = uuid::Error;

            fn from_param(text: &'a str) -> Result<Self, uuid::Error> {
                text.parse()
            }
        }
    )+};
}

from_param!(UserId RoleId SessionId RowId Uniquifier);
