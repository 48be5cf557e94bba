//! How many series a workload has: names of metrics with attributes.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ScopeMetrics, metric::Data};
use prost::Message as _;

/// Series of a workload in an hour: each costs whoever keeps them.
pub(super) const MOST: usize = 10_000;
/// After this, all are new: what was measured earlier may have ended.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Those that there were.
pub(super) struct Series {
    since: Instant,
    seen: HashSet<u64>,
    hashes: RandomState,
}

impl Series {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, seen: HashSet::new(), hashes: RandomState::new() }
    }

    /// Leaves out the points of series that are too many, and says how many points that were.
    pub(super) fn admit(&mut self, scopes: &mut Vec<ScopeMetrics>, now: Instant) -> u64 {
        if now.saturating_duration_since(self.since) >= FORGOTTEN {
            self.seen.clear();
            self.since = now;
        }
        let mut left_out = 0;
        for scope in &mut *scopes {
            let name = scope.scope.as_ref().map_or("", |scope| &scope.name).to_owned();
            for metric in &mut scope.metrics {
                let names = [name.as_str(), &metric.name];
                let mut keep = |attributes: &[KeyValue]| {
                    let kept = self.knows(names, attributes);
                    left_out += u64::from(!kept);
                    kept
                };
                match &mut metric.data {
                    Some(Data::Gauge(data)) => data.data_points.retain(|p| keep(&p.attributes)),
                    Some(Data::Sum(data)) => data.data_points.retain(|p| keep(&p.attributes)),
                    Some(Data::Histogram(data)) => data.data_points.retain(|p| keep(&p.attributes)),
                    Some(Data::ExponentialHistogram(data)) => {
                        data.data_points.retain(|p| keep(&p.attributes));
                    }
                    Some(Data::Summary(data)) => data.data_points.retain(|p| keep(&p.attributes)),
                    None => {}
                }
            }
            scope.metrics.retain(|metric| points_of(metric) > 0);
        }
        scopes.retain(|scope| !scope.metrics.is_empty());
        left_out
    }

    fn knows(&mut self, names: [&str; 2], attributes: &[KeyValue]) -> bool {
        let mut hasher = self.hashes.build_hasher();
        for name in names {
            hasher.write(name.as_bytes());
            hasher.write_u8(0xff);
        }
        // In whatever order they come.
        let each = attributes.iter().map(|one| self.hashes.hash_one(one.encode_to_vec()));
        hasher.write_u64(each.fold(0, u64::wrapping_add));
        let series = hasher.finish();
        self.seen.contains(&series) || (self.seen.len() < MOST && self.seen.insert(series))
    }
}

pub(super) fn points(scopes: &[ScopeMetrics]) -> u64 {
    scopes.iter().flat_map(|scope| &scope.metrics).map(points_of).sum()
}

fn points_of(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
        None => 0,
    };
    points as u64
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint};

    use super::*;

    fn gauge(attributes: &[&[&str]]) -> Vec<ScopeMetrics> {
        let one = |key: &&str| KeyValue { key: (*key).to_owned(), ..KeyValue::default() };
        let point = |keys: &&[&str]| NumberDataPoint {
            attributes: keys.iter().map(one).collect(),
            ..NumberDataPoint::default()
        };
        let gauge = Gauge { data_points: attributes.iter().map(point).collect() };
        let metric = Metric { data: Some(Data::Gauge(gauge)), ..Metric::default() };
        vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }]
    }

    #[test]
    fn attributes_in_another_order_are_the_same_series() {
        let now = Instant::now();
        let mut series = Series::new(now);
        let mut said = gauge(&[&["a", "b"], &["b", "a"], &["a"], &["b"], &[]]);
        assert_eq!(series.admit(&mut said, now), 0);
        assert_eq!((points(&said), series.seen.len()), (5, 4));
    }

    #[test]
    fn series_are_forgotten_after_an_hour() {
        let now = Instant::now();
        let mut series = Series::new(now);
        series.seen.extend(0..MOST as u64);
        let mut said = gauge(&[&["new"]]);
        assert_eq!(series.admit(&mut said, now), 1);
        assert!(said.is_empty(), "{said:?}");
        assert_eq!(series.admit(&mut gauge(&[&["new"]]), now + FORGOTTEN), 0);
    }
}
