//! The values of `[security]` itself.

use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::secrets::Secret;

/// Networks, of which one address is the smallest; one alone needs no list.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "write a list of addresses or networks, such as [\"127.0.0.1\", \"10.0.0.0/8\"]"
    )]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let written = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => text.split(',').map(String::from).collect(),
        OneOrMany::Many(texts) => texts,
    };
    let network = |text: &String| {
        let text = text.trim();
        let network = text.parse::<IpNet>().ok();
        let alone = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        network.or_else(alone).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is neither an address nor a network; write for example \"127.0.0.1\" or \"10.0.0.0/8\""
            ))
        })
    };
    written.iter().map(network).collect()
}

/// One secret, or several of which the first is current.
#[derive(Clone, Debug)]
pub struct Secrets(pub(crate) Vec<Secret<String>>);

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a secret is a text, or a list of texts, in quotes"
        )]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => vec![Secret::new(one)],
            OneOrMany::Many(many) => many.into_iter().map(Secret::new).collect(),
        }))
    }
}

/// A number that is not 0, as a default.
pub(super) const fn count(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

/// The header in which a trusted proxy tells who its client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses separated by commas, each proxy adding one at the right.
    #[default]
    XForwardedFor,
    /// `Forwarded`: the `for` of each element (RFC 7239).
    Forwarded,
    /// `X-Real-IP`: one address, which the proxy must set, not add.
    XRealIp,
}

impl ForwardedHeader {
    /// The header's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
            Self::XRealIp => "X-Real-IP",
        }
    }
}

/// Returns whether a list has something in it more than once.
pub(super) fn twice<T: PartialEq>(list: &[T]) -> bool {
    let again = |(n, one): (usize, &T)| list.iter().take(n).any(|other| other == one);
    list.iter().enumerate().any(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_set_by_their_names() {
        #[derive(Deserialize)]
        struct Settings {
            header: ForwardedHeader,
        }
        for header in [
            ForwardedHeader::XForwardedFor,
            ForwardedHeader::Forwarded,
            ForwardedHeader::XRealIp,
        ] {
            let text = format!("header = '{}'", header.name().to_lowercase());
            assert_eq!(toml::from_str::<Settings>(&text).unwrap().header, header);
        }
        assert_eq!(ForwardedHeader::default(), ForwardedHeader::XForwardedFor);
    }
}
