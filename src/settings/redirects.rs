//! `[security.redirects]`.

use serde::Deserialize;
use url::Url;

use super::table::Table;

/// `[security.redirects]`: which sites beside our own a person may be sent back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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

impl Table for RedirectSettings {
    const NAME: &'static str = "redirects";
}

impl RedirectSettings {
    /// The domain that the other hosts are below.
    pub(super) fn base(&self, base_url: Option<&Url>) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
