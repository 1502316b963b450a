//! How providers are asked: directly, in bounded time, for bounded answers, on threads of their own.
//!
//! Where a provider's endpoints are is the provider's word. So that nobody makes this machine ask its own
//! network, addresses that are not public are refused after the name was resolved (OWASP, Server-Side
//! Request Forgery Prevention), and no redirect is followed.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, task, time::timeout};
use ureq::{
    Agent,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::SocialError;

/// A request to a provider.
pub type HttpRequest = ureq::http::Request<Vec<u8>>;

/// Its answer, whatever the status.
pub type HttpResponse = ureq::http::Response<Vec<u8>>;

/// The longest answer: discovery documents and key sets have a few KiB.
const MAX_BODY: u64 = 256 << 10;

/// Exchanges with one provider at a time; a slow one holds up itself alone.
const AT_ONCE: usize = 8;

/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks providers. One client is for one provider: it bounds how much of this server that may occupy.
#[derive(Clone)]
pub struct HttpClient {
    agent: Agent,
    turns: Arc<Semaphore>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl Default for HttpClient {
    /// With ten seconds for each request, by https to public addresses only.
    fn default() -> Self {
        Self::new(Duration::from_secs(10), false)
    }
}

impl HttpClient {
    /// With this time for each request. `allow_private` is for providers on the own machine or network:
    /// it allows addresses that are not public, and plain http.
    pub fn new(patience: Duration, allow_private: bool) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .https_only(!allow_private)
            // A proxy would resolve names where nobody looks at the addresses.
            .proxy(None)
            .user_agent("rocket_security")
            .build();
        let resolver = Guarded {
            inner: DefaultResolver::default(),
            allow_private,
        };
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// [`SocialError::Unavailable`] if there is no answer in time, [`SocialError::Refused`] if it is too long.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SocialError> {
        self.exchange(move |http| http.send(request)).await
    }

    /// Asks for `url`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SocialError::Refused`] if `url` or a header is none.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<HttpResponse, SocialError> {
        self.send(request("GET", url, headers, Vec::new())?).await
    }

    /// Posts a form to `url`, as token endpoints take it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn post_form(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Result<HttpResponse, SocialError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [headers, &[kind]].concat();
        self.send(request("POST", url, &headers, body.into_bytes())?)
            .await
    }

    /// Does `work`, which asks as often as it needs to, off the threads that serve requests.
    pub(super) async fn exchange<T, F>(&self, work: F) -> Result<T, SocialError>
    where
        T: Send + 'static,
        F: FnOnce(&Blocking) -> Result<T, SocialError> + Send + 'static,
    {
        let busy = || SocialError::Unavailable("too many ask at once".into());
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let blocking = Blocking(self.agent.clone());
        let done = task::spawn_blocking(move || {
            let _turn = turn;
            work(&blocking)
        });
        done.await
            .unwrap_or_else(|error| Err(SocialError::Unavailable(error.to_string())))
    }
}

pub(super) fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<HttpRequest, SocialError> {
    let request = ureq::http::Request::builder().method(method).uri(url);
    headers
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(*name, *value)
        })
        .body(body)
        .map_err(|error| SocialError::Refused(error.to_string()))
}

/// The client on a thread that may block.
pub(super) struct Blocking(Agent);

impl Blocking {
    pub(super) fn send(&self, request: HttpRequest) -> Result<HttpResponse, SocialError> {
        let place = request.uri().authority().map(ToString::to_string);
        let place = place.unwrap_or_default();
        let answer = self
            .0
            .run(request)
            .map_err(|error| SocialError::Unavailable(format!("{place}: {error}")))?;
        let (head, mut body) = answer.into_parts();
        let body = body.with_config().limit(MAX_BODY).read_to_vec();
        let body = body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                SocialError::Refused(format!("{place} answered more than {MAX_BODY} bytes"))
            }
            error => SocialError::Unavailable(format!("{place}: {error}")),
        })?;
        if head.status.is_server_error() || head.status.as_u16() == 429 {
            let why = format!("{place} answered {}", head.status.as_u16());
            return Err(SocialError::Unavailable(why));
        }
        Ok(HttpResponse::from_parts(head, body))
    }
}

/// Resolves names, and keeps addresses that are not public to itself.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    allow_private: bool,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.allow_private {
            return Ok(found);
        }
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        match public.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(public),
        }
    }
}

/// Whether an address is one of the internet's, by the special-purpose registries of IANA (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 100 && b & 0xc0 == 64
        || a == 192 && b == 0 && c == 0
        || a == 192 && b == 88 && c == 99
        || a == 198 && b & 0xfe == 18
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // What is handed out is below 2000::/3; the rest is local, reserved, or an IPv4 address in disguise.
    let global = parts[0] & 0xe000 == 0x2000;
    let special = parts[0] == 0x2001 && (parts[1] < 0x0200 || parts[1] == 0x0db8)
        || parts[0] == 0x2002
        || parts[0] == 0x3fff && parts[1] < 0x1000;
    global && !special
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Instant,
    };

    use super::*;

    /// Answers one request with `text`.
    fn serve(text: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 2_048]);
            let _ = stream.write_all(text.as_bytes());
        });
        url
    }

    fn get(url: &str) -> HttpRequest {
        ureq::http::Request::get(url).body(Vec::new()).unwrap()
    }

    #[test]
    fn addresses_of_this_machine_and_of_networks_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[rocket::async_test]
    async fn nothing_is_asked_of_this_machine_unless_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = HttpClient::new(Duration::from_secs(2), false);
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
        ] {
            for scheme in ["https", "http"] {
                let answer = client
                    .send(get(&format!("{scheme}://{host}:{port}/")))
                    .await;
                assert!(matches!(answer, Err(SocialError::Unavailable(_))), "{host}");
            }
        }
        assert!(listener.accept().is_err());
    }

    #[rocket::async_test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let url =
            serve("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".into());
        let client = HttpClient::new(Duration::from_secs(2), true);
        assert_eq!(client.send(get(&url)).await.unwrap().status().as_u16(), 302);
    }

    #[rocket::async_test]
    async fn a_long_answer_is_refused() {
        let body = "x".repeat(300 << 10);
        let length = body.len();
        let url = serve(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        let client = HttpClient::new(Duration::from_secs(2), true);
        let answer = client.send(get(&url)).await;
        assert!(matches!(answer, Err(SocialError::Refused(_))), "{answer:?}");
    }

    #[rocket::async_test]
    async fn one_that_never_answers_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = HttpClient::new(Duration::from_millis(300), true);
        let began = Instant::now();
        let answer = client.send(get(&url)).await;
        assert!(matches!(answer, Err(SocialError::Unavailable(_))));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
