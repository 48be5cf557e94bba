//! Traces against a real receiver on the loopback interface: what arrives is decoded with the protocol's own
//! messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Uri};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reef_capability::{Caller, Failure, Gate, Operation, Policy};
use reef_telemetry::{
    BatchLimits, OtlpConfig, Sampling, SpanKind, Target, Telemetry, Tracer, attributes,
};

mod receiver;
use receiver::{Behaviour, Receiver};

const LONG: Duration = Duration::from_secs(20);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn config(endpoint: &str) -> OtlpConfig {
    OtlpConfig {
        service: Some("shop-front".to_owned()),
        // Long enough that only a full batch or the end sends.
        limits: BatchLimits { delay: Duration::from_secs(3600), ..BatchLimits::default() },
        ..OtlpConfig::traces(endpoint.parse().unwrap())
    }
}

fn traces(config: &mut OtlpConfig) -> &mut Target {
    config.traces.as_mut().unwrap()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()
}

fn text(span: &Span, key: &str) -> String {
    match attribute(&span.attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

fn number(span: &Span, key: &str) -> i64 {
    match attribute(&span.attributes, key) {
        Some(Value::IntValue(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_name(spans: Vec<Span>) -> HashMap<String, Span> {
    spans.into_iter().map(|span| (span.name.clone(), span)).collect()
}

fn serve_one(tracer: &Tracer, incoming: &HeaderMap) -> HeaderMap {
    let mut request = tracer.start_request(incoming, &Method::POST, "/orders/{id}", "shop");
    request.url(&Uri::from_static("/orders/7?secret=1"));
    let mut outgoing = HeaderMap::new();
    {
        let guest = request.child("guest", SpanKind::Internal);
        let mut outbound = guest.child("GET", SpanKind::Client);
        outbound.url(&Uri::from_static("https://user:pw@api.example:8443/v1?token=2"));
        outbound.inject(&mut outgoing);
        outbound.set_status(404);
    }
    request.set_status(201);
    outgoing
}

#[test]
fn spans_arrive_with_their_parents_and_attributes() {
    let receiver = Receiver::start(Behaviour::Accept);
    let telemetry = Telemetry::start(Some(&config(&receiver.url()))).unwrap();
    let mut incoming = HeaderMap::new();
    incoming.insert("traceparent", HeaderValue::from_static(PARENT));
    incoming.insert("tracestate", HeaderValue::from_static("vendor=x"));
    incoming.insert("host", HeaderValue::from_static("shop.example:8080"));
    incoming.insert("user-agent", HeaderValue::from_static("curl/8"));
    let outgoing = serve_one(telemetry.tracer(), &incoming);
    assert!(telemetry.shutdown(LONG));

    let requests = receiver.requests();
    assert_eq!(requests.len(), 1, "one batch");
    assert_eq!(requests[0].path, "/v1/traces");
    assert_eq!(requests[0].content_type, "application/x-protobuf");
    let resource = requests[0].body.resource_spans[0].resource.as_ref().unwrap();
    let service = attribute(&resource.attributes, "service.name");
    assert_eq!(service, Some(&Value::StringValue("shop-front".to_owned())));

    let spans = by_name(receiver.spans());
    assert_eq!(spans.len(), 3);
    let (request, guest, outbound) = (&spans["POST /orders/{id}"], &spans["guest"], &spans["GET"]);
    for span in spans.values() {
        assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.trace_state, "vendor=x");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(guest.parent_span_id, request.span_id);
    assert_eq!(outbound.parent_span_id, guest.span_id);
    assert_eq!(
        [request.kind(), guest.kind(), outbound.kind()],
        [Kind::Server, Kind::Internal, Kind::Client]
    );

    assert_eq!(text(request, attributes::METHOD), "POST");
    assert_eq!(text(request, attributes::ROUTE), "/orders/{id}");
    assert_eq!(text(request, attributes::PATH), "/orders/7");
    assert_eq!(text(request, attributes::WORKLOAD), "shop");
    assert_eq!(text(request, attributes::SERVER_ADDRESS), "shop.example");
    assert_eq!(number(request, attributes::SERVER_PORT), 8080);
    assert_eq!(text(request, attributes::USER_AGENT), "curl/8");
    assert_eq!(number(request, attributes::STATUS), 201);
    assert_eq!(request.status.as_ref().map_or(0, |status| status.code), StatusCode::Unset as i32);
    assert_eq!(text(outbound, attributes::URL), "https://api.example:8443/v1");
    assert_eq!(text(outbound, attributes::ERROR_TYPE), "404");
    assert_eq!(outbound.status.as_ref().unwrap().code(), StatusCode::Error);

    let want = format!("00-{}-{}-01", hex(&outbound.trace_id), hex(&outbound.span_id));
    assert_eq!(outgoing["traceparent"], want.as_str());
    assert_eq!(outgoing["tracestate"], "vendor=x");
}

#[test]
fn a_request_without_a_caller_starts_a_trace() {
    let receiver = Receiver::start(Behaviour::Accept);
    let telemetry = Telemetry::start(Some(&config(&receiver.url()))).unwrap();
    let odd = Method::from_bytes(b"BREW").unwrap();
    let mut span = telemetry.tracer().start_request(&HeaderMap::new(), &odd, "", "shop");
    let id = span.trace_id().unwrap().to_string();
    span.error("the guest trapped");
    drop(span);
    assert!(telemetry.shutdown(LONG));
    let spans = receiver.spans();
    assert_eq!(spans[0].name, "HTTP");
    assert_eq!(hex(&spans[0].trace_id), id);
    assert!(spans[0].parent_span_id.is_empty());
    assert_eq!(text(&spans[0], attributes::METHOD), "_OTHER");
    assert_eq!(text(&spans[0], attributes::METHOD_ORIGINAL), "BREW");
    let status = spans[0].status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "the guest trapped"));
}

#[test]
fn the_callers_decision_and_the_ratio_choose_what_is_sent() {
    let receiver = Receiver::start(Behaviour::Accept);
    let never = Sampling { parent_based: true, ratio: 0.0 };
    let config = OtlpConfig { sampling: never, ..config(&receiver.url()) };
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    let mut incoming = HeaderMap::new();
    let unsampled = telemetry.tracer().start_request(&incoming, &Method::GET, "/a", "shop");
    assert!(!unsampled.is_recording());
    let mut outgoing = HeaderMap::new();
    unsampled.inject(&mut outgoing);
    assert!(outgoing["traceparent"].to_str().unwrap().ends_with("-00"), "{outgoing:?}");
    drop(unsampled);
    incoming.insert("traceparent", HeaderValue::from_static(PARENT));
    drop(telemetry.tracer().start_request(&incoming, &Method::GET, "/b", "shop"));
    assert!(telemetry.shutdown(LONG));
    let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /b"]);
}

#[test]
fn a_full_batch_is_sent_without_waiting() {
    let receiver = Receiver::start(Behaviour::Accept);
    let mut config = config(&receiver.url());
    config.limits.batch = 10;
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    for _ in 0..10 {
        drop(telemetry.tracer().start_request(&HeaderMap::new(), &Method::GET, "/", "shop"));
    }
    receiver.wait_for_spans(10, LONG);
    assert!(telemetry.shutdown(LONG));
    let counts = telemetry.export_counts().unwrap();
    assert_eq!((counts.exported, counts.dropped, counts.failed), (10, 0, 0));
}

#[test]
fn a_receiver_that_never_answers_delays_nobody() {
    let receiver = Receiver::start(Behaviour::Hang);
    let mut config = config(&receiver.url());
    config.limits = BatchLimits { queue: 64, batch: 16, delay: LONG };
    traces(&mut config).timeout = LONG;
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    let start = Instant::now();
    for _ in 0..5_000 {
        drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    }
    // Blocking on the receiver even once would take its 20 s.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let start = Instant::now();
    assert!(!telemetry.shutdown(Duration::from_millis(300)));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(telemetry.export_counts().unwrap().dropped > 0);
}

#[test]
fn spans_for_a_receiver_that_is_down_are_counted_as_lost() {
    let (_kept, url) = receiver::closed_port();
    let mut config = config(&url);
    traces(&mut config).timeout = Duration::from_millis(100);
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    telemetry.shutdown(LONG);
    let counts = telemetry.export_counts().unwrap();
    assert_eq!((counts.exported, counts.failed), (0, 3));
    let metrics = telemetry.metrics().render();
    assert!(metrics.contains("reef_spans_lost_total{reason=\"export_failed\"} 3\n"), "{metrics}");
}

#[test]
fn spans_that_the_receiver_refuses_are_counted_as_lost() {
    let receiver = Receiver::start(Behaviour::RefuseOne);
    let telemetry = Telemetry::start(Some(&config(&receiver.url()))).unwrap();
    drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    assert!(telemetry.shutdown(LONG));
    let counts = telemetry.export_counts().unwrap();
    assert_eq!((counts.exported, counts.failed), (2, 1));
}

#[test]
fn a_receiver_that_is_overloaded_is_asked_again() {
    let receiver = Receiver::start(Behaviour::UnavailableOnce);
    let telemetry = Telemetry::start(Some(&config(&receiver.url()))).unwrap();
    drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    assert!(telemetry.shutdown(LONG));
    assert_eq!(receiver.spans().len(), 3);
    assert_eq!(telemetry.export_counts().unwrap().exported, 3);
}

#[test]
fn tls_trusts_the_given_authority_and_no_other() {
    let receiver = Receiver::start_tls();
    let mut config = config(&receiver.url());
    traces(&mut config).authorities = Some(receiver.authority().to_owned());
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    assert!(telemetry.shutdown(LONG));
    assert_eq!(receiver.spans().len(), 3);

    let other = Receiver::start_tls();
    traces(&mut config).authorities = Some(other.authority().to_owned());
    traces(&mut config).timeout = Duration::from_millis(500);
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    drop(serve_one(telemetry.tracer(), &HeaderMap::new()));
    telemetry.shutdown(LONG);
    assert_eq!(telemetry.export_counts().unwrap().failed, 3);
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let mut config = config("https://localhost:4318/v1/traces");
    traces(&mut config).authorities = Some("/dev/null".into());
    let error = Telemetry::start(Some(&config)).unwrap_err().to_string();
    assert!(
        error.contains("/dev/null") && error.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"),
        "{error}"
    );
}

#[test]
fn without_a_configuration_nothing_is_started() {
    let telemetry = Telemetry::start(None).unwrap();
    assert!(!telemetry.tracer().is_exporting());
    assert_eq!(telemetry.export_counts(), None);
    assert!(telemetry.shutdown(Duration::ZERO));
}

static GET: Operation = Operation::repeatable("get");
static PUBLISH: Operation = Operation::once("publish");

/// What a guest asks of its links and of others, below the span of its request.
#[test]
fn uses_of_links_are_spans_of_clients_below_the_requests() {
    let receiver = Receiver::start(Behaviour::Accept);
    let telemetry = Telemetry::start(Some(&config(&receiver.url()))).unwrap();
    let mut incoming = HeaderMap::new();
    incoming.insert("traceparent", HeaderValue::from_static(PARENT));
    let request = telemetry.tracer().start_request(&incoming, &Method::GET, "/", "shop");
    let parent = request.as_parent().unwrap();
    let caller = Caller { trace: Some(std::sync::Arc::new(parent.clone()) as _) };
    // What outlives its request still belongs to it.
    drop(request);
    let gate = |link: &str, capability, system| {
        let of = (capability, system);
        Gate::new("shop".into(), link.into(), of, Policy::default(), &[&GET, &PUBLISH])
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, bus) = (gate("cache", "key-value", "redis"), gate("bus", "messaging", "nats"));
        let wrong = || async { Err::<(), _>(Failure::Invalid("no such cursor".into())) };
        store.run(&caller, &GET, wrong).await.unwrap_err();
        bus.run(&caller, &PUBLISH, || async { Ok(()) }).await.unwrap();
    });
    let mut headers = HeaderMap::new();
    let url = Uri::from_static("https://api.example/v1?token=2");
    drop(parent.http(&Method::PUT, &url, &mut headers));
    // A guest with a span of its own in this trace, and one that names another trace.
    for own in [
        "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01",
        "00-1af7651916cd43dd8448eb211c80319c-00000000000000aa-01",
    ] {
        headers.insert("traceparent", HeaderValue::from_static(own));
        drop(parent.http(&Method::DELETE, &url, &mut headers));
    }
    assert!(telemetry.shutdown(LONG));

    let spans = receiver.spans();
    let root = spans.iter().find(|span| span.kind() == Kind::Server).unwrap();
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (get, publish, put) = (of("get"), of("publish"), of("PUT"));
    for span in [get, publish, put] {
        assert_eq!(span.parent_span_id, root.span_id, "{}", span.name);
        assert_eq!(span.trace_id, root.trace_id, "{}", span.name);
    }
    assert_eq!(get.kind(), Kind::Client);
    assert_eq!(text(get, "db.system.name"), "redis");
    assert_eq!(text(get, "db.operation.name"), "get");
    assert_eq!(text(get, "reef.link"), "cache");
    assert_eq!(text(get, attributes::ERROR_TYPE), "invalid");
    let status = get.status.as_ref().unwrap();
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, "no such cursor"));
    assert_eq!(publish.kind(), Kind::Producer);
    assert_eq!(text(publish, "messaging.system"), "nats");
    assert_eq!(text(publish, "messaging.operation.type"), "send");
    assert_eq!(publish.status.as_ref().map_or(0, |status| status.code), 0);
    assert_eq!(text(put, attributes::URL), "https://api.example/v1");
    let deleted: Vec<_> = spans.iter().filter(|span| span.name == "DELETE").collect();
    let parents: Vec<_> = deleted.iter().map(|span| hex(&span.parent_span_id)).collect();
    assert!(parents.contains(&"00000000000000aa".to_owned()), "{parents:?}");
    assert!(
        parents.contains(&hex(&root.span_id)),
        "another trace's span is no parent: {parents:?}"
    );
    assert!(deleted.iter().all(|span| span.trace_id == root.trace_id));
}

