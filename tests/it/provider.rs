//! An OpenID provider, and a stand-in for GitHub, on a thread and a runtime of its own.
//!
//! It checks what a provider checks, so that a client that forgets something is turned away; and it
//! errs where a test says so.
#![allow(dead_code, reason = "no test uses all of it")]

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    net::TcpListener as Bound,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use openidconnect::{
    AuthUrl, IssuerUrl, JsonWebKeyId, JsonWebKeySetUrl, PrivateSigningKey, ResponseTypes, Scope,
    TokenUrl, UserInfoUrl,
    core::{
        CoreClientAuthMethod, CoreHmacKey, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKeySet,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRsaPrivateSigningKey,
        CoreSubjectIdentifierType,
    },
};
use rocket::tokio::{self, net::TcpListener, sync::oneshot, time::sleep};
use rocket_security::{Clock, SystemClock};
use rsa::{
    RsaPrivateKey,
    pkcs1::EncodeRsaPrivateKey,
    pkcs8::{EncodePublicKey, LineEnding},
    rand_core::OsRng,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};
use uuid::Uuid;

pub const METADATA: &str = "/.well-known/openid-configuration";
pub const AUTHORIZE: &str = "/authorize";
pub const TOKEN: &str = "/token";
pub const JWKS: &str = "/jwks";
pub const USERINFO: &str = "/userinfo";
pub const GITHUB_AUTHORIZE: &str = "/login/oauth/authorize";
pub const GITHUB_TOKEN: &str = "/login/oauth/access_token";
pub const GITHUB_USER: &str = "/api/v3/user";
pub const GITHUB_EMAILS: &str = "/api/v3/user/emails";

/// The same at the stand-in for GitHub.
pub const CLIENT_ID: &str = "the-client";
/// With characters that differ between the secret and its form in a header.
pub const CLIENT_SECRET: &str = "secret:%2B+/&=~";
/// The description of a refusal, which anybody can put into a callback.
pub const REFUSAL: &str = "<script>alert('no')</script>";

/// What [`Deviation::HugeBody`] adds.
const HUGE: usize = 8 << 20;
/// How long an ID token is good, in seconds.
const LIFE: i64 = 600;

/// Dropping it stops it, and every conversation with it.
pub struct Provider {
    port: u16,
    state: Arc<Mutex<State>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Dropped before the thread is joined: that is the sign to end.
    life: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Whoever sits at the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// A number at the stand-in for GitHub.
    pub subject: String,
    pub email: Option<String>,
    /// `None` leaves the claim out; at the stand-in for GitHub it is a no.
    pub verified: Option<bool>,
    pub name: Option<String>,
}

impl Person {
    /// With a verified address, and named Ada Lovelace.
    pub fn new(subject: &str, email: &str) -> Self {
        Self {
            subject: subject.to_string(),
            email: Some(email.to_string()),
            verified: Some(true),
            name: Some("Ada Lovelace".to_string()),
        }
    }
}

