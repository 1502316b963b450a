//! What is done to accounts, whoever asks: one service for each act, used by every door.

pub(crate) mod password;
