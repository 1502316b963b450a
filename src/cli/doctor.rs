//! `doctor`: whether everything is as it should be, one sentence each.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use diesel::{Column, QueryDsl, RunQueryDsl, Table, connection::SimpleConnection, dsl::max};
use rocket::{Ignite, Rocket, tokio::time::timeout};
use serde::Serialize;
use serde_json::json;

use super::{
    failure::Failure,
    out::{Answer, count, list},
};
use crate::{
    fairing,
    secrets::{
        Password,
        known::{self, entropy},
    },
    settings::Strictness,
    store::{Dialect, StoreError, drift::selects, outbox, schema},
    types::{Life, Timestamp},
    web::site::Site,
};

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
}

/// A good, a doubtful or a bad outcome, before it has the name of its check.
type Finding = (Status, String);

fn ok(detail: impl Into<String>) -> Finding {
    (Status::Ok, detail.into())
}

fn warn(detail: impl Into<String>) -> Finding {
    (Status::Warn, detail.into())
}

fn fail(detail: impl ToString) -> Finding {
    (Status::Fail, detail.to_string())
}

/// Looks at everything; a site that does not ignite is the first and last finding.
pub(super) async fn perform(ignited: Result<(Rocket<Ignite>, Arc<Site>), Failure>) -> Answer {
    let mut checks = Vec::new();
    let mut add = |name, (status, detail): Finding| {
        checks.push(Check {
            name,
            status,
            detail,
        })
    };
    match &ignited {
        Err(failure) => add("launch", fail(&failure.text)),
        Ok((rocket, site)) => {
            add("launch", launch(rocket, site));
            add("secret", secret(rocket, site));
            add("base_url", base_url(site));
            let database = database(site).await;
            let answers = database.0 != Status::Fail;
            add("database", database);
            if answers {
                let migrations = migrations(site).await;
                let current = migrations.0 == Status::Ok;
                add("migrations", migrations);
                if current {
                    add("schema", schema(site).await);
                    add("accounts", accounts(site).await);
                    add("clock", clock(site).await);
                    add("outbox", outbox(site).await);
                }
            }
            add("templates", templates(site));
            add("mail", mail(site).await);
            add("hashing", hashing(site).await);
        }
    }
    let well = checks.iter().all(|check| check.status != Status::Fail);
    let mut text = String::new();
    for Check {
        name,
        status,
        detail,
    } in &checks
    {
        let status = match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        text.push_str(&format!("{status:4}  {name:10}  {detail}\n"));
    }
    Answer::new(text, json!({ "ok": well, "checks": checks })).well(well)
}

fn launch(rocket: &Rocket<Ignite>, site: &Site) -> Finding {
    let rules = match site.strictness {
        Strictness::Development => "by the rules for development",
        Strictness::Production => "by the rules for production",
    };
    let number = count(rocket.routes().count(), "route", "routes");
    ok(format!(
        "the settings of the profile `{}` are good, {rules}; {number}",
        rocket.figment().profile()
    ))
}

fn secret(rocket: &Rocket<Ignite>, site: &Site) -> Finding {
    let own = site
        .settings
        .secret
        .as_ref()
        .map(|secrets| secrets.0.as_slice())
        .unwrap_or_default();
    let texts: Vec<&str> = own.iter().map(|secret| secret.expose().as_str()).collect();
    if texts.contains(&known::DEVELOPMENT_SECRET) {
        return warn(
            "`security.secret` is the public one for development; write your own before others can reach the site",
        );
    }
    let weakest = texts.iter().min_by_key(|text| entropy(text.as_bytes()));
    match (texts.len(), weakest) {
        (number @ 1.., Some(weakest)) => {
            let which = if number == 1 {
                "one secret".into()
            } else {
                format!("{number} secrets, of which the first signs")
            };
            let known = texts
                .iter()
                .find_map(|text| known::problem(text.as_bytes()));
            judge(
                known,
                entropy(weakest.as_bytes()),
                &format!("`security.secret`: {which}"),
            )
        }
        _ => match fairing::rocket_key(rocket.figment()) {
            Some(key) => judge(
                known::problem(key.expose()),
                entropy(key.expose()),
                "Rocket's `secret_key`",
            ),
            None => warn(
                "no secret is set, so the public one for development serves; set ROCKET_SECURITY__SECRET before others can reach the site",
            ),
        },
    }
}

fn judge(known: Option<&str>, bits: u32, from: &str) -> Finding {
    match (known, bits) {
        (Some(problem), _) => warn(format!(
            "{from}, but one of it {problem}; make another by `openssl rand -base64 32`"
        )),
        // A random text of 32 hexadecimal digits has about 115 by this count.
        (None, 100..) => ok(format!("{from}, varied enough to be random")),
        (None, _) => warn(format!(
            "{from}, but it looks like no random text; make one by `openssl rand -base64 32`"
        )),
    }
}

fn base_url(site: &Site) -> Finding {
    let url = site.base_url.as_str();
    match (site.http.cookies.is_secure(), site.strictness) {
        (true, _) => ok(format!("{url}, and cookies are Secure")),
        (false, Strictness::Development) => ok(format!(
            "{url}, so cookies are not Secure, as on a developer's machine"
        )),
        (false, Strictness::Production) => {
            warn(format!("{url} is not https, so cookies are not Secure"))
        }
    }
}

