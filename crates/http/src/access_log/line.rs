//! One line.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, Version};

use super::{LogFormat, ServedBy};

/// The longest field of a line; what is longer is cut there.
const MAX_FIELD: usize = 4096;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Cut,
    GivenUp,
}

/// What is known of a request, from its head to its end. Cloned fields share the request's memory.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) since: Instant,
    pub(crate) time: SystemTime,
    pub(crate) remote: SocketAddr,
    /// Unless it could not be read.
    pub(crate) asked: Option<Asked>,
    pub(crate) id: Option<HeaderValue>,
    pub(crate) served_by: Option<ServedBy>,
    pub(crate) status: Option<StatusCode>,
    /// Of the body.
    pub(crate) bytes: u64,
}

/// What a client asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
}

impl Asked {
    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }
}

impl Line {
    /// Of a request that could not be read and was refused.
    pub(crate) fn unread(remote: SocketAddr, status: StatusCode, bytes: usize) -> Self {
        Self {
            since: Instant::now(),
            time: SystemTime::now(),
            remote,
            asked: None,
            id: None,
            served_by: None,
            status: Some(status),
            bytes: bytes as u64,
        }
    }

    pub(crate) fn new<B>(
        request: &Request<B>,
        remote: SocketAddr,
        id: Option<HeaderValue>,
    ) -> Self {
        let field = |name| request.headers().get(name).cloned();
        Self {
            since: Instant::now(),
            time: SystemTime::now(),
            remote,
            asked: Some(Asked {
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                host: field(HOST),
                referer: field(REFERER),
                user_agent: field(USER_AGENT),
            }),
            id,
            served_by: None,
            status: None,
            bytes: 0,
        }
    }

    /// Appends the line with its end of line. Of what clients send nothing but printable ASCII gets
    /// through as it is.
    pub(crate) fn write(&self, format: LogFormat, end: End, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = match format {
            LogFormat::Json => self.json(end, out),
            LogFormat::Common => self.common(out),
            LogFormat::Combined => self.common(out).map(|()| {
                let asked = self.asked.as_ref();
                let referer = asked.and_then(|asked| asked.referer.as_ref());
                let user_agent = asked.and_then(|asked| asked.user_agent.as_ref());
                for field in [referer, user_agent] {
                    out.extend_from_slice(b" \"");
                    let value = field.map_or(&b"-"[..], HeaderValue::as_bytes);
                    escape_common(value, out);
                    out.push(b'"');
                }
            }),
        };
        out.push(b'\n');
    }

    fn status(&self) -> u16 {
        // nginx's number for a client that went away.
        self.status.map_or(499, |status| status.as_u16())
    }

    fn common(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        write!(out, "{} - - [", self.remote.ip())?;
        // `Sun, 06 Nov 1994 08:49:37 GMT`, in another order.
        let date = httpdate::fmt_http_date(self.time.max(UNIX_EPOCH));
        if let (Some(day), Some(month), Some(year), Some(clock)) =
            (date.get(5..7), date.get(8..11), date.get(12..16), date.get(17..25))
        {
            write!(out, "{day}/{month}/{year}:{clock} +0000")?;
        }
        out.extend_from_slice(b"] \"");
        match &self.asked {
            None => out.push(b'-'),
            Some(asked) => {
                escape_common(asked.method.as_str().as_bytes(), out);
                out.push(b' ');
                escape_common(asked.target().as_bytes(), out);
                write!(out, " {:?}", asked.version)?;
            }
        }
        write!(out, "\" {} ", self.status())?;
        match self.bytes {
            0 => out.push(b'-'),
            bytes => write!(out, "{bytes}")?,
        }
        Ok(())
    }

    fn json(&self, end: End, out: &mut Vec<u8>) -> std::io::Result<()> {
        let time = humantime::format_rfc3339_millis(self.time.max(UNIX_EPOCH));
        let status =
            self.status.map_or_else(|| "null".into(), |status| status.as_u16().to_string());
        let duration = self.since.elapsed().max(Duration::from_nanos(1)).as_secs_f64();
        let end = match end {
            End::Whole => "whole",
            End::Cut => "cut",
            End::GivenUp => "given_up",
        };
        write!(
            out,
            "{{\"time\":\"{time}\",\"remote\":\"{}\",\"status\":{status},\
             \"bytes\":{},\"duration\":{duration:.6},\"end\":\"{end}\"",
            self.remote, self.bytes
        )?;
        let mut field = |name: &str, value: Option<&[u8]>| {
            let Some(value) = value else { return };
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            escape_json(value, out);
            out.push(b'"');
        };
        if let Some(asked) = &self.asked {
            field("version", Some(format!("{:?}", asked.version).as_bytes()));
            field("method", Some(asked.method.as_str().as_bytes()));
            field("target", Some(asked.target().as_bytes()));
            let authority = asked.uri.authority().map(|authority| authority.as_str().as_bytes());
            field("host", authority.or(asked.host.as_ref().map(HeaderValue::as_bytes)));
        }
        field("id", self.id.as_ref().map(HeaderValue::as_bytes));
        if let Some(by) = &self.served_by {
            field("workload", Some(by.workload.as_bytes()));
            field("route", Some(by.route.as_bytes()));
        }
        if let Some(asked) = &self.asked {
            field("referer", asked.referer.as_ref().map(HeaderValue::as_bytes));
            field("user_agent", asked.user_agent.as_ref().map(HeaderValue::as_bytes));
        }
        out.push(b'}');
        Ok(())
    }
}

/// As Apache and nginx write it: `\xHH` for everything but printable ASCII, the quotation mark and
/// the backslash.
fn escape_common(value: &[u8], out: &mut Vec<u8>) {
    for byte in value.iter().take(MAX_FIELD) {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\') => out.push(*byte),
            other => {
                let _ = write!(out, "\\x{other:02X}");
            }
        }
    }
}

/// As JSON, in ASCII. Bytes that are no UTF-8 become U+FFFD.
fn escape_json(value: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(MAX_FIELD)];
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}
