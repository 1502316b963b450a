//! The harness: an application with a route for every kind of guard, on a database of its own, and
//! actors who ask it.
//!
//! `SECURITY_TEST_POSTGRES` and `SECURITY_TEST_MYSQL` name servers on which each test makes a fresh
//! database and drops it at the end. Without them a test runs on SQLite alone and says so once;
//! `SECURITY_TEST_REQUIRE=postgres,mysql` makes that a failure.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, OnceLock},
};

use diesel::{Connection, connection::SimpleConnection};
use rocket::{
    Build, Rocket,
    figment::Figment,
    get,
    http::{Cookie, Header, Method as Verb, Status},
    local::asynchronous::Client,
    post, routes,
};
use rocket_security::{
    Conn, Dialect, EmailAddress, Event, EventKind, Hasher, Mail, Mailbox, Method, Methods, NewUser,
    Password, PasswordHash, Pool, Store, User,
    config::{HashingSettings, Life},
    prelude::*,
    testing::TestClock,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Good by every policy, and in no list.
pub const PASSWORD: &str = "correct horse battery staple";
pub const SECRET: &str = "b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA";
pub const WRONG: &str = "incorrect horse battery staple";

// Databases.

/// One of the databases that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    Mysql,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];

    fn dialect(self) -> Dialect {
        match self {
            Self::Sqlite => Dialect::Sqlite,
            Self::Postgres => Dialect::Postgres,
            Self::Mysql => Dialect::Mysql,
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "SECURITY_TEST_POSTGRES",
            Self::Mysql => "SECURITY_TEST_MYSQL",
        }
    }

    /// The server's URL, or why this database is left out.
    fn server(self) -> Result<String, String> {
        let feature = self.dialect().feature();
        if !self.dialect().is_compiled_in() {
            return Err(format!("{feature} (build with --features {feature})"));
        }
        if self == Self::Sqlite {
            return Ok(String::new());
        }
        std::env::var(self.variable()).map_err(|_| format!("{feature} (set {})", self.variable()))
    }
}

/// The databases at hand; says once what was left out.
#[allow(clippy::print_stderr, reason = "whoever runs the tests wants to know")]
fn backends() -> Vec<Backend> {
    static SAID: Once = Once::new();
    let required = std::env::var("SECURITY_TEST_REQUIRE").unwrap_or_default();
    let (mut there, mut left_out) = (Vec::new(), Vec::new());
    for backend in Backend::ALL {
        match backend.server() {
            Ok(_) => there.push(backend),
            Err(why) => {
                let name = backend.dialect().feature();
                let wanted = required.split(',').any(|one| one.trim() == name);
                assert!(
                    !wanted,
                    "SECURITY_TEST_REQUIRE wants what is left out: {why}"
                );
                left_out.push(why);
            }
        }
    }
    if !left_out.is_empty() {
        SAID.call_once(|| eprintln!("left out: {}", left_out.join(", ")));
    }
    there
}

/// A database that is gone when this is dropped.
struct Scratch {
    backend: Backend,
    name: String,
    url: String,
}

impl Scratch {
    fn new(backend: Backend, folder: &Path) -> Self {
        let name = format!("security_{}", uuid::Uuid::new_v4().simple());
        let url = match backend {
            Backend::Sqlite => folder.join("security.db").display().to_string(),
            _ => {
                admin(backend)
                    .batch_execute(&format!("CREATE DATABASE {name}"))
                    .expect("a fresh database");
                let mut url = url::Url::parse(&backend.server().expect("a server")).expect("a URL");
                url.set_path(&name);
                url.to_string()
            }
        };
        Self { backend, name, url }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let statement = match self.backend {
            // The file goes with its folder.
            Backend::Sqlite => return,
            Backend::Postgres => format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            Backend::Mysql => format!("DROP DATABASE IF EXISTS {}", self.name),
        };
        let dropped = admin(self.backend).batch_execute(&statement);
        if !std::thread::panicking() {
            dropped.expect("the database is dropped");
        }
    }
}

