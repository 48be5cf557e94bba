//! What a server tells about itself: logs, metrics, health and traces.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Text;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use crate::client::{self, BOTH, Version, ask, empty, get_over, request};
use crate::origin::{Behaviour, Origin};
use crate::server::{Server, command};
use crate::support::{eventually, guest, reef};

const KITS: [&str; 2] = ["p2-http-kit", "p3-http-kit"];
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[test]
fn metrics_count_what_each_workload_did() {
    for kit in KITS {
        let server = Server::guest(kit, &["--deadline", "2s"]);
        for version in BOTH {
            for path in ["/", "/status?code=404", "/burn?ms=50", "/alloc?mb=8", "/trap", "/spin"] {
                get_over(version, server.addr, path);
            }
        }
        let page = client::get(server.admin, "/metrics");
        assert!(page.header("content-type").starts_with("text/plain"), "{page:?}");
        let workload = format!("workload=\"{kit}\"");
        let of = |name: &str| server.metric(name, &workload);
        assert_eq!(of("reef_requests_total"), 12.0);
        assert_eq!(of("reef_traps_total"), 2.0);
        assert_eq!(of("reef_deadlines_exceeded_total"), 2.0);
        assert_eq!(server.metric("reef_responses_total", "2xx"), 6.0);
        assert_eq!(server.metric("reef_responses_total", "4xx"), 2.0);
        assert_eq!(server.metric("reef_responses_total", "5xx"), 4.0);
        let count = "reef_request_duration_seconds_count";
        assert_eq!(of(count), 12.0);
        assert_eq!(server.metric(count, "error_type=\"5xx\""), 4.0);
        assert_eq!(of("reef_queue_duration_seconds_count"), 12.0);
        assert!(of("reef_instance_memory_peak_bytes") > 8e6);
        assert!(of("reef_guest_memory_peak_bytes") > 8e6);
        assert!(of("reef_request_duration_seconds_sum") > 1.0);
        assert_eq!(server.metric("reef_http_requests_total", ""), 12.0);
        // Of a busy machine, two seconds of spinning may have got next to nothing.
        eventually("its processor time", || {
            get_over(Version::H1, server.addr, "/burn?ms=50");
            (of("reef_guest_cpu_seconds_total") > 0.1).then_some(())
        });
    }
}

#[test]
fn the_admin_address_has_health_and_nothing_of_the_guests() {
    let server = Server::guest("p3-http-kit", &[]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(client::get(server.admin, path).status, 200, "{path}");
        assert_eq!(server.get(path).text(), "no such route\n", "the guest has its own {path}");
    }
    assert_eq!(client::get(server.admin, "/count").status, 404);
    assert_eq!(ask(Version::H1, server.admin, request("POST", "/metrics", empty())).status, 405);
}

#[test]
fn a_guests_output_is_logged_with_its_name() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        assert_eq!(server.get("/stdout").status, 200);
        for (stream, line) in
            [("stdout", "a line on standard output"), ("stderr", "a line on standard error")]
        {
            let entry = server.wait_for_log(&[line]);
            for part in [kit, stream, "INFO"] {
                assert!(crate::server::said(&entry, part), "no {part} in {entry}");
            }
            assert!(entry["timestamp"].is_string(), "{entry}");
        }
    }
}

#[test]
fn a_person_gets_lines_a_person_can_read() {
    use std::io::{BufRead as _, BufReader};
    let mut command = reef();
    command.args(["serve", "--addr", "127.0.0.1:0"]).arg(guest("p3-hello-http"));
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // On a slow machine it says that it compiles first.
    let line = lines.find(|line| !line.starts_with("Compiling ")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("INFO") && line.contains("p3-hello-http"), "{line}");
    assert!(line.contains("http://127.0.0.1:") && !line.starts_with('{'), "{line}");
}

