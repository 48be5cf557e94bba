use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
use opentelemetry::{SpanId, TraceId};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most `tracestate` that is kept; the specification asks for at least 512 characters (section 3.3.1.5).
const TRACESTATE_MAX: usize = 4096;
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// The caller's span, from `traceparent` and `tracestate` (W3C Trace Context, sections 3.2 and 3.3).
///
/// None when there is none or it is malformed. A `tracestate` that is malformed is left out.
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parse_traceparent(only(headers)?.as_bytes())?;
    Some(SpanContext::new(trace_id, span_id, flags, true, tracestate(headers)))
}

/// The `traceparent`, when there is exactly one: several are as good as none.
pub(super) fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Puts `context` in, in place of what was there.
pub(super) fn inject(context: &SpanContext, headers: &mut HeaderMap) {
    if !context.is_valid() {
        return;
    }
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8()
    );
    if let Ok(value) = HeaderValue::try_from(traceparent) {
        headers.insert(TRACEPARENT, value);
    }
    let tracestate = context.trace_state().header();
    match HeaderValue::try_from(tracestate) {
        Ok(value) if !value.is_empty() => drop(headers.insert(TRACESTATE, value)),
        _ => drop(headers.remove(TRACESTATE)),
    }
}

/// `version-traceid-parentid-flags` in lower-case hexadecimal. Of a version after 00 the same four fields are
/// read, and whatever follows another dash is ignored (section 4.3).
pub(super) fn parse_traceparent(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    const LENGTH: usize = 55;
    let version = u8::try_from(hex(text.get(..2)?)?).ok()?;
    let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
    let end = match text.get(LENGTH) {
        None => true,
        Some(next) => version > 0 && *next == b'-',
    };
    if version == 0xff || !dashes || !end {
        return None;
    }
    let trace_id = hex(text.get(3..35)?)?;
    let span_id = u64::try_from(hex(text.get(36..52)?)?).ok()?;
    let flags = u8::try_from(hex(text.get(53..LENGTH)?)?).ok()?;
    if trace_id == 0 || span_id == 0 {
        return None;
    }
    // Only the sampled flag has a meaning that is passed on; the others are the sender's.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    Some((TraceId::from(trace_id), SpanId::from(span_id), flags))
}

/// At most 32 digits. `from_str_radix` would also take a sign and upper case.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

fn tracestate(headers: &HeaderMap) -> TraceState {
    let mut members = Vec::new();
    let mut length = 0;
    for value in headers.get_all(TRACESTATE) {
        let Ok(value) = value.to_str() else { return TraceState::default() };
        length += value.len();
        for member in value.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            match member.split_once('=') {
                Some(pair) => members.push(pair),
                None if member.is_empty() => {}
                None => return TraceState::default(),
            }
        }
    }
    if length > TRACESTATE_MAX || members.len() > TRACESTATE_MEMBERS_MAX {
        return TraceState::default();
    }
    TraceState::from_key_value(members).unwrap_or_default()
}
