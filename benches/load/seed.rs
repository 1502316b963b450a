//! Accounts, sessions, tokens and keys in great number, all derived from their index, so that whoever sends
//! requests can make the cookie of any account without reading it anywhere.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use diesel::{Connection, connection::SimpleConnection};
use rocket_security::{Clock, EmailAddress, SharedClock, Store};
use sha2::{Digest, Sha256};

use crate::connect;

/// Every account has this password.
pub(crate) const PASSWORD: &str = "a long and winding road";

/// What the cookie of a session or a token's header holds: 43 characters, as the library makes them.
pub(crate) fn secret(kind: &str, index: u64) -> String {
    digest(&format!("load {kind} {index}"))
}

fn digest(text: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(text.as_bytes()))
}

/// The address of an account.
pub(crate) fn email(index: u64) -> String {
    format!("user{index:07}@example.com")
}

/// A v7 UUID in looks: in order of creation, as real ones are.
fn id(block: u8, index: u64) -> String {
    format!("019ab000-{block:04x}-7000-8000-{index:012x}")
}

/// The API key of an account, as its owner was shown it.
pub(crate) fn key(index: u64) -> String {
    let id = id(3, index).replace('-', "");
    format!("rs_{id}_{}", secret("key", index))
}

/// Fills a database whose tables are there: `users` accounts, each with a session, a token and a key.
pub(crate) fn fill(database: &Path, users: u64, hash: &str) {
    const ROWS: u64 = 500;
    let store: Store = connect(database);
    let now = SharedClock::default().now().as_millis();
    let later = now + 30 * 24 * 3_600_000;
    let mut conn = store.pool().get().expect("a connection");
    // Sessions are found by a hash, which comes in no order: what is being built should lie in memory.
    conn.batch_execute("PRAGMA cache_size = -1048576")
        .expect("a larger cache");
    conn.transaction(|conn| {
        for first in (0..users).step_by(ROWS as usize) {
            let mut accounts = Vec::new();
            let mut sessions = Vec::new();
            let mut tokens = Vec::new();
            let mut keys = Vec::new();
            for index in first..users.min(first + ROWS) {
                let address = email(index);
                let key = EmailAddress::parse(&address).expect("an address").key().to_string();
                let user = id(1, index);
                accounts.push(format!(
                    "('{user}','{address}','{key}','{hash}',1,{now},'{user}','{user}',0,{now},0,{now},{now})"
                ));
                sessions.push(format!(
                    "('{}','{}','{user}','{user}',{now},{now},{later},{now},{now},1,'127.0.0.1','load')",
                    digest(&secret("session", index)),
                    id(2, index),
                ));
                tokens.push(format!(
                    "('{}','{user}','{user}',{now},{later},{now},1)",
                    digest(&secret("token", index)),
                ));
                keys.push(format!(
                    "('{}','{user}','{}','load','[]',{now},{now})",
                    id(3, index),
                    digest(&secret("key", index)),
                ));
            }
            conn.batch_execute(&format!(
                "INSERT INTO users (id, email, email_key, password_hash, active, confirmed_at, uniquifier, \
                 token_uniquifier, must_change_password, password_changed_at, sign_in_count, created_at, updated_at) \
                 VALUES {}; \
                 INSERT INTO security_sessions (token_hash, id, user_id, user_uniquifier, created_at, last_seen_at, \
                 expires_at, authenticated_at, grace_until, methods, address, agent) VALUES {}; \
                 INSERT INTO security_tokens (token_hash, user_id, user_uniquifier, created_at, expires_at, \
                 authenticated_at, methods) VALUES {}; \
                 INSERT INTO security_api_keys (id, user_id, key_hash, name, permissions, created_at, last_used_at) \
                 VALUES {};",
                accounts.join(","),
                sessions.join(","),
                tokens.join(","),
                keys.join(","),
            ))?;
        }
        diesel::QueryResult::Ok(())
    })
    .expect("rows");
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("a checkpoint");
}
