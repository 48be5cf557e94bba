use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use tracing::warn;

use crate::Error;

#[cfg(test)]
mod tests;

const FLAG: &str = "--otlp";
/// Where a collector on this machine listens.
const LOCAL: &str = "http://localhost:4318";

/// Which requests are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether a caller's decision is followed.
    pub parent_based: bool,
    /// Share of the others that is recorded, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampling {
    /// Follow the caller, otherwise record.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

/// How spans wait for export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Spans that may wait; more are dropped and counted.
    pub queue: usize,
    /// Spans sent at once; when as many wait, they are sent before the delay is over.
    pub batch: usize,
    /// Time between sendings, of guests' metrics and log records, too.
    pub delay: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { queue: 2048, batch: 512, delay: Duration::from_secs(5) }
    }
}

/// A URL that takes one signal, by OTLP over HTTP with protobuf, and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The whole URL, `http` or `https`.
    pub endpoint: Uri,
    /// What each request carries: secrets among it, which are not shown.
    pub headers: HeaderMap,
    /// Certificate authorities, in PEM, to trust in place of the machine's.
    pub authorities: Option<PathBuf>,
    /// Most time for a sending, tries included.
    pub timeout: Duration,
}

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// Takes spans: this process's, and those of its guests.
    pub traces: Option<Target>,
    /// Takes the metrics of guests. This process's are at `/metrics`.
    pub metrics: Option<Target>,
    /// Takes the log records of guests.
    pub logs: Option<Target>,
    /// `service.name`; without one, what `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say, or `reef`.
    pub service: Option<String>,
    /// Which requests are recorded.
    pub sampling: Sampling,
    /// How spans wait.
    pub limits: BatchLimits,
}

/// A kind of what is exported, as it is called in URLs and variables.
#[derive(Clone, Copy)]
struct Signal {
    path: &'static str,
    endpoint: &'static str,
    exporter: &'static str,
    protocol: &'static str,
    certificate: &'static str,
    headers: &'static str,
    timeout: &'static str,
}

macro_rules! signal {
    ($path:literal, $name:literal) => {
        Signal {
            path: $path,
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $name, "_ENDPOINT"),
            exporter: concat!("OTEL_", $name, "_EXPORTER"),
            protocol: concat!("OTEL_EXPORTER_OTLP_", $name, "_PROTOCOL"),
            certificate: concat!("OTEL_EXPORTER_OTLP_", $name, "_CERTIFICATE"),
            headers: concat!("OTEL_EXPORTER_OTLP_", $name, "_HEADERS"),
            timeout: concat!("OTEL_EXPORTER_OTLP_", $name, "_TIMEOUT"),
        }
    };
}

const TRACES: Signal = signal!("/v1/traces", "TRACES");
const METRICS: Signal = signal!("/v1/metrics", "METRICS");
const LOGS: Signal = signal!("/v1/logs", "LOGS");

// === impl Target ===

impl Target {
    /// An endpoint, all else by default.
    #[must_use]
    pub fn new(endpoint: Uri) -> Self {
        let timeout = Duration::from_secs(10);
        Self { endpoint, headers: HeaderMap::new(), authorities: None, timeout }
    }
}

// === impl OtlpConfig ===

impl OtlpConfig {
    /// Traces to an endpoint, and nothing else.
    #[must_use]
    pub fn traces(endpoint: Uri) -> Self {
        Self { traces: Some(Target::new(endpoint)), ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            traces: None,
            metrics: None,
            logs: None,
            service: None,
            sampling: Sampling::default(),
            limits: BatchLimits::default(),
        }
    }

    /// From `--otlp` and the environment (OpenTelemetry specification, "Environment variables" and "OTLP
    /// exporter"); none when neither asks for anything. The flag is a base URL, as `OTEL_EXPORTER_OTLP_ENDPOINT`
    /// is, for all signals, and wins over the environment.
    ///
    /// The resource (`OTEL_RESOURCE_ATTRIBUTES`) is read from the environment when the export starts. A sampler,
    /// number or header that is not understood is logged and ignored, as the specification asks.
    ///
    /// # Errors
    /// [`Error::Endpoint`] and [`Error::Protocol`].
    pub fn from_env(flag: Option<&str>) -> Result<Option<Self>, Error> {
        Self::read(flag, |name| env::var(name).ok())
    }

    fn read(
        flag: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        // A variable that is set and empty is as good as not set.
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let disabled = get("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if disabled && flag.is_none() {
            return Ok(None);
        }
        let read = Self {
            traces: target(TRACES, flag, &get)?,
            metrics: target(METRICS, flag, &get)?,
            logs: target(LOGS, flag, &get)?,
            sampling: sampling(&get),
            limits: limits(&get),
            ..Self::nothing()
        };
        let exports = read.traces.is_some() || read.metrics.is_some() || read.logs.is_some();
        Ok(exports.then_some(read))
    }
}

