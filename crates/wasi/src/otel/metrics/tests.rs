#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::otel::wasi::otel::types;

const THEN: Datetime = Datetime { seconds: 1, nanoseconds: 5 };
const NOW: Datetime = Datetime { seconds: 2, nanoseconds: 0 };

fn export(data: Vec<guest::MetricData>) -> guest::ResourceMetrics {
    let metric = |data| guest::Metric {
        name: "n".to_owned(),
        description: "d".repeat(10_000),
        unit: "s".to_owned(),
        data,
    };
    let scope = types::InstrumentationScope {
        name: "guest".to_owned(),
        version: None,
        schema_url: Some("https://schema".to_owned()),
        attributes: Vec::new(),
    };
    let metrics = data.into_iter().map(metric).collect();
    guest::ResourceMetrics {
        resource: types::Resource { attributes: Vec::new(), schema_url: None },
        scope_metrics: vec![guest::ScopeMetrics { scope, metrics }],
    }
}

fn sum(values: &[guest::MetricNumber], temporality: guest::Temporality) -> guest::Sum {
    let point =
        |value: &_| guest::SumDataPoint { attributes: vec![], value: *value, exemplars: vec![] };
    guest::Sum {
        data_points: values.iter().map(point).collect(),
        start_time: THEN,
        time: NOW,
        temporality,
        is_monotonic: true,
    }
}

fn histogram(bounds: usize, counts: usize) -> guest::Histogram {
    let exemplar = guest::Exemplar {
        filtered_attributes: vec![],
        time: THEN,
        value: guest::MetricNumber::S64(-1),
        span_id: "00000000000000aa".to_owned(),
        trace_id: "no hexadecimal".to_owned(),
    };
    guest::Histogram {
        data_points: vec![guest::HistogramDataPoint {
            attributes: vec![],
            count: 7,
            bounds: vec![1.0; bounds],
            bucket_counts: vec![1; counts],
            min: None,
            max: Some(guest::MetricNumber::F64(2.5)),
            sum: guest::MetricNumber::U64(9),
            exemplars: vec![exemplar; 20],
        }],
        start_time: THEN,
        time: NOW,
        temporality: guest::Temporality::Delta,
    }
}

fn exponential(counts: usize) -> guest::ExponentialHistogram {
    let bucket = |offset| guest::ExponentialBucket { offset, counts: vec![1; counts] };
    guest::ExponentialHistogram {
        data_points: vec![guest::ExponentialHistogramDataPoint {
            attributes: vec![],
            count: 3,
            min: None,
            max: None,
            sum: guest::MetricNumber::F64(1.5),
            scale: -2,
            zero_count: 1,
            positive_bucket: bucket(4),
            negative_bucket: bucket(-4),
            zero_threshold: 0.25,
            exemplars: vec![],
        }],
        start_time: THEN,
        time: NOW,
        temporality: guest::Temporality::LowMemory,
    }
}

fn data(read: &Read) -> Vec<&Data> {
    let metrics = read.scopes.iter().flat_map(|scope| &scope.metrics);
    metrics.map(|metric| metric.data.as_ref().unwrap()).collect()
}

#[test]
fn numbers_keep_their_kind_where_there_is_one_for_them() {
    use number_data_point::Value::{AsDouble, AsInt};
    let numbers = [
        (guest::MetricNumber::S64(-3), AsInt(-3)),
        (guest::MetricNumber::U64(3), AsInt(3)),
        (guest::MetricNumber::U64(u64::MAX), AsDouble(u64::MAX as f64)),
        (guest::MetricNumber::F64(0.5), AsDouble(0.5)),
    ];
    let given = sum(&numbers.map(|(given, _)| given), guest::Temporality::Cumulative);
    let read = read(export(vec![guest::MetricData::S64Sum(given)]));
    let [Data::Sum(sum)] = data(&read)[..] else { panic!("{read:?}") };
    let values: Vec<_> = sum.data_points.iter().map(|point| point.value.unwrap()).collect();
    assert_eq!(values, numbers.map(|(_, sent)| sent));
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (2, true));
    let point = &sum.data_points[0];
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000_000_005, 2_000_000_000));
    let scope = &read.scopes[0];
    assert_eq!((&*scope.schema_url, scope.metrics[0].description.len()), ("https://schema", 256));
}

