//! What stands in the way of our tables in a database: tables of others, and migrations that broke off.

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text};
use include_dir::{Dir, include_dir};

use super::{Conn, Dialect, StoreError};

/// The text of every migration, by its folder. The macro sorts them, and by their names they are in order.
static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

fn migrations() -> impl Iterator<Item = (&'static str, &'static str)> {
    MIGRATIONS.dirs().filter_map(|folder| {
        let name = folder.path().to_str()?;
        let up = folder.get_file(folder.path().join("up.sql"))?;
        Some((name, up.contents_utf8()?))
    })
}

/// Tables whose names others use too, with columns by which ours are known.
const COMMON_NAMES: [(&str, &str); 4] = [
    ("users", "email_key, uniquifier"),
    ("roles", "id, name, description, created_at"),
    ("role_permissions", "role_id, permission"),
    ("user_roles", "user_id, role_id"),
];

/// What a migration makes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    Table(String),
    Column(String, String),
}

fn made_by(sql: &str) -> impl Iterator<Item = Made> {
    sql.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["CREATE", "TABLE", table, ..] => Some(Made::Table((*table).into())),
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => {
                Some(Made::Column((*table).into(), (*column).into()))
            }
            _ => None,
        }
    })
}

/// Whether these columns can be asked for. All names are ours: no value of anybody's gets into the text.
pub(crate) fn selects(conn: &mut Conn, table: &str, columns: &str) -> Result<bool, StoreError> {
    match conn
        .batch_execute(&format!("SELECT {columns} FROM {table} WHERE 1 = 0"))
        .map_err(StoreError::from)
    {
        Ok(()) => Ok(true),
        Err(error @ StoreError::Unavailable(_)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Why the pending migrations cannot be applied, and what to do; `None` if nothing is in their way.
pub(crate) fn obstacle(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    let pending = conn
        .pending_migrations()
        .map_err(|error| StoreError::Broken(error.to_string()))?;
    for (name, sql) in migrations() {
        if !pending.iter().any(|pending| pending == name) {
            continue;
        }
        let mut there = Vec::new();
        for made in made_by(sql) {
            let (found, shown) = match &made {
                Made::Table(table) => (selects(conn, table, "1")?, format!("the table `{table}`")),
                Made::Column(table, column) => (
                    selects(conn, table, column)?,
                    format!("the column `{table}.{column}`"),
                ),
            };
            if !found {
                continue;
            }
            if let Made::Table(table) = &made
                && let Some((_, columns)) = COMMON_NAMES.iter().find(|(common, _)| common == table)
                && !selects(conn, table, columns)?
            {
                return Ok(Some(of_others(conn.dialect(), table)));
            }
            there.push(shown);
        }
        if !there.is_empty() {
            return Ok(Some(format!(
                "the migration {name} broke off before its end: the database has {}, and the migration is not recorded; go back to the backup from before it, or drop what it made and start again",
                there.join(", ")
            )));
        }
    }
    Ok(None)
}

fn of_others(dialect: Dialect, table: &str) -> String {
    let way = match dialect {
        Dialect::Sqlite => "give `security.database.url` a file of its own",
        Dialect::Postgres => {
            "give `security.database.url` a database of its own, or a schema of its own by `?options=-csearch_path%3Dsecurity` behind the URL"
        }
        Dialect::Mysql => "give `security.database.url` a database of its own",
    };
    format!(
        "the database has a table `{table}` of another application; {way}, or rename that table"
    )
}

/// Why a database cannot hold our texts, and what to do; `None` if it can.
pub(crate) fn misfit(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        server_encoding: String,
    }
    if conn.dialect() != Dialect::Postgres {
        return Ok(None);
    }
    let found: Setting = diesel::sql_query("SHOW server_encoding").get_result(conn)?;
    let encoding = found.server_encoding;
    Ok((encoding != "UTF8").then(|| {
        format!(
            "the PostgreSQL database has the encoding {encoding}, which cannot hold every name and address; make one by `CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0` and move the data there"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_read_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let (read, texts): (Vec<&str>, Vec<&str>) = migrations().unzip();
        assert_eq!(names, read);
        let foundation: Vec<Made> = made_by(texts[0]).collect();
        assert_eq!(foundation[0], Made::Table("users".into()));
        assert_eq!(foundation.len(), 9);
        let column = Made::Column("security_tickets".into(), "handle".into());
        assert!(made_by(texts[1]).any(|made| made == column));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn what_is_in_the_way_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            crate::store::DatabaseUrl::parse(&path)
                .unwrap()
                .establish()
                .unwrap()
        };
        let mut fresh = open("fresh.db");
        assert_eq!(obstacle(&mut fresh).unwrap(), None);
        fresh.migrate().unwrap();
        assert_eq!(obstacle(&mut fresh).unwrap(), None);
        assert_eq!(misfit(&mut fresh).unwrap(), None);

        let mut foreign = open("foreign.db");
        foreign
            .batch_execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, password TEXT)")
            .unwrap();
        let said = obstacle(&mut foreign).unwrap().unwrap();
        assert!(
            said.contains("table `users` of another application"),
            "{said}"
        );

        let mut half = open("half.db");
        half.migrate().unwrap();
        half.batch_execute(
            "DELETE FROM __diesel_schema_migrations WHERE version = '20261123180000'; DROP TABLE security_devices",
        )
        .unwrap();
        let said = obstacle(&mut half).unwrap().unwrap();
        assert!(said.contains("2026-11-23-180000_factors"), "{said}");
        assert!(
            said.contains("`security_factors`") && !said.contains("`security_devices`"),
            "{said}"
        );
        assert!(said.contains("backup"), "{said}");
    }
}