#[test]
fn logs_are_as_loud_as_asked() {
    let server = Server::spawn({
        let mut command = command(["--log", "info,guest=off"]);
        command.arg(guest("p3-http-kit"));
        command
    });
    assert_eq!(server.get("/stdout").status, 200);
    assert_eq!(server.get("/error").status, 502);
    server.wait_for_log(&["asked to fail"]);
    assert!(!server.log().iter().any(|entry| crate::server::said(entry, "a line on standard")));
}

/// What was sent to a path.
fn sent<M: prost::Message + Default>(receiver: &Origin, path: &str) -> Vec<M> {
    let requests = receiver.requests();
    let batches = requests.iter().filter(|(head, _)| head.uri == *path);
    batches.map(|(_, body)| M::decode(body.clone()).unwrap()).collect()
}

fn resources(receiver: &Origin) -> Vec<ResourceSpans> {
    let batches: Vec<ExportTraceServiceRequest> = sent(receiver, "/v1/traces");
    batches.into_iter().flat_map(|batch| batch.resource_spans).collect()
}

/// An attribute that is a text.
fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    match attributes.iter().find(|one| one.key == name)?.value.as_ref()?.value.as_ref()? {
        Text::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn spans(receiver: &Origin) -> Vec<Span> {
    resources(receiver)
        .into_iter()
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_trace_goes_in_through_the_guest_and_out_again() {
    for kit in KITS {
        let (receiver, origin) =
            (Origin::start(Behaviour::Answer), Origin::start(Behaviour::Answer));
        let endpoint = receiver.url("");
        let egress = origin.addr.to_string();
        let mut server = Server::guest(kit, &["--otlp", &endpoint, "--egress", &egress]);
        let path = format!("/outbound?url={}", origin.url("/next"));
        let mut asked = request("GET", &path, empty());
        let context = format!("00-{TRACE}-{PARENT}-01");
        asked.headers_mut().insert("traceparent", context.parse().unwrap());
        asked.headers_mut().insert("tracestate", "vendor=x".parse().unwrap());
        assert_eq!(ask(Version::H1, server.addr, asked).status, 200);
        assert_eq!(server.get("/trap").status, 500);
        // What waits to be sent is sent before the end.
        server.signal("TERM");
        server.ended();
        eventually("three spans", || (spans(&receiver).len() >= 3).then_some(()));

        let spans = spans(&receiver);
        let servers: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Server).collect();
        let first = servers.iter().find(|span| hex(&span.trace_id) == TRACE).unwrap();
        assert_eq!(hex(&first.parent_span_id), PARENT, "{kit}");
        assert_eq!(first.trace_state, "vendor=x");
        assert!(first.name.starts_with("GET "), "{}", first.name);
        let (head, _) = &origin.requests()[0];
        let passed = head.headers["traceparent"].to_str().unwrap();
        assert!(passed.starts_with(&format!("00-{TRACE}-")), "{kit}: {passed}");
        assert!(
            !passed.contains(PARENT),
            "the caller's span is not the parent of the next request"
        );
        let client = spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
        assert_eq!(hex(&client.parent_span_id), hex(&first.span_id), "{kit}");
        assert_eq!(client.name, "GET");
        assert!(passed.contains(&hex(&client.span_id)), "the one that answers is below it");
        let sent: Vec<_> = spans.iter().map(|span| hex(&span.span_id)).collect();
        assert!(sent.iter().any(|id| passed.contains(id.as_str())), "{kit}: {passed}, {sent:?}");
        assert_eq!(head.headers["tracestate"], "vendor=x");

        let second = spans.iter().find(|span| hex(&span.trace_id) != TRACE).unwrap();
        assert!(second.parent_span_id.is_empty(), "a trace of its own");
        let status = second.status.as_ref().unwrap();
        assert_eq!(status.code, 2, "an error: {status:?}");
    }
}

#[test]
fn every_request_of_a_reused_instance_carries_its_own_trace() {
    let origin = Origin::start(Behaviour::Answer);
    let receiver = Origin::start(Behaviour::Answer);
    for (kit, flags) in [("p2-http-kit", &["--reuse", "100"][..]), ("p3-http-kit", &[])] {
        let before = origin.requests().len();
        let (endpoint, egress) = (receiver.url(""), origin.addr.to_string());
        let mut all = vec!["--otlp", &endpoint, "--egress", &egress, "--workers", "1"];
        all.extend(flags);
        let server = Server::guest(kit, &all);
        for n in 0..5 {
            let path = format!("/outbound?url={}", origin.url("/"));
            let mut asked = request("GET", &path, empty());
            let context = format!("00-{n:032x}-{PARENT}-01", n = n + 1);
            asked.headers_mut().insert("traceparent", context.parse().unwrap());
            assert_eq!(ask(Version::H1, server.addr, asked).status, 200);
        }
        for (n, (head, _)) in origin.requests()[before..].iter().enumerate() {
            let passed = head.headers["traceparent"].to_str().unwrap();
            let want = format!("00-{n:032x}-", n = n + 1);
            assert!(passed.starts_with(&want), "{kit}, request {n}: {passed}");
        }
    }
}

/// Not that of whichever request came last.
#[test]
fn every_request_of_a_shared_instance_carries_its_own_trace() {
    let origin = Origin::start(Behaviour::Answer);
    let egress = origin.addr.to_string();
    let asked = |ms: u32, name: &str, trace: Option<&str>| {
        let path = format!("/outbound?ms={ms}&url={}", origin.url(name));
        let mut asked = request("GET", &path, empty());
        if let Some(trace) = trace {
            let context = format!("00-{trace}-{PARENT}-01");
            asked.headers_mut().insert("traceparent", context.parse().unwrap());
        }
        asked
    };
    let passed = |name: &str| {
        let requests = origin.requests();
        let (head, _) = requests.iter().rfind(|(head, _)| head.uri == *name).unwrap();
        head.headers.get("traceparent").map(|context| context.to_str().unwrap()[3..35].to_owned())
    };
    let other = "1".repeat(32);
    let server = Server::guest("p3-http-kit", &["--egress", &egress, "--workers", "1"]);
    let addr = server.addr;
    // Two that wait in the guest while others come and go.
    let waiting = [asked(8000, "/slow", Some(TRACE)), asked(8000, "/slow-untraced", None)];
    let waiting = waiting.map(|asked| std::thread::spawn(move || ask(Version::H1, addr, asked)));
    server.wait_for_metric("reef_requests_in_flight", |requests| requests == 2.0);
    assert_eq!(ask(Version::H1, addr, asked(0, "/quick", Some(&other))).status, 200);
    assert_eq!(ask(Version::H1, addr, asked(0, "/untraced", None)).status, 200);
    for one in waiting {
        assert_eq!(one.join().unwrap().status, 200);
    }
    assert_eq!(passed("/quick"), Some(other.clone()));
    assert_eq!(passed("/slow").as_deref(), Some(TRACE));
    assert_eq!(passed("/untraced"), None);
    assert_eq!(passed("/slow-untraced"), None);

    // One after the other: what was said of the first does not hold for the second.
    let server =
        Server::guest("p2-http-kit", &["--egress", &egress, "--reuse", "9", "--workers", "1"]);
    assert_eq!(ask(Version::H1, server.addr, asked(0, "/first", Some(TRACE))).status, 200);
    assert_eq!(ask(Version::H1, server.addr, asked(0, "/second", None)).status, 200);
    assert_eq!(passed("/first").as_deref(), Some(TRACE));
    assert_eq!(passed("/second"), None);
}

#[test]
fn a_receiver_that_is_down_disturbs_nobody() {
    let (_kept, closed) = Origin::closed();
    let endpoint = format!("http://{closed}");
    let mut server = Server::guest("p3-http-kit", &["--otlp", &endpoint]);
    for _ in 0..50 {
        assert_eq!(server.get("/").status, 200);
    }
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn what_a_guest_logs_is_in_the_log_with_its_level_and_context() {
    let server = Server::spawn({
        let mut command = command(["--log", "info,guest=debug"]);
        command.arg(guest("p2-observe"));
        command
    });
    assert_eq!(server.get("/log").text(), "logged");
    let debug = server.wait_for_log(&["a detail"]);
    assert_eq!((&debug["level"], &debug["context"]), (&"DEBUG".into(), &"orders".into()));
    assert_eq!((&debug["workload"], &debug["target"]), (&"p2-observe".into(), &"guest".into()));
    let warn = server.wait_for_log(&["two lines"]);
    assert_eq!(warn["level"], "WARN");
    assert_eq!(warn["message"], "two lines:\nthe second \u{1b}[31mred", "JSON has it as it is");
    let worst = server.wait_for_log(&["the worst"]);
    assert_eq!((&worst["level"], &worst["severity"]), (&"ERROR".into(), &"critical".into()));
    assert!(worst.get("context").is_none(), "{worst}");
    let old = server.wait_for_log(&["without a version"]);
    assert_eq!((&old["level"], &old["context"]), (&"ERROR".into(), &"old".into()));
    let long = server.wait_for_log(&["mmmm"]);
    let length = |name: &str| long[name].as_str().unwrap().len();
    assert!(length("message") < 9000 && length("context") < 300, "{}", length("message"));
}

#[test]
fn a_guest_that_floods_the_log_is_held_to_its_share() {
    let server = Server::guest("p2-observe", &[]);
    assert_eq!(server.get("/flood").text(), "flooded");
    server.wait_for_log(&["Lines of the workload were left out"]);
    assert_eq!(server.get("/").text(), "?");
    let said = server.log().iter().filter(|entry| crate::server::said(entry, "message ")).count();
    assert!((10_000..25_000).contains(&said), "{said} of 30000");
}

#[test]
fn the_end_of_what_a_guest_prints_is_logged_without_a_line_feed() {
    let server = Server::guest("p2-observe", &[]);
    assert_eq!(server.get("/print").text(), "printed");
    let entry = server.wait_for_log(&["and a part of one"]);
    assert_eq!(entry["message"], "and a part of one");
    assert_eq!((&entry["workload"], &entry["stream"]), (&"p2-observe".into(), &"stdout".into()));
}

#[test]
fn a_guests_own_spans_are_below_its_requests() {
    let receiver = Origin::start(Behaviour::Answer);
    let endpoint = receiver.url("");
    let mut server = Server::guest("p2-observe", &["--otlp", &endpoint]);
    let said = server.get("/otel").text();
    let wrong = server.get("/otel-wrong").text();
    assert_eq!(server.get("/otel-many").status, 200);
    assert!(wrong.starts_with("Err"), "{wrong}");
    let logged = server.wait_for_log(&["said by otel"]);
    server.signal("TERM");
    server.ended();
    eventually("all spans", || (spans(&receiver).len() >= 1004).then_some(()));

    let spans = spans(&receiver);
    let [trace, outer, remote, metrics] = said.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{said}")
    };
    assert_eq!(remote, "false");
    assert_eq!(metrics, "Ok(())");
    let request = spans.iter().find(|span| hex(&span.span_id) == outer).unwrap();
    assert_eq!((request.kind(), hex(&request.trace_id).as_str()), (SpanKind::Server, trace));
    let own =
        spans.iter().find(|span| span.name == "the guest's own" && hex(&span.trace_id) == trace);
    let own = own.unwrap();
    assert_eq!(hex(&own.parent_span_id), outer);
    assert_eq!((own.dropped_attributes_count, own.events.len()), (1, 1));
    let status = own.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message), (2, "as asked"));
    let keys: Vec<_> = own.attributes.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["text", "number", "list", "bytes", "reef.workload"]);
    for resource in resources(&receiver) {
        let attributes = resource.resource.unwrap().attributes;
        let get = |name: &str| text(&attributes, name);
        let all: Vec<_> = resource.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
        let own = all.iter().filter(|span| span.name == "the guest's own").count();
        assert!(own == 0 || own == all.len(), "the guest's are sent by themselves");
        let service = if own > 0 { "p2-observe" } else { "reef" };
        assert_eq!(get("service.name").as_deref(), Some(service));
        assert_eq!(get("reef.workload").is_some(), own > 0);
        assert!(get("service.instance.id").is_some_and(|id| id.len() == 36));
    }
    let many = spans.iter().filter(|span| span.name == "the guest's own").count();
    assert_eq!(many, 1001, "a request has a thousand of the guest's own at most");
    assert_eq!((&logged["level"], &logged["trace_id"]), (&"WARN".into(), &trace.into()));

    // Nobody listens: the guest does the same, and nothing comes of it.
    let server = Server::guest("p2-observe", &[]);
    let zeros = format!("{} {} false", "0".repeat(32), "0".repeat(16));
    assert!(server.get("/otel").text().starts_with(&zeros));
}