#[test]
fn nothing_is_below_a_request_that_is_not_recorded() {
    let plain = HeaderMap::new();
    let off = Tracer::off().start_request(&plain, &Method::GET, "/", "shop");
    assert!(off.as_parent().is_none());
    let receiver = Receiver::start(Behaviour::Accept);
    let sampling = Sampling { parent_based: true, ratio: 0.0 };
    let config = OtlpConfig { sampling, ..config(&receiver.url()) };
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    let unsampled = telemetry.tracer().start_request(&plain, &Method::GET, "/", "shop");
    assert!(unsampled.as_parent().is_none());
}

fn of_guests(receiver: &Receiver) -> OtlpConfig {
    let base = receiver.url().replace("/v1/traces", "");
    let target = |path| Some(Target::new(format!("{base}{path}").parse().unwrap()));
    let config = config(&receiver.url());
    OtlpConfig { traces: None, metrics: target("/v1/metrics"), logs: target("/v1/logs"), ..config }
}

fn gauge(name: &str, points: impl IntoIterator<Item = i64>) -> Vec<ScopeMetrics> {
    let point = |number| NumberDataPoint {
        attributes: vec![KeyValue {
            key: "number".to_owned(),
            value: Some(AnyValue { value: Some(Value::IntValue(number)) }),
            ..KeyValue::default()
        }],
        value: Some(number_data_point::Value::AsInt(number)),
        ..NumberDataPoint::default()
    };
    let gauge = Gauge { data_points: points.into_iter().map(point).collect() };
    let data = Some(metric::Data::Gauge(gauge));
    let metrics = vec![Metric { name: name.to_owned(), data, ..Metric::default() }];
    vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }]
}

