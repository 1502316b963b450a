//! Promises that the code keeps about itself: what a newcomer may rely on being there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rocket::http::Method as Verb;

use crate::app::{App, Plan};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ends, found);
        } else if ends
            .iter()
            .any(|end| path.display().to_string().ends_with(end))
        {
            found.push(path);
        }
    }
}

fn all(folder: &str, ends: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&root().join(folder), ends, &mut found);
    assert!(!found.is_empty(), "nothing in {folder}");
    let named = |path: PathBuf| {
        (
            path.display().to_string(),
            fs::read_to_string(path).unwrap(),
        )
    };
    found.into_iter().map(named).collect()
}

/// What stands between `before` and the next `"` everywhere in `text`.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let ends = |rest: &'a str| rest.split_once('"').map(|(inside, _)| inside);
    text.split(before).skip(1).filter_map(ends).collect()
}

#[test]
fn every_feature_has_its_templates_its_settings_and_its_test() {
    let settings = read("Rocket.toml");
    let features = rocket_security::testing::features();
    assert!(features.len() >= 20, "{features:?}");
    for feature in &features {
        // `login` has two parts, and that of unified sign-in has no template.
        let name = feature.name.split(" (").next().unwrap_or_default();
        let places = ["", "/mod"].map(|end| format!("src/features/{name}{end}.rs"));
        let there = places.iter().find(|path| root().join(path).exists());
        let source = read(there.unwrap_or_else(|| panic!("no module is called {name}")));
        assert!(source.starts_with("//! "), "{name} does not say what it is");
        for template in &feature.templates {
            assert!(
                template.starts_with(&format!("security/{name}/")),
                "{name} uses {template}"
            );
            assert!(
                root().join("templates").join(template).exists(),
                "{template}"
            );
        }
        if settings.contains(&format!("[default.security.{name}]")) && name != "dev_mail" {
            let test = root().join(format!("tests/it/{name}.rs"));
            assert!(test.exists(), "no test of {name}");
        }
    }
    // A template of no feature is one that all share.
    let known: BTreeSet<&str> = features
        .iter()
        .flat_map(|feature| feature.templates.iter().copied())
        .collect();
    #[cfg(all(feature = "passkeys", feature = "social"))]
    for (path, _) in all("templates/security", &[".html", ".txt"]) {
        let name = path.split("/templates/").last().unwrap_or_default();
        let is_shared = ["notices", "partials"]
            .iter()
            .any(|folder| name.starts_with(&format!("security/{folder}/")))
            || name.matches('/').count() == 1;
        assert!(known.contains(name) || is_shared, "{name} is of no feature");
    }
    assert!(known.len() > 40, "{known:?}");
}

#[rocket::async_test]
async fn every_route_of_ours_is_that_of_a_feature() {
    let app = with_every_feature().await;
    let mounted = app.own_routes();
    let ours: Vec<(Verb, String)> = rocket_security::testing::features()
        .into_iter()
        .flat_map(|feature| feature.routes)
        .collect();
    for route in &mounted {
        let at_the_root = route.1.starts_with("/.well-known/");
        assert!(ours.contains(route) || at_the_root, "{route:?}");
    }
    assert!(mounted.len() > 50, "{mounted:?}");
}

/// The settings that Rocket.toml writes down, as `table.key`.
fn written_down() -> BTreeSet<String> {
    let toml = read("Rocket.toml");
    // As somebody would read it who takes the marks of comments away before keys.
    let mut known = BTreeSet::new();
    let mut table = String::new();
    for line in toml.lines() {
        let line = line.trim_start_matches("# ").trim_start_matches('#');
        if let Some(name) = line
            .strip_prefix("[default.security")
            .and_then(|rest| rest.split(']').next())
        {
            table = name.trim_start_matches('.').to_string();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            known.insert(format!("{table}.{key}").trim_start_matches('.').to_string());
        }
    }
    known
}

