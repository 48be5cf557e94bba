//! Cursors that are numbers, where backends have text.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Listings that can be gone on with at once, over the whole host.
const MOST: usize = 4096;

/// Cursors that were given away as numbers. They outlive the instance that they were given to.
pub(crate) static CURSORS: Cursors = Cursors(Mutex::new(None));

pub(crate) struct Cursors(Mutex<Option<Kept>>);

#[derive(Default)]
struct Kept {
    by_number: HashMap<u64, String>,
    /// Numbers by age, in a ring.
    ages: Vec<u64>,
    oldest: usize,
}

impl Cursors {
    /// A number for a cursor: one that cannot be guessed from others.
    pub(crate) fn issue(&self, cursor: String) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        let mut number = fastrand::u64(1..);
        while kept.by_number.contains_key(&number) {
            number = fastrand::u64(1..);
        }
        kept.by_number.insert(number, cursor);
        if kept.ages.len() < MOST {
            kept.ages.push(number);
        } else {
            let gone = std::mem::replace(&mut kept.ages[kept.oldest], number);
            kept.by_number.remove(&gone);
            kept.oldest = (kept.oldest + 1) % MOST;
        }
        number
    }

    pub(crate) fn find(&self, number: u64) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()?.by_number.get(&number).cloned()
    }
}
