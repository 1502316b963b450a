//! The mails of this process, for developers and tests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::mailer::Mail;

/// Mails that were sent in this process, the newest last: the development mailbox, and what tests look at.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    mails: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    mails: VecDeque<(u64, Mail)>,
}

/// Mails kept; older ones are dropped.
const KEPT: usize = 200;

impl Mailbox {
    /// Puts a mail in.
    pub(crate) fn keep(&self, mail: &Mail) {
        let mut kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.next += 1;
        let number = kept.next;
        kept.mails.push_back((number, mail.clone()));
        if kept.mails.len() > KEPT {
            kept.mails.pop_front();
        }
    }

    /// All that is kept, with its number, the oldest first.
    pub fn all(&self) -> Vec<(u64, Mail)> {
        self.mails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .mails
            .iter()
            .cloned()
            .collect()
    }

    /// The mails to one address, the oldest first.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        self.all()
            .into_iter()
            .map(|(_, mail)| mail)
            .filter(|mail| mail.to == address)
            .collect()
    }

    /// The mail with this number.
    pub fn get(&self, number: u64) -> Option<Mail> {
        self.all()
            .into_iter()
            .find(|(kept, _)| *kept == number)
            .map(|(_, mail)| mail)
    }
}
