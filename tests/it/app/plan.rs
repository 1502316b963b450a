//! What an application is started with.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use rocket::{Build, Rocket, figment::Figment, local::asynchronous::Client};
use rocket_security::{Event, Mailbox, prelude::*, testing::TestClock};
use serde::Serialize;

use super::{
    App, SECRET,
    databases::{Backend, Scratch, backends},
};

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
        let mut database = match figment.extract_inner("security.database.url") {
            Ok(url) => Scratch::of(backend, url),
            Err(_) => Scratch::new(backend, dir.path()),
        };
        let is_ours = attach.is_empty() && !figment.contains("security.database.migrate");
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
        let mut rocket = rocket::custom(figment)
            .mount("/", super::routes::all())
            .mount("/", mount);
        for change in attach {
            rocket = change(rocket);
        }
        let client = Client::untracked(rocket.attach(security))
            .await
            .map_err(|error| format!("{:?}", error.kind()))?;
        if is_ours {
            database.is_as_we_make_it();
        }
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

pub fn write_template(dir: &Path, name: &str, text: &str) {
    let path = dir.join("templates").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
