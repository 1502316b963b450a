//! `[security.sms]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::table::{Problem, Table};
use crate::{secrets::Secret, types::NonZeroDuration};

/// `[security.sms]`: how text messages leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SmsSettings {
    /// `"none"` sends none, and then no method may be `"sms"`; `"twilio"` hands them to Twilio's API or
    /// one like it, `"console"` prints them, `"file"` writes each into a file of `folder`. A sender given
    /// to [`Security::sms`](crate::Security::sms) takes precedence. _Default:_ `"none"`.
    pub transport: SmsTransport,
    /// The folder of the `"file"` transport. _Default:_ `"data/sms"`.
    pub folder: PathBuf,
    /// The region of numbers written without a country's code, such as `"DE"`. _Default:_ `"US"`.
    pub region: String,
    /// Where the API is. _Default:_ `"https://api.twilio.com"`.
    pub url: String,
    /// The account's SID. _Default:_ none; required by `"twilio"`.
    pub account: Option<String>,
    /// The account's token; best from the environment. _Default:_ none; required by `"twilio"`.
    pub token: Option<Secret<String>>,
    /// The number that messages come from, in E.164. _Default:_ none; required by `"twilio"`.
    pub from: Option<String>,
    /// How long a code that was sent is good. _Default:_ 5 min.
    pub life: NonZeroDuration,
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            transport: SmsTransport::None,
            folder: "data/sms".into(),
            region: "US".into(),
            url: "https://api.twilio.com".into(),
            account: None,
            token: None,
            from: None,
            life: NonZeroDuration::at_least(Duration::from_mins(5)),
        }
    }
}

impl Table for SmsSettings {
    const NAME: &'static str = "sms";

    fn check(&self) -> Result<(), Problem> {
        if self.transport != SmsTransport::Twilio {
            return Ok(());
        }
        if !cfg!(feature = "sms") {
            return Err("`transport` is \"twilio\", which is not compiled in; build with the Cargo feature `sms`".into());
        }
        for (key, missing) in [
            ("account", self.account.is_none()),
            ("token", self.token.is_none()),
            ("from", self.from.is_none()),
        ] {
            if missing {
                return Err(format!(
                    "`transport` is \"twilio\" and `{key}` is missing; write it as your account has it"
                ).into());
            }
        }
        let url = Url::parse(&self.url).ok();
        let is_safe = url.is_some_and(|url| match url.scheme() {
            "https" => true,
            "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
            _ => false,
        });
        if !is_safe {
            return Err(format!(
                "`url` is `{}`, over which token and codes could be read on the way; write \"https://..\"",
                self.url
            ).into());
        }
        Ok(())
    }
}

/// How text messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SmsTransport {
    /// Nowhere: there are none.
    None,
    /// To Twilio's API.
    Twilio,
    /// To the log.
    Console,
    /// Into a folder.
    File,
}
