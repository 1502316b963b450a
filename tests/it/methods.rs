//! Every path of ours answers every method as HTTP wants it.

use rocket::{
    delete, get,
    http::{Method as Verb, Status},
    options, put, routes,
};
use rocket_security::prelude::*;
use serde_json::json;

use crate::app::{App, PASSWORD, Plan};

/// Looks like the secret of a ticket, and is none.
const NO_TICKET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const ALL: [Verb; 9] = [
    Verb::Get,
    Verb::Head,
    Verb::Post,
    Verb::Put,
    Verb::Patch,
    Verb::Delete,
    Verb::Options,
    Verb::Trace,
    Verb::Connect,
];

fn everything(plan: Plan) -> Plan {
    let plan = plan
        .set("passwordless.enabled", true)
        .set("refresh_tokens.enabled", true)
        .set("api_keys.enabled", true)
        .set("unified.enabled", true)
        .set("identities", ["email", "username"]);
    #[cfg(feature = "passkeys")]
    let plan = plan.set("passkeys.sign_up", true);
    plan
}

/// The paths of ours with the methods that have routes.
fn own_routes(app: &App) -> std::collections::BTreeMap<String, Vec<Verb>> {
    let mut own = std::collections::BTreeMap::<String, Vec<Verb>>::new();
    for (method, path) in app.own_routes() {
        own.entry(path).or_default().push(method);
    }
    assert!(own.len() > 30, "{own:?}");
    own
}

fn filled(path: &str) -> String {
    path.replace("<id>", &rocket_security::SessionId::new().to_string())
        .replace("<token>", NO_TICKET)
        .replace("<state>", NO_TICKET)
        .replace("<name>", "nobody")
}

#[rocket::async_test]
async fn every_path_of_ours_answers_head_and_options_and_405_with_allow() {
    for plan in [Plan::new(), Plan::new().set("url_prefix", "/auth")] {
        let app = everything(plan).start().await;
        let ada = app.user("ada@example.com").await;
        for (path, methods) in own_routes(&app) {
            let asked = filled(&path);
            for verb in ALL {
                let answer = app.browser().send(verb, &asked, &[], None).await;
                let what = format!("{verb} {path}: {}", answer.status);
                let allow: Vec<&str> = answer
                    .header("Allow")
                    .map(|allow| allow.split(", ").collect())
                    .unwrap_or_default();
                match verb {
                    verb if methods.contains(&verb) => {
                        assert!(!matches!(answer.status, 405 | 500..), "{what}");
                    }
                    Verb::Head if methods.contains(&Verb::Get) => {
                        let get = app.browser().get(&asked).await;
                        assert_eq!(answer.status, get.status, "{what}");
                        assert!(answer.body.is_empty(), "{what}");
                        assert_eq!(
                            answer.header("Content-Type"),
                            get.header("Content-Type"),
                            "{what}"
                        );
                        assert!(answer.header("Content-Length").is_some(), "{what}");
                    }
                    Verb::Options => {
                        assert!(matches!(answer.status, 200 | 204), "{what}");
                        assert!(allow.contains(&"OPTIONS"), "{what} {allow:?}");
                        for method in &methods {
                            assert!(allow.contains(&method.as_str()), "{what} {allow:?}");
                        }
                        assert_eq!(
                            allow.contains(&"GET"),
                            allow.contains(&"HEAD"),
                            "{what} {allow:?}"
                        );
                        assert!(answer.cookies().is_empty(), "{what}");
                    }
                    // Below `/login/<token>` there are paths of other features, which answer POST alone.
                    _ if allow.contains(&verb.as_str()) => panic!("{what} {allow:?}"),
                    Verb::Head => {
                        assert_eq!(answer.status, 405, "{what}");
                        assert!(answer.body.is_empty(), "{what}");
                    }
                    _ if answer.status != 405 => {
                        // A pattern that covers this path answers it.
                        assert_eq!(verb, Verb::Get, "{what}");
                    }
                    _ => {
                        assert!(!allow.is_empty(), "{what}");
                        assert!(answer.text().contains("<main"), "{what}");
                        let json = app.program().send(verb, &asked, &[], None).await;
                        assert!(json.status == 405 && json.is_envelope(), "{what}");
                        assert_eq!(json.codes(), ["error.method"], "{what}");
                    }
                }
            }
        }
        let signed_in = app.signed_in(&ada).await;
        for (path, methods) in own_routes(&app) {
            for verb in ALL.into_iter().filter(|verb| !methods.contains(verb)) {
                signed_in.send(verb, &filled(&path), &[], Some(b"")).await;
            }
        }
        assert!(signed_in.is_signed_in().await);
    }
}

