//! The arguments of a server, whatever it serves.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};
use reef_grants::{ByteSize, parse_duration};

use super::{CacheArgs, DataArgs, SourceArgs, parse_addr};

/// A server, whatever it serves.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_addr)]
    pub(crate) addr: Vec<SocketAddr>,
    /// Where to answer /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDR", value_parser = parse_addr)]
    pub(crate) admin: Option<SocketAddr>,
    /// Certificate chain (PEM); read anew when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Certificate chain and key (PEM) for one host, or `*.` and a domain
    #[arg(long, value_name = "HOST=CERT,KEY", value_parser = parse_tls_host)]
    pub(crate) tls_host: Vec<(String, PathBuf, PathBuf)>,
    /// Write a line for each request to this file, or - for standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Access log")]
    pub(crate) access_log: Option<PathBuf>,
    /// The form of its lines
    #[arg(long, value_name = "FORMAT", default_value = "common", help_heading = "Access log")]
    pub(crate) access_log_format: AccessLogFormat,
    /// Which requests get a name, in x-request-id
    #[arg(long, value_name = "WHICH", default_value = "off", help_heading = "Access log")]
    pub(crate) request_ids: RequestIds,
    /// Instances that may live at once, over all workloads
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000), help_heading = "Instances")]
    pub(crate) max_instances: u32,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N", help_heading = "Instances")]
    pub(crate) workers: Option<usize>,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    /// Send traces, and metrics and logs of guests, to this OTLP endpoint (http/protobuf); OTEL_* variables are honoured
    #[arg(long, value_name = "URL", help_heading = "Telemetry")]
    pub(crate) otlp: Option<String>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogFormat {
    /// The common log format
    Common,
    /// The same, with referer and user agent
    Combined,
    /// One JSON object a line
    Json,
}

impl From<AccessLogFormat> for reef_http::LogFormat {
    fn from(format: AccessLogFormat) -> Self {
        match format {
            AccessLogFormat::Common => Self::Common,
            AccessLogFormat::Combined => Self::Combined,
            AccessLogFormat::Json => Self::Json,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestIds {
    /// None
    Off,
    /// All, a new one each
    New,
    /// All, the client's own where it sends one
    FromClient,
}

impl From<RequestIds> for reef_http::RequestIds {
    fn from(ids: RequestIds) -> Self {
        match ids {
            RequestIds::Off => Self::Off,
            RequestIds::New => Self::New,
            RequestIds::FromClient => Self::FromClient,
        }
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Instances")]
pub(crate) struct InstanceArgs {
    /// Requests that one instance serves in its life [default: 1 for WASI 0.2, 1024 for 0.3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) reuse: Option<u32>,
    /// Requests that one WASI 0.3 instance serves at once [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrent: Option<u32>,
    /// How long an instance without work is kept
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) instance_idle: Duration,
    /// Requests in progress at once, per workload
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_requests: u32,
    /// Requests that may wait for that, per workload
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_queue: u32,
    /// How long they may wait before they are answered 503
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) queue_timeout: Duration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "HTTP limits")]
pub(crate) struct HttpArgs {
    /// Connections open at once [default: what the limit of open files allows]
    #[arg(long, value_name = "N")]
    pub(crate) max_connections: Option<usize>,
    /// Bytes of a request's headers
    #[arg(long, value_name = "SIZE", default_value = "64KiB")]
    pub(crate) max_header: ByteSize,
    /// Bytes of a request's body
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub(crate) max_body: ByteSize,
    /// How long a connection may be open without a request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) idle_timeout: Duration,
    /// How long requests may go on after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) drain: Duration,
}

fn parse_tls_host(text: &str) -> Result<(String, PathBuf, PathBuf), String> {
    let parts = text.split_once('=').and_then(|(host, files)| Some((host, files.split_once(',')?)));
    match parts {
        Some((host, (cert, key))) if !host.is_empty() => {
            Ok((host.to_owned(), cert.into(), key.into()))
        }
        _ => Err("write HOST=CERT,KEY, such as shop.example=shop.pem,shop.key".into()),
    }
}
