//! The checks of what the database has.

use std::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use diesel::{Column, QueryDsl, RunQueryDsl, Table, connection::SimpleConnection, dsl::max};

use super::finding::{Finding, fail, millis, ok, warn};
use crate::{
    cli::out::{count, list},
    fairing::database,
    store::{Dialect, StoreError, drift::selects, outbox, schema},
    types::{Timestamp, span::days},
    web::site::Site,
};

pub(super) async fn answer(site: &Site) -> Finding {
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

pub(super) async fn migrations(site: &Site) -> Finding {
    match database::obstacle(&site.store).await {
        Ok(None) => {}
        Ok(Some(problem)) => return fail(problem),
        Err(error) => return fail(error),
    }
    match database::pending(&site.store).await {
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

pub(super) async fn schema(site: &Site) -> Finding {
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

pub(super) async fn accounts(site: &Site) -> Finding {
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

pub(super) async fn clock(site: &Site) -> Finding {
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

/// Mails that wait longer than this have met more than a pause.
const LONG: Duration = Duration::from_hours(1);
const LATELY: Duration = days(1);

pub(super) async fn outbox(site: &Site) -> Finding {
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
        let written = include_str!("../../store/schema.rs");
        let named: Vec<&str> = written
            .split("diesel::table! {\n    ")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next())
            .collect();
        assert!(named.len() > 10);
        let looked_at: Vec<&str> = tables().into_iter().map(|(name, _)| name).collect();
        assert_eq!(looked_at, named);
    }
}
