//! For an application's own tests: sign in as anybody, look at mails, move the clock.
//!
//! Feature `testing`; never in what is deployed.
//!
//! ```
//! use rocket::local::blocking::Client;
//! use std::time::Duration;
//! use rocket_security::{Mailbox, Security, testing::{LoginAs, TestClock}};
//!
//! let (clock, mails) = (TestClock::default(), Mailbox::default());
//! let figment = rocket::Config::figment()
//!     .merge(("security.database.url", ":memory:"))
//!     .merge(("security.database.connections", 1));
//! let rocket = rocket::custom(figment)
//!     .attach(Security::default().clock(clock.clone()).mailbox(mails.clone()));
//! let client = Client::tracked(rocket).unwrap();
//! let user = client.new_user("ada@example.com");
//! client.login_as(&user);
//! assert_eq!(client.get("/sessions").dispatch().status().code, 200);
//! clock.advance(Duration::from_hours(13));
//! assert_eq!(client.get("/sessions").dispatch().status().code, 302);
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::Duration;

use rocket::{http::Status, local};

use crate::{
    accounts::Accounts,
    fairing::housekeeping,
    identity::EmailAddress,
    notify::{delivery::deliver_now, mail::name_of, mailbox::Mailbox},
    store::{NewUser, StoreError, User, reset},
    types::{
        Clock, Message, Method, Methods, PathTo, SystemClock, Timestamp, UserId, span::millis,
    },
    web::security::Security,
};

impl Security {
    /// Keeps a copy of every mail where the application's tests can look.
    pub fn mailbox(self, mailbox: Mailbox) -> Self {
        self.with(|parts| parts.mailbox = Some(mailbox))
    }
}

/// A clock that stands still until it is moved; it begins at the present.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicI64>);

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(SystemClock.now().as_millis())))
    }
}

impl TestClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves the clock by milliseconds, either way.
    pub fn shift(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

mod sealed {
    /// The two local clients of Rocket, and no others.
    #[allow(unnameable_types, reason = "so nobody else can implement it")]
    pub trait Sealed {}

    impl Sealed for rocket::local::blocking::Client {}
    impl Sealed for rocket::local::asynchronous::Client {}
}

/// Signs a tracked client in without a password, through the gate like everybody.
pub trait LoginAs: sealed::Sealed {
    /// Signs in as `user`, as if by password.
    ///
    /// # Panics
    ///
    /// If the gate refuses.
    fn login_as(&self, user: &User) {
        self.login_as_by(user, Methods::of(Method::Password));
    }

    /// Signs in as `user`, as if by `methods`.
    ///
    /// # Panics
    ///
    /// If the gate refuses.
    fn login_as_by(&self, user: &User, methods: Methods);

    /// Makes an active, confirmed account without a password.
    ///
    /// # Panics
    ///
    /// If the address is none or taken.
    fn new_user(&self, email: &str) -> User;
}

impl LoginAs for local::blocking::Client {
    #[allow(clippy::panic, reason = "a test wants to fail loudly")]
    fn login_as_by(&self, user: &User, methods: Methods) {
        let status = self.post(path(&user.id, methods)).dispatch().status();
        assert!(
            status == Status::NoContent,
            "the gate refused {}: {status}",
            user.email
        );
    }

    #[allow(clippy::expect_used, reason = "a test wants to fail loudly")]
    fn new_user(&self, email: &str) -> User {
        let accounts: &Accounts = self.rocket().state().expect("`Security` is attached");
        let email = EmailAddress::parse(email).expect("an e-mail address");
        let made = accounts.create_user(NewUser::new(email).confirmed(true));
        // A runtime of its own: that of the client is busy waiting for us.
        rocket::tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(made)
            .expect("an account")
    }
}

/// The same for the asynchronous client.
#[rocket::async_trait]
pub trait LoginAsAsync: sealed::Sealed {
    /// Signs in as `user`, as if by `methods`.
    ///
    /// # Panics
    ///
    /// If the gate refuses.
    async fn login_as_by(&self, user: &User, methods: Methods);

    /// Signs in as `user`, as if by password.
    ///
    /// # Panics
    ///
    /// If the gate refuses.
    async fn login_as(&self, user: &User) {
        self.login_as_by(user, Methods::of(Method::Password)).await;
    }
}

#[rocket::async_trait]
impl LoginAsAsync for local::asynchronous::Client {
    #[allow(clippy::panic, reason = "a test wants to fail loudly")]
    async fn login_as_by(&self, user: &User, methods: Methods) {
        let status = self.post(path(&user.id, methods)).dispatch().await.status();
        assert!(
            status == Status::NoContent,
            "the gate refused {}: {status}",
            user.email
        );
    }
}

/// How many passwords the site has hashed or verified, pretended ones too: to compare work, not time.
pub fn hashes_done(rocket: &rocket::Rocket<rocket::Orbit>) -> u64 {
    let site = rocket.state::<Arc<crate::web::site::Site>>();
    site.map_or(0, |site| site.hasher.hashes_done())
}

/// Delivers the mails and text messages that are due now, and returns how many were sent. A site does so in the
/// background, about every half second. A test that calls this need not wait: a mail that is due has been sent, has
/// failed or waits for its next try when the call returns.
///
/// ```
/// # rocket::async_test(async {
/// use std::sync::{Arc, Mutex};
/// use rocket::local::asynchronous::Client;
/// use rocket_security::{Mail, MailError, Mailer, Security, testing};
/// use serde_json::json;
///
/// /// Remembers the recipients.
/// #[derive(Clone, Default)]
/// struct Recipients(Arc<Mutex<Vec<String>>>);
///
/// #[rocket::async_trait]
/// impl Mailer for Recipients {
///     async fn send(&self, mail: &Mail) -> Result<(), MailError> {
///         self.0.lock().unwrap().push(mail.to.clone());
///         Ok(())
///     }
/// }
///
/// let recipients = Recipients::default();
/// let figment = rocket::Config::figment()
///     .merge(("security.database.url", ":memory:"))
///     .merge(("security.database.connections", 1));
/// let security = Security::default().mailer(recipients.clone());
/// let client = Client::tracked(rocket::custom(figment).attach(security)).await.unwrap();
/// let password = "correct horse battery staple";
/// client
///     .post("/register")
///     .header(rocket::http::Accept::JSON)
///     .json(&json!({"email": "ada@example.com", "password": password, "password_confirm": password}))
///     .dispatch()
///     .await;
/// testing::deliver_mails(client.rocket()).await.unwrap();
/// assert_eq!(*recipients.0.lock().unwrap(), ["ada@example.com"]);
/// # });
/// ```
///
/// # Errors
///
/// [`StoreError::Unavailable`].
pub async fn deliver_mails(rocket: &rocket::Rocket<rocket::Orbit>) -> Result<usize, StoreError> {
    match rocket.state::<Arc<crate::web::site::Site>>() {
        Some(site) => deliver_now(&site.notify).await,
        None => Ok(0),
    }
}

/// Writes down the last uses of sessions and API keys, as a site does every few seconds, and deletes what has
/// expired, as it does every ten minutes.
///
/// # Errors
///
/// [`StoreError::Unavailable`].
pub async fn sweep(rocket: &rocket::Rocket<rocket::Orbit>) -> Result<(), StoreError> {
    let Some(site) = rocket.state::<Arc<crate::web::site::Site>>() else {
        return Ok(());
    };
    site.touches.flush(&site.store).await?;
    site.key_uses.flush(&site.store).await?;
    housekeeping::sweep(site).await
}

/// Deletes every account, role, session, ticket, mail and counter, so that the next test begins with empty
/// tables. The tables of the application are its own business; rows of theirs that refer to accounts go or stand
/// in the way as their foreign keys say.
///
/// ```
/// # rocket::async_test(async {
/// use rocket::local::asynchronous::Client;
/// use rocket_security::{Accounts, EmailAddress, NewUser, Security, testing};
///
/// let figment = rocket::Config::figment()
///     .merge(("security.database.url", ":memory:"))
///     .merge(("security.database.connections", 1));
/// let client = Client::tracked(rocket::custom(figment).attach(Security::default())).await.unwrap();
/// let accounts: &Accounts = client.rocket().state().unwrap();
/// let email = EmailAddress::parse("ada@example.com").unwrap();
/// accounts.create_user(NewUser::new(email.clone())).await.unwrap();
/// testing::reset(client.rocket()).await.unwrap();
/// assert!(accounts.store().find_user_by_email(&email).await.unwrap().is_none());
/// # });
/// ```
///
/// # Errors
///
/// [`StoreError::Unavailable`], or what a foreign key of the application's says.
pub async fn reset(rocket: &rocket::Rocket<rocket::Orbit>) -> Result<(), StoreError> {
    let Some(site) = rocket.state::<Arc<crate::web::site::Site>>() else {
        return Ok(());
    };
    // What waits to be written goes to rows that are gone afterwards.
    site.touches.flush(&site.store).await?;
    site.key_uses.flush(&site.store).await?;
    site.store.write(reset::empty).await
}

/// A feature of this build, for the tests of this crate.
#[doc(hidden)]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BuiltInFeature {
    /// Its name; one of two parts has the other in brackets.
    pub name: &'static str,
    /// Methods and paths, below the prefix.
    pub routes: Vec<(rocket::http::Method, String)>,
    /// Names such as `security/login/login.html`.
    pub templates: Vec<&'static str>,
}

