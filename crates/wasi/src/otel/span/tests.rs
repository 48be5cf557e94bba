#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use opentelemetry::{Array, Value};
use proptest::prelude::*;

use super::*;
use crate::otel::wasi::{clocks::wall_clock::Datetime, otel::types};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn outer() -> SpanContext {
    let (trace, span) = (TraceId::from_hex(TRACE).unwrap(), SpanId::from_hex("b7ad6b7169203331"));
    SpanContext::new(trace, span.unwrap(), TraceFlags::SAMPLED, false, TraceState::default())
}

fn span(trace: &str, own: &str, parent: &str) -> guest::SpanData {
    guest::SpanData {
        span_context: guest::SpanContext {
            trace_id: trace.to_owned(),
            span_id: own.to_owned(),
            trace_flags: guest::TraceFlags::SAMPLED,
            is_remote: false,
            trace_state: Vec::new(),
        },
        parent_span_id: parent.to_owned(),
        span_kind: guest::SpanKind::Internal,
        name: "work".to_owned(),
        start_time: Datetime { seconds: 1, nanoseconds: 2 },
        end_time: Datetime { seconds: u64::MAX, nanoseconds: u32::MAX },
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        status: guest::Status::Unset,
        instrumentation_scope: types::InstrumentationScope {
            name: "guest".to_owned(),
            version: None,
            schema_url: None,
            attributes: Vec::new(),
        },
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    }
}

#[test]
fn spans_of_the_requests_trace_are_below_the_request() {
    let read = |trace, own, parent| read(span(trace, own, parent), &outer());
    let below = read(TRACE, "00000000000000aa", "00000000000000bb").unwrap();
    assert_eq!(below.parent_span_id.to_string(), "00000000000000bb");
    assert_eq!(below.start_time, SystemTime::UNIX_EPOCH + Duration::new(1, 2));
    let first = read(TRACE, "00000000000000aa", "").unwrap();
    assert_eq!(first.parent_span_id, outer().span_id());
    let other = "1af7651916cd43dd8448eb211c80319c";
    assert!(read(other, "00000000000000aa", "").is_err(), "another trace's are not the guest's");
    assert!(read(TRACE, "b7ad6b7169203331", "").is_err(), "nor is the request's own span");
    assert!(read(TRACE, "0", "").is_err());
    assert!(read("no hexadecimal", "00000000000000aa", "").is_err());
}

#[test]
fn a_span_has_no_more_than_is_bounded() {
    let mut much = span(TRACE, "00000000000000aa", "");
    much.name = "é".repeat(10_000);
    let one = |n: usize| types::KeyValue { key: n.to_string(), value: "x".repeat(100_000) };
    much.attributes = (0..1000).map(one).collect();
    much.dropped_attributes = 5;
    let event = guest::Event { name: String::new(), time: much.start_time, attributes: Vec::new() };
    much.events = vec![event; 1000];
    let read = read(much, &outer()).unwrap();
    assert_eq!((read.attributes.len(), read.dropped_attributes_count), (128, 872 + 5));
    assert_eq!((read.events.events.len(), read.events.dropped_count), (128, 872));
    assert_eq!(read.name.len(), 256);
    assert!(read.attributes.iter().all(|one| one.value.as_str().len() <= LONGEST_VALUE));
}

#[test]
fn values_are_what_their_json_says() {
    let value = |json: &str| value::value(json.to_owned());
    assert_eq!(value("\"a \\\"b\\\"\""), Value::String("a \"b\"".into()));
    assert_eq!(value("7"), Value::I64(7));
    assert_eq!(value("1.5"), Value::F64(1.5));
    assert_eq!(value("true"), Value::Bool(true));
    assert_eq!(value("[1,2]"), Value::Array(Array::I64(vec![1, 2])));
    assert_eq!(value("[\"a\"]"), Value::Array(Array::String(vec!["a".into()])));
    for odd in ["{\"a\":1}", "[1,\"a\"]", "null", "{no JSON", ""] {
        assert_eq!(value(odd), Value::String(odd.to_owned().into()), "{odd}");
    }
}

proptest! {
    #[test]
    fn whatever_a_guest_says_is_read_or_refused(
        ids in ("[0-9a-fA-Fx]{0,33}", "[0-9a-f]{0,17}", "\\PC{0,20}"),
        json in "\\PC{0,40}",
        seconds: u64, nanoseconds: u32,
    ) {
        let mut odd = span(&ids.0, &ids.1, &ids.2);
        odd.start_time = Datetime { seconds, nanoseconds };
        odd.attributes = vec![types::KeyValue { key: json.clone(), value: json }];
        let _ = read(odd, &outer());
    }
}