#[test]
fn every_setting_of_flask_security_is_in_its_table_and_leads_to_something_that_exists() {
    let page = read("docs/coming-from-flask-security.md");
    let table = page.split("\n## Settings\n").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let missing: Vec<&str> = include_str!("flask_security_settings.txt")
        .lines()
        .filter(|name| !table.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let sources = all("src", &[".rs"]).into_iter().map(|(_, text)| text);
    let builder: String = sources
        .filter(|text| text.contains("impl Security {"))
        .collect();
    let known = written_down();
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let here = row.split(" | ").nth(1).unwrap();
        let mut place: Option<String> = None;
        for part in here.split('`').skip(1).step_by(2) {
            if let Some(hook) = part.strip_prefix("Security::") {
                assert!(builder.contains(&format!("pub fn {hook}")), "{part}: {row}");
                checked += 1;
                continue;
            }
            let (within, key) = match part
                .strip_prefix("[security")
                .and_then(|rest| rest.split_once(']'))
            {
                Some((within, key)) => (within.trim_start_matches('.').to_string(), key.trim()),
                None => match &place {
                    Some(within) => (within.clone(), part),
                    None => continue,
                },
            };
            place = Some(within.clone());
            // A table for each provider, and what is no key.
            let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if within.contains('<') || !is_key || key.is_empty() {
                continue;
            }
            let name = format!("{within}.{key}");
            let name = name.trim_start_matches('.');
            // `with "username" in identities` names a key of another table.
            let is_top = known.contains(key);
            assert!(known.contains(name) || is_top, "`{name}`: {row}");
            checked += 1;
        }
    }
    assert!(checked > 90, "only {checked} names were looked up");
}

