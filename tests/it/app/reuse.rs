//! Databases of servers that the next test takes over.
//!
//! A test gives its database back when its thread ends: its runtime has ended then, and no task of it writes any more.
//! A database whose tables are no longer as we made them is dropped. What is left when the process ends is dropped by
//! the next one.

use std::{
    cell::RefCell,
    path::Path,
    sync::{Mutex, Once},
};

use diesel::{RunQueryDsl, connection::SimpleConnection};
use rocket_security::Conn;

use super::databases::{Backend, admin, connect, drop_database};

type Known = (Backend, String, Vec<String>);

static FREE: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// What the tests of a thread are done with.
struct Used(RefCell<Vec<Known>>);

thread_local! {
    static USED: Used = const { Used(RefCell::new(Vec::new())) };
}

impl Drop for Used {
    fn drop(&mut self) {
        FREE.lock().unwrap().append(&mut self.0.borrow_mut());
    }
}

/// One test at a time runs on the main thread, which outlives them all.
pub fn ends_with_its_thread() -> bool {
    std::thread::current().name() != Some("main")
}

pub fn give_back(backend: Backend, name: String, shape: Vec<String>) {
    USED.with(|used| used.0.borrow_mut().push((backend, name, shape)));
}

pub fn take(backend: Backend) -> Option<(String, Vec<String>)> {
    let mut free = FREE.lock().unwrap();
    let at = free.iter().position(|(of, ..)| *of == backend)?;
    let (_, name, shape) = free.swap_remove(at);
    Some((name, shape))
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

fn lines(conn: &mut Conn, query: &str) -> Vec<String> {
    let found: Vec<Line> = diesel::sql_query(query).load(conn).unwrap();
    found.into_iter().map(|found| found.line).collect()
}

/// Columns, indexes, triggers and migrations.
pub fn shape(backend: Backend, conn: &mut Conn) -> Vec<String> {
    let parts = match backend {
        Backend::Mysql => [
            "SELECT CAST(CONCAT_WS(' ', table_name, column_name, column_type, is_nullable) AS CHAR) AS line \
             FROM information_schema.columns WHERE table_schema = DATABASE()",
            "SELECT CAST(CONCAT_WS(' ', table_name, index_name, column_name) AS CHAR) AS line \
             FROM information_schema.statistics WHERE table_schema = DATABASE()",
            "SELECT CAST(trigger_name AS CHAR) AS line \
             FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
        ],
        _ => [
            "SELECT CONCAT_WS(' ', table_name, column_name, data_type, is_nullable) AS line \
             FROM information_schema.columns WHERE table_schema = current_schema()",
            "SELECT indexdef AS line FROM pg_indexes WHERE schemaname = current_schema()",
            "SELECT CAST(trigger_name AS TEXT) AS line \
             FROM information_schema.triggers WHERE trigger_schema = current_schema()",
        ],
    };
    let mut all: Vec<String> = parts
        .into_iter()
        .flat_map(|query| lines(conn, query))
        .collect();
    all.extend(lines(
        conn,
        "SELECT version AS line FROM __diesel_schema_migrations",
    ));
    all.sort();
    all
}

/// Its shape, if it is still that, with no row left in it.
pub fn emptied(backend: Backend, name: &str, was: Vec<String>) -> Option<Vec<String>> {
    let mut conn = connect(backend, name);
    let migrations = "SELECT COUNT(*) FROM __diesel_schema_migrations";
    if conn.batch_execute(migrations).is_err() || shape(backend, &mut conn) != was {
        return None;
    }
    let (tables, free) = match backend {
        Backend::Mysql => (
            "SELECT CAST(table_name AS CHAR) AS line FROM information_schema.tables \
             WHERE table_schema = DATABASE()",
            "SET FOREIGN_KEY_CHECKS = 0;",
        ),
        _ => (
            "SELECT CAST(table_name AS TEXT) AS line FROM information_schema.tables \
             WHERE table_schema = current_schema()",
            "SET session_replication_role = replica;",
        ),
    };
    let tables = lines(&mut conn, tables);
    let ours = tables.iter().filter(|table| !table.starts_with("__diesel"));
    let deletes: String = ours.map(|table| format!("DELETE FROM {table};")).collect();
    conn.batch_execute(&format!("{free}{deletes}")).unwrap();
    Some(was)
}

/// Tells this process and this start of the machine.
fn prefix() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot: String = boot
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(8)
        .collect();
    format!("security_t{boot}_")
}

pub fn fresh_name(backend: Backend) -> String {
    static SWEPT: [Once; 2] = [Once::new(), Once::new()];
    let at = usize::from(backend == Backend::Mysql);
    SWEPT[at].call_once(|| drop_left_over(backend));
    let unique = uuid::Uuid::new_v4().simple();
    format!("{}{}_{unique}", prefix(), std::process::id())
}

/// What processes left that are gone.
fn drop_left_over(backend: Backend) {
    let databases = match backend {
        Backend::Mysql => {
            "SELECT CAST(schema_name AS CHAR) AS line FROM information_schema.schemata"
        }
        _ => "SELECT CAST(datname AS TEXT) AS line FROM pg_database",
    };
    if !Path::new("/proc/self").exists() {
        return;
    }
    for name in lines(&mut admin(backend), databases) {
        let process = name
            .strip_prefix(&prefix())
            .and_then(|rest| rest.split('_').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            drop_database(backend, &name);
        }
    }
}
