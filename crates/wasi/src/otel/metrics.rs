//! A guest's metrics as they are sent: what makes sense of them, and so much of that as is bounded.

use opentelemetry_proto::tonic::metrics::v1::{
    self as sent, AggregationTemporality, Exemplar, NumberDataPoint, exemplar,
    exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};

use reef_meter::Said;

use super::{
    value::{id, name, nanos, sent_attributes, sent_scope},
    wasi::{clocks::wall_clock::Datetime, otel::metrics as guest},
};

/// Data points in one export.
pub(super) const MOST_POINTS: usize = 2000;
/// Exemplars of a data point.
const MOST_EXEMPLARS: usize = 16;
/// Buckets of a histogram, or of one side of an exponential one. An SDK has 160 if it is not told otherwise.
const MOST_BUCKETS: usize = 1024;

/// What is left of an export.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) scopes: Vec<sent::ScopeMetrics>,
    /// Data points beyond those that one export may have.
    pub(super) too_many: u64,
    /// Data points that make no sense.
    pub(super) wrong: u64,
    points: usize,
}

/// Reads an export. What the guest says of its resource is left aside: the host knows whose it is.
pub(super) fn read(given: guest::ResourceMetrics) -> Read {
    let mut read = Read::default();
    for of_scope in given.scope_metrics {
        let (scope, schema_url) = sent_scope(of_scope.scope);
        let metrics = of_scope.metrics.into_iter().filter_map(|metric| read.metric(metric));
        let metrics: Vec<_> = metrics.collect();
        if !metrics.is_empty() {
            read.scopes.push(sent::ScopeMetrics { scope: Some(scope), metrics, schema_url });
        }
    }
    read
}

/// What each gauge and each sum of an export comes to, over its data points.
pub(super) fn each(given: &guest::ResourceMetrics, mut say: impl FnMut(&str, Said)) {
    use guest::MetricData as Given;
    for metric in given.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        let said = match &metric.data {
            Given::F64Gauge(data) | Given::U64Gauge(data) | Given::S64Gauge(data) => {
                Said::Is(data.data_points.iter().map(|point| float(point.value)).sum())
            }
            Given::F64Sum(data) | Given::U64Sum(data) | Given::S64Sum(data) => {
                let sum = data.data_points.iter().map(|point| float(point.value)).sum();
                match temporality(data.temporality, data.is_monotonic) {
                    AggregationTemporality::Delta => Said::More(sum),
                    _ => Said::Is(sum),
                }
            }
            // How values are distributed is no number.
            _ => continue,
        };
        say(&metric.name, said);
    }
}

impl Read {
    fn metric(&mut self, metric: guest::Metric) -> Option<sent::Metric> {
        use guest::MetricData as Given;
        let data = match metric.data {
            Given::F64Gauge(data) | Given::U64Gauge(data) | Given::S64Gauge(data) => {
                self.gauge(data)
            }
            Given::F64Sum(data) | Given::U64Sum(data) | Given::S64Sum(data) => self.sum(data),
            Given::F64Histogram(data) | Given::U64Histogram(data) | Given::S64Histogram(data) => {
                self.histogram(data)
            }
            Given::F64ExponentialHistogram(data)
            | Given::U64ExponentialHistogram(data)
            | Given::S64ExponentialHistogram(data) => self.exponential(data),
        };
        Some(sent::Metric {
            name: name(metric.name),
            description: name(metric.description),
            unit: name(metric.unit),
            metadata: Vec::new(),
            data: Some(data?),
        })
    }

    fn gauge(&mut self, given: guest::Gauge) -> Option<Data> {
        let (start, time) = (given.start_time.map_or(0, nanos), nanos(given.time));
        let data_points = self.points(given.data_points, |point| {
            Some(number_point(point.attributes, point.value, point.exemplars, (start, time)))
        })?;
        Some(Data::Gauge(sent::Gauge { data_points }))
    }

    fn sum(&mut self, given: guest::Sum) -> Option<Data> {
        let span = span(given.start_time, given.time);
        let data_points = self.points(given.data_points, |point| {
            Some(number_point(point.attributes, point.value, point.exemplars, span))
        })?;
        let is_monotonic = given.is_monotonic;
        let aggregation_temporality = temporality(given.temporality, is_monotonic).into();
        Some(Data::Sum(sent::Sum { data_points, aggregation_temporality, is_monotonic }))
    }

    fn histogram(&mut self, given: guest::Histogram) -> Option<Data> {
        let (start, time) = span(given.start_time, given.time);
        let data_points = self.points(given.data_points, |point| {
            let guest::HistogramDataPoint { bounds, bucket_counts, .. } = point;
            let fit = bucket_counts.len() == bounds.len() + 1;
            if bounds.len() > MOST_BUCKETS
                || !(fit || bucket_counts.is_empty() && bounds.is_empty())
            {
                return None;
            }
            Some(sent::HistogramDataPoint {
                attributes: sent_attributes(point.attributes).0,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: point.count,
                sum: Some(float(point.sum)),
                bucket_counts,
                explicit_bounds: bounds,
                exemplars: exemplars(point.exemplars),
                flags: 0,
                min: point.min.map(float),
                max: point.max.map(float),
            })
        })?;
        let aggregation_temporality = temporality(given.temporality, true).into();
        Some(Data::Histogram(sent::Histogram { data_points, aggregation_temporality }))
    }

