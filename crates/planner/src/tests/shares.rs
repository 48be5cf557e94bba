use proptest::prelude::*;

use crate::shares::shares;

#[test]
fn what_remains_goes_to_the_greatest_remainders() {
    assert_eq!(shares(12, &[25, 25, 50]), [3, 3, 6]);
    assert_eq!(shares(10, &[1, 1, 1]), [4, 3, 3]);
    assert_eq!(shares(10, &[1, 4, 1]), [2, 7, 1]);
}

#[test]
fn without_weights_all_are_the_same() {
    assert_eq!(shares(4, &[0, 0]), [2, 2]);
    assert_eq!(shares(4, &[0, 1]), [0, 4]);
    assert!(shares(4, &[]).is_empty());
}

proptest! {
    #[test]
    fn all_are_given_and_each_share_is_within_one(all: u32, weights in prop::collection::vec(any::<u32>(), 1..8)) {
        let shares = shares(all, &weights);
        prop_assert_eq!(shares.iter().map(|share| u64::from(*share)).sum::<u64>(), u64::from(all));
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        for (share, weight) in shares.iter().zip(&weights).filter(|_| sum > 0) {
            let exact = u64::from(all) * u64::from(*weight) / sum;
            prop_assert!((exact..=exact + 1).contains(&u64::from(*share)));
        }
    }
}
