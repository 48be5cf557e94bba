use std::collections::HashMap;

use super::*;

fn read(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, Error> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    OtlpConfig::read(flag, |name| variables.get(name).map(|value| (*value).to_owned()))
}

fn endpoint_of(flag: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
    read(flag, variables).unwrap()?.traces.map(|target| target.endpoint.to_string())
}

const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

#[test]
fn nothing_configured_exports_nothing() {
    assert_eq!(read(None, &[]).unwrap(), None);
    assert_eq!(read(None, &[(ALL, " ")]).unwrap(), None);
    assert_eq!(read(None, &[(ALL, "http://a"), ("OTEL_SDK_DISABLED", "true")]).unwrap(), None);
    let none = ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"];
    let mut variables = vec![(ALL, "http://a")];
    variables.extend(none.map(|name| (name, "none")));
    assert_eq!(read(None, &variables).unwrap(), None);
}

#[test]
fn the_endpoint_is_the_most_specific_one() {
    let both = [(ALL, "http://all:4318/x/"), (TRACES, "https://traces/in")];
    assert_eq!(endpoint_of(None, &both[..1]).unwrap(), "http://all:4318/x/v1/traces");
    assert_eq!(endpoint_of(None, &both).unwrap(), "https://traces/in");
    assert_eq!(endpoint_of(Some("http://flag:1"), &both).unwrap(), "http://flag:1/v1/traces");
    assert_eq!(endpoint_of(Some("http://flag/v1/traces"), &[]).unwrap(), "http://flag/v1/traces");
    let otlp = [("OTEL_TRACES_EXPORTER", "otlp")];
    assert_eq!(endpoint_of(None, &otlp).unwrap(), "http://localhost:4318/v1/traces");
}

#[test]
fn an_endpoint_that_cannot_work_is_refused_by_name() {
    for given in ["localhost:4318", "grpc://a:1", "/v1", "http://", "http://a b"] {
        let error = read(Some(given), &[]).unwrap_err().to_string();
        assert!(error.contains(given) && error.contains("--otlp"), "{error}");
        let error = read(None, &[(TRACES, given)]).unwrap_err().to_string();
        assert!(error.contains(TRACES), "{error}");
    }
}

#[test]
fn only_http_with_protobuf_is_spoken() {
    let protocol = |name, value| read(None, &[(ALL, "http://a"), (name, value)]);
    assert!(protocol("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").is_ok());
    let error = protocol("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc").unwrap_err();
    assert!(error.to_string().contains("4318"), "{error}");
}

#[test]
fn samplers() {
    let sampler = |name: &str, arg: &str| {
        let variables =
            [(ALL, "http://a"), ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)];
        let sampling = read(None, &variables).unwrap().unwrap().sampling;
        (sampling.parent_based, sampling.ratio)
    };
    assert_eq!(sampler("always_on", ""), (false, 1.0));
    assert_eq!(sampler("always_off", ""), (false, 0.0));
    assert_eq!(sampler("traceidratio", "0.25"), (false, 0.25));
    assert_eq!(sampler("parentbased_traceidratio", "0.5"), (true, 0.5));
    assert_eq!(sampler("parentbased_always_off", ""), (true, 0.0));
    assert_eq!(sampler("parentbased_traceidratio", "7"), (true, 1.0));
    assert_eq!(sampler("xray", ""), (true, 1.0));
}

#[test]
fn limits_are_bounded() {
    let variables = [
        (ALL, "http://a"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "50"),
    ];
    let OtlpConfig { traces, logs, limits, .. } = read(None, &variables).unwrap().unwrap();
    assert_eq!((limits.queue, limits.batch), (100, 100));
    assert_eq!(limits.delay, Duration::from_secs(5), "0 is not usable");
    assert_eq!(traces.unwrap().timeout, Duration::from_millis(250));
    assert_eq!(logs.unwrap().timeout, Duration::from_millis(50));
}

#[test]
fn each_signal_has_an_endpoint_of_its_own() {
    let endpoints = |flag, variables: &[(&str, &str)]| {
        let OtlpConfig { traces, metrics, logs, .. } = read(flag, variables).unwrap().unwrap();
        [traces, metrics, logs].map(|target| target.map(|target| target.endpoint.to_string()))
    };
    let all = |base: &str| {
        ["traces", "metrics", "logs"].map(|signal| Some(format!("{base}/v1/{signal}")))
    };
    assert_eq!(endpoints(Some("http://a:1/x/"), &[]), all("http://a:1/x"));
    assert_eq!(endpoints(Some("http://a:1/v1/traces"), &[]), all("http://a:1"));
    assert_eq!(endpoints(None, &[(ALL, "http://a:1")]), all("http://a:1"));
    assert_eq!(
        endpoints(None, &[(TRACES, "http://t/x")]),
        [Some("http://t/x".to_owned()), None, None]
    );
    let metrics = [
        (ALL, "http://a"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m/in"),
    ];
    assert_eq!(endpoints(None, &metrics), [None, Some("https://m/in".to_owned()), None]);
}

#[test]
fn headers_are_decoded_and_not_shown() {
    let variables = [
        (ALL, "http://a"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20hunter2, x-tenant = b,junk,=,"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-tenant=c"),
    ];
    let config = read(None, &variables).unwrap().unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let traces = config.traces.unwrap().headers;
    assert_eq!((traces["authorization"].as_bytes(), traces.len()), (&b"Basic hunter2"[..], 2));
    assert_eq!(config.logs.unwrap().headers["x-tenant"], "c");
}