    fn exponential(&mut self, given: guest::ExponentialHistogram) -> Option<Data> {
        let (start, time) = span(given.start_time, given.time);
        let data_points = self.points(given.data_points, |point| {
            let sides = [point.positive_bucket, point.negative_bucket];
            if sides.iter().any(|side| side.counts.len() > MOST_BUCKETS) {
                return None;
            }
            let [positive, negative] =
                sides.map(|side| Some(Buckets { offset: side.offset, bucket_counts: side.counts }));
            Some(sent::ExponentialHistogramDataPoint {
                attributes: sent_attributes(point.attributes).0,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: point.count,
                sum: Some(float(point.sum)),
                scale: point.scale.into(),
                zero_count: point.zero_count,
                positive,
                negative,
                flags: 0,
                exemplars: exemplars(point.exemplars),
                min: point.min.map(float),
                max: point.max.map(float),
                zero_threshold: point.zero_threshold,
            })
        })?;
        let aggregation_temporality = temporality(given.temporality, true).into();
        Some(Data::ExponentialHistogram(sent::ExponentialHistogram {
            data_points,
            aggregation_temporality,
        }))
    }

    /// As many as there is room for, without those that make no sense; nothing if that is none.
    fn points<P, S>(&mut self, given: Vec<P>, read: impl Fn(P) -> Option<S>) -> Option<Vec<S>> {
        let room = MOST_POINTS - self.points;
        let all = given.len();
        self.too_many += all.saturating_sub(room) as u64;
        let points: Vec<_> = given.into_iter().take(room).filter_map(read).collect();
        self.wrong += (all.min(room) - points.len()) as u64;
        self.points += all.min(room);
        Some(points).filter(|points| !points.is_empty())
    }
}

fn number_point(
    attributes: Vec<super::wasi::otel::types::KeyValue>,
    value: guest::MetricNumber,
    exemplars: Vec<guest::Exemplar>,
    (start, time): (u64, u64),
) -> NumberDataPoint {
    use number_data_point::Value;
    NumberDataPoint {
        attributes: sent_attributes(attributes).0,
        start_time_unix_nano: start,
        time_unix_nano: time,
        exemplars: self::exemplars(exemplars),
        flags: 0,
        value: Some(match whole(value) {
            Some(whole) => Value::AsInt(whole),
            None => Value::AsDouble(float(value)),
        }),
    }
}

fn exemplars(given: Vec<guest::Exemplar>) -> Vec<Exemplar> {
    use exemplar::Value;
    let read = |one: guest::Exemplar| Exemplar {
        filtered_attributes: sent_attributes(one.filtered_attributes).0,
        time_unix_nano: nanos(one.time),
        span_id: id(&one.span_id, 16).unwrap_or_default(),
        trace_id: id(&one.trace_id, 32).unwrap_or_default(),
        value: Some(match whole(one.value) {
            Some(whole) => Value::AsInt(whole),
            None => Value::AsDouble(float(one.value)),
        }),
    };
    given.into_iter().take(MOST_EXEMPLARS).map(read).collect()
}

fn span(start: Datetime, end: Datetime) -> (u64, u64) {
    (nanos(start), nanos(end))
}

/// A whole number as there are in OTLP.
fn whole(number: guest::MetricNumber) -> Option<i64> {
    match number {
        guest::MetricNumber::S64(number) => Some(number),
        guest::MetricNumber::U64(number) => number.try_into().ok(),
        guest::MetricNumber::F64(_) => None,
    }
}

/// The nearest number with a point.
#[allow(clippy::cast_precision_loss, reason = "OTLP has no other place for it")]
fn float(number: guest::MetricNumber) -> f64 {
    match number {
        guest::MetricNumber::F64(number) => number,
        guest::MetricNumber::S64(number) => number as f64,
        guest::MetricNumber::U64(number) => number as f64,
    }
}

/// Low memory is a preference, and of data means what an SDK does with it: what only grows and what is distributed is
/// said since it was last said, and all else from the start (OpenTelemetry, "OTLP exporter", "Temporality preference").
fn temporality(given: guest::Temporality, grows: bool) -> AggregationTemporality {
    match given {
        guest::Temporality::Cumulative => AggregationTemporality::Cumulative,
        guest::Temporality::Delta => AggregationTemporality::Delta,
        guest::Temporality::LowMemory if grows => AggregationTemporality::Delta,
        guest::Temporality::LowMemory => AggregationTemporality::Cumulative,
    }
}

#[cfg(test)]
mod tests;
