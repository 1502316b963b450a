//! The fairing: settings checked, tables migrated, routes mounted, refusals caught; all by one attach.

mod attach;
mod builder;
pub(crate) mod database;
pub(crate) mod environment;
mod gate;
pub(crate) mod housekeeping;
mod launch;
pub(crate) mod marks;
mod methods;
mod mount;
mod report;