#[cfg(all(feature = "cli", feature = "sqlite"))]
#[rocket::async_test]
async fn no_method_puts_the_token_of_a_mailed_link_into_the_log_of_a_release() {
    use crate::with_cli::browser::{Process, command, free_port, until_it_answers};
    use std::io::{Read, Write};

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let port = free_port();
    // The level of a release.
    let mut server = command(&folder.path().join("site.db"), port);
    server.stdout(file.try_clone().unwrap()).stderr(file);
    let server = Process(server.spawn().unwrap());
    until_it_answers(port).await;
    let links = [
        "reset",
        "confirm",
        "change-email",
        "undo",
        "unlock",
        "invite",
    ];
    // Links that were written or read wrong, and those of features that are off.
    let none = [
        format!("reset/{NO_TICKET}/x"),
        format!("reset/{NO_TICKET}/"),
        format!("Reset/{NO_TICKET}"),
        format!("RESET/{NO_TICKET}"),
        format!("app/reset/{NO_TICKET}"),
        format!("/reset/{NO_TICKET}"),
        format!("reset//{NO_TICKET}/x"),
        format!("login/us/{NO_TICKET}"),
        format!("x/{NO_TICKET}."),
        format!("x/{NO_TICKET}%22"),
        format!("x/%41{}", &NO_TICKET[1..]),
        format!("view?purpose=reset&token={NO_TICKET}"),
    ];
    let links = links.map(|path| format!("{path}/{NO_TICKET}"));
    for path in links.iter().chain(&none) {
        for verb in [
            "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "POST",
        ] {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let request = format!(
                "{verb} /{path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 "), "{verb} {path}: {answer}");
            if none.contains(path) {
                continue;
            }
            assert!(!answer.starts_with("HTTP/1.1 404"), "{verb} {path}");
            if matches!(verb, "HEAD" | "OPTIONS") {
                let (_, body) = answer.split_once("\r\n\r\n").unwrap();
                assert_eq!(body, "", "{verb} {path}");
            }
        }
    }
    drop(server);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.contains(&NO_TICKET[1..]), "{log}");
}

#[get("/login")]
fn own_login(_public: Public) -> &'static str {
    "the application's"
}

#[put("/reset")]
fn own_put(_public: Public) -> &'static str {
    "put"
}

#[delete("/<_..>")]
fn own_delete(_public: Public) -> Status {
    Status::Accepted
}

#[options("/register")]
fn own_options(_public: Public) -> Status {
    Status::Accepted
}

#[get("/number/<_number>")]
fn number(_public: Public, _number: u32) {}

#[rocket::async_test]
async fn routes_of_the_application_stay_its_own() {
    let mut first = routes![own_login];
    first[0].rank = -100;
    let app = Plan::new()
        .mount(first)
        .mount(routes![own_put, own_delete, own_options, number])
        .start()
        .await;
    let browser = app.browser();
    assert_eq!(browser.get("/login").await.text(), "the application's");
    let head = browser.send(Verb::Head, "/login", &[], None).await;
    assert_eq!(
        (head.status, head.header("Content-Length")),
        (200, Some("17"))
    );
    let put = browser.send(Verb::Put, "/reset", &[], None).await;
    assert_eq!((put.status, put.text()), (200, "put".into()));
    for (verb, path) in [(Verb::Delete, "/login"), (Verb::Options, "/register")] {
        let answer = browser.send(verb, path, &[], None).await;
        assert_eq!(answer.status, 202, "{verb} {path}");
    }
    // What is wrong with a parameter of the application's own route is told as ever.
    assert_eq!(browser.get("/number/ten").await.status, 422);
}

#[rocket::async_test]
async fn a_file_server_at_the_root_hides_no_405() {
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().to_path_buf();
    let app = Plan::new()
        .with(move |rocket| rocket.mount("/", rocket::fs::FileServer::from(folder)))
        .start()
        .await;
    let answer = app.browser().get("/sessions/revoke-others").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("Allow"), Some("POST, OPTIONS"));
    assert_eq!(app.browser().get("/nothing").await.status, 404);
}

