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

/// Which sites beside our own a person may be sent back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedirectSettings {
    /// Whether `next` may name another host below `base_domain`.
    ///
    /// Turn it on only if all those hosts are yours: never for a domain under which others
    /// register names (a public suffix such as `github.io`).
    ///
    /// _Default:_ `false`.
    pub allow_subdomains: bool,
    /// The domain the other hosts are below. Without it, the host of `base_url`.
    ///
    /// _Default:_ none.
    pub base_domain: Option<String>,
    /// The only hosts allowed, by what stands before `base_domain` (`app`, `a.b`); `"."` is the
    /// base domain itself. Empty allows every host below it, but not the base domain.
    ///
    /// _Default:_ `[]`.
    pub allowed_subdomains: Vec<String>,
}

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

/// The rules by which `next` is judged.
#[derive(Clone, Debug)]
pub(crate) struct RedirectRules {
    base_url: Option<Url>,
    /// None if hosts other than our own are not allowed.
    base_domain: Option<String>,
    /// Full names; empty for all below `base_domain`.
    hosts: Vec<String>,
}

impl RedirectRules {
    /// The rules by `settings`, for a site at `base_url`.
    ///
    /// A base domain that cannot be read allows nothing; [`RedirectSettings`] of such a kind should
    /// stop the launch before (see [`RedirectSettings::problem`]).
    pub(crate) fn new(settings: &RedirectSettings, base_url: Option<&Url>) -> Self {
        let base_domain = settings
            .allow_subdomains
            .then(|| settings.base(base_url))
            .flatten();
        let hosts = settings
            .allowed_subdomains
            .iter()
            .zip(base_domain.iter().cycle())
            .map(|(name, base)| match name.as_str() {
                "." => base.clone(),
                name => format!("{}.{base}", name.to_ascii_lowercase()),
            })
            .collect();
        Self {
            base_url: base_url.cloned(),
            base_domain,
            hosts,
        }
    }

    /// Judges what a request names as the place to go next.
    ///
    /// Accepted are absolute paths on our own site (`/a?b#c`), absolute URLs on the origin of the
    /// base URL (brought to a path), and absolute URLs on hosts the settings allow, by HTTPS or the
    /// scheme of the base URL.
    pub(crate) fn judge(&self, next: &str) -> Option<Target> {
        if next.starts_with('/') {
            return same_site(next);
        }
        let url = absolute(next)?;
        if let Some(base) = &self.base_url
            && url.origin() == base.origin()
        {
            return same_site(&url[Position::BeforePath..]);
        }
        self.allows(&url).then(|| Target::checked(url.as_str()))?
    }

    /// The path of a page that a browser names as the one it comes from, if that is a page of this site.
    ///
    /// The query is left out: it may hold what the page does not want to be told again.
    pub(crate) fn own_page(&self, referrer: &str) -> Option<String> {
        let (from, base) = (absolute(referrer)?, self.base_url.as_ref()?);
        let page = (from.origin() == base.origin()).then(|| same_site(from.path()))?;
        page.map(String::from)
    }

    /// The other hosts that a form may lead to, as sources of a Content-Security-Policy: browsers judge by
    /// `form-action` also where a form is redirected to.
    pub(crate) fn form_sources(&self) -> Vec<String> {
        let Some(base) = &self.base_domain else {
            return Vec::new();
        };
        let hosts = match self.hosts.as_slice() {
            [] => vec![format!("*.{base}")],
            hosts => hosts.to_vec(),
        };
        let own = self.base_url.as_ref();
        let mut schemes = vec!["https"];
        schemes.extend(own.map(Url::scheme).filter(|scheme| *scheme != "https"));
        let mut ports = vec![String::new()];
        ports.extend(own.and_then(Url::port).map(|port| format!(":{port}")));
        let mut sources = Vec::new();
        for host in &hosts {
            for scheme in &schemes {
                sources.extend(ports.iter().map(|port| format!("{scheme}://{host}{port}")));
            }
        }
        sources
    }

