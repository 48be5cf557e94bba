use proptest::prelude::*;

use super::*;

#[test]
fn rates_are_written_as_uses_in_a_time() {
    let rate = |uses, millis| Rate { uses, within: Duration::from_millis(millis) };
    assert_eq!("100/s".parse(), Ok(rate(100, 1000)));
    assert_eq!("5/10s".parse(), Ok(rate(5, 10_000)));
    assert_eq!("2 / 500ms".parse(), Ok(rate(2, 500)));
    for wrong in ["", "100", "0/s", "x/s", "1/0s", "-1/s", "1/"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}

proptest! {
    /// In any stretch of time there are at most one bucket and what flowed in meanwhile.
    #[test]
    fn no_stretch_has_more_than_a_bucket_and_what_flowed_in(
        uses in 1u32..20, steps in prop::collection::vec(0u64..300, 1..200)
    ) {
        let rate = Rate { uses, within: Duration::from_secs(1) };
        let start = Instant::now();
        let bucket = Bucket::new(rate, start);
        let (mut now, mut taken) = (start, Vec::new());
        for step in steps {
            now += Duration::from_millis(step);
            match bucket.take(now) {
                Ok(()) => taken.push(now),
                Err(wait) => prop_assert!(wait <= Duration::from_secs(1)),
            }
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let flowed = to.duration_since(*from).as_secs_f64() * f64::from(uses);
                prop_assert!((last - first) as f64 <= f64::from(uses) + flowed + 1e-6);
            }
        }
    }
}
