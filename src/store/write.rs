//! One transaction, tried again where the database asks for it.

use std::time::Duration;

use diesel::{Connection, connection::TransactionManager, result::Error as DieselError};

use super::{
    Conn, StoreError,
    error::{is_passing, worth_a_retry},
};

/// Time after which no further try begins: whoever waits for the answer has waited long enough.
const PATIENCE: Duration = Duration::from_secs(4);

/// Times one write is tried when the database asks to try again.
const TRIES: u32 = 6;

/// One change as a transaction, tried again with a growing, jittered pause while the database asks for it.
pub(crate) fn write_on<T>(
    conn: &mut Conn,
    mut change: impl FnMut(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let began = std::time::Instant::now();
    let mut attempt = 1;
    loop {
        let error = match try_write(conn, &mut change) {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error)) => error,
        };
        if attempt == TRIES || began.elapsed() > PATIENCE {
            return Err(StoreError::Unavailable(error));
        }
        let mut jitter = [0u8; 1];
        let _ = getrandom::fill(&mut jitter);
        std::thread::sleep(Duration::from_millis(
            u64::from(attempt * attempt * 5) + u64::from(jitter[0]) / 16,
        ));
        attempt += 1;
    }
}

enum Failure {
    Final(StoreError),
    Passing(String),
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        if worth_a_retry(&error) {
            Self::Passing(error.to_string())
        } else {
            Self::Final(error.into())
        }
    }
}

fn try_write<T>(
    conn: &mut Conn,
    change: &mut impl FnMut(&mut Conn) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    type Manager = <Conn as Connection>::TransactionManager;
    conn.begin_write()?;
    match change(conn) {
        Ok(value) => match Manager::commit_transaction(conn) {
            Ok(()) => Ok(value),
            Err(error) => {
                let _ = Manager::rollback_transaction(conn);
                Err(error.into())
            }
        },
        Err(error) => {
            let _ = Manager::rollback_transaction(conn);
            Err(match error {
                StoreError::Unavailable(why) if is_passing(&why) => Failure::Passing(why),
                error => Failure::Final(error),
            })
        }
    }
}
