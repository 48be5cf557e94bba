use std::thread;

use proptest::prelude::*;

use super::*;

/// The definition, searched linearly.
fn model(observations: &[Duration]) -> HistogramSnapshot {
    let mut snapshot = HistogramSnapshot::default();
    for observation in observations {
        let nanos = observation.as_nanos() as u64;
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        snapshot.counts[bucket] += 1;
        snapshot.sum_nanos += nanos;
    }
    snapshot
}

fn duration() -> impl Strategy<Value = Duration> {
    let near_a_bound = (0..BOUNDS.len(), -2_i64..=2)
        .prop_map(|(i, offset)| Duration::from_nanos(BOUNDS[i].saturating_add_signed(offset)));
    let any_magnitude = (0_u32..40, any::<u64>())
        .prop_map(|(shift, bits)| Duration::from_nanos((bits >> 24) >> shift));
    prop_oneof![near_a_bound, any_magnitude]
}

proptest! {
    #[test]
    fn agrees_with_the_definition(observations in prop::collection::vec(duration(), 0..200)) {
        let histogram = Histogram::new();
        for observation in &observations {
            histogram.observe(*observation);
        }
        prop_assert_eq!(histogram.snapshot(), model(&observations));
    }
}

#[test]
fn bounds_double_from_50_us_and_end_at_60_s() {
    assert_eq!(BOUNDS[0], 50_000);
    assert_eq!(BOUNDS[1], 100_000);
    assert_eq!(BOUNDS[20], 52_428_800_000);
    assert_eq!(BOUNDS[21], 60_000_000_000);
    assert!(BOUNDS.is_sorted());
}

#[test]
fn the_longest_duration_is_counted() {
    let histogram = Histogram::new();
    histogram.observe(Duration::MAX);
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.counts[BUCKETS - 1], 1);
    assert_eq!(snapshot.count(), 1);
}

#[test]
fn threads_lose_nothing() {
    let histogram = Histogram::new();
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for i in 0..1_000 {
                    histogram.observe(Duration::from_micros(i));
                }
            });
        }
    });
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.count(), 40_000);
    assert_eq!(snapshot.sum(), Duration::from_micros(40 * 999 * 1_000 / 2));
}