#[rocket::async_test]
async fn unknown_paths_are_a_page_or_the_envelope_unless_the_application_answers_them() {
    #[rocket::catch(404)]
    fn theirs() -> &'static str {
        "not theirs"
    }
    let app = Plan::new().set("url_prefix", "/auth").start().await;
    let answer = app.browser().get("/auth/nothing").await;
    assert!(answer.status == 404 && answer.text().contains("<main"));
    let answer = app.program().get("/auth/nothing").await;
    assert!(answer.status == 404 && answer.is_envelope());
    let answer = app.program().get("/nothing").await;
    assert!(answer.status == 404 && !answer.is_envelope());
    for base in ["/", "/auth"] {
        let app = Plan::new()
            .set("url_prefix", "/auth")
            .with(move |rocket| rocket.register(base, rocket::catchers![theirs]))
            .start()
            .await;
        let answer = app.program().get("/auth/nothing").await;
        assert_eq!((answer.status, answer.text()), (404, "not theirs".into()));
        let answer = app
            .program()
            .send(Verb::Delete, "/auth/login", &[], None)
            .await;
        assert!(answer.status == 405 && answer.is_envelope());
    }
}

#[rocket::async_test]
async fn who_shows_a_token_is_a_program_whatever_it_accepts() {
    let app = Plan::new()
        .set("tokens.in_query", true)
        .set("api_keys.enabled", true)
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    for path in [
        "/g/signed-in",
        "/g/admin",
        "/change",
        "/sessions",
        "/g/token",
    ] {
        for accept in ["text/html", "*/*", ""] {
            for (name, value) in [
                ("Authorization", "Bearer junk"),
                ("Authorization", "bearer"),
                ("Authorization", "Bearer rsk_junk"),
                ("Authentication-Token", "junk"),
            ] {
                let mut headers = vec![(name, value)];
                if !accept.is_empty() {
                    headers.push(("Accept", accept));
                }
                let answer = app.browser().get_with(path, &headers).await;
                assert_eq!(answer.status, 401, "{path} {name} {value} {accept}");
                assert!(answer.is_envelope(), "{path} {name} {value} {accept}");
            }
            let path = format!("{path}?auth_token=junk");
            let answer = app
                .browser()
                .get_with(&path, &[("Accept", "text/html")])
                .await;
            assert!(answer.status == 401 && answer.is_envelope(), "{path}");
        }
    }
    // A right token that may not do this is told so in the envelope, too.
    let token = app.token("ada@example.com").await;
    let answer = app
        .browser()
        .get_with("/g/admin", &[("Authentication-Token", &token)])
        .await;
    assert!(answer.status == 403 && answer.is_envelope());
    let browser = app.signed_in(&ada).await;
    let junk = browser.get_with("/g/signed-in", &[("Authorization", "Bearer junk")]);
    assert!(junk.await.is_envelope(), "beside a session");
}

#[rocket::async_test]
async fn refusals_of_guards_and_of_our_own_routes_are_alike() {
    let app = App::new().await;
    let (guard, route) = (
        app.program().get("/g/signed-in").await,
        app.program().get("/change").await,
    );
    assert_eq!(guard.status, 401);
    assert_eq!(guard.json(), route.json());
    let names = |answer: &crate::app::Answer| {
        let mut names: Vec<String> = answer
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&guard), names(&route));
}

#[rocket::async_test]
async fn signing_out_leads_to_next() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let answer = browser
        .post_form("/logout", &[("next", "/g/maybe?x=1")])
        .await;
    assert_eq!(answer.location(), Some("/g/maybe?x=1"));
    let browser = app.signed_in(&ada).await;
    let answer = browser.post_form("/logout?next=/me", &[]).await;
    assert_eq!(answer.location(), Some("/me"));
    let browser = app.signed_in(&ada).await;
    let answer = browser
        .post_form("/logout", &[("next", "https://evil.example/")])
        .await;
    assert_eq!(answer.location(), Some("/"));
    // Opening it only asks.
    let browser = app.signed_in(&ada).await;
    let page = browser.get("/logout?next=/me").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("name=\"next\" value=\"&#x2F;me\""));
    assert!(browser.is_signed_in().await);
    let json = app.program().get("/logout").await;
    assert!(json.is_envelope() && json.json()["response"]["csrf_token"].is_string());
}