#[test]
fn a_guests_own_metrics_and_logs_are_exported_as_its_workloads() {
    let receiver = Origin::start(Behaviour::Answer);
    let mut server = Server::guest("p2-observe", &["--otlp", &receiver.url("")]);
    assert_eq!(server.get("/otel-metrics").text(), "Ok(())");
    let said = server.get("/otel").text();
    let (trace, outer) = (&said[..32], &said[33..49]);
    server.signal("TERM");
    server.ended();
    let metrics = || sent::<ExportMetricsServiceRequest>(&receiver, "/v1/metrics");
    let logs = || sent::<ExportLogsServiceRequest>(&receiver, "/v1/logs");
    eventually("both", || (!metrics().is_empty() && !logs().is_empty()).then_some(()));

    let metrics: Vec<_> = metrics().into_iter().flat_map(|batch| batch.resource_metrics).collect();
    let mut names = Vec::new();
    for of_one in &metrics {
        let attributes = &of_one.resource.as_ref().unwrap().attributes;
        assert_eq!(text(attributes, "service.name").as_deref(), Some("p2-observe"));
        assert_eq!(text(attributes, "reef.workload").as_deref(), Some("p2-observe"));
        for scope in &of_one.scope_metrics {
            assert_eq!(scope.scope.as_ref().unwrap().name, "observe");
            names.extend(scope.metrics.iter().map(|metric| metric.name.as_str()));
        }
    }
    assert_eq!(names, ["orders", "temperature", "duration", "sizes", "orders"]);
    let all: Vec<_> = metrics
        .iter()
        .flat_map(|of_one| &of_one.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .map(|metric| metric.data.as_ref().unwrap())
        .collect();
    let [
        Data::Sum(sum),
        Data::Gauge(gauge),
        Data::Histogram(histogram),
        Data::ExponentialHistogram(exponential),
        Data::Sum(_),
    ] = all[..]
    else {
        panic!("{all:?}")
    };
    let (cumulative, delta) = (2, 1);
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (cumulative, true));
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(42)));
    assert_eq!(text(&point.attributes, "kind").as_deref(), Some("book"));
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano > 0);
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsInt(-7)));
    assert_eq!(histogram.aggregation_temporality, delta);
    let point = &histogram.data_points[0];
    assert_eq!(
        (&point.bucket_counts[..], &point.explicit_bounds[..]),
        (&[1, 2, 0][..], &[0.1, 1.0][..])
    );
    assert_eq!((point.count, point.sum, point.min, point.max), (3, Some(1.05), Some(0.05), None));
    assert_eq!(hex(&point.exemplars[0].trace_id), TRACE);
    assert_eq!(exponential.aggregation_temporality, delta);
    let point = &exponential.data_points[0];
    let positive = point.positive.as_ref().unwrap();
    assert_eq!((point.scale, point.sum, positive.offset), (3, Some(6.0), -1));
    assert_eq!(positive.bucket_counts, [2]);

    let logs: Vec<_> = logs().into_iter().flat_map(|batch| batch.resource_logs).collect();
    let [of_one] = &logs[..] else { panic!("{logs:?}") };
    let attributes = &of_one.resource.as_ref().unwrap().attributes;
    assert_eq!(text(attributes, "service.name").as_deref(), Some("p2-observe"));
    let record = &of_one.scope_logs[0].log_records[0];
    let body = record.body.as_ref().and_then(|body| body.value.clone());
    assert_eq!(body, Some(Text::StringValue("said by otel".to_owned())));
    assert_eq!((record.severity_number, &*record.severity_text), (13, "WARN"));
    assert_eq!((hex(&record.trace_id).as_str(), hex(&record.span_id).as_str()), (trace, outer));
    assert_eq!(record.attributes.len(), 1);
    assert!(record.time_unix_nano > 0 && record.observed_time_unix_nano > 0);
}

