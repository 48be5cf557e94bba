//! What spans, metrics and log records are made of, and so much of that as is bounded.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::{
    tonic::common::v1::InstrumentationScope as SentScope, transform::common::tonic::Attributes,
};

use super::wasi::{clocks::wall_clock::Datetime, otel::types};

/// Attributes of a span, an event, a link, a data point or a log record, events of a span, links of a span: the defaults of OpenTelemetry's
/// specification ("Span Limits").
pub(super) const MOST: usize = 128;
/// Bytes of a name.
const LONGEST_NAME: usize = 256;
/// Bytes of an attribute's value.
pub(super) const LONGEST_VALUE: usize = 4096;

pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A value for people: what is in quotes without them.
pub(super) fn text(json: &str) -> Cow<'_, str> {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::String(text)) => text.into(),
        _ => json.into(),
    }
}

/// At most so many, and how many were more.
pub(super) fn attributes(given: Vec<types::KeyValue>) -> (Vec<KeyValue>, u32) {
    let dropped = count(given.len().saturating_sub(MOST));
    let kept = given.into_iter().take(MOST);
    (kept.map(|one| KeyValue::new(name(one.key), value(one.value))).collect(), dropped)
}

/// What the JSON says; as it is, if it is none, or has a form that attributes do not have.
pub(super) fn value(json: String) -> Value {
    if json.len() > LONGEST_VALUE {
        return Value::String(cut(json, LONGEST_VALUE).into());
    }
    match serde_json::from_str(&json) {
        Ok(serde_json::Value::String(text)) => Value::String(text.into()),
        Ok(serde_json::Value::Bool(truth)) => Value::Bool(truth),
        Ok(serde_json::Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::I64(number),
            (None, Some(number)) => Value::F64(number),
            (None, None) => Value::String(json.into()),
        },
        Ok(serde_json::Value::Array(all)) => array(&all).unwrap_or(Value::String(json.into())),
        _ => Value::String(json.into()),
    }
}

/// Of values of one kind.
fn array(all: &[serde_json::Value]) -> Option<Value> {
    let numbers = || all.iter().map(serde_json::Value::as_i64).collect::<Option<Vec<_>>>();
    let floats = || all.iter().map(serde_json::Value::as_f64).collect::<Option<Vec<_>>>();
    let truths = || all.iter().map(serde_json::Value::as_bool).collect::<Option<Vec<_>>>();
    let texts = || {
        let texts = all.iter().map(|one| one.as_str().map(|text| text.to_owned().into()));
        texts.collect::<Option<Vec<StringValue>>>()
    };
    let array = numbers().map(Array::I64);
    let array = array.or_else(|| floats().map(Array::F64));
    let array = array.or_else(|| truths().map(Array::Bool));
    array.or_else(|| texts().map(Array::String)).map(Value::Array)
}

pub(super) fn scope(scope: types::InstrumentationScope) -> InstrumentationScope {
    let mut builder = InstrumentationScope::builder(name(scope.name));
    if let Some(version) = scope.version {
        builder = builder.with_version(name(version));
    }
    if let Some(url) = scope.schema_url {
        builder = builder.with_schema_url(name(url));
    }
    builder.with_attributes(attributes(scope.attributes).0).build()
}

pub(super) fn name(name: String) -> String {
    cut(name, LONGEST_NAME)
}

pub(super) fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

pub(super) fn time(time: Datetime) -> SystemTime {
    let since = Duration::new(time.seconds, time.nanoseconds.min(999_999_999));
    // Nanoseconds that OTLP can count.
    const LAST: Duration = Duration::from_nanos(u64::MAX);
    SystemTime::UNIX_EPOCH.checked_add(since.min(LAST)).unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The same as they are sent.
pub(super) fn sent_attributes(
    given: Vec<types::KeyValue>,
) -> (Vec<opentelemetry_proto::tonic::common::v1::KeyValue>, u32) {
    let (attributes, dropped) = attributes(given);
    (Attributes::from(attributes).0, dropped)
}

/// The same as it is sent, and its schema.
pub(super) fn sent_scope(given: types::InstrumentationScope) -> (SentScope, String) {
    let scope = scope(given);
    (SentScope::from((&scope, None)), scope.schema_url().unwrap_or_default().to_owned())
}

/// Nanoseconds since 1970: the last one that there is a number for, where there is none.
pub(super) fn nanos(time: Datetime) -> u64 {
    let nanos = time.seconds.checked_mul(1_000_000_000);
    nanos.and_then(|all| all.checked_add(time.nanoseconds.into())).unwrap_or(u64::MAX)
}

/// The number that so many hexadecimal digits say, if it is not none at all.
pub(super) fn id(text: &str, digits: usize) -> Option<Vec<u8>> {
    if !is_hex(text, digits) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<_>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0))
}
