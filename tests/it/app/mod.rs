//! The harness: an application with a route for every kind of guard, on a database of its own, and
//! actors who ask it.
//!
//! `SECURITY_TEST_POSTGRES` and `SECURITY_TEST_MYSQL` name servers on which each test has a database
//! of its own, without rows. Without them a test runs on SQLite alone and says so once;
//! `SECURITY_TEST_REQUIRE=postgres,mysql` makes that a failure.

mod actor;
mod answer;
mod databases;
mod plan;
mod reuse;
mod routes;
mod running;
mod wait;

pub use self::{
    actor::Actor,
    answer::Answer,
    databases::{for_each_database, on_sqlite},
    plan::Plan,
    routes::{Admin, Publish},
    running::{App, hash_of},
    wait::eventually,
};

/// Good by every policy, and in no list.
pub const PASSWORD: &str = "correct horse battery staple";
pub const SECRET: &str = "b3Blbi1zZXNhbWUtb3Blbi1zZXNhbWUtMTIzNDU2Nzg5MA";
pub const WRONG: &str = "incorrect horse battery staple";