fn admin(backend: Backend) -> Conn {
    let server = backend.server().expect("a server");
    let mut url = url::Url::parse(&server).expect("the server's URL");
    if backend == Backend::Postgres && matches!(url.path(), "" | "/") {
        url.set_path("postgres");
    }
    Conn::establish(url.as_str())
        .unwrap_or_else(|error| panic!("{} is set, but: {error}", backend.variable()))
}

/// Runs `test` on every database at hand, one after the other.
pub async fn for_each_database<F, T>(test: F)
where
    F: Fn(Plan) -> T,
    T: Future<Output = ()>,
{
    for backend in backends() {
        test(Plan::on(backend)).await;
    }
}

// The application.

policies! {
    pub Admin   = role("admin");
    pub Editor  = role("editor");
    pub Publish = permission("post:publish");
}

macro_rules! guarded {
    ($($path:literal $name:ident $guard:ty;)*) => {
        $(#[get($path)]
        fn $name(_who: $guard) -> &'static str { "in" })*
    };
}

guarded! {
    "/g/signed-in" signed_in SignedIn;
    "/g/admin" admin_only Require<Admin>;
    "/g/publish" publish Require<Publish>;
    "/g/admin-fresh" admin_fresh Require<(Admin, Fresh)>;
    "/g/fresh" fresh Require<Fresh>;
    "/g/fresh-600" fresh_600 Require<Fresh<600>>;
    "/g/any-role" any_role Require<Any<(Admin, Editor)>>;
    "/g/any-fresh" any_fresh Require<Any<(Admin, Fresh<600>)>>;
    "/g/token" token_only Require<Via<Token>>;
    "/g/basic" basic_only Require<Via<Basic>>;
    "/g/token-session" token_session Require<Via<(Token, Session)>>;
    "/g/mfa" mfa Require<Mfa>;
    "/g/anonymous" anonymous rocket_security::Anonymous;
}

#[get("/")]
fn home(_public: Public) -> &'static str {
    "home"
}

#[get("/g/maybe")]
fn maybe(who: Option<SignedIn>) -> String {
    who.map_or("nobody".into(), |who| who.email.clone())
}

#[get("/me")]
fn me(who: SignedIn) -> String {
    who.email.clone()
}

/// An event of which is waited for, since subscribers are told in order.
#[get("/marker/<_number>")]
fn marker(_number: u64, _who: SignedIn) {}

#[post("/p/bare")]
fn bare(_who: SignedIn) -> &'static str {
    "written"
}

#[post("/p/bare-basic")]
fn bare_basic(_who: Require<Via<Basic>>) -> &'static str {
    "written"
}

#[post("/p/input", data = "<_body>")]
fn input(_who: SignedIn, _body: Input<Nothing>) -> &'static str {
    "written"
}

#[derive(serde::Deserialize, Serialize)]
struct Note {
    title: String,
    #[serde(default)]
    stars: Option<u8>,
}

#[post("/p/note", data = "<note>")]
fn note(_public: Public, note: Input<Note>) -> String {
    json!(note.into_inner()).to_string()
}

/// Signs in as anybody, by the application's own proof.
#[post("/as/<id>?<mfa>&<remember>", data = "<_body>")]
async fn sign_in_as(
    auth: Auth<'_>,
    id: rocket_security::UserId,
    mfa: bool,
    remember: bool,
    _body: Input<Nothing>,
) -> Result<Status, Error> {
    let user = auth.store().find_user(&id).await?.ok_or(Error::NotFound)?;
    let mut methods = Methods::of(Method::Password);
    if mfa {
        methods = methods.and(Method::Authenticator);
    }
    auth.sign_in_by(&user, methods, remember).await?;
    Ok(Status::NoContent)
}

#[post("/everywhere", data = "<_body>")]
async fn everywhere(auth: Auth<'_>, who: SignedIn, _body: Input<Nothing>) -> Result<Status, Error> {
    auth.sign_out_everywhere(&who.id).await?;
    Ok(Status::NoContent)
}

type Change = Box<dyn FnOnce(Rocket<Build>) -> Rocket<Build> + Send>;