fn record(text: String) -> LogRecord {
    let body = Some(AnyValue { value: Some(Value::StringValue(text)) });
    LogRecord { body, ..LogRecord::default() }
}

#[test]
fn what_guests_measure_and_log_is_each_workloads_own() {
    let receiver = Receiver::start(Behaviour::Accept);
    let telemetry = Telemetry::start(Some(&of_guests(&receiver))).unwrap();
    assert!(!telemetry.tracer().is_exporting());
    let workloads = ["shop/cart", "shop/till"].map(|name| name.into());
    let [cart, till] = workloads.each_ref().map(|name| telemetry.outbox().of(name).unwrap());
    cart.metrics(gauge("a", 0..3), 0).unwrap();
    cart.metrics(gauge("b", 0..2), 0).unwrap();
    till.metrics(gauge("a", 0..1), 0).unwrap();
    till.log(None, record("rung up".to_owned()));
    assert!(telemetry.shutdown(LONG));

    let metrics: Vec<ExportMetricsServiceRequest> = receiver.of("/v1/metrics");
    let mut seen: Vec<_> = metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .map(|of_one| {
            let attributes = &of_one.resource.as_ref().unwrap().attributes;
            let metrics = of_one.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            let names: Vec<_> = metrics.map(|metric| metric.name.as_str()).collect();
            (attribute(attributes, "service.name").cloned(), names)
        })
        .collect();
    seen.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let service = |name: &str| Some(Value::StringValue(name.to_owned()));
    assert_eq!(seen, [(service("shop/cart"), vec!["a", "b"]), (service("shop/till"), vec!["a"])]);
    let logs: Vec<ExportLogsServiceRequest> = receiver.of("/v1/logs");
    let sent = &logs[0].resource_logs[0];
    let attributes = &sent.resource.as_ref().unwrap().attributes;
    assert_eq!(attribute(attributes, "reef.workload").cloned(), service("shop/till"));
    assert_eq!(sent.scope_logs[0].log_records, [record("rung up".to_owned())]);
    let shown = telemetry.metrics().render();
    assert!(shown.contains("reef_guest_data_points_exported_total 6\n"), "{shown}");
    assert!(shown.contains("reef_guest_log_records_exported_total 1\n"), "{shown}");
    assert!(!shown.contains("reef_spans"), "{shown}");
}

