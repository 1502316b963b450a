//! Phone numbers, as people write them and as they are kept (ITU-T E.164).

use std::{fmt, str::FromStr};

#[cfg(feature = "sms")]
use rlibphonenumber::PHONE_NUMBER_UTIL;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use crate::{identity::text::is_hidden, types::Message};

/// The longest number that is read: signs and digits of other scripts take more bytes.
const TYPED_BYTES: usize = 128;

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

/// Reads international numbers of all countries, and national numbers of one region, by the metadata of the
/// crate `rlibphonenumber`.
///
/// A number with a plus sign (or `00`) keeps its country whatever the region is: the region only completes
/// national numbers. Digits of every script are read. Numbers with an extension and numbers written with letters
/// are refused, since no text message reaches them as they are written.
#[derive(Clone, Copy, Debug)]
#[cfg(feature = "sms")]
pub struct StandardPhoneParser {
    region: rlibphonenumber::Region,
}

#[cfg(feature = "sms")]
impl StandardPhoneParser {
    /// For a region such as `"DE"` (ISO 3166-1).
    ///
    /// # Errors
    ///
    /// What is wrong, if there is no such region.
    pub fn new(region: &str) -> Result<Self, String> {
        let known = PHONE_NUMBER_UTIL
            .get_supported_regions()
            .find(|known| known.to_string().eq_ignore_ascii_case(region.trim()));
        known.map(|region| Self { region }).ok_or_else(|| {
            format!("`{region}` is no region; write two letters such as \"DE\" or \"US\"")
        })
    }
}

#[cfg(feature = "sms")]
impl PhoneParser for StandardPhoneParser {
    fn parse(&self, typed: &str) -> Result<Phone, Message> {
        let invalid = || Message::new("phone.invalid");
        // Longer than any number is written.
        if typed.len() > TYPED_BYTES {
            return Err(invalid());
        }
        let plain: String = typed.trim().nfkc().filter(|c| !is_hidden(*c)).collect();
        let plain = plain.strip_prefix("tel:").unwrap_or(&plain);
        if plain.chars().any(char::is_alphabetic) {
            return Err(invalid());
        }
        if plain.starts_with('+') {
            return e164(plain, None).ok_or_else(invalid);
        }
        // `00` is how most countries dial abroad, and people write it where theirs does not.
        plain
            .strip_prefix("00")
            .and_then(|rest| e164(&format!("+{rest}"), None))
            .or_else(|| e164(plain, Some(self.region)))
            .ok_or_else(invalid)
    }
}

/// A number that exists, in E.164.
#[cfg(feature = "sms")]
fn e164(plain: &str, region: Option<rlibphonenumber::Region>) -> Option<Phone> {
    let number = PHONE_NUMBER_UTIL.parse(plain, region).ok()?;
    let extension = number.extension.as_deref().unwrap_or_default();
    if !extension.is_empty() || !number.is_valid() {
        return None;
    }
    Phone::from_e164(&number.format_as(rlibphonenumber::PhoneNumberFormat::E164)).ok()
}

/// Reads international numbers alone, with the usual signs between digits; what there is without the Cargo
/// feature `sms`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has nothing to set")]
pub struct PlainPhoneParser;

impl PhoneParser for PlainPhoneParser {
    fn parse(&self, typed: &str) -> Result<Phone, Message> {
        if typed.len() > TYPED_BYTES {
            return Err(Message::new("phone.invalid"));
        }
        let plain = typed.trim().nfkc().filter(|c| {
            let dash = matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}');
            !c.is_whitespace() && !is_hidden(*c) && !dash
        });
        let plain: String = plain.collect();
        match plain.strip_prefix("00") {
            Some(abroad) => Phone::from_e164(&format!("+{abroad}")),
            None => Phone::from_e164(&plain),
        }
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
            "1-650-253-0000",
            "650.253.0000",
            "６５０‐２５３‐００００",
            "٦٥٠٢٥٣٠٠٠٠",
            "６５０\u{200B}２５３００００",
        ] {
            assert_eq!(parse(typed).as_deref(), Some("+16502530000"), "{typed}");
        }
        for wrong in [
            "",
            "1",
            "12345",
            "abc",
            "650-253-0000 ext. 5",
            "650-253-0000 x5",
            "+1 650 253 0000;ext=5",
            "1-800-FLOWERS",
            "650-253-0000 / 650-253-0001",
            &"1".repeat(1_000),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(StandardPhoneParser::new("nowhere").is_err());
        assert!(StandardPhoneParser::new("").is_err());
        assert!(StandardPhoneParser::new(" de ").is_ok());
    }

    #[test]
    #[cfg(feature = "sms")]
    fn the_country_of_a_number_stands_whatever_the_region() {
        for region in ["US", "DE", "IT", "RU", "JP"] {
            let parser = StandardPhoneParser::new(region).unwrap();
            let parse = |typed: &str| parser.parse(typed).map(|phone| phone.0).ok();
            for (typed, number) in [
                ("+49 170 5551234", "+491705551234"),
                ("+491705551234", "+491705551234"),
                ("+49 (0) 170 5551234", "+491705551234"),
                ("＋４９ １７０ ５５５１２３４", "+491705551234"),
                ("+٤٩ ١٧٠ ٥٥٥١٢٣٤", "+491705551234"),
                ("tel:+49-170-5551234", "+491705551234"),
                ("0049 170 5551234", "+491705551234"),
                ("+39 06 698 12345", "+390669812345"),
                ("+7 843 212-34-56", "+78432123456"),
            ] {
                assert_eq!(parse(typed).as_deref(), Some(number), "{region} {typed}");
            }
        }
        let german = StandardPhoneParser::new("DE").unwrap();
        assert_eq!(
            german.parse("0170 5551234").unwrap().as_str(),
            "+491705551234"
        );
        let american = StandardPhoneParser::new("US").unwrap();
        assert_eq!(
            american.parse("011 49 170 5551234").unwrap().as_str(),
            "+491705551234"
        );
    }

    #[test]
    #[cfg(feature = "sms")]
    fn the_numbers_of_every_country_are_read_under_every_region() {
        use rlibphonenumber::{PhoneNumberFormat as Format, PhoneNumberType as Type};

        let parsers = ["US", "DE", "IT", "RU", "BR"]
            .map(|region| (region, StandardPhoneParser::new(region).unwrap()));
        let mut tried = 0;
        for country in PHONE_NUMBER_UTIL.get_supported_regions() {
            let own = StandardPhoneParser::new(&country.to_string()).unwrap();
            for kind in [Type::Mobile, Type::FixedLine] {
                let example =
                    PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(country, kind);
                let Ok(example) = example else { continue };
                let number = example.format_as(Format::E164).into_owned();
                let phone = Phone::from_e164(&number).unwrap();
                tried += 1;
                for (region, parser) in parsers {
                    let international = example.format_as(Format::International);
                    let abroad = number.replace('+', "00");
                    for typed in [number.as_str(), &international, &abroad] {
                        assert_eq!(
                            parser.parse(typed).ok().as_ref(),
                            Some(&phone),
                            "{typed} of {country:?} under {region}"
                        );
                    }
                }
                let national = example.format_as(Format::National);
                assert_eq!(
                    own.parse(&national).ok().as_ref(),
                    Some(&phone),
                    "{national} of {country:?}"
                );
            }
        }
        assert!(tried > 450, "{tried}");
    }
}
