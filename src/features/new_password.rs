//! Choosing a new password: the fields that several forms have, and how they are judged.

use serde::Deserialize;

use super::Web;
use crate::{
    accounts::password::judge_password,
    error::{Error, Invalid},
    secrets::Password,
    templates::form::Field,
    types::Message,
};

/// The fields of a form in which a password is chosen.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewPassword {
    #[serde(default)]
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) password_confirm: String,
}

/// How the two fields are called, in a form and in its errors.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) password: &'static str,
    pub(crate) again: &'static str,
    pub(crate) label: &'static str,
}

/// Where nothing else is asked for that could be taken for it.
pub(crate) const PASSWORD: Names = Names {
    password: "password",
    again: "password_confirm",
    label: "field.password_new",
};

/// Both fields, to be shown.
pub(crate) fn fields(web: &Web<'_>, names: Names) -> Vec<Field> {
    let settings = &web.site.settings.passwords;
    let (min, max) = (settings.min_length, settings.max_length);
    vec![
        Field::password(names.password, names.label)
            .autocomplete("new-password")
            .lengths(Some(min as u64), Some(max as u64))
            .hint(Message::new("register.password_hint").with("min", min)),
        Field::password(names.again, "field.password_confirm").autocomplete("new-password"),
    ]
}

/// Judges what was typed into both, for an account of these names; all that is wrong is noted at once.
pub(crate) async fn check(
    web: &Web<'_>,
    names: Names,
    typed: &NewPassword,
    email: Option<&str>,
    username: Option<&str>,
    invalid: &mut Invalid,
) -> Result<Option<Password>, Error> {
    let password = invalid.take(names.password, Password::parse(&typed.password));
    if let Some(password) = &password {
        for message in judge_password(web.site, password, email, username).await? {
            invalid.add(names.password, message);
        }
        if typed.password != typed.password_confirm {
            invalid.add(names.again, Message::new("password.mismatch"));
        }
    }
    Ok(password.filter(|_| invalid.is_empty()))
}

/// The same where nothing else is to be judged.
pub(crate) async fn checked(
    web: &Web<'_>,
    typed: &NewPassword,
    email: &str,
    username: Option<&str>,
) -> Result<Password, Error> {
    let mut invalid = Invalid::new();
    let password = check(web, PASSWORD, typed, Some(email), username, &mut invalid).await?;
    password.ok_or_else(|| invalid.into())
}
