use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use tracing::warn;

use crate::Error;

#[cfg(test)]
mod tests;

const FLAG: &str = "--otlp";
const TRACES_PATH: &str = "/v1/traces";

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
    /// Time between sendings.
    pub delay: Duration,
    /// Most time for a sending, retries included.
    pub timeout: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// The URL that takes them, `http` or `https`, by OTLP over HTTP with protobuf.
    pub endpoint: Uri,
    /// `service.name`; without one, what `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say, or `reef`.
    pub service: Option<String>,
    /// Which requests are recorded.
    pub sampling: Sampling,
    /// How spans wait.
    pub limits: BatchLimits,
    /// Certificate authorities, in PEM, to trust in place of the machine's.
    pub authorities: Option<PathBuf>,
}

impl TraceConfig {
    /// To an endpoint, all else by default.
    #[must_use]
    pub fn new(endpoint: Uri) -> Self {
        Self {
            endpoint,
            service: None,
            sampling: Sampling::default(),
            limits: BatchLimits::default(),
            authorities: None,
        }
    }

    /// From `--otlp` and the environment (OpenTelemetry specification, "Environment variables" and "OTLP
    /// exporter"); none when neither asks for traces. The flag is a base URL, as `OTEL_EXPORTER_OTLP_ENDPOINT`
    /// is, and wins over the environment.
    ///
    /// Headers (`OTEL_EXPORTER_OTLP_HEADERS`, `_TRACES_HEADERS`) and the resource (`OTEL_RESOURCE_ATTRIBUTES`)
    /// are read from the environment when the export starts. A sampler or number that is not understood is
    /// logged and ignored, as the specification asks.
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
        let endpoint = if let Some(flag) = flag {
            endpoint(flag, FLAG, true)?
        } else {
            let disabled = get("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
            let exporter = get("OTEL_TRACES_EXPORTER");
            if disabled || exporter.as_deref() == Some("none") {
                return Ok(None);
            }
            const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
            const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
            if let Some(given) = get(TRACES) {
                endpoint(&given, TRACES, false)?
            } else if let Some(given) = get(ALL) {
                endpoint(&given, ALL, true)?
            } else if exporter.as_deref() == Some("otlp") {
                endpoint("http://localhost:4318", "OTEL_TRACES_EXPORTER", true)?
            } else {
                return Ok(None);
            }
        };
        for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            match get(name) {
                None => continue,
                Some(protocol) if protocol == "http/protobuf" => break,
                Some(protocol) => return Err(Error::Protocol { variable: name, protocol }),
            }
        }
        let authorities = get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
            .or_else(|| get("OTEL_EXPORTER_OTLP_CERTIFICATE"));
        Ok(Some(Self {
            endpoint,
            service: None,
            sampling: sampling(&get),
            limits: limits(&get),
            authorities: authorities.map(PathBuf::from),
        }))
    }
}

/// `base`: the signal's path is appended.
fn endpoint(given: &str, from: &'static str, base: bool) -> Result<Uri, Error> {
    let given = given.trim();
    let error = |reason: &str| Error::Endpoint {
        endpoint: given.to_owned(),
        from,
        reason: reason.to_owned(),
    };
    let full = match base && !given.ends_with(TRACES_PATH) {
        true => format!("{}{TRACES_PATH}", given.trim_end_matches('/')),
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
    let milliseconds = |name| number(get, name, 3_600_000).map(Duration::from_millis);
    BatchLimits {
        queue,
        batch: batch.min(queue),
        delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(default.delay),
        timeout: milliseconds("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
            .or_else(|| milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT"))
            .unwrap_or(default.timeout),
    }
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
