//! The hot pieces through the public surface, one request of Rocket's local client each:
//! `cargo bench --bench hot`, explained in docs/benchmarks.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark ends loudly, and criterion's macros write items without docs"
)]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rocket::{
    Config,
    figment::Figment,
    get,
    http::{Accept, ContentType, Cookie, Header, Status},
    local::blocking::{Client, LocalRequest, LocalResponse},
    post, routes,
    tokio::runtime,
};
use rocket_security::{
    Accounts, Hasher, Password, PasswordHash, config::HashingSettings, prelude::*, testing::LoginAs,
};
use serde_json::Value;

policies! {
    /// Whoever has the role.
    pub Admin = role("admin");
}

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "a long and winding road";
/// The least that the settings allow, so that what surrounds the hash can be seen.
const HASHING: (u32, u32) = (8 * 1024, 1);

#[get("/bare")]
fn bare() -> &'static str {
    "nothing of ours but the fairing"
}

#[get("/signed-in")]
fn signed_in(who: SignedIn) -> String {
    who.email.clone()
}

#[get("/admin")]
fn admin(who: Require<Admin>) -> String {
    who.email.clone()
}

#[post("/act", data = "<_nothing>")]
fn act(who: SignedIn, _nothing: Input<Empty>) -> String {
    who.email.clone()
}

fn hashing() -> HashingSettings {
    let mut settings = HashingSettings::default();
    (settings.memory_kib, settings.iterations) = HASHING;
    settings
}

/// The client, and the folder of its database.
fn client() -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let figment = Figment::from(Config::release_default())
        .merge(("address", "127.0.0.1"))
        .merge(("log_level", "off"))
        .merge((
            "security.secret",
            "of a bench that lives for seconds: 0123456789",
        ))
        .merge(("security.base_url", "http://localhost:8000"))
        .merge(("security.template_dir", folder.path().join("templates")))
        .merge(("security.database.url", folder.path().join("hot.db")))
        .merge(("security.hashing.memory_kib", HASHING.0))
        .merge(("security.hashing.iterations", HASHING.1))
        .merge(("security.tokens.life", "1 d"))
        .merge(("security.report.unguarded", "off"));
    let rocket = rocket::custom(figment)
        .mount("/", routes![bare, signed_in, admin, act])
        .attach(Security::default());
    (Client::untracked(rocket).expect("a launch"), folder)
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// Makes the account with its password and its role.
fn account(client: &Client, hash: &PasswordHash) -> User {
    let user = client.new_user(EMAIL);
    let accounts: &Accounts = client.rocket().state().expect("`Security` is attached");
    wait(async {
        accounts
            .set_password_hash(&user.id, hash.clone(), true)
            .await
            .expect("an account");
        accounts.create_role("admin", None).await.expect("a role");
        accounts
            .add_role_to_user(&user.id, "admin")
            .await
            .expect("an account and a role");
    });
    user
}

fn sign_in(client: &Client) -> LocalRequest<'_> {
    let body = format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}"}}"#);
    client
        .post("/login?include_auth_token")
        .header(ContentType::JSON)
        .body(body)
}

/// What a value in the envelope says.
fn said(response: LocalResponse<'_>, pointer: &str) -> String {
    let body: Value = response.into_json().expect("JSON");
    body.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {pointer} in {body}"))
        .to_string()
}

fn expect(request: LocalRequest<'_>, status: Status) {
    let response = request.dispatch();
    assert!(
        response.status() == status,
        "{} was answered",
        response.status()
    );
    std::hint::black_box(response.into_bytes());
}

fn hot(criterion: &mut Criterion) {
    let (client, _folder) = client();
    let hasher = Hasher::new(&hashing()).expect("threads that hash");
    let password = Password::parse(PASSWORD).expect("a password");
    let hash = hasher.hash_blocking(&password).expect("a hash");
    let user = account(&client, &hash);
    let answer = sign_in(&client).dispatch();
    let session = answer
        .cookies()
        .get("security_session")
        .expect("a session")
        .value()
        .to_string();
    let session = Cookie::new("security_session", session);
    let bearer = said(answer, "/response/user/authentication_token");
    let bearer = Header::new("Authorization", format!("Bearer {bearer}"));
    let asked = client
        .get("/login")
        .header(Accept::JSON)
        .cookie(session.clone())
        .dispatch();
    let csrf = Header::new("X-CSRF-Token", said(asked, "/response/csrf_token"));
    let store: &Store = client.rocket().state().expect("`Security` is attached");
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");

    pieces(criterion, &client, &session, &bearer, &csrf);
    criterion.bench_function("the cheapest hash alone", |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(hasher.verify(&password, Some(&hash)))
                .expect("memory")
        });
    });
    criterion.bench_function("account by id, from the store", |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(store.find_user(&user.id))
                .expect("a database")
        });
    });
    criterion.bench_function("roles, from the store", |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(store.grants(&user.id))
                .expect("a database")
        });
    });
}

fn pieces<'c>(
    criterion: &mut Criterion,
    client: &'c Client,
    session: &Cookie<'static>,
    bearer: &Header<'static>,
    csrf: &Header<'static>,
) {
    let mut bench = |name: &str, status: Status, request: &dyn Fn() -> LocalRequest<'c>| {
        criterion.bench_function(name, |bencher| bencher.iter(|| expect(request(), status)));
    };
    bench("bare route", Status::Ok, &|| client.get("/bare"));
    bench("identity by session", Status::Ok, &|| {
        client.get("/signed-in").cookie(session.clone())
    });
    bench("identity by token", Status::Ok, &|| {
        client.get("/signed-in").header(bearer.clone())
    });
    bench("role", Status::Ok, &|| {
        client.get("/admin").cookie(session.clone())
    });
    bench("CSRF token accepted", Status::Ok, &|| {
        client
            .post("/act")
            .cookie(session.clone())
            .header(csrf.clone())
    });
    bench("CSRF token missing", Status::BadRequest, &|| {
        client.post("/act").cookie(session.clone())
    });
    bench("nobody, in JSON", Status::Unauthorized, &|| {
        client.get("/signed-in").header(Accept::JSON)
    });
    bench("login page", Status::Ok, &|| {
        client.get("/login").header(Accept::HTML)
    });
    bench("sign-in with the cheapest hash", Status::Ok, &|| {
        sign_in(client)
    });
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = short();
    targets = hot
}
criterion_main!(benches);