#[test]
fn histograms_are_those_of_the_protocol() {
    let read = read(export(vec![
        guest::MetricData::F64Histogram(histogram(2, 3)),
        guest::MetricData::U64ExponentialHistogram(exponential(2)),
    ]));
    let [Data::Histogram(plain), Data::ExponentialHistogram(exponential)] = data(&read)[..] else {
        panic!("{read:?}")
    };
    let point = &plain.data_points[0];
    assert_eq!((plain.aggregation_temporality, point.count), (1, 7));
    assert_eq!((point.sum, point.min, point.max), (Some(9.0), None, Some(2.5)));
    assert_eq!((point.explicit_bounds.len(), point.bucket_counts.len()), (2, 3));
    assert_eq!(point.exemplars.len(), MOST_EXEMPLARS);
    let exemplar = &point.exemplars[0];
    assert_eq!((exemplar.span_id.last(), exemplar.trace_id.len()), (Some(&0xaa), 0));
    let point = &exponential.data_points[0];
    assert_eq!((exponential.aggregation_temporality, point.scale), (1, -2));
    assert_eq!((point.zero_count, point.zero_threshold), (1, 0.25));
    let side = |offset| Some(Buckets { offset, bucket_counts: vec![1, 1] });
    assert_eq!((&point.positive, &point.negative), (&side(4), &side(-4)));
}

#[test]
fn what_makes_no_sense_or_is_too_much_is_left_out_and_counted() {
    let wrong = read(export(vec![
        guest::MetricData::F64Histogram(histogram(2, 2)),
        guest::MetricData::F64Histogram(histogram(0, 1)),
        guest::MetricData::F64Histogram(histogram(0, 0)),
        guest::MetricData::F64Histogram(histogram(2000, 2001)),
        guest::MetricData::U64ExponentialHistogram(exponential(2000)),
    ]));
    assert_eq!((wrong.wrong, wrong.too_many, data(&wrong).len()), (3, 0, 2));
    let number = guest::MetricNumber::U64(1);
    let half = || {
        guest::MetricData::U64Sum(sum(&[number; MOST_POINTS / 2 + 1], guest::Temporality::Delta))
    };
    let many = read(export(vec![half(), half(), half()]));
    assert_eq!((many.wrong, many.too_many), (0, 2 + 1001));
    assert_eq!(data(&many).len(), 2);
}

proptest! {
    #[test]
    fn whatever_a_guest_says_is_read_or_counted(
        values in prop::collection::vec((any::<f64>(), any::<i64>(), any::<u64>()), 0..5),
        seconds: u64, nanoseconds: u32, shape in (0..5_usize, 0..5_usize),
    ) {
        use guest::MetricNumber::{F64, S64, U64};
        let numbers: Vec<_> = values.iter().flat_map(|(f, s, u)| [F64(*f), S64(*s), U64(*u)]).collect();
        let mut sum = sum(&numbers, guest::Temporality::LowMemory);
        sum.time = Datetime { seconds, nanoseconds };
        let read = read(export(vec![
            guest::MetricData::F64Sum(sum),
            guest::MetricData::S64Histogram(histogram(shape.0, shape.1)),
        ]));
        let points: usize = data(&read).iter().map(|data| match data {
            Data::Sum(sum) => sum.data_points.len(),
            Data::Histogram(histogram) => histogram.data_points.len(),
            _ => 0,
        }).sum();
        prop_assert_eq!(points as u64 + read.wrong, numbers.len() as u64 + 1);
    }
}

#[test]
fn gauges_and_sums_are_told_over_their_points() {
    use guest::{MetricData as Given, MetricNumber::F64, MetricNumber::S64, Temporality};
    let point = |value| guest::GaugeDataPoint { attributes: vec![], value, exemplars: vec![] };
    let points = vec![point(S64(-2)), point(F64(0.5))];
    let gauge = guest::Gauge { data_points: points, start_time: None, time: NOW };
    let given = export(vec![
        Given::S64Gauge(gauge),
        Given::F64Sum(sum(&[S64(3), S64(4)], Temporality::Cumulative)),
        Given::F64Sum(sum(&[S64(3)], Temporality::Delta)),
        Given::F64Histogram(histogram(1, 2)),
    ]);
    let mut told = Vec::new();
    each(&given, |name, said| told.push((name.to_owned(), said)));
    let told: Vec<_> = told.iter().map(|(name, said)| (&**name, *said)).collect();
    assert_eq!(told, [("n", Said::Is(-1.5)), ("n", Said::Is(7.0)), ("n", Said::More(3.0))]);
}
