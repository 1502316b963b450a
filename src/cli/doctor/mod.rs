//! `doctor`: whether everything is as it should be, one sentence each.

mod checks;
mod database;
mod finding;
mod report;

pub(super) use self::report::perform;
