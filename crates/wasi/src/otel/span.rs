//! A guest's span as the exporter takes it: what makes sense of it, and so much of that as is bounded.

use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{
    value::{self, LONGEST_VALUE, MOST, attributes, count, cut, is_hex, name, scope, time},
    wasi::otel::tracing as guest,
};

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
        let (attributes, dropped) = value::attributes(event.attributes);
        events.events.push(Event::new(name(event.name), time(event.time), attributes, dropped));
    }
    let mut links = SpanLinks::default();
    links.dropped_count =
        count(span.links.len().saturating_sub(MOST)).saturating_add(span.dropped_links);
    for link in span.links.into_iter().take(MOST) {
        let Some(context) = context(&link.span_context) else { continue };
        let (attributes, dropped) = value::attributes(link.attributes);
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

#[cfg(test)]
mod tests;
