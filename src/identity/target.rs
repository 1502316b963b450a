//! Where to go next: the only judge of `next`.
//!
//! Browsers read an address by the WHATWG URL standard, not by RFC 3986: they take `\` for `/`,
//! drop tabs and line ends, and complete `https:evil.com`. So an address is judged by a parser of
//! that standard, and what is answered is what the parser wrote, never what was typed. Beyond that
//! the judge refuses what would be safe today but leaves the site if a proxy or a page decodes it
//! once more. What is not promised: that the page exists, or that it does not redirect further.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Position, Url};

/// The longest address, as typed and as answered; headers of 4 KiB pass everywhere.
const BYTES: usize = 2_048;

/// An address which is safe in a `Location` header: printable ASCII of at most 2,048 bytes, on our
/// own site or one the settings allow.
///
/// A row that keeps where to go next keeps this type: a raw text from a request is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Target(String);

impl TryFrom<String> for Target {
    type Error = &'static str;

    fn try_from(stored: String) -> Result<Self, Self::Error> {
        Self::checked(&stored).ok_or("it is not an address for a `Location` header")
    }
}

impl Target {
    /// One of our own paths, judged all the same; a path which does not pass becomes `/`.
    pub(crate) fn local(path: &str) -> Self {
        same_site(path).unwrap_or_else(|| Self(String::from("/")))
    }

    /// Adds parameters to the query, before any fragment.
    ///
    /// A parameter that would make the address longer than allowed is left out: one such as `next`
    /// is a convenience, the address itself is not.
    pub(crate) fn with_query(self, parameters: &[(&str, &str)]) -> Self {
        let (mut address, fragment) = match self.0.find('#') {
            Some(at) => (self.0[..at].to_owned(), self.0[at..].to_owned()),
            None => (self.0, String::new()),
        };
        for (name, value) in parameters {
            // Encoding triples at most and never shrinks: no need to encode what cannot fit.
            if name.len() + value.len() > BYTES {
                continue;
            }
            let mark = match address.find('?') {
                None => "?",
                Some(at) if at + 1 == address.len() => "",
                Some(_) => "&",
            };
            let parameter = format!("{mark}{}={}", encoded(name), encoded(value));
            if address.len() + parameter.len() + fragment.len() <= BYTES {
                address.push_str(&parameter);
            }
        }
        address.push_str(&fragment);
        Self(address)
    }

    /// The address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Target {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0
    }
}

/// An address elsewhere, that a provider of the settings leads to: the only way off this site.
#[cfg(feature = "social")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outward(Target);

#[cfg(feature = "social")]
impl Outward {
    /// `None` if it is no web page, or too long for a header.
    pub(crate) fn new(url: Url) -> Option<Self> {
        let is_page = matches!(url.scheme(), "https" | "http") && url.has_host();
        let fits = url.as_str().len() <= 4 * BYTES;
        (is_page && fits).then(|| Self(Target(url.into())))
    }

    /// Where it leads.
    pub(crate) fn into_target(self) -> Target {
        self.0
    }
}

/// A request's own path and query, encoded to stand as the value of `next` in another query; none
/// if it could not be returned to.
pub(crate) fn next_of(path_and_query: &str) -> Option<String> {
    // Browsers send a backslash in a query as it is, where it does no harm.
    let target = match path_and_query.split_once('?') {
        Some((path, query)) => same_site(&format!("{path}?{}", query.replace('\\', "%5C"))),
        None => same_site(path_and_query),
    }?;
    Some(encoded(target.as_str()))
}

impl Target {
    /// The last check, after all others.
    pub(crate) fn checked(address: &str) -> Option<Self> {
        let printable = address.bytes().all(|b| b.is_ascii_graphic());
        (printable && address.len() <= BYTES).then(|| Self(address.to_owned()))
    }
}

