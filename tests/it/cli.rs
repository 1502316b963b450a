//! The command line, as a process: what a person or a script sees of it.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
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

    fn type_in(&self, input: &str, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rocket_security"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("ROCKET_SECURITY__DATABASE__URL", self.path("security.db"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
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

/// Does something to the tables that no command does.
fn change(site: &Site, statements: &str) {
    use diesel::{Connection, connection::SimpleConnection};
    diesel::SqliteConnection::establish(&site.path("security.db"))
        .unwrap()
        .batch_execute(statements)
        .unwrap();
}
