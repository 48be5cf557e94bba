use std::io;
use std::path::PathBuf;

/// Why telemetry could not be set up. Once it runs, its failures are logged and counted, not returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log filter is not a list of `LEVEL` and `TARGET=LEVEL`.
    #[error(
        "the log filter `{filter}` is not understood: {source}; write a level (error, warn, info, debug, trace, off), or a list such as `info,reef_http=debug`"
    )]
    LogFilter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs were set up twice in this process.
    #[error("logs are already set up in this process")]
    LogsAlreadySetUp,
    /// The OTLP endpoint is not an absolute `http` or `https` URL.
    #[error(
        "the OTLP endpoint `{endpoint}` (from {from}) is not usable: {reason}; write a URL such as `http://localhost:4318`"
    )]
    Endpoint {
        /// As given.
        endpoint: String,
        /// The flag or environment variable that gave it.
        from: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The OTLP protocol asked for is not HTTP with protobuf.
    #[error(
        "{variable}={protocol} asks for a protocol that Reef does not export with; use `http/protobuf` (port 4318 on most collectors)"
    )]
    Protocol {
        /// The environment variable that asked.
        variable: &'static str,
        /// As given.
        protocol: String,
    },
    /// An environment variable's value is not usable.
    #[error("{variable}={value} is not usable: {reason}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// As given.
        value: String,
        /// What would be.
        reason: &'static str,
    },
    /// The file of certificate authorities for the OTLP endpoint cannot be used.
    #[error("the certificates in {path} (OTEL_EXPORTER_OTLP_CERTIFICATE) cannot be used: {reason}", path = path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The export thread did not start.
    #[error("the thread that exports telemetry cannot be started")]
    Thread(#[source] io::Error),
}
