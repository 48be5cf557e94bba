//! A small HTTP/1.1 client that keeps its connection and says when the first byte came.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Where a response's head must end at the latest.
const LONGEST_HEAD: usize = 16 << 10;
/// The largest body that is taken.
const LONGEST_BODY: usize = 1 << 20;

/// A connection to one server.
pub(super) struct Connection {
    stream: TcpStream,
    limit: Duration,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From the first byte of the request to the first of the response.
    pub(super) first_byte: Duration,
    /// To the last.
    pub(super) whole: Duration,
}

impl Connection {
    /// Connects; each request has this long for its whole answer.
    pub(super) fn open(address: SocketAddr, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream, limit, buffer: Vec::with_capacity(4096) })
    }

    /// One GET. After an error, the connection is of no more use.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        let started = Instant::now();
        let deadline = started + self.limit;
        self.buffer.clear();
        self.stream.write_all(request.as_bytes())?;
        self.fill(deadline)?;
        let first_byte = started.elapsed();
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            if self.buffer.len() > LONGEST_HEAD {
                bail!("the response's head does not end");
            }
            self.fill(deadline)?;
        };
        self.buffer.drain(..head.bytes);
        let body = match head.length {
            Length::Known(length) => self.exactly(length, deadline)?,
            Length::Chunked => self.chunks(deadline)?,
        };
        Ok(Answer { status: head.status, body, first_byte, whole: started.elapsed() })
    }

    fn chunks(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(deadline)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).context("a chunk without a size")?;
            if size == 0 {
                // Trailers, then an empty line.
                while !self.line(deadline)?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > LONGEST_BODY {
                bail!("the response is too long");
            }
            body.extend(self.exactly(size, deadline)?);
            self.line(deadline)?;
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_HEAD {
                bail!("a line of the response does not end");
            }
            self.fill(deadline)?;
        }
    }

    fn exactly(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>> {
        if length > LONGEST_BODY {
            bail!("the response is too long");
        }
        while self.buffer.len() < length {
            self.fill(deadline)?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads something more.
    fn fill(&mut self, deadline: Instant) -> Result<()> {
        let mut piece = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no answer within {:?}", self.limit);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut piece) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(got) => {
                    self.buffer.extend_from_slice(&piece[..got]);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

/// Of a response.
#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    length: Length,
    /// Up to and with the empty line.
    bytes: usize,
}

#[derive(Debug, PartialEq)]
enum Length {
    Known(usize),
    Chunked,
}

impl Head {
    /// `None` when it is not whole yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("the head is not text")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok()).context("no status")?;
        let mut length = None;
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a name")?;
            if name.eq_ignore_ascii_case("content-length") {
                let known = value.trim().parse().context("the length is not a number")?;
                length = Some(Length::Known(known));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Some(Length::Chunked);
            }
        }
        let length = length.context("the response ends with the connection")?;
        Ok(Some(Self { status, length, bytes: end + 4 }))
    }
}

#[cfg(test)]
mod tests;