async fn database(site: &Site) -> Finding {
    let name = match site.store.dialect() {
        Dialect::Sqlite => "SQLite",
        Dialect::Postgres => "PostgreSQL",
        Dialect::Mysql => "MySQL or MariaDB",
    };
    let since = Instant::now();
    match site
        .store
        .read(|conn| Ok(conn.batch_execute("SELECT 1")?))
        .await
    {
        Ok(()) => ok(format!("{name} answers in {}", millis(since.elapsed()))),
        Err(error) => fail(error),
    }
}

async fn migrations(site: &Site) -> Finding {
    match fairing::obstacle(&site.store).await {
        Ok(None) => {}
        Ok(Some(problem)) => return fail(problem),
        Err(error) => return fail(error),
    }
    match fairing::pending(&site.store).await {
        Ok(pending) if pending.is_empty() => ok("none is pending"),
        Ok(pending) if site.settings.database.migrate => warn(format!(
            "pending, and applied by the next launch or by `migrate`: {}",
            list(pending)
        )),
        Ok(pending) => fail(format!(
            "pending, to be applied by `migrate`: {}",
            list(pending)
        )),
        Err(error) => fail(error),
    }
}

/// The names in a tuple of columns, so that the schema is written down once.
trait Names {
    fn names() -> Vec<&'static str>;
}

macro_rules! names {
    ($head:ident $($tail:ident)*) => {
        impl<$head: Column, $($tail: Column),*> Names for ($head, $($tail,)*) {
            fn names() -> Vec<&'static str> {
                vec![$head::NAME, $($tail::NAME),*]
            }
        }
        names!($($tail)*);
    };
    () => {};
}
names!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z AA AB AC AD AE AF);

fn columns<T: Table>(_: T) -> Vec<&'static str>
where
    T::AllColumns: Names,
{
    T::AllColumns::names()
}

/// All our tables with their columns.
fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    macro_rules! tables {
        ($($table:ident)*) => { vec![$((stringify!($table), columns(schema::$table::table))),*] };
    }
    tables!(
        users roles role_permissions user_roles security_sessions security_remember security_tokens
        security_refresh_families security_api_keys security_tickets security_outbox security_factors
        security_passkeys security_passkey_users security_recovery_codes security_devices
        security_social_accounts security_failures
    )
}

async fn schema(site: &Site) -> Finding {
    let tables = tables();
    let number = tables.len();
    let missing = site
        .store
        .read(move |conn| {
            let mut missing = Vec::new();
            for (table, columns) in tables {
                if selects(conn, table, &columns.join(", "))? {
                    continue;
                }
                if !selects(conn, table, "1")? {
                    missing.push(format!("the table {table}"));
                    continue;
                }
                for column in columns {
                    if !selects(conn, table, column)? {
                        missing.push(format!("{table}.{column}"));
                    }
                }
            }
            Ok(missing)
        })
        .await;
    match missing {
        Ok(missing) if missing.is_empty() => {
            ok(format!("all columns of our {number} tables are there"))
        }
        Ok(missing) => fail(format!(
            "the database lacks {}; undo what removed it",
            list(missing)
        )),
        Err(error) => fail(error),
    }
}

async fn accounts(site: &Site) -> Finding {
    let looked = async {
        let users = site.store.count_users().await?;
        let roles = site.store.list_roles().await?;
        let mut idle = Vec::new();
        for (role, _) in &roles {
            if site.store.users_with_role(&role.name).await?.is_empty() {
                idle.push(role.name.clone());
            }
        }
        Ok::<_, StoreError>((users, roles.len(), idle))
    };
    match looked.await {
        Ok((users, roles, idle)) => {
            let users = count(
                usize::try_from(users).unwrap_or_default(),
                "account",
                "accounts",
            );
            let roles = count(roles, "role", "roles");
            match idle.is_empty() {
                true => ok(format!("{users}, {roles}")),
                false => ok(format!("{users}, {roles}; nobody has {}", list(idle))),
            }
        }
        Err(error) => fail(error),
    }
}

/// 2026-01-01: no machine that runs this is older than this code.
const EPOCH: i64 = 1_767_225_600_000;
/// Machines that share a database may differ by so much.
const SKEW: i64 = 5 * 60 * 1_000;

async fn clock(site: &Site) -> Finding {
    let system = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = site.now();
    let newest = site
        .store
        .read(|conn| {
            let users: Option<i64> = schema::users::table
                .select(max(schema::users::created_at))
                .first(conn)?;
            let sessions: Option<i64> = schema::security_sessions::table
                .select(max(schema::security_sessions::last_seen_at))
                .first(conn)?;
            Ok(users.max(sessions))
        })
        .await;
    let shown = now.rfc3339();
    match newest {
        Err(error) => fail(error),
        _ if now.as_millis() < EPOCH => fail(format!(
            "it says {shown}, which is long past; set the clock"
        )),
        Ok(Some(newest)) if newest > now.as_millis() + SKEW => fail(format!(
            "it says {shown}, but something in the database happened at {}; set the clock",
            Timestamp::from_millis(newest).rfc3339()
        )),
        _ if i64::try_from(system.as_millis())
            .unwrap_or(i64::MAX)
            .abs_diff(now.as_millis())
            > SKEW.unsigned_abs() =>
        {
            warn(format!(
                "the application's own clock says {shown}, other than the system's"
            ))
        }
        Ok(_) => ok(shown),
    }
}

