//! Emptying the tables between the tests of an application.

use diesel::RunQueryDsl;

use super::{
    Conn, StoreError,
    schema::{roles, security_failures, security_outbox, security_tickets, users},
};

/// Deletes every row of ours. What belongs to an account or a role goes with it.
pub(crate) fn empty(conn: &mut Conn) -> Result<(), StoreError> {
    diesel::delete(security_tickets::table).execute(conn)?;
    diesel::delete(security_outbox::table).execute(conn)?;
    diesel::delete(security_failures::table).execute(conn)?;
    diesel::delete(users::table).execute(conn)?;
    diesel::delete(roles::table).execute(conn)?;
    Ok(())
}