#[test]
fn every_setting_is_written_down_at_its_default() {
    let known = written_down();
    let mut checked = 0;
    for (path, source) in all("src", &[".rs"]) {
        let mut rest = source.as_str();
        // Each struct whose documentation begins with its table.
        while let Some((_, after)) = rest.split_once("/// `[security") {
            let (table, after) = after.split_once(']').unwrap();
            let table = table.trim_start_matches('.').to_string();
            rest = after;
            let Some((head, body)) = after.split_once(" {\n") else {
                continue;
            };
            if !head.contains("pub struct ")
                || head.contains("\n}")
                || head.contains(";\n")
                || head.contains(",\n    ///")
            {
                continue;
            }
            let body = body.split("\n}").next().unwrap();
            for line in body.lines() {
                let Some((field, kind)) = line
                    .trim()
                    .strip_prefix("pub ")
                    .and_then(|line| line.split_once(':'))
                else {
                    continue;
                };
                if table.is_empty() && kind.trim().ends_with("Settings,") {
                    continue;
                }
                let key = format!("{table}.{field}");
                let key = key.trim_start_matches('.');
                assert!(
                    known.contains(key),
                    "{path}: `security.{key}` is not in Rocket.toml"
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 50, "only {checked} settings were found");
}

#[test]
fn every_message_that_is_asked_for_has_words() {
    let texts: toml::Table = read("templates/security/messages/en.toml").parse().unwrap();
    let has = |key: &str| {
        let mut at = Some(&toml::Value::Table(texts.clone())).cloned();
        for part in key.split('.') {
            at = at.and_then(|value| value.get(part).cloned());
        }
        at.is_some_and(|value| value.is_str())
    };
    let mut checked = 0;
    for (path, source) in all("src", &[".rs"]) {
        let code = source.split("#[cfg(test)]").next().unwrap();
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for key in quoted(line, "Message::new(\"") {
                assert!(has(key), "{path}: {key}");
                checked += 1;
            }
            for key in quoted(line, "unreadable(\"") {
                assert!(has(key), "{path}: {key}");
            }
        }
    }
    for (path, source) in all("templates", &[".html", ".txt", ".tera"]) {
        // A key that ends in a dot is put together; what follows is a method of sign-in.
        for key in quoted(&source, "t(key=\"")
            .into_iter()
            .filter(|key| !key.ends_with('.'))
        {
            assert!(has(key), "{path}: {key}");
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
    for method in [
        "password",
        "email",
        "sms",
        "authenticator",
        "passkey",
        "recovery_code",
        "oauth",
        "register",
        "application",
    ] {
        assert!(has(&format!("method.{method}")), "{method}");
    }
}

#[test]
fn every_template_opens_with_what_it_is_given() {
    for (path, source) in all("templates/security", &[".html", ".txt"]) {
        assert!(source.starts_with("{#"), "{path}");
        let comment = source.split("#}").next().unwrap();
        assert!(
            comment.contains("Context:"),
            "{path} does not name its context"
        );
        assert!(
            !source.contains("|safe") && !source.contains("| safe"),
            "{path} switches escaping off"
        );
        let body = source.split_once("#}").map_or("", |(_, body)| body);
        // A script of ours is asked for by its address, and nothing stands in it.
        let is_ours = |tag: &str| {
            let inside = tag.strip_prefix(" type=\"module\" src=\"{{ ");
            let ends = inside.and_then(|inside| inside.split_once(" }}\"></script>"));
            ends.is_some_and(|(address, _)| !address.contains(['"', '>']))
        };
        let scripts = body.split("<script").skip(1);
        assert!(scripts.into_iter().all(is_ours), "{path}: <script");
        let inline = [" onclick=", "=\"javascript:", "<style", "\" style="];
        // Mail programs load no stylesheet.
        let mail = path.ends_with("partials/mail.html");
        for what in inline.iter().take(if mail { 2 } else { 4 }) {
            assert!(!body.contains(what), "{path}: {what}");
        }
    }
}

/// Looks like the secret of a ticket, and is none.
const NO_TICKET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn with_every_feature() -> App {
    let plan = Plan::new()
        .set("passwordless.enabled", true)
        .set("refresh_tokens.enabled", true)
        .set("api_keys.enabled", true)
        .set("identities", ["email", "username"]);
    #[cfg(feature = "passkeys")]
    let plan = plan.set("passkeys.sign_up", true);
    plan.start().await
}

#[rocket::async_test]
async fn every_post_of_ours_refuses_a_body_without_csrf_and_answers_both_ways() {
    let app = with_every_feature().await;
    let ada = app.user("ada@example.com").await;
    let routes: Vec<String> = app
        .own_routes()
        .into_iter()
        .filter(|(method, _)| *method == Verb::Post)
        .map(|(_, path)| path)
        .collect();
    assert!(routes.len() >= 24, "{routes:?}");
    for route in routes {
        let path = route
            .replace("<id>", &rocket_security::SessionId::new().to_string())
            .replace("<token>", NO_TICKET)
            .replace("<state>", NO_TICKET);
        let visits = route == "/register" || route.starts_with("/login");
        let actor = if visits {
            app.browser()
        } else {
            app.signed_in(&ada).await
        };
        actor.csrf().await;
        let answer = actor
            .copy()
            .in_json()
            .post_body(&path, "application/json", b"{}")
            .await;
        assert!(
            answer.status == 400 && answer.is_envelope(),
            "{route}: {}",
            answer.text()
        );
        assert_eq!(answer.codes(), ["denied.csrf"], "{route}");
        let answer = actor
            .post_body(&path, "application/x-www-form-urlencoded", b"")
            .await;
        let asks = route == "/logout" && answer.status == 200;
        assert!(answer.status == 400 || asks, "{route}: {}", answer.status);
        assert!(
            answer
                .header("Content-Type")
                .is_some_and(|kind| kind.starts_with("text/html")),
            "{route}"
        );
        if !visits {
            assert!(actor.is_signed_in().await, "{route}");
        }
    }
}

#[rocket::async_test]
async fn every_page_of_ours_carries_the_security_headers_and_answers_in_json_too() {
    let app = with_every_feature().await;
    let ada = app.user("ada@example.com").await;
    let signed_in = app.signed_in(&ada).await;
    let bad_links = [
        "confirm",
        "reset",
        "change-email",
        "undo",
        "login",
        "unlock",
        "invite",
    ]
    .map(|feature| format!("/{feature}/{NO_TICKET}"));
    let visitor = app.browser();
    let bad_links = bad_links.iter().map(|link| (&visitor, link.as_str(), 302));
    let pages = [
        (&visitor, "/login", 200),
        (&visitor, "/register", 200),
        (&visitor, "/confirm", 200),
        (&visitor, "/confirm/code", 200),
        (&visitor, "/reset", 200),
        (&visitor, "/reset/code", 200),
        (&visitor, "/recover-username", 200),
        (&visitor, "/login/link", 200),
        (&visitor, "/login/code", 200),
        (&visitor, "/change-email/code", 200),
        (&signed_in, "/change", 200),
        (&signed_in, "/change-email", 200),
        (&signed_in, "/change-username", 200),
        (&signed_in, "/verify", 200),
        (&signed_in, "/sessions", 200),
        (&signed_in, "/api-keys", 200),
        (&signed_in, "/g/admin", 403),
        (&visitor, "/g/admin", 302),
        (&visitor, "/dev/mail", 200),
        #[cfg(feature = "passkeys")]
        (&visitor, "/wan-signin", 200),
        #[cfg(feature = "passkeys")]
        (&visitor, "/wan-signup", 200),
        #[cfg(feature = "passkeys")]
        (&signed_in, "/wan-verify", 200),
        #[cfg(feature = "passkeys")]
        (&signed_in, "/wan-register", 200),
    ];
    for (actor, path, status) in pages.into_iter().chain(bad_links) {
        let answer = actor.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let has = |name: &str| answer.header(name).unwrap_or_default().to_string();
        assert!(has("Cache-Control").contains("no-store"), "{path}");
        let policy = has("Content-Security-Policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(has("X-Content-Type-Options"), "nosniff", "{path}");
        assert_eq!(has("X-Frame-Options"), "DENY", "{path}");
        assert!(!has("Referrer-Policy").is_empty(), "{path}");
        let json = actor
            .get_with(path, &[("Accept", "application/json")])
            .await;
        assert!(json.is_envelope(), "{path}: {}", json.text());
        for name in ["Cache-Control", "X-Content-Type-Options"] {
            assert!(json.header(name).is_some(), "{path}: {name}");
        }
    }
    // The application's own answers are its own.
    assert_eq!(
        app.browser()
            .get("/")
            .await
            .header("Content-Security-Policy"),
        None
    );
}

#[test]
fn whoever_comes_from_flask_security_finds_every_name() {
    let page = read("docs/coming-from-flask-security.md");
    let words: BTreeSet<&str> = page
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for name in FLASK_SECURITY {
        assert!(words.contains(name), "{name}");
    }
}

/// The names on Flask-Security's API page.
const FLASK_SECURITY: &[&str] = &[
    "AnonymousUser",
    "AsaList",
    "ChangePasswordForm",
    "ConfirmRegisterForm",
    "ForgotPasswordForm",
    "Form",
    "FormInfo",
    "LoginForm",
    "MailUtil",
    "MfRecoveryCodesForm",
    "MfRecoveryCodesUtil",
    "MfRecoveryForm",
    "MongoEngineDatastore",
    "MongoEngineUserDatastore",
    "OAuthGlue",
    "PasswordUtil",
    "PasswordlessLoginForm",
    "PeeweeDatastore",
    "PeeweeUserDatastore",
    "PhoneUtil",
    "PonyDatastore",
    "PonyUserDatastore",
    "RegisterForm",
    "ResetPasswordForm",
    "Role",
    "RoleMixin",
    "SQLAlchemyDatastore",
    "SQLAlchemySessionUserDatastore",
    "SQLAlchemyUserDatastore",
    "Security",
    "SendConfirmationForm",
    "SmsSenderBaseClass",
    "SmsSenderFactory",
    "Totp",
    "TwoFactorRescueForm",
    "TwoFactorSelectForm",
    "TwoFactorSetupForm",
    "TwoFactorVerifyCodeForm",
    "UnifiedSigninForm",
    "UnifiedSigninSetupForm",
    "UnifiedSigninSetupValidateForm",
    "UnifiedVerifyForm",
    "User",
    "UserDatastore",
    "UserMixin",
    "UsernameUtil",
    "VerifyForm",
    "WebAuthn",
    "WebAuthnDeleteForm",
    "WebAuthnMixin",
    "WebAuthnRegisterForm",
    "WebAuthnRegisterResponseForm",
    "WebAuthnSigninForm",
    "WebAuthnSigninResponseForm",
    "WebAuthnVerifyForm",
    "WebauthnUtil",
    "admin_change_password",
    "anonymous_user_required",
    "auth_required",
    "auth_token_required",
    "check_and_get_token_status",
    "check_and_update_authn_fresh",
    "confirm_instructions_sent",
    "createSender",
    "current_user",
    "generate_qrcode",
    "get_hmac",
    "get_last_counter",
    "get_request_attr",
    "get_token_status",
    "get_url",
    "handle_csrf",
    "hash_password",
    "http_auth_required",
    "login_instructions_sent",
    "login_required",
    "login_user",
    "logout_user",
    "lookup_identity",
    "password_breached_validator",
    "password_changed",
    "password_complexity_validator",
    "password_length_validator",
    "password_reset",
    "permissions_accepted",
    "permissions_required",
    "pwned",
    "reset_password_instructions_sent",
    "roles_accepted",
    "roles_required",
    "send_mail",
    "send_sms",
    "set_last_counter",
    "tf_code_confirmed",
    "tf_disabled",
    "tf_profile_changed",
    "tf_security_token_sent",
    "tf_send_security_token",
    "transform_url",
    "uia_email_mapper",
    "uia_phone_mapper",
    "uia_username_mapper",
    "unauth_csrf",
    "unauthorized_handler",
    "unique_identity_attribute",
    "url_for_security",
    "us_profile_changed",
    "us_security_token_sent",
    "us_send_security_token",
    "user_authenticated",
    "user_confirmed",
    "user_not_registered",
    "user_registered",
    "verify_and_update_password",
    "verify_password",
    "wan_deleted",
    "wan_registered",
];

/// The text of the README's quick start, as the example has it.
#[test]
fn the_quick_start_of_the_readme_is_the_example() {
    let readme = read("README.md");
    let mark = "<!-- recipe: src/bin/quick_start.rs -->\n```rust,no_run\n";
    let (_, rest) = readme.split_once(mark).expect("the quick start");
    let (text, _) = rest.split_once("```").expect("its end");
    // The last line of the example brings its tests.
    let example = read("examples/quickstart/src/main.rs");
    assert_eq!(format!("{text}\n#[cfg(test)]\nmod tests;\n"), example);
}
