//! What was read lately.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{LARGEST, MOST, Value};

/// What was read lately, and is good for a while. Bounded: beyond that it is read again.
#[derive(Debug)]
pub(super) struct Lately {
    good: Duration,
    held: Mutex<Held>,
}

/// Values by their names, shared by those who asked at once.
type All = Arc<Vec<(String, Value)>>;

#[derive(Debug, Default)]
struct Held {
    values: HashMap<String, (Option<Value>, Instant)>,
    bytes: usize,
    all: Option<(All, Instant)>,
}

impl Lately {
    pub(super) fn new(good: Duration) -> Self {
        Self { good, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_good(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.good
    }

    /// What is known of a name: its value, or that it has none.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Option<Value>> {
        if self.good.is_zero() {
            return None;
        }
        let held = self.held();
        let (value, since) = held.values.get(name)?;
        self.is_good(*since, now).then(|| value.clone())
    }

    pub(super) fn put(&self, name: &str, value: Option<Value>, now: Instant) {
        if self.good.is_zero() {
            return;
        }
        let cost = |value: &Option<Value>| value.as_ref().map_or(0, Value::len);
        let mut held = self.held();
        if held.values.len() >= MOST || held.bytes + cost(&value) > 2 * LARGEST {
            held.values.retain(|_, (_, since)| self.is_good(*since, now));
            if held.values.len() >= MOST {
                held.values.clear();
            }
            held.bytes = held.values.values().map(|(value, _)| cost(value)).sum();
            if held.bytes + cost(&value) > 2 * LARGEST {
                held.values.clear();
                held.bytes = 0;
            }
        }
        held.bytes += cost(&value);
        if let Some((before, _)) = held.values.insert(name.to_owned(), (value, now)) {
            held.bytes -= cost(&before);
        }
    }

    pub(super) fn all(&self, now: Instant) -> Option<All> {
        let mut held = self.held();
        let (all, since) = held.all.as_ref()?;
        if self.is_good(*since, now) {
            return Some(all.clone());
        }
        held.all = None;
        None
    }

    pub(super) fn put_all(&self, all: All, now: Instant) {
        if !self.good.is_zero() {
            self.held().all = Some((all, now));
        }
    }
}