#[test]
fn a_guest_that_measures_too_much_is_told_and_counted() {
    let receiver = Origin::start(Behaviour::Answer);
    let server = Server::guest("p2-observe", &["--otlp", &receiver.url("")]);
    let wrong = server.get("/otel-wrong").text();
    assert!(wrong.contains("18000 data points are too many"), "{wrong}");
    let lost = |reason: &str| server.metric("reef_guest_data_points_lost_total", reason);
    assert_eq!(lost("reason=\"limit\""), 18_000.0);
    let series = server.get("/otel-series").text();
    assert_eq!(series.matches("Ok(())").count(), 9, "one series is there already: {series}");
    assert!(series.contains("at most 10000 series"), "{series}");
    assert_eq!(lost("reason=\"limit\""), 18_000.0 + 5_001.0);
    let said = server.wait_for_log(&["Data points or log records of the workload were left out"]);
    assert_eq!(said["workload"], "p2-observe");
}

#[test]
fn metrics_that_nothing_exports_are_taken_and_dropped_with_one_line() {
    let server = Server::guest("p2-observe", &[]);
    for _ in 0..3 {
        assert_eq!(server.get("/otel-metrics").text(), "Ok(())");
    }
    server.wait_for_log(&["Metrics of the workload are dropped", "--otlp"]);
    let said = |entry: &&serde_json::Value| crate::server::said(entry, "Metrics of the workload");
    assert_eq!(server.log().iter().filter(said).count(), 1);
    // Its log is the host's.
    assert!(server.get("/otel").text().ends_with("Ok(())"));
    server.wait_for_log(&["said by otel"]);
}

