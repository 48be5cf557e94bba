use super::{mean, median, percentile};

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
}

#[test]
fn percentiles_are_values_that_were_measured() {
    let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
    assert_eq!(percentile(&values, 0.5), Some(500.0));
    assert_eq!(percentile(&values, 0.99), Some(990.0));
    assert_eq!(percentile(&values, 1.0), Some(1000.0));
    assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
    assert_eq!(percentile(&[], 0.99), None);
}

#[test]
fn there_is_no_mean_of_nothing() {
    assert_eq!(mean(&[]), None);
    assert_eq!(mean(&[1.0, 2.0]), Some(1.5));
}
