//! Changes of accounts: one service for each, called by handlers, by `Auth` and by the command line.

pub(crate) mod password;
