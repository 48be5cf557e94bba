//! Writing a response: status, headers, then a body in one piece or as a stream.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::{OutputStream, StreamError};

/// A response whose head has not been sent.
pub struct Reply {
    out: ResponseOutparam,
    status: u16,
    headers: Fields,
}

impl Reply {
    pub fn new(out: ResponseOutparam) -> Self {
        Self { out, status: 200, headers: Fields::new() }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(self, name: &str, value: &[u8]) -> Self {
        self.headers.append(name, value).expect("a well formed header");
        self
    }

    /// Sends the head and the whole body.
    pub fn text(self, text: &str) {
        let body = self.header("content-type", b"text/plain").start();
        body.write_all(text.as_bytes());
        body.finish(None);
    }

    /// Sends the head; the body follows.
    pub fn start(self) -> Body {
        let response = OutgoingResponse::new(self.headers);
        if response.set_status_code(self.status).is_err() {
            response.set_status_code(500).expect("500 is a status");
        }
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(self.out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        Body { stream, body }
    }
}

/// A response body being written. The fields drop in this order, as the interface demands.
pub struct Body {
    stream: OutputStream,
    body: OutgoingBody,
}

impl Body {
    /// Writes everything, waiting for the client; false when the client has gone.
    pub fn write_all(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let room = match self.stream.check_write() {
                Ok(0) => {
                    self.stream.subscribe().block();
                    continue;
                }
                Ok(room) => bytes.len().min(room as usize),
                Err(_) => return false,
            };
            if self.stream.write(&bytes[..room]).is_err() {
                return false;
            }
            bytes = &bytes[room..];
        }
        true
    }

    /// Waits until what was written is on its way.
    pub fn flush(&self) {
        match self.stream.blocking_flush() {
            Ok(()) | Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => {}
        }
    }

    pub fn finish(self, trailers: Option<Fields>) {
        let Self { stream, body } = self;
        drop(stream);
        // The client may have gone already.
        let _ = OutgoingBody::finish(body, trailers);
    }
}