    fn allows(&self, url: &Url) -> bool {
        let (Some(base), Some(host)) = (&self.base_domain, url.domain()) else {
            return false;
        };
        let own = self.base_url.as_ref();
        let scheme = url.scheme() == "https" || own.is_some_and(|own| own.scheme() == url.scheme());
        // `Url` drops the default port, so `None` is 443 or 80.
        let port = url.port().is_none() || own.is_some_and(|own| own.port() == url.port());
        let named = if self.hosts.is_empty() {
            // The dot is what keeps `evilexample.com` out.
            host.strip_suffix(base.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            self.hosts.iter().any(|allowed| allowed == host)
        };
        scheme && port && named
    }
}

impl RedirectSettings {
    fn base(&self, base_url: Option<&Url>) -> Option<String> {
        match &self.base_domain {
            Some(name) => idna::domain_to_ascii_strict(name.trim()).ok(),
            None => base_url?.domain().map(str::to_owned),
        }
    }

    /// What is wrong with the settings, for the launch to say.
    pub(crate) fn problem(&self, base_url: Option<&Url>) -> Option<String> {
        if !self.allow_subdomains {
            return (self.base_domain.is_some() || !self.allowed_subdomains.is_empty()).then(|| {
                String::from(
                    "`base_domain` and `allowed_subdomains` do nothing without `allow_subdomains = true`",
                )
            });
        }
        let Some(base) = self.base(base_url) else {
            return Some(match &self.base_domain {
                Some(name) => format!("`base_domain = \"{name}\"` is not a domain name"),
                None => String::from("`allow_subdomains` needs a `base_domain`"),
            });
        };
        if !base.contains('.') && base != "localhost" {
            return Some(format!(
                "`base_domain = \"{base}\"` is a top-level domain, below which anyone may register"
            ));
        }
        self.allowed_subdomains
            .iter()
            .find(|name| *name != "." && !idna::domain_to_ascii_strict(name).is_ok_and(|ascii| ascii == **name))
            .map(|name| {
                format!(
                    "`{name}` in `allowed_subdomains` is not a name such as `app`, nor `.` for `{base}`"
                )
            })
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
    fn checked(address: &str) -> Option<Self> {
        let printable = address.bytes().all(|b| b.is_ascii_graphic());
        (printable && address.len() <= BYTES).then(|| Self(address.to_owned()))
    }
}

/// Judges a reference that is to stay on our site, whatever that site is called.
fn same_site(reference: &str) -> Option<Target> {
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
fn absolute(text: &str) -> Option<Url> {
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
fn decoded(text: &str) -> String {
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn rules(text: &str, base_url: Option<&str>) -> RedirectRules {
        let base_url = base_url.map(|url| Url::parse(url).unwrap());
        RedirectRules::new(&toml::from_str(text).unwrap(), base_url.as_ref())
    }

    fn own() -> RedirectRules {
        rules("", Some("https://own.example"))
    }

    fn judged(rules: &RedirectRules, next: &str) -> Option<String> {
        rules.judge(next).map(String::from)
    }

    #[test]
    fn paths_of_our_own_are_accepted() {
        for (next, target) in [
            ("/", "/"),
            ("/a/b?c=d&e=%2F#f", "/a/b?c=d&e=%2F#f"),
            (
                "/login?next=/login?next=/login",
                "/login?next=/login?next=/login",
            ),
            ("/a/../b/./c", "/b/c"),
            ("/../../a", "/a"),
            ("/%2e%2e/a", "/a"),
            ("/a//b", "/a//b"),
            ("/a b/é", "/a%20b/%C3%A9"),
            ("/a?q=é \"<>'", "/a?q=%C3%A9%20%22%3C%3E%27"),
            ("/a?next=https://evil.com", "/a?next=https://evil.com"),
            ("/user@evil.com", "/user@evil.com"),
            ("/:80", "/:80"),
            ("/a%0d%0ab", "/a%0d%0ab"),
            ("/a\u{2003}b", "/a%E2%80%83b"),
        ] {
            assert_eq!(judged(&own(), next).as_deref(), Some(target), "{next}");
        }
    }

    #[test]
    fn a_referrer_is_a_path_of_our_own_or_nothing() {
        for (referrer, page) in [
            ("https://own.example/cart", Some("/cart")),
            ("https://OWN.example:443/cart?token=x#y", Some("/cart")),
            ("https://own.example/", Some("/")),
            ("https://own.example", Some("/")),
            ("https://own.example/a/../b", Some("/b")),
            ("/cart", None),
            ("", None),
            ("about:blank", None),
            ("http://own.example/cart", None),
            ("https://own.example:8443/cart", None),
            ("https://app.own.example/cart", None),
            ("https://own.example.evil.com/cart", None),
            ("https://evil.com/https://own.example/cart", None),
            ("https://own.example@evil.com/cart", None),
            ("https://user@own.example/cart", None),
            ("https://own.example//evil.com", None),
            ("https://own.example/%2fevil.com", None),
            ("https://own.example/.//evil.com", None),
            ("https://own.example\\@evil.com", None),
            ("https://own.example/\\evil.com", None),
            ("javascript://own.example/%0aalert(1)", None),
        ] {
            let open = rules("allow_subdomains = true", Some("https://own.example"));
            for rules in [own(), open] {
                assert_eq!(rules.own_page(referrer).as_deref(), page, "{referrer}");
            }
        }
        assert_eq!(rules("", None).own_page("https://own.example/cart"), None);
    }

    /// The table of attacks, rows R1 to R3 and what else is known of them.
    #[test]
    fn whatever_leads_away_is_refused() {
        let mut attacks: Vec<String> = [
            "//evil.com",
            "////evil.com",
            "///evil.com",
            "https://evil.com",
            "https:evil.com",
            "https:/evil.com",
            "http:///evil.com",
            "https:///own.example/",
            "https:own.example",
            "javascript:alert(1)",
            "JavaScript://own.example/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ftp://own.example/",
            "blob:https://own.example/x",
            "about:blank",
            "mailto:a@b.de",
            "\\\\evil.com",
            "/\\evil.com",
            "\\/evil.com",
            "/%5cevil.com",
            "/%5Cevil.com",
            "%5C%5C%5Cevil.com",
            "%5c%5cevil.com",
            "/%2fevil.com",
            "/%2F%2Fevil.com",
            "/%2f%2fevil",
            "%2f%2fevil.com",
            "/a\\b",
            "/\t/evil.com",
            "/\n/evil.com",
            "/\r/evil.com",
            "/%09/evil.com",
            "/%0a/evil.com",
            "/%0D/evil.com",
            "/a\r\nSet-Cookie: x=y",
            "/a\0",
            "/a\u{85}b",
            "/a\u{7f}",
            "java\tscript:alert(1)",
            "h\nttps://evil.com",
            "/.//evil.com",
            "/..//evil.com",
            "/x/..//evil.com",
            "/./\\evil.com",
            "/%2e//evil.com",
            "/%2E%2E//evil.com",
            "/x/%2e%2e//evil.com",
            "/.%2f/evil.com",
            "/..%2f%2fevil.com",
            "/.%5c%5cevil.com",
            "/x/..%2f/evil.com",
            "/.%09//evil.com",
            "/x/..//..//evil.com",
            "/.;//\\evil.com",
            "https://user@own.example/",
            "https://own.example@evil.com/",
            "https://own.example:x@evil.com/",
            "https://@own.example/",
            "https://:@own.example/",
            "https://evil.com#@own.example",
            "https://evil.com\\@own.example",
            "https://own.example.evil.com",
            "https://evilown.example",
            "https://own.example:444/",
            "http://own.example/",
            "https://own.example./",
            "https://own.example//evil.com",
            "https://own.example/%2fevil.com",
            "https://own.example/.//evil.com",
            "https://[::1]/",
            "https://",
            "https://%0d%0aown.example",
            "//own.example/",
            "",
            ".",
            "..",
            "a",
            "a/b",
            "?a",
            "#a",
            "@evil.com",
            ":80",
            "evil.com",
            "/\u{2028}/evil.com",
            "/a\u{2028}b",
        ]
        .map(String::from)
        .into();
        for lead in [
            "\t", "\n", "\r", "\0", "\u{19}", " ", "\u{200A}", "\u{2028}", "\u{A0}", "\u{3000}",
            "\u{FEFF}", "\u{85}",
        ] {
            attacks.push(format!("{lead}//evil.com"));
            attacks.push(format!("{lead}https://evil.com"));
            attacks.push(format!("{lead}/a"));
            attacks.push(format!("/{lead}/evil.com"));
        }
        for lead in ["%09", "%0a", "%0d", "%00", "%19", "%20"] {
            attacks.push(format!("{lead}//evil.com"));
        }
        for next in attacks {
            // With a space or a wide blank between the slashes it is a path: harmless, and encoded.
            if let Some(target) = judged(&own(), &next) {
                assert!(
                    target.starts_with("/%20/")
                        || target.starts_with("/%E")
                        || target.starts_with("/%C2"),
                    "{next:?} led to {target}"
                );
            }
            assert_eq!(
                judged(&rules("", None), &next).is_some(),
                judged(&own(), &next).is_some()
            );
        }
    }

    #[test]
    fn addresses_of_our_own_origin_become_paths() {
        for (next, target) in [
            ("https://own.example", "/"),
            ("HTTPS://OWN.example:443/a?b#c", "/a?b#c"),
            ("https://own.example?a", "/?a"),
        ] {
            assert_eq!(judged(&own(), next).as_deref(), Some(target), "{next}");
            assert_eq!(judged(&rules("", None), next), None);
        }
        let debug = rules("", Some("http://localhost:8000/app/"));
        assert_eq!(
            judged(&debug, "http://localhost:8000/a").as_deref(),
            Some("/a")
        );
        for next in [
            "http://localhost/a",
            "https://localhost:8000/a",
            "http://localhost:8001/",
        ] {
            assert_eq!(judged(&debug, next), None);
        }
    }

    #[test]
    fn subdomains_are_allowed_by_settings_only() {
        let any = rules(
            "allow_subdomains = true\nbase_domain = 'Example.com'",
            Some("https://example.com"),
        );
        for next in [
            "https://app.example.com",
            "https://app.example.com/x?y#z",
            "https://a.b.EXAMPLE.com:443/",
        ] {
            assert_eq!(
                judged(&any, next),
                Some(Url::parse(next).unwrap().to_string())
            );
            assert_eq!(judged(&own(), next), None);
        }
        assert_eq!(judged(&any, "https://example.com/a").as_deref(), Some("/a"));
        for next in [
            "https://evilexample.com",
            "https://example.com.evil.net",
            "https://.example.com",
            "https://app.example.com.",
            "https://app.example.com:8443/",
            "http://app.example.com",
            "https://u@app.example.com",
            "https://evil.com/.example.com",
            "https://evil.com#.example.com",
            "https://evil.com\\.example.com",
            "https://evil.com%2f.example.com",
            "https://evil.com?.example.com",
            "//app.example.com",
            "https:app.example.com",
            " https://app.example.com",
            "ftp://app.example.com",
            "https://app.example.com/\n",
        ] {
            assert_eq!(judged(&any, next), None, "{next}");
        }

        let some = rules(
            "allow_subdomains = true\nbase_domain = 'example.com'\nallowed_subdomains = ['.', 'app', 'a.b']",
            Some("http://login.example.com:8000"),
        );
        for next in [
            "https://example.com/",
            "https://app.example.com/",
            "http://a.b.example.com:8000/",
        ] {
            assert_eq!(judged(&some, next).as_deref(), Some(next));
        }
        for next in [
            "https://x.example.com/",
            "https://x.app.example.com/",
            "https://b.example.com/",
        ] {
            assert_eq!(judged(&some, next), None, "{next}");
        }
    }

    #[test]
    fn the_base_itself_is_not_a_subdomain() {
        let settings = "allow_subdomains = true\nbase_domain = 'example.com'";
        let other = rules(settings, Some("https://login.example.com"));
        assert_eq!(judged(&other, "https://example.com/"), None);
        assert!(judged(&other, "https://app.example.com/").is_some());
        // Without a base domain, what is below the site's own host.
        let below = rules("allow_subdomains = true", Some("https://own.example"));
        assert!(judged(&below, "https://a.own.example/").is_some());
        assert_eq!(judged(&below, "https://a.example/"), None);
        let nothing = rules("allow_subdomains = true\nallowed_subdomains = ['a']", None);
        assert_eq!(judged(&nothing, "https://a/"), None);
    }

    #[test]
    fn settings_that_cannot_work_are_told() {
        let problem = |text: &str| {
            let base = Url::parse("https://own.example").unwrap();
            toml::from_str::<RedirectSettings>(text)
                .unwrap()
                .problem(Some(&base))
        };
        for good in [
            "",
            "allow_subdomains = true",
            "allow_subdomains = true\nbase_domain = 'example.com'\nallowed_subdomains = ['.', 'app', 'a.b']",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in [
            "base_domain = 'example.com'",
            "allow_subdomains = true\nbase_domain = 'com'",
            "allow_subdomains = true\nbase_domain = '.example.com'",
            "allow_subdomains = true\nbase_domain = 'https://example.com'",
            "allow_subdomains = true\nallowed_subdomains = ['*.app']",
            "allow_subdomains = true\nallowed_subdomains = ['']",
        ] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_bounded() {
        assert!(own().judge(&format!("/{}", "a".repeat(2_047))).is_some());
        assert!(own().judge(&format!("/{}", "a".repeat(2_048))).is_none());
        // Short as typed, long once encoded.
        assert!(own().judge(&format!("/{}", "é".repeat(1_000))).is_none());
        assert!(own().judge(&format!("/{}", "a".repeat(100_000))).is_none());
    }

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
            assert!(own().judge(&decoded(&value)).is_some());
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

    /// Every text of up to six of the characters attacks are made of.
    #[test]
    fn nothing_accepted_leaves_the_site() {
        const ALPHABET: [char; 14] = [
            '/', '\\', '.', ':', '%', '@', '5', 'c', '2', 'f', '\t', '\n', ' ', 'e',
        ];
        let base = Url::parse("https://own.example/x/y").unwrap();
        let rules = own();
        let mut accepted = 0;
        let mut text = String::new();
        for length in 0..=6u32 {
            for number in 0..ALPHABET.len().pow(length) {
                text.clear();
                let mut rest = number;
                for _ in 0..length {
                    text.push(ALPHABET[rest % ALPHABET.len()]);
                    rest /= ALPHABET.len();
                }
                let Some(target) = rules.judge(&text) else {
                    continue;
                };
                accepted += 1;
                for reference in [target.as_str(), &decoded(target.as_str())] {
                    let url = base.join(reference).unwrap();
                    assert_eq!(url.origin(), base.origin(), "{text:?} by {reference:?}");
                    assert!(!url.path().starts_with("//"), "{text:?} by {reference:?}");
                }
                assert!(target.as_str().bytes().all(|b| b.is_ascii_graphic()));
                // Judging again changes nothing.
                if accepted % 16 == 0 {
                    assert_eq!(
                        rules.judge(target.as_str()).as_ref(),
                        Some(&target),
                        "{text:?}"
                    );
                }
            }
        }
        assert!(accepted > 10_000, "the test judged too little: {accepted}");
    }
}
