//! A wrong setting stops the launch with one sentence that names it.

use rocket::figment::Figment;
use rocket_security::config::Settings;

use crate::app::Plan;

#[cfg(feature = "social")]
#[test]
fn a_provider_is_described_in_full() {
    let table = "[default.security.social.providers.example]\nclient_id = \"x\"\n";
    for (toml, words) in [
        (
            table.to_string(),
            &[
                "`security.social`",
                "providers.example",
                "`issuer` is missing",
            ][..],
        ),
        (
            format!("{table}issuer = \"http://id.example.com\""),
            &["providers.example", "`issuer`", "https", "allow_private"],
        ),
        (
            format!("{table}issuer = \"id\""),
            &["providers.example", "`issuer`"],
        ),
        (
            format!("{table}issuer = \"https://id.example.com\"\norigins = [\"x\"]"),
            &["providers.example", "`origins`"],
        ),
        (
            format!("{table}isuer = \"https://id.example.com\""),
            &["isuer", "did you mean `issuer`"],
        ),
        (
            format!("{table}kind = \"saml\""),
            &["security.social.providers.example.kind", "saml"],
        ),
        (
            "[default.security.social.providers.google]\nclient_id = \" \"".into(),
            &["providers.google", "`client_id` is empty"],
        ),
        (
            "[default.security.social.providers.google]\nclient_secret = \"x\"".into(),
            &["security.social.providers.google", "client_id"],
        ),
        (
            "[default.security.social.providers.\"My site\"]\nclient_id = \"x\"".into(),
            &["My site", "small letters"],
        ),
        (
            "[default.security.social]\ntimeout = 0".into(),
            &["`security.social.timeout`", "0 is no length of time"],
        ),
    ] {
        let sentence = refusal(&toml);
        for word in words {
            assert!(sentence.contains(word), "{toml}: {sentence}");
        }
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[cfg(feature = "social")]
#[rocket::async_test]
async fn what_is_said_of_providers_is_of_those_that_there_are() {
    let google = |plan: Plan| {
        plan.set("social.providers.google.client_id", "x")
            .set("social.providers.google.client_secret", "y")
    };
    for plan in [
        google(Plan::new()).set("social.match_email", ["gogle"]),
        google(Plan::new())
            .set("identities", ["email", "username"])
            .set("register.username", "required")
            .set("social.sign_up", true),
        Plan::new().set("social.providers.github.client_id", "x"),
    ] {
        assert!(plan.try_start().await.is_err());
    }
    assert!(google(Plan::new()).try_start().await.is_ok());
}

fn refusal(toml: &str) -> String {
    use rocket::figment::providers::{Format, Toml};
    let figment = Figment::from(rocket::Config::debug_default()).merge(Toml::string(toml).nested());
    match Settings::from_figment(&figment) {
        Ok(_) => panic!("taken: {toml}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_kind_of_wrong_setting_is_named_in_one_sentence() {
    for (toml, words) in [
        (
            "[default.security]\ngeneric_answer = true",
            &[
                "`security.generic_answer`",
                "did you mean `generic_answers`",
            ][..],
        ),
        (
            "[default.security.sesion]\nidle = 1",
            &["`security.sesion`", "did you mean `session`"],
        ),
        (
            "[default.security.session]\nidel = 1",
            &["`security.session.idel`", "did you mean `idle`"],
        ),
        (
            "[default.security.session]\nidle = \"soon\"",
            &["security.session.idle", "soon"],
        ),
        (
            "[default.security.session]\nidle = -5",
            &["security.session.idle"],
        ),
        (
            "[default.security.session]\nidle = \"40 d\"",
            &["`security.session.idle`", "`security.session.absolute`"],
        ),
        (
            "[default.security.freshness]\nwithin = 0",
            &["security.freshness.within"],
        ),
        (
            "[default.security.limits]\nper_account = 0",
            &["`security.limits.per_account`", "1 or more"],
        ),
        (
            "[default.security.limits]\nper_account = \"ten\"",
            &["security.limits.per_account"],
        ),
        (
            "[default.security.refresh_tokens]\ngrace = \"6 min\"",
            &["`security.refresh_tokens`", "`grace`", "6m"],
        ),
        (
            "[default.security.refresh_tokens]\nmost = 0",
            &["`security.refresh_tokens.most`", "1 or more"],
        ),
        (
            "[default.security.limits]\nlock = 0",
            &["`security.limits.lock`", "0 is no length", "\"15 min\""],
        ),
        (
            "[default.security.session]\nidle = \"0 s\"",
            &["`security.session.idle`", "0 is no length", "\"15 min\""],
        ),
        (
            "[default.security]\nbase_url = \"example.com\"",
            &["`security.base_url`", "example.com"],
        ),
        (
            "[default.security]\nbase_url = \"https://example.com/app\"",
            &["`security.base_url`", "url_prefix"],
        ),
        (
            "[default.security]\nurl_prefix = \"account/\"",
            &["`security.url_prefix`"],
        ),
        (
            "[default.security]\nidentities = []",
            &["`security.identities`"],
        ),
        (
            "[default.security]\nidentities = [\"phone\"]",
            &["security.identities", "phone"],
        ),
        (
            "[default.security.register]\nusername = \"required\"",
            &["`security.register.username`", "`security.identities`"],
        ),
        (
            "[default.security.after]\nlogin = \"https://evil.example\"",
            &["`security.after.login`"],
        ),
        (
            "[default.security.redirects]\nallow_subdomains = true\nbase_domain = \"com\"",
            &["security.redirects", "base_domain"],
        ),
        (
            "[default.security]\ntrusted_proxies = [\"10.0.0.0/40\"]",
            &["security.trusted_proxies"],
        ),
        (
            "[default.security]\nforwarded_header = \"x-client\"",
            &["security.forwarded_header", "x-client"],
        ),
        (
            "[default.security.basic]\nrealm = \"a\\\"b\"",
            &["`security.basic.realm`"],
        ),
        (
            "[default.security.csrf]\ncookie = \"a b\"",
            &["`security.csrf.cookie`"],
        ),
        (
            "[default.security.hashing]\nmemory_kib = 64",
            &["`security.hashing`", "`memory_kib`"],
        ),
        (
            "[default.security.hashing]\npeppers = [\"short\"]",
            &["`security.hashing`", "`peppers`"],
        ),
        (
            "[default.security.passwords]\nmin_length = 200",
            &["`security.passwords`", "`max_length`"],
        ),
        (
            "[default.security.usernames]\nmin = 9\nmax = 3",
            &["`security.usernames.min`"],
        ),
        (
            "[default.security.database]\nconnections = 0",
            &["`security.database.connections`"],
        ),
        (
            "[default.security.two_factor]\nmethods = []",
            &["`security.two_factor`", "`methods`"],
        ),
        (
            "[default.security.two_factor]\nmethods = [\"email\", \"email\"]",
            &["`security.two_factor`", "`methods`", "twice"],
        ),
        (
            "[default.security.two_factor]\nenabled = false\nrequired = true",
            &["`security.two_factor`", "`required`"],
        ),
        (
            "[default.security.two_factor]\nrescue_mail = \"nobody\"",
            &["`security.two_factor`", "`rescue_mail`"],
        ),
        (
            "[default.security.recovery_codes]\ncount = 0",
            &["`security.recovery_codes`", "`count`"],
        ),
        #[cfg(feature = "smtp")]
        (
            "[default.security.mail]\nfrom = \"Site <संपर्क@example.com>\"",
            &["`security.mail`", "`from`", "before the @", "no-reply@"],
        ),
        #[cfg(feature = "smtp")]
        (
            "[default.security.mail]\nreply_to = \"संपर्क@example.com\"",
            &["`security.mail`", "`reply_to`", "before the @"],
        ),
        #[cfg(feature = "passkeys")]
        (
            "[default.security.passkeys]\nverify = [\"first\", \"third\"]",
            &["verify", "true, false", "`first`", "`secondary`"],
        ),
        #[cfg(feature = "passkeys")]
        (
            "[default.security.passkeys]\nchallenge = \"50 d\"",
            &["`security.passkeys`", "`challenge`", "1 h"],
        ),
        #[cfg(feature = "passkeys")]
        (
            "[default.security.passkeys]\nchallenges = 0",
            &["`security.passkeys.challenges`", "1 or more"],
        ),
        (
            "[default.security.unified]\nreplaces_login = true",
            &["`security.unified`", "`enabled = true`"],
        ),
        (
            "[default.security.unified]\nenabled = true\nmethods = []",
            &["`security.unified`", "`methods`"],
        ),
        (
            "[default.security.session]\ncookie = \"a;b\"",
            &["security.session.cookie"],
        ),
    ] {
        let said = refusal(toml);
        for word in words {
            assert!(said.contains(word), "{toml}\n{said}");
        }
        assert!(
            !said.contains('\n') && said.len() < 600,
            "one sentence: {said}"
        );
    }
}

#[rocket::async_test]
async fn a_real_launch_stops_too() {
    for (key, value) in [
        ("limits.per_account", "0"),
        ("generic_answer", "true"),
        ("base_url", "nonsense"),
        ("secret", "short"),
        ("secret", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ] {
        assert!(
            Plan::new().set(key, value).try_start().await.is_err(),
            "{key}"
        );
    }
    let nowhere = Plan::new().set("database.url", "/proc/nothing/security.db");
    assert!(nowhere.try_start().await.is_err());
    let unknown = Plan::new().set("database.url", "postgres://127.0.0.1:1/none");
    assert!(unknown.try_start().await.is_err());
}

#[rocket::async_test]
async fn away_from_this_machine_a_secret_and_a_base_url_are_needed() {
    let secret = "b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA";
    let outside = || Plan::new().without_secret().rocket("address", "0.0.0.0");
    assert!(outside().try_start().await.is_err());
    assert!(outside().set("secret", secret).try_start().await.is_err());
    assert!(
        outside()
            .set("base_url", "https://example.com")
            .try_start()
            .await
            .is_err()
    );
    let plain = outside()
        .set("secret", secret)
        .set("base_url", "http://example.com");
    assert!(
        plain.try_start().await.is_err(),
        "cookies could be read on the way"
    );
    let known = outside().set("base_url", "https://example.com").set(
        "secret",
        "rocket_security: this key is public and for development only",
    );
    assert!(
        known.try_start().await.is_err(),
        "the key that everybody knows"
    );
    let app = outside()
        .set("secret", secret)
        .set("base_url", "https://example.com")
        .start()
        .await;
    assert_eq!(app.browser().get("/dev/mail").await.status, 404);
    // Never by the request's host.
    let headers = [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
    ];
    let page = app.browser().get_with("/login", &headers).await;
    assert!(!page.text().contains("evil.example"));
}

#[test]
fn profiles_and_the_environment_reach_every_table() {
    use rocket::figment::providers::{Format, Toml};
    let toml =
        "[default.security.session]\nidle = \"1 h\"\n[staging.security.session]\nidle = \"2 h\"";
    let figment = Figment::from(rocket::Config::debug_default()).merge(Toml::string(toml).nested());
    let idle = |profile: &str| {
        Settings::from_figment(&figment.clone().select(profile))
            .unwrap()
            .session
            .idle
    };
    assert_eq!(idle("debug").to_string(), "1h");
    assert_eq!(idle("staging").to_string(), "2h");
}

/// Starts the site itself, which is expected to refuse; answers everything that it said.
#[cfg(feature = "cli")]
fn said_by_the_site(dir: &std::path::Path, environment: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rocket_security"));
    command
        .current_dir(dir)
        .env("ROCKET_PORT", "0")
        .env("ROCKET_SECURITY__DATABASE__URL", dir.join("site.db"))
        .envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(
        !output.status.success(),
        "it did not refuse: {environment:?}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[cfg(feature = "cli")]
#[test]
fn the_site_says_what_is_wrong_when_it_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, words) in [
        (
            "ROCKET_SECURITY__LIMITS__PER_ACCOUNT",
            "0",
            "`security.limits.per_account`: this is 0, and should be 1 or more",
        ),
        (
            "ROCKET_SECURITY__GENERIC_ANSWER",
            "true",
            "did you mean `generic_answers`",
        ),
        (
            "ROCKET_SECURITY_BASE_URL",
            "http://x.example",
            "`ROCKET_SECURITY__BASE_URL`",
        ),
        ("ROCKET_ADDRESS", "0.0.0.0", "`security.secret` is missing"),
    ] {
        let said = said_by_the_site(dir.path(), &[(name, value)]);
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[cfg(feature = "cli")]
#[test]
fn a_broken_override_is_named_with_its_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("templates/security/login/login.html");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for (text, words) in [
        (
            "{% extends \"security/base.html\" %}\n{% block content %}\n{{ 1 + }}",
            "3:",
        ),
        ("{{ nothing_of_that_name }}", "nothing_of_that_name"),
        ("{% extends \"nowhere\" %}", "nowhere"),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = said_by_the_site(dir.path(), &[]);
        assert!(said.contains("security/login/login.html"), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[cfg(feature = "cli")]
#[test]
fn a_database_url_that_is_not_understood_stops_the_launch_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (url, words) in [
        (
            "postgress://user:canary@127.0.0.1/db",
            "did you mean `postgres://`",
        ),
        (
            "postgresql+psycopg://user:canary@127.0.0.1/db",
            "`security.database.url`",
        ),
        (
            "mssql://user:canary@127.0.0.1/db",
            "`security.database.url`",
        ),
        ("//user:canary@127.0.0.1/db", "`security.database.url`"),
        ("", "`security.database.url` is empty"),
        ("   ", "`security.database.url` is empty"),
        ("host=127.0.0.1 user=me password=canary", "keywords"),
        ("postgres://user:ca/canary@127.0.0.1/db", "percent-encoded"),
    ] {
        let said = said_by_the_site(dir.path(), &[("ROCKET_SECURITY__DATABASE__URL", url)]);
        assert!(said.contains(words), "{url}: {said}");
        assert!(!said.contains("canary"), "{url}: {said}");
    }
    let made: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
}

#[cfg(feature = "cli")]
#[test]
fn the_reason_of_a_failed_connection_is_told_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    if cfg!(feature = "postgres") {
        cases.push((
            "postgres://user:canary@127.0.0.1:1/db".to_string(),
            "refused",
        ));
        if let Ok(server) = std::env::var("SECURITY_TEST_POSTGRES") {
            let mut url = url::Url::parse(&server).unwrap();
            url.set_path("no_such_database");
            let _ = url.set_password(Some("canary%40"));
            cases.push((url.to_string(), "does not exist"));
        }
    }
    if cfg!(feature = "mysql") {
        cases.push((
            "mariadb://user:canary@127.0.0.1:1/db".to_string(),
            "connect",
        ));
    }
    if cfg!(feature = "sqlite") {
        std::fs::create_dir_all(dir.path().join("folder")).unwrap();
        let folder = dir.path().join("folder").display().to_string();
        cases.push((folder, "unable to open"));
    }
    for (url, words) in cases {
        let said = said_by_the_site(dir.path(), &[("ROCKET_SECURITY__DATABASE__URL", &url)]);
        assert!(said.contains(words), "{url}: {said}");
        assert!(!said.contains("canary"), "{url}: {said}");
        assert!(!said.contains("multiconnection"), "{url}: {said}");
    }
}

#[cfg(all(feature = "cli", feature = "postgres"))]
#[test]
fn a_postgresql_database_that_is_not_utf8_is_named_as_such() {
    use diesel::{Connection, connection::SimpleConnection};
    let Ok(server) = std::env::var("SECURITY_TEST_POSTGRES") else {
        return;
    };
    let name = format!("security_{}", uuid::Uuid::new_v4().simple());
    let mut admin = diesel::PgConnection::establish(&server).unwrap();
    admin
        .batch_execute(&format!(
            "CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let dir = tempfile::tempdir().unwrap();
    let said = said_by_the_site(
        dir.path(),
        &[("ROCKET_SECURITY__DATABASE__URL", url.as_str())],
    );
    admin
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .unwrap();
    assert!(
        said.contains("SQL_ASCII") && said.contains("ENCODING 'UTF8'"),
        "{said}"
    );
}

#[cfg(feature = "cli")]
#[test]
fn no_secret_is_ever_said() {
    let dir = tempfile::tempdir().unwrap();
    let broken = "[default.security.mail]\nusername = \"me\"\npassword = canary\n";
    for (toml, environment) in [
        ("", &[("ROCKET_SECURITY__MAIL", "canary")][..]),
        ("", &[("ROCKET_SECURITY__MAIL__PASWORD", "canary")]),
        ("", &[("ROCKET_SECURITY__MAIL__PASSWORD", "canary")]),
        ("", &[("ROCKET_SECURITY__SECRET", "canary")]),
        ("", &[("ROCKET_SECURITY__HASHING__PEPPERS", "[canary]")]),
        (
            "",
            &[(
                "ROCKET_SECURITY__BASE_URL",
                "https://user:canary@example.com/x",
            )],
        ),
        (
            "",
            &[("ROCKET_SECURITY__BASE_URL", "user:canary@example.com")],
        ),
        ("", &[("ROCKET_SECURITY_MAIL_PASSWORD", "canary")]),
        ("", &[("ROCKET_SECURITY", "{mail={password=[\"canary\"]}}")]),
        (
            "[default.security.mail]\npassword = { is = \"canary\" }",
            &[],
        ),
        (
            "[default.security]\nmail = \"smtp://user:canary@example.com\"",
            &[],
        ),
        ("[default.security]\nsecret = { is = \"canary\" }", &[]),
        ("[default.security.sms]\ntoken = [\"canary\"]", &[]),
        ("[default.security.database]\nurl = [\"canary\"]", &[]),
        (
            "[default.security]\ndatabase = \"postgres://user:canary@host/db\"",
            &[],
        ),
        (
            "[default.security.social.providers]\ngoogle = \"canary\"",
            &[],
        ),
        (
            "[default.security.social.providers.x]\nclient_id = \"a\"\nissuer = \"https://user:canary@x/?y\"",
            &[],
        ),
        (
            "[default.security.sms]\ntransport = \"twilio\"\naccount = \"a\"\ntoken = \"canary\"\nfrom = \"b\"\nurl = \"http://user:canary@example.com\"",
            &[],
        ),
        (broken, &[]),
    ] {
        std::fs::write(dir.path().join("Rocket.toml"), toml).unwrap();
        let said = said_by_the_site(dir.path(), environment);
        // Rocket itself quotes a file that is no TOML; what we say of it begins with our words.
        let ours = said
            .rsplit("Rocket's settings cannot be read")
            .next()
            .unwrap_or_default();
        assert!(!ours.contains("canary"), "{toml}{environment:?}: {said}");
    }
}

#[rocket::async_test]
async fn one_address_is_a_network_of_proxies_too() {
    use rocket::figment::providers::{Format, Toml};
    for (written, wanted) in [
        ("[\"127.0.0.1\"]", &["127.0.0.1/32"][..]),
        ("[\"::1\", \"10.0.0.0/8\"]", &["::1/128", "10.0.0.0/8"]),
        ("\"127.0.0.1\"", &["127.0.0.1/32"]),
        ("\"127.0.0.1, 10.0.0.0/8\"", &["127.0.0.1/32", "10.0.0.0/8"]),
    ] {
        let toml = format!("[default.security]\ntrusted_proxies = {written}");
        let figment =
            Figment::from(rocket::Config::debug_default()).merge(Toml::string(&toml).nested());
        let settings = Settings::from_figment(&figment).unwrap();
        let read: Vec<String> = settings
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(read, wanted, "{written}");
    }
    for written in ["[\"localhost\"]", "[\"10.0.0.0/40\"]", "[\"\"]", "7", "[7]"] {
        let said = refusal(&format!("[default.security]\ntrusted_proxies = {written}"));
        assert!(said.contains("security.trusted_proxies"), "{said}");
    }
}

#[rocket::async_test]
async fn a_secret_that_everybody_knows_starts_no_release() {
    let outside = || {
        Plan::new()
            .without_secret()
            .rocket("address", "0.0.0.0")
            .set("base_url", "https://example.com")
    };
    const GOOD: &str = "b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA";
    assert!(outside().set("secret", GOOD).try_start().await.is_ok());
    for known in [
        "hPRYyVRiMyxpw5sBB1XeCMN1kFsDCqKvBi2QJxBVHQk=",
        "hPrYyЭRiMyµ5sBB1π+CMæ1køFsåqKvBiQJxBVHQk=",
        "itlYmFR2vYKrOmFhupMIn/hyB6lYCCTXz4yaQX89XVg=",
        "8Xui8SN4mI+7egV/9dlfYYLGQJeEx4+DwmSQLwDVXJg=",
        "changeme-changeme-changeme-changeme-changeme",
        "please_CHANGE_ME_0123456789_abcdefghijk",
        "abcdefghabcdefghabcdefghabcdefghabcdefgh",
        "0123456789abcdef0123456789abcdef",
    ] {
        let refused = |plan: Plan| async move { plan.try_start().await.is_err() };
        assert!(refused(outside().set("secret", known)).await, "{known}");
        assert!(
            refused(outside().set("secret", [GOOD, known])).await,
            "{known} in a rotation"
        );
        assert!(
            refused(outside().rocket("secret_key", known)).await,
            "{known} of Rocket"
        );
        let pepper = outside()
            .set("secret", GOOD)
            .set("hashing.peppers", [known]);
        assert!(refused(pepper).await, "{known} as a pepper");
    }
}

#[rocket::async_test]
async fn tables_of_others_and_half_a_migration_are_told_apart_from_a_failure() {
    crate::app::for_each_database(|plan| async move {
        let app = plan.start().await;
        // The record of the last migration is lost, as where MySQL broke off in the middle of it.
        app.sql("DELETE FROM __diesel_schema_migrations WHERE version = (SELECT v FROM (SELECT MAX(version) AS v FROM __diesel_schema_migrations) AS last)")
            .await;
        for migrate in [true, false] {
            assert!(app.try_beside(|plan| plan.set("database.migrate", migrate)).await.is_err());
        }
    })
    .await;
}

#[cfg(feature = "mysql")]
#[rocket::async_test]
async fn mariadb_is_a_scheme_too() {
    crate::app::for_each_database(|plan| async move {
        let app = plan.start().await;
        if app.store().dialect() != rocket_security::Dialect::Mysql {
            return;
        }
        let url = app.database_url().replacen("mysql://", "mariadb://", 1);
        let other = app.beside(|plan| plan.set("database.url", url)).await;
        assert_eq!(other.store().count_users().await.unwrap(), 0);
    })
    .await;
}
