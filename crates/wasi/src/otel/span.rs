//! A guest's span as the exporter takes it: what makes sense of it, and so much of that as is bounded.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::wasi::{
    clocks::wall_clock::Datetime,
    otel::{tracing as guest, types},
};

/// Attributes of a span, an event or a link, events of a span, links of a span: the defaults of OpenTelemetry's
/// specification ("Span Limits").
const MOST: usize = 128;
/// Bytes of a name.
const LONGEST_NAME: usize = 256;
/// Bytes of an attribute's value.
const LONGEST_VALUE: usize = 4096;

/// Reads a span of the trace that the guest works for.
///
/// # Errors
/// Why it is none of that trace.
pub(super) fn read(span: guest::SpanData, outer: &SpanContext) -> Result<SpanData, &'static str> {
    let own = context(&span.span_context).ok_or("its context is none")?;
    if own.trace_id() != outer.trace_id() {
        return Err("it belongs to another trace than the request");
    }
    if own.span_id() == outer.span_id() {
        return Err("it has the number of the request's own span");
    }
    if !own.is_sampled() {
        return Err("it is not sampled");
    }
    // A span without a parent begins where the request does.
    let parent = span_id(&span.parent_span_id).unwrap_or(outer.span_id());
    let (attributes, dropped) = attributes(span.attributes);
    let mut events = SpanEvents::default();
    events.dropped_count =
        count(span.events.len().saturating_sub(MOST)).saturating_add(span.dropped_events);
    for event in span.events.into_iter().take(MOST) {
        let (attributes, dropped) = self::attributes(event.attributes);
        events.events.push(Event::new(name(event.name), time(event.time), attributes, dropped));
    }
    let mut links = SpanLinks::default();
    links.dropped_count =
        count(span.links.len().saturating_sub(MOST)).saturating_add(span.dropped_links);
    for link in span.links.into_iter().take(MOST) {
        let Some(context) = context(&link.span_context) else { continue };
        let (attributes, dropped) = self::attributes(link.attributes);
        links.links.push(Link::new(context, attributes, dropped));
    }
    Ok(SpanData {
        span_context: own,
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: match span.span_kind {
            guest::SpanKind::Client => SpanKind::Client,
            guest::SpanKind::Server => SpanKind::Server,
            guest::SpanKind::Producer => SpanKind::Producer,
            guest::SpanKind::Consumer => SpanKind::Consumer,
            guest::SpanKind::Internal => SpanKind::Internal,
        },
        name: name(span.name).into(),
        start_time: time(span.start_time),
        end_time: time(span.end_time),
        attributes,
        dropped_attributes_count: dropped.saturating_add(span.dropped_attributes),
        events,
        links,
        status: match span.status {
            guest::Status::Unset => Status::Unset,
            guest::Status::Ok => Status::Ok,
            guest::Status::Error(why) => Status::error(cut(why, LONGEST_VALUE)),
        },
        instrumentation_scope: scope(span.instrumentation_scope),
    })
}

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

fn context(context: &guest::SpanContext) -> Option<SpanContext> {
    let trace_id = is_hex(&context.trace_id, 32).then(|| TraceId::from_hex(&context.trace_id));
    let trace_id = trace_id?.ok().filter(|id| *id != TraceId::INVALID)?;
    let flags = match context.trace_flags.contains(guest::TraceFlags::SAMPLED) {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::default(),
    };
    let members = context.trace_state.iter().take(32);
    let state =
        TraceState::from_key_value(members.map(|(key, value)| (key.clone(), value.clone())));
    let (span_id, remote) = (span_id(&context.span_id)?, context.is_remote);
    Some(SpanContext::new(trace_id, span_id, flags, remote, state.unwrap_or_default()))
}

fn span_id(text: &str) -> Option<SpanId> {
    let id = is_hex(text, 16).then(|| SpanId::from_hex(text))?;
    id.ok().filter(|id| *id != SpanId::INVALID)
}

/// At most so many, and how many were more.
fn attributes(given: Vec<types::KeyValue>) -> (Vec<KeyValue>, u32) {
    let dropped = count(given.len().saturating_sub(MOST));
    let kept = given.into_iter().take(MOST);
    (kept.map(|one| KeyValue::new(name(one.key), value(one.value))).collect(), dropped)
}

/// What the JSON says; as it is, if it is none, or has a form that attributes do not have.
fn value(json: String) -> Value {
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

fn scope(scope: types::InstrumentationScope) -> InstrumentationScope {
    let mut builder = InstrumentationScope::builder(name(scope.name));
    if let Some(version) = scope.version {
        builder = builder.with_version(name(version));
    }
    if let Some(url) = scope.schema_url {
        builder = builder.with_schema_url(name(url));
    }
    builder.with_attributes(attributes(scope.attributes).0).build()
}

fn name(name: String) -> String {
    cut(name, LONGEST_NAME)
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

fn time(time: Datetime) -> SystemTime {
    let since = Duration::new(time.seconds, time.nanoseconds.min(999_999_999));
    // Nanoseconds that OTLP can count.
    const LAST: Duration = Duration::from_nanos(u64::MAX);
    SystemTime::UNIX_EPOCH.checked_add(since.min(LAST)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
