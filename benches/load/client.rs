//! Who asks: HTTP/1.1 by hyper over connections that are kept, as many at once as a row says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::{Body, Bytes},
    client::conn::http1::{SendRequest, handshake},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST},
};
use hyper_util::rt::TokioIo;
use rocket::tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    seed::{PASSWORD, email, key, secret},
    servers::Server,
};

type Message = Request<Full<Bytes>>;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// The guarded route, by the session of an account.
    Session,
    /// The guarded route, by the token of an account.
    Token,
    /// The route for keys, by the API key of an account.
    Key,
    /// One indexed SELECT.
    Select,
    /// The form to sign in.
    Form,
    /// As many bytes, always the same.
    Page,
    /// A sign-in in JSON.
    SignIn,
    /// One verification of a password.
    Verify,
}

impl Ask {
    fn message(self, server: SocketAddr, user: u64) -> Message {
        let request = Request::builder().header(HOST, server.to_string());
        let sign_in = || {
            let body = format!(r#"{{"email":"{}","password":"{PASSWORD}"}}"#, email(user));
            Full::new(Bytes::from(body))
        };
        let post = |path: &str| {
            Request::post(path)
                .header(HOST, server.to_string())
                .header(CONTENT_TYPE, "application/json")
        };
        let built = match self {
            Self::Session => request
                .uri("/guarded")
                .header(
                    COOKIE,
                    format!("security_session={}", secret("session", user)),
                )
                .body(Full::default()),
            Self::Token => request
                .uri("/guarded")
                .header(AUTHORIZATION, format!("Bearer {}", secret("token", user)))
                .body(Full::default()),
            Self::Key => request
                .uri("/keyed")
                .header(AUTHORIZATION, format!("Bearer {}", key(user)))
                .body(Full::default()),
            Self::Select => request
                .uri(format!("/select/{}", email(user)))
                .body(Full::default()),
            Self::Form => request
                .uri("/login")
                .header(ACCEPT, "text/html")
                .body(Full::default()),
            Self::Page => request
                .uri("/page")
                .header(ACCEPT, "text/html")
                .body(Full::default()),
            Self::SignIn => post("/login").body(sign_in()),
            Self::Verify => post("/verify").body(sign_in()),
        };
        built.expect("a request")
    }
}

/// One connection that is kept.
struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a handshake");
        rocket::tokio::spawn(connection);
        Self(sender)
    }

    /// Sends and reads to the end; anything but 200 ends the run, since it would measure something else.
    async fn ask(&mut self, ask: Ask, server: SocketAddr, user: u64) -> usize {
        let response = self
            .0
            .send_request(ask.message(server, user))
            .await
            .expect("an answer");
        let status = response.status();
        let mut body = response.into_body();
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame.expect("a body").data_ref().map_or(0, Bytes::len);
        }
        assert!(body.is_end_stream(), "a body broke off");
        assert!(status == StatusCode::OK, "{ask:?} was answered {status}");
        self.0.ready().await.expect("a connection that is kept");
        size
    }
}

/// Whom the next request is about: every account in turn, far from the one before.
#[derive(Clone)]
pub(crate) struct Pick {
    next: Arc<AtomicU64>,
    users: u64,
}

impl Pick {
    pub(crate) fn of(users: u64) -> Self {
        Self {
            next: Arc::default(),
            users,
        }
    }

    fn user(&self) -> u64 {
        // A prime that divides no round number, so that all come up before any comes again.
        self.next
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(15_485_863)
            % self.users
    }
}

/// What a closed loop came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The server's CPU time for one request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
}

/// Keeps `connections` busy for `length`: each sends its next request when it has its answer.
pub(crate) async fn closed_loop(
    server: &Server,
    ask: Ask,
    pick: &Pick,
    connections: usize,
    length: Duration,
) -> Load {
    let address = server.address;
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await);
    }
    let (cpu, start) = (server.cpu(), Instant::now());
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let pick = pick.clone();
        tasks.spawn(async move {
            let mut done = 0u64;
            while start.elapsed() < length {
                connection.ask(ask, address, pick.user()).await;
                done += 1;
            }
            done
        });
    }
    let done: u64 = join(tasks).await.into_iter().sum();
    let (elapsed, cpu) = (start.elapsed(), server.cpu() - cpu);
    Load {
        cpu: cpu.as_secs_f64() * 1e6 / done as f64,
        rate: done as f64 / elapsed.as_secs_f64(),
    }
}

/// Asks `rate` times a second whether or not answers come, and tells how long each took from the moment
/// it was due: a server that stalls is not spared the requests that it kept from being sent.
pub(crate) async fn open_loop(
    server: &Server,
    ask: Ask,
    pick: &Pick,
    rate: u32,
    length: Duration,
) -> Vec<Duration> {
    const WAITING: usize = 64;
    let address = server.address;
    let mut open = Vec::new();
    for _ in 0..WAITING {
        open.push(Connection::open(address).await);
    }
    let (due, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let every = Duration::from_secs(1) / rate;
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let (due, pick) = (due.clone(), pick.clone());
        tasks.spawn(async move {
            let mut took = Vec::new();
            loop {
                let offset = every
                    * u32::try_from(due.fetch_add(1, Ordering::Relaxed)).expect("a short run");
                if offset >= length {
                    return took;
                }
                sleep_until(start + offset).await;
                connection.ask(ask, address, pick.user()).await;
                took.push((start + offset).elapsed());
            }
        });
    }
    join(tasks).await.concat()
}

/// `count` requests at the same moment, each on a connection of its own.
pub(crate) async fn at_once(server: &Server, ask: Ask, pick: &Pick, count: usize) {
    let address = server.address;
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(Connection::open(address).await);
    }
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let pick = pick.clone();
        tasks.spawn(async move { connection.ask(ask, address, pick.user()).await });
    }
    join(tasks).await;
}

/// `count` requests one after the other: how long each took, and how large the last answer was.
pub(crate) async fn in_turn(
    server: &Server,
    ask: Ask,
    pick: &Pick,
    count: usize,
) -> (Vec<Duration>, usize) {
    let mut connection = Connection::open(server.address).await;
    let (mut took, mut size) = (Vec::new(), 0);
    for _ in 0..count {
        let start = Instant::now();
        size = connection.ask(ask, server.address, pick.user()).await;
        took.push(start.elapsed());
    }
    (took, size)
}

async fn join<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        // A failed request fails the whole run, and the servers go with it.
        all.push(done.expect("a task that did not panic"));
    }
    all
}
