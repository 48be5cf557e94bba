//! What a client may ask of the server, with the default of each.

use std::time::Duration;

/// How many open files the server leaves for everything that is not a client connection (guests'
/// files and outbound sockets, listeners, logs), at the least.
const FILES_KEPT_BACK: u64 = 256;

/// Limits on what clients may send, hold and wait for. Every field has a default that is safe on
/// a public address; each refusal names the field.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once. One more is answered `503` with `Retry-After` and closed at once,
    /// so that a client learns it immediately. Default: the process's limit of open files less an
    /// eighth, at least 256 of them, kept for everything else.
    pub max_connections: usize,
    /// Bytes of a request line and its headers; for HTTP/2 the size of the decoded list as
    /// RFC 9113 section 6.5.2 counts it. More: `431`. Default 64 KiB, at least 8 KiB.
    pub max_header_bytes: usize,
    /// Header fields of a request. More: `431`. Default 100.
    pub max_headers: usize,
    /// Bytes of the request target. More: `414`. Default 8 KiB.
    pub max_uri_bytes: usize,
    /// Bytes of a request body. More: `413`, at once when `Content-Length` says so and otherwise
    /// while the body streams. Default 128 MiB.
    pub max_body_bytes: u64,
    /// From the first byte of a request to the end of its headers. Longer: `408` and the connection
    /// is closed. Default 10 s.
    pub header_read_timeout: Duration,
    /// How long a connection may be open with no request in progress. Longer: closed. Default 60 s.
    pub idle_timeout: Duration,
    /// How long a handler that wants more of a request body waits for the client's next bytes.
    /// Longer: the body ends in an error, `408` where no answer was begun. Default 30 s.
    pub body_read_timeout: Duration,
    /// How long a client may take none of the bytes that are ready for it. Longer: cut. For HTTP/2
    /// it holds for a connection, and for each stream that the client gives no window (it must take
    /// 64 KiB within this time). Default 30 s.
    pub write_timeout: Duration,
    /// From the connection to the end of the TLS handshake. Longer: closed. Default 10 s.
    pub tls_handshake_timeout: Duration,
    /// Streams that one HTTP/2 connection may have open at once. Default 128.
    pub max_streams: u32,
    /// Streams that an HTTP/2 client may reset before they were accepted, before its connection is
    /// ended (rapid reset, CVE-2023-44487). Default 20.
    pub max_pending_resets: usize,
    /// Time between pings on an HTTP/2 connection, which find clients that went away without a
    /// word. Default 20 s.
    pub ping_interval: Duration,
    /// How long the answer to such a ping may take before the connection is closed. Default 20 s.
    pub ping_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: connections_for(open_files()),
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            max_uri_bytes: 8 * 1024,
            max_body_bytes: 128 * 1024 * 1024,
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            tls_handshake_timeout: Duration::from_secs(10),
            max_streams: 128,
            max_pending_resets: 20,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

/// The connections that fit into `files` open files, with room kept for everything else.
fn connections_for(files: u64) -> usize {
    let kept = (files / 8).max(FILES_KEPT_BACK);
    usize::try_from(files.saturating_sub(kept)).unwrap_or(usize::MAX).max(16)
}

/// How many files this process may have open now (the soft `RLIMIT_NOFILE`).
fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Raises the process's soft limit of open files to its hard limit, and returns what it now is.
/// Call it once at start, before [`Limits::default`], which reads it.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "could not raise the limit of open files");
        }
    }
    open_files()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_files_that_are_not_connections() {
        assert_eq!(connections_for(20_000), 17_500);
        assert_eq!(connections_for(1024), 768);
        assert_eq!(connections_for(100), 16, "never so few that nothing can be served");
    }

    #[test]
    fn twelve_thousand_files_hold_ten_thousand_connections() {
        assert!(connections_for(12_000) >= 10_000);
    }
}
