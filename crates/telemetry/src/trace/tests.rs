use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::w3c;
use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn off(incoming: &HeaderMap) -> RequestSpan {
    Tracer::off().start_request(incoming, &Method::GET, "/", "shop")
}

#[test]
fn without_export_the_callers_context_passes_unchanged() {
    let incoming =
        headers(&[("traceparent", PARENT), ("tracestate", "b=2,a=1"), ("tracestate", "c=3")]);
    let span = off(&incoming);
    assert!(!span.is_recording());
    assert_eq!(span.trace_id().unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
    for span in [&span, &span.child("outbound", SpanKind::Client)] {
        let mut outgoing = HeaderMap::new();
        span.inject(&mut outgoing);
        assert_eq!(outgoing, incoming);
    }
}

#[test]
fn without_export_a_guest_that_traces_is_left_alone() {
    let own =
        headers(&[("traceparent", "00-11111111111111111111111111111111-2222222222222222-01")]);
    let mut outgoing = own.clone();
    off(&headers(&[("traceparent", PARENT), ("tracestate", "a=1")])).inject(&mut outgoing);
    assert_eq!(outgoing, own);
}

#[test]
fn without_a_caller_there_is_nothing_to_pass() {
    let repeated = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
    for incoming in [HeaderMap::new(), headers(&[("traceparent", "junk")]), repeated] {
        let mut span = off(&incoming);
        let mut outgoing = HeaderMap::new();
        span.inject(&mut outgoing);
        assert!(outgoing.is_empty());
        assert_eq!(span.trace_id(), None);
        // None of these has an effect, nor a cost to speak of.
        span.set_status(500);
        span.error("no");
        span.attribute(attributes::PATH, "/x");
        assert!(!span.child("x", SpanKind::Internal).is_recording());
    }
}

#[test]
fn malformed_parents_are_none() {
    let bad = [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    ];
    for text in bad {
        assert!(w3c::parse_traceparent(text.as_bytes()).is_none(), "{text}");
    }
    let future = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-ever";
    assert!(w3c::parse_traceparent(future.as_bytes()).is_some());
}

#[test]
fn tracestate_is_joined_and_dropped_when_malformed() {
    let state = |values: &[&str]| {
        let mut all = headers(&[("traceparent", PARENT)]);
        for value in values {
            all.append("tracestate", HeaderValue::from_str(value).unwrap());
        }
        w3c::extract(&all).unwrap().trace_state().header()
    };
    assert_eq!(state(&[]), "");
    assert_eq!(state(&["a=1, b=2", "", "c@d=3"]), "a=1,b=2,c@d=3");
    assert_eq!(state(&["a=1,nonsense"]), "");
    assert_eq!(state(&["A=1"]), "");
    let many: Vec<_> = (0..33).map(|i| format!("k{i}=v")).collect();
    assert_eq!(state(&[&many.join(",")]), "");
    assert_eq!(state(&[&many[..32].join(",")]), many[..32].join(","));
    assert_eq!(state(&[&format!("a={}", "x".repeat(5000))]), "");
}

proptest! {
    #[test]
    fn a_context_comes_back_from_its_header(trace in 1_u128.., span in 1_u64.., sampled: bool) {
        let text = format!("00-{trace:032x}-{span:016x}-0{}", u8::from(sampled));
        let context = w3c::extract(&headers(&[("traceparent", &text)])).unwrap();
        prop_assert_eq!(context.trace_id(), TraceId::from(trace));
        prop_assert_eq!(context.is_sampled(), sampled);
        prop_assert!(context.is_remote());
        let mut outgoing = HeaderMap::new();
        w3c::inject(&context, &mut outgoing);
        prop_assert_eq!(outgoing.get("traceparent").unwrap().to_str().unwrap(), text);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, cut in 0_usize..60) {
        let _ = w3c::parse_traceparent(&bytes);
        let mut near = PARENT.as_bytes().to_vec();
        if let (Some(byte), Some(at)) = (bytes.first(), near.get_mut(cut)) {
            *at = *byte;
        }
        if let Some((trace, span, _)) = w3c::parse_traceparent(&near) {
            let ids = format!("-{trace}-{span}-");
            prop_assert_eq!(&near[2..53], ids.as_bytes());
        }
    }
}
