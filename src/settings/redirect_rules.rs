//! The rules by which `next` is judged.

use url::{Position, Url};

use super::RedirectSettings;
use crate::identity::target::{Target, absolute, same_site};

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
    pub(crate) fn allowed(&self, next: &str) -> Option<Target> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::target::decoded;

    fn rules(text: &str, base_url: Option<&str>) -> RedirectRules {
        let base_url = base_url.map(|url| Url::parse(url).unwrap());
        RedirectRules::new(&toml::from_str(text).unwrap(), base_url.as_ref())
    }

    fn own() -> RedirectRules {
        rules("", Some("https://own.example"))
    }

    fn judged(rules: &RedirectRules, next: &str) -> Option<String> {
        rules.allowed(next).map(String::from)
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
    fn addresses_are_bounded() {
        assert!(own().allowed(&format!("/{}", "a".repeat(2_047))).is_some());
        assert!(own().allowed(&format!("/{}", "a".repeat(2_048))).is_none());
        // Short as typed, long once encoded.
        assert!(own().allowed(&format!("/{}", "é".repeat(1_000))).is_none());
        assert!(
            own()
                .allowed(&format!("/{}", "a".repeat(100_000)))
                .is_none()
        );
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
                let Some(target) = rules.allowed(&text) else {
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
                        rules.allowed(target.as_str()).as_ref(),
                        Some(&target),
                        "{text:?}"
                    );
                }
            }
        }
        assert!(accepted > 10_000, "the test judged too little: {accepted}");
    }
}
