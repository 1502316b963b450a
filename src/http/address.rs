//! The address of the client, which limits and audit rest on.
//!
//! Anyone may send `X-Forwarded-For`. It counts only as far as proxies named in `trusted_proxies`
//! wrote it: from the right, up to the first hop that is not one of them. What is not promised:
//! anything, if a trusted proxy passes on the headers of others without adding to them.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::settings::ForwardedHeader;
use ipnet::IpNet;
use rocket::{Request, http::uri::Host};

/// How much of the headers is looked at, from their end.
const BYTES: usize = 4_096;
const HOPS: usize = 50;

/// The address a request came from, an IPv4 address in IPv6 clothes (RFC 4291, section 2.5.5.2)
/// brought to IPv4.
///
/// ```
/// use rocket_security::ClientAddress;
/// let home = ClientAddress::new("2001:db8:1:2:3:4:5:6".parse().unwrap());
/// assert_eq!(home.to_string(), "2001:db8:1:2:3:4:5:6");
/// assert_eq!(home.bucket(), "2001:db8:1:2::/64");
/// let mapped = ClientAddress::new("::ffff:192.0.2.7".parse().unwrap());
/// assert_eq!(mapped.bucket(), "192.0.2.7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Takes an address as it is.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.0
    }

    /// What attempts are counted under: an IPv4 address whole, an IPv6 address by its network of
    /// 64 bits, since every household has that many addresses to change between (RFC 6177).
    pub fn bucket(&self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => network_of(address, 64),
        }
    }

    /// The network of 48 bits of an IPv6 address, which is counted beside it: one customer often has one
    /// whole (RFC 6177), and so 65,536 networks of 64 bits to change between.
    pub(crate) fn network(&self) -> Option<String> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(network_of(address, 48)),
        }
    }
}

fn network_of(address: std::net::Ipv6Addr, bits: u32) -> String {
    let rest = 128 - bits;
    let network = u128::from(address) >> rest << rest;
    format!("{}/{bits}", std::net::Ipv6Addr::from(network))
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a request comes from this very machine, by no proxy on the way, to one of the machine's own names.
///
/// A page elsewhere can lead a browser on this machine to an address of this machine under another name (DNS
/// rebinding); then `Host` is that name. A proxy or a tunnel on this machine says so in its headers.
pub(crate) fn is_at_this_machine(request: &Request<'_>) -> bool {
    const OWN: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
    let is_own = |host: &Host<'_>| {
        let name = host.domain().as_str();
        OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let named = request
        .headers()
        .get("host")
        .all(|text| Host::parse(text).is_ok_and(|host| is_own(&host)))
        && request.host().is_none_or(is_own);
    let near = request
        .remote()
        .is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    named && near && !came_through_proxy(request)
}

/// Whether any header says that a proxy passed the request on.
fn came_through_proxy(request: &Request<'_>) -> bool {
    request
        .headers()
        .iter()
        .any(|header| is_of_proxies(&header.name().as_str().to_ascii_lowercase()))
}

/// Whether a header of this name, in small letters, is one that proxies, balancers and delivery networks add, and
/// no browser sends.
fn is_of_proxies(name: &str) -> bool {
    const NAMES: [&str; 4] = ["via", "x-scheme", "x-url-scheme", "client-ip"];
    const STARTS: [&str; 15] = [
        "cdn-",
        "cf-",
        "fastly-",
        "fly-",
        "proxy-",
        "x-akamai-",
        "x-amz-cf-",
        "x-amzn-trace-",
        "x-appengine-",
        "x-arr-",
        "x-azure-",
        "x-envoy-",
        "x-original-",
        "x-proxy",
        "x-varnish",
    ];
    const ENDS: [&str; 6] = [
        "-client-ip",
        "-clientip",
        "-connecting-ip",
        "-real-ip",
        "-remote-ip",
        "-user-ip",
    ];
    name.contains("forwarded")
        || NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
        || ENDS.iter().any(|end| name.ends_with(end))
}

/// Who sent the request that `peer` delivered with these lines of `header`, in order.
///
/// The peer itself unless it is trusted; else the right-most hop that is not. A hop that cannot be
/// read (malformed, `unknown`, `_hidden`) ends the walk at the last good one, so that nothing to
/// its left, which anyone may have written, counts. None if the peer has no address.
pub(crate) fn client_address(
    peer: Option<IpAddr>,
    trusted: &[IpNet],
    header: ForwardedHeader,
    values: &[&str],
) -> Option<ClientAddress> {
    let mut last = ClientAddress::new(peer?);
    let is_trusted = |address: ClientAddress| trusted.iter().any(|net| holds(net, address.0));

    if header == ForwardedHeader::XRealIp {
        // Not a list. Of several lines the last: a proxy that adds one adds it at the end.
        let hop = values.last().and_then(|line| node(line));
        return Some(match hop {
            Some(address) if is_trusted(last) => ClientAddress::new(address),
            _ => last,
        });
    }
    let mut left = BYTES;
    let elements = values
        .iter()
        .rev()
        .flat_map(|line| Elements {
            rest: Some(line),
            quotes: header == ForwardedHeader::Forwarded,
        })
        .take_while(|element| {
            left = left.saturating_sub(element.len() + 1);
            left > 0
        })
        .filter(|element| !element.is_empty())
        .take(HOPS);
    for element in elements {
        if !is_trusted(last) {
            break;
        }
        let hop = match header {
            ForwardedHeader::Forwarded => forwarded_for(element),
            _ => node(element),
        };
        match hop {
            Some(address) => last = ClientAddress::new(address),
            None => break,
        }
    }
    Some(last)
}

/// Networks may be written either way for IPv4.
fn holds(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address)
        || match address {
            IpAddr::V4(v4) => net.contains(&IpAddr::V6(v4.to_ipv6_mapped())),
            IpAddr::V6(_) => false,
        }
}