/// Where backtraces are asked for, the host's stay the host's.
#[test]
fn errors_tell_a_guest_nothing_of_the_inside_of_the_host() {
    let server = Server::spawn({
        let mut command = command(["--dir", "/dev::/dev:rw"]);
        command.env("RUST_BACKTRACE", "full").arg(guest("p2-observe"));
        command
    });
    let said = server.get("/full").text();
    assert!(said.contains("No space left on device"), "{said}");
    for inside in ["backtrace", "wasmtime", ".rs", "\n"] {
        assert!(!said.contains(inside), "{inside:?} in {said}");
    }
}

#[test]
fn uses_of_links_are_counted_and_are_spans_below_the_request() {
    let receiver = Origin::start(Behaviour::Answer);
    let manifest = "name = 'shop'\n[[workload]]\nname = 'kv'\nsource = 'kv.wasm'\n\
        trigger.http.route = '/...'\n\
        link = [{ import = 'wasi:keyvalue', capability = 'key-value', config.backend = 'memory' }]\n";
    let dir = crate::host::folder(&[("kv.wasm", "p2-key-value")], manifest);
    let mut host = crate::host::Host::with(dir, &["--otlp", &receiver.url("")]);
    let asked = |path: &str, value: &str| {
        let body = client::full(value.to_owned());
        ask(Version::H1, host.server.addr, request("POST", path, body)).text()
    };
    assert_eq!(asked("/draft/set/b/k", "text"), "()");
    let wrong = asked("/draft2/increment/b/k", "1");
    assert!(wrong.contains("no whole number"), "{wrong}");
    assert_eq!(asked("/draft2/get/b/k", ""), "Some(\"text\")");
    let metric = |name: &str, labels: &str| host.server.metric(name, labels);
    let count = "db_client_operation_duration_seconds_count";
    assert_eq!(metric(count, "db_operation_name=\"set\""), 1.0);
    assert_eq!(metric(count, "reef_workload=\"shop/kv\",reef_link=\"default\""), 3.0);
    assert_eq!(metric(count, "error_type=\"invalid\""), 1.0);
    assert_eq!(metric("reef_link_failures_total", "error_type=\"invalid\""), 1.0);
    host.server.signal("TERM");
    host.server.ended();
    eventually("six spans", || (spans(&receiver).len() >= 6).then_some(()));

    let spans = spans(&receiver);
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    for name in ["set", "get"] {
        let own = of(name);
        assert_eq!(own.kind(), SpanKind::Client, "{name}");
        let parent = spans.iter().find(|span| span.span_id == own.parent_span_id).unwrap();
        assert_eq!(parent.kind(), SpanKind::Server, "{name}");
        let keys: Vec<_> = own.attributes.iter().map(|one| one.key.as_str()).collect();
        assert!(keys.contains(&"db.system.name") && keys.contains(&"reef.link"), "{keys:?}");
    }
    let failed = spans.iter().find(|span| span.status.as_ref().is_some_and(|s| s.code == 2));
    assert_eq!(failed.unwrap().kind(), SpanKind::Client, "{failed:?}");
}