#[test]
fn a_workload_has_its_share_of_series_sizes_and_room() {
    let receiver = Receiver::start(Behaviour::Hang);
    let mut config = of_guests(&receiver);
    config.metrics.as_mut().unwrap().timeout = LONG;
    let telemetry = Telemetry::start(Some(&config)).unwrap();
    let outbox = telemetry.outbox();
    let of = |name: &str| outbox.of(&name.into()).unwrap();
    // Series: those that there are go on.
    let many = of("many");
    many.metrics(gauge("n", 0..5_000), 0).unwrap();
    many.metrics(gauge("n", 5_000..10_000), 0).unwrap();
    let why = many.metrics(gauge("n", 9_990..10_010), 0).unwrap_err();
    assert!(why.contains("10000 series"), "{why}");
    many.metrics(gauge("n", 0..10), 0).unwrap();
    assert_eq!(outbox.metrics().unwrap().over_limit, 10);
    // Sizes.
    let why = of("large").metrics(gauge(&"n".repeat(2 << 20), 0..1), 0).unwrap_err();
    assert!(why.contains("bytes"), "{why}");
    assert_eq!(outbox.metrics().unwrap().over_limit, 11);
    let long = KeyValue { key: "k".repeat(40_000), ..KeyValue::default() };
    let two = LogRecord { attributes: vec![long.clone(), long], ..record("x".to_owned()) };
    of("large").log(None, two);
    of("large").log(None, record("x".repeat(100_000)));
    assert_eq!(outbox.logs().unwrap().over_limit, 1);
    // Room: one that logs without end keeps nobody else from it.
    let (noisy, quiet) = (of("noisy"), of("quiet"));
    for _ in 0..10_000 {
        noisy.log(None, record("x".repeat(1_000)));
    }
    let dropped = outbox.logs().unwrap().dropped;
    assert!(dropped > 5_000, "{dropped}");
    quiet.log(None, record("x".to_owned()));
    assert_eq!(outbox.logs().unwrap().dropped, dropped);
    // Nothing of all this waits for the receiver.
    assert!(!telemetry.shutdown(Duration::from_millis(300)));
    let start = Instant::now();
    loop {
        let lost = outbox.logs().unwrap();
        if (lost.exported, lost.dropped + lost.failed) == (0, 10_002) {
            break;
        }
        assert!(start.elapsed() < LONG, "{lost:?}");
        std::thread::yield_now();
    }
}

#[test]
fn data_points_that_the_receiver_refuses_are_counted_as_lost() {
    let receiver = Receiver::start(Behaviour::RefuseOne);
    let telemetry = Telemetry::start(Some(&of_guests(&receiver))).unwrap();
    let workload = telemetry.outbox().of(&"shop".into()).unwrap();
    workload.metrics(gauge("n", 0..3), 2).unwrap();
    assert!(telemetry.shutdown(LONG));
    let counts = telemetry.outbox().metrics().unwrap();
    assert_eq!((counts.exported, counts.failed, counts.over_limit), (2, 1, 2));
}