/// What an application is to be started with.
pub struct Plan {
    backend: Backend,
    figment: Figment,
    dir: tempfile::TempDir,
    security: Security,
    mount: Vec<rocket::Route>,
    attach: Vec<Change>,
    secretless: bool,
}

impl Plan {
    /// On a fresh SQLite file.
    pub fn new() -> Self {
        let _ = backends();
        Self::on(Backend::Sqlite)
    }

    pub fn on(backend: Backend) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let figment = Figment::from(rocket::Config::debug_default())
            .merge(("log_level", "off"))
            .merge(("template_dir", dir.path().join("templates")))
            .merge(("security.hashing.memory_kib", 8192))
            .merge(("security.hashing.iterations", 1))
            // Tests count mails of other kinds; those about new devices set it again.
            .merge(("security.session.new_device_mail", false))
            .merge(("security.report.unguarded", "off"));
        Self {
            backend,
            figment,
            dir,
            security: Security::default(),
            mount: Vec::new(),
            attach: Vec::new(),
            secretless: false,
        }
    }

    pub fn is_sqlite(&self) -> bool {
        self.backend == Backend::Sqlite
    }

    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.figment = self.figment.merge((format!("security.{key}"), value));
        self
    }

    /// Without the secret that sites away from the developer's machine need.
    pub fn without_secret(mut self) -> Self {
        self.secretless = true;
        self
    }

    /// A setting of Rocket itself.
    pub fn rocket(mut self, key: &str, value: impl Serialize) -> Self {
        self.figment = self.figment.merge((key, value));
        self
    }

    /// Limits that no test meets by accident.
    pub fn without_limits(self) -> Self {
        self.set("limits.per_account", 100_000)
            .set("limits.per_address", 100_000)
            .set("limits.per_device", 100_000)
            .set("limits.codes_per_day", 100_000)
            .set("limits.bytes_per_address", 1_000_000_000)
    }

    /// Mails go out to this server.
    #[cfg(feature = "smtp")]
    pub fn smtp(self, server: &crate::smtp_server::SmtpServer) -> Self {
        self.set("mail.transport", "smtp")
            .set("mail.host", "127.0.0.1")
            .set("mail.port", server.port())
            .set("mail.encryption", "none")
    }

    /// In telling mode.
    pub fn telling(self) -> Self {
        self.set("generic_answers", false)
    }

    pub fn security(mut self, change: impl FnOnce(Security) -> Security) -> Self {
        self.security = change(self.security);
        self
    }

    pub fn mount(mut self, routes: Vec<rocket::Route>) -> Self {
        self.mount.extend(routes);
        self
    }

    pub fn with(
        mut self,
        change: impl FnOnce(Rocket<Build>) -> Rocket<Build> + Send + 'static,
    ) -> Self {
        self.attach.push(Box::new(change));
        self
    }

    /// Writes a file of the application's template folder.
    pub fn template(self, name: &str, text: &str) -> Self {
        write_template(self.dir.path(), name, text);
        self
    }

    pub async fn start(self) -> App {
        self.try_start()
            .await
            .unwrap_or_else(|error| panic!("the launch failed: {error}"))
    }

    /// Rocket's error panics when it is dropped unseen, so it is seen here.
    pub async fn try_start(self) -> Result<App, String> {
        let Self {
            backend,
            mut figment,
            dir,
            security,
            mount,
            attach,
            secretless,
        } = self;
        let database = Scratch::new(backend, dir.path());
        if !secretless && !figment.contains("security.secret") {
            figment = figment.merge(("security.secret", SECRET));
        }
        if !figment.contains("security.database.url") {
            figment = figment.merge(("security.database.url", database.url.clone()));
        }
        let (clock, mails) = (TestClock::default(), Mailbox::default());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = events.clone();
        let security = security
            .clock(clock.clone())
            .mailbox(mails.clone())
            .on(move |event| {
                heard.lock().unwrap().push(event);
                async {}
            });
        let guarded = routes![
            signed_in,
            admin_only,
            publish,
            admin_fresh,
            fresh,
            fresh_600,
            any_role,
            any_fresh,
            token_only,
            basic_only,
            token_session,
            mfa,
            anonymous
        ];
        let others = routes![
            home, maybe, me, marker, bare, bare_basic, input, note, sign_in_as, everywhere
        ];
        let mut rocket = rocket::custom(figment)
            .mount("/", guarded)
            .mount("/", others)
            .mount("/", mount);
        for change in attach {
            rocket = change(rocket);
        }
        let client = Client::untracked(rocket.attach(security))
            .await
            .map_err(|error| format!("{:?}", error.kind()))?;
        Ok(App {
            client,
            clock,
            mails,
            events,
            marks: Mutex::new(0),
            dir,
            database,
        })
    }
}

