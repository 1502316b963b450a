//! A running application: its accounts, its rows, its mails and events.

use std::time::Duration;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use diesel::connection::SimpleConnection;
use rocket::{http::Method as Verb, local::asynchronous::Client};
use rocket_security::{
    Accounts, EmailAddress, Event, EventKind, Hasher, Mail, Mailbox, NewUser, Password,
    PasswordHash, Pool, Store, User, config::HashingSettings, testing::TestClock,
};
use serde_json::json;

use super::{
    Actor, PASSWORD, Plan,
    databases::{Backend, Scratch},
    plan::write_template,
    wait::eventually,
};

/// A running application and everything that it did.
pub struct App {
    pub client: Client,
    pub clock: TestClock,
    pub mails: Mailbox,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
    pub(super) marks: Mutex<u64>,
    pub dir: tempfile::TempDir,
    pub(super) database: Scratch,
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

    pub fn accounts(&self) -> &Accounts {
        let accounts = self.client.rocket().state();
        accounts.expect("the accounts of the fairing")
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
        Actor::new(self, false).in_json()
    }

    /// An account with [`PASSWORD`].
    pub async fn user(&self, email: &str) -> User {
        self.user_with(email, |new| new).await
    }

    pub async fn user_with(&self, email: &str, change: impl FnOnce(NewUser) -> NewUser) -> User {
        let new = NewUser::new(EmailAddress::parse(email).expect("an address"))
            .confirmed(true)
            .password(hash_of(PASSWORD));
        self.accounts()
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
        self.accounts().find_or_create_role(role).await.unwrap();
        self.accounts()
            .add_permissions_to_role(role, permissions)
            .await
            .unwrap();
        self.accounts()
            .add_role_to_user(&user.id, role)
            .await
            .unwrap();
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
        let events = self.whole_events().await;
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The same with their actors.
    pub async fn whole_events(&self) -> Vec<Event> {
        let path = {
            let mut marks = self.marks.lock().unwrap();
            *marks += 1;
            format!("/marker/{}", *marks)
        };
        self.program().get(&path).await;
        let is_marker = |kind: &EventKind| matches!(kind, EventKind::Unauthenticated { path } if path.starts_with("/marker/"));
        let seen = |event: &Event| matches!(&event.kind, EventKind::Unauthenticated { path: at } if *at == path);
        let told = async || {
            let events = self.events.lock().unwrap().clone();
            events.iter().any(seen).then_some(events)
        };
        let mut events = eventually(&format!("the event of {path}"), told).await;
        events.retain(|event| !is_marker(&event.kind));
        events
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

    /// Delivers what is due, so that no test waits for it. Answers how many were sent.
    pub async fn deliver(&self) -> usize {
        let sent = rocket_security::testing::deliver_mails(self.client.rocket()).await;
        sent.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is in the outbox, whether it is delivered or not.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.mails.to(address)
    }

    pub fn later(&self, by: Duration) {
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
            let mut settings = HashingSettings::default();
            settings.memory_kib = 8192;
            settings.iterations = 1;
            settings.threads = 1;
            let hasher = Hasher::new(&settings).unwrap();
            hasher
                .hash_blocking(&Password::parse(password).unwrap())
                .unwrap()
        })
        .clone()
}
