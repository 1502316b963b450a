//! The library and its binary from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
#[cfg(all(feature = "cli", feature = "sqlite"))]
mod cli;
