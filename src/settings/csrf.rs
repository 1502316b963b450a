//! `[security.csrf]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::{Problem, Table};
use crate::types::span;

/// `[security.csrf]`: for applications whose pages are drawn in the browser.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CsrfSettings {
    /// The name of a cookie that scripts of the site can read, with a token to be sent back in the
    /// header `X-XSRF-Token`; such as `"XSRF-TOKEN"`. _Default:_ none, no such cookie.
    pub cookie: Option<String>,
    /// How long a token may be used, at least 1 min. A page that lies open longer is refused and offers its form
    /// again. _Default:_ none, as long as the session or visitor that it belongs to.
    #[serde(with = "crate::types::span::optional")]
    pub life: Option<Duration>,
}

impl Table for CsrfSettings {
    const NAME: &'static str = "csrf";

    fn check(&self) -> Result<(), Problem> {
        if let Some(life) = self.life
            && life < Duration::from_mins(1)
        {
            return Err(Problem::at(
                "life",
                format!(
                    "is {}, in which nobody fills in a form; write at least \"1 min\", or leave it out",
                    span::text(life)
                ),
            ));
        }
        match &self.cookie {
            Some(name)
                if name.is_empty()
                    || !name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) =>
            {
                Err(Problem::at(
                    "cookie",
                    format!(
                        "is `{name}`, which is no name for a cookie; write for example \"XSRF-TOKEN\""
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