/// All features of this build, whether they are on or not; for the tests of this crate.
#[doc(hidden)]
pub fn features() -> Vec<BuiltInFeature> {
    let known = crate::features::ALL.iter().map(|feature| BuiltInFeature {
        name: feature.name,
        routes: (feature.routes)()
            .into_iter()
            .map(|route| (route.method, route.uri.path().to_string()))
            .collect(),
        templates: {
            let mails = feature.mails.iter().flat_map(|mail| [mail.html, mail.text]);
            let all = feature.templates.iter().copied().chain(mails);
            all.map(|template| template.name).collect()
        },
    });
    known.collect()
}

/// The mails and text messages of a site's features, with sample values: the name of each, and its subject and text. For
/// the tests of this crate.
#[doc(hidden)]
pub fn sample_mails(rocket: &rocket::Rocket<rocket::Orbit>) -> Vec<(String, String)> {
    let Some(site) = rocket.state::<Arc<crate::web::site::Site>>() else {
        return Vec::new();
    };
    let views = &site.notify.views;
    let mails = crate::features::samples(site.features())
        .into_iter()
        .filter_map(|(template, values)| {
            let template = template.name;
            let name = template.strip_prefix("security/")?.strip_suffix(".txt")?;
            let text = views.render("en", template, values.as_object()?);
            let text = text.unwrap_or_else(|error| error);
            let Some(which) = name_of(template) else {
                return Some((name.to_string(), text));
            };
            let subject = Message::new(format!("mail.{which}.subject")).with("site", "Site");
            let subject = views.catalogue().say("en", &subject);
            let name = name.trim_end_matches(".mail").to_string();
            Some((name, format!("Subject: {subject}\n\n{text}")))
        });
    mails.collect()
}

fn path(user: &UserId, methods: Methods) -> String {
    let word = crate::features::testing::word();
    let methods = methods.bits().to_string();
    PathTo::Testing.fill([word, user.as_str(), &methods])
}