/// Where a signal goes, if it goes anywhere.
fn target(
    signal: Signal,
    flag: Option<&str>,
    get: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Target>, Error> {
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let exporter = get(signal.exporter);
    let endpoint = match (flag, exporter.as_deref()) {
        (Some(flag), _) => endpoint(flag, FLAG, signal.path, true)?,
        (None, Some("none")) => return Ok(None),
        (None, exporter) => match (get(signal.endpoint), get(ALL)) {
            (Some(given), _) => endpoint(&given, signal.endpoint, signal.path, false)?,
            (None, Some(given)) => endpoint(&given, ALL, signal.path, true)?,
            (None, None) if exporter == Some("otlp") => {
                endpoint(LOCAL, signal.exporter, signal.path, true)?
            }
            (None, None) => return Ok(None),
        },
    };
    for name in [signal.protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match get(name) {
            None => continue,
            Some(protocol) if protocol == "http/protobuf" => break,
            Some(protocol) => return Err(Error::Protocol { variable: name, protocol }),
        }
    }
    let of = |own: &str, all: &str| get(own).or_else(|| get(all));
    let default = Target::new(endpoint);
    Ok(Some(Target {
        headers: of(signal.headers, "OTEL_EXPORTER_OTLP_HEADERS")
            .as_deref()
            .map(headers)
            .unwrap_or_default(),
        authorities: of(signal.certificate, "OTEL_EXPORTER_OTLP_CERTIFICATE").map(PathBuf::from),
        timeout: milliseconds(get, signal.timeout)
            .or_else(|| milliseconds(get, "OTEL_EXPORTER_OTLP_TIMEOUT"))
            .unwrap_or(default.timeout),
        ..default
    }))
}

/// `base`: the signal's path is appended, in place of another signal's.
fn endpoint(given: &str, from: &'static str, path: &str, base: bool) -> Result<Uri, Error> {
    let given = given.trim();
    let error = |reason: &str| Error::Endpoint {
        endpoint: given.to_owned(),
        from,
        reason: reason.to_owned(),
    };
    let full = match base {
        true => {
            let base = given.strip_suffix(TRACES.path).unwrap_or(given);
            format!("{}{path}", base.trim_end_matches('/'))
        }
        false => given.to_owned(),
    };
    let url: Uri = full.parse().map_err(|_| error("it is not a URL"))?;
    match url.scheme_str() {
        Some("http" | "https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Some("http" | "https") => Err(error("it names no host")),
        Some(_) => Err(error("only http and https are spoken")),
        None => Err(error("it has no http:// or https://")),
    }
}

/// `name=value,name=value`, values percent-encoded (OTLP exporter, "Specifying headers via environment variables").
fn headers(given: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for one in given.split(',').filter(|one| !one.trim().is_empty()) {
        let read = one.split_once('=').and_then(|(name, value)| {
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        match read {
            Some((name, value)) => {
                headers.insert(name, value);
            }
            // What it is may be a secret.
            None => warn!("one of the headers for OTLP is not `name=value`; ignored"),
        }
    }
    headers
}

fn sampling(get: &impl Fn(&str) -> Option<String>) -> Sampling {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    let Some(name) = get(SAMPLER) else { return Sampling::default() };
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match get("OTEL_TRACES_SAMPLER_ARG") {
            None => 1.0,
            Some(text) => match text.trim().parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
                _ => {
                    warn!(
                        value = text,
                        "OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1; every trace is recorded"
                    );
                    1.0
                }
            },
        },
        _ => {
            warn!(
                value = name,
                "OTEL_TRACES_SAMPLER names no sampler that Reef has; using parentbased_always_on"
            );
            return Sampling::default();
        }
    };
    Sampling { parent_based, ratio }
}

fn limits(get: &impl Fn(&str) -> Option<String>) -> BatchLimits {
    let default = BatchLimits::default();
    let queue = number(get, "OTEL_BSP_MAX_QUEUE_SIZE", 1_000_000).unwrap_or(default.queue);
    let batch = number(get, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 100_000).unwrap_or(default.batch);
    BatchLimits {
        queue,
        batch: batch.min(queue),
        delay: milliseconds(get, "OTEL_BSP_SCHEDULE_DELAY").unwrap_or(default.delay),
    }
}

fn milliseconds(get: &impl Fn(&str) -> Option<String>, name: &'static str) -> Option<Duration> {
    number(get, name, 3_600_000).map(Duration::from_millis)
}

/// 1 to `max`.
fn number<T>(get: &impl Fn(&str) -> Option<String>, name: &'static str, max: T) -> Option<T>
where
    T: FromStr + PartialOrd + From<u8> + std::fmt::Display,
{
    let text = get(name)?;
    match text.trim().parse() {
        Ok(value) if value >= T::from(1) && value <= max => Some(value),
        _ => {
            warn!(value = text, "{name} is not a number from 1 to {max}; ignored");
            None
        }
    }
}
