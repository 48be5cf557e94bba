//! A guest's log record as it is sent.

use std::time::SystemTime;

use opentelemetry::trace::SpanContext;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope},
    logs::v1::LogRecord,
};

use super::{
    value::{id, name, nanos, sent_attributes, sent_scope, value},
    wasi::otel::{logs as guest, tracing::TraceFlags},
};

/// Reads a record. One that names no span belongs to the request's.
pub(super) fn read(
    given: guest::LogRecord,
    outer: Option<&SpanContext>,
) -> (Option<InstrumentationScope>, LogRecord) {
    let (attributes, dropped) = sent_attributes(given.attributes.unwrap_or_default());
    let named = |text: &Option<String>, digits| text.as_deref().and_then(|text| id(text, digits));
    let (mut trace_id, mut span_id) = (named(&given.trace_id, 32), named(&given.span_id, 16));
    let sampled = given.trace_flags.is_some_and(|flags| flags.contains(TraceFlags::SAMPLED));
    let mut flags = u32::from(sampled);
    if let (None, None, Some(outer)) = (&trace_id, &span_id, outer) {
        trace_id = Some(outer.trace_id().to_bytes().to_vec());
        span_id = Some(outer.span_id().to_bytes().to_vec());
        flags = outer.trace_flags().to_u8().into();
    }
    let now = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    };
    let record = LogRecord {
        time_unix_nano: given.timestamp.map_or(0, nanos),
        observed_time_unix_nano: given.observed_timestamp.map_or_else(now, nanos),
        severity_number: match given.severity_number {
            // Others have no meaning.
            Some(number @ 1..=24) => number.into(),
            _ => 0,
        },
        severity_text: name(given.severity_text.unwrap_or_default()),
        body: given.body.map(|body| AnyValue::from(value(body))),
        attributes,
        dropped_attributes_count: dropped,
        flags,
        trace_id: trace_id.unwrap_or_default(),
        span_id: span_id.unwrap_or_default(),
        event_name: name(given.event_name.unwrap_or_default()),
    };
    (given.instrumentation_scope.map(|scope| sent_scope(scope).0), record)
}
