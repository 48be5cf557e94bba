//! Says things: `/log` by `wasi:logging`, `/flood` too much of it, `/print` on standard output, and `/otel` by
//! `wasi:otel` (a span below the request's, a metric and a log record; `/otel-metrics` one of each kind; `/gauge/7` a
//! gauge). `/full` says what is wrong with a file that cannot be written.

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
            "/otel-metrics" => format!("{:?}", otel::metrics::export(&every_kind())),
            "/otel-series" => format!("{:?}", (0..15).map(series).collect::<Vec<_>>()),
            "/full" => full(),
            path => {
                match path.strip_prefix("/gauge/").and_then(|value| value.parse::<i64>().ok()) {
                    Some(value) => format!("{:?}", otel::metrics::export(&gauge(value))),
                    None => "?".to_owned(),
                }
            }
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

/// A gauge of two series, which are `value` together.
fn gauge(value: i64) -> otel::metrics::ResourceMetrics {
    use otel::metrics::*;
    let point = |value: i64| GaugeDataPoint {
        attributes: vec![attribute("half", &value.to_string())],
        value: MetricNumber::S64(value),
        exemplars: Vec::new(),
    };
    let data_points = vec![point(value / 2), point(value - value / 2)];
    let mut all = metrics("depth");
    all.scope_metrics[0].metrics[0].data =
        MetricData::S64Gauge(Gauge { data_points, start_time: None, time: now() });
    all
}

/// A metric of each kind.
fn every_kind() -> otel::metrics::ResourceMetrics {
    use otel::metrics::*;
    let mut all = metrics("orders");
    let (start_time, time, temporality) = (now(), now(), Temporality::Delta);
    let attributes = vec![attribute("kind", "\"book\"")];
    let exemplar = Exemplar {
        filtered_attributes: Vec::new(),
        time,
        value: MetricNumber::F64(0.5),
        span_id: "00000000000000aa".to_owned(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
    };
    let gauge = GaugeDataPoint {
        attributes: attributes.clone(),
        value: MetricNumber::S64(-7),
        exemplars: Vec::new(),
    };
    let histogram = HistogramDataPoint {
        attributes: attributes.clone(),
        count: 3,
        bounds: vec![0.1, 1.0],
        bucket_counts: vec![1, 2, 0],
        min: Some(MetricNumber::F64(0.05)),
        max: None,
        sum: MetricNumber::F64(1.05),
        exemplars: vec![exemplar],
    };
    let exponential = ExponentialHistogramDataPoint {
        attributes,
        count: 2,
        min: None,
        max: None,
        sum: MetricNumber::U64(6),
        scale: 3,
        zero_count: 0,
        positive_bucket: ExponentialBucket { offset: -1, counts: vec![2] },
        negative_bucket: ExponentialBucket { offset: 0, counts: Vec::new() },
        zero_threshold: 0.0,
        exemplars: Vec::new(),
    };
    let more = [
        MetricData::S64Gauge(Gauge { data_points: vec![gauge], start_time: None, time }),
        MetricData::F64Histogram(Histogram {
            data_points: vec![histogram],
            start_time,
            time,
            temporality,
        }),
        MetricData::U64ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            start_time,
            time,
            temporality,
        }),
    ];
    let names = ["temperature", "duration", "sizes"].into_iter();
    let more = names.zip(more).map(|(name, data)| Metric {
        name: name.to_owned(),
        description: String::new(),
        unit: "1".to_owned(),
        data,
    });
    all.scope_metrics[0].metrics.extend(more);
    all
}

/// A thousand series of their own.
fn series(thousand: u32) -> Result<(), String> {
    use otel::metrics::*;
    let mut all = metrics("many");
    let MetricData::U64Sum(sum) = &mut all.scope_metrics[0].metrics[0].data else {
        return Ok(());
    };
    let one = sum.data_points[0].clone();
    let point =
        |n: u32| SumDataPoint { attributes: vec![attribute("n", &n.to_string())], ..one.clone() };
    sum.data_points = (thousand * 1000..(thousand + 1) * 1000).map(point).collect();
    otel::metrics::export(&all)
}

/// Writes to `/dev/full`, which has no room for anything.
fn full() -> String {
    use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
    use wasip2::io::streams::StreamError;
    let all = wasip2::filesystem::preopens::get_directories();
    let Some((dev, _)) = all.first() else { return "nothing is granted".to_owned() };
    let opened =
        dev.open_at(PathFlags::empty(), "full", OpenFlags::empty(), DescriptorFlags::WRITE);
    let file = match opened {
        Ok(file) => file,
        Err(code) => return format!("{code:?}"),
    };
    let stream = match file.write_via_stream(0) {
        Ok(stream) => stream,
        Err(code) => return format!("{code:?}"),
    };
    match stream.blocking_write_and_flush(b"something") {
        // No more than is written at once.
        Err(StreamError::LastOperationFailed(error)) => {
            error.to_debug_string().chars().take(2000).collect()
        }
        other => format!("{other:?}"),
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