fn write_template(dir: &Path, name: &str, text: &str) {
    let path = dir.join("templates").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A running application and everything that it did.
pub struct App {
    pub client: Client,
    pub clock: TestClock,
    pub mails: Mailbox,
    events: Arc<Mutex<Vec<Event>>>,
    marks: Mutex<u64>,
    pub dir: tempfile::TempDir,
    database: Scratch,
}

impl App {
    /// On SQLite, as it comes.
    pub async fn new() -> Self {
        Plan::new().start().await
    }

    /// The routes that `rocket_security` mounted: all but those of the harness and of an application in a test.
    pub fn own_routes(&self) -> Vec<(Verb, String)> {
        const THEIRS: [&str; 9] = [
            "/g/",
            "/p/",
            "/as/",
            "/everywhere",
            "/testing/",
            "/me",
            "/marker/",
            "/own/",
            "/<_..>",
        ];
        let mut routes: Vec<(Verb, String)> = self
            .client
            .rocket()
            .routes()
            .map(|route| (route.method, route.uri.path().to_string()))
            .filter(|(_, path)| path != "/" && !path.contains("/testing/"))
            .filter(|(_, path)| !THEIRS.iter().any(|start| path.starts_with(start)))
            .collect();
        routes.sort_by(|a, b| (&a.1, a.0.as_str()).cmp(&(&b.1, b.0.as_str())));
        routes.dedup();
        routes
    }

    /// Another server over the same database.
    pub async fn beside(&self, change: impl FnOnce(Plan) -> Plan) -> Self {
        change(self.plan_beside()).start().await
    }

    /// The same, which may refuse.
    pub async fn try_beside(&self, change: impl FnOnce(Plan) -> Plan) -> Result<Self, String> {
        change(self.plan_beside()).try_start().await
    }

    fn plan_beside(&self) -> Plan {
        Plan::on(self.database.backend).set("database.url", &self.database.url)
    }

    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    pub fn store(&self) -> &Store {
        self.client
            .rocket()
            .state()
            .expect("the store of the fairing")
    }

    pub fn pool(&self) -> &Pool {
        self.store().pool()
    }

    pub fn template(&self, name: &str, text: &str) -> PathBuf {
        write_template(self.dir.path(), name, text);
        self.dir.path().join("templates").join(name)
    }

    /// A browser of its own, with no cookies yet.
    pub fn browser(&self) -> Actor<'_> {
        Actor::new(self, true)
    }

    /// A program: no cookies, JSON.
    pub fn program(&self) -> Actor<'_> {
        Actor {
            json: true,
            ..Actor::new(self, false)
        }
    }

    /// An account with [`PASSWORD`].
    pub async fn user(&self, email: &str) -> User {
        self.user_with(email, |new| new).await
    }

    pub async fn user_with(&self, email: &str, change: impl FnOnce(NewUser) -> NewUser) -> User {
        let new = NewUser::new(EmailAddress::parse(email).expect("an address"))
            .confirmed(true)
            .password(hash_of(PASSWORD));
        self.store()
            .create_user(change(new))
            .await
            .expect("an account")
    }

    pub async fn user_with_hash(&self, email: &str, stored: &str) -> User {
        self.user_with(email, |new| {
            new.password(PasswordHash::from_stored(stored.into()))
        })
        .await
    }

    /// Gives a role that carries `permissions`.
    pub async fn grant(&self, user: &User, role: &str, permissions: &[&str]) {
        self.store().find_or_create_role(role).await.unwrap();
        self.store()
            .add_permissions_to_role(role, permissions)
            .await
            .unwrap();
        self.store().add_role_to_user(&user.id, role).await.unwrap();
    }

    /// A browser in which `user` is signed in.
    pub async fn signed_in(&self, user: &User) -> Actor<'_> {
        let browser = self.browser();
        browser.sign_in_as(user, "").await;
        browser
    }

    /// A token of `user`.
    pub async fn token(&self, email: &str) -> String {
        let answer = self
            .program()
            .post_json(
                "/login?include_auth_token",
                json!({"email": email, "password": PASSWORD}),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["response"]["user"]["authentication_token"]
            .as_str()
            .expect("a token")
            .to_string()
    }

    /// Runs SQL that is the same on every database.
    pub async fn sql(&self, statement: &str) {
        let statement = statement.to_string();
        let done = self
            .store()
            .write(move |conn| Ok(conn.batch_execute(&statement)?))
            .await;
        done.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A number by SQL: `SELECT .. AS n`.
    pub async fn number(&self, query: &str) -> i64 {
        use diesel::RunQueryDsl;
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let query = query.to_string();
        let row: Row = self
            .store()
            .read(move |conn| Ok(diesel::sql_query(query).get_result(conn)?))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        row.n
    }

    /// What stands in every column of every table, as text.
    pub async fn dump(&self) -> Vec<String> {
        use diesel::RunQueryDsl;
        #[derive(diesel::QueryableByName)]
        struct Line {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        let (columns, text) = match self.database.backend {
            Backend::Sqlite => (
                "SELECT m.name AS tab, p.name AS col FROM sqlite_master m \
                 JOIN pragma_table_info(m.name) p WHERE m.type = 'table'",
                "TEXT",
            ),
            Backend::Postgres => (
                "SELECT table_name AS tab, column_name AS col \
                 FROM information_schema.columns WHERE table_schema = current_schema()",
                "TEXT",
            ),
            Backend::Mysql => (
                "SELECT table_name AS tab, column_name AS col \
                 FROM information_schema.columns WHERE table_schema = DATABASE()",
                "CHAR",
            ),
        };
        #[derive(diesel::QueryableByName)]
        struct Column {
            #[diesel(sql_type = diesel::sql_types::Text)]
            tab: String,
            #[diesel(sql_type = diesel::sql_types::Text)]
            col: String,
        }
        let read = self.store().read(move |conn| {
            let columns: Vec<Column> = diesel::sql_query(columns).load(conn)?;
            assert!(columns.len() > 80, "{} columns", columns.len());
            let mut lines = Vec::new();
            for Column { tab, col } in columns {
                let select = format!(
                    "SELECT CAST({col} AS {text}) AS line FROM {tab} WHERE {col} IS NOT NULL"
                );
                let found: Vec<Line> = diesel::sql_query(select).load(conn)?;
                lines.extend(found.into_iter().map(|found| found.line));
            }
            Ok(lines)
        });
        read.await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Everything that happened until now.
    pub async fn events(&self) -> Vec<EventKind> {
        let path = {
            let mut marks = self.marks.lock().unwrap();
            *marks += 1;
            format!("/marker/{}", *marks)
        };
        self.program().get(&path).await;
        let is_marker = |kind: &EventKind| matches!(kind, EventKind::Unauthenticated { path } if path.starts_with("/marker/"));
        for _ in 0..5_000 {
            let kinds: Vec<EventKind> = self
                .events
                .lock()
                .unwrap()
                .iter()
                .map(|event| event.kind.clone())
                .collect();
            let seen = |kind: &EventKind| matches!(kind, EventKind::Unauthenticated { path: at } if *at == path);
            if kinds.iter().any(seen) {
                return kinds.into_iter().filter(|kind| !is_marker(kind)).collect();
            }
            rocket::tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("the subscriber was not told of {path}");
    }

    /// How many events `which` is true of.
    pub async fn count(&self, which: impl Fn(&EventKind) -> bool) -> usize {
        self.events()
            .await
            .iter()
            .filter(|kind| which(kind))
            .count()
    }

    /// How many came in.
    pub async fn admitted(&self) -> usize {
        self.count(|kind| matches!(kind, EventKind::Authenticated { .. }))
            .await
    }

    pub fn hashes_done(&self) -> u64 {
        rocket_security::testing::hashes_done(self.client.rocket())
    }

    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.mails.to(address)
    }

    pub fn later(&self, by: Life) {
        self.clock.advance(by);
    }
}

/// A hash of the kind that the harness sets, computed once for a password.
pub fn hash_of(password: &str) -> PasswordHash {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, PasswordHash>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    known
        .entry(password.to_string())
        .or_insert_with(|| {
            let settings = HashingSettings {
                memory_kib: 8192,
                iterations: 1,
                threads: 1,
                ..HashingSettings::default()
            };
            let hasher = Hasher::new(&settings).unwrap();
            hasher
                .hash_blocking(&Password::parse(password).unwrap())
                .unwrap()
        })
        .clone()
}

// Actors.

/// Somebody who asks: a browser with cookies, or a program without.
pub struct Actor<'a> {
    pub app: &'a App,
    cookies: Mutex<BTreeMap<String, String>>,
    keeps_cookies: bool,
    json: bool,
    headers: Vec<(String, String)>,
    remote: Option<SocketAddr>,
}

impl<'a> Actor<'a> {
    fn new(app: &'a App, keeps_cookies: bool) -> Self {
        Self {
            app,
            cookies: Mutex::default(),
            keeps_cookies,
            json: false,
            headers: Vec::new(),
            remote: None,
        }
    }

    /// Asks for JSON, as a page's script does.
    pub fn in_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Asks for pages again.
    pub fn of_pages(mut self) -> Self {
        self.json = false;
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.remote = Some(SocketAddr::new(address.parse().expect("an address"), 4711));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authentication-Token", token)
    }

    pub fn basic(self, identity: &str, password: &str) -> Self {
        let text = data_encoding::BASE64.encode(format!("{identity}:{password}").as_bytes());
        self.header("Authorization", &format!("Basic {text}"))
    }

    /// A browser with the same cookies, as of now.
    pub fn copy(&self) -> Self {
        Self {
            app: self.app,
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            keeps_cookies: self.keeps_cookies,
            json: self.json,
            headers: self.headers.clone(),
            remote: self.remote,
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies
            .lock()
            .unwrap()
            .insert(name.into(), value.into());
    }

    pub fn forget_cookie(&self, name: &str) {
        self.cookies.lock().unwrap().remove(name);
    }

    /// Any request, with exactly these headers and this body besides cookies and the actor's own.
    pub async fn send(
        &self,
        verb: Verb,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut request = self.app.client.req(verb, path.to_string());
        if self.json && !headers.iter().any(|(name, _)| *name == "Accept") {
            request.add_header(Header::new("Accept", "application/json"));
        }
        for (name, value) in &self.headers {
            request.add_header(Header::new(name.clone(), value.clone()));
        }
        for (name, value) in headers {
            request.add_header(Header::new(name.to_string(), value.to_string()));
        }
        for (name, value) in self.cookies.lock().unwrap().iter() {
            request = request.cookie(Cookie::new(name.clone(), value.clone()));
        }
        if let Some(remote) = self.remote {
            request = request.remote(remote);
        }
        if let Some(body) = body {
            request.set_body(body);
        }
        let response = request.dispatch().await;
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|header| (header.name().to_string(), header.value().to_string()))
            .collect();
        let status = response.status().code;
        let body = response.into_bytes().await.unwrap_or_default();
        let answer = Answer {
            status,
            headers,
            body,
        };
        // A page of the application's own template is the application's to check.
        if !self.app.dir.path().join("templates").exists() {
            crate::pages::record(path, &answer);
        }
        if self.keeps_cookies {
            let mut jar = self.cookies.lock().unwrap();
            for cookie in answer.cookies() {
                let gone = cookie
                    .max_age()
                    .is_some_and(|age| age <= time::Duration::ZERO);
                match gone {
                    true => drop(jar.remove(cookie.name())),
                    false => drop(jar.insert(cookie.name().into(), cookie.value().into())),
                }
            }
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Verb::Get, path, &[], None).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Verb::Get, path, headers, None).await
    }

    /// A token as a page of ours would hold it.
    pub async fn csrf(&self) -> String {
        let answer = self
            .send(Verb::Get, "/login", &[("Accept", "application/json")], None)
            .await;
        answer.json()["response"]["csrf_token"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }

    /// A form as a page of ours sends it, CSRF token included.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf().await;
        let mut all = fields.to_vec();
        all.push(("csrf_token", &token));
        self.post_raw_form(path, &all).await
    }

    /// A form with these fields and no others.
    pub async fn post_raw_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.post_body(path, "application/x-www-form-urlencoded", body.as_bytes())
            .await
    }

    /// JSON, with a CSRF header where there are cookies that want one.
    pub async fn post_json(&self, path: &str, body: Value) -> Answer {
        let csrf = match self.keeps_cookies {
            true => self.csrf().await,
            false => String::new(),
        };
        let mut headers = vec![("Content-Type", "application/json")];
        if self.keeps_cookies {
            headers.push(("X-CSRF-Token", csrf.as_str()));
        }
        self.send(
            Verb::Post,
            path,
            &headers,
            Some(body.to_string().as_bytes()),
        )
        .await
    }

    /// Any body, with no CSRF token.
    pub async fn post_body(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send(Verb::Post, path, &[("Content-Type", kind)], Some(body))
            .await
    }

    /// Signs in by the form.
    pub async fn login(&self, identity: &str, password: &str) -> Answer {
        let fields = [("email", identity), ("password", password)];
        match self.json {
            true => {
                self.post_json("/login", json!({"email": identity, "password": password}))
                    .await
            }
            false => self.post_form("/login", &fields).await,
        }
    }

    /// Signs in by the form and wants to be remembered.
    pub async fn login_remembered(&self, identity: &str, password: &str) -> Answer {
        let fields = [
            ("email", identity),
            ("password", password),
            ("remember", "true"),
        ];
        self.post_form("/login", &fields).await
    }

    /// Signs in by the application's own code: `query` is `"mfa=true"`, `"remember=true"` or nothing.
    pub async fn sign_in_as(&self, user: &User, query: &str) {
        let answer = self
            .post_json(&format!("/as/{}?{query}", user.id), json!({}))
            .await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    pub async fn logout(&self) -> Answer {
        self.post_form("/logout", &[]).await
    }

    /// Whether `/me` knows who this is; any other answer than yes or no fails.
    pub async fn is_signed_in(&self) -> bool {
        let answer = self
            .send(Verb::Get, "/me", &[("Accept", "application/json")], None)
            .await;
        match answer.status {
            200 => true,
            401 => false,
            other => panic!("/me answered {other}: {}", answer.text()),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn location(&self) -> Option<&str> {
        self.header("Location")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.text()))
    }

    /// The cookies that it sets.
    pub fn cookies(&self) -> Vec<Cookie<'static>> {
        self.headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"))
            .map(|(_, value)| Cookie::parse_encoded(value.clone()).expect("a cookie"))
            .collect()
    }

    pub fn cookie(&self, name: &str) -> Option<Cookie<'static>> {
        self.cookies()
            .into_iter()
            .find(|cookie| cookie.name() == name)
    }

    /// Whether it is the envelope of JSON answers, saying its own status.
    pub fn is_envelope(&self) -> bool {
        self.header("Content-Type")
            .is_some_and(|kind| kind.starts_with("application/json"))
            && serde_json::from_slice::<Value>(&self.body).is_ok_and(|json| {
                json["meta"]["code"] == self.status && json["response"].is_object()
            })
    }

    /// The errors of one field in JSON.
    pub fn field_errors(&self, field: &str) -> Vec<String> {
        let errors = self.json()["response"]["field_errors"][field].clone();
        serde_json::from_value(errors).unwrap_or_default()
    }

    /// The stable keys of the errors in JSON.
    pub fn codes(&self) -> Vec<String> {
        serde_json::from_value(self.json()["response"]["error_codes"].clone()).unwrap_or_default()
    }
}