/// Not below whichever request came last, and not nowhere.
#[test]
fn uses_of_links_by_a_shared_instance_are_below_the_requests_that_they_are_for() {
    let receiver = Origin::start(Behaviour::Answer);
    let link = |import| {
        format!("{{ import = '{import}', capability = 'key-value', config.backend = 'memory' }}")
    };
    let manifest = format!(
        "name = 'shop'\n[[workload]]\nname = 'kv'\nsource = 'kv.wasm'\ntrigger.http.route = '/...'\n\
         link = [{}, {}]\n",
        link("spin:key-value"),
        link("wasmcloud:keyvalue")
    );
    let dir = crate::host::folder(&[("kv.wasm", "p3-key-value")], &manifest);
    let mut host = crate::host::Host::with(dir, &["--otlp", &receiver.url(""), "--workers", "1"]);
    let addr = host.server.addr;
    // Each waits for its body in the guest, and uses the link while the others still wait. One that computes just then is
    // not joined, so there are as many as it takes until two were.
    let mut begun = Vec::new();
    let reused = || host.server.metric("reef_instances_reused_total", "");
    while reused() < 2.0 {
        assert!(begun.len() < 9, "they share one");
        let number = begun.len() + 1;
        let path = ["/spin3/set/default/a", "/wasmcloud/set/default/b"][number % 2];
        let trace = number.to_string().repeat(32);
        let (body, waits) = client::fed();
        let mut asked = request("POST", path, waits);
        let context = format!("00-{trace}-{PARENT}-01");
        asked.headers_mut().insert("traceparent", context.parse().unwrap());
        let answer = std::thread::spawn(move || ask(Version::H1, addr, asked).text());
        begun.push((trace, body, answer));
        let created = || host.server.metric("reef_instances_created_total", "");
        eventually("an instance for it", || {
            (created() + reused() >= begun.len() as f64).then_some(())
        });
    }
    let mut traces = Vec::new();
    for (trace, body, answer) in begun {
        drop(body);
        assert_eq!(answer.join().unwrap(), "()");
        traces.push(trace);
    }
    host.server.signal("TERM");
    host.server.ended();
    eventually("two spans of each", || (spans(&receiver).len() >= 2 * traces.len()).then_some(()));

    let spans = spans(&receiver);
    for trace in traces {
        let of = |kind: SpanKind| {
            let mut all =
                spans.iter().filter(|span| span.kind() == kind && hex(&span.trace_id) == trace);
            all.next().unwrap_or_else(|| panic!("no {kind:?} span in {trace}: {spans:?}"))
        };
        let (served, set) = (of(SpanKind::Server), of(SpanKind::Client));
        assert_eq!((&set.parent_span_id, set.name.as_str()), (&served.span_id, "set"));
    }
}