/// Judges a reference that is to stay on our site, whatever that site is called.
pub(crate) fn same_site(reference: &str) -> Option<Target> {
    if !reference.starts_with('/') || !is_plain(reference) {
        return None;
    }
    // Some part of the way may decode once more than it should; that must not lead away either.
    stays(&decoded(reference))?;
    Target::checked(&stays(reference)?)
}

/// The reference as the URL standard resolves it, if it is still here then.
fn stays(reference: &str) -> Option<String> {
    let mut resolved = None;
    for base in ["https://own.invalid/a/b", "http://own.invalid:8000/"] {
        let base = Url::parse(base).ok()?;
        let url = base.join(reference).ok()?;
        let path = url.path().as_bytes();
        // `/.//evil.com` resolves to the path `//evil.com`, which is another host to whoever takes
        // the path for a reference. An encoded slash or backslash is one decoding away from that.
        let leads_away = match path {
            [b'/', b'/' | b'\\', ..] => true,
            [b'/', b'%', code @ ..] => {
                let code = &code[..code.len().min(2)];
                code.eq_ignore_ascii_case(b"2f") || code.eq_ignore_ascii_case(b"5c")
            }
            _ => false,
        };
        if url.origin() != base.origin() || has_user(&url) || leads_away {
            return None;
        }
        let found = url[Position::BeforePath..].to_owned();
        if resolved
            .replace(found.clone())
            .is_some_and(|other| other != found)
        {
            return None;
        }
    }
    resolved
}

/// Reads `scheme://host...`, with HTTP or HTTPS and nothing a person could misread.
pub(crate) fn absolute(text: &str) -> Option<Url> {
    if !is_plain(text) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    // The parser would skip more slashes, and forget a user without a name.
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    Url::parse(text).ok().filter(|url| !has_user(url))
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Without backslashes, control characters, line separators and white space at the ends, and not
/// too long.
fn is_plain(text: &str) -> bool {
    let odd =
        |c: char| c == '\\' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}');
    text.len() <= BYTES && text.trim() == text && !text.contains(odd)
}

/// Percent-decoded once; bytes that are no UTF-8 become replacement characters.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|_| *first == b'%');
        let value = pair.and_then(|pair| {
            let digit = |b: u8| char::from(b).to_digit(16);
            u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
        });
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encoded but for the unreserved characters (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_added_encoded() {
        let local = Target::local;
        assert_eq!(
            local("/login")
                .with_query(&[("next", "/a?b=c&d=é#e"), ("x", "1 2")])
                .as_str(),
            "/login?next=%2Fa%3Fb%3Dc%26d%3D%C3%A9%23e&x=1%202"
        );
        assert_eq!(
            local("/a?b=c#d").with_query(&[("e", "f")]).as_str(),
            "/a?b=c&e=f#d"
        );
        assert_eq!(
            local("/a?").with_query(&[("e", "\r\n")]).as_str(),
            "/a?e=%0D%0A"
        );
        assert_eq!(local("/a").with_query(&[]).as_str(), "/a");
        let long = "é".repeat(1_000);
        assert_eq!(
            local("/a#b")
                .with_query(&[("next", &long), ("c", "d")])
                .as_str(),
            "/a?c=d#b"
        );
        assert_eq!(local("//evil.com").as_str(), "/");
        assert_eq!(local("login").as_str(), "/");
    }

    #[test]
    fn a_request_can_be_returned_to() {
        for (path, next) in [
            ("/posts?page=2&q=a%20b", "%2Fposts%3Fpage%3D2%26q%3Da%2520b"),
            ("/q?a\\b", "%2Fq%3Fa%255Cb"),
            ("/", "%2F"),
        ] {
            let value = next_of(path).unwrap();
            assert_eq!(value, next);
            assert!(same_site(&decoded(&value)).is_some());
        }
        for path in [
            "//evil.com",
            "/\\evil.com",
            "/%5cevil.com?a",
            "*",
            "",
            "/a\nb",
            &format!("/{}", "a".repeat(9_999)),
        ] {
            assert_eq!(next_of(path), None, "{path}");
        }
    }
}
