//! Which addresses may register or be changed to.

use serde::Deserialize;

use super::email::{EmailAddress, ascii_domain};
use crate::types::Message;

/// Which addresses may register or be changed to, beyond their form.
///
/// ```
/// use rocket_security::{EmailAddress, EmailPolicy, Message};
///
/// /// Refuses the mailboxes of roles (RFC 2142).
/// struct PeopleOnly;
///
/// impl EmailPolicy for PeopleOnly {
///     fn check(&self, email: &EmailAddress) -> Result<(), Message> {
///         match email.key().split_once('@') {
///             Some(("postmaster" | "abuse" | "hostmaster", _)) => Err(Message::new("email.invalid")),
///             _ => Ok(()),
///         }
///     }
/// }
/// # let refused = EmailAddress::parse("Abuse@example.com").unwrap();
/// # assert!(PeopleOnly.check(&refused).is_err());
/// ```
pub trait EmailPolicy: Send + Sync + 'static {
    /// Judges an address of good form.
    ///
    /// # Errors
    /// The message to show at the field. It is shown to anyone who types the address, so it must
    /// not depend on whether the address has an account.
    fn check(&self, email: &EmailAddress) -> Result<(), Message>;
}

/// The policy unless the application brings its own: lists of domains.
///
/// An entry is a domain (`example.com`), or with a leading dot that domain and all below it
/// (`.example.com`). Names beyond ASCII may be written as they are.
///
/// ```
/// use rocket_security::{EmailAddress, EmailPolicy, StandardEmailPolicy};
/// let mut policy = StandardEmailPolicy::default();
/// policy.allow_domains = vec![".example.com".into()];
/// assert!(policy.check(&EmailAddress::parse("a@eu.example.com").unwrap()).is_ok());
/// assert!(policy.check(&EmailAddress::parse("a@example.org").unwrap()).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StandardEmailPolicy {
    /// The only domains to accept; empty accepts every domain.
    ///
    /// _Default:_ `[]`.
    pub allow_domains: Vec<String>,
    /// Domains to refuse; they win over `allow_domains`.
    ///
    /// _Default:_ `[]`.
    pub deny_domains: Vec<String>,
}

impl EmailPolicy for StandardEmailPolicy {
    /// # Errors
    /// `email.domain_refused`.
    fn check(&self, email: &EmailAddress) -> Result<(), Message> {
        let listed = |list: &[String]| list.iter().any(|entry| covers(entry, email.domain()));
        if listed(&self.deny_domains)
            || !(self.allow_domains.is_empty() || listed(&self.allow_domains))
        {
            return Err(Message::new("email.domain_refused"));
        }
        Ok(())
    }
}

fn covers(entry: &str, domain: &str) -> bool {
    let entry = entry.trim();
    let (name, below) = match entry.strip_prefix('.') {
        Some(name) => (name, true),
        None => (entry, false),
    };
    ascii_domain(name).is_some_and(|name| {
        domain == name
            || below
                && domain
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_allowed_and_denied() {
        let check = |allow: &[&str], deny: &[&str], raw: &str| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let policy = StandardEmailPolicy {
                allow_domains: list(allow),
                deny_domains: list(deny),
            };
            policy
                .check(&EmailAddress::parse(raw).unwrap())
                .map_err(|message| assert_eq!(message.key(), "email.domain_refused"))
                .is_ok()
        };
        assert!(check(&[], &[], "a@b.de"));
        assert!(check(&["B.de"], &[], "a@b.DE"));
        assert!(!check(&["b.de"], &[], "a@x.b.de"));
        assert!(check(&[".b.de"], &[], "a@x.b.de"));
        assert!(check(&[".b.de"], &[], "a@b.de"));
        assert!(!check(&[".b.de"], &[], "a@evilb.de"));
        assert!(!check(&[".b.de"], &[], "a@b.de.evil.com"));
        assert!(!check(&[".b.de"], &["x.b.de"], "a@x.b.de"));
        assert!(!check(&[], &["bücher.de"], "a@xn--bcher-kva.de"));
        assert!(!check(&["not a domain"], &[], "a@b.de"));
    }
}
