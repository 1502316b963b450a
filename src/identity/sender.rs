//! The sender of a mail, as settings write it, and the name that the site gives to an SMTP server.

use std::net::IpAddr;

use url::{Host, Url};

use super::EmailAddress;

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "smtp"),
    allow(dead_code, reason = "only messages are made of it")
)]
pub(crate) struct Sender {
    pub(crate) name: Option<String>,
    pub(crate) local: String,
    pub(crate) domain: String,
}

impl Sender {
    /// Reads `address`, `Name <address>` or `"Name" <address>`. The name may hold commas, colons and letters of
    /// any alphabet; with `<`, `>` or `@` in it, it needs its quotes, since two senders may be meant.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.chars().any(char::is_control) {
            return None;
        }
        let text = text.trim();
        let Some((name, rest)) = text.rsplit_once('<') else {
            let (local, domain) = mailable(text)?;
            return Some(Self {
                name: None,
                local,
                domain,
            });
        };
        let (local, domain) = mailable(rest.strip_suffix('>')?)?;
        Some(Self {
            name: Some(display_name(name.trim())?).filter(|name| !name.is_empty()),
            local,
            domain,
        })
    }
}

/// The name before an address, without its quotes.
fn display_name(name: &str) -> Option<String> {
    let Some(quoted) = name.strip_prefix('"').filter(|rest| !rest.is_empty()) else {
        return (!name.contains(['<', '>', '@'])).then(|| name.to_string());
    };
    let (mut kept, mut letters) = (String::new(), quoted.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => kept.push(letters.next()?),
            // The end of the quotes, and of the name.
            '"' => return letters.next().is_none().then(|| kept.trim().to_string()),
            letter => kept.push(letter),
        }
    }
    None
}

/// The local part and the domain of an address that mails can be sent to or from: what an account may have
/// ([`EmailAddress`]), and for a developer's own machine `localhost` and addresses of hosts.
pub(crate) fn mailable(text: &str) -> Option<(String, String)> {
    // What is to be one address holds nothing around it either.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let email = EmailAddress::parse(text);
    let address = match &email {
        Ok(email) => email.address(),
        Err(_) => text,
    };
    let (local, domain) = address.rsplit_once('@')?;
    let is_here = || {
        let literal = domain
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let bare = literal.unwrap_or(domain);
        let host = bare.strip_prefix("IPv6:").unwrap_or(bare);
        let is_local = domain == "localhost" || host.parse::<IpAddr>().is_ok();
        is_local && EmailAddress::parse(&format!("{local}@host.invalid")).is_ok()
    };
    (email.is_ok() || is_here()).then(|| (local.into(), domain.into()))
}

/// Returns whether a site can have this sender, or this address for answers.
///
/// Mail programs and servers read it by a rule that is stricter than [`mailable`], as lettre does: it refuses some
/// characters before the @, such as the vowel signs of Hindi. A site can choose its address; a person cannot.
#[cfg(feature = "smtp")]
pub(crate) fn can_send_from(sender: &str) -> bool {
    Sender::read(sender)
        .is_some_and(|sender| lettre::Address::new(sender.local, "host.invalid").is_ok())
}

/// The name of this site in the SMTP dialogue: the host of `base_url`, or where that is no name of a host an
/// address (RFC 5321, section 4.1.4).
pub(crate) fn ehlo_of(base_url: &Url) -> String {
    match base_url.host() {
        Some(Host::Domain(name)) if is_ehlo(name) => name.into(),
        Some(Host::Ipv4(address)) => format!("[{address}]"),
        Some(Host::Ipv6(address)) => format!("[IPv6:{address}]"),
        _ => "[127.0.0.1]".into(),
    }
}

/// The sender of a site that names none.
pub(crate) fn sender_of(base_url: &Url) -> String {
    format!("no-reply@{}", ehlo_of(base_url))
}

/// Whether a server takes this as the name of a client: a name of letters, digits and hyphens, or an address in
/// square brackets.
pub(crate) fn is_ehlo(text: &str) -> bool {
    if let Some(literal) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
        };
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label) && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_have_names_of_all_kinds() {
        for (written, name, address) in [
            ("a@b.de", None, "a@b.de"),
            ("<a@b.de>", None, "a@b.de"),
            ("Ada <a@b.de>", Some("Ada"), "a@b.de"),
            ("Acme, Inc. <a@b.de>", Some("Acme, Inc."), "a@b.de"),
            ("\"Acme, Inc.\" <a@b.de>", Some("Acme, Inc."), "a@b.de"),
            ("\"a@b.de <x>\" <a@b.de>", Some("a@b.de <x>"), "a@b.de"),
            (
                "\"The \\\"A\\\" \\\\ B\" <a@b.de>",
                Some("The \"A\" \\ B"),
                "a@b.de",
            ),
            (
                "Support: Acme; EU <a@b.de>",
                Some("Support: Acme; EU"),
                "a@b.de",
            ),
            (
                "The \"best\" shop <a@b.de>",
                Some("The \"best\" shop"),
                "a@b.de",
            ),
            (
                "Bücher – 本 <a@bücher.de>",
                Some("Bücher – 本"),
                "a@xn--bcher-kva.de",
            ),
            ("\"\" <a@b.de>", None, "a@b.de"),
            ("A <root@localhost>", Some("A"), "root@localhost"),
            ("no-reply@[127.0.0.1]", None, "no-reply@[127.0.0.1]"),
            ("no-reply@[IPv6:::1]", None, "no-reply@[IPv6:::1]"),
        ] {
            let sender = Sender::read(written).unwrap_or_else(|| panic!("{written}"));
            assert_eq!(sender.name.as_deref(), name, "{written}");
            assert_eq!(format!("{}@{}", sender.local, sender.domain), address);
        }
    }

    #[test]
    fn what_may_be_two_senders_or_none_is_refused() {
        for written in [
            "",
            "a",
            "a@",
            "a@b.de, c@d.de",
            "a@b.de, C <c@d.de>",
            "A <a@b.de>, C <c@d.de>",
            "A <a@b.de> <c@d.de>",
            "A <a@b.de",
            "A a@b.de",
            "\"A <a@b.de>",
            "\"A\" B <a@b.de>",
            "\"A\\\" <a@b.de>",
            "\" <a@b.de>\"",
            "A\r\nBcc: x@y.de <a@b.de>",
            "A <a@b.de\n>",
            "a b@localhost",
            "a@b@localhost",
        ] {
            assert_eq!(Sender::read(written), None, "{written:?}");
        }
    }

    #[test]
    fn the_host_of_the_site_is_its_name_to_a_server() {
        for (url, ehlo) in [
            ("https://Example.com/path", "example.com"),
            ("https://bücher.example", "xn--bcher-kva.example"),
            ("http://localhost:8000", "localhost"),
            ("http://127.0.0.1:8000", "[127.0.0.1]"),
            ("http://[::1]:8000", "[IPv6:::1]"),
            ("https://my_host.example", "[127.0.0.1]"),
            ("https://-a.example", "[127.0.0.1]"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(ehlo_of(&url), ehlo);
            assert!(is_ehlo(ehlo));
            assert!(Sender::read(&sender_of(&url)).is_some(), "{url}");
        }
        for wrong in [
            "",
            "a b",
            "a..b",
            "a_b",
            "-a",
            "127.0.0.1",
            "[::1]",
            "[a]",
            "a\r\nb",
            "ä.de",
        ] {
            assert!(!is_ehlo(wrong), "{wrong:?}");
        }
    }
}
