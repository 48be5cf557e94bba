//! What logs cost a start and a span costs a request. Prints, asserts nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Uri};
use reef_telemetry::{
    LogConfig, LogFormat, OtlpConfig, RequestSpan, Sampling, Telemetry, Tracer, init,
};

const REQUESTS: u32 = 300_000;

fn request(tracer: &Tracer, incoming: &HeaderMap) -> RequestSpan {
    let mut span = tracer.start_request(incoming, &Method::GET, "/orders/{id}", "shop");
    let mut outgoing = HeaderMap::new();
    span.inject(&mut outgoing);
    span.set_status(200);
    black_box(outgoing);
    span
}

fn time(what: &str, tracer: &Tracer, incoming: &HeaderMap) {
    let start = Instant::now();
    for _ in 0..REQUESTS {
        drop(request(black_box(tracer), black_box(incoming)));
    }
    let nanos = start.elapsed().as_nanos() as f64 / f64::from(REQUESTS);
    println!("{what}: {nanos:.0} ns a request");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    init(&LogConfig::from_env(LogFormat::Human, None, "off"))?;
    println!("logs set up in {:?}", start.elapsed());

    let plain = HeaderMap::new();
    let mut traced = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    traced.insert("traceparent", HeaderValue::from_static(parent));
    time("off", &Tracer::off(), &plain);
    time("off, a caller that traces", &Tracer::off(), &traced);

    // Nobody listens there: spans are dropped once the queue is full, as in an outage.
    let mut config = OtlpConfig::traces(Uri::from_static("http://127.0.0.1:9/v1/traces"));
    let export = Telemetry::start(Some(&config))?;
    time("on", export.tracer(), &traced);
    export.shutdown(Duration::ZERO);
    config.sampling = Sampling { parent_based: true, ratio: 0.0 };
    let export = Telemetry::start(Some(&config))?;
    time("on, not sampled", export.tracer(), &plain);
    export.shutdown(Duration::ZERO);
    Ok(())
}