/// The elements of a comma-separated list, from the right.
///
/// From the right also where quotes are concerned: a quote a client left open on the left would
/// otherwise swallow what the proxy wrote after it.
struct Elements<'a> {
    rest: Option<&'a str>,
    quotes: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let bytes = rest.as_bytes();
        let mut quoted = false;
        for at in (0..bytes.len()).rev().take(BYTES) {
            match bytes[at] {
                b'"' if self.quotes => {
                    let escapes = bytes[..at]
                        .iter()
                        .rev()
                        .take_while(|b| **b == b'\\')
                        .count();
                    if escapes % 2 == 0 {
                        quoted = !quoted;
                    }
                }
                b',' if !quoted => {
                    self.rest = Some(&rest[..at]);
                    return Some(rest[at + 1..].trim());
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(rest.trim())
    }
}

/// The address in the `for` of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in pairs(element) {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            // Each parameter stands at most once.
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        // An address needs no escapes within quotes; whoever writes some means no good.
        Some(open) => node(open.strip_suffix('"')?),
        None => node(value),
    }
}

/// The parameters of an element, at semicolons outside quotes.
fn pairs(element: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    element
        .split(move |c| {
            let end = c == ';' && !quoted;
            if c == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = c == '\\' && quoted && !escaped;
            end
        })
        .filter(|pair| !pair.trim().is_empty())
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse().ok().map(IpAddr::V6)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1";

    fn seen(peer: &str, header: ForwardedHeader, values: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.0/108"]
            .into_iter()
            .map(|net| net.parse().unwrap())
            .collect();
        client_address(Some(peer.parse().unwrap()), &trusted, header, values)
            .unwrap()
            .to_string()
    }

    fn by_list(values: &[&str]) -> String {
        seen(PEER, ForwardedHeader::XForwardedFor, values)
    }

    fn by_forwarded(values: &[&str]) -> String {
        seen(PEER, ForwardedHeader::Forwarded, values)
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client() {
        for header in [
            ForwardedHeader::XForwardedFor,
            ForwardedHeader::Forwarded,
            ForwardedHeader::XRealIp,
        ] {
            for forged in ["1.2.3.4", "for=1.2.3.4", "10.0.0.9"] {
                assert_eq!(seen("203.0.113.9", header, &[forged]), "203.0.113.9");
            }
        }
        assert_eq!(
            client_address(
                Some("10.0.0.1".parse().unwrap()),
                &[],
                ForwardedHeader::XForwardedFor,
                &["1.2.3.4"]
            )
            .unwrap()
            .to_string(),
            "10.0.0.1"
        );
        assert_eq!(
            client_address(None, &[], ForwardedHeader::XForwardedFor, &["1.2.3.4"]),
            None
        );
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        for (values, client) in [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.1.1.1", "10.2.2.2"], "1.2.3.4"),
            (&["1.2.3.4,, 10.1.1.1 ,"], "1.2.3.4"),
            (&["1.2.3.4:5678"], "1.2.3.4"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:1.2.3.4"], "1.2.3.4"),
            (&["1.2.3.4, ::ffff:10.3.3.3, fd00::7"], "1.2.3.4"),
            (&["1.2.3.4, 172.16.0.5"], "1.2.3.4"),
        ] {
            assert_eq!(by_list(values), client, "{values:?}");
        }
        assert_eq!(
            seen(
                "::ffff:10.0.0.1",
                ForwardedHeader::XForwardedFor,
                &["1.2.3.4"]
            ),
            "1.2.3.4"
        );
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk() {
        for (values, client) in [
            (&[][..], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["1.2.3.4, nonsense"], "10.0.0.1"),
            (&["1.2.3.4, unknown, 10.1.1.1"], "10.1.1.1"),
            (&["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
            (&["1.2.3.4\0"], "10.0.0.1"),
            (&["010.2.3.4"], "10.0.0.1"),
            (&["[1.2.3.4]"], "10.0.0.1"),
            (&["fe80::1%eth0"], "10.0.0.1"),
            (&["1.2.3.4, é"], "10.0.0.1"),
        ] {
            assert_eq!(by_list(values), client, "{values:?}");
        }
    }

    #[test]
    fn forwarded_is_read_by_rfc_7239() {
        for (values, client) in [
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"][..],
                "192.0.2.60",
            ),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["for=\"192.0.2.43:47011\""], "192.0.2.43"),
            (&["for=6.6.6.6, for=192.0.2.43, for=10.1.1.1"], "192.0.2.43"),
            (&["for=6.6.6.6", "proto=https;for=192.0.2.43"], "192.0.2.43"),
            (&["for=192.0.2.43;by=\"a,b;for=6.6.6.6\""], "192.0.2.43"),
            (&["for=192.0.2.43;by=\"a\\\",for=6.6.6.6\""], "192.0.2.43"),
            // A quote left open by the client does not hide the proxy's element.
            (&["for=\"6.6.6.6, for=192.0.2.43"], "192.0.2.43"),
            (&["for=\"6.6.6.6", "for=192.0.2.43"], "192.0.2.43"),
            (&["for=6.6.6.6, for=_hidden, for=10.1.1.1"], "10.1.1.1"),
            (&["for=6.6.6.6, for=unknown"], "10.0.0.1"),
            (&["for=6.6.6.6, proto=https"], "10.0.0.1"),
            (&["for=6.6.6.6;for=1.2.3.4"], "10.0.0.1"),
            (&["for=\"1.2.3.4"], "10.0.0.1"),
            (&["1.2.3.4"], "10.0.0.1"),
        ] {
            assert_eq!(by_forwarded(values), client, "{values:?}");
        }
    }

    #[test]
    fn real_ip_is_one_address() {
        let real = |values: &[&str]| seen(PEER, ForwardedHeader::XRealIp, values);
        assert_eq!(real(&["1.2.3.4"]), "1.2.3.4");
        assert_eq!(real(&["6.6.6.6", "1.2.3.4"]), "1.2.3.4");
        assert_eq!(real(&["6.6.6.6, 1.2.3.4"]), "10.0.0.1");
        assert_eq!(real(&["1.2.3.4", "x"]), "10.0.0.1");
        assert_eq!(real(&["1.2.3.4", "10.0.0.7"]), "10.0.0.7");
    }

    #[test]
    fn long_headers_are_read_from_their_end_only() {
        let hops = |n: usize| vec!["10.1.1.1"; n].join(",");
        assert_eq!(by_list(&[&format!("1.2.3.4,{}", hops(49))]), "1.2.3.4");
        assert_eq!(by_list(&[&format!("1.2.3.4,{}", hops(50))]), "10.1.1.1");
        let long = format!("{},1.2.3.4", "x".repeat(1_000_000));
        assert_eq!(by_list(&[&long]), "1.2.3.4");
        assert_eq!(by_list(&[&"x".repeat(1_000_000), "10.1.1.1"]), "10.1.1.1");
        assert_eq!(
            by_list(&[&format!("1.2.3.4,{}10.1.1.1", " ".repeat(5_000))]),
            "10.0.0.1"
        );
        assert_eq!(by_list(&[&",".repeat(1_000_000)]), "10.0.0.1");
        assert_eq!(by_forwarded(&[&"\\\"".repeat(100_000)]), "10.0.0.1");
        assert_eq!(
            by_forwarded(&[&format!("{}\"", "\\".repeat(1_000_000))]),
            "10.0.0.1"
        );
    }

    #[test]
    fn buckets_hold_a_household() {
        let bucket = |text: &str| ClientAddress::new(text.parse().unwrap()).bucket();
        assert_eq!(bucket("192.0.2.7"), "192.0.2.7");
        assert_eq!(bucket("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(bucket("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(
            bucket("2001:db8:1:2::"),
            bucket("2001:db8:1:2:ffff:ffff:ffff:ffff")
        );
        assert_ne!(bucket("2001:db8:1:2::"), bucket("2001:db8:1:3::"));
    }
}