/// Ignition has rendered each of them.
fn templates(site: &Site) -> Finding {
    let own = crate::features::built_in().into_iter().filter(|(name, _)| {
        site.views.path_of(name).is_file() || site.views.path_of(&format!("{name}.tera")).is_file()
    });
    ok(format!(
        "all render; {} of {} are files of the application",
        own.count(),
        crate::features::built_in().len()
    ))
}

/// Mails that wait longer than this have met more than a pause.
const LONG: Life = Life::hours(1);
const LATELY: Life = Life::days(1);

async fn outbox(site: &Site) -> Finding {
    let now = site.now();
    let tally = site
        .store
        .read(move |conn| outbox::tally(conn, now.before(LONG), now.before(LATELY)))
        .await;
    let tally = match tally {
        Ok(tally) => tally,
        Err(error) => return fail(error),
    };
    let mails = |number: i64| count(usize::try_from(number).unwrap_or_default(), "mail", "mails");
    let mut stuck = Vec::new();
    if tally.overdue > 0 {
        stuck.push(format!(
            "{} waited longer than an hour, see `mail list --state waiting`",
            mails(tally.overdue)
        ));
    }
    if tally.failed > 0 {
        stuck.push(format!(
            "{} failed in the last day, see `mail list --state failed`",
            mails(tally.failed)
        ));
    }
    match (stuck.is_empty(), tally.waiting) {
        (false, _) => warn(stuck.join("; ")),
        (true, 0) => ok("empty"),
        (true, 1) => ok("1 mail waits"),
        (true, waiting) => ok(format!("{waiting} mails wait")),
    }
}

async fn mail(site: &Site) -> Finding {
    const PATIENCE: Duration = Duration::from_secs(15);
    let detail = match timeout(PATIENCE, site.notify.mailer.check()).await {
        Err(_) => {
            return fail(format!(
                "the mailer did not answer within {} s",
                PATIENCE.as_secs()
            ));
        }
        Ok(Err(error)) => return fail(error),
        Ok(Ok(detail)) => detail,
    };
    if site.strictness == Strictness::Development || site.dead_end().is_none() {
        return ok(detail);
    }
    let so = match site.settings.confirm.enabled {
        true => "so nobody can confirm an address",
        false => "so they reach nobody",
    };
    warn(format!(
        "{detail}, {so}; write `security.mail.transport = \"smtp\"`"
    ))
}

async fn hashing(site: &Site) -> Finding {
    let hash = async {
        let password = Password::parse("the doctor takes the time of this")
            .map_err(|message| message.key().to_string())?;
        // The first takes memory from the system, which later ones find there.
        site.hasher
            .hash(&password)
            .await
            .map_err(|error| error.to_string())?;
        let since = Instant::now();
        site.hasher
            .hash(&password)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(since.elapsed())
    };
    match hash.await {
        Err(error) => fail(error),
        // Cargo takes profiles from the application's own Cargo.toml alone, so we cannot bring these lines.
        Ok(time) if cfg!(debug_assertions) && time > Duration::from_millis(250) => warn(format!(
            "a password takes {} in this unoptimised build; write into Cargo.toml: \
             [profile.dev.package.argon2] opt-level = 3 [profile.dev.package.blake2] opt-level = 3",
            millis(time)
        )),
        Ok(time) if time > Duration::from_secs(1) => warn(format!(
            "a password takes {}; sign-ins will be slow",
            millis(time)
        )),
        Ok(time) if time < Duration::from_millis(5) => warn(format!(
            "a password takes {} only; raise `security.hashing`",
            millis(time)
        )),
        Ok(time) => ok(format!("a password takes {}", millis(time))),
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_by_the_schema() {
        assert_eq!(columns(schema::user_roles::table), ["user_id", "role_id"]);
        assert_eq!(columns(schema::users::table).len(), 20);
    }

    #[test]
    fn every_table_of_ours_is_looked_at() {
        let written = include_str!("../store/schema.rs");
        let named: Vec<&str> = written
            .split("diesel::table! {\n    ")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next())
            .collect();
        assert!(named.len() > 10);
        let looked_at: Vec<&str> = tables().into_iter().map(|(name, _)| name).collect();
        assert_eq!(looked_at, named);
    }

    #[test]
    fn a_text_that_repeats_is_no_secret() {
        for (text, status) in [
            ("abcdefghabcdefghabcdefghabcdefgh", Status::Warn),
            ("b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA", Status::Ok),
            ("9c1f7b04d2e86a3550b9e7c4f18d2a6b", Status::Ok),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(
                judge(known::problem(bytes), entropy(bytes), "it").0,
                status,
                "{text}"
            );
        }
    }
}