/// What the provider does wrong, or otherwise than usual.
#[derive(Clone, Debug, PartialEq)]
pub enum Deviation {
    None,
    /// An ID token without a signature.
    AlgNone,
    /// HS256, with the PEM text of the public key as the secret.
    Hs256WithPublicKey,
    /// HS256, with the DER bytes of the public key as the secret.
    Hs256WithPublicDer,
    /// HS256, with the client's secret.
    Hs256WithClientSecret,
    UnknownKid,
    NoKid,
    /// Another key under the right name.
    SignedByStranger,
    NoIdToken,
    Issuer(String),
    Audience(Vec<String>),
    AuthorizedParty(String),
    /// Usually an ID token of several audiences names the client as `azp`.
    NoAuthorizedParty,
    /// An hour ago.
    Expired,
    /// An hour from now.
    IssuedInFuture,
    NoNonce,
    Nonce(String),
    /// Seconds from now; `None` leaves it out though it was asked for.
    AuthTime(Option<i64>),
    EmptySubject,
    /// 256 characters.
    SubjectTooLong,
    /// Any claim of the ID token; null takes it out.
    Claim(&'static str, Value),
    UserinfoSubject(String),
    /// A member of the right answer at a path; null takes it out.
    Member(&'static str, &'static str, Value),
    /// Further keys in the key set, before the right ones.
    MoreKeys(Vec<Value>),
    /// The client proves itself by a statement signed by this key, as Apple has it.
    SignedSecret(Box<p256::ecdsa::VerifyingKey>),
    /// The issuer in the discovery document.
    MetadataIssuer(String),
    /// Anything in the discovery document; null takes it out.
    Metadata(&'static str, Value),
    /// Takes this way alone (`client_secret_basic` or `client_secret_post`), and says so.
    ClientAuth(&'static str),
    /// The `iss` of the answer to the browser (RFC 9207), at GitHub too.
    AnswerIssuer(String),
    NoAnswerIssuer,
    /// The answer at a path: 503.
    Down(&'static str),
    /// The answer at a path: this status and an error in JSON.
    Status(&'static str, u16),
    /// The answer at a path: 200 and this, as JSON.
    Body(&'static str, Vec<u8>),
    /// The right answer at a path, with 8 MiB more in it, and without a length.
    HugeBody(&'static str),
    /// The right answer at a path, so much later.
    Slow(&'static str, Duration),
    /// The answer at a path: 302 to there.
    RedirectFrom(&'static str, String),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
}

/// What [`Provider::ask`] was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
    /// The `Content-Length`, where there is one.
    pub length: Option<u64>,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

impl Provider {
    /// On a free port; nobody is signed in.
    pub fn start() -> Self {
        let bound = Bound::bind("127.0.0.1:0").expect("a port to listen on");
        let port = bound.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::new(port)));
        Self {
            port,
            running: Mutex::new(Some(run(bound, state.clone()))),
            state,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where GitHub's addresses are, too.
    pub fn issuer(&self) -> String {
        self.state().issuer.clone()
    }

    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// From now on; what was asked for earlier stays with whom it was asked by.
    pub fn signed_in(&self, person: Person) {
        self.state().person = Some(person);
    }

    pub fn signed_out(&self) {
        self.state().person = None;
    }

    /// Address, primary, verified; otherwise it is the one of the person.
    pub fn github_emails(&self, emails: &[(&str, bool, bool)]) {
        let emails = emails.iter().map(|(email, primary, verified)| {
            json!({ "email": email, "primary": primary, "verified": verified, "visibility": null })
        });
        self.state().github_emails = Some(emails.collect());
    }

    /// In place of what it did before; [`Deviation::None`] to behave.
    pub fn deviate(&self, how: Deviation) {
        self.deviate_all(vec![how]);
    }

    /// Several at once.
    pub fn deviate_all(&self, how: Vec<Deviation>) {
        self.state().deviations = how;
    }

    /// Whether a page asks before it leads back.
    pub fn interactive(&self, asks: bool) {
        self.state().interactive = asks;
    }

    /// Exactly these; otherwise it is anything at `http://localhost` and `http://127.0.0.1`.
    pub fn allow_redirects(&self, to: &[&str]) {
        self.state().redirects = Some(to.iter().map(ToString::to_string).collect());
    }

    /// The time of what it signs; otherwise it is the system's.
    pub fn keep_time_by(&self, clock: impl Clock) {
        self.state().clock = Box::new(clock);
    }

    /// Signs with a new key of a new name, and may still publish the old ones.
    pub fn rotate_keys(&self, keep_old: bool) {
        let mut state = self.state();
        state.made += 1;
        let new = (format!("key-{}", state.made), key(state.made));
        if !keep_old {
            state.keys.clear();
        }
        state.keys.push(new);
    }

    /// Such as `POST /token`, the oldest first.
    pub fn requests(&self) -> Vec<String> {
        let asked = &self.state().asked;
        asked
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }

    /// Those at a path, the oldest first.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let mut asked = self.state().asked.clone();
        asked.retain(|asked| asked.path == path);
        asked
    }

    /// What was posted to exchange codes, at GitHub too.
    pub fn forms(&self) -> Vec<Asked> {
        let mut asked = self.state().asked.clone();
        asked.retain(|asked| [TOKEN, GITHUB_TOKEN].contains(&asked.path.as_str()));
        asked
    }

    /// How browsers came, at GitHub too.
    pub fn authorisations(&self) -> Vec<Asked> {
        let mut asked = self.state().asked.clone();
        asked.retain(|asked| [AUTHORIZE, GITHUB_AUTHORIZE].contains(&asked.path.as_str()));
        asked
    }

    /// Refuses connections from now on, and ends those that are open.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some(Running { life, thread }) = running {
            drop(life);
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the provider did not panic");
            }
        }
    }

    /// On the same port, with all it knew.
    pub fn restart(&self) {
        self.stop();
        let bound = Bound::bind(("127.0.0.1", self.port)).expect("the port it had");
        *self.running.lock().unwrap() = Some(run(bound, self.state.clone()));
    }

    /// What a browser does at the provider. Gives back the path and query of where it is led.
    pub async fn consent(&self, location: &str) -> String {
        let mut told = self.ask("GET", location, &[], &[]).await;
        if told.status == 200 {
            told = self
                .ask("POST", location, &[], &[("answer", "allow")])
                .await;
        }
        led(&told)
    }

    /// As [`Provider::consent`], of somebody who does not.
    pub async fn refuse(&self, location: &str) -> String {
        let form = [("answer", "refuse")];
        led(&self.ask("POST", location, &[], &form).await)
    }

    /// A request to the provider; follows no redirect.
    pub async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Told {
        let url = match url.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.issuer()),
            None => url.to_string(),
        };
        assert!(
            url.starts_with(&format!("{}/", self.issuer())),
            "{url} is not here"
        );
        ask(method, &url, headers, form).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A request to anywhere; follows no redirect.
pub async fn ask(method: &str, url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Told {
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .header("User-Agent", "a test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match form {
        [] => String::new(),
        form => {
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
            encode(form)
        }
    };
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let answer = Client::builder(TokioExecutor::new())
        .build_http()
        .request(request)
        .await
        .expect("an answer");
    let (parts, body) = answer.into_parts();
    let header = |name| Some(parts.headers.get(name)?.to_str().unwrap().to_string());
    let body = body.collect().await.expect("a body").to_bytes();
    Told {
        status: parts.status.as_u16(),
        location: header("Location"),
        length: header("Content-Length").map(|length| length.parse().unwrap()),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Asked {
    fn new(parts: &Parts, body: &[u8]) -> Self {
        let text = |value: &hyper::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let mut asked = Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_string(),
            query: decode(parts.uri.query().unwrap_or_default().as_bytes()),
            form: Vec::new(),
            headers,
        };
        if asked.is_form() {
            asked.form = decode(body);
        }
        asked
    }

    /// A parameter of the query.
    pub fn queried(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A field of the form.
    pub fn posted(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }

    /// By its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The name and the secret of `client_secret_basic`.
    pub fn basic(&self) -> Option<(String, String)> {
        let sent = self.header("authorization")?.strip_prefix("Basic ")?;
        let sent = String::from_utf8(BASE64.decode(sent.as_bytes()).ok()?).ok()?;
        let (name, secret) = sent.split_once(':')?;
        let plain = |text: &str| {
            let mut pairs = decode(text.as_bytes());
            match pairs.len() {
                1 => Some(pairs.remove(0).0),
                _ => None,
            }
        };
        Some((plain(name)?, plain(secret)?))
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    fn is_form(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }

    /// OAuth 2.0 has no parameter twice.
    fn repeats(&self) -> bool {
        [&self.query, &self.form].into_iter().any(|pairs| {
            let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
            names.len() < pairs.len()
        })
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = pairs.iter().find(|(known, _)| known == name)?;
    Some(value)
}

fn decode(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn encode(pairs: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The path and query of where a browser is led.
pub fn led(told: &Told) -> String {
    let Some(location) = &told.location else {
        panic!("{} and nowhere to go: {}", told.status, told.body);
    };
    let url = Url::parse(location).expect("a whole URL");
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

// Keys.

struct Key {
    /// PKCS #1, in PEM.
    private: String,
    /// SubjectPublicKeyInfo, in PEM.
    public: String,
    /// The same in DER.
    public_der: Vec<u8>,
}

impl Key {
    fn make() -> Self {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
        let public = key.to_public_key();
        Self {
            private: key.to_pkcs1_pem(LineEnding::LF).unwrap().to_string(),
            public: public.to_public_key_pem(LineEnding::LF).unwrap(),
            public_der: public.to_public_key_der().unwrap().into_vec(),
        }
    }

    fn signer(&self, kid: Option<&str>) -> CoreRsaPrivateSigningKey {
        let kid = kid.map(|kid| JsonWebKeyId::new(kid.to_string()));
        CoreRsaPrivateSigningKey::from_pem(&self.private, kid).expect("a key")
    }
}

/// All providers share their keys, as each takes a while to make. Nobody publishes the one at zero.
fn key(at: usize) -> &'static Key {
    static MADE: [OnceLock<Key>; 8] = [const { OnceLock::new() }; 8];
    MADE.get(at)
        .expect("fewer rotations")
        .get_or_init(Key::make)
}

// The server.

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn run(bound: Bound, state: Arc<Mutex<State>>) -> Running {
    bound.set_nonblocking(true).unwrap();
    let (life, end) = oneshot::channel();
    let thread = thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(async {
                tokio::select! {
                    _ = end => {}
                    () = listen(bound, state) => {}
                }
            });
    });
    Running { life, thread }
}

async fn listen(bound: Bound, state: Arc<Mutex<State>>) {
    let listener = TcpListener::from_std(bound).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, state.clone()));
            // A client that hangs up is no failure here.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked::new(&parts, &body);
    let delay = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        state.delay(&asked.path)
    };
    if let Some(delay) = delay {
        // This provider is slow: a client has to lose patience with it.
        sleep(delay).await;
    }
    Ok(state.lock().unwrap().answer(&asked).into_response())
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Sent in chunks, so that nobody knows before.
    hides_length: bool,
}

impl Answer {
    fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![
                ("Content-Type", kind.to_string()),
                ("Cache-Control", "no-store".to_string()),
            ],
            body: body.into(),
            hides_length: false,
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    fn redirect(status: u16, to: &str) -> Self {
        Self::text(status, "").with("Location", to)
    }

    fn error(status: u16, Refused(error, why): Refused) -> Self {
        Self::json(status, &json!({ "error": error, "error_description": why }))
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// With other members than the right ones.
    fn changed(mut self, path: &str, how: &[Deviation]) -> Self {
        for how in how {
            match how {
                Deviation::Member(at, name, value) if *at == path => {
                    let mut body: Value = serde_json::from_slice(&self.body).expect("JSON");
                    body[*name] = value.clone();
                    self.body = without_nulls(body).to_string().into_bytes();
                }
                Deviation::MoreKeys(keys) if path == JWKS => {
                    let mut body: Value = serde_json::from_slice(&self.body).expect("JSON");
                    let all = body["keys"].as_array_mut().expect("keys");
                    all.splice(0..0, keys.iter().cloned());
                    self.body = body.to_string().into_bytes();
                }
                _ => {}
            }
        }
        self
    }

    /// It still says what it said.
    fn pad(mut self) -> Self {
        let padding = "x".repeat(HUGE);
        let mut body: Value = serde_json::from_slice(&self.body).expect("JSON to pad");
        match &mut body {
            Value::Array(list) => list.push(json!({ "email": padding })),
            body => body["padding"] = json!(padding),
        }
        self.body = body.to_string().into_bytes();
        self.hides_length = true;
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = Full::new(Bytes::from(self.body));
        let body = match self.hides_length {
            true => body.map_frame(|frame| frame).boxed_unsync(),
            false => body.boxed_unsync(),
        };
        response.body(body).unwrap()
    }
}

/// An error of OAuth 2.0, and its description.
struct Refused(&'static str, &'static str);

/// What a code or an access token stands for.
#[derive(Clone)]
struct Grant {
    github: bool,
    person: Person,
    redirect_uri: String,
    challenge: String,
    scopes: Vec<String>,
    nonce: Option<String>,
    /// Whether `max_age` was asked for, and so `auth_time` is owed.
    dated: bool,
}

struct State {
    issuer: String,
    clock: Box<dyn Clock>,
    person: Option<Person>,
    github_emails: Option<Value>,
    deviations: Vec<Deviation>,
    interactive: bool,
    redirects: Option<Vec<String>>,
    /// By name. The last one signs.
    keys: Vec<(String, &'static Key)>,
    made: usize,
    asked: Vec<Asked>,
    codes: HashMap<String, Grant>,
    tokens: HashMap<String, Grant>,
}

impl State {
    fn new(port: u16) -> Self {
        Self {
            issuer: format!("http://127.0.0.1:{port}"),
            clock: Box::new(SystemClock),
            person: None,
            github_emails: None,
            deviations: Vec::new(),
            interactive: false,
            redirects: None,
            keys: vec![("key-1".to_string(), key(1))],
            made: 1,
            asked: Vec::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    fn delay(&self, path: &str) -> Option<Duration> {
        self.deviations.iter().find_map(|how| match how {
            Deviation::Slow(at, delay) if *at == path => Some(*delay),
            _ => None,
        })
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millis() / 1000
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        let path = asked.path.as_str();
        for how in &self.deviations {
            match how {
                Deviation::Down(at) if *at == path => {
                    return Answer::text(503, "back soon");
                }
                Deviation::Status(at, status) if *at == path => {
                    return Answer::error(*status, Refused("server_error", "on demand"));
                }
                Deviation::Body(at, body) if *at == path => {
                    return Answer::new(200, "application/json", body.clone());
                }
                Deviation::RedirectFrom(at, to) if *at == path => {
                    return Answer::redirect(302, to);
                }
                _ => {}
            }
        }
        let answer = match (asked.method.as_str(), path) {
            ("GET", METADATA) => self.metadata(),
            ("GET", JWKS) => self.jwks(),
            ("GET" | "POST", AUTHORIZE) => self.authorise(asked, false),
            ("POST", TOKEN) => self.token(asked),
            ("GET" | "POST", USERINFO) => self.userinfo(asked),
            ("GET" | "POST", GITHUB_AUTHORIZE) => self.authorise(asked, true),
            ("POST", GITHUB_TOKEN) => self.github_token(asked),
            ("GET", GITHUB_USER | GITHUB_EMAILS) => self.github_api(asked),
            (
                _,
                METADATA | JWKS | AUTHORIZE | TOKEN | USERINFO | GITHUB_AUTHORIZE | GITHUB_TOKEN
                | GITHUB_USER | GITHUB_EMAILS,
            ) => Answer::text(405, "not by this method"),
            _ => Answer::text(404, "nothing here"),
        };
        let huge = |how: &Deviation| matches!(how, Deviation::HugeBody(at) if *at == path);
        let answer = answer.changed(path, &self.deviations);
        match self.deviations.iter().any(huge) {
            true => answer.pad(),
            false => answer,
        }
    }

    fn metadata(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let scopes = ["openid", "email", "profile"].map(|scope| Scope::new(scope.to_string()));
        let metadata = CoreProviderMetadata::new(
            IssuerUrl::new(self.issuer.clone()).unwrap(),
            AuthUrl::new(at(AUTHORIZE)).unwrap(),
            JsonWebKeySetUrl::new(at(JWKS)).unwrap(),
            vec![ResponseTypes::new(vec![CoreResponseType::Code])],
            vec![CoreSubjectIdentifierType::Public],
            vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
            Default::default(),
        )
        .set_token_endpoint(Some(TokenUrl::new(at(TOKEN)).unwrap()))
        .set_userinfo_endpoint(Some(UserInfoUrl::new(at(USERINFO)).unwrap()))
        .set_scopes_supported(Some(scopes.to_vec()))
        .set_token_endpoint_auth_methods_supported(Some(vec![
            CoreClientAuthMethod::ClientSecretBasic,
            CoreClientAuthMethod::ClientSecretPost,
        ]));
        let mut metadata = serde_json::to_value(metadata).unwrap();
        // RFC 8414 and RFC 9207 added these.
        metadata["code_challenge_methods_supported"] = json!(["S256"]);
        metadata["authorization_response_iss_parameter_supported"] = json!(true);
        for how in &self.deviations {
            match how {
                Deviation::MetadataIssuer(issuer) => metadata["issuer"] = json!(issuer),
                Deviation::Metadata(name, value) => metadata[*name] = value.clone(),
                Deviation::ClientAuth(way) => {
                    metadata["token_endpoint_auth_methods_supported"] = json!([way]);
                }
                _ => {}
            }
        }
        Answer::json(200, &without_nulls(metadata))
    }

    fn jwks(&self) -> Answer {
        let public = |(kid, key): &(String, &Key)| key.signer(Some(kid)).as_verification_key();
        let keys = CoreJsonWebKeySet::new(self.keys.iter().map(public).collect());
        Answer::json(200, &serde_json::to_value(keys).unwrap())
    }

    fn authorise(&mut self, asked: &Asked, github: bool) -> Answer {
        // Nobody is sent to a place that may not be the client's.
        if asked.repeats() {
            return Answer::text(400, "a parameter comes twice");
        }
        if asked.queried("client_id") != Some(CLIENT_ID) {
            return Answer::text(400, "no client of ours");
        }
        let redirect_uri = asked.queried("redirect_uri").unwrap_or_default();
        let Some(mut to) = self.redirect(redirect_uri) else {
            return Answer::text(400, "not an address of the client");
        };
        let verdict = self.verdict(asked, github);
        if let Ok(grant) = &verdict
            && self.interactive
            && asked.method == "GET"
        {
            return page(asked, &grant.person);
        }
        match verdict {
            Ok(grant) => {
                // With a character that has to be encoded on its way.
                let code = format!("4/{}", Uuid::new_v4().simple());
                to.query_pairs_mut().append_pair("code", &code);
                self.codes.insert(code, grant);
            }
            Err(Refused(error, why)) => {
                to.query_pairs_mut()
                    .append_pair("error", error)
                    .append_pair("error_description", why);
            }
        }
        if let Some(state) = asked.queried("state") {
            to.query_pairs_mut().append_pair("state", state);
        }
        if let Some(issuer) = self.answer_issuer(github) {
            to.query_pairs_mut().append_pair("iss", &issuer);
        }
        if self.interactive && asked.queried("response_mode") == Some("form_post") {
            return post_back(to);
        }
        let status = if asked.method == "GET" { 302 } else { 303 };
        Answer::redirect(status, to.as_str())
    }

    fn redirect(&self, to: &str) -> Option<Url> {
        let url = Url::parse(to).ok()?;
        let allowed = match &self.redirects {
            Some(allowed) => allowed.iter().any(|allowed| allowed == to),
            None => {
                url.scheme() == "http"
                    && matches!(url.host_str(), Some("localhost" | "127.0.0.1"))
                    && url.username().is_empty()
            }
        };
        (allowed && url.fragment().is_none()).then_some(url)
    }

    fn answer_issuer(&self, github: bool) -> Option<String> {
        for how in &self.deviations {
            match how {
                Deviation::AnswerIssuer(issuer) => return Some(issuer.clone()),
                Deviation::NoAnswerIssuer => return None,
                _ => {}
            }
        }
        (!github).then(|| self.issuer.clone())
    }

    fn verdict(&self, asked: &Asked, github: bool) -> Result<Grant, Refused> {
        let given = |name| asked.queried(name).unwrap_or_default();
        // GitHub knows one type, and nobody has to name it.
        if given("response_type") != "code" && !(github && given("response_type").is_empty()) {
            return Err(Refused("unsupported_response_type", "only code"));
        }
        if !["", "query", "form_post"].contains(&given("response_mode")) {
            return Err(Refused(
                "invalid_request",
                "answers by query or form_post only",
            ));
        }
        let scopes: Vec<String> = given("scope")
            .split([' ', ','])
            .map(str::to_string)
            .collect();
        if !github && !scopes.iter().any(|scope| scope == "openid") {
            return Err(Refused("invalid_scope", "openid is missing"));
        }
        let challenge = given("code_challenge");
        let decoded = BASE64URL_NOPAD.decode(challenge.as_bytes());
        if given("code_challenge_method") != "S256" || decoded.map_or(0, |hash| hash.len()) != 32 {
            return Err(Refused("invalid_request", "a challenge by S256 is missing"));
        }
        let max_age = asked.queried("max_age");
        if max_age.is_some_and(|age| age.parse::<u32>().is_err()) {
            return Err(Refused("invalid_request", "max_age is a number"));
        }
        if asked.posted("answer") == Some("refuse") {
            return Err(Refused("access_denied", REFUSAL));
        }
        let Some(person) = self.person.clone() else {
            return Err(Refused("login_required", "nobody is signed in"));
        };
        if self.interactive && given("prompt") == "none" {
            return Err(Refused("interaction_required", "the person is asked here"));
        }
        Ok(Grant {
            github,
            person,
            redirect_uri: given("redirect_uri").to_string(),
            challenge: challenge.to_string(),
            scopes,
            nonce: asked.queried("nonce").map(str::to_string),
            dated: max_age.is_some(),
        })
    }

    /// By which way the client showed who it is.
    fn client(&self, asked: &Asked) -> Option<&'static str> {
        let (way, id, secret) = match (asked.basic(), asked.posted("client_secret")) {
            (Some((id, secret)), None) => ("client_secret_basic", id, secret),
            (None, Some(secret)) => {
                let id = asked.posted("client_id")?.to_string();
                ("client_secret_post", id, secret.to_string())
            }
            // Neither, or both, of which RFC 6749 allows one.
            _ => return None,
        };
        for how in &self.deviations {
            if let Deviation::SignedSecret(key) = how {
                let good = id == CLIENT_ID && self.is_signed(key, &secret);
                return good.then_some(way);
            }
        }
        let taken = self
            .deviations
            .iter()
            .all(|how| !matches!(how, Deviation::ClientAuth(only) if *only != way));
        (taken && id == CLIENT_ID && secret == CLIENT_SECRET).then_some(way)
    }

    /// What Apple asks of a client secret.
    fn is_signed(&self, key: &p256::ecdsa::VerifyingKey, secret: &str) -> bool {
        use p256::ecdsa::{Signature, signature::Verifier};
        let Some((said, signature)) = secret.rsplit_once('.') else {
            return false;
        };
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
        let signature = Signature::from_slice(&decoded(signature));
        if !signature.is_ok_and(|signature| key.verify(said.as_bytes(), &signature).is_ok()) {
            return false;
        }
        let (header, claims) = said.split_once('.').expect("two parts");
        let [header, claims]: [Value; 2] =
            [header, claims].map(|part| serde_json::from_slice(&decoded(part)).expect("JSON"));
        let now = self.now();
        header["alg"] == "ES256"
            && header["kid"] == "KEY1234567"
            && claims["iss"] == "TEAM123456"
            && claims["sub"] == CLIENT_ID
            && claims["aud"] == self.issuer.as_str()
            && claims["iat"].as_i64().is_some_and(|at| at <= now)
            && claims["exp"]
                .as_i64()
                .is_some_and(|at| at > now && at <= now + 15_777_000)
    }

    /// The code is gone, whatever else was wrong.
    fn redeem(&mut self, asked: &Asked, github: bool) -> Result<Grant, &'static str> {
        let given = |name| asked.posted(name).unwrap_or_default();
        let grant = self.codes.remove(given("code")).ok_or("no such code")?;
        if grant.github != github {
            return Err("a code of somebody else");
        }
        if given("redirect_uri") != grant.redirect_uri {
            return Err("another redirect_uri");
        }
        let verifier = given("code_verifier");
        let hash = BASE64URL_NOPAD.encode(&Sha256::digest(verifier));
        if !(43..=128).contains(&verifier.len()) || hash != grant.challenge {
            return Err("another code_verifier");
        }
        Ok(grant)
    }

    fn token(&mut self, asked: &Asked) -> Answer {
        if !asked.is_form() || asked.repeats() {
            return Answer::error(400, Refused("invalid_request", "not a proper form"));
        }
        if self.client(asked).is_none() {
            return Answer::error(401, Refused("invalid_client", "no client of ours"))
                .with("WWW-Authenticate", "Basic realm=\"token\"");
        }
        if asked.posted("grant_type") != Some("authorization_code") {
            return Answer::error(400, Refused("unsupported_grant_type", "only codes"));
        }
        let grant = match self.redeem(asked, false) {
            Ok(grant) => grant,
            Err(why) => return Answer::error(400, Refused("invalid_grant", why)),
        };
        let access = Uuid::new_v4().simple().to_string();
        let mut body = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": LIFE,
            "scope": grant.scopes.join(" "),
        });
        if !self.deviations.contains(&Deviation::NoIdToken) {
            body["id_token"] = json!(self.sign(self.claims(&grant, &access)));
        }
        self.tokens.insert(access, grant);
        Answer::json(200, &body)
    }

    /// What the scopes let the client know.
    fn profile(&self, grant: &Grant) -> Value {
        let person = &grant.person;
        let mut subject = person.subject.clone();
        for how in &self.deviations {
            match how {
                Deviation::EmptySubject => subject.clear(),
                Deviation::SubjectTooLong => subject = "9".repeat(256),
                _ => {}
            }
        }
        let mut profile = json!({ "sub": subject });
        if grant.may("email") {
            profile["email"] = json!(person.email);
            profile["email_verified"] = json!(person.verified);
        }
        if grant.may("profile") {
            profile["name"] = json!(person.name);
        }
        without_nulls(profile)
    }

    fn claims(&self, grant: &Grant, access: &str) -> Value {
        let now = self.now();
        let hash = Sha256::digest(access);
        let mut claims = self.profile(grant);
        claims["iss"] = json!(self.issuer);
        claims["aud"] = json!([CLIENT_ID]);
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + LIFE);
        claims["nonce"] = json!(grant.nonce);
        claims["at_hash"] = json!(BASE64URL_NOPAD.encode(&hash[..16]));
        if grant.dated {
            claims["auth_time"] = json!(now);
        }
        for how in &self.deviations {
            match how {
                Deviation::Issuer(issuer) => claims["iss"] = json!(issuer),
                Deviation::Audience(audience) => {
                    claims["aud"] = json!(audience);
                    if audience.len() > 1 && claims.get("azp").is_none() {
                        claims["azp"] = json!(CLIENT_ID);
                    }
                }
                Deviation::AuthorizedParty(party) => claims["azp"] = json!(party),
                Deviation::Expired => {
                    claims["iat"] = json!(now - 3600 - LIFE);
                    claims["exp"] = json!(now - 3600);
                }
                Deviation::IssuedInFuture => {
                    claims["iat"] = json!(now + 3600);
                    claims["exp"] = json!(now + 3600 + LIFE);
                }
                Deviation::NoNonce => claims["nonce"] = Value::Null,
                Deviation::Nonce(nonce) => claims["nonce"] = json!(nonce),
                Deviation::AuthTime(offset) => {
                    claims["auth_time"] = json!(offset.map(|offset| now + offset));
                }
                Deviation::Claim(name, value) => claims[*name] = value.clone(),
                _ => {}
            }
        }
        if self.deviations.contains(&Deviation::NoAuthorizedParty) {
            claims["azp"] = Value::Null;
        }
        without_nulls(claims)
    }

    fn sign(&self, claims: Value) -> String {
        let (kid, mut key) = self.keys.last().map(|(kid, key)| (kid, *key)).unwrap();
        let (mut alg, mut kid) = ("RS256", Some(kid.as_str()));
        let (mut secret, mut odd) = (Vec::new(), false);
        for how in &self.deviations {
            match how {
                Deviation::AlgNone => alg = "none",
                Deviation::Hs256WithPublicKey => {
                    (alg, secret) = ("HS256", key.public.clone().into_bytes());
                }
                Deviation::Hs256WithPublicDer => (alg, secret) = ("HS256", key.public_der.clone()),
                Deviation::Hs256WithClientSecret => {
                    (alg, secret) = ("HS256", CLIENT_SECRET.as_bytes().to_vec());
                }
                Deviation::UnknownKid => kid = Some("nobody-knows"),
                Deviation::NoKid => kid = None,
                Deviation::SignedByStranger => key = self::key(0),
                // Of any shape.
                Deviation::Issuer(_) | Deviation::Claim(..) => odd = true,
                _ => {}
            }
        }
        let (rs256, hs256) = (
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::HmacSha256,
        );
        let signer = key.signer(kid);
        if alg == "RS256" && !odd {
            let claims: CoreIdTokenClaims = serde_json::from_value(claims).expect("claims");
            let token = CoreIdToken::new(claims, &signer, rs256, None, None);
            return token.expect("an ID token").to_string();
        }
        let header = without_nulls(json!({ "alg": alg, "kid": kid, "typ": "JWT" }));
        let [header, claims] =
            [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{claims}");
        let signature = match alg {
            "none" => Vec::new(),
            "HS256" => CoreHmacKey::new(secret)
                .sign(&hs256, signed.as_bytes())
                .expect("a MAC"),
            _ => signer.sign(&rs256, signed.as_bytes()).expect("a signature"),
        };
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn bearer(&self, asked: &Asked, github: bool) -> Option<&Grant> {
        let grant = self.tokens.get(asked.bearer()?)?;
        (grant.github == github).then_some(grant)
    }

    fn userinfo(&self, asked: &Asked) -> Answer {
        let Some(grant) = self.bearer(asked, false) else {
            return Answer::error(401, Refused("invalid_token", "no token of ours"))
                .with("WWW-Authenticate", "Bearer error=\"invalid_token\"");
        };
        let mut profile = self.profile(grant);
        for how in &self.deviations {
            if let Deviation::UserinfoSubject(subject) = how {
                profile["sub"] = json!(subject);
            }
        }
        Answer::json(200, &profile)
    }

    /// Errors are 200 there, and JSON is for those who ask for it.
    fn github_token(&mut self, asked: &Asked) -> Answer {
        let body = match (self.client(asked), self.redeem(asked, true)) {
            (None, _) => json!({
                "error": "incorrect_client_credentials",
                "error_description": "no client of ours",
            }),
            (_, Err(why)) => json!({
                "error": "bad_verification_code",
                "error_description": why,
                "error_uri": "https://docs.github.com/",
            }),
            (_, Ok(grant)) => {
                let access = format!("gho_{}", Uuid::new_v4().simple());
                let scope = grant.scopes.join(",");
                self.tokens.insert(access.clone(), grant);
                json!({ "access_token": access, "token_type": "bearer", "scope": scope })
            }
        };
        let wants_json = asked
            .header("accept")
            .is_some_and(|accept| accept.contains("application/json"));
        if wants_json {
            return Answer::json(200, &body);
        }
        let pairs: Vec<_> = body
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name, value.as_str().unwrap()))
            .collect();
        Answer::new(200, "application/x-www-form-urlencoded", encode(&pairs))
    }

    fn github_api(&self, asked: &Asked) -> Answer {
        let message = |status, message: &str| Answer::json(status, &json!({ "message": message }));
        if asked.header("user-agent").is_none() {
            return message(403, "a User-Agent is missing");
        }
        let Some(grant) = self.bearer(asked, true) else {
            return message(401, "Bad credentials");
        };
        let person = &grant.person;
        if asked.path == GITHUB_USER {
            let id: u64 = person.subject.parse().expect("a number for GitHub");
            let name = person.name.as_deref().unwrap_or("nobody").to_lowercase();
            let login = name.split(' ').next().unwrap();
            let name = &person.name;
            return Answer::json(
                200,
                &json!({ "id": id, "login": login, "name": name, "email": null }),
            );
        }
        if !grant.may("user:email") && !grant.may("user") {
            return message(404, "Not Found");
        }
        let own = person.email.iter().map(|email| {
            let verified = person.verified.unwrap_or_default();
            json!({ "email": email, "primary": true, "verified": verified, "visibility": null })
        });
        let emails = self.github_emails.clone();
        Answer::json(200, &emails.unwrap_or_else(|| own.collect()))
    }
}

impl Grant {
    fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|known| known == scope)
    }
}

fn without_nulls(mut value: Value) -> Value {
    value
        .as_object_mut()
        .expect("an object")
        .retain(|_, value| !value.is_null());
    value
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn page(asked: &Asked, person: &Person) -> Answer {
    let who = escape(person.email.as_deref().unwrap_or(&person.subject));
    let action = escape(&format!("{}?{}", asked.path, encode(&asked.query)));
    let html = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>The provider asks</title>
</head>
<body>
<main>
<h1>Go on as {who}?</h1>
<form method="post" action="{action}">
<button id="allow" name="answer" value="allow">Allow</button>
<button id="refuse" name="answer" value="refuse">Refuse</button>
</form>
</main>
</body>
</html>
"#
    );
    Answer::new(200, "text/html; charset=utf-8", html)
}

/// A page that posts the answer by itself (OAuth 2.0 Form Post Response Mode).
fn post_back(mut to: Url) -> Answer {
    let said: String = to
        .query_pairs()
        .map(|(name, value)| {
            let (name, value) = (escape(&name), escape(&value));
            format!(r#"<input type="hidden" name="{name}" value="{value}">"#)
        })
        .collect();
    to.set_query(None);
    let action = escape(to.as_str());
    let html = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Going back</title></head>
<body><form method="post" action="{action}">{said}</form><script>document.forms[0].submit()</script></body>
</html>
"#
    );
    Answer::new(200, "text/html; charset=utf-8", html)
}

// The provider itself.

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use hmac::{Hmac, KeyInit, Mac};
    use openidconnect::{ClientId, ClientSecret, Nonce, core::CoreIdTokenVerifier};
    use rocket::tokio::net::TcpStream;

    use super::*;

    const BACK: &str = "http://localhost:8000/back";
    const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

    fn provider() -> Provider {
        let provider = Provider::start();
        provider.signed_in(Person::new("123", "ada@example.com"));
        provider
    }

    fn address(path: &str, changed: &[(&str, &str)]) -> String {
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER));
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", BACK),
            ("scope", "openid email profile user:email"),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        query.retain(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        query.extend(changed);
        format!("{path}?{}", encode(&query))
    }

    fn parameter(led: &str, name: &str) -> Option<String> {
        let (path, query) = led.split_once('?').unwrap();
        assert_eq!(path, "/back");
        find(&decode(query.as_bytes()), name).map(str::to_string)
    }

    async fn exchange(provider: &Provider, path: &str, code: &str, verifier: &str) -> Told {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", verifier),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
        ];
        let headers = [("Accept", "application/json")];
        provider.ask("POST", path, &headers, &form).await
    }

    async fn code(provider: &Provider, path: &str) -> String {
        let led = provider.consent(&address(path, &[])).await;
        parameter(&led, "code").unwrap_or_else(|| panic!("no code in {led}"))
    }

    async fn token(provider: &Provider) -> Value {
        let code = code(provider, AUTHORIZE).await;
        let told = exchange(provider, TOKEN, &code, VERIFIER).await;
        assert_eq!(told.status, 200, "{}", told.body);
        told.json()
    }

    /// What a client makes of the ID token, by the keys that are published.
    async fn accepted(provider: &Provider, answer: &Value) -> Result<String, String> {
        let keys = provider.ask("GET", JWKS, &[], &[]).await.json();
        let verifier = CoreIdTokenVerifier::new_confidential_client(
            ClientId::new(CLIENT_ID.to_string()),
            ClientSecret::new(CLIENT_SECRET.to_string()),
            IssuerUrl::new(provider.issuer()).unwrap(),
            serde_json::from_value(keys).unwrap(),
        );
        let token = answer["id_token"].as_str().expect("an ID token");
        let token: CoreIdToken = token.parse().map_err(|error| format!("{error}"))?;
        let claims = token
            .claims(&verifier, &Nonce::new("a nonce".to_string()))
            .map_err(|error| format!("{error}"))?;
        Ok(claims.subject().to_string())
    }

    #[rocket::async_test]
    async fn a_code_is_taken_once_and_with_its_verifier() {
        let provider = provider();
        let first = code(&provider, AUTHORIZE).await;
        let told = exchange(&provider, TOKEN, &first, VERIFIER).await;
        assert_eq!(told.status, 200, "{}", told.body);
        let access = format!("Bearer {}", told.json()["access_token"].as_str().unwrap());
        let told = exchange(&provider, TOKEN, &first, VERIFIER).await;
        assert_eq!(
            (told.status, &told.json()["error"]),
            (400, &json!("invalid_grant"))
        );

        let second = code(&provider, AUTHORIZE).await;
        let told = exchange(&provider, TOKEN, &second, &VERIFIER.replace('a', "b")).await;
        assert_eq!(
            (told.status, &told.json()["error"]),
            (400, &json!("invalid_grant"))
        );

        // Not where the code is GitHub's.
        let third = code(&provider, GITHUB_AUTHORIZE).await;
        assert_eq!(
            exchange(&provider, TOKEN, &third, VERIFIER).await.status,
            400
        );

        let headers = [("Authorization", access.as_str())];
        let told = provider.ask("GET", USERINFO, &headers, &[]).await;
        assert_eq!(
            told.json(),
            json!({
                "sub": "123",
                "email": "ada@example.com",
                "email_verified": true,
                "name": "Ada Lovelace",
            })
        );
        assert_eq!(provider.ask("GET", USERINFO, &[], &[]).await.status, 401);
        assert_eq!(provider.forms()[0].posted("code_verifier"), Some(VERIFIER));
        assert_eq!(provider.requests()[..2], ["GET /authorize", "POST /token"]);
    }

    #[rocket::async_test]
    async fn a_client_shows_who_it_is_in_one_of_two_ways() {
        let provider = provider();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let (id, secret): (String, String) = (encoded(CLIENT_ID), encoded(CLIENT_SECRET));
        let right = format!(
            "Basic {}",
            BASE64.encode(format!("{id}:{secret}").as_bytes())
        );
        let raw = format!("{CLIENT_ID}:{CLIENT_SECRET}");
        let raw = format!("Basic {}", BASE64.encode(raw.as_bytes()));
        let post = ("client_secret", CLIENT_SECRET);
        for (sent, extra, only, status) in [
            (Some(&right), None, None, 200),
            (Some(&raw), None, None, 401),
            (Some(&right), Some(post), None, 401),
            (None, Some(post), None, 200),
            (None, Some(("client_secret", "wrong")), None, 401),
            (None, None, None, 401),
            (Some(&right), None, Some("client_secret_post"), 401),
            (None, Some(post), Some("client_secret_post"), 200),
        ] {
            provider.deviate(only.map_or(Deviation::None, Deviation::ClientAuth));
            let code = code(&provider, AUTHORIZE).await;
            let mut form = vec![
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", BACK),
                ("code_verifier", VERIFIER),
                ("client_id", CLIENT_ID),
            ];
            form.extend(extra);
            let headers = sent.map(|sent| ("Authorization", sent.as_str()));
            let told = provider.ask("POST", TOKEN, headers.as_slice(), &form).await;
            assert_eq!(told.status, status, "{sent:?} {extra:?}: {}", told.body);
        }
    }

    #[rocket::async_test]
    async fn nobody_is_led_on_who_asks_wrongly() {
        let provider = provider();
        for (name, value) in [
            ("client_id", "another"),
            ("redirect_uri", "http://evil.example/back"),
            ("redirect_uri", "http://localhost:8000/back#there"),
        ] {
            let told = provider
                .ask("GET", &address(AUTHORIZE, &[(name, value)]), &[], &[])
                .await;
            assert_eq!((told.status, told.location), (400, None), "{name}={value}");
        }
        let twice = format!("{}&state=another", address(AUTHORIZE, &[]));
        assert_eq!(provider.ask("GET", &twice, &[], &[]).await.status, 400);
        for (name, value, error) in [
            ("response_type", "token", "unsupported_response_type"),
            ("scope", "email", "invalid_scope"),
            ("code_challenge", "", "invalid_request"),
            ("code_challenge_method", "plain", "invalid_request"),
            ("max_age", "soon", "invalid_request"),
        ] {
            let led = provider
                .consent(&address(AUTHORIZE, &[(name, value)]))
                .await;
            assert_eq!(parameter(&led, "error").as_deref(), Some(error));
            assert_eq!(parameter(&led, "code"), None);
            assert_eq!(parameter(&led, "state").as_deref(), Some("a state"));
        }
        let led = provider.refuse(&address(AUTHORIZE, &[])).await;
        assert_eq!(parameter(&led, "error").as_deref(), Some("access_denied"));
        assert_eq!(
            parameter(&led, "error_description").as_deref(),
            Some(REFUSAL)
        );
        assert_eq!(parameter(&led, "iss"), Some(provider.issuer()));

        provider.interactive(true);
        let told = provider
            .ask("GET", &address(AUTHORIZE, &[]), &[], &[])
            .await;
        assert!(told.status == 200 && told.body.contains("ada@example.com"));
        code(&provider, AUTHORIZE).await;
        provider.signed_out();
        let led = provider.consent(&address(AUTHORIZE, &[])).await;
        assert_eq!(parameter(&led, "error").as_deref(), Some("login_required"));
    }

    #[rocket::async_test]
    async fn an_id_token_is_good_unless_told_otherwise() {
        let provider = provider();
        for good in [
            Deviation::None,
            Deviation::NoKid,
            Deviation::AuthTime(Some(-3600)),
            Deviation::Claim("aud", json!(CLIENT_ID)),
        ] {
            provider.deviate(good.clone());
            let answer = token(&provider).await;
            let subject = accepted(&provider, &answer).await;
            assert_eq!(subject, Ok("123".to_string()), "{good:?}");
        }
        let (us, them) = (CLIENT_ID.to_string(), "another".to_string());
        for bad in [
            vec![Deviation::AlgNone],
            vec![Deviation::Hs256WithPublicKey],
            vec![Deviation::Hs256WithPublicDer],
            vec![Deviation::Hs256WithClientSecret],
            vec![Deviation::UnknownKid],
            vec![Deviation::SignedByStranger],
            vec![Deviation::Issuer("https://evil.example".to_string())],
            vec![Deviation::Audience(vec![them.clone()])],
            vec![
                Deviation::Audience(vec![us, them.clone()]),
                Deviation::AuthorizedParty(them),
            ],
            vec![Deviation::Expired],
            vec![Deviation::NoNonce],
            vec![Deviation::Nonce("another".to_string())],
            vec![Deviation::Claim("exp", json!("soon"))],
        ] {
            provider.deviate_all(bad.clone());
            let answer = token(&provider).await;
            let refused = accepted(&provider, &answer).await;
            assert!(refused.is_err(), "{bad:?}");
        }
        provider.deviate(Deviation::NoIdToken);
        assert_eq!(token(&provider).await.get("id_token"), None);

        provider.deviate(Deviation::None);
        let old = token(&provider).await;
        provider.rotate_keys(true);
        assert!(accepted(&provider, &old).await.is_ok());
        let new = token(&provider).await;
        provider.rotate_keys(false);
        assert!(accepted(&provider, &old).await.is_err());
        assert!(accepted(&provider, &new).await.is_err());
        let newest = token(&provider).await;
        assert!(accepted(&provider, &newest).await.is_ok());
    }

    #[rocket::async_test]
    async fn a_forged_mac_is_right_for_the_key_it_misuses() {
        let provider = provider();
        let published = key(1);
        for (how, secret) in [
            (Deviation::Hs256WithPublicKey, published.public.as_bytes()),
            (Deviation::Hs256WithPublicDer, &published.public_der),
            (Deviation::Hs256WithClientSecret, CLIENT_SECRET.as_bytes()),
        ] {
            provider.deviate(how.clone());
            let answer = token(&provider).await;
            let token = answer["id_token"].as_str().unwrap();
            let (signed, mac) = token.rsplit_once('.').unwrap();
            let header = signed.split('.').next().unwrap();
            let header = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(
                header,
                json!({ "alg": "HS256", "kid": "key-1", "typ": "JWT" })
            );
            let mut right = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            right.update(signed.as_bytes());
            let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap();
            assert!(right.verify_slice(&mac).is_ok(), "{how:?}");
        }
    }

    /// The claims as they are sent, whatever the signature.
    fn claims(answer: &Value) -> Value {
        let token = answer["id_token"].as_str().unwrap();
        let claims = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap()
    }

    #[rocket::async_test]
    async fn claims_deviate_as_they_are_named() {
        let provider = provider();
        let now = SystemClock.now().as_millis() / 1000;
        provider.deviate(Deviation::IssuedInFuture);
        assert!(claims(&token(&provider).await)["iat"].as_i64() >= Some(now + 3600));
        provider.deviate(Deviation::EmptySubject);
        assert_eq!(claims(&token(&provider).await)["sub"], "");
        provider.deviate(Deviation::SubjectTooLong);
        let subject = claims(&token(&provider).await)["sub"].clone();
        assert_eq!(subject.as_str().map(str::len), Some(256));
        provider.deviate(Deviation::Claim("email", Value::Null));
        assert_eq!(claims(&token(&provider).await).get("email"), None);
        let both = vec![CLIENT_ID.to_string(), "another".to_string()];
        provider.deviate(Deviation::Audience(both.clone()));
        assert_eq!(claims(&token(&provider).await)["azp"], CLIENT_ID);
        provider.deviate_all(vec![
            Deviation::NoAuthorizedParty,
            Deviation::Audience(both),
        ]);
        assert_eq!(claims(&token(&provider).await).get("azp"), None);

        provider.deviate(Deviation::None);
        assert_eq!(claims(&token(&provider).await).get("auth_time"), None);
        for (how, dated) in [(Deviation::None, true), (Deviation::AuthTime(None), false)] {
            provider.deviate(how);
            let led = provider
                .consent(&address(AUTHORIZE, &[("max_age", "60")]))
                .await;
            let code = parameter(&led, "code").unwrap();
            let answer = exchange(&provider, TOKEN, &code, VERIFIER).await.json();
            assert_eq!(claims(&answer).get("auth_time").is_some(), dated);
        }

        provider.deviate(Deviation::UserinfoSubject("456".to_string()));
        let access = token(&provider).await["access_token"].clone();
        let access = format!("Bearer {}", access.as_str().unwrap());
        let headers = [("Authorization", access.as_str())];
        let told = provider.ask("GET", USERINFO, &headers, &[]).await;
        assert_eq!(told.json()["sub"], "456");
        provider.deviate(Deviation::MetadataIssuer(
            "https://evil.example".to_string(),
        ));
        let told = provider.ask("GET", METADATA, &[], &[]).await;
        assert_eq!(told.json()["issuer"], "https://evil.example");
        for (how, issuer) in [
            (
                Deviation::AnswerIssuer("https://evil.example".into()),
                Some("https://evil.example"),
            ),
            (Deviation::NoAnswerIssuer, None),
        ] {
            provider.deviate(how);
            let led = provider.consent(&address(AUTHORIZE, &[])).await;
            assert_eq!(parameter(&led, "iss").as_deref(), issuer);
        }
    }

    #[rocket::async_test]
    async fn github_says_no_with_200_and_tells_a_bearer_who_it_is() {
        let provider = provider();
        let first = code(&provider, GITHUB_AUTHORIZE).await;
        let told = exchange(&provider, GITHUB_TOKEN, &first, "another").await;
        assert_eq!(
            (told.status, &told.json()["error"]),
            (200, &json!("bad_verification_code"))
        );
        let second = code(&provider, GITHUB_AUTHORIZE).await;
        let told = exchange(&provider, GITHUB_TOKEN, &second, VERIFIER).await;
        let access = format!("Bearer {}", told.json()["access_token"].as_str().unwrap());
        let headers = [("Authorization", access.as_str())];
        let user = provider.ask("GET", GITHUB_USER, &headers, &[]).await.json();
        assert_eq!(
            user,
            json!({ "id": 123, "login": "ada", "name": "Ada Lovelace", "email": null })
        );
        let emails = provider
            .ask("GET", GITHUB_EMAILS, &headers, &[])
            .await
            .json();
        assert_eq!(emails[0]["email"], "ada@example.com");
        provider.github_emails(&[
            ("a@example.com", false, true),
            ("b@example.com", true, false),
        ]);
        let emails = provider
            .ask("GET", GITHUB_EMAILS, &headers, &[])
            .await
            .json();
        assert_eq!(emails[1]["primary"], true);
        assert_eq!(provider.ask("GET", GITHUB_USER, &[], &[]).await.status, 401);
        assert_eq!(
            provider.ask("GET", USERINFO, &headers, &[]).await.status,
            401
        );
    }

    #[rocket::async_test]
    async fn answers_fail_at_a_path_and_the_whole_stops_and_comes_back() {
        let provider = provider();
        let told = provider.ask("GET", METADATA, &[], &[]).await;
        assert_eq!(told.json()["issuer"], provider.issuer());
        assert!(told.length.is_some());
        provider.deviate(Deviation::HugeBody(METADATA));
        let told = provider.ask("GET", METADATA, &[], &[]).await;
        assert_eq!((told.status, told.length), (200, None));
        assert!(told.body.len() > HUGE && told.json()["issuer"] == provider.issuer());
        provider.deviate(Deviation::Down(JWKS));
        assert_eq!(provider.ask("GET", JWKS, &[], &[]).await.status, 503);
        provider.deviate(Deviation::Status(JWKS, 418));
        assert_eq!(provider.ask("GET", JWKS, &[], &[]).await.status, 418);
        provider.deviate(Deviation::Body(JWKS, b"{".to_vec()));
        assert_eq!(provider.ask("GET", JWKS, &[], &[]).await.body, "{");
        provider.deviate(Deviation::RedirectFrom(
            JWKS,
            "http://evil.example/".to_string(),
        ));
        let told = provider.ask("GET", JWKS, &[], &[]).await;
        assert_eq!(told.location.as_deref(), Some("http://evil.example/"));
        let delay = Duration::from_millis(300);
        provider.deviate(Deviation::Slow(JWKS, delay));
        let since = Instant::now();
        assert_eq!(provider.ask("GET", JWKS, &[], &[]).await.status, 200);
        assert!(since.elapsed() >= delay);

        let at = ("127.0.0.1", provider.port());
        provider.stop();
        assert!(TcpStream::connect(at).await.is_err());
        provider.restart();
        assert_eq!(provider.ask("GET", METADATA, &[], &[]).await.status, 200);
    }
}
