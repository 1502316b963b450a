//! Phone numbers, as people write them and as they are kept (ITU-T E.164).

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::http::messages::Message;

/// A phone number: a plus sign, the country's code and the number, up to fifteen digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Phone(String);

impl Phone {
    /// Takes a number that is in E.164 already.
    ///
    /// # Errors
    ///
    /// `phone.invalid`.
    pub fn from_e164(text: &str) -> Result<Self, Message> {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let well_formed = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        match well_formed {
            true => Ok(Self(text.into())),
            false => Err(Message::new("phone.invalid")),
        }
    }

    /// The number in E.164.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Phone {
    type Err = Message;

    fn from_str(text: &str) -> Result<Self, Message> {
        Self::from_e164(text)
    }
}

/// Enough of a number to know one's own by: the last two digits.
pub(crate) fn masked(number: &str) -> String {
    let last = number
        .get(number.len().saturating_sub(2)..)
        .unwrap_or_default();
    format!("••••{last}")
}

/// Reads phone numbers as people write them.
pub trait PhoneParser: Send + Sync + 'static {
    /// The number that is meant.
    ///
    /// # Errors
    ///
    /// `phone.invalid`, or an application's own message.
    fn parse(&self, typed: &str) -> Result<Phone, Message>;
}

/// Reads national numbers of one region and international ones of all, by the crate `phonenumber`.
#[derive(Clone, Copy, Debug)]
#[cfg(feature = "sms")]
pub struct StandardPhoneParser {
    region: phonenumber::country::Id,
}

#[cfg(feature = "sms")]
impl StandardPhoneParser {
    /// For a region such as `"DE"` (ISO 3166-1).
    ///
    /// # Errors
    ///
    /// What is wrong, if there is no such region.
    pub fn new(region: &str) -> Result<Self, String> {
        match region.to_ascii_uppercase().parse() {
            Ok(region) => Ok(Self { region }),
            Err(_) => Err(format!(
                "`{region}` is no region; write two letters such as \"DE\" or \"US\""
            )),
        }
    }
}

#[cfg(feature = "sms")]
impl PhoneParser for StandardPhoneParser {
    fn parse(&self, typed: &str) -> Result<Phone, Message> {
        let invalid = || Message::new("phone.invalid");
        // Longer than any number is written.
        if typed.len() > 64 {
            return Err(invalid());
        }
        let number = phonenumber::parse(Some(self.region), typed.trim()).map_err(|_| invalid())?;
        if !number.is_valid() || number.extension().is_some() {
            return Err(invalid());
        }
        Phone::from_e164(&number.format().mode(phonenumber::Mode::E164).to_string())
    }
}

/// Reads international numbers alone, with the usual signs between digits; what there is without the Cargo
/// feature `sms`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPhoneParser;

impl PhoneParser for PlainPhoneParser {
    fn parse(&self, typed: &str) -> Result<Phone, Message> {
        if typed.len() > 64 {
            return Err(Message::new("phone.invalid"));
        }
        let kept: String = typed
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '(' | ')' | '/'))
            .collect();
        Phone::from_e164(&kept)
    }
}

/// The parser that the settings name.
pub(crate) fn standard(region: &str) -> Result<std::sync::Arc<dyn PhoneParser>, String> {
    #[cfg(feature = "sms")]
    return Ok(std::sync::Arc::new(StandardPhoneParser::new(region)?));
    #[cfg(not(feature = "sms"))]
    {
        let _ = region;
        Ok(std::sync::Arc::new(PlainPhoneParser))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn international_numbers_are_read_plainly() {
        let parse = |typed: &str| PlainPhoneParser.parse(typed).map(|phone| phone.0).ok();
        assert_eq!(
            parse("+49 (171) 555-12 34").as_deref(),
            Some("+491715551234")
        );
        for wrong in [
            "",
            "0171 5551234",
            "+0171",
            "+49",
            "+491715551234567890",
            "+49171abc5551",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(masked("+491715551234"), "••••34");
    }

    #[test]
    #[cfg(feature = "sms")]
    fn national_numbers_belong_to_the_region() {
        let parser = StandardPhoneParser::new("US").unwrap();
        let parse = |typed: &str| parser.parse(typed).map(|phone| phone.0).ok();
        for typed in [
            "650-253-0000",
            "(650) 253 0000",
            "+1 650 253 0000",
            " 6502530000 ",
        ] {
            assert_eq!(parse(typed).as_deref(), Some("+16502530000"), "{typed}");
        }
        assert_eq!(parse("+49 30 123456").as_deref(), Some("+4930123456"));
        for wrong in [
            "",
            "1",
            "12345",
            "abc",
            "650-253-0000 ext. 5",
            &"1".repeat(1_000),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(StandardPhoneParser::new("nowhere").is_err());
    }
}
