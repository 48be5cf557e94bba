//! Changes that wait, in a lane for each key: no two of one key are handled at once, and none before the one that
//! came before it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::Change;

/// Bytes of keys and values that may wait. One change may, whatever its size.
const BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<Arc<str>, Lane>,
    /// Keys whose first change may be handled, in their order. A key is here, or in `later`, or handled now.
    ready: VecDeque<Arc<str>>,
    /// Those whose first change may be handled again, when it is time for that.
    later: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    changes: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Change>,
    /// How often its first change was handled.
    attempts: u32,
}

impl Lanes {
    /// Whether another change may wait, where `most` of them may.
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.changes == 0 || (self.changes < most && self.bytes < BYTES)
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes += 1;
        self.bytes += size(&change);
        if let Some(lane) = self.lanes.get_mut(&*change.key) {
            lane.waiting.push_back(change);
            return;
        }
        let key: Arc<str> = change.key.as_str().into();
        let lane = Lane { waiting: [change].into(), attempts: 0 };
        self.lanes.insert(key.clone(), lane);
        self.ready.push_back(key);
    }

    /// A change that may be handled now, and which time that is: from 1. Its key has nothing else handled until one
    /// of [`done`](Self::done), [`again`](Self::again) and [`back`](Self::back) is called.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Change, u32)> {
        while let Some(Reverse((at, _))) = self.later.peek()
            && *at <= now
        {
            let Some(Reverse((_, key))) = self.later.pop() else { break };
            self.ready.push_back(key);
        }
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        lane.attempts += 1;
        Some((lane.waiting.front()?.clone(), lane.attempts))
    }

    /// When something may be handled again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.later.peek().map(|Reverse((at, _))| *at)
    }

    /// The first change of a key was handled for the last time.
    pub(super) fn done(&mut self, key: &str) {
        let Some((key, lane)) = self.lanes.get_key_value(key) else { return };
        let (key, more) = (key.clone(), lane.waiting.len() > 1);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.attempts = 0;
            if let Some(change) = lane.waiting.pop_front() {
                self.changes -= 1;
                self.bytes -= size(&change);
            }
        }
        match more {
            true => self.ready.push_back(key),
            false => drop(self.lanes.remove(&key)),
        }
    }

    /// The first change of a key is to be handled again at a time.
    pub(super) fn again(&mut self, key: &str, at: Instant) {
        if let Some((key, _)) = self.lanes.get_key_value(key) {
            self.later.push(Reverse((at, key.clone())));
        }
    }

    /// The first change of a key was not handled: it is the next one.
    pub(super) fn back(&mut self, key: &str) {
        let Some((key, _)) = self.lanes.get_key_value(key) else { return };
        let key = key.clone();
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.attempts -= 1;
        }
        self.ready.push_front(key);
    }

    /// What was to be handled again is handled no more, nor what is behind it: how many that were.
    pub(super) fn give_up(&mut self) -> usize {
        let keys: Vec<_> = self.later.drain().map(|Reverse((_, key))| key).collect();
        let lanes: Vec<_> = keys.iter().filter_map(|key| self.lanes.remove(key)).collect();
        let given_up: usize = lanes.iter().map(|lane| lane.waiting.len()).sum();
        self.changes -= given_up;
        self.bytes -= lanes.iter().flat_map(|lane| &lane.waiting).map(size).sum::<usize>();
        given_up
    }

    /// Changes that are handled, or wait for that.
    pub(super) fn len(&self) -> usize {
        self.changes
    }

    /// Whether more may come of those that are handled now.
    pub(super) fn has_waiting(&self) -> bool {
        self.changes > self.lanes.len() || !self.ready.is_empty() || !self.later.is_empty()
    }
}

fn size(change: &Change) -> usize {
    change.key.len() + change.value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Take,
        Done(usize),
        Again(usize),
        Back(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8).prop_map(Step::Push),
            Just(Step::Take),
            (0..4_usize).prop_map(Step::Done),
            (0..4_usize).prop_map(Step::Again),
            (0..4_usize).prop_map(Step::Back),
        ]
    }

    proptest! {
        /// Against a list for each key.
        #[test]
        fn no_key_is_handled_twice_at_once_nor_out_of_order(
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let now = Instant::now();
            let mut lanes = Lanes::default();
            let mut model = BTreeMap::<String, VecDeque<(u64, u32)>>::new();
            let mut handled = Vec::<String>::new();
            let mut number = 0_u64;
            for step in steps {
                match step {
                    Step::Push(key) => {
                        number += 1;
                        let key = format!("k{key}");
                        let value = Some(number.to_string().into());
                        lanes.push(Change { key: key.clone(), value });
                        model.entry(key).or_default().push_back((number, 0));
                    }
                    Step::Take => {
                        let waiting = |key: &String| !handled.contains(key) && !model[key].is_empty();
                        let any = model.keys().any(waiting);
                        match lanes.take(now) {
                            None => prop_assert!(!any, "what waits is taken"),
                            Some((change, attempt)) => {
                                prop_assert!(!handled.contains(&change.key), "one at once");
                                let first = &mut model.get_mut(&change.key).unwrap()[0];
                                first.1 += 1;
                                let value = Some(Bytes::from(first.0.to_string()));
                                prop_assert_eq!((change.value, attempt), (value, first.1));
                                handled.push(change.key);
                            }
                        }
                    }
                    Step::Done(at) | Step::Again(at) | Step::Back(at) if at < handled.len() => {
                        let key = handled.remove(at);
                        let lane = model.get_mut(&key).unwrap();
                        match step {
                            Step::Done(_) => {
                                lane.pop_front();
                                lanes.done(&key);
                            }
                            Step::Again(_) => lanes.again(&key, now),
                            _ => {
                                lane[0].1 -= 1;
                                lanes.back(&key);
                            }
                        }
                    }
                    _ => {}
                }
                let all: usize = model.values().map(VecDeque::len).sum();
                prop_assert_eq!(lanes.len(), all);
                prop_assert_eq!(lanes.has_waiting(), all > handled.len());
            }
            // To the end.
            for key in handled {
                lanes.done(&key);
            }
            while let Some((change, _)) = lanes.take(now) {
                lanes.done(&change.key);
            }
            prop_assert_eq!((lanes.len(), lanes.bytes, lanes.lanes.len()), (0, 0, 0));
        }
    }

    #[test]
    fn what_is_to_be_handled_again_waits_for_its_time_and_can_be_given_up() {
        let (now, mut lanes) = (Instant::now(), Lanes::default());
        let change = |key: &str| Change { key: key.to_owned(), value: None };
        for key in ["a", "a", "b"] {
            lanes.push(change(key));
        }
        assert_eq!(lanes.take(now), Some((change("a"), 1)));
        let later = now + std::time::Duration::from_secs(1);
        lanes.again("a", later);
        assert_eq!((lanes.due(), lanes.has_room(3), lanes.has_room(4)), (Some(later), false, true));
        assert_eq!(lanes.take(now), Some((change("b"), 1)));
        assert_eq!(lanes.take(now), None);
        assert_eq!(lanes.take(later), Some((change("a"), 2)));
        lanes.again("a", later);
        assert_eq!(lanes.give_up(), 2);
        assert_eq!((lanes.len(), lanes.take(later)), (1, None));
    }
}