fn parts(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!(
            "--mark\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    body + "--mark--\r\n"
}

const PARTS: &str = "multipart/form-data; boundary=mark";

#[rocket::async_test]
async fn forms_in_parts_are_taken() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    let token = browser.csrf().await;
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("csrf_token", &token),
    ];
    let without = parts(&fields[..2]);
    let answer = browser.post_body("/login", PARTS, without.as_bytes()).await;
    assert_eq!(answer.status, 400, "no CSRF token");
    assert!(!browser.is_signed_in().await);
    let answer = browser
        .post_body("/login", PARTS, parts(&fields).as_bytes())
        .await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert!(browser.is_signed_in().await);
    // Files are left out, and the fields beside them taken.
    let token = browser.csrf().await;
    let file = "--mark\r\nContent-Disposition: form-data; name=\"title\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nfile\r\n";
    let body = file.to_string() + &parts(&[("title", "Täglich"), ("csrf_token", &token)]);
    let answer = browser.post_body("/p/note", PARTS, body.as_bytes()).await;
    assert_eq!(
        answer.text(),
        json!({"title": "Täglich", "stars": null}).to_string()
    );
    for (kind, body, status) in [
        ("multipart/form-data", without.clone(), 400),
        (PARTS, "--mark\r\nnonsense".to_string(), 400),
        (PARTS, parts(&[("title", &"x".repeat(70_000))]), 413),
        ("multipart/mixed; boundary=mark", without, 415),
    ] {
        let answer = browser.copy().in_json();
        let answer = answer.post_body("/p/note", kind, body.as_bytes()).await;
        assert!(
            answer.status == status && answer.is_envelope(),
            "{kind}: {}",
            answer.text()
        );
    }
    let mut bytes = parts(&[("csrf_token", &token)]).into_bytes();
    let at = bytes.len() - 10;
    bytes[at - 3] = 0xFF;
    let answer = browser.post_body("/p/note", PARTS, &bytes).await;
    assert_eq!(answer.status, 400);
}

#[rocket::async_test]
async fn a_link_fills_the_address_in() {
    let app = everything(Plan::new()).start().await;
    app.user("ada@example.com").await;
    for path in [
        "/login",
        "/register",
        "/confirm",
        "/confirm/code",
        "/reset",
        "/reset/code",
        "/recover-username",
        "/login/link",
        "/login/code",
        "/us-signin",
    ] {
        let page = app
            .browser()
            .get(&format!("{path}?email=bob%2B1@example.com%22%3E%0A"))
            .await;
        assert_eq!(page.status, 200, "{path}");
        assert!(
            page.text()
                .contains("value=\"bob+1@example.com&quot;&gt;\""),
            "{path}: {}",
            page.text()
        );
        let plain = app.browser().get(path).await;
        assert!(!plain.text().contains("bob+1"), "{path}");
    }
}

#[rocket::async_test]
async fn a_form_whose_token_is_no_longer_good_is_offered_again() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    browser.csrf().await;
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("remember", "true"),
        ("next", "/me"),
        ("csrf_token", "stale"),
    ];
    let answer = browser.post_raw_form("/login?next=/me", &fields).await;
    let page = answer.text();
    assert_eq!(answer.status, 400);
    assert!(
        page.contains("action=\"&#x2F;login?next=&#x2F;me\""),
        "{page}"
    );
    assert!(page.contains("value=\"ada@example.com\""), "{page}");
    assert!(page.contains("name=\"next\" value=\"&#x2F;me\""), "{page}");
    assert!(
        page.contains("name=\"remember\" value=\"true\" checked"),
        "{page}"
    );
    assert!(
        page.contains("type=\"password\" id=\"login-password\""),
        "{page}"
    );
    assert!(!page.contains(PASSWORD), "{page}");
    // What is sent from there is taken.
    let (_, token) = page.rsplit_once("name=\"csrf_token\" value=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let mut fields = fields;
    fields[4].1 = token;
    let answer = browser.post_raw_form("/login?next=/me", &fields).await;
    assert_eq!((answer.status, answer.location()), (302, Some("/me")));
    // Another site cannot fill a form in for somebody.
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ] {
        let other = app.browser().header(name, value);
        let answer = other
            .post_raw_form(
                "/register",
                &[("email", "eve@example.com"), ("csrf_token", "x")],
            )
            .await;
        assert_eq!(answer.status, 400);
        assert!(
            !answer.text().contains("eve@example.com"),
            "{name}: {value}"
        );
    }
    // The application's own forms are its own.
    let answer = app
        .browser()
        .post_raw_form("/p/note", &[("title", "secret")])
        .await;
    assert!(answer.status == 400 && !answer.text().contains("secret"));
}

