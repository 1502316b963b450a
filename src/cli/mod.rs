//! The command line, for our own binary and for an application's.
//!
//! A command ignites the application, so it has the application's settings, store, policies and
//! subscribers, but it listens nowhere. What it found out goes to standard output, everything else
//! to standard error; `--json` makes both JSON, one document each. It ends with 0 if it did what was
//! asked, 1 if not, 2 if it did not understand. A password is prompted for or read from standard
//! input, and never taken from the command line, which every user of the machine can read.

mod console;
mod doctor;
mod failure;
mod mail;
mod migrate;
mod out;
mod password;
mod roles;
mod run;
mod templates;
mod users;
mod users_shown;

pub use self::run::{run, run_from};
