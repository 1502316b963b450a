//! What a command line tells the fairing by the state of Rocket.

/// Marks a Rocket of a program that knows our commands.
pub(crate) struct HasCommands;

/// Marks a Rocket that is ignited for a command, not for serving: no migration and no report by itself.
pub(crate) struct ForCommand;