/// Fields as they were sent, and what each form says of them when it is offered again.
#[rocket::async_test]
async fn a_form_is_offered_again_as_its_own_page_draws_it() {
    let app = Plan::new().set("api_keys.enabled", true).start().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    type Form = (
        &'static str,
        bool,
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let forms: [Form; 6] = [
        (
            "/register",
            false,
            &[
                ("email", "eve@example.com"),
                ("password", "one"),
                ("password_confirm", "two"),
            ],
            &[
                "type=\"email\" id=\"register-email\" name=\"email\" value=\"eve@example.com\"",
                "id=\"register-password_confirm\"",
                "autocomplete=\"new-password\"",
                "minlength=\"8\"",
            ],
        ),
        (
            "/reset/code",
            false,
            &[("email", "eve@example.com"), ("code", "123456")],
            &[
                "value=\"eve@example.com\"",
                "inputmode=\"numeric\"",
                "autocomplete=\"one-time-code\"",
                "id=\"recover_code-password_confirm\"",
            ],
        ),
        (
            "/change",
            true,
            &[
                ("password", "one"),
                ("new_password", "two"),
                ("new_password_confirm", "two"),
            ],
            &[
                "Current password",
                "autocomplete=\"current-password\"",
                "autocomplete=\"new-password\"",
            ],
        ),
        (
            "/change-email",
            true,
            &[("email", "eve@example.com")],
            &["New email address", "value=\"eve@example.com\""],
        ),
        (
            "/api-keys",
            true,
            &[("name", "Backup"), ("expires", "90 d")],
            &["value=\"Backup\"", "value=\"90 d\" selected"],
        ),
        (
            "/sessions/revoke-others",
            true,
            &[],
            &[
                "id=\"stale\"",
                "Sign out everywhere else</button>",
                "href=\"&#x2F;sessions\">Cancel",
            ],
        ),
    ];
    for (path, signed_in, fields, expected) in forms {
        let visitor = app.browser();
        let actor = if signed_in { &browser } else { &visitor };
        let mut fields = fields.to_vec();
        fields.push(("csrf_token", "stale"));
        let answer = actor.post_raw_form(path, &fields).await;
        let page = answer.text();
        assert_eq!(answer.status, 400, "{path}");
        assert!(!page.contains("Error 400"), "{path}: {page}");
        let is_button = path == "/sessions/revoke-others";
        assert_eq!(page.contains("Press the button again"), is_button, "{path}");
        assert!(
            !is_button || !page.contains("Check what you entered"),
            "{path}"
        );
        for part in expected {
            assert!(page.contains(part), "{path}: {part}: {page}");
        }
        for secret in ["value=\"one\"", "value=\"two\"", "123456"] {
            assert!(!page.contains(secret), "{path}: {secret}: {page}");
        }
    }
    // A field that no form of this path has is not shown.
    let fields = [("extra", "unknown"), ("csrf_token", "stale")];
    let page = browser.post_raw_form("/change-email", &fields).await.text();
    assert!(!page.contains("unknown"), "{page}");
}

#[rocket::async_test]
async fn a_browser_that_keeps_no_cookies_is_told_so() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let token = app.browser().csrf().await;
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("csrf_token", &token),
    ];
    let answer = app.browser().post_raw_form("/login", &fields).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("Allow cookies"), "{}", answer.text());
    let with = app.browser();
    with.csrf().await;
    let answer = with.post_raw_form("/login", &fields).await;
    assert!(
        !answer.text().contains("Allow cookies"),
        "{}",
        answer.text()
    );
}
