//! The databases that tests run on, and a fresh one for each test.

use std::{future::Future, path::Path, sync::Once};

use diesel::{Connection, connection::SimpleConnection};
use rocket_security::{Conn, Dialect};

use super::{Plan, reuse};

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
pub fn backends() -> Vec<Backend> {
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

/// The database of one application.
pub struct Scratch {
    pub backend: Backend,
    pub url: String,
    /// Nothing for a file, which goes with its folder, and for the database of another application.
    name: Option<String>,
    /// What was in it when it was new, where another test may have it afterwards.
    shape: Option<Vec<String>>,
}

impl Scratch {
    /// Empty, or with our tables and no rows. To make tables takes longer than most tests.
    pub fn new(backend: Backend, folder: &Path) -> Self {
        if backend == Backend::Sqlite {
            return Self::of(backend, folder.join("security.db").display().to_string());
        }
        while let Some((name, shape)) = reuse::take(backend) {
            if let Some(shape) = reuse::emptied(backend, &name, shape) {
                return Self::named(backend, name, Some(shape));
            }
            drop_database(backend, &name);
        }
        let name = reuse::fresh_name(backend);
        admin(backend)
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .expect("a fresh database");
        Self::named(backend, name, None)
    }

    /// That of another application, or none that we know.
    pub fn of(backend: Backend, url: String) -> Self {
        Self {
            backend,
            url,
            name: None,
            shape: None,
        }
    }

    fn named(backend: Backend, name: String, shape: Option<Vec<String>>) -> Self {
        Self {
            backend,
            url: url_of(backend, &name),
            name: Some(name),
            shape,
        }
    }

    /// After a launch that made our tables and nothing else: another test may have it.
    pub fn is_as_we_make_it(&mut self) {
        if let (Some(name), None) = (&self.name, &self.shape) {
            self.shape = Some(reuse::shape(self.backend, &mut connect(self.backend, name)));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else {
            return;
        };
        match self.shape.take() {
            Some(shape) if !std::thread::panicking() && reuse::ends_with_its_thread() => {
                reuse::give_back(self.backend, name, shape);
            }
            _ => drop_database(self.backend, &name),
        }
    }
}

pub(super) fn drop_database(backend: Backend, name: &str) {
    let force = match backend {
        Backend::Postgres => " WITH (FORCE)",
        _ => "",
    };
    let dropped = admin(backend).batch_execute(&format!("DROP DATABASE IF EXISTS {name}{force}"));
    if !std::thread::panicking() {
        dropped.expect("the database is dropped");
    }
}

fn url_of(backend: Backend, name: &str) -> String {
    let mut url = url::Url::parse(&backend.server().expect("a server")).expect("a URL");
    url.set_path(name);
    url.to_string()
}

pub(super) fn connect(backend: Backend, name: &str) -> Conn {
    Conn::establish(&url_of(backend, name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(super) fn admin(backend: Backend) -> Conn {
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

/// Runs `test` on SQLite alone: what it checks is said by requests and answers, and other tests go the same way on
/// every database.
pub async fn on_sqlite<F, T>(test: F)
where
    F: Fn(Plan) -> T,
    T: Future<Output = ()>,
{
    test(Plan::new()).await;
}
