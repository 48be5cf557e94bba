//! Says things: `/log` by `wasi:logging`, `/flood` too much of it, `/print` on standard output, and `/otel` by
//! `wasi:otel` (a span below the request's, a metric and a log record).

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

mod versioned {
    wit_bindgen::generate!({
        inline: "
            package reef-test:said;
            world said { import wasi:logging/logging@0.1.0-draft; }
            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        ",
        generate_all,
    });
    pub use wasi::logging::logging::*;
}

mod unversioned {
    wit_bindgen::generate!({
        inline: "
            package reef-test:said-before;
            world said { import wasi:logging/logging; }
            package wasi:logging {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        ",
        generate_all,
    });
    pub use wasi::logging::logging::*;
}

mod otel {
    wit_bindgen::generate!({ path: "../../../crates/wasi/wit", world: "wasi:otel/otel", generate_all });
    pub use wasi::clocks::wall_clock::Datetime;
    pub use wasi::otel::*;
}

struct Observe;

wasip2::http::proxy::export!(Observe);

impl wasip2::exports::http::incoming_handler::Guest for Observe {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let text = match path.as_str() {
            "/log" => {
                use versioned::Level;
                versioned::log(Level::Debug, "orders", "a detail");
                versioned::log(Level::Warn, "orders", "two lines:\nthe second \u{1b}[31mred");
                versioned::log(Level::Critical, "", "the worst");
                versioned::log(Level::Info, &"c".repeat(1000), &"m".repeat(100_000));
                unversioned::log(unversioned::Level::Error, "old", "without a version");
                "logged".to_owned()
            }
            "/flood" => {
                for n in 0..30_000 {
                    versioned::log(versioned::Level::Info, "flood", &format!("message {n}"));
                }
                "flooded".to_owned()
            }
            "/print" => {
                print!("a line\nand a part of one");
                // What is left in the guest's own buffer is its affair.
                let _ = std::io::Write::flush(&mut std::io::stdout());
                "printed".to_owned()
            }
            "/otel" => spans(1),
            "/otel-many" => spans(5000),
            "/otel-wrong" => wrong(),
            _ => "?".to_owned(),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(text.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn now() -> otel::Datetime {
    let now = wasip2::clocks::wall_clock::now();
    otel::Datetime { seconds: now.seconds, nanoseconds: now.nanoseconds }
}

fn attribute(key: &str, json: &str) -> otel::types::KeyValue {
    otel::types::KeyValue { key: key.to_owned(), value: json.to_owned() }
}

fn scope() -> otel::types::InstrumentationScope {
    otel::types::InstrumentationScope {
        name: "observe".to_owned(),
        version: Some("1.2".to_owned()),
        schema_url: None,
        attributes: Vec::new(),
    }
}

/// Below the request's span, each with the next one's number.
fn spans(count: u64) -> String {
    use otel::tracing::{
        SpanContext, SpanData, SpanKind, Status, on_end, on_start, outer_span_context,
    };
    let outer = outer_span_context();
    for n in 1..=count {
        let context =
            SpanContext { span_id: format!("{n:016x}"), is_remote: false, ..outer.clone() };
        on_start(&context);
        on_end(&SpanData {
            span_context: context,
            parent_span_id: outer.span_id.clone(),
            span_kind: SpanKind::Internal,
            name: "the guest's own".to_owned(),
            start_time: now(),
            end_time: now(),
            attributes: vec![
                attribute("text", "\"a \\\"word\\\"\""),
                attribute("number", "7"),
                attribute("list", "[1,2]"),
                attribute("bytes", "\"data:application/octet-stream;base64,AQI=\""),
            ],
            events: vec![otel::tracing::Event {
                name: "half".to_owned(),
                time: now(),
                attributes: Vec::new(),
            }],
            links: Vec::new(),
            status: Status::Error("as asked".to_owned()),
            instrumentation_scope: scope(),
            dropped_attributes: 1,
            dropped_events: 0,
            dropped_links: 0,
        });
    }
    let metrics = otel::metrics::export(&metrics("orders"));
    otel::logs::on_emit(&otel::logs::LogRecord {
        timestamp: Some(now()),
        observed_timestamp: None,
        severity_text: Some("WARN".to_owned()),
        severity_number: Some(13),
        body: Some("\"said by otel\"".to_owned()),
        attributes: Some(vec![attribute("order", "9")]),
        event_name: None,
        resource: None,
        instrumentation_scope: Some(scope()),
        trace_id: Some(outer.trace_id.clone()),
        span_id: Some(outer.span_id.clone()),
        trace_flags: None,
    });
    format!("{} {} {} {metrics:?}", outer.trace_id, outer.span_id, outer.is_remote)
}

fn metrics(name: &str) -> otel::metrics::ResourceMetrics {
    use otel::metrics::*;
    let sum = Sum {
        data_points: vec![SumDataPoint {
            attributes: vec![attribute("kind", "\"book\"")],
            value: MetricNumber::U64(42),
            exemplars: Vec::new(),
        }],
        start_time: now(),
        time: now(),
        temporality: Temporality::Cumulative,
        is_monotonic: true,
    };
    ResourceMetrics {
        resource: otel::types::Resource { attributes: Vec::new(), schema_url: None },
        scope_metrics: vec![ScopeMetrics {
            scope: scope(),
            metrics: vec![Metric {
                name: name.to_owned(),
                description: "Orders taken.".to_owned(),
                unit: "{order}".to_owned(),
                data: MetricData::U64Sum(sum),
            }],
        }],
    }
}

/// What makes no sense, or is too much.
fn wrong() -> String {
    use otel::tracing::*;
    let datetime = otel::Datetime { seconds: u64::MAX, nanoseconds: u32::MAX };
    on_end(&SpanData {
        span_context: SpanContext {
            trace_id: "no hexadecimal".to_owned(),
            span_id: String::new(),
            trace_flags: TraceFlags::SAMPLED,
            is_remote: false,
            trace_state: Vec::new(),
        },
        parent_span_id: "x".repeat(10_000),
        span_kind: SpanKind::Server,
        name: "n".repeat(100_000),
        start_time: datetime,
        end_time: datetime,
        attributes: vec![attribute("a", "{no JSON")],
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Unset,
        instrumentation_scope: scope(),
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    });
    let mut many = metrics("many");
    let one = many.scope_metrics[0].clone();
    many.scope_metrics = vec![one; 20_000];
    format!("{:?}", otel::metrics::export(&many))
}
