//! The second step of a sign-in: what waits while a further factor is owed.
//!
//! It is a ticket, bound to account and browser, good for a while (`two_factor.pending`) and a few guesses. Nothing is
//! opened, remembered or handed out before it is answered.

mod answer;
mod begin;
mod choose;
mod codes;
pub(crate) mod passkey;
mod pending;
mod sending;

pub(crate) use self::{
    answer::answer,
    begin::{begin, begin_step_up},
    choose::{MOST, begin_setup, choose, refuse_more, refuse_unproven, rescue},
    codes::{answer_by_recovery_code, recovery_codes_left, recovery_parts},
    pending::{
        Chosen, Resume, SecondStep, State, abandon, held, shown, token_for_program, ways_of,
    },
    sending::{CODE, RESCUE, Sending, limit_of_setup},
};
pub(crate) use super::second_factors::{Passed, all_by_browser, factors_of, remaining_factors};
