use reef_lattice::record::Reported;
use reef_planner::Verdict;

use super::*;
use crate::core::samples::{heartbeat, reported};

fn key() -> WorkloadKey {
    WorkloadKey::new("default", "shop", "web")
}

fn beat(boot: u64, requests: u64, errors: u64, durations: &[u64]) -> Heartbeat {
    let measured =
        Measured { requests, errors, durations: durations.to_vec(), ..Measured::default() };
    let placements = vec![Reported { measured, ..reported(key(), 2) }];
    Heartbeat { boot, assignment: 1, placements, ..heartbeat("one", 1) }
}

fn state(step: u32, since: u64) -> RolloutState {
    RolloutState { revision: 2, step, serving: true, since: Time(since), verdict: Verdict::Going }
}

#[test]
fn what_was_counted_before_a_step_is_not_of_it() {
    let host = Id::from("one");
    let mut measures = Measures::default();
    // Nobody knows since when a host counts that was not known.
    assert!(measures.heartbeat(&host, &beat(1, 100, 10, &[100])).is_empty());
    measures.step(&key(), &state(0, 5), Time(7));
    assert_eq!(measures.measure(&key(), 99.0).unwrap().requests, 0);
    assert_eq!(measures.heartbeat(&host, &beat(1, 150, 12, &[140, 10])).len(), 1);
    let measure = measures.measure(&key(), 99.0).unwrap();
    assert_eq!((measure.requests, measure.errors, measure.since), (50, 2, Time(7)));
    // 40 within 50 µs, 10 within 100 µs: both are less than a millisecond.
    assert_eq!(measure.latency_ms, 1);

    measures.step(&key(), &state(1, 20), Time(18));
    let measure = measures.measure(&key(), 99.0).unwrap();
    assert_eq!((measure.requests, measure.since), (0, Time(18)));
}

#[test]
fn counts_that_begin_anew_are_added() {
    let host = Id::from("one");
    let mut measures = Measures::default();
    measures.heartbeat(&host, &beat(1, 0, 0, &[]));
    measures.step(&key(), &state(0, 0), Time(0));
    measures.heartbeat(&host, &beat(1, 50, 0, &[50]));
    // It was made anew on the host, and then the host started again.
    measures.heartbeat(&host, &beat(1, 20, 1, &[20]));
    measures.heartbeat(&host, &beat(2, 30, 0, &[30]));
    let measure = measures.measure(&key(), 50.0).unwrap();
    assert_eq!((measure.requests, measure.errors), (100, 1));
}

#[test]
fn percentiles_are_bounds_of_buckets() {
    let mut durations = vec![0; BOUNDS.len() + 1];
    durations[0] = 90;
    durations[10] = 10;
    let totals = Totals { durations, ..Totals::default() };
    assert_eq!(totals.percentile(90.0), 1);
    assert_eq!(totals.percentile(91.0), BOUNDS[10].div_ceil(1_000_000));
    assert_eq!(Totals::default().percentile(99.0), 0);
}
