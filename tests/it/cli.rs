//! The command line, as a process: what a person or a script sees of it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use rocket::{http::ContentType, local::blocking::Client};
use rocket_security::Security;
use serde_json::{Value, json};
use tempfile::TempDir;

const GOOD: &str = "lantern orchard seventeen";

/// A folder with a database of its own, and the demonstration site over it.
struct Site {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// What a command came to.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Done {
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        assert_eq!(self.err, "");
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.good()).unwrap()
    }

    /// The sentence with which it failed.
    #[track_caller]
    fn bad(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{}", self.err);
        self.err
            .strip_prefix("error: ")
            .unwrap()
            .trim_end()
            .to_string()
    }
}

impl Site {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            settings: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Done {
        self.type_in("", arguments)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rocket_security"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("ROCKET_SECURITY__DATABASE__URL", self.path("security.db"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a launch logs; the server is gone afterwards.
    fn log_of_a_launch(&self) -> String {
        let mut command = self.command(&["serve"]);
        let mut child = command
            .env("ROCKET_PORT", "0")
            .env("ROCKET_LOG_LEVEL", "normal")
            .spawn()
            .unwrap();
        let mut log = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            log.push_str(&line.unwrap());
            log.push('\n');
            if log.contains("Rocket has launched") {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        log
    }

    /// The running site over the same database, in this process.
    fn client(&self) -> Client {
        let figment = rocket::Config::figment()
            .merge(("security.database.url", self.path("security.db")))
            .merge(("security.report.unguarded", "off"))
            .merge(("log_level", "off"));
        Client::untracked(rocket::custom(figment).attach(Security::default())).unwrap()
    }

    fn type_in(&self, input: &str, arguments: &[&str]) -> Done {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that does not read may be gone before this is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn ada(self) -> Self {
        self.run(&[
            "users",
            "create",
            "ada@example.com",
            "--username",
            "ada.l",
            "--active",
            "--no-password",
        ])
        .good();
        self
    }
}

#[test]
fn an_account_is_made_inactive_with_a_password_from_standard_input() {
    let site = Site::new();
    let text = site
        .type_in(
            &format!("{GOOD}\n"),
            &["users", "create", "ada@example.com"],
        )
        .good();
    assert!(
        text.starts_with("ada@example.com is made (inactive"),
        "{text}"
    );
    let user = &site
        .run(&["users", "show", "ADA@example.com", "--json"])
        .json()["user"];
    assert_eq!(
        (&user["active"], &user["has_password"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    assert_eq!(user["confirmed_at"], Value::Null);
    assert_eq!(user["sessions"], serde_json::json!([]));
}

#[test]
fn passwords_are_judged_as_over_http() {
    let site = Site::new();
    let create = ["users", "create", "ada@example.com", "--password-stdin"];
    assert_eq!(
        site.type_in("short\n", &create).bad(),
        "password: Use at least 8 characters."
    );
    assert_eq!(
        site.type_in("password1\n", &create).bad(),
        "password: This password is one of the most used. Choose another one."
    );
    assert!(
        site.type_in("ada@example.com\n", &create)
            .bad()
            .starts_with("password: This password is too much like")
    );
    assert!(
        site.type_in("", &create)
            .bad()
            .starts_with("no password came")
    );
    assert_eq!(site.run(&["users", "list"]).good(), "no accounts\n");
}

#[test]
fn only_an_address_that_can_be_mailed_gets_an_account_letter_for_letter() {
    let site = Site::new();
    let made = [
        "users",
        "create",
        "victim@example.com",
        "--no-password",
        "--active",
    ];
    site.run(&made).good();
    for odd in [
        "ｖictim@example.com",
        "ﬁsher@example.com",
        "संपर्क@example.com",
        "josé@example.com",
        "ada@localhost",
        "\"a b\"@example.com",
        "Ada <ada@example.com>",
        "ada@example.com, eve@example.com",
    ] {
        for command in ["create", "invite"] {
            let mut arguments = vec!["users", command, odd];
            if command == "create" {
                arguments.push("--no-password");
            }
            let done = site.run(&arguments);
            assert_eq!((done.code, done.out.as_str()), (1, ""), "{command} {odd}");
        }
    }
    // Nor is a script helped to another account than it names.
    let said = site
        .run(&["users", "deactivate", "ｖictim@example.com"])
        .bad();
    assert!(said.contains("ｖictim@example.com"), "{said}");
    let listed = site.run(&["users", "list", "--json"]).json().to_string();
    assert_eq!(listed.matches("@example.com").count(), 1, "{listed}");
    assert!(listed.contains("\"active\":true"), "{listed}");
}

#[test]
fn addresses_and_usernames_are_judged_too() {
    let site = Site::new();
    let done = site.run(&[
        "users",
        "create",
        "nobody",
        "--username",
        "root",
        "--no-password",
        "--json",
    ]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(
        error["fields"]["email"][0],
        "This is not a valid email address."
    );
    assert_eq!(
        error["fields"]["username"][0],
        "This username cannot be used. Choose another."
    );
    assert!(
        error["error"]
            .as_str()
            .unwrap()
            .starts_with("email: This is not")
    );
}

#[test]
fn what_is_taken_is_refused() {
    let site = Site::new().ada();
    assert_eq!(
        site.run(&["users", "create", "ADA@example.com", "--no-password"])
            .bad(),
        "the e-mail address is taken"
    );
    assert_eq!(
        site.run(&[
            "users",
            "create",
            "b@example.com",
            "--username",
            "Ada.L",
            "--no-password"
        ])
        .bad(),
        "the username is taken or looks like another"
    );
}

#[test]
fn a_password_has_no_place_on_the_command_line() {
    let site = Site::new();
    for arguments in [
        &["users", "create", "ada@example.com", "--password", GOOD][..],
        &["users", "create", "ada@example.com", GOOD],
        &["users", "change-password", "ada@example.com", GOOD],
        &[
            "users",
            "create",
            "ada@example.com",
            "--no-password",
            "--password-stdin",
        ],
        &["users", "delete", "ada@example.com"],
        &["roles", "delete", "admin"],
        &[
            "users",
            "create",
            "ada@example.com",
            "--active",
            "--inactive",
        ],
        &["nonsense"],
    ] {
        assert_eq!(site.run(arguments).code, 2, "{arguments:?}");
    }
    assert!(!Path::new(&site.path("security.db")).exists());
}

#[test]
fn an_account_is_shut_out_and_let_in_by_any_of_its_names() {
    let site = Site::new().ada();
    let id = site.run(&["users", "show", "ada.l", "--json"]).json()["user"]["id"]
        .as_str()
        .unwrap()
        .to_string();
    assert_eq!(
        site.run(&["users", "deactivate", "ada.l"]).good(),
        "ada@example.com is inactive now\n"
    );
    assert_eq!(
        site.run(&["users", "deactivate", &id]).good(),
        "ada@example.com was inactive already\n"
    );
    let done = site
        .run(&["users", "activate", " Ada@Example.com", "--json"])
        .json();
    assert_eq!(
        (&done["active"], &done["changed"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    site.run(&["users", "reset-access", &id]).good();
    assert_eq!(
        site.run(&["users", "activate", "eve@example.com"]).bad(),
        "there is no account `eve@example.com`"
    );
}

#[test]
fn a_password_is_changed() {
    let site = Site::new().ada();
    let change = ["users", "change-password", "ada@example.com"];
    assert!(
        site.type_in("ada@example.com\n", &change)
            .bad()
            .starts_with("password: ")
    );
    assert!(
        !site.run(&["users", "show", "ada.l", "--json"]).json()["user"]["has_password"]
            .as_bool()
            .unwrap()
    );
    site.type_in(GOOD, &change).good();
    assert!(
        site.run(&["users", "show", "ada.l", "--json"]).json()["user"]["has_password"]
            .as_bool()
            .unwrap()
    );
}

#[test]
fn an_account_is_deleted_only_on_purpose() {
    let site = Site::new().ada();
    assert_eq!(
        site.run(&["users", "delete", "ada.l", "--yes"]).good(),
        "ada@example.com is deleted\n"
    );
    assert_eq!(
        site.run(&["users", "show", "ada.l"]).bad(),
        "there is no account `ada.l`"
    );
}

#[test]
fn accounts_are_listed_page_by_page() {
    let site = Site::new();
    for name in ["a", "b", "c"] {
        site.run(&[
            "users",
            "create",
            &format!("{name}@example.com"),
            "--no-password",
        ])
        .good();
    }
    let first = site
        .run(&["users", "list", "--limit", "2", "--json"])
        .json();
    let emails = |list: &Value| -> Vec<String> {
        list["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["email"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(emails(&first), ["a@example.com", "b@example.com"]);
    let next = first["next"].as_str().unwrap();
    let second = site
        .run(&["--json", "users", "list", "--after", next])
        .json();
    assert_eq!(emails(&second), ["c@example.com"]);
    assert_eq!(second["next"], Value::Null);
    for (asked, expected) in [
        (&["--search", "B@EXAMPLE"][..], &["b@example.com"][..]),
        (&["--search", "nobody"], &[]),
        (&["--role", "editor"], &[]),
        (&["--active", "false", "--limit", "1"], &["a@example.com"]),
        (&["--active"], &[]),
    ] {
        let mut line = vec!["--json", "users", "list"];
        line.extend(asked);
        assert_eq!(emails(&site.run(&line).json()), expected, "{asked:?}");
    }
    assert!(
        site.run(&["users", "list"])
            .good()
            .contains("b@example.com  -         no      no")
    );
}

#[test]
fn roles_are_made_given_and_taken() {
    let site = Site::new().ada();
    site.run(&[
        "roles",
        "create",
        "editor",
        "--description",
        "Writes",
        "--permission",
        "read",
        "--permission",
        "a,b",
    ])
    .good();
    assert_eq!(
        site.run(&["roles", "create", "editor"]).bad(),
        "the role exists already"
    );
    assert_eq!(
        site.run(&["roles", "add", "ada.l", "editor"]).good(),
        "ada@example.com has the role editor now\n"
    );
    assert_eq!(
        site.run(&["roles", "add", "ada.l", "editor", "--json"])
            .json()["changed"],
        false
    );
    assert_eq!(
        site.run(&["roles", "add", "ada.l", "edtor"]).bad(),
        "there is no role `edtor`; did you mean `editor`?"
    );
    let user = &site.run(&["users", "show", "ada.l", "--json"]).json()["user"];
    assert_eq!(user["permissions"], serde_json::json!(["a,b", "read"]));
    let changed = site
        .run(&[
            "roles",
            "add-permissions",
            "editor",
            "read",
            "write",
            "--json",
        ])
        .json();
    assert_eq!(
        (
            &changed["changed"],
            changed["permissions"].as_array().unwrap().len()
        ),
        (&1.into(), 3)
    );
    site.run(&["roles", "remove-permissions", "editor", "a,b", "none"])
        .good();
    let roles = site.run(&["roles", "list", "--json"]).json();
    assert_eq!(
        roles["roles"][0]["permissions"],
        serde_json::json!(["read", "write"])
    );
    site.run(&["roles", "remove", "ada.l", "editor"]).good();
    let made = site
        .run(&[
            "users",
            "create",
            "b@example.com",
            "--no-password",
            "--role",
            "editor",
            "--json",
        ])
        .json();
    assert_eq!(made["user"]["roles"], serde_json::json!(["editor"]));
    let gone = site
        .run(&["roles", "delete", "editor", "--yes", "--json"])
        .json();
    assert_eq!(gone["accounts"], 1);
    assert_eq!(site.run(&["roles", "list"]).good(), "no roles\n");
}

#[test]
fn an_account_with_an_unknown_role_is_not_made() {
    let site = Site::new();
    let create = [
        "users",
        "create",
        "ada@example.com",
        "--no-password",
        "--role",
        "admin",
    ];
    assert_eq!(site.run(&create).bad(), "there is no role `admin`");
    assert_eq!(site.run(&["users", "list"]).good(), "no accounts\n");
}

#[test]
fn templates_are_copied_and_never_overwritten_by_chance() {
    let site = Site::new();
    let to = site.path("pages");
    let copied = site
        .run(&["templates", "copy", "login", "--to", &to])
        .good();
    let file = Path::new(&to).join("security/login/login.html");
    assert!(copied.contains(&file.display().to_string()), "{copied}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/templates/security/login/login.html"
        ))
        .unwrap()
    );

    std::fs::write(&file, "mine").unwrap();
    assert!(
        site.run(&["templates", "copy", "login", "--to", &to])
            .bad()
            .contains("--force")
    );
    let all = site
        .run(&["templates", "copy", "--to", &to, "--json"])
        .json();
    assert_eq!(all["kept"], serde_json::json!([file.display().to_string()]));
    assert!(Path::new(&to).join("security/messages/en.toml").is_file());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    site.run(&["templates", "copy", "login", "--to", &to, "--force"])
        .good();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let unknown = site
        .run(&["templates", "copy", "regster", "--to", &to])
        .bad();
    assert_eq!(
        unknown,
        "there is no built-in template `regster`; did you mean `register`?"
    );
    assert!(
        site.run(&["templates", "list"])
            .good()
            .contains("security/register/welcome.mail.txt")
    );
}

#[test]
fn a_broken_template_stops_commands_but_not_its_repair() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("security/login");
    std::fs::create_dir_all(&pages).unwrap();
    std::fs::write(pages.join("login.html"), "{% if %}").unwrap();
    let site = Site::new().with(
        "ROCKET_SECURITY__TEMPLATE_DIR",
        &folder.path().display().to_string(),
    );
    let sentence = site.run(&["users", "list"]).bad();
    assert!(
        sentence.contains("login.html") && !sentence.contains('\n'),
        "{sentence}"
    );
    site.run(&["templates", "copy", "login", "--force"]).good();
    site.run(&["users", "list"]).good();
}

#[test]
fn migrations_are_listed_then_applied() {
    let site = Site::new();
    let check = site.run(&["migrate", "--check", "--json"]);
    assert_eq!(check.code, 1);
    let pending: Value = serde_json::from_str(&check.out).unwrap();
    assert!(!pending["pending"].as_array().unwrap().is_empty());
    assert_eq!(
        site.run(&["migrate", "--json"]).json()["applied"],
        pending["pending"]
    );
    assert_eq!(
        site.run(&["migrate", "--check"]).good(),
        "the database is up to date\n"
    );
    assert_eq!(
        site.run(&["migrate", "--json"]).json()["applied"],
        serde_json::json!([])
    );
}

#[test]
fn commands_leave_migrations_alone_where_the_settings_say_so() {
    let site = Site::new().with("ROCKET_SECURITY__DATABASE__MIGRATE", "false");
    let sentence = site.run(&["users", "list"]).bad();
    assert!(
        sentence.ends_with("apply with the command `migrate`"),
        "{sentence}"
    );
    let doctor = site.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("fail  migrations"), "{}", doctor.out);
    site.run(&["migrate"]).good();
    site.run(&["users", "list"]).good();
}

#[test]
fn the_doctor_finds_a_healthy_site_healthy_and_a_column_gone() {
    let site = Site::new();
    assert!(site.run(&["doctor"]).good().contains("warn  migrations"));
    site.run(&["migrate"]).good();
    let report = site.run(&["doctor", "--json"]).json();
    assert_eq!(report["ok"], true);
    let names: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let all = [
        "launch",
        "secret",
        "base_url",
        "database",
        "migrations",
        "schema",
        "accounts",
        "clock",
        "outbox",
        "templates",
        "mail",
        "hashing",
    ];
    assert_eq!(names, all);

    change(
        &site,
        "ALTER TABLE users DROP COLUMN last_sign_in_from; DROP TABLE security_failures;",
    );
    let report = site.run(&["doctor"]);
    assert_eq!(report.code, 1);
    let sentence = "the database lacks users.last_sign_in_from, the table security_failures";
    assert!(report.out.contains(sentence), "{}", report.out);
}

#[test]
fn the_doctor_names_what_stands_in_the_way_of_our_tables() {
    let half = Site::new();
    half.run(&["migrate"]).good();
    change(
        &half,
        "DELETE FROM __diesel_schema_migrations WHERE version = '20261123180000'; DROP TABLE security_devices;",
    );
    let foreign = Site::new();
    change(&foreign, "CREATE TABLE users (id INTEGER, email TEXT);");
    for (site, words) in [
        (half, "the migration 2026-11-23-180000_factors broke off"),
        (foreign, "a table `users` of another application"),
    ] {
        let report = site.run(&["doctor"]);
        assert_eq!(report.code, 1);
        assert!(report.out.contains(words), "{}", report.out);
        assert!(report.out.contains("fail  migrations"), "{}", report.out);
    }
}

#[test]
fn the_doctor_sees_a_clock_that_is_behind() {
    let site = Site::new().ada();
    change(&site, "UPDATE users SET created_at = 7258118400000;");
    let report = site.run(&["doctor"]);
    assert_eq!(report.code, 1);
    assert!(report.out.contains("fail  clock"), "{}", report.out);
}

#[test]
fn a_wrong_setting_is_one_sentence() {
    let site = Site::new()
        .with("ROCKET_SECURITY__GENERIC_ANSWER", "true")
        .with("ROCKET_LOG_LEVEL", "off");
    let sentence = site.run(&["users", "list"]).bad();
    assert!(sentence.starts_with(
        "`security.generic_answer` is not a setting; did you mean `generic_answers`?"
    ));
    assert!(!sentence.contains('\n'), "{sentence}");
    let done = site.run(&["migrate", "--json"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(error["error"], sentence.as_str());
    assert!(
        site.run(&["templates", "list"])
            .bad()
            .contains("generic_answers")
    );
    let doctor = site.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 1);
    let report: Value = serde_json::from_str(&doctor.out).unwrap();
    assert_eq!(
        (&report["ok"], &report["checks"][0]["detail"]),
        (&Value::Bool(false), &error["error"])
    );
    assert_eq!(site.run(&["serve"]).code, 1);
}

#[test]
fn a_setting_that_rocket_itself_cannot_read_is_a_sentence_too() {
    let site = Site::new()
        .with("ROCKET_PORT", "none")
        .with("ROCKET_WORKERS", "many");
    for arguments in [&["users", "list"][..], &["serve"], &[]] {
        let sentence = site.run(arguments).bad();
        assert!(
            sentence.starts_with("Rocket's settings cannot be read: "),
            "{sentence}"
        );
    }
}

/// Asks in JSON; the status and what is in the envelope.
fn post(client: &Client, path: &str, body: &Value) -> (u16, Value) {
    let request = client
        .post(path.to_string())
        .header(ContentType::JSON)
        .body(body.to_string());
    let response = request.dispatch();
    let status = response.status().code;
    let text = response.into_string().unwrap();
    let envelope: Value = serde_json::from_str(&text).unwrap();
    (status, envelope["response"].clone())
}

fn sign_in(client: &Client, password: &str) -> (u16, Value) {
    let body = json!({"email": "ada@example.com", "password": password});
    post(client, "/login", &body)
}

/// The last part of a link's path.
fn token_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

#[test]
fn an_invitation_that_is_printed_works_once() {
    let site = Site::new();
    site.run(&["roles", "create", "editor"]).good();
    let invite = [
        "users",
        "invite",
        "ada@example.com",
        "--username",
        "ada.l",
        "--role",
        "editor",
        "--print",
    ];
    let url = site.run(&invite).good();
    assert!(
        url.starts_with("http://localhost:8000/invite/") && url.trim_end().lines().count() == 1,
        "{url}"
    );
    assert_eq!(site.run(&["mail", "list"]).good(), "no mails\n");

    // Whoever has not come yet is invited anew, and the link before is void.
    let anew = [&invite[..], &["--json"]].concat();
    let answer = site.run(&anew).json();
    assert_eq!(answer["mailed"], false);
    assert_eq!(answer["user"]["username"], "ada.l");
    assert_eq!(answer["user"]["roles"], json!(["editor"]));
    let client = site.client();
    let new = json!({"password": GOOD, "password_confirm": GOOD});
    let old = format!("/invite/{}", token_of(url.trim_end()));
    assert_eq!(post(&client, &old, &new).0, 400);
    let path = format!("/invite/{}", token_of(answer["url"].as_str().unwrap()));
    assert_eq!(post(&client, &path, &new).0, 200);
    assert_eq!(post(&client, &path, &new).0, 400);
    assert_eq!(sign_in(&client, GOOD).0, 200);
    let user = &site.run(&["users", "show", "ada.l", "--json"]).json()["user"];
    assert!(user["confirmed_at"].is_string(), "{user}");
    assert_eq!(
        site.run(&invite).bad(),
        "email: This email address has an account already."
    );
}

#[test]
fn an_invitation_is_mailed_unless_it_is_printed() {
    let site = Site::new();
    assert_eq!(
        site.run(&["users", "invite", "ada@example.com"]).good(),
        "an invitation for ada@example.com is in the outbox; the running site, or `mail send`, sends it\n"
    );
    let mails = site.run(&["mail", "list", "--json"]).json();
    let mail = &mails["mails"][0];
    assert_eq!(
        (&mail["kind"], &mail["recipient"], &mail["state"]),
        (
            &json!("invite"),
            &json!("ada@example.com"),
            &json!("waiting")
        )
    );
    let answer = site
        .run(&["users", "invite", "ada@example.com", "--json"])
        .json();
    assert_eq!(answer["mailed"], true);
    assert_eq!(answer.get("url"), None);
}

#[test]
fn nobody_is_invited_in_vain() {
    let site = Site::new();
    assert_eq!(
        site.run(&["users", "invite", "ada@example.com", "--role", "editor"])
            .bad(),
        "there is no role `editor`"
    );
    let refused = site.run(&["users", "invite", "ada", "--username", "root", "--json"]);
    let error: Value = serde_json::from_str(&refused.err).unwrap();
    assert!(error["fields"]["email"].is_array() && error["fields"]["username"].is_array());
    assert_eq!(site.run(&["users", "list"]).good(), "no accounts\n");

    site.run(&["users", "create", "ada@example.com", "--no-password"])
        .good();
    for command in ["invite", "send-recovery"] {
        assert_eq!(
            site.run(&["users", command, "ada@example.com"]).bad(),
            "ada@example.com is inactive, so its link would open nothing; `users activate` lets it in"
        );
    }
    let site = site
        .with("ROCKET_SECURITY__INVITE__ENABLED", "false")
        .with("ROCKET_SECURITY__RECOVER__ENABLED", "false");
    site.run(&["users", "activate", "ada@example.com"]).good();
    for (command, feature) in [("invite", "invite"), ("send-recovery", "recover")] {
        assert_eq!(
            site.run(&["users", command, "ada@example.com", "--print"])
                .bad(),
            format!("`security.{feature}.enabled` is false; nobody could use the link")
        );
    }
}

#[test]
fn a_recovery_is_mailed_or_printed() {
    let site = Site::new().ada();
    assert_eq!(
        site.run(&["users", "send-recovery", "ada.l"]).good(),
        "a mail for ada@example.com is in the outbox; the running site, or `mail send`, sends it\n"
    );
    assert_eq!(
        site.run(&["mail", "list", "--json"]).json()["mails"][0]["kind"],
        "recover"
    );
    let answer = site
        .run(&["users", "send-recovery", "ada.l", "--print", "--json"])
        .json();
    assert_eq!(answer["mailed"], false);
    let client = site.client();
    let path = format!("/reset/{}", token_of(answer["url"].as_str().unwrap()));
    let new = json!({"password": GOOD, "password_confirm": GOOD});
    assert_eq!(post(&client, &path, &new).0, 200);
    assert_eq!(sign_in(&client, GOOD).0, 200);
    assert_eq!(
        site.run(&["users", "send-recovery", "eve@example.com"])
            .bad(),
        "there is no account `eve@example.com`"
    );
}

#[test]
fn a_new_password_is_asked_for_at_the_next_sign_in() {
    let site = Site::new();
    let create = ["users", "create", "ada@example.com", "--active"];
    site.type_in(GOOD, &create).good();
    let client = site.client();
    assert_eq!(sign_in(&client, GOOD).0, 200);
    assert_eq!(
        site.run(&["users", "require-new-password", "ada@example.com"])
            .good(),
        "the sessions of ada@example.com are ended; the next sign-in asks for a new password\n"
    );
    let user = &site
        .run(&["users", "show", "ada@example.com", "--json"])
        .json()["user"];
    assert_eq!(
        (&user["must_change_password"], &user["sessions"]),
        (&json!(true), &json!([]))
    );

    let (status, owing) = sign_in(&client, GOOD);
    assert_eq!(
        (status, &owing["new_password_required"]),
        (200, &json!(true))
    );
    assert_eq!(owing.get("user"), None);
    let path = format!("/reset/{}", owing["state_token"].as_str().unwrap());
    let another = "copper meadow twenty-nine";
    let new = json!({"password": another, "password_confirm": another});
    assert_eq!(post(&client, &path, &new).0, 200);
    assert_eq!(sign_in(&client, GOOD).0, 400);
    let (status, done) = sign_in(&client, another);
    assert_eq!((status, done.get("new_password_required")), (200, None));

    let site = site.with("ROCKET_SECURITY__RECOVER__ENABLED", "false");
    let answer = site
        .run(&["users", "require-new-password", "ada@example.com"])
        .good();
    assert!(
        answer.ends_with("nobody gets in before `users change-password`\n"),
        "{answer}"
    );
    assert_eq!(
        site.run(&["users", "require-new-password", "eve@example.com"])
            .bad(),
        "there is no account `eve@example.com`"
    );
}

#[test]
fn mails_are_listed_without_what_they_say() {
    let site = Site::new().ada();
    site.run(&["users", "send-recovery", "ada.l"]).good();
    site.run(&["users", "invite", "eve@example.com"]).good();
    let text = site.run(&["mail", "list"]).good();
    assert!(text.starts_with("WRITTEN"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].contains("invite   eve@example.com  waiting"),
        "{text}"
    );
    assert!(
        lines[2].contains("recover  ada@example.com  waiting"),
        "{text}"
    );
    assert!(
        !text.contains("http") && !text.contains("/reset/"),
        "{text}"
    );

    let mails = site.run(&["mail", "list", "--json"]).json();
    let mut keys: Vec<&str> = mails["mails"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let all = [
        "attempts",
        "created_at",
        "due_at",
        "error",
        "finished_at",
        "id",
        "kind",
        "recipient",
        "state",
    ];
    assert_eq!(keys, all);

    let first = site.run(&["mail", "list", "--limit", "1", "--json"]).json();
    assert_eq!(first["mails"].as_array().unwrap().len(), 1);
    for (state, number) in [("waiting", 2), ("sent", 0), ("failed", 0)] {
        let listed = site
            .run(&["mail", "list", "--state", state, "--json"])
            .json();
        assert_eq!(listed["mails"].as_array().unwrap().len(), number, "{state}");
    }
    for wrong in [
        &["mail", "list", "--state", "lost"][..],
        &["mail", "list", "--limit", "0"],
        &["mail", "resend"],
        &["mail", "resend", "1", "--failed"],
    ] {
        assert_eq!(site.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn mails_go_out_by_a_command_where_no_site_runs() {
    let folder = TempDir::new().unwrap();
    let site = Site::new()
        .with("ROCKET_SECURITY__MAIL__TRANSPORT", "file")
        .with(
            "ROCKET_SECURITY__MAIL__FOLDER",
            &folder.path().display().to_string(),
        )
        .ada();
    assert_eq!(
        site.run(&["mail", "send"]).good(),
        "0 mails are sent, 0 wait\n"
    );
    site.run(&["users", "send-recovery", "ada.l"]).good();
    assert_eq!(
        site.run(&["mail", "send", "--json"]).json(),
        json!({"sent": 1, "waiting": 0, "failed": 0, "error": null})
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let listed = site
        .run(&["mail", "list", "--state", "sent", "--json"])
        .json();
    let mail = &listed["mails"][0];
    assert!(mail["finished_at"].is_string() && mail["due_at"].is_null());
    let sentence = site
        .run(&["mail", "resend", mail["id"].as_str().unwrap()])
        .bad();
    assert!(
        sentence.ends_with("that failed or waits; what was sent is not sent again"),
        "{sentence}"
    );
}

#[test]
fn mails_that_nobody_would_see_are_not_sent_by_a_command() {
    let site = Site::new().ada();
    site.run(&["users", "send-recovery", "ada.l"]).good();
    let sentence = site.run(&["mail", "send"]).bad();
    assert!(sentence.contains("a command has no log"), "{sentence}");
    let listed = site.run(&["mail", "list", "--json"]).json();
    assert_eq!(listed["mails"][0]["state"], "waiting");
}

#[test]
fn mails_wait_while_no_server_can_be_reached() {
    // Nobody listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let site = Site::new()
        .with("ROCKET_SECURITY__MAIL__TRANSPORT", "smtp")
        .with("ROCKET_SECURITY__MAIL__HOST", "127.0.0.1")
        .with("ROCKET_SECURITY__MAIL__ENCRYPTION", "none")
        .with("ROCKET_SECURITY__MAIL__PORT", &port.to_string())
        .ada();
    site.run(&["users", "send-recovery", "ada.l"]).good();
    let done = site.run(&["mail", "send"]);
    assert_eq!(done.code, 1, "{}", done.out);
    let start = "0 mails are sent, 1 waits; ";
    assert!(done.out.starts_with(start), "{}", done.out);
    assert!(done.out.contains(&port.to_string()), "{}", done.out);
}

#[test]
fn mails_that_failed_are_tried_again_when_asked() {
    let site = Site::new().ada();
    for _ in 0..3 {
        site.run(&["users", "send-recovery", "ada.l"]).good();
    }
    let listed = site.run(&["mail", "list", "--json"]).json();
    let id = listed["mails"][0]["id"].as_str().unwrap();
    assert_eq!(
        site.run(&["mail", "resend", "--failed"]).good(),
        "no mail had failed\n"
    );
    fail_all(&site);
    let text = site.run(&["mail", "list", "--state", "failed"]).good();
    assert!(text.contains("550 nobody here"), "{text}");
    assert_eq!(
        site.run(&["mail", "resend", id]).good(),
        "1 mail will be tried again, by the running site or by `mail send`\n"
    );
    assert_eq!(
        site.run(&["mail", "resend", "--failed", "--json"]).json(),
        json!({"resent": 2})
    );
    assert_eq!(
        site.run(&["mail", "resend", "1"]).bad(),
        "there is no mail `1` that failed or waits; what was sent is not sent again"
    );
}

#[test]
fn the_doctor_looks_into_the_outbox() {
    let site = Site::new().ada();
    let outbox = |site: &Site| -> (String, String) {
        let report = site.run(&["doctor", "--json"]).json();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "outbox");
        let text = |key: &str| check.unwrap()[key].as_str().unwrap().to_string();
        (text("status"), text("detail"))
    };
    assert_eq!(outbox(&site), ("ok".into(), "empty".into()));
    site.run(&["users", "send-recovery", "ada.l"]).good();
    assert_eq!(outbox(&site), ("ok".into(), "1 mail waits".into()));
    change(
        &site,
        "UPDATE security_outbox SET created_at = created_at - 3700000;",
    );
    assert_eq!(
        outbox(&site),
        (
            "warn".into(),
            "1 mail waited longer than an hour, see `mail list --state waiting`".into()
        )
    );
    fail_all(&site);
    assert_eq!(
        outbox(&site),
        (
            "warn".into(),
            "1 mail failed in the last day, see `mail list --state failed`".into()
        )
    );
    change(
        &site,
        "UPDATE security_outbox SET finished_at = finished_at - 90000000;",
    );
    assert_eq!(outbox(&site), ("ok".into(), "empty".into()));
}

#[test]
fn mails_that_reach_nobody_are_told_of_in_production() {
    let site = || {
        Site::new()
            .with("ROCKET_SECURITY__BASE_URL", "https://example.com")
            .with("ROCKET_SECURITY__SECRET", crate::app::SECRET)
    };
    let sentence = "mails reach nobody: `security.mail.transport` is \"console\"; write \"smtp\"";
    let warned = site();
    let log = warned.log_of_a_launch();
    assert_eq!(log.matches(sentence).count(), 1, "{log}");
    let report = warned.run(&["doctor"]).good();
    let finding =
        "warn  mail        mails are printed to the log, so nobody can confirm an address";
    assert!(report.contains(finding), "{report}");
    let unconfirmed = site().with("ROCKET_SECURITY__CONFIRM__ENABLED", "false");
    let report = unconfirmed.run(&["doctor"]).good();
    let finding = "warn  mail        mails are printed to the log, so they reach nobody";
    assert!(report.contains(finding), "{report}");

    let quiet = site().with("ROCKET_SECURITY__MAIL__TRANSPORT", "file");
    for site in [quiet, Site::new()] {
        let log = site.log_of_a_launch();
        assert!(!log.contains("mails reach nobody"), "{log}");
    }
}

#[test]
fn help_and_version_end_well() {
    let site = Site::new();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["users", "create", "--help"],
    ] {
        assert!(!site.run(arguments).good().is_empty());
    }
}

/// As if a server had refused every mail for good.
fn fail_all(site: &Site) {
    change(
        site,
        "UPDATE security_outbox SET state = 'failed', error = '550 nobody' || char(10) || 'here',
         finished_at = strftime('%s', 'now') * 1000;",
    );
}

/// Does something to the tables that no command does.
fn change(site: &Site, statements: &str) {
    use diesel::{Connection, connection::SimpleConnection};
    diesel::SqliteConnection::establish(&site.path("security.db"))
        .unwrap()
        .batch_execute(statements)
        .unwrap();
}
